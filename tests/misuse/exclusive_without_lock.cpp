// SPDX-License-Identifier: MIT
// An exclusive session, and so plain writes, on a table whose policy names a lock, without that lock.
// expect: no matching .*function for call to .*exclusive
// expect: lock_of<
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, two_sides>& table, rw_lock& lock) {
#if QUIRE_RIGHT
  auto session = table.exclusive(lock);
#else
  static_cast<void>(lock);
  auto session = table.exclusive();
#endif
  return session.map(ram, host, {.allowed = quire::all_access}).has_value();
}
