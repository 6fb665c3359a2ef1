// SPDX-License-Identifier: MIT
// Mapping in a read section: absent entries become leaves or tables by compare-exchange, entry by entry.
//
// A guard is asked whether what the caller knows of the host's memory still holds, between locking an entry and storing
// what is to be there. Whoever invalidates the range first says so (invalidation_sequence.hpp), fences, and then waits
// at entries that are locked: so either the guard sees the announcement, or the invalidation sees the leaf. Without the
// lock an installer that has asked could still store after the invalidation went by.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/concurrent/operation.hpp>  // concurrent_operation
#include <quire/table/map.hpp>                   // commit_map, check_mapping
#include <quire/table/subtree.hpp>               // give_back_subtree

namespace quire {

// The guard of a caller who knows that nothing is invalidated meanwhile.
struct unguarded {};

namespace detail {

template <class Operation, class Source, class Guard>
class concurrent_map : commit_map<Operation, Source> {
  using base = commit_map<Operation, Source>;
  using base::op_;
  using base::plan_;
  using base::source_;
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool guarded = !std::is_same_v<Guard, unguarded>;

 public:
  constexpr concurrent_map(Operation& op, Source& source, const mapping_plan<format>& plan, Guard& guard) noexcept
      : base(op, source, plan, false), guard_(guard) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::locked: return run_stop<word>::retry(i);
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::leaf: {
          const entry_span span = group_span<format>(entry, Run::level, i);
          const errc said = add_rights(run, span, entry);
          if (said == errc::busy) continue;  // it changed meanwhile
          if (said != errc::none) return run_stop<word>::failed(i, said);
          i = span.last + 1;
          continue;
        }
        case entry_kind::absent: break;
      }
      bool whole = plan_.covers(run.address(i), run.address(i + 1) - 1);
      const std::size_t first = i;
      word made = 0;
      const errc said =
          whole && plan_.choice.level_fits(Run::level) ? install_leaves(run, i) : install_table(run, i, whole, made);
      if (i != first) op_.installed();
      if (said != errc::none && said != errc::busy) return run_stop<word>::failed(i, said);
      if (made != 0 && !whole && said == errc::none) return run_stop<word>::made_table(first, made);
    }
    return run_stop<word>::done();
  }

 private:
  // Stores `now` over the absent entry. busy: it is not absent any more. stopped: the guard says no.
  constexpr errc install(table_address table, std::size_t i, word now) noexcept {
    word seen = 0;
    if constexpr (!guarded) {
      // Release: what the entry leads to is complete before a walker can follow it.
      return op_.policies.memory.template compare_exchange<word>(table, i, seen, now, order::acq_rel) ? errc::none
                                                                                                      : errc::busy;
    } else {
      if (!op_.lock_absent(table, i, seen)) return errc::busy;
      const bool stale = must_retry();
      op_.store(table, i, stale ? word{0} : now);
      return stale ? errc::stopped : errc::none;
    }
  }
  [[nodiscard]] constexpr bool must_retry() noexcept {
    if constexpr (guarded) {
      atomic::fence(order::seq_cst);  // the lock is seen before the guard looks
      return guard_();
    } else return false;
  }

  // Leaves over the absent entries from i on, which becomes the first that was not written.
  template <class Run>
  constexpr errc install_leaves(const Run& run, std::size_t& i) noexcept {
    std::size_t n = this->last_covered(run) - i + 1;
    if constexpr (has_groups<format>) {
      const int group = plan_.choice.group(Run::level, i, i + n - 1);
      if (group != 0) return install_group(run, i, group);
      n = this->singles(Run::level, i, i + n - 1);
    }
    n = this->linear(Run::level, run.address(i), n);
    word leaf = plan_.leaf_at(run.address(i), Run::level, 0);
    for (const std::size_t end = i + n; i != end; ++i) {
      if (const errc said = install(run.table, i, leaf); said != errc::none) return said;
      leaf = static_cast<word>(leaf + format::step(Run::level, 0));
    }
    return errc::none;
  }
  // Where not all entries are absent, those before the first that is not become smaller leaves: who has locked an entry
  // has always done something with it, or two who meet here could undo each other's locks for ever.
  template <class Run>
  constexpr errc install_group(const Run& run, std::size_t& next, int group) noexcept {
    const std::size_t size = std::size_t{1} << group, first = next;
    std::size_t owned = 0;
    word seen = 0;
    while (owned < size && op_.lock_absent(run.table, first + owned, seen)) ++owned;
    if (owned == 0) return errc::busy;
    const std::size_t last = first + owned - 1;
    const bool stale = must_retry();
    for (std::size_t i = first; i <= last;) {
      const int fitting = plan_.choice.group(Run::level, i, last);
      const word leaf = plan_.leaf_at(run.address(i), Run::level, fitting);
      const word step = format::step(Run::level, fitting);
      for (std::size_t k = std::size_t{1} << fitting; k-- != 0;)  // the first last: it is the lock
        op_.store(run.table, i + k, stale ? word{0} : static_cast<word>(leaf + k * step));
      i += std::size_t{1} << fitting;
    }
    if (stale) return errc::stopped;
    next = last + 1;
    return errc::none;
  }
  // A table in place of the absent entry: filled if the range covers it and there are tables enough, else empty.
  template <class Run>
  constexpr errc install_table(const Run& run, std::size_t& i, bool& whole, word& made) noexcept {
    if constexpr (Run::level == 0) return errc::unsupported_level;  // pages always fit
    else {
      int target = Run::level - 1;
      while (target > 0 && !plan_.choice.level_fits(target)) --target;
      whole = whole && source_.reserve(tables_to_split<format>(Run::level, target));
      if (!whole && !source_.reserve(1)) return errc::no_memory;
      const auto child = source_.take(whole ? table_contents::any : table_contents::zeroed);
      QUIRE_EXPECTS(child.has_value());
      made = (whole ? this->template fill<Run::level - 1>(*child, run.address(i))
                    : filled_table<format, Run::level - 1>{op_.policies.maintenance, *child})
                 .link();
      const errc said = install(run.table, i, made);
      if (said != errc::none)
        give_back_subtree<format, Run::level>(op_.policies.memory, source_, *child, whole ? target : Run::level - 1);
      else ++i;
      return said;
    }
  }

  // A leaf that is there already must lead to the same place; rights that it lacks are added to the whole of it.
  template <class Run>
  constexpr errc add_rights(const Run& run, entry_span span, word entry) noexcept {
    const input_address first = run.address(span.first), last = run.address(span.last + 1) - 1;
    const attributes have = format::attributes_of(entry, Run::level);
    if (format::output_of(entry, Run::level) != plan_.output_at(first) || !translates_alike(have, plan_.wanted))
      return errc::already_mapped;
    if (have.allowed.contains(plan_.wanted.allowed)) return errc::none;
    const auto change = format::relax(plan_.wanted.allowed);
    if (!plan_.covers(first, last) || !change || !change->applies_to(entry)) return errc::already_mapped;
    if (span.first != span.last ? !lock_group<Run::level>(op_, run.table, span)
                                : !op_.lock(run.table, span.first, entry))
      return errc::busy;
    const bool stale = must_retry();
    for (std::size_t k = span.last + 1; k-- > span.first;) {
      const word was = op_.owned(run.table, k);
      op_.store(run.table, k, stale ? was : (*change)(was));
    }
    if (stale) return errc::stopped;
    op_.changed(first, last, Run::level, invalidation_reason::relaxed);
    return errc::none;
  }

  Guard& guard_;
};

}  // namespace detail

// Errors: those of check_mapping, before anything is changed. With the input address of the first entry not mapped:
// already_mapped, marked; no_memory; stopped (the guard said that the host's mapping is changing).
template <pte_format Format, class P, class Section, class Source, class Guard>
[[gnu::noinline]] constexpr result<void> map_concurrently(concurrent_operation<Format, P>& op, Section& section,
                                                          Source& source, input_range range, output_address output,
                                                          const attributes& wanted, const map_options& options,
                                                          Guard& guard) noexcept {
  if (const auto legal = check_mapping<Format>(range, output, wanted, options); !legal) return legal;
  const detail::mapping_plan<Format> plan{
      range, output, wanted, {range.first().value ^ output.value, options.largest_level, options.groups}};
  if (wanted.allowed.contains(executable))
    op.policies.maintenance.code_visible(output, range.last() - range.first() + 1);
  detail::concurrent_map<concurrent_operation<Format, P>, Source, Guard> visitor{op, source, plan, guard};
  const error said = concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, range, visitor);
  if (said.code != errc::none) return said;
  return {};
}

}  // namespace quire
