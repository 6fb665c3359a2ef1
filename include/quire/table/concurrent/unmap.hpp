// SPDX-License-Identifier: MIT
// Unmapping in a read section: lock, collect, invalidate, then absent; a table that the range covers wholly is
// unlinked.
//
// An entry reads as absent only once no cache knows what it said: whoever finds it absent may install at once.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/table/concurrent/operation.hpp>  // concurrent_operation
#include <quire/table/unmap.hpp>                 // unmap_result, removed_leaf

namespace quire::detail {

template <class Operation, class Section, class Report>
class concurrent_unmap {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool reports_each = !std::is_same_v<Report, std::nullptr_t>;

 public:
  constexpr concurrent_unmap(Operation& op, Section& section, input_range range, Report& report) noexcept
      : op_(op), section_(section), range_(range), report_(report), found{.covered = range} {}

 private:
  Operation& op_;
  Section& section_;
  input_range range_;
  Report& report_;

 public:
  unmap_result found;

  // Locks the leaves of the run, up to 64 entries at a time, so that one invalidation serves them.
  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    std::size_t begin = run.first, end = run.last;
    if constexpr (has_groups<format>) {  // a group is one leaf
      begin = group_span<format>(memory.template load<word>(run.table, begin, order::acquire), Run::level, begin).first;
      end = group_span<format>(memory.template load<word>(run.table, end, order::acquire), Run::level, end).last;
    }
    std::size_t base = begin;
    std::uint64_t mine = 0;  // bit b: entry base + b is locked by this operation
    taken_leaves taken;      // what those said
    for (std::size_t i = begin; i <= end;) {
      if (i - base >= 64) {
        clear(run, base, mine, taken);
        base = i;
      }
      word entry = memory.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::absent) {
        ++i;
      } else if (kind == entry_kind::table || kind == entry_kind::locked) {
        clear(run, base, mine, taken);
        return kind == entry_kind::table ? run_stop<word>::at_table(i, entry) : run_stop<word>::retry(i);
      } else if (kind == entry_kind::marker) {
        // No cache knows a marker.
        if (memory.template compare_exchange<word>(run.table, i, entry, word{0}, order::acq_rel)) ++i;
      } else {
        const entry_span span = group_span<format>(entry, Run::level, i);
        if (span.first < i || span.last - base >= 64) {
          clear(run, base, mine, taken);
          base = i = span.first;
        }
        const std::size_t behind =
            take<Run::level>(run.table, span, end < base + 63 ? end : base + 63, entry, run.base, taken);
        if (behind == i) continue;
        const std::size_t size = behind - i;
        mine |= (size >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1) << (i - base);
        i = behind;
      }
    }
    clear(run, base, mine, taken);
    return run_stop<word>::done();
  }

  // A table whose every translation is in the range is unlinked, with all below it.
  template <class Position>
  constexpr errc table_pre(const Position& at) noexcept {
    const input_address last = at.address + (format::shape.leaf_bytes(Position::level) - 1);
    if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    word entry = at.entry;
    if (!op_.lock(at.table, at.index, entry)) return errc::busy;
    const table_address table = format::table_of(at.entry, Position::level);
    freeze<Position::level - 1>(table, at.address);
    unlink<Position::level - 1>(op_.invalidate_now(at.address, last, -1, false), table);
    op_.store(at.table, at.index, word{0});
    return errc::none;
  }

 private:
  // Locks every entry of a table that this operation has cut off, and of those below it, and says what was there.
  // Waits for the owners of entries in it: they wait for nothing that this operation has.
  template <int Level>
  constexpr void freeze(table_address table, input_address base) noexcept {
    auto& memory = op_.policies.memory;
    const std::uint64_t bytes = format::shape.leaf_bytes(Level);
    constexpr std::size_t last = format::shape.entries(Level) - 1;
    taken_leaves taken;
    for (std::size_t i = 0; i <= last;) {
      word entry = memory.template load<word>(table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Level);
      if (kind == entry_kind::locked) {
        section_.pause();
      } else if (kind == entry_kind::absent || kind == entry_kind::marker) {
        // Locked as if it were absent: a marker's payload goes with it.
        if (memory.template compare_exchange<word>(table, i, entry, format::locked, order::acq_rel)) ++i;
      } else if (kind == entry_kind::leaf) {
        i = take<Level>(table, group_span<format>(entry, Level, i), last, entry, base.value, taken);
      } else if (op_.lock(table, i, entry)) {
        if constexpr (Level > 0) freeze<Level - 1>(format::table_of(entry, Level), base + i * bytes);
        ++i;
      }
    }
    if (taken.entries != 0) taken.add_to(found, base + taken.first * bytes, base + ((taken.last + 1) * bytes - 1));
  }
  // Puts a frozen table, and those below it, on the list of those to be retired.
  template <int Level>
  constexpr void unlink(invalidated done, table_address table) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
        const word locked = op_.policies.memory.template load<word>(table, i, order::relaxed);
        if (locked == format::locked) continue;
        const word was = format::unlock(locked);
        if (format::kind_of(was, Level) == entry_kind::table) unlink<Level - 1>(done, format::table_of(was, Level));
      }
    }
    op_.unlinked(done, table);
  }
  // Locks the leaf of entries `span`, which read as `seen`, and, if it is a single one, those single ones up to entry
  // `last` that follow it. Gives the first entry that is not locked: that of the leaf where it is no longer what it
  // was.
  template <int Level>
  constexpr std::size_t take(table_address table, entry_span span, std::size_t last, word seen, std::uint64_t base,
                             taken_leaves& taken) noexcept {
    if (span.first == span.last) return take_singles<Level>(table, span.first, last, seen, base, taken);
    if (!lock_group<Level>(op_, table, span)) return span.first;
    bool accessed = false, dirty = false;
    for (std::size_t k = span.first; k <= span.last; ++k) {
      const word was = op_.owned(table, k);
      accessed = accessed || format::is_accessed(was);
      dirty = dirty || is_dirty(was);
    }
    taken.add(span, accessed, dirty);
    if constexpr (reports_each) report<Level>(op_.owned(table, span.first), span, base, accessed, dirty);
    return span.last + 1;
  }
  template <int Level>
  QUIRE_INLINE constexpr std::size_t take_singles(table_address table, std::size_t first, std::size_t last, word entry,
                                                  std::uint64_t base, taken_leaves& taken) noexcept {
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    kernel::gathered_bits<word> bits;
    std::size_t i = first;
    // As operation::lock(). What is locked stays what it was until clear().
    while (memory.template compare_exchange<word>(table, i, entry, format::lock(entry), order::acq_rel)) {
      bits.add(entry);
      if constexpr (reports_each) report<Level>(entry, {i, i}, base, format::is_accessed(entry), is_dirty(entry));
      if (i++ == last) break;
      entry = memory.template load<word>(table, i, order::acquire);
      if (format::kind_of(entry, Level) != entry_kind::leaf || format::group_of(entry, Level) != 0) break;
    }
    if (i == first) return i;
    const auto any = [&](const auto& test) {
      if (bits.decides(test)) return !bits.none(test);
      for (std::size_t k = first; k < i; ++k)
        if (test(op_.owned(table, k))) return true;
      return false;
    };
    taken.add({first, i - 1}, any(format::is_accessed), format::facts.has_dirty && any(format::is_dirty));
    return i;
  }
  [[nodiscard]] static constexpr bool is_dirty(word entry) noexcept {
    return format::facts.has_dirty && format::is_dirty(entry);
  }
  template <int Level>
  constexpr void report(word was, entry_span span, std::uint64_t base, bool accessed, bool dirty) noexcept {
    attributes attrs = format::attributes_of(was, Level);
    attrs.accessed = accessed;
    attrs.dirty = dirty;
    const std::uint64_t bytes = format::shape.leaf_bytes(Level);
    const input_address address = input_address{base} + span.first * bytes;
    for (std::size_t k = 0; k <= span.last - span.first; ++k)
      report_(removed_leaf{address + k * bytes, format::output_of(was, Level) + k * bytes, bytes, attrs});
  }
  // Ends what leaves() began: forgotten by every cache, then absent, the first entry of a group last. A group that is
  // met afterwards may begin before what was taken here, so that is told now.
  template <class Run>
  constexpr void clear(const Run& run, std::size_t base, std::uint64_t& mine, taken_leaves& taken) noexcept {
    if (mine == 0) return;
    const std::size_t first = taken.first, last = taken.last;
    taken.add_to(found, run.address(first), run.address(last + 1) - 1);
    op_.invalidate_now(run.address(first), run.address(last + 1) - 1, Run::level, true);
    const bool all = last - first >= 64;  // a group that is larger than a batch, and by itself
    for (std::size_t i = last + 1; i-- > first;)
      if (all || (mine >> (i - base) & 1U) != 0) op_.store(run.table, i, word{0});
    mine = 0;
    taken = {};
  }
};

}  // namespace quire::detail

namespace quire {

// Takes whole leaves and markers away that overlap the range. All or nothing for each leaf and each table.
template <class Operation, class Section, class Report>
constexpr unmap_result unmap_concurrently(Operation& op, Section& section, input_range range, Report& report) noexcept {
  detail::concurrent_unmap<Operation, Section, Report> visitor{op, section, range, report};
  static_cast<void>(concurrent_walk<(walk_flag::leaf | walk_flag::table_pre)>(op, section, range, visitor));
  return visitor.found;
}

}  // namespace quire
