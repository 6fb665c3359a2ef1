// SPDX-License-Identifier: MIT
// How an exclusive holder writes a live entry. It is the only software at work, so what is left to race with is the
// hardware: it may set accessed or dirty in a leaf whose quiet bits are not all set. Such an entry is changed by an
// exchange or a compare-exchange, every other one by a store. This follows from the format alone; it is no choice.
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // is_constant_evaluated
#include <utility>      // index_sequence

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
QUIRE_INLINE constexpr typename Format::word change_entry(Memory& memory, table_address table, std::size_t i,
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

// The entries that a loop over words takes in one round, written out: compilers do not unroll loops of atomic accesses.
using words_of_a_round = std::make_index_sequence<8>;
using words_after_the_first = std::index_sequence<1, 2, 3, 4, 5, 6, 7>;

// Calls function(first + K) for each.
template <class Function, std::size_t... K>
QUIRE_INLINE constexpr void each_of_round(std::size_t first, const Function& function,
                                          std::index_sequence<K...>) noexcept {
  (..., function(first + K));
}
// The bits that any of their words has.
template <class Word, class Load, std::size_t... K>
[[nodiscard]] QUIRE_INLINE constexpr Word any_of_round(std::size_t first, const Load& load,
                                                       std::index_sequence<K...>) noexcept {
  Word any = 0;
  (..., (any = static_cast<Word>(any | load(first + K))));
  return any;
}
// Calls function(i) for `first` and the n - 1 indices that follow.
template <class Function>
QUIRE_INLINE constexpr void each_index(std::size_t first, std::size_t n, const Function& function) noexcept {
  constexpr std::size_t round = words_of_a_round::size();
  for (; n >= round; n -= round, first += round) each_of_round(first, function, words_of_a_round{});
  for (; n != 0; --n, ++first) function(first);
}

// A change as a loop over entries needs it, in words that stores to entries cannot change. Where `tested`, the change
// is never made in vain and its test tells all the bits that it touches: what is to be made of an entry that a plain
// store may change is then the entry with `flipped` turned over, and those entries are the ones that lack, of the bits
// of `mask`, those of `zeros` and no other.
template <pte_format Format>
struct loop_change {
  using word = typename Format::word;
  entry_change<word> change;
  word mask;
  word zeros;
  word flipped;
  bool tested;

  QUIRE_INLINE constexpr explicit loop_change(const entry_change<word>& c) noexcept
      : change{{c.applies_to.mask, c.applies_to.value}, c.keep, c.set},
        mask(kernel::in_register(static_cast<word>(c.applies_to.mask | Format::quiet_bits))),
        zeros(static_cast<word>(c.applies_to.mask & ~c.applies_to.value)),
        flipped(of_plain(c).flips()),
        tested(flipped != 0 && (c.applies_to.value & ~c.applies_to.mask) == 0 && (zeros & Format::quiet_bits) == 0) {}

  [[nodiscard]] QUIRE_INLINE constexpr bool is_plain(word entry) const noexcept {
    return (static_cast<word>(~entry) & mask) == zeros;
  }
  [[nodiscard]] QUIRE_INLINE constexpr bool changes(word entry) const noexcept { return change(entry) != entry; }
  // Whether, for certain, none of the entries changes that together have the bits `any`.
  [[nodiscard]] QUIRE_INLINE constexpr bool leaves_alone(word any) const noexcept {
    return (change.applies_to.value & ~any) != 0;
  }

 private:
  // The change of those entries that a plain store may change.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_change<word> of_plain(const entry_change<word>& c) noexcept {
    constexpr word quiet = Format::quiet_bits;
    const entry_test<word> plain{static_cast<word>(c.applies_to.mask | quiet),
                                 static_cast<word>(c.applies_to.value | quiet)};
    return {plain, c.keep, c.set};
  }
};

// A change that is known where the code is made, wherever one is asked for.
template <const auto& Change>
struct constant_change {
  constexpr operator decltype(Change)() const noexcept { return Change; }
};

