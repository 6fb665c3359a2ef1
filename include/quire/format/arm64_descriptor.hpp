// SPDX-License-Identifier: MIT
// What the descriptors of both stages of arm64 (VMSAv8-64) have in common: where addresses lie, and which entry is
// what.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats".
//
//   48 bits           | 47..12 output address                                        | 1    | 0
//   52 bits, 64 KiB   | 47..16 output address 47..16 | 15..12 output address 51..48  | type | valid
//   52 bits, 4, 16 KiB| 49..12 output address 49..12 | 9 8 output address 51 50      |
//
// An entry with bit 0 clear is free for software (Tables D8-54, D8-55): bit 1 with a payload from the page's bits on is
// a marker, bit 58 makes it `locked`.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/format/arm64_granule.hpp>  // granule, numbers_of
#include <quire/format/concept.hpp>        // entry_kind, geometry

namespace quire::arm64::detail {

struct descriptor_layout {
  granule size;
  int input_bits;
  int levels;
  int output_bits;
  int group_levels;  // levels 0 .. group_levels - 1 may have contiguous groups
};

template <descriptor_layout L>
struct descriptor {
  using word = std::uint64_t;

 protected:
  static constexpr granule_numbers size = numbers_of(L.size);
  static constexpr int levels = L.levels;
  static constexpr word valid = 1U << 0, type = 1U << 1;
  static constexpr word contig = word{1} << 52;
  static constexpr word sw_may_write = word{1} << 56, sw_owner = word{1} << 57, sw_locked = word{1} << 58;
  static constexpr bool has_contiguous = L.group_levels > 0;
  // Bits 9:8 hold the shareability, if they do not hold an address.
  static constexpr bool has_shareability = L.output_bits == 48 || L.size == granule::k64;

 public:
  static constexpr geometry<L.levels> shape = []() constexpr {
    geometry<L.levels> g{.page_bits = size.page_bits, .index_bits = {}};
    for (int level = 0; level < levels - 1; ++level) g.index_bits[level] = size.index_bits();
    g.index_bits[levels - 1] = size.root_bits(L.input_bits, levels);
    return g;
  }();
  static constexpr int table_shift = size.page_bits;

 protected:
  static constexpr bool wide = L.output_bits > 48;
  // Output address bits below this one stand in their own place; those above do not.
  static constexpr int in_place_bits = !wide ? 48 : L.size == granule::k64 ? 48 : 50;

 private:
  static constexpr word below(int bits) noexcept { return (word{1} << bits) - 1; }
  static constexpr word page = below(size.page_bits);
  static constexpr word in_place = below(in_place_bits) & ~page;
  static constexpr word payload = below(L.output_bits) & ~page;
  static constexpr word high = !wide ? 0 : L.size == granule::k64 ? 0xf000 : 0x300;
  static constexpr int high_shift = L.size == granule::k64 ? 48 - 12 : 50 - 8;
  // A group is part of a table: none where it would be all of the root.
  struct group_table {
    int bits[static_cast<std::size_t>(L.levels)]{};
  };
  static constexpr group_table groups = []() constexpr {
    group_table g;
    const int end = levels < L.group_levels ? levels : L.group_levels;
    for (int level = 0; level < end; ++level)
      if (size.group_bits[level] < shape.index_bits[level]) g.bits[level] = size.group_bits[level];
    return g;
  }();

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= levels || level >= size.leaf_levels(L.output_bits)) return 0;
    return 1U | (has_contiguous && groups.bits[level] != 0 ? 1U << groups.bits[level] : 0U);
  }
  // Whether group_sizes() has it.
  [[nodiscard]] static constexpr bool is_leaf_size(int level, int group) noexcept {
    return group_sizes(level) != 0 && (group == 0 || (has_contiguous && group == groups.bits[level]));
  }

  // Type 0 is a block; at level 0, and where the level has no blocks, it is reserved and taken for invalid. The table
  // first, it is what a descent asks for: adding 1 clears both bits exactly when both are set, one instruction less
  // than comparing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (((entry + 1) & (valid | type)) == 0) return level == 0 ? entry_kind::leaf : entry_kind::table;
    if ((entry & valid) != 0) return level != 0 && group_sizes(level) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{address_of(entry)};
  }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    return has_contiguous && (entry & contig) != 0 ? groups.bits[level] : 0;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{address_of(entry)}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & payload) >> size.page_bits;
  }

  [[nodiscard]] static constexpr word marker(std::uint64_t value) noexcept {
    return ((value << size.page_bits) & payload) | type;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~valid) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | valid; }

  // Each entry of a contiguous group holds its own output address.
  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry | type : leaf_entry;
  }

 protected:
  [[nodiscard]] static constexpr std::uint64_t address_of(word entry) noexcept {
    return (entry & in_place) | ((entry & high) << high_shift);
  }
  // Requires: page-aligned, below 1 << output_bits.
  [[nodiscard]] static constexpr word field_of(std::uint64_t address) noexcept {
    if constexpr (wide) return (address & in_place) | ((address >> high_shift) & high);
    else return address;
  }
  // The address of a valid table or leaf. With FEAT_LPA, bits 15:12 of a 64 KiB descriptor lie beyond the 48 bits that
  // the type stands for, so they fault. Below a block are reserved bits, nT (bit 16: FEAT_BBM) among them.
  [[nodiscard]] static constexpr bool has_legal_address(word entry, int level, entry_kind kind) noexcept {
    if (L.size == granule::k64 && !wide && (entry & 0xf000) != 0) return false;
    return kind != entry_kind::leaf || (address_of(entry) & (shape.leaf_bytes(level) - 1)) == 0;
  }
};

}  // namespace quire::arm64::detail
