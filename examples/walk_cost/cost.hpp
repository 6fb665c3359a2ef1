// SPDX-License-Identifier: MIT
// What a session of the library does for one region, in entries read and written, tables and invalidations: computed,
// whatever the size, in a time that follows from the number of levels alone. Here, what leaves the tables as they are;
// the rest is in structure_cost.hpp.
//
// Counted are the loads and the stores (exchanges, too) of entries through a memory policy without the run capability;
// with it the same entries are read and written, many at once and some of them less often. A table that is taken comes
// zeroed, and that is not counted. Assumed are an exclusive holder, the update policy that the format needs, and leaves
// as write faults leave them: accessed, and dirty where the hardware keeps that, so that it has nothing left to write.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include "region.hpp"

namespace walk_cost {

struct entry_count {
  std::uint64_t read = 0;
  std::uint64_t written = 0;

  constexpr entry_count& operator+=(const entry_count& more) noexcept {
    read += more.read;
    written += more.written;
    return *this;
  }
  friend constexpr bool operator==(const entry_count&, const entry_count&) noexcept = default;
};

struct cost {
  std::array<entry_count, most_levels> levels{};
  std::uint64_t tables = 0;  // taken from the source, or given back to it
  std::uint64_t invalidations = 0;
  std::uint64_t calls = 0;

  [[nodiscard]] constexpr entry_count& at(int level) noexcept { return levels[static_cast<std::size_t>(level)]; }
  [[nodiscard]] constexpr const entry_count& at(int level) const noexcept {
    return levels[static_cast<std::size_t>(level)];
  }
  [[nodiscard]] constexpr entry_count all() const noexcept {
    entry_count sum;
    for (const entry_count& each : levels) sum += each;
    return sum;
  }
  // One entry of each level from the root down to `lowest`.
  constexpr void descend(const table_shape& shape, int lowest) noexcept {
    for (int level = shape.root_level(); level >= lowest; --level) ++at(level).read;
  }
  constexpr cost& operator+=(const cost& more) noexcept {
    for (std::size_t level = 0; level < levels.size(); ++level) levels[level] += more.levels[level];
    tables += more.tables;
    invalidations += more.invalidations;
    calls += more.calls;
    return *this;
  }
  friend constexpr bool operator==(const cost&, const cost&) noexcept = default;
};

// session.translate() of an address behind a leaf of a level.
[[nodiscard]] constexpr cost translate_cost(const table_shape& shape, int level) noexcept {
  cost c{.calls = 1};
  c.descend(shape, level);
  return c;
}
// session.lookup(): also accessed and dirty, which all entries of a group have together.
[[nodiscard]] constexpr cost lookup_cost(const table_shape& shape, int level, int group) noexcept {
  cost c = translate_cost(shape, level);
  if (shape.has_groups()) c.at(level).read += std::uint64_t{1} << group;
  return c;
}

// session.write_protect() of the region.
[[nodiscard]] constexpr cost write_protect_cost(const mapped_region& region) noexcept {
  const table_shape& shape = region.shape();
  cost c{.invalidations = 1, .calls = 1};
  for (int level = shape.root_level(); level > 0; --level) {
    c.at(level).read += region.tables(level) + region.leaves(level);
    c.at(level).written += region.leaves(level);
    if (level == 1 && region.is_one_leaf(level)) {
      c.descend(shape, level);  // a table of pages was looked for
      continue;
    }
    c.at(level).read += region.groups(level);  // the first entry of each says where it ends, before all are changed
    if (region.is_one_leaf(level)) ++c.at(level).read;
  }
  c.at(0).read += region.leaves(0);
  c.at(0).written += region.leaves(0);
  // In each table of pages the groups that the range begins and ends in are looked for.
  if (shape.has_groups()) c.at(0).read += 2 * region.tables(1);
  return c;
}

// Clearing the log of the region, all of it and in pages: session.write_protect() of `pages` pages at a time, which is
// a power of two; by mask where it is 64.
[[nodiscard]] constexpr cost clear_log_cost(const mapped_region& region, std::uint64_t pages) noexcept {
  const table_shape& shape = region.shape();
  const std::uint64_t piece = pages << shape.page_bits;
  cost c;
  c.calls = c.invalidations = (region.pages() + pages - 1) / pages;
  for (int level = shape.root_level(); level > 0; --level) {
    // Each piece comes down to one entry, and to one more for each border that lies inside a piece.
    const std::uint64_t slot = std::uint64_t{1} << shape.shift(level);
    const std::uint64_t borders = region.touched(level) - 1;
    const std::uint64_t smaller = piece < slot ? piece : slot;
    const bool aligned = (region.first() & (smaller - 1)) == 0;
    const std::uint64_t between_pieces = !aligned ? 0 : piece <= slot ? borders : c.calls - 1;
    c.at(level).read = c.calls + borders - between_pieces;
  }
  c.at(0) = {region.pages(), region.pages()};
  if (shape.has_groups()) c.at(0).read += 2 * c.at(1).read;
  return c;
}

}  // namespace walk_cost
