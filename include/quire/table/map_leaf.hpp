// SPDX-License-Identifier: MIT
// Mapping one leaf where nothing is: the common answer to a fault, by one descent and one store. What it does not
// answer is for map_range() (map.hpp) or map_concurrently() (concurrent/map.hpp), which do the same and more.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/table/map.hpp>     // map_options
#include <quire/walk/descend.hpp>  // descend_to_table

namespace quire {

namespace detail {

// For whoever is alone: what its session took away is forgotten before anything is made there.
template <pte_format Format, class P>
struct install_alone {
  using word = typename Format::word;
  static constexpr bool compares = false;
  invalidator<P>& session;

  template <class Memory>
  QUIRE_INLINE constexpr bool operator()(Memory& memory, table_address table, std::size_t i, word leaf) const noexcept {
    static_cast<void>(session.complete());
    memory.template store<word>(table, i, leaf, order::release);
    return true;
  }
};
// For a section: the exchange finds out whether the entry is absent, for nothing else can.
template <pte_format Format>
struct install_beside_others {
  using word = typename Format::word;
  static constexpr bool compares = true;

  template <class Memory>
  QUIRE_INLINE constexpr bool operator()(Memory& memory, table_address table, std::size_t i, word leaf) const noexcept {
    word absent = 0;
    return memory.template compare_exchange<word>(table, i, absent, leaf, order::acq_rel);
  }
};

}  // namespace detail

// Maps a range that is one leaf, where the entry that decides about it is absent and of that leaf's level: all that
// most faults need. False, and nothing is mapped: there is more to do, or an error, and map_range() or
// map_concurrently() knows which. The size is asked first, so that the level is a constant in what follows.
// install(memory, table, index, leaf) gives whether it wrote the entry, with release order: what is mapped is complete
// before the leaf can be followed. One that compares is not spared entries that are not absent.
template <order Order, int Level = 0, class Table, class P, class Install>
[[nodiscard]] QUIRE_INLINE constexpr bool map_absent_leaf(Table& table, invalidator<P>& session, input_range range,
                                                          output_address output, const attributes& wanted,
                                                          int largest_level, Install install) noexcept {
  using format = typename Table::format;
  constexpr std::uint64_t bytes = format::shape.leaf_bytes(Level);
  // No range with a defect is so long.
  if ((format::group_sizes(Level) & 1U) == 0 || range.last() - range.first() != bytes - 1) {
    if constexpr (Level < format::shape.root_level)
      return map_absent_leaf<Order, Level + 1>(table, session, range, output, wanted, largest_level, install);
    else return false;
  }
  const auto root = table.root();
  if (!root || largest_level < Level) [[unlikely]]
    return false;
  if (!is_translatable<format>(range.first()) || !range.first().is_aligned(bytes)) [[unlikely]]
    return false;
  auto& policies = table.policies();
  memory_in_loop<decltype(policies.memory)> memory = policies.memory;
  const auto here = descend_to_run<format, Level, true, Order>(memory, *root, range.first(), range.first());
  if (!here.found) [[unlikely]]
    return false;
  const table_address at = here.run.table;
  const std::size_t i = here.run.first;
  if (!Install::compares && memory.template load<typename format::word>(at, i, Order) != 0) [[unlikely]]
    return false;
  const auto leaf = format::leaf(output, wanted, Level, 0);
  if (!leaf) [[unlikely]]
    return false;
  if (wanted.allowed.contains(executable)) policies.maintenance.code_visible(output, bytes);
  if (!install(memory, at, i, *leaf)) [[unlikely]]
    return false;
  announce_install<format>(policies, session, range);
  return true;
}

}  // namespace quire
