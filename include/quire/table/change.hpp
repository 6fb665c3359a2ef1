// SPDX-License-Identifier: MIT
// One change of attributes over a range: what protect, write_protect and the accessed and dirty bits have in common.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>   // change_entries
#include <quire/walk/descend.hpp>  // descend_to_run

namespace quire {

// Leaves changed between two entries of a run.
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr changed_leaves changed_in(const Run& run, entry_span entries) noexcept {
  return {run.address(entries.first), run.address(entries.last + 1) - 1, Run::level, true};
}

// Called as report(input address, bytes) for every leaf (a group: all of it) that was found dirty.
struct nothing_reported {
  constexpr void operator()(input_address, std::uint64_t) const noexcept {}
};

// Whether "writable" and "dirty" share bits (arm64's hardware dirty bit): then taking the write permission away takes
// the dirty state with it, and whoever does so must say where it goes.
template <pte_format Format>
inline constexpr bool protecting_loses_dirty =
    Format::facts.has_dirty && (Format::is_dirty.mask & ~(Format::write_protect.keep | Format::write_protect.set)) != 0;

// Gives the write permission back where may_write is set.
template <pte_format Format>
inline constexpr entry_change<typename Format::word> restore_write_change{
    {Format::make_writable.applies_to.mask | Format::may_write_bit,
     Format::make_writable.applies_to.value | Format::may_write_bit},
    Format::make_writable.keep,
    Format::make_writable.set};

// Whether nobody wants to hear of leaves that become clean.
template <pte_format Format, class Report>
inline constexpr bool reports_nothing = std::is_same_v<Report, const nothing_reported> || !Format::facts.has_dirty;

// Applies `change` to entries of a run, whole groups and no tables; gives whether any changed. What the change makes
// clean is reported from the value that the exchange returned, so nothing that the hardware added meanwhile is lost.
template <class Memory, class Run, class Change, class Report>
constexpr bool change_reporting(Memory& memory, const Run& run, std::size_t first, std::size_t last, const Change& how,
                                Report& report) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  if constexpr (reports_nothing<format, Report>) {
    return change_entries<format>(memory, run.table, first, last, how);
  } else {
    const entry_change<word>& change = how;
    bool any = false;
    for (std::size_t i = first; i <= last; ++i) {
      word seen = memory.template load<word>(run.table, i, order::relaxed);
      if (change(seen) == seen) continue;
      const entry_span span = group_span<format>(seen, Run::level, i);
      bool cleaned = false;
      for (;;) {
        const word before = change_entry<format>(memory, run.table, i, seen, change);
        any = any || change(before) != before;
        cleaned = cleaned || (format::is_dirty(before) && !format::is_dirty(change(before)));
        if (i == span.last) break;
        seen = memory.template load<word>(run.table, ++i, order::relaxed);
      }
      if (cleaned)  // a store through any entry of a group may have gone to any page of it
        report(run.address(span.first), (span.last - span.first + 1) * format::shape.leaf_bytes(Run::level));
    }
    return any;
  }
}

// Finds the first leaf in the range to which `change` does not apply: unsupported_attribute there, or no error.
template <class Operation>
class find_misfits {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr find_misfits(Operation& op, const entry_change<word>& change) noexcept : op_(op), change_(change) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf && !change_.applies_to(entry))
        return run_stop<word>::failed(i, errc::unsupported_attribute);
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  entry_change<word> change_;
};
template <class Operation>
constexpr error find_misfit(Operation& op, input_range range,
                            const entry_change<typename Operation::word>& change) noexcept {
  find_misfits<Operation> visitor{op, change};
  return walk<(walk_flag::leaf | walk_flag::stop_on_retry), typename Operation::format>(op.policies.memory, op.root,
                                                                                        range, visitor);
}

// Entries of a table of pages: bit b is entry origin + b.
struct masked_entries {
  std::size_t origin;
  std::uint64_t bits;

  [[nodiscard]] constexpr std::uint64_t lowest() const noexcept { return bits & (~bits + 1); }
  [[nodiscard]] constexpr std::size_t first() const noexcept {
    return origin + static_cast<unsigned>(__builtin_ctzll(bits));
  }
  [[nodiscard]] constexpr std::size_t last() const noexcept {
    return origin + 63 - static_cast<unsigned>(__builtin_clzll(bits));
  }
};

