// SPDX-License-Identifier: MIT
// Tables that were unlinked and wait for the invalidation, without a heap.
//
// The list is threaded through the first two entries of each waiting table, as markers: a hardware walker that is still
// inside reads "not valid" there. What those two entries led to is put on the list as well, so nothing is lost; the
// rest of the subtree is read only when it is freed.
#pragma once

#include <cstddef>  // size_t

#include <quire/format/concept.hpp>     // pte_format
#include <quire/policy/memory.hpp>      // order
#include <quire/table/invalidator.hpp>  // invalidated

namespace quire {

template <pte_format Format>
class detached_tables {
  using word = typename Format::word;

 public:
  [[nodiscard]] constexpr bool empty() const noexcept { return count_ == 0; }

  // Requires: no table entry leads to `table` (of `Level`) any more.
  template <int Level, class Memory>
  constexpr void push(Memory& memory, table_address table) noexcept {
    const word first = memory.template load<word>(table, 0, order::relaxed);
    const word second = memory.template load<word>(table, 1, order::relaxed);
    memory.template store<word>(table, 0, Format::marker(top_.value >> Format::table_shift), order::relaxed);
    memory.template store<word>(table, 1, Format::marker(static_cast<unsigned>(Level)), order::relaxed);
    top_ = table;
    ++count_;
    if constexpr (Level > 0) {
      if (Format::kind_of(first, Level) == entry_kind::table) push<Level - 1>(memory, Format::table_of(first, Level));
      if (Format::kind_of(second, Level) == entry_kind::table) push<Level - 1>(memory, Format::table_of(second, Level));
    }
  }

  // Retires every waiting table and everything below it, now that the invalidation that covers them has completed.
  template <class Memory, class Reclaim, class Source>
  constexpr void release(invalidated, Memory& memory, Reclaim& reclaim, Source& source) noexcept {
    for (; count_ != 0; --count_) {
      const table_address table = top_;
      const word link = memory.template load<word>(table, 0, order::relaxed);
      const int level = static_cast<int>(Format::payload_of(memory.template load<word>(table, 1, order::relaxed)));
      top_ = table_address{Format::payload_of(link) << Format::table_shift};
      retire_of_level<Format::shape.root_level - 1>(level, memory, reclaim, source, table);
    }
  }

 private:
  template <int Level, class Memory, class Reclaim, class Source>
  static constexpr void retire_of_level(int level, Memory& memory, Reclaim& reclaim, Source& source,
                                        table_address table) noexcept {
    if constexpr (Level >= 0) {
      if (level == Level) retire_subtree<Level>(memory, reclaim, source, table);
      else retire_of_level<Level - 1>(level, memory, reclaim, source, table);
    }
  }
  template <int Level, class Memory, class Reclaim, class Source>
  static constexpr void retire_subtree(Memory& memory, Reclaim& reclaim, Source& source, table_address table) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        const word entry = memory.template load<word>(table, i, order::relaxed);
        if (Format::kind_of(entry, Level) == entry_kind::table)
          retire_subtree<Level - 1>(memory, reclaim, source, Format::table_of(entry, Level));
      }
    }
    reclaim.retire(source, table);
  }

  table_address top_{};
  std::size_t count_ = 0;
};

}  // namespace quire
