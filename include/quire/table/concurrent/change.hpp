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
    for (std::size_t i = run.first; i <= run.last; ++i) {
      word entry = op_.policies.memory.template load<word>(run.table, i, order::acquire);
      for (;;) {
        const entry_kind kind = format::kind_of(entry, Run::level);
        if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
        if (kind == entry_kind::locked) return run_stop<word>::retry(i);
        if (kind != entry_kind::leaf) break;
        if constexpr (has_groups<format>) {
          const entry_span span = group_span<format>(entry, Run::level, i);
          if (span.first != span.last) {
            if (pages_.any(run.address(span.first), run.address(span.last + 1) - 1) && !change_group(run, span))
              return run_stop<word>::retry(span.first);
            i = span.last;
            break;
          }
        }
        if (!pages_.any(run.address(i), run.address(i + 1) - 1)) break;
        const word after = change_(entry);
        if (after == entry) {
          found_as_wanted = true;
          break;
        }
        if (why_ == invalidation_reason::reduced) op_.reduces();
        // Release: whoever finds the entry changed also finds this operation counted.
        if (op_.policies.memory.template compare_exchange<word>(run.table, i, entry, after, order::release)) {
          changed(run, i, i, loses_dirty(entry));
          break;
        }
      }
    }
    return run_stop<word>::done();
  }

 private:
  [[nodiscard]] constexpr bool loses_dirty(word entry) const noexcept {
    return format::facts.has_dirty && format::is_dirty(entry) && !format::is_dirty(change_(entry));
  }
  template <class Run>
  constexpr void changed(const Run& run, std::size_t first, std::size_t last, bool cleaned) noexcept {
    any = true;
    const input_address begin = run.address(first), end = run.address(last + 1) - 1;
    op_.changed(begin, end, Run::level, why_);
    if (cleaned) report_(begin, end - begin + 1);
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
