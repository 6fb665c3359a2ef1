// SPDX-License-Identifier: MIT
// Without a lock a page is marked before it becomes writable: a harvest in between takes the mark and protects nothing.
// expect: Policies::locking loses pages
#include <quire/quire.hpp>

#include "user.hpp"

struct my_sections : quire::locking::concurrent<quire::epoch_section> {
#if !QUIRE_RIGHT
  static constexpr auto dirty = quire::dirty_order::mark_then_grant;
#endif
};
struct my_kernel : quire::policies {
  using locking = my_sections;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
