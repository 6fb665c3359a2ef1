// SPDX-License-Identifier: MIT
// What map, split and unmap cost for one region: what they are counted in, and what is assumed, says cost.hpp.
#pragma once

#include <cstdint>  // uint64_t
#include <span>     // span

#include "cost.hpp"

namespace walk_cost {

// Where a descent to an address ends that would end at `level` without these regions. `mapped`: as descent_ends_at().
[[nodiscard]] constexpr int descent_among(std::span<const mapped_region> regions, std::uint64_t address, int level,
                                          bool mapped = true) noexcept {
  for (const mapped_region& each : regions)
    if (const int ends_at = each.descent_ends_at(address, mapped); ends_at < level) level = ends_at;
  return level;
}

// session.map() of the region, where those in `before` have been mapped.
[[nodiscard]] constexpr cost map_cost(const mapped_region& region, std::span<const mapped_region> before) noexcept {
  const table_shape& shape = region.shape();
  const int root = shape.root_level();
  // Of the entry on the way to the first address that is absent: above it the tables are there.
  const int absent = descent_among(before, region.first(), root);
  cost c{.invalidations = shape.caches_invalid ? 1U : 0U, .calls = 1};
  // What most faults map is one leaf, whose table is there. A range that might be that is tried as that, by a descent.
  if (region.is_like_one_leaf()) {
    c.descend(shape, absent);
    if (region.is_one_leaf(absent)) {
      ++c.at(absent).written;
      return c;
    }
  }
  // The check pass reads all entries of the tables that are there.
  for (int level = absent; level <= root; ++level)
    c.at(level).read += region.in_table_of(region.first(), level).touched(level);
  // The commit pass fills tables that the region covers wholly where nobody reaches them. It goes into the others: on
  // each level into one at either end, if into any.
  for (int level = 0; level <= root; ++level) {
    const auto go_into = [&](std::uint64_t address) {
      if (level != root && region.has_whole(address, level + 1)) return;
      const mapped_region part = region.in_table_of(address, level);
      c.at(level).read += part.touched(level);
      // The first entry that becomes a leaf is read again, as the first of those that must be absent to become leaves.
      if (region.uses(level) && part.whole(level) != 0) ++c.at(level).read;
    };
    go_into(region.first());
    if (!region.in_one_table(level)) go_into(region.last());
    c.at(level).written += region.leaves(level) + region.tables(level);
    c.tables += region.tables(level);
    if (level > absent) {
      --c.at(level).written;
      --c.tables;
    }
  }
  // Each pass goes straight down while one entry holds the range, and then looks again at the one that is no table.
  if (absent > 0 && region.in_one_slot(absent)) c.at(absent).read += 2;
  return c;
}

// Breaks of the leaves of [begin, end), slots of a level: so many at a time, and of one table.
[[nodiscard]] constexpr std::uint64_t breaks_of(const table_shape& shape, int level, std::uint64_t begin,
                                                std::uint64_t end) noexcept {
  const auto batch = static_cast<std::uint64_t>(shape.break_batch);
  const auto up = [batch](std::uint64_t n) { return (n + batch - 1) / batch; };
  const std::uint64_t entries = shape.entries(level);
  const std::uint64_t first_full = (begin + entries - 1) / entries, full_end = end / entries;
  if (begin >= end) return 0;
  if (first_full > full_end) return up(end - begin);  // all in one table
  return up(first_full * entries - begin) + (full_end - first_full) * up(entries) + up(end - full_end * entries);
}
[[nodiscard]] constexpr std::uint64_t split_breaks(const mapped_region& region, int level) noexcept {
  if (region.leaves(level) == 0) return 0;
  const table_shape& shape = region.shape();
  const auto begin_of = [&](int of) {
    return region.slot(region.first(), of) + (region.has_whole(region.first(), of) ? 0U : 1U);
  };
  const auto end_of = [&](int of) {
    return region.slot(region.last(), of) + (region.has_whole(region.last(), of) ? 1U : 0U);
  };
  // The leaves lie on both sides of larger ones, if there are any.
  for (int above = level + 1; above < shape.levels; ++above) {
    if (region.leaves(above) == 0) continue;
    const int by = shape.shift(above) - shape.shift(level);
    return breaks_of(shape, level, begin_of(level), begin_of(above) << by) +
           breaks_of(shape, level, end_of(above) << by, end_of(level));
  }
  return breaks_of(shape, level, begin_of(level), end_of(level));
}

enum class walk_kind : bool { every_level, skip_level };

// Whether a split to pages may leave the pages out: they have no groups to break.
[[nodiscard]] constexpr bool may_skip(const table_shape& shape) noexcept { return !shape.has_groups(0); }

// session.split() of the region to pages. `walk`: with split_skips, or without any.
[[nodiscard]] constexpr cost split_cost(const mapped_region& region, walk_kind walk) noexcept {
  const table_shape& shape = region.shape();
  const int root = shape.root_level();
  const bool skips = walk == walk_kind::skip_level && may_skip(shape);
  const bool breaks = shape.break_batch != 0;
  cost c{.calls = 1};
  bool any = false;
  for (int level = root; level >= (skips ? 1 : 0); --level) {
    const std::uint64_t leaves = region.leaves(level);
    c.at(level).read += region.tables(level) + leaves;
    // A group becomes single leaves: read for what it has in common, and in place once more for what the hardware adds.
    const std::uint64_t groups = region.groups(level), grouped = region.grouped(level);
    c.at(level).read += 2 * groups + (breaks ? 0 : grouped);
    c.at(level).written += breaks ? 2 * grouped : grouped;
    if (breaks) c.invalidations += groups;
    any = any || groups != 0;
    if (level == 0 || leaves == 0) continue;

    any = true;
    c.at(level).written += breaks ? 2 * leaves : leaves;
    for (int below = level - 1; below >= 0; --below) {
      c.tables += leaves << (shape.shift(level) - shape.shift(below + 1));
      c.at(below).written += leaves << (shape.shift(level) - shape.shift(below));
    }
    if (breaks) c.invalidations += split_breaks(region, level);
    // The walk goes straight down to an entry that holds the range, and looks again where it is no table. With
    // split_skips an entry of level 1 is found by a descent, and what was read there is what is split.
    if (region.is_one_leaf(level) && (level > 1 || !skips)) ++c.at(level).read;
  }
  if (!breaks && any) c.invalidations = 1;
  if (breaks && any && shape.caches_invalid) ++c.invalidations;
  if (skips && region.tables(1) != 0 && !region.has_whole(region.first(), 1)) {
    // Tables are passed over: the entry behind the first, where it is a leaf of the same table, is read once more.
    const std::uint64_t next = region.slot(region.first(), 1) + 1;
    const bool same_table = (next & (shape.entries(1) - 1)) != 0;
    if (same_table && region.uses(1) && region.has_whole(next << shape.shift(1), 1)) ++c.at(1).read;
  }
  return c;
}

// session.unmap() of the region, where those in `before` have been unmapped and those in `after` have not.
[[nodiscard]] constexpr cost unmap_cost(const mapped_region& region, std::span<const mapped_region> before,
                                        std::span<const mapped_region> after) noexcept {
  const table_shape& shape = region.shape();
  const int root = shape.root_level();
  cost c{.invalidations = 1, .calls = 1};
  // Each end is asked twice whether a leaf reaches over it.
  const auto look_at = [&](std::uint64_t address) {
    const int without_after = descent_among(before, address, region.descent_ends_at(address), false);
    const int lowest = descent_among(after, address, without_after);
    c.descend(shape, lowest);
    c.descend(shape, lowest);
  };
  look_at(region.first());
  // The byte behind may be beyond the geometry, or the first of all.
  const std::uint64_t top = low_bits(shape.input_bits());
  const bool wraps = region.last() == top && (shape.sign_extended || shape.input_bits() == 64);
  const bool in_reach = region.last() != top && !(shape.sign_extended && region.last() == top / 2);
  if (wraps || in_reach) look_at(wraps ? 0 : region.last() + 1);

  for (int level = root; level > 0; --level) {
    c.at(level).read += region.tables(level) + region.leaves(level);
    c.at(level).written += region.leaves(level) + region.whole_tables(level);
    if (shape.has_groups()) {
      // For each run, up to a table or to the end of the range in the table it is of, its ends are looked at. One that
      // ends without a table ends in a leaf.
      const std::uint64_t visited = level == root ? 1 : region.tables(level + 1);
      const std::uint64_t next = region.slot(region.first(), level) + 1;
      const bool head_ends = !region.has_whole(region.first(), level) && !region.in_one_slot(level) &&
                             (next & (shape.entries(level) - 1)) == 0;
      const bool tail_ends = !region.has_whole(region.last(), level);
      const std::uint64_t in_leaf = region.uses(level) ? visited - (head_ends ? 1 : 0) - (tail_ends ? 1 : 0) : 0;
      c.at(level).read += 2 * (region.tables(level) + in_leaf);
    }
    // A table that goes is put on a list, two words of it, taken from there, and searched for tables.
    const std::uint64_t gone = region.whole_tables(level);
    c.at(level - 1).written += 2 * gone;
    c.at(level - 1).read += gone * (4 + (level > 1 ? shape.entries(level - 1) : 0));
    c.tables += gone;
  }
  // Tables of pages that go are read and not written: all in them has settled. What has not is read once more, and
  // taken away entry by entry.
  const std::uint64_t gone = region.whole_tables(1), pages_gone = gone << shape.index_bits_of(0);
  c.at(0).read += region.leaves(0) + (shape.settles ? 0 : pages_gone);
  c.at(0).written += region.leaves(0) - (shape.settles ? pages_gone : 0);
  if (shape.has_groups()) c.at(0).read += 2 * (region.tables(1) - (shape.settles ? gone : 0));
  return c;
}

}  // namespace walk_cost
