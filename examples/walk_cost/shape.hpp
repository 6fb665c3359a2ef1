// SPDX-License-Identifier: MIT
// What the cost of a table follows from, taken from its format: a value, so that nothing behind it is a template.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/format/concept.hpp>  // pte_format
#include <quire/policy/update.hpp>   // update::breaks

namespace walk_cost {

inline constexpr int most_levels = 8;

[[nodiscard]] constexpr std::uint64_t low_bits(int bits) noexcept {
  return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

// Levels count up from the pages, as everywhere in the library.
struct table_shape {
  int levels = 0;
  int page_bits = 0;
  std::array<int, most_levels> index_bits{};
  std::array<unsigned, most_levels> group_sizes{};  // bit k: leaves of 2^k entries; 0: no leaves
  std::uint64_t root_bytes = 0;
  std::uint64_t table_bytes = 0;  // of every other table
  bool sign_extended = false;
  int output_bits = 0;
  bool caches_invalid = false;  // a mapping made is invalidated, too
  bool settles = false;         // the hardware does not write a leaf that is accessed and dirty, and its entry shows it
  int break_batch = 0;          // leaves that one break before a make takes; 0: changed in place

  [[nodiscard]] constexpr int root_level() const noexcept { return levels - 1; }
  [[nodiscard]] constexpr int index_bits_of(int level) const noexcept {
    return index_bits[static_cast<std::size_t>(level)];
  }
  // log2 of the bytes that an entry translates.
  [[nodiscard]] constexpr int shift(int level) const noexcept {
    int bits = page_bits;
    for (int below = 0; below < level; ++below) bits += index_bits_of(below);
    return bits;
  }
  [[nodiscard]] constexpr int input_bits() const noexcept { return shift(levels); }
  [[nodiscard]] constexpr std::uint64_t entries(int level) const noexcept {
    return std::uint64_t{1} << index_bits_of(level);
  }
  [[nodiscard]] constexpr bool has_leaves(int level, int group = 0) const noexcept {
    const unsigned sizes = group_sizes[static_cast<std::size_t>(level)];
    return (sizes & 1U) != 0 && ((sizes >> group) & 1U) != 0;
  }
  [[nodiscard]] constexpr bool has_groups(int level) const noexcept {
    return (group_sizes[static_cast<std::size_t>(level)] & ~1U) != 0;
  }
  [[nodiscard]] constexpr bool has_groups() const noexcept {
    for (int level = 0; level < levels; ++level)
      if (has_groups(level)) return true;
    return false;
  }
  // The lowest level of leaves above the pages; 0 where there is none.
  [[nodiscard]] constexpr int block_level() const noexcept {
    for (int level = 1; level < levels; ++level)
      if (has_leaves(level)) return level;
    return 0;
  }
};

// Whether the hardware has nothing left to write in a leaf as a write fault leaves it.
template <quire::pte_format Format>
[[nodiscard]] constexpr bool settles() noexcept {
  for (const auto from : {quire::privilege::any, quire::privilege::user, quire::privilege::supervisor}) {
    const auto leaf = Format::leaf(
        quire::output_address{0},
        {.allowed = quire::read_write, .may_write = true, .dirty = Format::facts.sets_dirty, .from = from}, 0);
    if (leaf) return (*leaf & Format::quiet_bits) == Format::quiet_bits;
  }
  return false;
}

// With the update policy that the format needs (update::as_format_needs).
template <quire::pte_format Format>
[[nodiscard]] constexpr table_shape shape_of() noexcept {
  static_assert(Format::shape.levels > 1 && Format::shape.levels <= most_levels);
  using needs = quire::update::as_format_needs;
  table_shape shape{.levels = Format::shape.levels,
                    .page_bits = Format::shape.page_bits,
                    .root_bytes = quire::root_table_bytes<Format>,
                    .table_bytes = quire::table_unit_bytes<Format>,
                    .sign_extended = Format::facts.sign_extended,
                    .output_bits = Format::facts.output_bits,
                    .caches_invalid = Format::facts.caches_invalid,
                    .settles = settles<Format>(),
                    .break_batch = quire::update::breaks<needs, Format> ? needs::batch : 0};
  for (std::size_t level = 0; level < static_cast<std::size_t>(shape.levels); ++level) {
    shape.index_bits[level] = Format::shape.index_bits[level];
    shape.group_sizes[level] = Format::group_sizes(static_cast<int>(level));
  }
  return shape;
}

}  // namespace walk_cost
