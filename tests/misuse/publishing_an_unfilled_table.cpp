// SPDX-License-Identifier: MIT
// A table is linked as it came from the source, without a word that it is filled.
// expect: link
#include <quire/quire.hpp>

#include "user.hpp"

void publish(quire::direct_memory memory, quire::no_maintenance maintenance, quire::table_address parent,
             quire::table_address child) {
#if QUIRE_RIGHT
  const auto link = quire::filled_table<riscv, 0>{maintenance, child}.link();
#else
  static_cast<void>(maintenance);
  const auto link = child.link();
#endif
  memory.store<riscv::word>(parent, 0, link, quire::order::release);
}
