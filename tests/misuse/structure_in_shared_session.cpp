// SPDX-License-Identifier: MIT
// Structural changes on the read side.
// expect: shared_session.*no member named 'map'|no member named 'map' in 'quire::shared_session
// expect: shared_session.*no member named 'split'|no member named 'split' in 'quire::shared_session
// expect: shared_session.*no member named 'unmap'|no member named 'unmap' in 'quire::shared_session
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, two_sides>& table, rw_lock& lock) {
#if QUIRE_RIGHT
  auto session = table.exclusive(lock);
#else
  auto session = table.shared(lock);
#endif
  return session.map(ram, host, {.allowed = quire::all_access}) && session.split(ram) && session.unmap(ram);
}
