// SPDX-License-Identifier: MIT
// One region of a layout, and the entries of each level that mapping it comes to. A slot is what one entry translates;
// of the slots that a region touches, a leaf is at or above each of the covered ones, and a table behind the others.
//
//   slots of level 1   |   table    |    leaf    |    leaf    |   table    |     touched 4, covered 2
//   region                      [---------------------------------)
#pragma once

#include <cstdint>  // uint64_t

#include "shape.hpp"

namespace walk_cost {

// The leaves that map may use: map_options, and how far the output addresses are aligned as the input addresses are.
struct leaf_limits {
  int largest_level = most_levels - 1;
  bool groups = true;
  int alignment_bits = 64;

  friend constexpr bool operator==(const leaf_limits&, const leaf_limits&) noexcept = default;
};
inline constexpr leaf_limits single_pages{.largest_level = 0, .groups = false};

// Bytes of the input space, from the first to the last; whole pages. The bits above the geometry are cut off, as every
// index is made of those below.
struct region {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  leaf_limits leaves{};
};

class mapped_region {
 public:
  constexpr mapped_region(const table_shape& shape, const region& what) noexcept : shape_(shape), region_(what) {}

  [[nodiscard]] constexpr const table_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] constexpr const region& what() const noexcept { return region_; }
  [[nodiscard]] constexpr std::uint64_t first() const noexcept { return region_.first; }
  [[nodiscard]] constexpr std::uint64_t last() const noexcept { return region_.last; }
  [[nodiscard]] constexpr std::uint64_t pages() const noexcept { return touched(0); }

  [[nodiscard]] constexpr bool uses(int level, int group = 0) const noexcept {
    const leaf_limits& leaves = region_.leaves;
    return level <= leaves.largest_level && (group == 0 || leaves.groups) && shape_.has_leaves(level, group) &&
           shape_.shift(level) + group <= leaves.alignment_bits;
  }

  // ---- slots of a level
  [[nodiscard]] constexpr std::uint64_t slot(std::uint64_t address, int level) const noexcept {
    return address >> shape_.shift(level);
  }
  [[nodiscard]] constexpr std::uint64_t touched(int level) const noexcept {
    return slot(last(), level) - slot(first(), level) + 1;
  }
  [[nodiscard]] constexpr std::uint64_t whole(int level) const noexcept { return whole_units(shape_.shift(level)); }
  // Whether the region touches the slot of an address, and has all of it.
  [[nodiscard]] constexpr bool touches(std::uint64_t address, int level) const noexcept {
    return slot(first(), level) <= slot(address, level) && slot(address, level) <= slot(last(), level);
  }
  [[nodiscard]] constexpr bool has_whole(std::uint64_t address, int level) const noexcept {
    const std::uint64_t inside = low_bits(shape_.shift(level));
    return first() <= (address & ~inside) && (address | inside) <= last();
  }
  [[nodiscard]] constexpr bool in_one_slot(int level) const noexcept { return touched(level) == 1; }
  [[nodiscard]] constexpr bool in_one_table(int level) const noexcept {
    return level == shape_.root_level() || in_one_slot(level + 1);
  }
  // Slots of the level that are behind leaves, of this level or of one above.
  [[nodiscard]] constexpr std::uint64_t covered(int level) const noexcept {
    for (int above = level; above < shape_.levels; ++above)
      if (uses(above)) return whole(above) << (shape_.shift(above) - shape_.shift(level));
    return 0;
  }

  // ---- entries of a level; those of a group are counted one by one
  [[nodiscard]] constexpr std::uint64_t leaves(int level) const noexcept {
    return covered(level) - below_leaves(level);
  }
  [[nodiscard]] constexpr std::uint64_t tables(int level) const noexcept {
    return level == 0 ? 0 : touched(level) - covered(level);
  }
  [[nodiscard]] constexpr std::uint64_t whole_tables(int level) const noexcept {
    return level == 0 ? 0 : whole(level) - covered(level);
  }
  // Groups of 2^group entries.
  [[nodiscard]] constexpr std::uint64_t groups(int level, int group) const noexcept {
    if (!uses(level, group)) return 0;
    std::uint64_t larger = below_leaves(level);
    for (int k = shape_.index_bits_of(level); k > group; --k) {
      if (!uses(level, k)) continue;
      if (const std::uint64_t n = whole_units(shape_.shift(level) + k) << k; n > larger) larger = n;
    }
    const std::uint64_t these = whole_units(shape_.shift(level) + group) << group;
    return these > larger ? (these - larger) >> group : 0;
  }
  [[nodiscard]] constexpr std::uint64_t groups(int level) const noexcept {
    std::uint64_t n = 0;
    for (int k = 1; k <= shape_.index_bits_of(level); ++k) n += groups(level, k);
    return n;
  }
  [[nodiscard]] constexpr std::uint64_t grouped(int level) const noexcept {
    std::uint64_t n = 0;
    for (int k = 1; k <= shape_.index_bits_of(level); ++k) n += groups(level, k) << k;
    return n;
  }
  // Where a descent to an address ends: the level of the leaf, or of the entry that is absent. `mapped`: or the region
  // was unmapped, which leaves the tables that others might use.
  [[nodiscard]] constexpr int descent_ends_at(std::uint64_t address, bool mapped = true) const noexcept {
    for (int level = shape_.root_level(); level > 0; --level) {
      if (!touches(address, level)) return level;
      if (has_whole(address, level) && (!mapped || uses(level))) return level;
    }
    return 0;
  }
  // The part of the region in the table of a level that an address leads to. Requires: the region touches it.
  [[nodiscard]] constexpr mapped_region in_table_of(std::uint64_t address, int level) const noexcept {
    if (in_one_table(level)) return *this;
    const std::uint64_t inside = low_bits(shape_.shift(level + 1));
    const std::uint64_t begin = address & ~inside, end = address | inside;
    return {shape_, {begin < first() ? first() : begin, last() < end ? last() : end, region_.leaves}};
  }
  // The region is one leaf, of one entry of this level.
  [[nodiscard]] constexpr bool is_one_leaf(int level) const noexcept {
    return in_one_slot(level) && leaves(level) == 1;
  }
  // The region has the bytes of a leaf of one entry, such as may be used; what is behind it may be aligned too little.
  [[nodiscard]] constexpr bool is_like_one_leaf() const noexcept {
    for (int level = 0; level < shape_.levels; ++level)
      if (in_one_slot(level) && whole(level) == 1)
        return shape_.has_leaves(level) && level <= region_.leaves.largest_level;
    return false;
  }

 private:
  // Aligned pieces of 2^bits bytes.
  [[nodiscard]] constexpr std::uint64_t whole_units(int bits) const noexcept {
    if (bits >= 64) return 0;
    const std::uint64_t inside = low_bits(bits);
    const std::uint64_t begin = (first() >> bits) + ((first() & inside) != 0 ? 1 : 0);
    const std::uint64_t end = (last() >> bits) + ((last() & inside) == inside ? 1 : 0);
    return begin < end ? end - begin : 0;
  }
  // Slots of a level that lie in leaves of those above.
  [[nodiscard]] constexpr std::uint64_t below_leaves(int level) const noexcept {
    return level == shape_.root_level() ? 0 : covered(level + 1) << shape_.index_bits_of(level);
  }

  table_shape shape_;
  region region_;
};

}  // namespace walk_cost
