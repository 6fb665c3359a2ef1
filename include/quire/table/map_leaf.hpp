// SPDX-License-Identifier: MIT
// Mapping one leaf where nothing is: the common answer to a fault, by one descent and one store. What it does not
// answer is for map_range() (map.hpp) or map_concurrently() (concurrent/map.hpp), which do the same and more.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/table/map.hpp>     // map_options
#include <quire/walk/descend.hpp>  // descend_then

namespace quire {

namespace detail {

// What descend_then() gives the entry to that decides about the first byte of a mapping.
template <pte_format Format, class P, class Install>
struct absent_leaf {
  using word = typename Format::word;

  P& policies;
  invalidator<P>& session;
  input_range range;
  output_address output;
  const attributes& wanted;
  int largest_level;
  Install install;

  template <int Level>
  [[nodiscard]] QUIRE_INLINE constexpr bool operator()(table_address table, std::size_t i, word entry) const noexcept {
    if constexpr ((Format::group_sizes(Level) & 1U) == 0) return false;
    else {
      constexpr std::uint64_t bytes = Format::shape.leaf_bytes(Level);
      // No range with a defect is so long.
      if (range.last() - range.first() != bytes - 1 || !range.first().is_aligned(bytes)) return false;
      if (entry != 0 || largest_level < Level) return false;
      const auto leaf = Format::leaf(output, wanted, Level, 0);
      if (!leaf) return false;
      if (wanted.allowed.contains(executable)) policies.maintenance.code_visible(output, bytes);
      if (!install(table, i, *leaf)) return false;
      announce_install<Format>(policies, session, range);
      return true;
    }
  }
};

// For whoever is alone: what its session took away is forgotten before anything is made there.
template <pte_format Format, class P>
struct install_alone {
  P& policies;
  invalidator<P>& session;

  QUIRE_INLINE constexpr bool operator()(table_address table, std::size_t i,
                                         typename Format::word leaf) const noexcept {
    static_cast<void>(session.complete());
    policies.memory.template store<typename Format::word>(table, i, leaf, order::release);
    return true;
  }
};
// For a section: the entry may be absent no longer.
template <pte_format Format, class P>
struct install_beside_others {
  P& policies;

  QUIRE_INLINE constexpr bool operator()(table_address table, std::size_t i,
                                         typename Format::word leaf) const noexcept {
    typename Format::word absent = 0;
    return policies.memory.template compare_exchange<typename Format::word>(table, i, absent, leaf, order::acq_rel);
  }
};

}  // namespace detail

// Maps a range that is one leaf, where the entry that decides about it is absent and of that leaf's level: all that
// most faults need. False, and nothing has happened: there is more to do, or an error, and map_range() or
// map_concurrently() knows which. install(table, index, leaf) gives whether it wrote the entry, with release order:
// what is mapped is complete before the leaf can be followed.
template <pte_format Format, order Order, class P, class Install>
[[nodiscard]] QUIRE_INLINE constexpr bool map_absent_leaf(P& policies, table_address root, invalidator<P>& session,
                                                          input_range range, output_address output,
                                                          const attributes& wanted, int largest_level,
                                                          Install install) noexcept {
  if (!is_translatable<Format>(range.first())) return false;
  return descend_then<Format, Order>(
      policies.memory, root, range.first(),
      detail::absent_leaf<Format, P, Install>{policies, session, range, output, wanted, largest_level, install});
}

}  // namespace quire
