// SPDX-License-Identifier: MIT
// Splitting: a leaf becomes a table of smaller leaves with the same translation and every attribute kept.
//
// Order. The new tables are complete before they are published: by one release store, or compare-exchange where the
// hardware may add accessed or dirty meanwhile (then the children are written again). With break-before-make up to
// `batch` leaves of a table are built, then all broken (-> locked), then invalidated once, then made; what the hardware
// added until the break is carried into the children.
#pragma once

#include <cstddef>  // size_t

#include <quire/policy/update.hpp>  // update
#include <quire/table/subtree.hpp>  // build_subtree
#include <quire/walk/descend.hpp>   // descend

namespace quire {

// What a split did. `out_of_memory`: it stopped at `stopped_at`, all before it is split; the table is whole.
struct split_result {
  std::size_t leaves = 0;  // leaves that became tables
  std::size_t tables = 0;  // tables taken
  bool out_of_memory = false;
  input_address stopped_at{};
};

// A leaf, and the entry that links the subtree which is to take its place.
template <class Word>
struct split_work {
  std::size_t index;
  Word entry;
  Word link;
  int target;
};

// Turns groups into single leaves, keeping translation and attributes; accessed and dirty of the group go to each.
template <int Level, pte_format Format, class P>
constexpr void break_group(operation<Format, P>& op, table_address table, std::uint64_t base,
                           entry_span span) noexcept {
  using word = typename Format::word;
  auto& memory = op.policies.memory;
  const auto address = [&](std::size_t i) {
    return input_address{base + (std::uint64_t{i} << Format::shape.shift(Level))};
  };
  const word sample = memory.template load<word>(table, span.first, order::relaxed);
  attributes kept = Format::attributes_of(sample, Level);
  const output_address output = Format::output_of(sample, Level);
  const auto collect = [&](word entry) {
    kept.accessed = kept.accessed || Format::is_accessed(entry);
    kept.dirty = kept.dirty || (Format::facts.has_dirty && Format::is_dirty(entry));
  };
  const auto single = [&]() { return *Format::leaf(output, kept, Level, 0); };  // a part of an encodable leaf
  const word step = Format::step(Level, 0);
  if constexpr (operation<Format, P>::breaks) {
    for (std::size_t i = span.first; i <= span.last; ++i)
      collect(memory.template exchange<word>(table, i, Format::locked, order::acq_rel));
    op.invalidate_now(address(span.first), address(span.last + 1) - 1, Level, true);
    const word first = single();
    for (std::size_t i = span.first; i <= span.last; ++i)
      memory.template store<word>(table, i, static_cast<word>(first + (i - span.first) * step), order::release);
    op.policies.maintenance.published();
    // `locked` may have been cached as "not mapped" since it was invalidated.
    if constexpr (Format::facts.caches_invalid)
      op.changed(address(span.first), address(span.last + 1) - 1, Level, invalidation_reason::installed);
  } else {
    // Entries are rewritten one by one; a bit that the hardware sets in a later one after an earlier one was written is
    // found by the exchange and given to all in a second round.
    for (std::size_t i = span.first; i <= span.last; ++i) collect(memory.template load<word>(table, i, order::relaxed));
    attributes written;
    do {
      written = kept;
      const word first = single();
      for (std::size_t i = span.first; i <= span.last; ++i)
        collect(memory.template exchange<word>(table, i, static_cast<word>(first + (i - span.first) * step),
                                               order::acq_rel));
    } while (written != kept);
    op.changed(address(span.first), address(span.last + 1) - 1, Level, invalidation_reason::resized);
  }
}

// Publishes the subtrees of `work` (n of them, one table) in place of their leaves. Gives the last table entry.
template <int Level, pte_format Format, class P>
constexpr typename Format::word publish_splits(operation<Format, P>& op, table_address table, std::uint64_t base,
                                               split_work<typename Format::word>* work, int n) noexcept {
  using word = typename Format::word;
  auto& memory = op.policies.memory;
  constexpr int shift = Format::shape.shift(Level);
  const auto address = [&](std::size_t i) { return input_address{base + (std::uint64_t{i} << shift)}; };
  word last{};
  if constexpr (operation<Format, P>::breaks) {
    for (int k = 0; k < n; ++k) {
      const word seen = memory.template exchange<word>(table, work[k].index, Format::locked, order::acq_rel);
      if (seen != work[k].entry)
        rewrite_subtree<Level>(op, Format::table_of(work[k].link, Level), seen, work[k].target);
    }
    op.invalidate_now(address(work[0].index), address(work[n - 1].index + 1) - 1, Level, true);
    for (int k = 0; k < n; ++k) {
      last = work[k].link;
      memory.template store<word>(table, work[k].index, last, order::release);
      if constexpr (Format::facts.caches_invalid)
        op.changed(address(work[k].index), address(work[k].index + 1) - 1, Level, invalidation_reason::installed);
    }
    op.policies.maintenance.published();
  } else {
    for (int k = 0; k < n; ++k) {
      last = work[k].link;
      word seen = work[k].entry;
      if (!hardware_may_write<Format>(seen)) memory.template store<word>(table, work[k].index, last, order::release);
      else
        while (!memory.template compare_exchange<word>(table, work[k].index, seen, last, order::acq_rel))
          rewrite_subtree<Level>(op, Format::table_of(last, Level), seen, work[k].target);
      op.changed(address(work[k].index), address(work[k].index + 1) - 1, Level, invalidation_reason::resized);
    }
  }
  return last;
}

// The first entry from `i` to `last` that is no table, or the one after `last`. Alone with what it needs, in registers.
template <int Level, pte_format Format, order Order = order::relaxed, class Memory>
[[nodiscard, gnu::noinline]] constexpr std::size_t skip_tables(Memory& of, table_address table, std::size_t i,
                                                               std::size_t last) noexcept {
  using word = typename Format::word;
  memory_in_loop<Memory> memory = of;
  for (; i <= last; ++i)
    if (Format::kind_of(memory.template load<word>(table, i, Order), Level) != entry_kind::table) [[unlikely]]
      return i;
  return i;
}

// Visitor: splits every leaf above `target` that overlaps the range, and breaks groups at or above it. A leaf wholly
// inside the range goes down to `target` in one piece when `source` has the tables for it, else one level at a time; a
// leaf that reaches out of the range goes one level at a time, along the range only.
template <class Operation, class Source>
class split_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr split_leaves(Operation& op, Source& source, input_range range, int target) noexcept
      : op_(op), source_(source), range_(range), target_(target) {}