// What a plain store may do for an entry: it did it, nothing was to be done, or the hardware may be writing there.
enum class plain_change : unsigned char { made, needless, contended };

// Applies a change to an entry read as `before`, if a plain store will do.
template <pte_format Format, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr plain_change change_plainly(Memory& memory, table_address table, std::size_t i,
                                                                 typename Format::word before,
                                                                 const loop_change<Format>& wanted,
                                                                 bool tested) noexcept {
  using word = typename Format::word;
  if (tested ? wanted.is_plain(before) : wanted.changes(before) && !hardware_may_write<Format>(before)) [[likely]] {
    const word after = tested ? static_cast<word>(before ^ wanted.flipped) : wanted.change.made(before);
    memory.template store<word>(table, i, after, order::relaxed);
    return plain_change::made;
  }
  return hardware_may_write<Format>(before) && wanted.changes(before) ? plain_change::contended
                                                                      : plain_change::needless;
}

// Applies `change` to the entries [first, last] of one table, none of which is a table; gives whether any changed.
// Where the hardware may write some of them. Apart from the loops that need it rarely, which then call nobody.
template <pte_format Format, class Memory>
QUIRE_COLD constexpr bool change_contended(Memory& memory, table_address table, std::size_t first, std::size_t last,
                                           const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  bool any = false;
  for (std::size_t i = first; i <= last; ++i) {
    const word seen = memory.template load<word>(table, i, order::relaxed);
    const word before = change_entry<Format>(memory, table, i, seen, change);
    any = any || change(before) != before;
  }
  return any;
}

// The same, by stores, and by an exchange where the hardware may write. Neighbours are alike most of the time: a round
// that begins with an entry to be left alone is asked as a whole whether all are. Relaxed, as in change_entry().
template <pte_format Format, class Memory>
[[gnu::noinline]] constexpr bool change_words(Memory& memory, table_address table, std::size_t first, std::size_t last,
                                              const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  constexpr std::size_t round = words_of_a_round::size();
  const loop_change<Format> wanted{change};
  memory_in_loop<Memory> in_loop = memory;
  const auto load = [&](std::size_t i)
                        QUIRE_INLINE_LAMBDA { return in_loop.template load<word>(table, i, order::relaxed); };
  bool contended = false;
  const auto each = [&](bool tested) QUIRE_INLINE_LAMBDA {
    std::size_t kept = 0;
    const auto change_read = [&](std::size_t i, word before) QUIRE_INLINE_LAMBDA {
      const plain_change done = change_plainly<Format>(in_loop, table, i, before, wanted, tested);
      if (done == plain_change::made) [[likely]]
        return;
      contended = contended || done == plain_change::contended;
      ++kept;
    };
    const auto change_one = [&](std::size_t i) QUIRE_INLINE_LAMBDA { change_read(i, load(i)); };
    std::size_t i = first, left = last - first + 1;
    for (; tested && left >= round; left -= round, i += round) {
      const word begins = load(i);
      if (!wanted.is_plain(begins) && wanted.leaves_alone(any_of_round<word>(i, load, words_of_a_round{}))) {
        kept += round;
        continue;
      }
      change_read(i, begins);
      each_of_round(i, change_one, words_after_the_first{});
    }
    for (; left != 0; --left, ++i) change_one(i);
    return kept <= last - first;
  };
  const bool any = wanted.tested ? each(true) : each(false);
  return contended ? change_contended<Format>(memory, table, first, last, change) || any : any;
}
// The same to owned words.
template <pte_format Format, class Memory>
[[gnu::noinline]] constexpr bool change_owned(Memory& memory, table_address table, std::size_t first, std::size_t n,
                                              const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  word* words = memory.template own<word>(table, first, n);
  const auto seen = kernel::scan<word>(words, n, change, Format::quiet_bits);
  if (seen.changed != 0 && seen.busy == 0) {
    if (seen.all) kernel::flip<word>(words, n, seen.changed);
    else kernel::apply<word>(words, n, change);
  }
  memory.template written<word>(table, first, n);
  if (seen.changed == 0 || seen.busy == 0) return seen.changed != 0;
  return change_words<Format>(memory, table, first, first + n - 1, change);
}
// The same: to owned words where the memory has the run capability and no word that would change can be written by the
// hardware. Most tables are alike, and then the same bits are flipped in all of their entries.
template <pte_format Format, class Memory, class Change>
[[gnu::noinline]] constexpr bool change_entries(Memory& memory, table_address table, std::size_t first,
                                                std::size_t last, const Change& how) noexcept {
  using word = typename Format::word;
  const entry_change<word>& change = how;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const loop_change<Format> wanted{change};
    if (wanted.tested && kernel::is_whole_blocks<word>(n)) {
      word* words = memory.template own<word>(table, first, n);
      // The first says what to expect of the others.
      const bool expected = wanted.is_plain(words[0]);
      const bool alike =
          expected ? kernel::flip_alike<word>(words, n, wanted.mask, wanted.mask ^ wanted.zeros, wanted.flipped)
                   : wanted.leaves_alone(kernel::any_of<word>(words, n));
      memory.template written<word>(table, first, n);
      if (alike) [[likely]]
        return expected;
    } else if (n < kernel::lanes<word>) return change_words<Format>(memory, table, first, last, change);
    return change_owned<Format>(memory, table, first, n, change);
  } else return change_words<Format>(memory, table, first, last, change);
}

