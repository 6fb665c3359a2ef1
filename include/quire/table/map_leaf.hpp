// SPDX-License-Identifier: MIT
// Mapping one leaf where nothing is: the common answer to a fault, by one descent and one store. What it does not
// answer is for map_range() (map.hpp) or map_concurrently() (concurrent/map.hpp), which do the same and more.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <utility>  // declval

#include <quire/table/found_root.hpp>  // found_root
#include <quire/table/map.hpp>         // map_options
#include <quire/walk/descend.hpp>      // descend_to_run

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
template <pte_format Format, order Order, int Level = 0, class P, class Install>
[[nodiscard]] QUIRE_INLINE constexpr bool map_absent_leaf(P& policies, found_root<Format> root, invalidator<P>& session,
                                                          input_range range, output_address output,
                                                          const attributes& wanted, int largest_level,
                                                          Install install) noexcept {
  constexpr std::uint64_t bytes = Format::shape.leaf_bytes(Level);
  // What wraps has this size as well, but does not begin at a multiple of it.
  if ((Format::group_sizes(Level) & 1U) == 0 || range.last() - range.first() != bytes - 1) {
    if constexpr (Level < Format::shape.root_level)
      return map_absent_leaf<Format, Order, Level + 1>(policies, root, session, range, output, wanted, largest_level,
                                                       install);
    else return false;
  }
  if (largest_level < Level || !root.exists()) [[unlikely]]
    return false;
  if (!is_translatable<Format>(range.first()) || !range.first().is_aligned(bytes)) [[unlikely]]
    return false;
  memory_in_loop<decltype(policies.memory)> memory = policies.memory;
  const auto here = descend_to_run<Format, Level, true, Order>(memory, root.table(), range.first(), range.first());
  if (!here.found) [[unlikely]]
    return false;
  const table_address at = here.run.table;
  const std::size_t i = here.run.first;
  if (!Install::compares && memory.template load<typename Format::word>(at, i, Order) != 0) [[unlikely]]
    return false;
  const auto leaf = Format::leaf(output, wanted, Level, 0);
  if (!leaf) [[unlikely]]
    return false;
  if (wanted.allowed.contains(executable)) policies.maintenance.code_visible(output, bytes);
  if (!install(memory, at, i, *leaf)) [[unlikely]]
    return false;
  announce_install<Format>(policies, session, range);
  return true;
}

// What a session that is alone tells of a call of map() when there is more to do: in one piece of memory, which only
// that call fills. Every call of map() would make way for arguments in registers.
template <class Table, class Source>
struct map_call {
  Table& table;
  found_root<typename Table::format> root;
  input_address first;
  std::uint64_t length;  // from there to the last byte: what map_absent_leaf() has asked for
  output_address output;
  const attributes& wanted;
  Source& source;
  map_options options;
  decltype(std::declval<invalidator<typename Table::policies_type>&>().lend()) invalidations;

  [[nodiscard]] constexpr input_range range() const noexcept { return input_range::closed(first, first + length); }
};

}  // namespace quire