// Which pages of a range are meant: all of them, or those of a mask (bit b: the page at base + b pages). any(first,
// last): whether any page of a leaf is. in(run): the entries of a run of pages that are. first(), last(): a window with
// range() in it that is had for less; is_sound<Format>(): whether nothing is wrong with range() if one table has the
// window; of_window(run): the entries of the run that is the window.
struct every_page {
  input_range all_of{};

  [[nodiscard]] constexpr input_range range() const noexcept { return all_of; }
  [[nodiscard]] constexpr input_address first() const noexcept { return all_of.first(); }
  [[nodiscard]] constexpr input_address last() const noexcept { return all_of.last(); }
  template <pte_format Format>
  [[nodiscard]] constexpr bool is_sound() const noexcept {
    return quire::is_sound<Format>(all_of);
  }
  [[nodiscard]] constexpr bool any(input_address, input_address) const noexcept { return true; }
  template <class Run>
  [[nodiscard]] constexpr entry_span in(const Run& run) const noexcept {
    return {run.first, run.last};
  }
  template <class Run>
  [[nodiscard]] constexpr entry_span of_window(const Run& run) const noexcept {
    return {run.first, run.last};
  }
};
template <pte_format Format>
struct masked_pages {
  input_address base;
  std::uint64_t mask;

  [[nodiscard]] constexpr input_range range() const noexcept { return masked_range<Format>(base, mask); }
  [[nodiscard]] constexpr input_address first() const noexcept { return base; }
  // Where tables have room for it, of as many pages as a mask has bits: then it need not be looked for.
  [[nodiscard]] constexpr input_address last() const noexcept {
    if constexpr (Format::shape.entries(0) < 64) return range().last();
    else return base + ((std::uint64_t{64} << Format::shape.page_bits) - 1);
  }
  template <pte_format>
  [[nodiscard]] constexpr bool is_sound() const noexcept {
    return is_page<Format>(base);
  }
  // The bits of `pages` pages from `at`, which is not below base.
  [[nodiscard]] constexpr std::uint64_t from(input_address at, std::uint64_t pages) const noexcept {
    const std::uint64_t skip = (at - base) >> Format::shape.page_bits;
    if (skip >= 64) return 0;
    const std::uint64_t bits = mask >> skip;
    return pages >= 64 ? bits : bits & ((std::uint64_t{1} << pages) - 1);
  }
  // The leaf may begin below base.
  [[nodiscard]] constexpr bool any(input_address first, input_address last) const noexcept {
    const input_address at = first < base ? base : first;
    return from(at, ((last - at) >> Format::shape.page_bits) + 1) != 0;
  }
  template <class Run>
  [[nodiscard]] constexpr masked_entries in(const Run& run) const noexcept {
    return {run.first, from(run.address(run.first), run.last - run.first + 1)};
  }
  template <class Run>
  [[nodiscard]] constexpr masked_entries of_window(const Run& run) const noexcept {
    return {run.first, mask};
  }
};

// Between which entries anything changed, if at all.
struct changed_entries {
  entry_span span{1, 0};
  bool any = false;
};

// Applies `change` to entries of a run of pages, and to the rest of the groups that they belong to.
template <class Memory, class Run, class Change, class Report>
QUIRE_INLINE constexpr changed_entries change_pages(Memory& memory, const Run& run, entry_span pages,
                                                    const Change& change, Report& report) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  if constexpr (has_groups<format>) {
    const auto group = [&](std::size_t i) {
      return group_span<format>(memory.template load<word>(run.table, i, order::relaxed), 0, i);
    };
    pages = {group(pages.first).first, group(pages.last).last};
  }
  return {pages, change_reporting(memory, run, pages.first, pages.last, change, report)};
}

