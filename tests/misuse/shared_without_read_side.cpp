// SPDX-License-Identifier: MIT
// A read side asked of a table whose lock has none.
// expect: has_read_side.* evaluated to '?false
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
using my_kernel = two_sides;
#else
struct my_kernel : quire::policies {
  using locking = quire::locking::exclusive<rw_lock>;
};
#endif

bool use(quire::page_table<riscv, my_kernel>& table, rw_lock& lock) {
  return table.shared(lock).translate(guest).has_value();
}
