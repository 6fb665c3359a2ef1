// SPDX-License-Identifier: MIT
// Mapping a range: check, reserve, commit. All or nothing.
//
// A child table that the range covers wholly is filled where nobody can reach it (unzeroed) and then published; one
// that is covered partly is installed empty and filled in place, entry by entry from absent, which every walker may
// watch.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>         // fill_entries, replace_entry
#include <quire/table/filled_table.hpp>  // filled_table
#include <quire/table/subtree.hpp>       // tables_to_split

namespace quire {

// What to map where. The defaults choose the largest leaves that alignment allows.
struct map_options {
  int largest_level = 7;  // no leaf above this level; not negative
  bool groups = true;     // use groups (contiguous, NAPOT) where the format has them
  bool replace = false;   // take away what is mapped there; otherwise that is already_mapped
};

// The leaf sizes that map may use for one range.
template <pte_format Format>
struct leaf_choice {
  std::uint64_t skew;  // input xor output address of the range's first byte: low zero bits are common alignment
  int largest_level;
  bool groups;

  [[nodiscard]] constexpr bool level_fits(int level) const noexcept {
    return level <= largest_level && (Format::group_sizes(level) & 1U) != 0 &&
           (skew & (Format::shape.leaf_bytes(level) - 1)) == 0;
  }
  // The largest level at which this mapping has leaves (pages always fit).
  [[nodiscard]] constexpr int highest() const noexcept {
    int level = Format::shape.root_level;
    while (level > 0 && !level_fits(level)) --level;
    return level;
  }
  // The largest group that starts at entry `first` and ends by `last`.
  [[nodiscard]] constexpr int group(int level, std::size_t first, std::size_t last) const noexcept {
    if constexpr (has_groups<Format>) {
      for (int k = groups ? Format::shape.index_bits[level] : 0; k > 0; --k) {
        const std::size_t size = std::size_t{1} << k;
        if (((Format::group_sizes(level) >> k) & 1U) != 0 && (first & (size - 1)) == 0 && last - first + 1 >= size &&
            (skew & ((Format::shape.leaf_bytes(level) << k) - 1)) == 0)
          return k;
      }
    }
    return 0;
  }
};

// Tables that mapping [first, last] (byte offsets in a table of `level`) takes below that table, when nothing is there
// yet.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_below(int level, std::uint64_t first, std::uint64_t last,
                                                 const leaf_choice<Format>& choice) noexcept {
  if (level == 0) return 0;
  const std::uint64_t inside = Format::shape.leaf_bytes(level) - 1;
  std::uint64_t i = first >> Format::shape.shift(level);
  std::uint64_t end = (last >> Format::shape.shift(level)) + 1;
  std::size_t tables = 0;
  const bool head = (first & inside) != 0;
  const bool tail = (last & inside) != inside;
  if (head || (tail && i + 1 == end)) {
    const std::uint64_t to = i + 1 == end ? last & inside : inside;
    tables += 1 + tables_below<Format>(level - 1, first & inside, to, choice);
    ++i;
  }
  if (tail && i < end) {
    tables += 1 + tables_below<Format>(level - 1, 0, last & inside, choice);
    --end;
  }
  if (i < end && !choice.level_fits(level)) {
    int target = level - 1;
    while (target > 0 && !choice.level_fits(target)) --target;
    tables += static_cast<std::size_t>(end - i) * tables_to_split<Format>(level, target);
  }
  return tables;
}

// An upper bound of the tables, without the root, that mapping `range` to `output` can take: for whoever fills a cache.
// Requires: a range that check_range accepts.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_needed(input_range range, output_address output,
                                                  map_options options = {}) noexcept {
  const leaf_choice<Format> choice{range.first().value ^ output.value, options.largest_level, options.groups};
  return tables_below<Format>(Format::shape.root_level, input_offset<Format>(range.first()),
                              input_offset<Format>(range.last()), choice);
}

