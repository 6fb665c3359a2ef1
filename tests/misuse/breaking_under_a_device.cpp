// SPDX-License-Identifier: MIT
// Break-before-make on the tables of a device, whose faults cannot be retried.
// expect: faults cannot be retried
#include <quire/quire.hpp>

#include "user.hpp"

struct device_format : riscv {
  static constexpr quire::format_facts facts = []() constexpr {
    quire::format_facts f = riscv::facts;
    f.faults_retry = false;
    return f;
  }();
};
struct my_kernel : quire::policies {
#if QUIRE_RIGHT
  using update = quire::update::direct;
#else
  using update = quire::update::break_before_make<>;
#endif
};

bool use(quire::page_table<device_format, my_kernel>& table) { return table.create().has_value(); }
