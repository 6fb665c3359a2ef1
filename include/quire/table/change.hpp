// SPDX-License-Identifier: MIT
// One change of attributes over a range: what protect, write_protect and the accessed and dirty bits have in common.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>  // change_entries

namespace quire {

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
template <class Operation, class Run, class Report>
constexpr bool change_reporting(Operation& op, const Run& run, std::size_t first, std::size_t last,
                                const entry_change<typename Operation::word>& change, Report& report) noexcept {
  using format = typename Operation::format;
  using word = typename Operation::word;
  auto& memory = op.policies.memory;
  if constexpr (reports_nothing<format, Report>) {
    return change_entries<format>(memory, run.table, first, last, change);
  } else {
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

// Visitor: applies `change` to every leaf it is given, a block or group that is only partly in the range as a whole.
template <class Operation, class Report>
class change_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr change_leaves(Operation& op, const entry_change<word>& change, invalidation_reason why,
                          Report& report) noexcept
      : op_(op), change_(change), why_(why), report_(report) {}

  bool any = false;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0) {
      const std::size_t first = widened(run, run.first).first;
      const std::size_t last = widened(run, run.last).last;
      apply(run, first, last);
      return run_stop<word>::done();
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        const word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
        if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
        const entry_span span = group_span<format>(entry, Run::level, i);
        if (span.first == span.last && change_(entry) == entry)
          continue;  // entries of a group may differ in their state
        apply(run, span.first, span.last);
        i = span.last;
      }
      return run_stop<word>::done();
    }
  }

 private:
  template <class Run>
  [[nodiscard]] constexpr entry_span widened(const Run& run, std::size_t i) noexcept {
    if constexpr (has_groups<format>)
      return group_span<format>(op_.policies.memory.template load<word>(run.table, i, order::relaxed), Run::level, i);
    else return {i, i};
  }
  template <class Run>
  constexpr void apply(const Run& run, std::size_t first, std::size_t last) noexcept {
    if (!change_reporting(op_, run, first, last, change_, report_)) return;
    any = true;
    op_.changed(run.address(first), run.address(last + 1) - 1, Run::level, why_);
  }

  Operation& op_;
  entry_change<word> change_;
  invalidation_reason why_;
  Report& report_;
};