// What the entries [first, last] of one table have in common.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr kernel::gathered_bits<typename Format::word> gather_entries(Memory& of, table_address table,
                                                                                    std::size_t first,
                                                                                    std::size_t last) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const auto bits = kernel::gather<word>(of.template own<word>(table, first, n), n);
    of.template written<word>(table, first, n);
    return bits;
  } else {
    memory_in_loop<Memory> memory = of;
    word every = static_cast<word>(~word{0}), any = 0;
    each_index(first, last - first + 1, [&](std::size_t i) {
      const word entry = memory.template load<word>(table, i, order::relaxed);
      every = static_cast<word>(every & entry);
      any = static_cast<word>(any | entry);
    });
    return {every, any};
  }
}

// The first of the entries [first, last] of one table that is not absent, or last + 1.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr std::size_t find_present(Memory& of, table_address table, std::size_t first,
                                                 std::size_t last) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const word* const words = of.template own<word>(table, first, n);
    const word* const found = kernel::find_nonzero<word>(words, words + n);
    of.template written<word>(table, first, n);
    return first + static_cast<std::size_t>(found - words);
  } else {
    memory_in_loop<Memory> memory = of;
    const auto load = [&](std::size_t i) { return memory.template load<word>(table, i, order::relaxed); };
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      while (last - first >= sizeof...(K) && (... | load(first + K)) == 0) first += sizeof...(K);
    }(words_of_a_round{});
    while (first <= last && load(first) == 0) ++first;
    return first;
  }
}

// Fills a table (or part of one) that nobody can reach, or entries that are absent.
template <pte_format Format, class Memory>
constexpr void fill_entries(Memory& in, table_address table, std::size_t first, std::size_t n,
                            typename Format::word entry, typename Format::word step) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    kernel::fill<word>(in.template own<word>(table, first, n), n, entry, step);
    in.template written<word>(table, first, n);
  } else {
    memory_in_loop<Memory> memory = in;
    each_index(first, n, [&](std::size_t i) {
      memory.template store<word>(table, i, entry, order::relaxed);
      entry = static_cast<word>(entry + step);
    });
  }
}

// The entries of the group that entry `i` belongs to: [first, last], just i for a single leaf or no leaf.
struct entry_span {
  std::size_t first;
  std::size_t last;

  [[nodiscard]] constexpr bool empty() const noexcept { return last < first; }
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
