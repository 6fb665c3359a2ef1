// SPDX-License-Identifier: MIT
// Entries changed by one store, on a format that needs break-before-make.
// expect: Policies::update must break before it makes
#include <quire/quire.hpp>

#include "user.hpp"

struct my_kernel : quire::policies {
#if QUIRE_RIGHT
  using update = quire::update::break_before_make<>;
#else
  using update = quire::update::direct;
#endif
};

bool use(quire::page_table<arm64, my_kernel>& table) { return table.create().has_value(); }
