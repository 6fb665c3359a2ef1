// SPDX-License-Identifier: MIT
// How an input address is cut into indices.
//
//   input address   | index of the root | ... | index of level 1 | index of level 0 | offset in the page |
//                     index_bits[n-1]           index_bits[1]      index_bits[0]      page_bits
//
// Levels count up from the leaves: level 0 holds only pages, level n-1 is the root. Widths may differ per level; a
// root that is wider than the other tables (RISC-V's 16 KiB root, arm64's concatenated root tables) is a wider
// index_bits[n-1] and nothing else.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/address.hpp>  // input_address

namespace quire {

template <int Levels>
struct geometry {
  static_assert(Levels >= 1 && Levels <= 8);
  static constexpr int levels = Levels;
  static constexpr int root_level = Levels - 1;

  int page_bits;                                     // log2 of the bytes of a page
  int index_bits[static_cast<std::size_t>(Levels)];  // log2 of the entries of a table, by level

  // log2 of the bytes that one entry of `level` translates; level == levels gives the whole input space.
  [[nodiscard]] constexpr int shift(int level) const noexcept {
    int bits = page_bits;
    for (int below = 0; below < level; ++below) bits += index_bits[below];
    return bits;
  }
  [[nodiscard]] constexpr int input_bits() const noexcept { return shift(levels); }
  [[nodiscard]] constexpr std::uint64_t page_bytes() const noexcept { return std::uint64_t{1} << page_bits; }
  [[nodiscard]] constexpr std::uint64_t leaf_bytes(int level) const noexcept {
    return std::uint64_t{1} << shift(level);
  }
  [[nodiscard]] constexpr std::size_t entries(int level) const noexcept { return std::size_t{1} << index_bits[level]; }

  // The last byte of what a table of `level` translates, relative to its first.
  [[nodiscard]] constexpr std::uint64_t table_last_offset(int level) const noexcept {
    return shift(level + 1) >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << shift(level + 1)) - 1;
  }
  [[nodiscard]] constexpr std::size_t index(std::uint64_t address, int level) const noexcept {
    return static_cast<std::size_t>(address >> shift(level)) & (entries(level) - 1);
  }
  // The most entries that any table below the root has: the size of what a table source hands out.
  [[nodiscard]] constexpr std::size_t most_entries_below_root() const noexcept {
    std::size_t most = 1;
    for (int level = 0; level < root_level; ++level) most = entries(level) > most ? entries(level) : most;
    return most;
  }
};

// Tables of one size on every level; a format whose root is wider or narrower changes index_bits[root_level].
template <int Levels>
[[nodiscard]] constexpr geometry<Levels> uniform_geometry(int page_bits, int index_bits) noexcept {
  geometry<Levels> shape{.page_bits = page_bits, .index_bits = {}};
  for (int level = 0; level < Levels; ++level) shape.index_bits[level] = index_bits;
  return shape;
}

}  // namespace quire
