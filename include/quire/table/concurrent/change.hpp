// SPDX-License-Identifier: MIT
// One change of attributes over a range in a read section: by compare-exchange of each leaf, of a group under its lock.
//
// A right that is taken away may stay in a cache until the invalidation; whoever then finds the entry as wanted must
// not take that for done. So an operation that takes away counts itself first (reduces()), and one that finds entries
// as wanted while another is counted invalidates the range itself.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/change.hpp>                // every_page
#include <quire/table/concurrent/operation.hpp>  // concurrent_operation

namespace quire::detail {

template <class Operation, class Report, class Pages>
class concurrent_change {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_change(Operation& op, const entry_change<word>& change, invalidation_reason why, Report& report,
                              const Pages& pages) noexcept
      : op_(op), change_(change), why_(why), report_(report), pages_(pages) {}

  bool any = false;
  bool found_as_wanted = false;  // some leaf needed no change

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && !has_groups<format>) {
      // A mask without holes: the next entry need not be looked for.
      if (pages_.all(run)) return pages(run, every_page{}.of(run));
      return pages(run, pages_.of(run));
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        word entry = op_.policies.memory.template load<word>(run.table, i, order::acquire);
        for (;;) {
          if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
          const entry_span span = group_span<format>(entry, Run::level, i);
          if (!pages_.any(run.address(span.first), run.address(span.last + 1) - 1)) {
            i = span.last;
            break;
          }
          if (span.first != span.last) {
            if (!change_group(run, span)) return run_stop<word>::retry(span.first);
            i = span.last;
            break;
          }
          const word after = change_(entry);
          if (after == entry) {
            if (!passes<Run::level>(entry)) return run_stop<word>::retry(i);
            break;
          }
          if (why_ == invalidation_reason::reduced) op_.reduces();
          if (exchange(run, op_.policies.memory, i, entry, after)) {
            announce(run, i, i);
            break;
          }
        }
      }
      return run_stop<word>::done();
    }
  }

 private:
  // Nearly all of the work: no tables, no groups, and little is asked for each entry. What the loop needs is copied:
  // stores to entries cannot change it.
  template <class Run, class Entries>
  constexpr run_stop<word> pages(Run run, Entries entries) noexcept {
    const entry_change<word> change = change_;
    memory_in_loop<decltype(op_.policies.memory)> memory = op_.policies.memory;
    word entry = 0, after = 0;
    const auto read = [&] {
      entry = memory.template load<word>(run.table, entries.index(), order::acquire);
      after = change(entry);  // of what is no leaf it changes nothing
    };
    for (;; entries.next()) {
      if (!entries.more()) return run_stop<word>::done();
      read();
      if (after != entry) break;
      if (!passes<0>(entry)) return run_stop<word>::retry(entries.index());
    }
    const std::size_t first = entries.index();
    if (why_ == invalidation_reason::reduced) op_.reduces();
    for (std::size_t last = first;;) {
      if (after != entry) [[likely]] {
        if (!exchange(run, memory, entries.index(), entry, after)) {
          after = change(entry);
          continue;
        }
        last = entries.index();
      } else if (!passes<0>(entry)) {
        announce(run, first, last);
        return run_stop<word>::retry(entries.index());
      }
      entries.next();
      if (!entries.more()) {
        announce(run, first, last);
        return run_stop<word>::done();
      }
      read();
    }
  }

  // Whether an entry to which nothing is to be done can be passed: not if another owns it.
  template <int Level>
  [[nodiscard]] constexpr bool passes(word entry) noexcept {
    const entry_kind kind = format::kind_of(entry, Level);
    found_as_wanted = found_as_wanted || kind == entry_kind::leaf;
    return kind != entry_kind::locked;
  }
  // Release: whoever finds the entry changed also finds this operation counted.
  template <class Run, class Memory>
  [[nodiscard]] QUIRE_INLINE constexpr bool exchange(const Run& run, Memory& memory, std::size_t i, word& entry,
                                                     word after) noexcept {
    if (!memory.template compare_exchange<word>(run.table, i, entry, after, order::release)) [[unlikely]]
      return false;
    if constexpr (!reports_nothing<format, Report>) {
      if (loses_dirty(entry)) report_(run.address(i), format::shape.leaf_bytes(Run::level));
    }
    return true;
  }
  template <class Run>
  constexpr void announce(const Run& run, std::size_t first, std::size_t last) noexcept {
    any = true;
    op_.changed(run.address(first), run.address(last + 1) - 1, Run::level, why_);
  }
  [[nodiscard]] constexpr bool loses_dirty(word entry) const noexcept {
    return format::facts.has_dirty && format::is_dirty(entry) && !format::is_dirty(change_(entry));
  }
  // False: another owns it.
  template <class Run>
  constexpr bool change_group(const Run& run, entry_span span) noexcept {
    auto& memory = op_.policies.memory;
    bool all = true;
    for (std::size_t k = span.first; k <= span.last && all; ++k) {
      const word entry = memory.template load<word>(run.table, k, order::relaxed);
      if (format::kind_of(entry, Run::level) != entry_kind::leaf) return false;
      all = change_(entry) == entry;
    }
    if (all) {
      found_as_wanted = true;
      return true;
    }
    const input_address begin = run.address(span.first), end = run.address(span.last + 1) - 1;
    if (!lock_group<Run::level>(op_, run.table, span)) return false;
    op_.invalidate_now(begin, end, Run::level, true);
    bool cleaned = false;
    for (std::size_t k = span.first; k <= span.last; ++k) cleaned = cleaned || loses_dirty(op_.owned(run.table, k));
    // From the last to the first: the first is the lock.
    for (std::size_t k = span.last + 1; k-- > span.first;) op_.store(run.table, k, change_(op_.owned(run.table, k)));
    op_.policies.maintenance.published();
    any = true;
    if constexpr (format::facts.caches_invalid) op_.changed(begin, end, Run::level, invalidation_reason::installed);
    if (cleaned) report_(begin, end - begin + 1);
    return true;
  }

  Operation& op_;
  entry_change<word> change_;
  invalidation_reason why_;
  Report& report_;
  Pages pages_;
};

}  // namespace quire::detail

namespace quire {

// Changes every leaf that overlaps `pages` of the range, whole leaves. Gives whether any changed.
template <class Operation, class Section, class Report, class Pages = every_page>
constexpr bool change_concurrently(Operation& op, Section& section, input_range range,
                                   const entry_change<typename Operation::word>& change, invalidation_reason why,
                                   Report& report, const Pages& pages = {}) noexcept {
  detail::concurrent_change<Operation, Report, Pages> visitor{op, change, why, report, pages};
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, range, visitor));
  if (why == invalidation_reason::reduced && visitor.found_as_wanted && op.others_reduce()) {
    op.reduces();
    op.changed(range.first(), range.last(), -1, invalidation_reason::reduced);
  }
  return visitor.any;
}

}  // namespace quire
