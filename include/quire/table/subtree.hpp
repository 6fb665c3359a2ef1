// SPDX-License-Identifier: MIT
// Tables that translate exactly as one leaf does, built where nobody can reach them yet.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>         // fill_entries
#include <quire/table/filled_table.hpp>  // filled_table

namespace quire {

// Tables that a leaf of `level` becomes when it is split down to leaves of `target`.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_to_split(int level, int target) noexcept {
  std::size_t tables = 0;
  std::size_t at_level = 1;
  for (int l = level - 1; l >= target; --l) {
    tables += at_level;
    at_level *= Format::shape.entries(l);
  }
  return tables;
}

namespace detail {

// Writes the leaves of a subtree; `Fresh` takes its tables from `source`, otherwise they are there and only the leaves
// are written again (the hardware touched the original meanwhile). The table's entries translate `leaf` of level Level
// + 1.
template <pte_format Format, int Level, bool Fresh, class Memory, class Maintenance, class Source>
constexpr filled_table<Format, Level> write_subtree(Memory& memory, Maintenance& maintenance, Source& source,
                                                    table_address table, typename Format::word leaf,
                                                    int target) noexcept {
  using word = typename Format::word;
  const word child = Format::child(leaf, Level + 1);
  const word step = Format::step(Level, 0);
  if constexpr (Level > 0) {
    if (Level > target) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        table_address below{};
        if constexpr (Fresh) {
          const auto taken = source.take(table_contents::any);
          QUIRE_EXPECTS(taken.has_value());  // reserved by the caller
          below = *taken;
        } else below = Format::table_of(memory.template load<word>(table, i, order::relaxed), Level);
        const auto filled = write_subtree<Format, Level - 1, Fresh>(memory, maintenance, source, below,
                                                                    static_cast<word>(child + i * step), target);
        if constexpr (Fresh) memory.template store<word>(table, i, filled.link(), order::relaxed);
      }
      return {maintenance, table};
    }
  }
  fill_entries<Format>(memory, table, 0, Format::shape.entries(Level), child, step);
  return {maintenance, table};
}

}  // namespace detail

// A table, with everything below it, that translates as the single leaf `leaf` of `Level` does, in leaves of `target`.
// Requires: tables_to_split(Level, target) tables reserved at `source`.
template <int Level, pte_format Format, class P, class Source>
[[nodiscard]] constexpr filled_table<Format, Level - 1> build_subtree(operation<Format, P>& op, Source& source,
                                                                      typename Format::word leaf, int target) noexcept {
  const auto table = source.take(table_contents::any);
  QUIRE_EXPECTS(table.has_value());
  return detail::write_subtree<Format, Level - 1, true>(op.policies.memory, op.policies.maintenance, source, *table,
                                                        leaf, target);
}

// Writes the leaves of such a subtree again from `leaf`, before it is published.
template <int Level, pte_format Format, class P>
constexpr void rewrite_subtree(operation<Format, P>& op, table_address table, typename Format::word leaf,
                               int target) noexcept {
  no_tables none;
  static_cast<void>(detail::write_subtree<Format, Level - 1, false>(op.policies.memory, op.policies.maintenance, none,
                                                                    table, leaf, target));
}

// Gives such a subtree back that was never published.
template <pte_format Format, int Level, class Memory, class Source>
constexpr void give_back_subtree(Memory& memory, Source& source, table_address table, int target) noexcept {
  if constexpr (Level > 1) {
    if (Level - 1 > target) {
      for (std::size_t i = 0; i < Format::shape.entries(Level - 1); ++i) {
        const auto entry = memory.template load<typename Format::word>(table, i, order::relaxed);
        give_back_subtree<Format, Level - 1>(memory, source, Format::table_of(entry, Level - 1), target);
      }
    }
  }
  source.give_back(table);
}

}  // namespace quire
