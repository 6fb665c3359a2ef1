// SPDX-License-Identifier: MIT
// Dirty bits read from a format that has none.
// expect: this format has no dirty bit
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
using format = arm64_dirty;
#else
using format = arm64;
#endif

bool use(quire::page_table<format, one_thread>& table) {
  return table.exclusive().read_and_clear_dirty(ram, [](quire::input_address, std::uint64_t) {}).has_value();
}
