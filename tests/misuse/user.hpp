// SPDX-License-Identifier: MIT
// What the wrong uses have in common: a user's locks, heap and policies, and a guest's memory.
#pragma once

#include <quire/quire.hpp>

struct spin_lock {
  void lock();
  void unlock();
};
struct rw_lock : spin_lock {
  void lock_shared();
  void unlock_shared();
};

struct heap {
  quire::result<quire::table_address> allocate(std::uint64_t bytes);
  void free(quire::table_address table, std::uint64_t bytes);
};
using heap_cache = quire::table_cache<heap, quire::direct_memory>;

struct one_thread : quire::policies {};
struct one_lock : quire::policies {
  using locking = quire::locking::exclusive<spin_lock>;
};
struct two_sides : quire::policies {
  using locking = quire::locking::shared<rw_lock>;
};

using riscv = quire::riscv::sv39x4;
using arm64 = quire::arm64::stage2_4k<40>;
using arm64_dirty = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_dirty = true}>;

inline constexpr quire::input_address guest{0x8000'0000};
inline constexpr quire::output_address host{0x1'4000'0000};
inline constexpr quire::input_range ram = quire::input_range::sized(guest, 1 << 30);