  [[nodiscard]] constexpr const split_result& result() const noexcept { return result_; }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if (Run::level < target_) return run_stop<word>::done();
    return leaves(run, op_.policies.memory.template load<word>(run.table, run.first, order::relaxed));
  }
  // The same where the first entry has been read. Requires: a level that is not below `target`.
  template <class Run>
  constexpr run_stop<word> leaves(const Run& run, word entry) noexcept {
    auto& memory = op_.policies.memory;
    const auto next = [&](std::size_t i) {
      return i <= run.last ? memory.template load<word>(run.table, i, order::relaxed) : word{0};
    };
    split_work<word> work[Operation::batch];
    int n = 0;
    const auto publish = [&]() { return publish_splits<Run::level>(op_, run.table, run.base, work, n); };
    for (std::size_t i = run.first; i <= run.last; entry = next(++i)) {
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) {
        if constexpr (Run::passes_tables) {
          i = skip_tables<Run::level, format>(memory, run.table, i + 1, run.last) - 1;
          continue;
        } else {
          if (n != 0) publish();
          return run_stop<word>::at_table(i, entry);
        }
      }
      if (kind != entry_kind::leaf) continue;
      if constexpr (has_groups<format>) {
        if (format::group_of(entry, Run::level) != 0) {
          break_group<Run::level>(op_, run.table, run.base, group_span<format>(entry, Run::level, i));
          entry = memory.template load<word>(run.table, i, order::relaxed);
        }
      }
      if constexpr (Run::level > 0) {
        if (Run::level == target_) continue;
        const bool inside = range_.first() <= run.address(i) && run.address(i + 1) - 1 <= range_.last();
        const bool whole = inside && source_.reserve(tables_to_split<format>(Run::level, target_));
        const int target = whole ? target_ : Run::level - 1;
        if (!whole && !source_.reserve(1)) {
          if (n != 0) publish();
          return out_of_memory(run, i);
        }
        work[n++] = {i, entry, build_subtree<Run::level>(op_, source_, entry, target).link(), target};
        ++result_.leaves;
        result_.tables += tables_to_split<format>(Run::level, target);
        if (target != target_ && !Run::passes_tables) {
          const word made = publish();
          return run_stop<word>::made_table(i, made);
        }
        if (n == Operation::batch) {
          publish();
          n = 0;
        }
      }
    }
    if constexpr (Run::level > 0) {
      if (n != 0) publish();
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr run_stop<word> out_of_memory(const Run& run, std::size_t i) noexcept {
    result_.out_of_memory = true;
    result_.stopped_at = run.address(i);
    return run_stop<word>::failed(i, errc::no_memory);
  }

  Operation& op_;
  Source& source_;
  input_range range_;
  int target_;
  split_result result_{};
};