// Changes every leaf that overlaps the range. Never allocates, never fails on a checked range. Gives whether any
// changed.
template <class Operation, class Report>
constexpr bool change_range(Operation& op, input_range range, const entry_change<typename Operation::word>& change,
                            invalidation_reason why, Report& report) noexcept {
  change_leaves<Operation, Report> visitor{op, change, why, report};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.any;
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

// Which pages of a range are meant: all of them, or those of a mask (bit b: the page at base + b pages). any(first,
// last): whether any page of a leaf is. all(run): whether every page of a run is. of(run): the entries of a run of
// pages that are, one after the other.
struct every_page {
  [[nodiscard]] constexpr bool any(input_address, input_address) const noexcept { return true; }
  template <class Run>
  [[nodiscard]] constexpr bool all(const Run&) const noexcept {
    return true;
  }

  struct entries {
    std::size_t i;
    std::size_t last;
    [[nodiscard]] constexpr bool more() const noexcept { return i <= last; }
    [[nodiscard]] constexpr std::size_t index() const noexcept { return i; }
    constexpr void next() noexcept { ++i; }
  };
  template <class Run>
  [[nodiscard]] constexpr entries of(const Run& run) const noexcept {
    return {run.first, run.last};
  }
};
template <pte_format Format>
struct masked_pages {
  input_address base;
  std::uint64_t mask;

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
  [[nodiscard]] constexpr bool all(const Run& run) const noexcept {
    const std::uint64_t pages = run.last - run.first + 1;
    return pages <= 64 && from(run.address(run.first), pages) == ~std::uint64_t{0} >> (64 - pages);
  }

  class entries {
   public:
    constexpr entries(std::size_t first, std::uint64_t bits) noexcept : first_(first), bits_(bits) { find(); }

    [[nodiscard]] constexpr bool more() const noexcept { return bits_ != 0; }
    [[nodiscard]] constexpr std::size_t index() const noexcept { return i_; }
    constexpr void next() noexcept {
      bits_ &= bits_ - 1;
      find();
    }

   private:
    constexpr void find() noexcept {
      if (bits_ != 0) i_ = first_ + static_cast<unsigned>(__builtin_ctzll(bits_));
    }

    std::size_t first_;
    std::uint64_t bits_;  // bit 0: entry first_
    std::size_t i_ = 0;
  };
  template <class Run>
  [[nodiscard]] constexpr entries of(const Run& run) const noexcept {
    return {run.first, from(run.address(run.first), run.last - run.first + 1)};
  }
};

// As change_range, for the pages of a mask only. One descent per table. A block that holds a masked page is changed
// whole.
template <class Operation, class Report>
class change_masked {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr change_masked(Operation& op, const masked_pages<format>& pages, const entry_change<word>& change,
                          invalidation_reason why, Report& report) noexcept
      : op_(op), pages_(pages), change_(change), why_(why), report_(report) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    if constexpr (Run::level == 0) {
      // Bit 0 of `wanted` is entry run.first.
      const std::uint64_t wanted = pages_.from(run.address(run.first), run.last - run.first + 1);
      if (has_groups<format> || has_stretch(wanted)) apply_in_stretches(run, wanted);
      else apply_singly(run, wanted);
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        const word entry = memory.template load<word>(run.table, i, order::relaxed);
        if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
        if (pages_.any(run.address(i), run.address(i + 1) - 1)) apply(run, i, i);
      }
    }
    return run_stop<word>::done();
  }

 private:
  // Whether 8 bits in a row are set: then runs are worth their overhead.
  [[nodiscard]] static constexpr bool has_stretch(std::uint64_t bits) noexcept {
    bits &= bits >> 1U;
    bits &= bits >> 2U;
    return (bits & (bits >> 4U)) != 0;
  }
  template <class Run>
  constexpr void apply_in_stretches(const Run& run, std::uint64_t wanted) noexcept {
    while (wanted != 0) {
      const auto skip = static_cast<unsigned>(__builtin_ctzll(wanted));
      const std::uint64_t ones = ~(wanted >> skip);
      const unsigned length = ones == 0 ? 64 - skip : static_cast<unsigned>(__builtin_ctzll(ones));
      apply(run, run.first + skip, run.first + skip + length - 1);
      wanted = skip + length >= 64 ? 0 : wanted >> (skip + length) << (skip + length);
    }
  }
  // Entry by entry; what changed is announced in one piece. Without groups.
  template <class Run>
  constexpr void apply_singly(const Run& run, std::uint64_t wanted) noexcept {
    const entry_change<word> change = change_;  // a copy: stores to entries cannot change it
    auto& memory = op_.policies.memory;
    std::uint64_t changed = 0;
    for (; wanted != 0; wanted &= wanted - 1) {
      const std::size_t i = run.first + static_cast<unsigned>(__builtin_ctzll(wanted));
      if constexpr (reports_nothing<format, Report>) {
        if (!change_loaded<format>(memory, run.table, i, change)) continue;
      } else if (!change_reporting(op_, run, i, i, change, report_)) continue;
      changed |= wanted & (~wanted + 1);
    }
    if (changed == 0) return;
    const std::size_t first = run.first + static_cast<unsigned>(__builtin_ctzll(changed));
    const std::size_t last = run.first + 63 - static_cast<unsigned>(__builtin_clzll(changed));
    op_.changed(run.address(first), run.address(last + 1) - 1, Run::level, why_);
  }
  template <class Run>
  constexpr void apply(const Run& run, std::size_t first, std::size_t last) noexcept {
    if constexpr (has_groups<format>) {
      auto& memory = op_.policies.memory;
      first = group_span<format>(memory.template load<word>(run.table, first, order::relaxed), Run::level, first).first;
      last = group_span<format>(memory.template load<word>(run.table, last, order::relaxed), Run::level, last).last;
    }
    if (change_reporting(op_, run, first, last, change_, report_))
      op_.changed(run.address(first), run.address(last + 1) - 1, Run::level, why_);
  }

  Operation& op_;
  masked_pages<format> pages_;
  entry_change<word> change_;
  invalidation_reason why_;
  Report& report_;
};

}  // namespace quire
