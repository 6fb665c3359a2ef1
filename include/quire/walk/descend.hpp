// SPDX-License-Identifier: MIT
// One descent, unrolled over the levels: for one address, to the entry that decides about it; for a range, to the one
// table that has all of its entries.
#pragma once

#include <cstddef>  // size_t

#include <quire/format/concept.hpp>  // pte_format
#include <quire/policy/memory.hpp>   // order
#include <quire/walk/walker.hpp>     // input_offset

namespace quire {

// The lowest entry on the way to an address: not a table, or a table at `floor`.
template <pte_format Format>
struct found_entry {
  table_address table;
  std::size_t index;
  typename Format::word entry;
  int level;
};

namespace detail {
template <pte_format Format, int Level, int Floor, order Order, class Memory, class Then>
[[nodiscard]] QUIRE_INLINE constexpr auto descend_from(Memory& memory, table_address table, std::uint64_t offset,
                                                       Then& then) noexcept {
  const std::size_t i = Format::shape.index(offset, Level);
  const auto entry = memory.template load<typename Format::word>(table, i, Order);
  if constexpr (Level > Floor) {
    if (Format::kind_of(entry, Level) == entry_kind::table) [[likely]]
      return descend_from<Format, Level - 1, Floor, Order>(memory, Format::table_of(entry, Level), offset, then);
  }
  return then.template operator()<Level>(table, i, entry);
}
}  // namespace detail

// Gives then.operator()<Level>(table, index, entry) of that entry: the level is a constant in what follows, as a
// decoder wants it. Requires: address inside the geometry. `Order`: acquire where tables may be published meanwhile.
template <pte_format Format, order Order = order::acquire, int Floor = 0, class Memory, class Then>
[[nodiscard]] QUIRE_INLINE constexpr auto descend_then(Memory& memory, table_address root, input_address address,
                                                       Then&& then) noexcept {
  return detail::descend_from<Format, Format::shape.root_level, Floor, Order>(memory, root, address.value, then);
}

// The same as a value.
template <pte_format Format, order Order = order::acquire, int Floor = 0, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_entry<Format> descend(Memory& memory, table_address root,
                                                                 input_address address) noexcept {
  return descend_then<Format, Order, Floor>(
      memory, root, address, []<int Level>(table_address table, std::size_t i, typename Format::word entry) {
        return found_entry<Format>{table, i, entry, Level};
      });
}

// A run, if there is one.
template <class Run>
struct found_run {
  bool found = false;
  Run run{};
};

namespace detail {
template <pte_format Format, int Level, int Floor, order Order, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr bool descend_to_table(Memory& memory, table_address& table,
                                                           std::uint64_t offset) noexcept {
  if constexpr (Level == Floor) return true;
  else {
    const auto entry = memory.template load<typename Format::word>(table, Format::shape.index(offset, Level), Order);
    if (Format::kind_of(entry, Level) != entry_kind::table) [[unlikely]]
      return false;
    table = Format::table_of(entry, Level);
    return descend_to_table<Format, Level - 1, Floor, Order>(memory, table, offset);
  }
}
}  // namespace detail

// The entries of `Floor` that a range is, where one table has them all: most ranges are a few pages. For a walk whose
// visitor gets no call above that level for the tables on the way; where nothing is found, that walk is to be done.
// Requires: as walk().
template <pte_format Format, int Floor, bool PassesTables, order Order = order::relaxed, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_run<entry_run<Format, Floor, PassesTables>> descend_to_run(
    Memory& memory, table_address root, input_range range) noexcept {
  const std::uint64_t first = range.first().value, last = range.last().value;
  if constexpr (Floor < Format::shape.root_level) {
    if ((first ^ last) >> Format::shape.shift(Floor + 1) != 0) [[unlikely]]
      return {};
  }
  if (!detail::descend_to_table<Format, Format::shape.root_level, Floor, Order>(memory, root, first)) [[unlikely]]
    return {};
  return {true,
          {root, first & ~Format::shape.table_last_offset(Floor), Format::shape.index(first, Floor),
           Format::shape.index(last, Floor)}};
}

}  // namespace quire
