// SPDX-License-Identifier: MIT
// A walk that can be put down and taken up again, as an iterator needs it. It keeps the tables on the way to where it
// stands, so taking it up is no descent: the way leads up or down only where a table ends or begins.
//
//   cursor<Format> place{root, range};
//   while (place.resume(visitor) != errc::none) ...      as often as the visitor puts it down
//
// The visitor is that of walk() with walk_flag::leaf and no other call (walker.hpp), and it sees the same runs but for
// where they are cut. The cursor reads nothing itself: it goes down by the table entry that the visitor hands it.
//
// Guarantees
// - failed(i, code) puts the walk down after entry i, retry(i) before it; resume() gives the code, or busy.
// - Between two calls the cursor may be copied: each copy is a walk of its own from there on.
//
// Caller must: keep the tables that the cursor stands in from being given back (a lock, a read section) for as long as
// it is taken up again. Entries may change meanwhile; those it has passed are not looked at again.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/contract.hpp>     // QUIRE_INLINE
#include <quire/walk/walker.hpp>  // entry_run, run_stop, input_offset

namespace quire {

template <pte_format Format>
class cursor {
  using word = typename Format::word;
  static constexpr int top = Format::shape.root_level;

 public:
  // One that has arrived.
  constexpr cursor() noexcept = default;
  // Requires of the range: as walk().
  constexpr cursor(table_address root, input_range range) noexcept
      : first_(range.first().value), last_(range.last().value) {
    enter<top>(root, first_ - input_offset<Format>(range.first()));
  }

  // Walks on until the visitor puts the walk down; none: the whole range was walked.
  template <class Visitor>
  QUIRE_INLINE constexpr errc resume(Visitor& visitor) {
    if (level_ == 0) [[likely]] {
      if (const errc said = step<0>(visitor); said != errc::none) [[likely]]
        return said;
    }
    return resume_above(visitor);
  }

  // Of the table that the walk stands in; after resume() gave an error, that of the run where it was put down.
  [[nodiscard]] QUIRE_INLINE constexpr int level() const noexcept { return level_; }

 private:
  // What is left of a table: the entries from `next` to `last`. `base` is the input address of entry 0.
  struct place {
    table_address table{};
    std::uint64_t base = 0;
    std::size_t next = 0;
    std::size_t last = 0;
  };

  template <class Visitor>
  [[gnu::noinline]] constexpr errc resume_above(Visitor& visitor) {
    while (level_ <= top)
      if (const errc said = step_at<0>(visitor); said != errc::none) return said;
    return errc::none;
  }
  template <int Level, class Visitor>
  constexpr errc step_at(Visitor& visitor) {
    if constexpr (Level < top) {
      if (level_ != Level) return step_at<Level + 1>(visitor);
    }
    return step<Level>(visitor);
  }

  // One run of the table that the walk stands in. None: goes on at level_.
  template <int Level, class Visitor>
  QUIRE_INLINE constexpr errc step(Visitor& visitor) {
    place& here = way_[Level];
    if (here.next <= here.last) [[likely]] {
      const entry_run<Format, Level, Level == 0> run{here.table, here.base, here.next, here.last};
      const run_stop<word> stop = visitor.leaves(run);
      if (stop.why == stop_reason::failed || stop.why == stop_reason::retry) [[likely]] {
        here.next = stop.why == stop_reason::failed ? stop.index + 1 : stop.index;
        return stop.code;
      }
      if constexpr (Level > 0) {
        if (stop.why != stop_reason::done) {
          here.next = stop.index + 1;
          enter<Level - 1>(Format::table_of(stop.entry, Level), run.address(stop.index).value);
          return errc::none;
        }
      }
    }
    level_ = Level + 1;
    return errc::none;
  }

  template <int Level>
  constexpr void enter(table_address table, std::uint64_t base) noexcept {
    constexpr int shift = Format::shape.shift(Level);
    const std::uint64_t table_last = base + Format::shape.table_last_offset(Level);
    const std::uint64_t first = first_ > base ? first_ - base : 0;
    const std::uint64_t last = (last_ < table_last ? last_ : table_last) - base;
    way_[Level] = {table, base, static_cast<std::size_t>(first >> shift), static_cast<std::size_t>(last >> shift)};
    level_ = Level;
  }

  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  int level_ = top + 1;  // above the root: arrived
  place way_[Format::shape.levels]{};
};

}  // namespace quire
