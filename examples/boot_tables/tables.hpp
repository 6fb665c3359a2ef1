// SPDX-License-Identifier: MIT
// What the boot tables say: a machine's memory, mapped to itself, so that the code that switches translation on goes on
// where it is. The same function builds them in the compiler (tables.cpp) and at run time (main.cpp).
#pragma once

#include <quire/quire.hpp>

struct boot_map {
  static constexpr std::uint64_t uart = 0x1000'0000, ram = 0x8000'0000, mebibyte = 1 << 20;

  template <class Session>
  constexpr quire::result<void> operator()(Session& session) const {
    using namespace quire;
    const auto identity = [&](std::uint64_t first, std::uint64_t bytes, const attributes& wanted) {
      return session.map(input_range::sized(input_address{first}, bytes), output_address{first}, wanted);
    };
    // Nobody takes faults yet, so nothing may be left to be set in an entry: accessed is by default.
    constexpr bool dirty = Session::format::facts.has_dirty;
    if (const auto done = identity(ram, mebibyte, {.allowed = read_execute}); !done) return done;  // the image
    if (const auto done = identity(ram + mebibyte, mebibyte, {.allowed = readable}); !done) return done;
    if (const auto done = identity(ram + 2 * mebibyte, 126 * mebibyte, {.allowed = read_write, .dirty = dirty}); !done)
      return done;
    return identity(uart, 0x1000, {.allowed = read_write, .memory = memory_type::device, .dirty = dirty});
  }
};

// Each takes four tables below its root: the gigabyte of the UART, its page, the gigabyte of the memory, the image's
// pages. They lie within the memory that they map.
using riscv_tables = quire::table_image<quire::riscv::sv39x4, 0x8020'0000, 4>;
using arm64_tables = quire::table_image<quire::arm64::stage2_4k<40>, 0x8020'8000, 4>;

extern const riscv_tables boot_tables_riscv;
extern const arm64_tables boot_tables_arm64;
