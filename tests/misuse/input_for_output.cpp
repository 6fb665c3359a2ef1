// SPDX-License-Identifier: MIT
// A guest mapped to itself by its own address: where memory lies is an address of another kind.
// expect: no matching .*function for call to '.*map
// expect: input_address_kind.* to '.*output_address|candidate: .*map\(quire::input_range, quire::output_address
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, one_thread>& table) {
#if QUIRE_RIGHT
  const quire::output_address same{guest.value};
#else
  const quire::input_address same = guest;
#endif
  return table.exclusive().map(ram, same, {.allowed = quire::all_access}).has_value();
}
