// SPDX-License-Identifier: MIT
// A view of a session that ends with the expression.
// expect: (use of deleted function .*exclusive_session|overload resolution selected deleted operator '\|')
#include <quire/quire.hpp>
#include <quire/views/mappings.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, one_lock>& table, spin_lock& lock) {
#if QUIRE_RIGHT
  auto session = table.exclusive(lock);
  const auto mappings = session | quire::views::mappings;
#else
  const auto mappings = table.exclusive(lock) | quire::views::mappings;
#endif
  return mappings.begin() == mappings.end();
}