// Splits every leaf above `target` in the range. `Skip`: levels whose entries need not be looked at, since a table at
// the level above says that they are split already.
template <walk_flags Skip, class Operation, class Source>
constexpr split_result split_range(Operation& op, Source& source, input_range range, int target) noexcept {
  split_leaves<Operation, Source> visitor{op, source, range, target};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry | Skip), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.result();
}

// The same for a range inside one entry of level 1, which is in `table` and reads `entry`.
template <class Operation, class Source>
constexpr split_result split_entry(Operation& op, Source& source, table_address table, typename Operation::word entry,
                                   input_range range, int target) noexcept {
  using format = typename Operation::format;
  split_leaves<Operation, Source> visitor{op, source, range, target};
  const std::uint64_t first = range.first().value;
  const std::size_t i = format::shape.index(first, 1);
  const entry_run<format, 1, true> run{table, first & ~format::shape.table_last_offset(1), i, i};
  if (target <= 1) static_cast<void>(visitor.leaves(run, entry));
  return visitor.result();
}

// The levels that an eager split down to pages may skip: level 0, unless it has groups to break.
template <pte_format Format>
inline constexpr walk_flags split_skips = (Format::group_sizes(0) & ~1U) == 0 ? walk_flag::skip_level<0> : walk_flags{};

// ---- boundaries: no leaf may straddle the byte at `boundary`.

// Whether a leaf (or group) reaches over `boundary`, and the tables that splitting it there takes at most.
struct boundary_need {
  bool straddled = false;
  std::size_t tables = 0;
};

template <class Operation>
[[nodiscard]] constexpr boundary_need needs_at_boundary(Operation& op, input_address boundary) noexcept {
  using format = typename Operation::format;
  if (!is_translatable<format>(boundary)) return {};
  const auto found = descend<format, order::relaxed>(op.policies.memory, op.root, boundary);
  if (format::kind_of(found.entry, found.level) != entry_kind::leaf) return {};
  boundary_need need;
  for (int level = found.level; level > 0 && !boundary.is_aligned(format::shape.leaf_bytes(level)); --level)
    ++need.tables;
  need.straddled = need.tables != 0 || group_span<format>(found.entry, found.level, found.index).first != found.index;
  return need;
}

// Visitor over one page: splits, one level at a time, until a leaf begins at the page.
template <class Operation, class Source>
class split_at_boundary {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr split_at_boundary(Operation& op, Source& source, input_address boundary) noexcept
      : op_(op), source_(source), boundary_(boundary) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    const std::size_t i = run.first;
    word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
    const entry_kind kind = format::kind_of(entry, Run::level);
    if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
    if (kind != entry_kind::leaf) return run_stop<word>::done();
    if constexpr (has_groups<format>) {
      const entry_span span = group_span<format>(entry, Run::level, i);
      if (span.first != span.last && run.address(span.first) != boundary_) {
        break_group<Run::level>(op_, run.table, run.base, span);
        entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      }
    }
    if constexpr (Run::level > 0) {
      if (run.address(i) == boundary_) return run_stop<word>::done();
      split_work<word> work{i, entry, build_subtree<Run::level>(op_, source_, entry, Run::level - 1).link(),
                            Run::level - 1};
      return run_stop<word>::made_table(i, publish_splits<Run::level>(op_, run.table, run.base, &work, 1));
    } else return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  input_address boundary_;
};

// Requires: what needs_at_boundary() says reserved at `source`.
template <class Operation, class Source>
QUIRE_COLD constexpr void make_boundary(Operation& op, Source& source, input_address boundary) noexcept {
  using format = typename Operation::format;
  split_at_boundary<Operation, Source> visitor{op, source, boundary};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), format>(op.policies.memory, op.root,
                                                                               page_of<format>(boundary), visitor));
}

// Part of a leaf: split it (needs tables; nothing outside the range changes), take the whole leaf (never allocates; the
// result says what was really covered), or refuse.
enum class partial : unsigned char { split, whole, error };

// Makes both ends of the range leaf boundaries as `part` says. Errors, before anything is changed: crosses_leaf,
// no_memory.
template <class Operation, class Source>
constexpr result<void> settle_ends(Operation& op, Source& source, input_range range, partial part) noexcept {
  if (part == partial::whole) return {};
  const input_address ends[] = {range.first(), range.last() + 1};
  std::size_t tables = 0;
  for (const input_address end : ends) {
    const boundary_need need = needs_at_boundary(op, end);
    if (part == partial::error && need.straddled) return error{errc::crosses_leaf, -1, end.value};
    tables += need.tables;
  }
  if (!source.reserve(tables)) return error{errc::no_memory, -1, range.first().value};
  for (const input_address end : ends) {
    if (needs_at_boundary(op, end).straddled) make_boundary(op, source, end);
  }
  return {};
}

}  // namespace quire
