// SPDX-License-Identifier: MIT
// Taking mappings away: unmap reads every leaf and says what was there, discard detaches whole tables unread.
#pragma once

#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <type_traits>  // is_null_pointer_v

#include <quire/table/split.hpp>  // make_boundary

namespace quire {

// What unmap found: leaves (a group counts once per entry), whether any had been accessed or written, and the range
// whose translations are gone.
struct unmap_result {
  std::uint64_t entries = 0;
  bool accessed = false;
  bool dirty = false;
  input_range covered;
};

// One leaf entry that unmap took away. Of a group every entry is as accessed and dirty as the whole.
struct removed_leaf {
  input_address address;
  output_address output;
  std::uint64_t bytes;
  attributes was;
};

// A function of a removed_leaf, or nullptr: nobody asks.
template <class R>
concept removal_report =
    std::is_null_pointer_v<std::remove_cvref_t<R>> || requires(R& report, const removed_leaf& leaf) { report(leaf); };

namespace detail {

// Leaves of one table that were taken away, gathered where a loop has them in registers.
struct taken_leaves {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t entries = 0;
  bool accessed = false;
  bool dirty = false;

  // In ascending order.
  QUIRE_INLINE constexpr void add(entry_span span, bool was_accessed, bool was_dirty) noexcept {
    if (entries == 0) first = span.first;
    last = span.last;
    entries += span.last - span.first + 1;
    accessed = accessed || was_accessed;
    dirty = dirty || was_dirty;
  }
  // `from`, `to`: the first byte of entry `first` and the last of entry `last`. Requires: entries != 0.
  constexpr void add_to(unmap_result& found, input_address from, input_address to) const noexcept {
    found.entries += entries;
    found.accessed = found.accessed || accessed;
    found.dirty = found.dirty || dirty;
    const input_range& covered = found.covered;
    found.covered =
        input_range::closed(from < covered.first() ? from : covered.first(), covered.last() < to ? to : covered.last());
  }
};

// Takes a table entry away, and its table out of the tree, where the range covers all that it translates.
template <class Operation, class Position>
constexpr void unlink_covered(Operation& op, input_range range, const Position& at) noexcept {
  using format = typename Operation::format;
  using word = typename format::word;
  const input_address last = at.address + (format::shape.leaf_bytes(Position::level) - 1);
  if (!(range.first() <= at.address && last <= range.last())) return;
  op.policies.memory.template store<word>(at.table, at.index, word{0}, order::relaxed);
  op.template detach<Position::level - 1>(format::table_of(at.entry, Position::level));
  op.changed_table(at.address, last, invalidation_reason::removed);
}

// Visitor of unmap: clears leaves and markers, then unlinks the tables that the range covers wholly.
template <class Operation, class Report>
class unmap_leaves {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool reports_each = !std::is_same_v<Report, std::nullptr_t>;

 public:
  constexpr unmap_leaves(Operation& op, input_range range, Report& report) noexcept
      : op_(op), range_(range), report_(report), found{.covered = range} {}

 private:
  Operation& op_;
  input_range range_;
  Report& report_;

