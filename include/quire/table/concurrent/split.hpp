// SPDX-License-Identifier: MIT
// Splitting in a read section: lock up to `batch` leaves, invalidate once, then publish their tables.
//
// Every format breaks before it makes here: until the invalidation a cache may hold the block, and somebody else's
// invalidation of a page of it, announced with the page's level, need not reach that.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/concurrent/operation.hpp>  // concurrent_operation
#include <quire/table/split.hpp>                 // split_result, split_work
#include <quire/table/subtree.hpp>               // build_subtree

namespace quire::detail {

// Visitor: as split_leaves of split.hpp.
template <class Operation, class Source>
class concurrent_split {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr int batch = 8;

 public:
  constexpr concurrent_split(Operation& op, Source& source, input_range range, int target) noexcept
      : op_(op), source_(source), range_(range), target_(target) {}

  [[nodiscard]] constexpr const split_result& result() const noexcept { return result_; }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    split_work<word> work[batch];
    int n = 0;
    const auto stop = [&](run_stop<word> why) {
      if constexpr (Run::level > 0) publish(run, work, n);
      return why;
    };
    for (std::size_t i = run.first; i <= run.last; ++i) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) {
        if constexpr (!Run::passes_tables) return stop(run_stop<word>::at_table(i, entry));
        i = skip_tables<Run::level, format, order::acquire>(memory, run.table, i + 1, run.last) - 1;
        continue;
      }
      if (kind == entry_kind::locked) return stop(run_stop<word>::retry(i));
      if (kind != entry_kind::leaf || Run::level < target_) continue;
      if constexpr (has_groups<format>) {
        const entry_span span = group_span<format>(entry, Run::level, i);
        if (span.first != span.last) {
          if (!break_group(run, span)) return stop(run_stop<word>::retry(span.first));
          --i;  // now single leaves: judged anew
          continue;
        }
      }
      if constexpr (Run::level > 0) {
        if (Run::level == target_) continue;
        const bool inside = range_.first() <= run.address(i) && run.address(i + 1) - 1 <= range_.last();
        const bool whole = inside && source_.reserve(tables_to_split<format>(Run::level, target_));
        const int target = whole ? target_ : Run::level - 1;
        if (!whole && !source_.reserve(1)) {
          result_.out_of_memory = true;
          result_.stopped_at = run.address(i);
          return stop(run_stop<word>::failed(i, errc::no_memory));
        }
        const auto subtree = build_subtree<Run::level>(op_, source_, entry, target);
        if (!own(run, i, entry, subtree.address(), target)) {
          give_back_subtree<format, Run::level>(memory, source_, subtree.address(), target);
          return stop(run_stop<word>::retry(i));
        }
        work[n++] = {i, entry, subtree.link(), target};
        ++result_.leaves;
        result_.tables += tables_to_split<format>(Run::level, target);
        if (target != target_ && !Run::passes_tables) {
          const word made = publish(run, work, n);
          return run_stop<word>::made_table(i, made);
        }
        if (n == batch) publish(run, work, n);
      }
    }
    return stop(run_stop<word>::done());
  }

 private:
  // Locks the leaf that the subtree was built from; what the hardware or another added meanwhile goes into the subtree.
  template <class Run>
  constexpr bool own(const Run& run, std::size_t i, word& entry, table_address table, int target) noexcept {
    while (!op_.lock(run.table, i, entry)) {
      if (format::kind_of(entry, Run::level) != entry_kind::leaf || format::group_of(entry, Run::level) != 0)
        return false;
      rewrite_subtree<Run::level>(op_, table, entry, target);
    }
    return true;
  }
  template <class Run>
  constexpr word publish(const Run& run, split_work<word>* work, int& n) noexcept {
    if (n == 0) return 0;
    const input_address first = run.address(work[0].index), last = run.address(work[n - 1].index + 1) - 1;
    op_.invalidate_now(first, last, Run::level, true);
    word made = 0;
    for (int k = 0; k < n; ++k) {
      made = work[k].link;
      op_.store(run.table, work[k].index, made);
    }
    op_.policies.maintenance.published();
    // `locked` may have been cached as "not mapped" since it was invalidated.
    if constexpr (format::facts.caches_invalid) op_.changed(first, last, -1, invalidation_reason::installed);
    n = 0;
    return made;
  }
  // A group becomes single leaves; what was accessed or dirty of it, all of them are.
  template <class Run>
  constexpr bool break_group(const Run& run, entry_span span) noexcept {
    if (!lock_group<Run::level>(op_, run.table, span)) return false;
    const input_address begin = run.address(span.first), end = run.address(span.last + 1) - 1;
    op_.invalidate_now(begin, end, Run::level, true);
    const word sample = op_.owned(run.table, span.first);
    attributes kept = format::attributes_of(sample, Run::level);
    for (std::size_t k = span.first; k <= span.last; ++k) {
      const word entry = op_.owned(run.table, k);
      kept.accessed = kept.accessed || format::is_accessed(entry);
      kept.dirty = kept.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    const word first = *format::leaf(format::output_of(sample, Run::level), kept, Run::level, 0);
    const word step = format::step(Run::level, 0);
    for (std::size_t k = span.last + 1; k-- > span.first;)
      op_.store(run.table, k, static_cast<word>(first + (k - span.first) * step));
    op_.policies.maintenance.published();
    if constexpr (format::facts.caches_invalid) op_.changed(begin, end, Run::level, invalidation_reason::installed);
    return true;
  }

  Operation& op_;
  Source& source_;
  input_range range_;
  int target_;
  split_result result_{};
};

}  // namespace quire::detail

namespace quire {

// Splits every leaf above `target` in the range. All or nothing for each leaf; the result says how far it came.
template <walk_flags Skip, class Operation, class Section, class Source>
constexpr split_result split_concurrently(Operation& op, Section& section, Source& source, input_range range,
                                          int target) noexcept {
  detail::concurrent_split<Operation, Source> visitor{op, source, range, target};
  static_cast<void>(concurrent_walk<(walk_flag::leaf | Skip)>(op, section, range, visitor));
  return visitor.result();
}

}  // namespace quire