// Those entries that did change, of entries that a plain store would not change: the hardware may write there.
template <pte_format Format, class Memory>
QUIRE_COLD constexpr std::uint64_t change_contended(Memory& memory, table_address table, masked_entries entries,
                                                    const entry_change<typename Format::word>& change) noexcept {
  std::uint64_t changed = 0;
  for (; entries.bits != 0; entries.bits &= entries.bits - 1)
    if (change_contended<Format>(memory, table, entries.first(), entries.first(), change)) changed |= entries.lowest();
  return changed;
}

// Entry by entry; what changed is announced in one piece. Without groups.
template <class Memory, class Run, class Report>
QUIRE_INLINE constexpr changed_entries change_singly(Memory& memory, const Run& run, masked_entries pages,
                                                     const entry_change<typename Run::format::word>& change,
                                                     Report& report) noexcept {
  using format = typename Run::format;
  const loop_change<format> wanted{change};
  memory_in_loop<Memory> in_loop = memory;
  std::uint64_t kept = 0;
  for (masked_entries left = pages; left.bits != 0; left.bits &= left.bits - 1) {
    if constexpr (reports_nothing<format, Report>) {
      const std::size_t i = left.first();
      const auto before = in_loop.template load<typename format::word>(run.table, i, order::relaxed);
      if (change_plainly<format>(in_loop, run.table, i, before, wanted, wanted.tested) != plain_change::made)
        kept |= left.lowest();
    } else if (!change_reporting(memory, run, left.first(), left.first(), change, report)) kept |= left.lowest();
  }
  if constexpr (reports_nothing<format, Report> && format::quiet_bits != 0) {
    if (kept != 0) [[unlikely]]
      kept ^= change_contended<format>(memory, run.table, masked_entries{pages.origin, kept}, change);
  }
  pages.bits ^= kept;
  if (pages.bits == 0) [[unlikely]]
    return {};
  return {{pages.first(), pages.last()}, true};
}

// Whether all bits that are set are neighbours.
[[nodiscard]] constexpr bool is_one_stretch(std::uint64_t bits) noexcept {
  return (bits & (bits + (bits & (~bits + 1)))) == 0;
}
// Whether 8 bits in a row are set: then runs are worth their overhead.
[[nodiscard]] constexpr bool has_stretch(std::uint64_t bits) noexcept {
  bits &= bits >> 1U;
  bits &= bits >> 2U;
  return (bits & (bits >> 4U)) != 0;
}

// Neighbours together where there are enough of them. Gives an empty span where nothing changed.
template <class Run, class Memory, class Report>
[[gnu::noinline]] constexpr entry_span change_in_stretches(Memory& memory, table_address table, std::uint64_t base,
                                                           masked_entries pages,
                                                           const entry_change<typename Run::format::word>& change,
                                                           Report& report) noexcept {
  const Run run{table, base, pages.first(), pages.last()};
  if (!has_groups<typename Run::format> && !has_stretch(pages.bits))
    return change_singly(memory, run, pages, change, report).span;
  entry_span done{1, 0};
  while (pages.bits != 0) {
    const std::uint64_t gaps = ~(pages.bits | (pages.bits - 1));  // the zeros above the first stretch
    const std::size_t last = gaps == 0 ? pages.origin + 63 : masked_entries{pages.origin, gaps}.first() - 1;
    const changed_entries part = change_pages(memory, run, entry_span{pages.first(), last}, change, report);
    if (part.any) done = {done.empty() ? part.span.first : done.first, part.span.last};
    pages.bits &= gaps == 0 ? 0 : ~std::uint64_t{0} << static_cast<unsigned>(__builtin_ctzll(gaps));
  }
  return done;
}
template <class Memory, class Run, class Change, class Report>
QUIRE_INLINE constexpr changed_entries change_pages(Memory& memory, const Run& run, masked_entries pages,
                                                    const Change& change, Report& report) noexcept {
  if constexpr (has_groups<typename Run::format>) {
    if (pages.bits == 0) return {};
  } else if ((pages.bits & (pages.bits >> 1U)) == 0) return change_singly(memory, run, pages, change, report);
  if (is_one_stretch(pages.bits))
    return change_pages(memory, run, entry_span{pages.first(), pages.last()}, change, report);
  const entry_span done = change_in_stretches<Run>(memory, run.table, run.base, pages, change, report);
  return {done, !done.empty()};
}

