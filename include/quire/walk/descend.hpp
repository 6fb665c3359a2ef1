// SPDX-License-Identifier: MIT
// One descent for one address, unrolled over the levels: to the entry that decides about it.
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

}  // namespace quire
