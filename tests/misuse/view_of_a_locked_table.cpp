// SPDX-License-Identifier: MIT
// A view of a table whose policy names a lock, without a session that holds it.
// expect: (no match for 'operator\||invalid operands to binary expression)
// expect: (requires  *source<Source>|does not satisfy 'source')
#include <quire/quire.hpp>
#include <quire/views/mappings.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, one_lock>& table, spin_lock& lock) {
#if QUIRE_RIGHT
  auto session = table.exclusive(lock);
  const auto mappings = session | quire::views::mappings;
#else
  static_cast<void>(lock);
  const auto mappings = table | quire::views::mappings;
#endif
  return mappings.begin() == mappings.end();
}
