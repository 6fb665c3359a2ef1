// SPDX-License-Identifier: MIT
// A host address where a guest's is wanted.
// expect: output_address_kind.* to '.*input_address_kind
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, one_thread>& table) {
#if QUIRE_RIGHT
  return table.exclusive().lookup(guest).has_value();
#else
  return table.exclusive().lookup(host).has_value();
#endif
}