namespace detail {

// Whether a leaf that is there does for one that is wanted, but for its rights.
[[nodiscard]] constexpr bool translates_alike(const attributes& have, const attributes& wanted) noexcept {
  return have.memory == wanted.memory && includes(have.from, wanted.from) && have.global == wanted.global;
}

// What a mapping is made of.
template <pte_format Format>
struct mapping_plan {
  input_range range;
  output_address output;  // of the range's first byte
  attributes wanted;
  leaf_choice<Format> choice;

  [[nodiscard]] constexpr output_address output_at(input_address address) const noexcept {
    return output + (address - range.first());
  }
  [[nodiscard]] constexpr bool covers(input_address first, input_address last) const noexcept {
    return range.first() <= first && last <= range.last();
  }
  // Requires: encodable, as check_mapping() found.
  [[nodiscard]] constexpr typename Format::word leaf_at(input_address address, int level, int group) const noexcept {
    return *Format::leaf(output_at(address), wanted, level, group);
  }
};

// Check pass: does anything stand in the way, and how many tables does the rest take? And what is there of pages: is
// any absent, and is each of the others, word for word, what would be written there, with nothing left for the hardware
// to write? Then who owns runs of entries may write over all of them.
template <class Operation>
class check_map {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr check_map(Operation& op, const mapping_plan<format>& plan) noexcept : op_(op), plan_(plan) {}

  std::size_t tables = 0;
  bool any_page_absent = false;
  bool pages_alike = true;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      if constexpr (Run::level == 0) {  // an absent page takes no table
        const std::size_t present = find_present<format>(op_.policies.memory, run.table, i, run.last);
        any_page_absent = any_page_absent || present != i;
        i = present;
        if (i > run.last) break;
      }
      const word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::absent: count(run, i); break;
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::leaf: {
          const errc said = fits(run, i, entry);
          if (said != errc::none) return run_stop<word>::failed(i, said);
          break;
        }
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::locked: return run_stop<word>::failed(i, errc::busy);
      }
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr void count(const Run& run, std::size_t i) noexcept {
    if constexpr (Run::level > 0) {
      const input_address first = run.address(i), last = run.address(i + 1) - 1;
      if (plan_.covers(first, last) && plan_.choice.level_fits(Run::level)) return;
      const input_range part = input_range::closed(first, last).clamped_to(plan_.range);
      tables += 1 + tables_below<format>(Run::level - 1, part.first() - first, part.last() - first, plan_.choice);
    }
  }
  // An existing leaf is no obstacle when it translates the same way for the same accesses, and rights can be added to
  // the whole of it.
  template <class Run>
  constexpr errc fits(const Run& run, std::size_t i, word entry) noexcept {
    if constexpr (Run::level == 0) {
      if (entry == plan_.leaf_at(run.address(i), 0, 0) && !hardware_may_write<format>(entry)) return errc::none;
      pages_alike = false;
    }
    const entry_span span = group_span<format>(entry, Run::level, i);
    const input_address first = run.address(span.first), last = run.address(span.last + 1) - 1;
    const attributes have = format::attributes_of(entry, Run::level);
    if (format::output_of(entry, Run::level) != plan_.output_at(first) || !translates_alike(have, plan_.wanted))
      return errc::already_mapped;
    if (have.allowed.contains(plan_.wanted.allowed)) return errc::none;
    return plan_.covers(first, last) && format::relax(plan_.wanted.allowed).has_value() ? errc::none
                                                                                        : errc::already_mapped;
  }

  Operation& op_;
  const mapping_plan<format>& plan_;
};

