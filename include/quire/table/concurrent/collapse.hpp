// SPDX-License-Identifier: MIT
// Collapse and prune in a read section: cut the table off, lock every entry of it, and only then judge it. What does
// not fit is put back as it was.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/collapse.hpp>              // collapse_result
#include <quire/table/concurrent/operation.hpp>  // concurrent_operation

namespace quire::detail {

// Visitor: collapses every table wholly inside the range, bottom up; or, with Prune, frees those without entries.
template <class Operation, bool Prune>
class concurrent_collapse {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_collapse(Operation& op, input_range range, int largest_level) noexcept
      : op_(op), range_(range), largest_level_(largest_level) {}

  std::size_t tables = 0;

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    constexpr int level = Position::level;
    const input_address last = at.address + (format::shape.leaf_bytes(level) - 1);
    if constexpr (!Prune) {
      if (level > largest_level_ || (format::group_sizes(level) & 1U) == 0) return errc::none;
      if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    }
    const table_address table = format::table_of(at.entry, level);
    if (!fits<level - 1>([&](std::size_t i) { return load(table, i); })) return errc::none;
    word entry = at.entry;
    if (!op_.lock(at.table, at.index, entry)) return errc::none;
    const std::size_t owned = freeze<level - 1>(table);
    const bool all =
        owned == format::shape.entries(level - 1) && fits<level - 1>([&](std::size_t i) { return opened(table, i); });
    if (!all) {
      for (std::size_t i = owned; i-- != 0;) op_.store(table, i, opened(table, i));
      op_.store(at.table, at.index, at.entry);
      op_.policies.maintenance.published();
      if constexpr (format::facts.caches_invalid) op_.changed_table(at.address, last, invalidation_reason::installed);
      return errc::none;
    }
    const word now = Prune ? word{0} : *whole<level - 1>(table);
    op_.unlinked(op_.invalidate_now(at.address, last, -1, false), table);
    op_.store(at.table, at.index, now);
    op_.policies.maintenance.published();
    if constexpr (!Prune && format::facts.caches_invalid)
      op_.changed(at.address, last, level, invalidation_reason::installed);
    ++tables;
    return errc::none;
  }

 private:
  [[nodiscard]] constexpr word load(table_address table, std::size_t i) noexcept {
    return op_.policies.memory.template load<word>(table, i, order::acquire);
  }
  [[nodiscard]] constexpr word opened(table_address table, std::size_t i) noexcept {
    const word shut = op_.policies.memory.template load<word>(table, i, order::relaxed);
    return shut == format::locked ? word{0} : format::unlock(shut);
  }
  // Locks entries from the first on, as long as they are such as can be collapsed; gives how many.
  template <int Level>
  constexpr std::size_t freeze(table_address table) noexcept {
    std::size_t owned = 0;
    for (; owned < format::shape.entries(Level); ++owned) {
      for (;;) {
        word entry = load(table, owned);
        const entry_kind kind = format::kind_of(entry, Level);
        if (kind != (Prune ? entry_kind::absent : entry_kind::leaf)) return owned;
        if (Prune ? op_.lock_absent(table, owned, entry) : op_.lock(table, owned, entry)) break;
      }
    }
    return owned;
  }
  // Whether the entries make one leaf (or are all absent).
  template <int Level, class Read>
  [[nodiscard]] constexpr bool fits(Read&& read) noexcept {
    const word first = read(std::size_t{0});
    if constexpr (Prune) {
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i)
        if (read(i) != 0) return false;
      return true;
    } else {
      if (format::kind_of(first, Level) != entry_kind::leaf) return false;
      const attributes wanted = without_state(format::attributes_of(first, Level));
      const output_address output = format::output_of(first, Level);
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
        const word entry = read(i);
        if (format::kind_of(entry, Level) != entry_kind::leaf) return false;
        const std::size_t begins = group_span<format>(entry, Level, i).first;
        if (format::output_of(entry, Level) != output + begins * format::shape.leaf_bytes(Level)) return false;
        if (without_state(format::attributes_of(entry, Level)) != wanted) return false;
      }
      return format::leaf(output, wanted, Level + 1, 0).has_value();
    }
  }
  // The leaf that the frozen table makes, accessed and dirty if any of it was.
  template <int Level>
  [[nodiscard]] constexpr result<word> whole(table_address table) noexcept {
    const word first = opened(table, 0);
    attributes sum = format::attributes_of(first, Level);
    for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
      const word entry = opened(table, i);
      sum.accessed = sum.accessed || format::is_accessed(entry);
      sum.dirty = sum.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    return format::leaf(format::output_of(first, Level), sum, Level + 1, 0);
  }
  [[nodiscard]] static constexpr attributes without_state(attributes a) noexcept {
    a.accessed = !format::facts.has_accessed;
    a.dirty = false;
    return a;
  }

  Operation& op_;
  input_range range_;
  int largest_level_;
};

}  // namespace quire::detail

namespace quire {

template <class Operation, class Section>
constexpr collapse_result collapse_concurrently(Operation& op, Section& section, input_range range,
                                                int largest_level) noexcept {
  detail::concurrent_collapse<Operation, false> visitor{op, range, largest_level};
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::table_post}>(op, section, range, visitor));
  return {visitor.tables};
}

template <class Operation, class Section>
constexpr std::size_t prune_concurrently(Operation& op, Section& section, input_range range) noexcept {
  detail::concurrent_collapse<Operation, true> visitor{op, range, Operation::format::shape.root_level};
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::table_post}>(op, section, range, visitor));
  return visitor.tables;
}

}  // namespace quire