 public:
  unmap_result found;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && Run::level < format::shape.root_level && !reports_each) {
      if (run.first == 0 && run.last + 1 == format::shape.entries(0) && goes_unwritten(run))
        return run_stop<word>::done();
    }
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    std::size_t last = run.last;
    std::size_t i = run.first;
    if constexpr (has_groups<format>) {  // `whole`: a group is one leaf
      i = group_span<format>(memory.template load<word>(run.table, i, order::relaxed), Run::level, i).first;
      last = group_span<format>(memory.template load<word>(run.table, last, order::relaxed), Run::level, last).last;
    }
    taken_leaves taken;
    auto stop = run_stop<word>::done();
    for (; i <= last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (entry == 0) continue;
      const entry_kind kind = format::kind_of(entry, Run::level);
      if constexpr (Run::level > 0) {
        if (kind == entry_kind::table) {
          stop = run_stop<word>::at_table(i, entry);
          break;
        }
      }
      if (kind == entry_kind::leaf) {
        i = remove(run, i, entry, taken);
      } else {
        memory.template store<word>(run.table, i, word{0}, order::relaxed);
      }
    }
    if (taken.entries != 0) note(run, taken);
    return stop;
  }
  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    unlink_covered(op_, range_, at);
    return errc::none;
  }

 private:
  // Whether a whole table of pages can go as it is, for table_post() to unlink: all entries are leaves that the
  // hardware no longer writes, so that what they say now is the last that they say, and they are alike enough to say it
  // together.
  template <class Run>
  constexpr bool goes_unwritten(const Run& run) noexcept {
    const auto bits = gather_entries<format>(op_.policies.memory, run.table, run.first, run.last);
    if (!bits.all(format::set_accessed.applies_to) || hardware_may_write<format>(bits.every)) return false;
    if (!bits.decides(format::is_accessed) || !bits.decides(format::is_dirty)) return false;
    taken_leaves taken;
    taken.add({run.first, run.last}, !bits.none(format::is_accessed), !bits.none(format::is_dirty));
    note(run, taken);
    return true;
  }
  // Takes the leaf away that begins at entry `i`, all of a group; gives its last entry.
  template <class Run>
  QUIRE_INLINE constexpr std::size_t remove(const Run& run, std::size_t i, word entry, taken_leaves& taken) noexcept {
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    const entry_span span = group_span<format>(entry, Run::level, i);
    bool accessed = false, dirty = false;
    for (std::size_t k = i;; ++k) {
      const word was = replace_entry<format>(memory, run.table, k, entry, word{0});
      accessed = accessed || format::is_accessed(was);
      dirty = dirty || (format::facts.has_dirty && format::is_dirty(was));
      if (k == span.last) break;
      entry = memory.template load<word>(run.table, k + 1, order::relaxed);
    }
    taken.add({i, span.last}, accessed, dirty);
    if constexpr (reports_each) report(run, i, span.last, entry, accessed, dirty);
    return span.last;
  }
  template <class Run>
  constexpr void report(const Run& run, std::size_t first, std::size_t last, word was, bool accessed,
                        bool dirty) noexcept {
    attributes attrs = format::attributes_of(was, Run::level);
    attrs.accessed = accessed;
    attrs.dirty = dirty;
    const std::uint64_t bytes = format::shape.leaf_bytes(Run::level);
    const output_address output = format::output_of(was, Run::level);
    for (std::size_t k = first; k <= last; ++k)
      report_(removed_leaf{run.address(k), output + (k - first) * bytes, bytes, attrs});
  }
  template <class Run>
  constexpr void note(const Run& run, const taken_leaves& taken) noexcept {
    const input_address first = run.address(taken.first), last = run.address(taken.last + 1) - 1;
    taken.add_to(found, first, last);
    op_.changed(first, last, Run::level, invalidation_reason::removed);
  }
};

// Visitor of discard: unlinks wholly covered tables before anything below them is read; clears leaves elsewhere.
template <class Operation>
class discard_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr discard_leaves(Operation& op, input_range range) noexcept : op_(op), range_(range) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    std::size_t i = run.first, last = run.last;
    if constexpr (has_groups<format>) {
      i = group_span<format>(memory.template load<word>(run.table, i, order::relaxed), Run::level, i).first;
      last = group_span<format>(memory.template load<word>(run.table, last, order::relaxed), Run::level, last).last;
    }
    for (; i <= last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (entry == 0) continue;
      if constexpr (Run::level > 0) {
        if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
      }
      memory.template store<word>(run.table, i, word{0}, order::relaxed);
      op_.changed(run.address(i), run.address(i + 1) - 1, Run::level, invalidation_reason::removed);
    }
    return run_stop<word>::done();
  }
  template <class Position>
  constexpr errc table_pre(const Position& at) noexcept {
    unlink_covered(op_, range_, at);
    return errc::none;
  }

 private:
  Operation& op_;
  input_range range_;
};

}  // namespace detail

template <class Operation, class Report>
constexpr unmap_result unmap_range(Operation& op, input_range range, Report& report) noexcept {
  detail::unmap_leaves<Operation, Report> visitor{op, range, report};
  static_cast<void>(
      walk<(walk_flag::leaf | walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
          op.policies.memory, op.root, range, visitor));
  return visitor.found;
}

template <class Operation>
constexpr void discard_range(Operation& op, input_range range) noexcept {
  detail::discard_leaves<Operation> visitor{op, range};
  static_cast<void>(
      walk<(walk_flag::leaf | walk_flag::table_pre | walk_flag::stop_on_retry), typename Operation::format>(
          op.policies.memory, op.root, range, visitor));
}

}  // namespace quire
