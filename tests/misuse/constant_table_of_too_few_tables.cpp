// SPDX-License-Identifier: MIT
// A table for the compiler to build, without a page to put it in.
// expect: value_of_an_error.*no_memory
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
inline constexpr std::size_t tables = 2;
#else
inline constexpr std::size_t tables = 1;
#endif

inline constexpr auto boot = quire::constant_table<riscv, 0x8020'0000, tables>([](auto& session) {
  return session.map(quire::input_range::sized(guest, 4096), host, {.allowed = quire::all_access, .dirty = true});
});