// Whether a change of pages changed anything, and whether it is known that no leaf there is left to be split.
struct change_outcome {
  bool any = false;
  bool is_split = false;
};
[[nodiscard]] QUIRE_INLINE constexpr result<bool> any_of(const result<change_outcome>& done) noexcept {
  if (!done) return done.error();
  return done->any;
}

// Applies `change` to one leaf, an entry of which was read as `entry`; gives whether it changed. Entries of a group may
// differ in their state.
template <class Memory, class Run, class Report>
QUIRE_INLINE constexpr bool change_leaf(Memory& memory, const Run& run, entry_span span,
                                        typename Run::format::word entry,
                                        const entry_change<typename Run::format::word>& change,
                                        Report& report) noexcept {
  using format = typename Run::format;
  if (span.first != span.last) return change_reporting(memory, run, span.first, span.last, change, report);
  const auto before = change_entry<format>(memory, run.table, span.first, entry, change);
  const auto after = change(before);
  if constexpr (!reports_nothing<format, Report>) {
    if (format::is_dirty(before) && !format::is_dirty(after))
      report(run.address(span.first), format::shape.leaf_bytes(Run::level));
  }
  return after != before;
}

// Visitor: applies `change` to every leaf that holds one of the pages, a block or group that is only partly among them
// as a whole.
template <pte_format Format, class Memory, class Pages, class Report>
class change_leaves {
  using word = typename Format::word;

 public:
  constexpr change_leaves(Memory& memory, const Pages& pages, const entry_change<word>& change, Report& report) noexcept
      : memory_(memory), pages_(pages), change_(change), report_(report) {}

  changed_leaves done{};

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0) {
      const changed_entries changed = change_pages(memory_, run, pages_.in(run), change_, report_);
      if (changed.any) done.add(changed_in(run, changed.span));
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        const word entry = memory_.template load<word>(run.table, i, order::relaxed);
        if (Format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
        const entry_span span = group_span<Format>(entry, Run::level, i);
        i = span.last;
        if (!pages_.any(run.address(span.first), run.address(span.last + 1) - 1)) continue;
        if (change_leaf(memory_, run, span, entry, change_, report_)) done.add(changed_in(run, span));
      }
    }
    return run_stop<word>::done();
  }

 private:
  Memory& memory_;
  Pages pages_;
  entry_change<word> change_;
  Report& report_;
};

// Changes every leaf that overlaps the pages, whole leaves. Never allocates, never fails on a checked range.
template <pte_format Format, class Pages, class Memory, class Report>
QUIRE_INLINE constexpr changed_leaves change_range(Memory& memory, table_address root, const Pages& pages,
                                                   const entry_change<typename Format::word>& change,
                                                   Report& report) noexcept {
  if constexpr (Format::shape.root_level > 0) {
    // Few pages, of one table or of a block: as in the first harvest of memory that was not split when logging began.
    // Relaxed: who changes here is alone with the tables, but for marks of the hardware.
    if (const input_range range = pages.range(); is_within_leaf<Format, 1>(range)) {
      const auto here = descend_to_run<Format, 1, false>(memory, root, range.first(), range.last());
      if (here.found) {
        const std::size_t i = here.run.first;
        const auto entry = memory.template load<typename Format::word>(here.run.table, i, order::relaxed);
        if (Format::kind_of(entry, 1) == entry_kind::table) {
          const auto run =
              run_in<entry_run<Format, 0, true>>(Format::table_of(entry, 1), range.first().value, range.last().value);
          const changed_entries done = change_pages(memory, run, pages.in(run), change, report);
          return done.any ? changed_in(run, done.span) : changed_leaves{};
        }
        const entry_span span = group_span<Format>(entry, 1, i);
        return change_leaf(memory, here.run, span, entry, change, report) ? changed_in(here.run, span)
                                                                          : changed_leaves{};
      }
    }
  }
  change_leaves<Format, Memory, Pages, Report> visitor{memory, pages, change, report};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), Format>(memory, root, pages.range(), visitor));
  return visitor.done;
}

}  // namespace quire
