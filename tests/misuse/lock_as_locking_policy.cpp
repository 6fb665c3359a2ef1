// SPDX-License-Identifier: MIT
// A lock where a locking policy is wanted.
// expect: Policies::locking must be a locking_policy
#include <quire/quire.hpp>

#include "user.hpp"

struct my_kernel : quire::policies {
#if QUIRE_RIGHT
  using locking = quire::locking::exclusive<spin_lock>;
#else
  using locking = spin_lock;
#endif
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
