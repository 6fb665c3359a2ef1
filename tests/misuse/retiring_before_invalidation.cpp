// SPDX-License-Identifier: MIT
// A table that was unlinked is retired while translation caches may still lead into it.
// expect: invalidated
#include <quire/quire.hpp>

#include "user.hpp"

void retire(quire::detached_tables<riscv>& gone, quire::invalidator<one_thread>& invalidations, one_thread& mine) {
#if QUIRE_RIGHT
  gone.release(invalidations.complete(), mine.memory, mine.reclaim, mine.tables);
#else
  static_cast<void>(invalidations);
  gone.release({}, mine.memory, mine.reclaim, mine.tables);
#endif
}
