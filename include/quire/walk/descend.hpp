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

// The entries of one table, which has all of them, that [first, last] is.
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr Run run_in(table_address table, std::uint64_t first, std::uint64_t last) noexcept {
  constexpr auto& shape = Run::format::shape;
  return {table, first & ~shape.table_last_offset(Run::level), shape.index(first, Run::level),
          shape.index(last, Run::level)};
}

// A run, if there is one.
template <class Run>
struct found_run {
  bool found = false;
  Run run{};
};

namespace detail {
template <class Run, int Level, order Order, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_run<Run> descend_to_table(Memory& memory, table_address table,
                                                                     std::uint64_t first, std::uint64_t last) noexcept {
  using format = typename Run::format;
  if constexpr (Level == Run::level) {
    return {true, run_in<Run>(table, first, last)};
  } else {
    const auto entry = memory.template load<typename format::word>(table, format::shape.index(first, Level), Order);
    if (format::kind_of(entry, Level) != entry_kind::table) [[unlikely]]
      return {};
    return descend_to_table<Run, Level - 1, Order>(memory, format::table_of(entry, Level), first, last);
  }
}
}  // namespace detail

// The entries of `Floor` that [first, last] is, where one table has them all: most ranges are a few pages. For a walk
// whose visitor gets no call above that level for the tables on the way; where nothing is found, that walk is to be
// done. Requires: `first` inside the geometry; addresses of pages, from the first byte to the last.
template <pte_format Format, int Floor, bool PassesTables, order Order = order::relaxed, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_run<entry_run<Format, Floor, PassesTables>> descend_to_run(
    Memory& memory, table_address root, input_address from, input_address to) noexcept {
  const std::uint64_t first = from.value, last = to.value;
  constexpr int above = Format::shape.shift(Floor) + Format::shape.index_bits[Floor];
  if constexpr (above < 64) {
    if ((first ^ last) >> above != 0) [[unlikely]]
      return {};
  }
  return detail::descend_to_table<entry_run<Format, Floor, PassesTables>, Format::shape.root_level, Order>(memory, root,
                                                                                                           first, last);
}

}  // namespace quire