// Commit pass. Nothing in it can fail: the check pass found no obstacle and the tables are reserved.
template <class Operation, class Source>
class commit_map {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr commit_map(Operation& op, Source& source, const mapping_plan<format>& plan, bool write_over) noexcept
      : op_(op), source_(source), plan_(plan), write_over_(write_over) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && run_memory<typename Operation::memory_type, word> && !has_groups<format>) {
      if (write_over_) {
        op_.installed();
        publish(run, run.last);
        return run_stop<word>::done();
      }
    }
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf) {
        i = relax(run, i, entry) + 1;
        continue;
      }
      op_.installed();
      const bool whole = plan_.covers(run.address(i), run.address(i + 1) - 1);
      if (whole && plan_.choice.level_fits(Run::level)) {
        i = install(run, i) + 1;
        continue;
      }
      if constexpr (Run::level > 0) {
        const auto child = source_.take(whole ? table_contents::any : table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = (whole ? fill<Run::level - 1>(*child, run.address(i))
                                 : filled_table<format, Run::level - 1>{op_.policies.maintenance, *child})
                              .link();
        memory.template store<word>(run.table, i, made, order::release);
        if (!whole) return run_stop<word>::made_table(i, made);
        ++i;
      }
    }
    return run_stop<word>::done();
  }

 protected:
  // Of entries of which the range covers one, the last that it covers.
  template <class Run>
  [[nodiscard]] constexpr std::size_t last_covered(const Run& run) const noexcept {
    return plan_.covers(run.address(run.last), run.address(run.last + 1) - 1) ? run.last : run.last - 1;
  }
  // Leaves over the absent entries from i on; gives the last entry written.
  template <class Run>
  constexpr std::size_t install(const Run& run, std::size_t i) noexcept {
    const std::size_t end = find_present<format>(op_.policies.memory, run.table, i, last_covered(run)) - 1;
    publish(run.from(i), end);
    return end;
  }
  template <class Run>
  constexpr void publish(const Run& run, std::size_t last) noexcept {
    // What is mapped is complete before the leaves, which are stored relaxed, can be followed.
    atomic::fence(order::release);
    write<Run::level>(run.table, run.first, last, run.base);
  }
  template <int Level>
  constexpr void write(table_address table, std::size_t first, std::size_t last, std::uint64_t base) noexcept {
    constexpr int shift = format::shape.shift(Level);
    for (std::size_t i = first; i <= last;) {
      const int group = plan_.choice.group(Level, i, last);
      const std::size_t wanted = group != 0           ? std::size_t{1} << group
                                 : has_groups<format> ? singles(Level, i, last)
                                                      : last - i + 1;
      const std::size_t n = linear(Level, input_address{base + (std::uint64_t{i} << shift)}, wanted);
      fill_entries<format>(op_.policies.memory, table, i, n,
                           plan_.leaf_at(input_address{base + (std::uint64_t{i} << shift)}, Level, group),
                           format::step(Level, group));
      i += n;
    }
  }
  [[nodiscard]] constexpr std::size_t singles(int level, std::size_t first, std::size_t last) const noexcept {
    std::size_t n = 1;
    while (first + n <= last && plan_.choice.group(level, first + n, last) == 0) ++n;
    return n;
  }
  // How many of n leaves from `at` on are a step apart (facts.linear_output_bits); the others are for another fill. A
  // group lies on one side of the place where they are not.
  [[nodiscard]] QUIRE_INLINE constexpr std::size_t linear(int level, input_address at, std::size_t n) const noexcept {
    if constexpr (format::facts.linear_output_bits < format::facts.output_bits) {
      const std::uint64_t inside = (std::uint64_t{1} << format::facts.linear_output_bits) - 1;
      const std::uint64_t left = (inside - (plan_.output_at(at).value & inside)) >> format::shape.shift(level);
      return left < n - 1 ? static_cast<std::size_t>(left) + 1 : n;
    } else return n;
  }
  // A table that nobody can reach and that the range covers wholly.
  template <int Level>
  constexpr filled_table<format, Level> fill(table_address table, input_address base) noexcept {
    if constexpr (Level > 0) {
      if (!plan_.choice.level_fits(Level)) {
        for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
          const auto child = source_.take(table_contents::any);
          QUIRE_EXPECTS(child.has_value());
          const auto filled = fill<Level - 1>(*child, base + (std::uint64_t{i} << format::shape.shift(Level)));
          op_.policies.memory.template store<word>(table, i, filled.link(), order::relaxed);
        }
        return {op_.policies.maintenance, table};
      }
    }
    write<Level>(table, 0, format::shape.entries(Level) - 1, base.value);
    return {op_.policies.maintenance, table};
  }
  // Adds the rights that an existing, equal leaf lacks. Gives its last entry.
  template <class Run>
  constexpr std::size_t relax(const Run& run, std::size_t i, word entry) noexcept {
    const entry_span span = group_span<format>(entry, Run::level, i);
    const std::size_t last = span.last < run.last ? span.last : run.last;
    if (format::attributes_of(entry, Run::level).allowed.contains(plan_.wanted.allowed)) return last;
    if (change_entries<format>(op_.policies.memory, run.table, span.first, span.last,
                               *format::relax(plan_.wanted.allowed)))
      op_.changed(run.address(span.first), run.address(span.last + 1) - 1, Run::level, invalidation_reason::relaxed);
    return last;
  }

  Operation& op_;
  Source& source_;
  const mapping_plan<format>& plan_;
  bool write_over_;
};

}  // namespace detail

