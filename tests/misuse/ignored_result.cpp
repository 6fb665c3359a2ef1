// SPDX-License-Identifier: MIT
// A mapping that may have failed, and nobody asks. (A warning; this kernel makes it an error.)
// flags: -Werror=unused-result
// expect: ignoring return.* 'nodiscard'
#include <quire/quire.hpp>

#include "user.hpp"

void use(quire::page_table<riscv, one_thread>& table) {
  auto session = table.exclusive();
#if QUIRE_RIGHT
  if (!session.map(ram, host, {.allowed = quire::all_access})) return;
#else
  session.map(ram, host, {.allowed = quire::all_access});
#endif
}
