// SPDX-License-Identifier: MIT
// One change of attributes over a range in a read section: by compare-exchange of each leaf, of a group under its lock.
//
// A right that is taken away may stay in a cache until the invalidation; whoever then finds the entry as wanted must
// not take that for done. So a session that takes away counts itself first (reducing::begin), and one that finds
// entries as wanted while another is counted invalidates the range itself (reducing::joins).
#pragma once

#include <cstddef>  // size_t

#include <quire/table/change.hpp>                // every_page
#include <quire/table/concurrent/operation.hpp>  // concurrent_operation
#include <quire/walk/descend.hpp>                // descend_to_run

namespace quire {

// What became of entries of a run of pages.
struct page_changes {
  std::size_t first = 0;  // the entries that changed lie in [first, end)
  std::size_t end = 0;
  std::size_t at = 0;            // where `stopped`
  bool stopped = false;          // another owns the entry `at`; to those from there on nothing is done
  bool found_as_wanted = false;  // some leaf needed no change
  bool counted = false;          // the session is, in reduction_count

  [[nodiscard]] constexpr bool any() const noexcept { return end > first; }
  [[nodiscard]] constexpr entry_span changed() const noexcept { return {first, end - 1}; }
};

namespace detail {

// One entry after the other of those that are meant. end(): behind the last one passed, or 0.
class next_in_span {
 public:
  constexpr explicit next_in_span(entry_span span) noexcept : left_(span) {}
  [[nodiscard]] constexpr bool more() const noexcept { return !left_.empty(); }
  [[nodiscard]] constexpr std::size_t index() const noexcept { return left_.first; }
  [[nodiscard]] constexpr std::size_t end() const noexcept { return left_.first; }
  constexpr void next() noexcept { ++left_.first; }

 private:
  entry_span left_;
};
class next_in_mask {
 public:
  constexpr explicit next_in_mask(masked_entries entries) noexcept : left_(entries), all_(entries.bits) {}
  [[nodiscard]] constexpr bool more() const noexcept { return left_.bits != 0; }
  [[nodiscard]] constexpr std::size_t index() const noexcept { return left_.first(); }
  [[nodiscard]] constexpr std::size_t end() const noexcept {
    const masked_entries passed{left_.origin, all_ ^ left_.bits};
    return passed.bits == 0 ? 0 : passed.last() + 1;
  }
  constexpr void next() noexcept { left_.bits &= left_.bits - 1; }

 private:
  masked_entries left_;
  std::uint64_t all_;
};

// Nearly all of the work: no tables, no groups, and little is asked for each entry. What the loop needs is copied:
// stores to entries cannot change it. `Flipping`: the change has flips().
template <bool Flipping, class Run, class Entries, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_each_page(Memory& of, const Run& run, Entries entries,
                                                     const entry_change<typename Run::format::word>& of_each,
                                                     Report& report, Reducing reductions,
                                                     invalidation_reason why) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  const entry_change<word> change = of_each;
  const word flips = change.flips(), zeros = static_cast<word>(change.applies_to.mask & ~change.applies_to.value);
  memory_in_loop<Memory> memory = of;
  const table_address table = run.table;
  page_changes done;
  bool found_as_wanted = false;
  std::size_t i = 0;
  word entry = 0, after = 0;
  const auto changes = [&] {  // of what is no leaf it changes nothing
    i = entries.index();
    // Acquire: whoever left the entry as wanted was counted before (reducing::others).
    entry = memory.template load<word>(table, i, order::acquire);
    after = Flipping ? static_cast<word>(entry ^ flips) : change(entry);
    return Flipping ? static_cast<word>(~entry & change.applies_to.mask) == zeros : after != entry;
  };
  while (entries.more()) {
    if (!changes()) {
      const entry_kind kind = format::kind_of(entry, 0);
      if (kind == entry_kind::locked) {
        done.stopped = true;
        done.at = i;
        break;
      }
      found_as_wanted = found_as_wanted || kind == entry_kind::leaf;
      entries.next();
      continue;
    }
    if (!done.any()) {
      reductions.begin(why);
      done.first = i;
    }
    do {
      // Release: whoever finds the entry changed also finds this operation counted.
      if (!memory.template compare_exchange<word>(table, i, entry, after, order::release)) [[unlikely]]
        continue;
      if constexpr (!reports_nothing<format, Report>) {
        if (format::is_dirty(entry) && !format::is_dirty(after)) report(run.address(i), format::shape.leaf_bytes(0));
      }
      entries.next();
    } while (entries.more() && changes());
    done.end = entries.end();
  }
  done.found_as_wanted = found_as_wanted;
  done.counted = reductions.counted;
  return done;
}
template <class Run, class Entries, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_each_page(Memory& memory, const Run& run, Entries entries,
                                                     const entry_change<typename Run::format::word>& change,
                                                     Report& report, Reducing reductions,
                                                     invalidation_reason why) noexcept {
  if (change.flips() != 0) return change_each_page<true>(memory, run, entries, change, report, reductions, why);
  return change_each_page<false>(memory, run, entries, change, report, reductions, why);
}

}  // namespace detail

