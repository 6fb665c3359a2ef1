// SPDX-License-Identifier: MIT
// The references: loops as somebody writes them who has one format, one way to lock and no options. They show what can
// be reached; they are prepared and checked like the workloads, on tables that the library reads afterwards.
//
// Here: what such a person knows of each format, as numbers, and how they descend. Tables of 512 entries, pages of
// 4 KiB, ordinary leaves (rig.hpp).
#pragma once

#include "../workload.hpp"

namespace quire_bench::reference {

struct riscv_numbers {
  static constexpr std::uint64_t address = ((std::uint64_t{1} << 44) - 1) << 10;
  static constexpr int address_shift = 2;  // where it stands in an entry: shifted right by so much
  static constexpr std::uint64_t page_leaf = 0x157, block_leaf = 0x157;
  static constexpr std::uint64_t table = 1, table_mask = 0xff;
  static constexpr std::uint64_t valid = 1, writable = 1U << 2, accessed = 1U << 6;
  static constexpr std::uint64_t grantable = 0x103, grant = 0x84;
  static constexpr bool breaks = false;
};
struct arm64_numbers {
  static constexpr std::uint64_t address = 0xffff'ffff'f000;
  static constexpr int address_shift = 0;
  static constexpr std::uint64_t page_leaf = 0x140'0000'0000'07ff, block_leaf = 0x140'0000'0000'07fd;
  static constexpr std::uint64_t table = 3, table_mask = 3;
  static constexpr std::uint64_t valid = 1, writable = 1U << 7, accessed = 1U << 10;
  static constexpr std::uint64_t grantable = (std::uint64_t{1} << 56) | 3, grant = 0x80;
  static constexpr bool breaks = true;
};
struct ept_numbers {
  static constexpr std::uint64_t address = 0xf'ffff'ffff'f000;
  static constexpr int address_shift = 0;
  static constexpr std::uint64_t page_leaf = 0x10'0000'0000'0b33, block_leaf = 0x10'0000'0000'0bb3;
  static constexpr std::uint64_t table = 0x107, table_mask = 0x87;
  static constexpr std::uint64_t valid = 1, writable = 1U << 1, accessed = 1U << 8;
  static constexpr std::uint64_t grantable = (std::uint64_t{1} << 52) | 0x801, grant = 0x202;
  static constexpr bool breaks = false;
};

template <class Format>
struct numbers_of;
template <int Levels>
struct numbers_of<riscv::gstage<Levels>> : riscv_numbers {};
template <int Bits>
struct numbers_of<arm64::stage2_4k<Bits>> : arm64_numbers {};
template <int Levels>
struct numbers_of<intel::ept<Levels>> : ept_numbers {};

template <class Format>
struct layout : numbers_of<Format> {
  using numbers = numbers_of<Format>;
  using rig_type = rig<Format, identity_memory>;
  static constexpr int top = Format::shape.root_level;
  static constexpr std::uint64_t inside_root = (std::uint64_t{1} << Format::shape.index_bits[top]) - 1;

  [[nodiscard]] static constexpr std::uint64_t leaf(std::uint64_t output, int level) noexcept {
    return (output >> numbers::address_shift) | (level == 0 ? numbers::page_leaf : numbers::block_leaf);
  }
  // From a leaf to the first of the table that takes its place.
  [[nodiscard]] static constexpr std::uint64_t child(std::uint64_t of, int level) noexcept {
    return level == 1 ? of ^ numbers::page_leaf ^ numbers::block_leaf : of;
  }
  [[nodiscard]] static constexpr std::uint64_t step(int level) noexcept {
    return (page << (9 * level)) >> numbers::address_shift;
  }
  [[nodiscard]] static constexpr bool is_table(std::uint64_t entry) noexcept {
    return (entry & numbers::table_mask) == (numbers::table & numbers::table_mask);
  }
  [[nodiscard]] static std::uint64_t table_entry(table_address at) noexcept {
    return (at.value >> numbers::address_shift) | numbers::table;
  }
  [[nodiscard]] static std::uint64_t* table_of(std::uint64_t entry) noexcept {
    return words_at((entry & numbers::address) << numbers::address_shift);
  }
  [[nodiscard]] static std::uint64_t* words_at(std::uint64_t address) noexcept {
    return reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(address));
  }
  [[nodiscard]] static std::uint64_t* root_of(const rig_type& rig) noexcept {
    return words_at(rig.tables.root().value_or({}).value);
  }
  [[nodiscard]] static std::uint64_t index(std::uint64_t at, int level) noexcept {
    return (at >> (12 + 9 * level)) & (level == top ? inside_root : 511);
  }

  // The entry of `Level` for an address, or null where no table leads there; `table` is of level `At`.
  template <int Level, int At = top>
  [[nodiscard]] QUIRE_INLINE static std::uint64_t* find(std::uint64_t* table, std::uint64_t at) noexcept {
    std::uint64_t* const place = table + index(at, At);
    if constexpr (At == Level) return place;
    else {
      const std::uint64_t entry = atomic::load(place, order::relaxed);
      if (!is_table(entry)) [[unlikely]]
        return nullptr;
      return find<Level, At - 1>(table_of(entry), at);
    }
  }
  // The same, with the tables on the way made.
  template <int Level, int At = top, class Stock>
  [[nodiscard]] QUIRE_INLINE static std::uint64_t* make(std::uint64_t* table, std::uint64_t at, Stock& stock) noexcept {
    std::uint64_t* const place = table + index(at, At);
    if constexpr (At == Level) return place;
    else {
      if (*place == 0) [[unlikely]]
        atomic::store(place, table_entry(*stock.take(table_contents::zeroed)), order::release);
      return make<Level, At - 1>(table_of(*place), at, stock);
    }
  }

  static_assert(leaf(rig_type::host.value, 0) == *Format::leaf(rig_type::host, rig_type::ordinary, 0));
  static_assert(leaf(rig_type::host.value, 1) == *Format::leaf(rig_type::host, rig_type::ordinary, 1));
  static_assert(numbers::writable == (Format::write_protect.keep ^ ~std::uint64_t{0}));
  static_assert(numbers::accessed == (Format::clear_accessed.keep ^ ~std::uint64_t{0}));
};

using four_words [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(8)]] = std::uint64_t;

// A table of neighbouring leaves.
QUIRE_INLINE void fill(std::uint64_t* table, std::uint64_t first, std::uint64_t step) noexcept {
  auto* const at = reinterpret_cast<four_words*>(table);
  four_words next{first, first + step, first + 2 * step, first + 3 * step};
  for (int i = 0; i < 128; i += 4) {
    at[i] = next;
    at[i + 1] = next + 4 * step;
    at[i + 2] = next + 8 * step;
    at[i + 3] = next + 12 * step;
    next += 16 * step;
  }
}

// Adds rows of one format.
struct row_adder {
  const char* format;
  void operator()(const char* workload, const char* path, void (*run)(stopwatch&)) const {
    all_rows().push_back({workload, format, "reference", path, run});
  }
};

}  // namespace quire_bench::reference
