// SPDX-License-Identifier: MIT
// A table that two translation units share, each with a copy of Quire of its own, included before this.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t, uintptr_t
#include <cstdlib>  // aligned_alloc, free
#include <cstring>  // memset

struct heap {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return quire::errc::no_memory;
    return quire::table_address{reinterpret_cast<std::uintptr_t>(std::memset(table, 0, bytes))};
  }
  void free(quire::table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};

struct laptop : quire::policies {
  quire::table_cache<heap, quire::direct_memory, std::uint64_t, true> tables;
  explicit laptop(heap* from) : tables(from, {}, quire::table_unit_bytes<quire::riscv::sv39x4>) {}
};

using guest_table = quire::page_table<quire::riscv::sv39x4, laptop>;

inline constexpr std::uint64_t ram_first = 0x8000'0000, ram_bytes = std::uint64_t{1} << 30;

// In the translation unit with the separate headers: gives how many tables the split took.
quire::result<std::size_t> protect_and_split(guest_table& guest);
int version_of_separate_headers();
