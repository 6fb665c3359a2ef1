// SPDX-License-Identifier: MIT
// THE walker: one loop per level, the next level is the next instantiation.
//
//   walk<Flags, Format>(memory, root, range, visitor) -> error   (code none: the whole range was walked)
//
// A visitor takes runs. leaves(run) is given neighbouring entries [first, last] of one table, of a level known at
// compile time, and works through those that are not tables. It comes back when it is done, or at the first table it
// meets, or at an entry it turned into a table, and says which (run_stop). Table entries come one by one:
// table_pre(position) before the children, table_post(position) after them; both give an errc.
//
// Guarantees
// - Entries come in ascending order; an entry brings either leaves() or table_pre(), never both.
// - After a callback the entry is judged anew: what leaves() made a table is descended (and gets table_post, not
//   table_pre) unless nothing below it is wanted; what table_pre() made no table is not. In a shared walk it may have
//   been another who did that, so leaves() gets the entry after all.
// - A skipped level brings no calls of its own; deeper levels that are wanted are still reached. Where nothing below
//   is wanted the table is not read at all (Run::passes_tables then tells the visitor to step over tables itself),
//   but table_pre and table_post of the table entry still come.
// - errc::busy is "retry": per flag it ends the walk and is returned, or is swallowed and the walk goes on with the
//   entry as it then reads. Any other error ends the walk at once, without table_post for the tables above.
//
// Requires: range inside the geometry and free of defects (table/range.hpp checks), page aligned.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/format/concept.hpp>  // pte_format
#include <quire/policy/memory.hpp>   // memory_policy, order
#include <quire/walk/flags.hpp>      // walk_flags

namespace quire {

// Where an entry is: its table, its index, and the input address of its first byte.
template <pte_format Format, int Level>
struct entry_position {
  static constexpr int level = Level;
  table_address table;
  std::size_t index;
  input_address address;
  typename Format::word entry;  // as it was read
};

// Neighbouring entries of one table. `base` is the input address of entry 0.
template <pte_format Format, int Level, bool PassesTables>
struct entry_run {
  using format = Format;
  static constexpr int level = Level;
  static constexpr bool passes_tables = PassesTables;
  table_address table;
  std::uint64_t base;
  std::size_t first;
  std::size_t last;

  [[nodiscard]] constexpr input_address address(std::size_t index) const noexcept {
    return input_address{base + (std::uint64_t{index} << Format::shape.shift(Level))};
  }
  [[nodiscard]] constexpr entry_run from(std::size_t index) const noexcept { return {table, base, index, last}; }
};

enum class stop_reason : unsigned char { done, at_table, made_table, retry, failed };

// Why leaves() came back; for at_table and made_table with the entry as it now reads, so it is not read twice.
template <class Word>
struct run_stop {
  stop_reason why = stop_reason::done;
  errc code = errc::none;
  std::size_t index = 0;
  Word entry = 0;

  [[nodiscard]] static constexpr run_stop done() noexcept { return {}; }
  [[nodiscard]] static constexpr run_stop at_table(std::size_t i, Word e) noexcept {
    return {stop_reason::at_table, errc::none, i, e};
  }
  [[nodiscard]] static constexpr run_stop made_table(std::size_t i, Word e) noexcept {
    return {stop_reason::made_table, errc::none, i, e};
  }
  [[nodiscard]] static constexpr run_stop retry(std::size_t i) noexcept {
    return {stop_reason::retry, errc::busy, i, 0};
  }
  [[nodiscard]] static constexpr run_stop failed(std::size_t i, errc code) noexcept {
    return {stop_reason::failed, code, i, 0};
  }
};

namespace detail {

template <walk_flags Flags, pte_format Format, class Memory, class Visitor>
struct walker {
  using word = typename Format::word;
  static constexpr order load_order = Flags.shared ? order::acquire : order::relaxed;

  Memory& memory;
  Visitor& visitor;

  template <int Level>
  static constexpr bool needs_tables = Level > 0 &&
                                       (Flags.calls_pre(Level) || Flags.calls_post(Level) || Flags.wants(Level - 1));

  [[nodiscard]] static constexpr bool ends_walk(errc code) noexcept {
    return code != errc::none && !(code == errc::busy && Flags.retry == on_retry::go_on);
  }

