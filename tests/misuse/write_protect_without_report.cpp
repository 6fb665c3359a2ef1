// SPDX-License-Identifier: MIT
// Write protection with arm64's hardware dirty bit, where it makes dirty leaves clean, and nobody told which.
// expect: say where the dirty pages are to be reported
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<arm64_dirty, one_thread>& table) {
  auto report = [](quire::input_address, std::uint64_t) {};
#if QUIRE_RIGHT
  return table.exclusive().write_protect(ram, report).has_value();
#else
  static_cast<void>(report);
  return table.exclusive().write_protect(ram).has_value();
#endif
}
