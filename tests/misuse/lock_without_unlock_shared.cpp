// SPDX-License-Identifier: MIT
// A lock with half a read side, given to locking::shared.
// expect: (does not satisfy|required for the satisfaction of) 'shared_lockable
// expect: unlock_shared\(\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_lock : spin_lock {
  void lock_shared();
#if QUIRE_RIGHT
  void unlock_shared();
#endif
};
struct my_kernel : quire::policies {
  using locking = quire::locking::shared<my_lock>;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
