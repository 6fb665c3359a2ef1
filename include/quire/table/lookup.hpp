// SPDX-License-Identifier: MIT
// Reading a table: what an address translates to, and every mapping of a range.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>   // group_span
#include <quire/table/range.hpp>   // is_translatable
#include <quire/walk/descend.hpp>  // descend

namespace quire {

// One leaf: `bytes` from `input` translate to `bytes` from `output`. A group is one mapping.
struct mapping {
  input_address input;
  output_address output;
  std::uint64_t bytes;
  attributes attrs;
  int level;
  int group;  // log2 of the entries

  [[nodiscard]] constexpr output_address translate(input_address address) const noexcept {
    return output + (address - input);
  }
  friend constexpr bool operator==(const mapping&, const mapping&) noexcept = default;
};

// The mapping that the leaf `entry` makes for the address `within` it.
template <pte_format Format>
[[nodiscard]] constexpr mapping mapping_of(typename Format::word entry, int level, input_address within) noexcept {
  const int group = Format::group_of(entry, level);
  const std::uint64_t bytes = Format::shape.leaf_bytes(level) << group;
  return {within.align_down(bytes),
          Format::output_of(entry, level),
          bytes,
          Format::attributes_of(entry, level),
          level,
          group};
}

// The same, read from its place: accessed and dirty of a group are those of all its entries.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr mapping mapping_at(Memory& memory, table_address table, std::size_t index,
                                           typename Format::word entry, int level, input_address within) noexcept {
  mapping found = mapping_of<Format>(entry, level, within);
  if constexpr (has_groups<Format>) {
    const entry_span span = group_span<Format>(entry, level, index);
    for (std::size_t i = span.first; i <= span.last; ++i) {
      const auto other = memory.template load<typename Format::word>(table, i, order::relaxed);
      found.attrs.accessed = found.attrs.accessed || Format::is_accessed(other);
      found.attrs.dirty = found.attrs.dirty || (Format::facts.has_dirty && Format::is_dirty(other));
    }
  }
  return found;
}

// Why an entry that is no leaf translates nothing.
template <pte_format Format>
[[nodiscard]] constexpr error no_leaf(typename Format::word entry, int level, input_address address) noexcept {
  const entry_kind kind = Format::kind_of(entry, level);
  const errc code = kind == entry_kind::marker   ? errc::marked
                    : kind == entry_kind::locked ? errc::busy
                                                 : errc::not_mapped;
  return {code, static_cast<std::int8_t>(level), address.value};
}

// Errors: not_mapped, marked, busy with the level of the entry that says so (so a caller can step over it). Requires:
// an address inside the geometry.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] constexpr result<mapping> look_up_in_reach(Memory& memory, table_address root,
                                                         input_address address) noexcept {
  return descend_then<Format, Order>(
      memory, root, address,
      [&]<int Level>(table_address table, std::size_t i, typename Format::word entry) -> result<mapping> {
        if (Format::kind_of(entry, Level) != entry_kind::leaf) [[unlikely]]
          return no_leaf<Format>(entry, Level, address);
        return mapping_at<Format>(memory, table, i, entry, Level, address);
      });
}
// The same of any address. Errors: beyond_input as well.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] constexpr result<mapping> look_up(Memory& memory, table_address root, input_address address) noexcept {
  if (!is_translatable<Format>(address)) return error{errc::beyond_input, -1, address.value};
  return look_up_in_reach<Format, Order>(memory, root, address);
}

// Where `address` leads, and no more. Errors, and what it requires, as for look_up_in_reach.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr result<output_address> translate_in_reach(Memory& memory, table_address root,
                                                                               input_address address) noexcept {
  return descend_then<Format, Order>(memory, root, address,
                                     [&]<int Level>(table_address, std::size_t, typename Format::word entry)
                                         QUIRE_INLINE_LAMBDA -> result<output_address> {
                                           if (Format::kind_of(entry, Level) != entry_kind::leaf) [[unlikely]]
                                             return no_leaf<Format>(entry, Level, address);
                                           const std::uint64_t inside =
                                               (Format::shape.leaf_bytes(Level) << Format::group_of(entry, Level)) - 1;
                                           return Format::output_of(entry, Level) + (address.value & inside);
                                         });
}

namespace detail {

template <pte_format Format, class Memory, class Function>
class each_mapping {
  using word = typename Format::word;

 public:
  constexpr each_mapping(Memory& memory, Function& function) noexcept : memory_(memory), function_(function) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory_.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = Format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind != entry_kind::leaf) continue;
      const mapping found = mapping_at<Format>(memory_, run.table, i, entry, Run::level, run.address(i));
      if constexpr (std::is_same_v<decltype(function_(found)), bool>) {
        if (!function_(found)) return run_stop<word>::failed(i, errc::stopped);
      } else function_(found);
      i = group_span<Format>(entry, Run::level, i).last;
    }
    return run_stop<word>::done();
  }

 private:
  Memory& memory_;
  Function& function_;
};

}  // namespace detail

}  // namespace quire