  // Where one entry holds the whole range, and the entry is a table that brings no call of its own, goes straight down;
  // the loops begin at the lowest table that holds the range. Arguments as for level().
  template <int Level>
  QUIRE_INLINE constexpr error start(table_address table, std::uint64_t base, std::uint64_t first, std::uint64_t last) {
    if constexpr (Level > 0 && Flags.wants(Level - 1) && !Flags.calls_pre(Level) && !Flags.calls_post(Level)) {
      constexpr int shift = Format::shape.shift(Level);
      constexpr std::uint64_t inside = (std::uint64_t{1} << shift) - 1;
      if ((first ^ last) >> shift == 0) [[likely]] {
        const std::size_t i = static_cast<std::size_t>(first >> shift);
        const word entry = memory.template load<word>(table, i, load_order);
        if (Format::kind_of(entry, Level) == entry_kind::table) [[likely]]
          return start<Level - 1>(Format::table_of(entry, Level), base + (std::uint64_t{i} << shift), first & inside,
                                  last & inside);
      }
    }
    return level<Level>(table, base, first, last);
  }

  // The table at `table` translates from input address `base`; [first, last] are the byte offsets in it to walk.
  template <int Level>
  constexpr error level(table_address table, std::uint64_t base, std::uint64_t first, std::uint64_t last) {
    constexpr int shift = Format::shape.shift(Level);
    constexpr std::uint64_t inside = (std::uint64_t{1} << shift) - 1;
    const std::size_t first_index = static_cast<std::size_t>(first >> shift);
    const std::size_t last_index = static_cast<std::size_t>(last >> shift);

    for (std::size_t i = first_index; i <= last_index; ++i) {
      word entry = 0;
      bool made = false;
      if constexpr (Flags.calls_leaf(Level)) {
        const entry_run<Format, Level, !needs_tables<Level>> run{table, base, i, last_index};
        const run_stop<word> stop = visitor.leaves(run);
        if (stop.why == stop_reason::done) break;
        i = stop.index;
        entry = stop.entry;
        made = stop.why == stop_reason::made_table;
        if (stop.why == stop_reason::failed) return at<Level>(stop.code, run.address(i));
        if (stop.why == stop_reason::retry) {
          if (ends_walk(errc::busy)) return at<Level>(errc::busy, run.address(i));
          if constexpr (!needs_tables<Level>) continue;
          entry = memory.template load<word>(table, i, load_order);
          if (Format::kind_of(entry, Level) != entry_kind::table) continue;
          made = true;
        }
      } else if constexpr (needs_tables<Level>) {
        entry = memory.template load<word>(table, i, load_order);
        if (Format::kind_of(entry, Level) != entry_kind::table) continue;
      }
      if constexpr (!needs_tables<Level>) continue;
      else {
        entry_position<Format, Level> position{table, i, input_address{base + (std::uint64_t{i} << shift)}, entry};
        if constexpr (Flags.calls_pre(Level)) {
          if (!made) {
            const errc said = visitor.table_pre(position);
            if (ends_walk(said)) return at<Level>(said, position.address);
            position.entry = memory.template load<word>(table, i, load_order);
            if (Format::kind_of(position.entry, Level) != entry_kind::table) {
              if constexpr (Flags.shared && Flags.calls_leaf(Level)) --i;  // another may have made a leaf of it
              continue;
            }
          }
        }
        if constexpr (Flags.wants(Level - 1)) {
          const error below =
              level<Level - 1>(Format::table_of(position.entry, Level), position.address.value,
                               i == first_index ? first & inside : 0, i == last_index ? last & inside : inside);
          if (below.code != errc::none) return below;
        }
        if constexpr (Flags.calls_post(Level)) {
          const errc said = visitor.table_post(position);
          if (ends_walk(said)) return at<Level>(said, position.address);
        }
      }
    }
    return {};
  }

  template <int Level>
  [[nodiscard]] static constexpr error at(errc code, input_address address) noexcept {
    return {code, static_cast<std::int8_t>(Level), address.value};
  }
};

}  // namespace detail

// Bits of an input address above the geometry say nothing (zero, or the sign): they are kept in reported addresses.
template <pte_format Format>
[[nodiscard]] constexpr std::uint64_t input_offset(input_address address) noexcept {
  return address.value & Format::shape.table_last_offset(Format::shape.root_level);
}

template <walk_flags Flags, pte_format Format, class Memory, class Visitor>
constexpr error walk(Memory& memory, table_address root, input_range range, Visitor&& visitor) {
  static_assert(Flags.retry != on_retry::unsaid,
                "say what a retry does: walk_flag::stop_on_retry or go_on_after_retry");
  constexpr int top = Format::shape.root_level;
  if constexpr (!Flags.wants(top)) return {};
  else {
    detail::walker<Flags, Format, Memory, std::remove_reference_t<Visitor>> w{memory, visitor};
    const std::uint64_t first = input_offset<Format>(range.first());
    return w.template start<top>(root, range.first().value - first, first, input_offset<Format>(range.last()));
  }
}

}  // namespace quire
