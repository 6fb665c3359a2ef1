// SPDX-License-Identifier: MIT
// Which tables can grow: a table becomes one of a level more, whose root's entry 0 leads to the old root.
//
//   old root  ->  | 0 | 1 | 2 | ...   new root
//                   |
//                   old root, now a table like any other
//
// What the old root translated is translated as before, at the same input addresses; the space above is new.
#pragma once

#include <type_traits>  // is_same_v

#include <quire/format/concept.hpp>       // pte_format
#include <quire/policy/table_source.hpp>  // roots_are_tables

namespace quire {

// Whether what is below the root of `Taller` may be a table of `Lower`: the same entries of the same levels, each as
// Lower has them, and an old root that is handed out in the size of Taller's tables. It may be narrower: what it has no
// entries for was not translated, and reads as absent. (Entries are compared by example: a page, a block or group of
// every size, a table, a marker and a lock.)
template <pte_format Taller, pte_format Lower>
[[nodiscard]] constexpr bool holds_tables_of() noexcept {
  if constexpr (!std::is_same_v<typename Taller::word, typename Lower::word> ||
                Taller::shape.levels != Lower::shape.levels + 1) {
    return false;
  } else {
    constexpr int top = Lower::shape.root_level;
    if (Taller::facts.sign_extended || Lower::facts.sign_extended) return false;  // the upper half would move
    if (Taller::shape.page_bits != Lower::shape.page_bits || Taller::table_shift != Lower::table_shift) return false;
    for (int level = 0; level < top; ++level)
      if (Taller::shape.index_bits[level] != Lower::shape.index_bits[level]) return false;
    if (Taller::shape.index_bits[top] < Lower::shape.index_bits[top]) return false;
    if (root_table_bytes<Lower> != table_unit_bytes<Taller> || root_table_bytes<Taller> != table_unit_bytes<Taller>)
      return false;
    const auto same = [](const auto& one, const auto& other) {
      return one.has_value() == other.has_value() && (!one.has_value() || *one == *other);
    };
    for (int level = 0; level <= top; ++level) {
      if (Taller::group_sizes(level) != Lower::group_sizes(level)) return false;
      const output_address somewhere{(std::uint64_t{1} << (Lower::facts.output_bits - 1))};
      for (int group = 0; group < 16; ++group)
        if (!same(Taller::leaf(somewhere, {.allowed = read_write}, level, group),
                  Lower::leaf(somewhere, {.allowed = read_write}, level, group)))
          return false;
      const table_address table{std::uint64_t{3} << Lower::table_shift};
      if (level > 0 && Taller::table(table, level) != Lower::table(table, level)) return false;
    }
    return Taller::marker(1) == Lower::marker(1) && Taller::locked == Lower::locked;
  }
}

template <class Taller, class Lower>
concept grows_from = pte_format<Taller> && pte_format<Lower> && holds_tables_of<Taller, Lower>();

}  // namespace quire
