// SPDX-License-Identifier: MIT
// How an exclusive holder writes a live entry. It is the only software at work, so what is left to race with is the
// hardware: it may set accessed or dirty in a leaf whose quiet bits are not all set. Such an entry is changed by an
// exchange or a compare-exchange, every other one by a store. This follows from the format alone; it is no choice.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/operation.hpp>   // operation
#include <quire/walk/run_kernels.hpp>  // kernel::scan, kernel::apply
#include <quire/walk/walker.hpp>       // entry_run, run_stop

namespace quire {

template <pte_format Format>
[[nodiscard]] constexpr bool hardware_may_write(typename Format::word entry) noexcept {
  if constexpr (Format::quiet_bits == 0) return false;
  else return (entry & Format::quiet_bits) != Format::quiet_bits;
}

// Stores `now` over `before`, a leaf or not, and gives what really stood there last: `before` and what the hardware
// added. Release: what `now` leads to must be complete before a walker can follow it.
template <pte_format Format, class Memory>
constexpr typename Format::word replace_entry(Memory& memory, table_address table, std::size_t i,
                                              typename Format::word before, typename Format::word now) noexcept {
  using word = typename Format::word;
  if (hardware_may_write<Format>(before)) return memory.template exchange<word>(table, i, now, order::acq_rel);
  memory.template store<word>(table, i, now, order::release);
  return before;
}

// Applies `change` to an entry read as `before`; gives what stood there before the change. Relaxed: a change of rights
// or accessed publishes nothing; the invalidation that follows orders it (maintenance.before_invalidation).
template <pte_format Format, class Memory>
constexpr typename Format::word change_entry(Memory& memory, table_address table, std::size_t i,
                                             typename Format::word before,
                                             const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  for (;;) {
    const word after = change(before);
    if (after == before) return before;
    if (!hardware_may_write<Format>(before)) [[likely]] {
      memory.template store<word>(table, i, after, order::relaxed);
      return before;
    }
    if (memory.template compare_exchange<word>(table, i, before, after, order::relaxed)) return before;
  }
}

// The same for an entry not read yet; gives whether it changed.
template <pte_format Format, class Memory>
QUIRE_INLINE constexpr bool change_loaded(Memory& memory, table_address table, std::size_t i,
                                          const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  const word before = memory.template load<word>(table, i, order::relaxed);
  const word after = change(before);
  if (after == before) return false;
  if (hardware_may_write<Format>(before)) [[unlikely]] {
    const word was = change_entry<Format>(memory, table, i, before, change);
    return change(was) != was;
  }
  memory.template store<word>(table, i, after, order::relaxed);
  return true;
}

// Applies `change` to the entries [first, last] of one table, none of which is a table; gives whether any changed.
// Owned words where the memory has the run capability and no word that would change can be written by the hardware.
template <pte_format Format, class Memory>
[[gnu::noinline]] constexpr bool change_entries(Memory& memory, table_address table, std::size_t first,
                                                std::size_t last,
                                                const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    word* words = memory.template own<word>(table, first, n);
    const auto seen = kernel::scan<word>(words, n, change, Format::quiet_bits);
    if (seen.changed != 0 && seen.busy == 0) {
      if (seen.all) kernel::flip<word>(words, n, seen.changed);
      else kernel::apply<word>(words, n, change);
    }
    memory.template written<word>(table, first, n);
    if (seen.changed == 0) return false;
    if (seen.busy == 0) return true;
  }
  const entry_change<word> wanted = change;  // a copy: stores to entries cannot change it
  bool any = false;
  for (std::size_t i = first; i <= last; ++i) any = change_loaded<Format>(memory, table, i, wanted) || any;
  return any;
}

// Fills a table (or part of one) that nobody can reach.
template <pte_format Format, class Memory>
constexpr void fill_entries(Memory& memory, table_address table, std::size_t first, std::size_t n,
                            typename Format::word entry, typename Format::word step) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    kernel::fill<word>(memory.template own<word>(table, first, n), n, entry, step);
    memory.template written<word>(table, first, n);
  } else {
    for (std::size_t i = 0; i < n; ++i)
      memory.template store<word>(table, first + i, static_cast<word>(entry + i * step), order::relaxed);
  }
}

// The entries of the group that entry `i` belongs to: [first, last], just i for a single leaf or no leaf.
struct entry_span {
  std::size_t first;
  std::size_t last;
};
template <pte_format Format>
[[nodiscard]] constexpr entry_span group_span(typename Format::word entry, int level, std::size_t i) noexcept {
  if constexpr (has_groups<Format>) {
    if (Format::kind_of(entry, level) == entry_kind::leaf) {
      const std::size_t size = std::size_t{1} << Format::group_of(entry, level);
      return {i & ~(size - 1), i | (size - 1)};
    }
  }
  return {i, i};
}

}  // namespace quire
