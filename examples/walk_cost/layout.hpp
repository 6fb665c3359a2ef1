// SPDX-License-Identifier: MIT
// What a whole layout takes: tables that its regions share, and what has to be kept beside them.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <span>     // span

#include "structure_cost.hpp"

namespace walk_cost {

struct table_count {
  std::array<std::uint64_t, most_levels> levels{};

  [[nodiscard]] constexpr std::uint64_t at(int level) const noexcept { return levels[static_cast<std::size_t>(level)]; }
  [[nodiscard]] constexpr std::uint64_t all() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : levels) sum += each;
    return sum;
  }
  [[nodiscard]] constexpr std::uint64_t bytes(const table_shape& shape) const noexcept {
    return shape.root_bytes + (all() - 1) * shape.table_bytes;
  }
  friend constexpr bool operator==(const table_count&, const table_count&) noexcept = default;
};

// Tables of each level, the root included. Requires here and below: regions of one shape, in ascending order, that do
// not overlap.
[[nodiscard]] constexpr table_count tables_of(const table_shape& shape,
                                              std::span<const mapped_region> regions) noexcept {
  table_count count;
  count.levels[static_cast<std::size_t>(shape.root_level())] = 1;
  for (int level = shape.root_level(); level > 0; --level) {
    std::uint64_t& below = count.levels[static_cast<std::size_t>(level - 1)];
    for (std::size_t i = 0; i < regions.size(); ++i) {
      below += regions[i].tables(level);
      // A slot that two regions have in common is whole in neither.
      if (i != 0 && regions[i - 1].touches(regions[i].first(), level)) --below;
    }
  }
  return count;
}

// Sums for the regions one after the other: each(region, those before, those after).
template <class Each>
[[nodiscard]] constexpr cost sum_of(std::span<const mapped_region> regions, Each each) noexcept {
  cost sum;
  for (std::size_t i = 0; i < regions.size(); ++i) sum += each(regions[i], regions.first(i), regions.subspan(i + 1));
  return sum;
}
[[nodiscard]] constexpr cost map_cost(std::span<const mapped_region> regions) noexcept {
  return sum_of(regions, [](const auto& region, auto before, auto) { return map_cost(region, before); });
}
[[nodiscard]] constexpr cost unmap_cost(std::span<const mapped_region> regions) noexcept {
  return sum_of(regions, [](const auto& region, auto before, auto after) { return unmap_cost(region, before, after); });
}
[[nodiscard]] constexpr cost write_protect_cost(std::span<const mapped_region> regions) noexcept {
  return sum_of(regions, [](const auto& region, auto, auto) { return write_protect_cost(region); });
}
[[nodiscard]] constexpr cost split_cost(std::span<const mapped_region> regions, walk_kind walk) noexcept {
  return sum_of(regions, [walk](const auto& region, auto, auto) { return split_cost(region, walk); });
}
[[nodiscard]] constexpr cost clear_log_cost(std::span<const mapped_region> regions, std::uint64_t pages) noexcept {
  return sum_of(regions, [pages](const auto& region, auto, auto) { return clear_log_cost(region, pages); });
}

// The dirty bitmaps: a bit a page, in words of 64, for each region its own.
[[nodiscard]] constexpr std::uint64_t bitmap_bytes(std::span<const mapped_region> regions) noexcept {
  std::uint64_t bytes = 0;
  for (const mapped_region& each : regions) bytes += (each.pages() + 63) / 64 * 8;
  return bytes;
}

// What the first word of a bitmap is of: 64 pages, or as many as there are.
[[nodiscard]] constexpr mapped_region first_section(const mapped_region& region) noexcept {
  const std::uint64_t all = region.last() - region.first(), most = (std::uint64_t{64} << region.shape().page_bits) - 1;
  return {region.shape(), {region.first(), region.first() + (all < most ? all : most), region.what().leaves}};
}

// What the table cache of a vCPU must hold: one fault maps, or splits down to, one page, with a table on every level
// below the root at the most.
[[nodiscard]] constexpr std::uint64_t tables_for_fault(const table_shape& shape) noexcept {
  return static_cast<std::uint64_t>(shape.root_level());
}
// What the cache of an eager split must hold for a chunk of one leaf of `level`: as quire::tables_for_chunk().
[[nodiscard]] constexpr std::uint64_t tables_for_chunk(const table_shape& shape, int level) noexcept {
  std::uint64_t tables = 0;
  for (int each = 1; each < shape.levels; ++each)
    if (shape.has_leaves(each))
      tables += each > level ? 1 : std::uint64_t{1} << (shape.shift(level) - shape.shift(each));
  return tables;
}

}  // namespace walk_cost