// Whether the arguments of map make sense at all. Errors: those of check_range; unaligned and beyond_output (output);
// whatever Format::leaf says of the attributes at a level that the mapping would use.
template <pte_format Format>
[[nodiscard]] constexpr result<void> check_mapping(input_range range, output_address output, const attributes& wanted,
                                                   const map_options& options) noexcept {
  if (const error bad = check_range<Format>(range); bad.code != errc::none) return bad;
  const std::uint64_t at = range.first().value;
  if (options.largest_level < 0) return error{errc::unsupported_level, -1, at};
  if (!output.is_aligned(Format::shape.page_bytes())) return error{errc::unaligned, -1, output.value};
  const std::uint64_t last_output = output.value + (range.last() - range.first());
  if (last_output < output.value || (Format::facts.output_bits < 64 && last_output >> Format::facts.output_bits != 0))
    return error{errc::beyond_output, -1, output.value};
  const leaf_choice<Format> choice{at ^ output.value, options.largest_level, options.groups};
  for (int level = 0; level <= choice.highest(); ++level) {
    if ((Format::group_sizes(level) & 1U) == 0) continue;
    const auto trial =
        Format::leaf(output_address{output.value & ~(Format::shape.leaf_bytes(level) - 1)}, wanted, level, 0);
    if (!trial) return error{trial.error().code, static_cast<std::int8_t>(level), at};
  }
  return {};
}

// Errors, all before anything is changed: those of check_mapping; already_mapped, marked, busy (at the first entry in
// the way); no_memory.
template <pte_format Format, class P, class Source>
[[gnu::noinline]] constexpr result<void> map_range(operation<Format, P>& op, Source& source, input_range range,
                                                   output_address output, const attributes& wanted,
                                                   const map_options& options) noexcept {
  if (const auto legal = check_mapping<Format>(range, output, wanted, options); !legal) return legal;
  const detail::mapping_plan<Format> plan{
      range, output, wanted, {range.first().value ^ output.value, options.largest_level, options.groups}};
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::stop_on_retry;
  detail::check_map<operation<Format, P>> check{op, plan};
  if (const error found = walk<flags, Format>(op.policies.memory, op.root, range, check); found.code != errc::none)
    return found;
  if (!source.reserve(check.tables)) return error{errc::no_memory, -1, range.first().value};
  if (wanted.allowed.contains(executable))
    op.policies.maintenance.code_visible(output, range.last() - range.first() + 1);
  detail::commit_map<operation<Format, P>, Source> commit{op, source, plan, check.any_page_absent && check.pages_alike};
  static_cast<void>(walk<flags, Format>(op.policies.memory, op.root, range, commit));
  return {};
}

}  // namespace quire
