// SPDX-License-Identifier: MIT
// Without a lock the pages are protected before the log is cleared: a fault in between is forgotten.
// expect: Policies::locking loses pages
#include <quire/quire.hpp>

#include "user.hpp"

struct my_sections : quire::locking::concurrent<quire::epoch_section> {
#if !QUIRE_RIGHT
  static constexpr auto harvest = quire::harvest_order::protect_then_clear;
#endif
};
struct my_kernel : quire::policies {
  using locking = my_sections;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
