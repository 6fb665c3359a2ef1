// SPDX-License-Identifier: MIT
// A lock of another type than the table's locking policy names.
// expect: no matching .*function for call to .*exclusive
// expect: lock_of<
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
using my_lock = spin_lock;
#else
using my_lock = rw_lock;
#endif

bool use(quire::page_table<riscv, one_lock>& table, my_lock& lock) {
  return table.exclusive(lock).unmap(ram).has_value();
}