// Applies `change` to entries of a run of pages, by a compare-exchange each. Without groups.
template <class Run, class Memory, class Report, class Reducing>
[[gnu::noinline]] constexpr page_changes change_pages_concurrently(
    Memory& memory, const Run& run, entry_span pages, const entry_change<typename Run::format::word>& change,
    Report& report, Reducing reductions, invalidation_reason why) noexcept {
  return detail::change_each_page(memory, run, detail::next_in_span{pages}, change, report, reductions, why);
}
template <class Run, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_pages_concurrently(Memory& memory, const Run& run, masked_entries pages,
                                                              const entry_change<typename Run::format::word>& change,
                                                              Report& report, Reducing reductions,
                                                              invalidation_reason why) noexcept {
  // A mask without holes: the next entry need not be looked for.
  if ((pages.bits & (pages.bits >> 1U)) != 0 && is_one_stretch(pages.bits)) {
    const page_changes done = change_pages_concurrently(memory, run, entry_span{pages.first(), pages.last()}, change,
                                                        report, reductions, why);
    // One by one: a struct that a call has written stays in memory.
    return {done.first, done.end, done.at, done.stopped, done.found_as_wanted, done.counted};
  }
  return detail::change_each_page(memory, run, detail::next_in_mask{pages}, change, report, reductions, why);
}

namespace detail {

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

  constexpr void announce(const changed_leaves& leaves) noexcept {
    any = true;
    op_.changed(leaves.first, leaves.last, leaves.level, why_);
  }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && !has_groups<format>) {
      const auto done =
          change_pages_concurrently(op_.policies.memory, run, pages_.in(run), change_, report_, op_.reductions, why_);
      op_.reductions.counted = done.counted;
      found_as_wanted = found_as_wanted || done.found_as_wanted;
      if (done.any()) announce(changed_in(run, done));
      return done.stopped ? run_stop<word>::retry(done.at) : run_stop<word>::done();
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
            const entry_kind kind = format::kind_of(entry, Run::level);
            if (kind == entry_kind::locked) return run_stop<word>::retry(i);
            found_as_wanted = found_as_wanted || kind == entry_kind::leaf;
            break;
          }
          op_.reductions.begin(why_);
          // Release: whoever finds the entry changed also finds this operation counted.
          if (op_.policies.memory.template compare_exchange<word>(run.table, i, entry, after, order::release)) {
            if (loses_dirty(entry)) report_(run.address(i), format::shape.leaf_bytes(Run::level));
            announce(changed_in(run, span));
            break;
          }
        }
      }
      return run_stop<word>::done();
    }
  }

 private:
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

}  // namespace detail

// How far a change has come: nothing is left to do below `from`.
struct change_progress {
  input_address from{};
  changed_leaves changed{};
  bool found_as_wanted = false;
};
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr changed_leaves changed_in(const Run& run, const page_changes& done) noexcept {
  if (!done.any()) return {};
  return changed_in(run, done.changed());
}

// Changes every leaf that overlaps the rest of `pages`, whole leaves. Gives whether any changed.
template <class Operation, class Section, class Report, class Pages>
constexpr bool change_concurrently(Operation& op, Section& section, const Pages& pages,
                                   const entry_change<typename Operation::word>& change, invalidation_reason why,
                                   Report& report, const change_progress& so_far) noexcept {
  detail::concurrent_change<Operation, Report, Pages> visitor{op, change, why, report, pages};
  if (so_far.changed.any) visitor.announce(so_far.changed);
  visitor.found_as_wanted = so_far.found_as_wanted;
  const input_range all = pages.range();
  const input_range rest = all.first() < so_far.from ? input_range::closed(so_far.from, all.last()) : all;
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, rest, visitor));
  const bool any = visitor.any;
  if (visitor.found_as_wanted && op.reductions.joins(why)) visitor.announce({all.first(), all.last(), -1, true});
  return any;
}

}  // namespace quire
