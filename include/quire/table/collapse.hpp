// SPDX-License-Identifier: MIT
// Collapse: a table whose leaves continue one another becomes one leaf. Prune: a table without any entry is freed.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>  // change_entry

namespace quire {

struct collapse_result {
  std::size_t leaves = 0;  // leaves made
};

namespace detail {

// Visitor: collapses every table wholly inside the range, bottom up, into leaves of at most `largest_level`.
//
// The bits that the hardware may add while it happens (accessed, dirty) are collected last, from the old leaves, once
// no walker can reach them: nothing is lost.
template <class Operation>
class collapse_tables {
  using format = typename Operation::format;
  using word = typename format::word;
  // Leaves may differ in these bits and still become one.
  static constexpr word state_bits =
      static_cast<word>(~format::clear_accessed.keep | format::clear_accessed.set |
                        (format::facts.has_dirty ? ~format::make_clean.keep | format::make_clean.set : 0));

 public:
  constexpr collapse_tables(Operation& op, input_range range, int largest_level) noexcept
      : op_(op), range_(range), largest_level_(largest_level) {}

  collapse_result made{};

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    constexpr int level = Position::level;
    const input_address last = at.address + (format::shape.leaf_bytes(level) - 1);
    if (level > largest_level_ || (format::group_sizes(level) & 1U) == 0) return errc::none;
    if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    const table_address table = format::table_of(at.entry, level);
    const result<word> leaf = uniform<level - 1>(table);
    if (!leaf) return errc::none;
    auto& memory = op_.policies.memory;
    if constexpr (Operation::breaks) {
      memory.template store<word>(at.table, at.index, format::locked, order::relaxed);
      op_.invalidate_now(at.address, last, -1, false);
      memory.template store<word>(at.table, at.index, with_state<level - 1>(table, *leaf), order::release);
    } else {
      memory.template store<word>(at.table, at.index, *leaf, order::release);
      op_.changed_table(at.address, last, invalidation_reason::resized);
      if constexpr (format::facts.sets_accessed || format::facts.sets_dirty) {
        op_.invalidate_now(at.address, last, -1, false);
        word now = *leaf;
        for (;;) {
          const word wanted = with_state<level - 1>(table, now);
          if (wanted == now || memory.template compare_exchange<word>(at.table, at.index, now, wanted, order::relaxed))
            break;
        }
      }
    }
    op_.template detach<level - 1>(table);
    if constexpr (Operation::breaks) op_.changed_table(at.address, last, invalidation_reason::resized);
    ++made.leaves;
    return errc::none;
  }

 private:
  // The leaf that the table's entries make together, or not_uniform.
  template <int Level>
  [[nodiscard]] constexpr result<word> uniform(table_address table) noexcept {
    auto& memory = op_.policies.memory;
    const word first = memory.template load<word>(table, 0, order::relaxed);
    if (format::kind_of(first, Level) != entry_kind::leaf) return errc::not_uniform;
    const word step = format::step(Level, 0);
    const output_address output = format::output_of(first, Level);
    for (std::size_t i = 1; i < format::shape.entries(Level); ++i) {
      const word entry = memory.template load<word>(table, i, order::relaxed);
      if constexpr (has_groups<format>) {
        // Singles and groups of any size may stand side by side.
        if (format::kind_of(entry, Level) != entry_kind::leaf) return errc::not_uniform;
        const std::size_t begins = group_span<format>(entry, Level, i).first;
        if (format::output_of(entry, Level) != output + begins * format::shape.leaf_bytes(Level))
          return errc::not_uniform;
        if (without_state(format::attributes_of(entry, Level)) != without_state(format::attributes_of(first, Level)))
          return errc::not_uniform;
      } else {
        if (((entry ^ static_cast<word>(first + i * step)) & ~state_bits) != 0) return errc::not_uniform;
      }
    }
    const result<word> leaf = format::leaf(output, without_state(format::attributes_of(first, Level)), Level + 1, 0);
    if (!leaf) return leaf;
    return with_state<Level>(table, *leaf);
  }
  [[nodiscard]] static constexpr attributes without_state(attributes a) noexcept {
    a.accessed = !format::facts.has_accessed;
    a.dirty = false;
    return a;
  }
  // `leaf` with the accessed and dirty bits of the table's entries added.
  template <int Level>
  [[nodiscard]] constexpr word with_state(table_address table, word leaf) noexcept {
    attributes sum = format::attributes_of(leaf, Level + 1);
    for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
      const word entry = op_.policies.memory.template load<word>(table, i, order::relaxed);
      sum.accessed = sum.accessed || format::is_accessed(entry);
      sum.dirty = sum.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    return *format::leaf(format::output_of(leaf, Level + 1), sum, Level + 1, 0);  // encodable: uniform() tried
  }

  Operation& op_;
  input_range range_;
  int largest_level_;
};

template <class Operation>
class prune_tables {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr explicit prune_tables(Operation& op) noexcept : op_(op) {}

  std::size_t freed = 0;

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    auto& memory = op_.policies.memory;
    const table_address table = format::table_of(at.entry, Position::level);
    for (std::size_t i = 0; i < format::shape.entries(Position::level - 1); ++i)
      if (memory.template load<word>(table, i, order::relaxed) != 0) return errc::none;
    memory.template store<word>(at.table, at.index, word{0}, order::relaxed);
    op_.template detach<Position::level - 1>(table);
    op_.changed_table(at.address, at.address + (format::shape.leaf_bytes(Position::level) - 1),
                      invalidation_reason::removed);
    ++freed;
    return errc::none;
  }

 private:
  Operation& op_;
};

}  // namespace detail

template <class Operation>
constexpr collapse_result collapse_range(Operation& op, input_range range, int largest_level) noexcept {
  detail::collapse_tables<Operation> visitor{op, range, largest_level};
  static_cast<void>(walk<(walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.made;
}

template <class Operation>
constexpr std::size_t prune_range(Operation& op, input_range range) noexcept {
  detail::prune_tables<Operation> visitor{op};
  static_cast<void>(walk<(walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.freed;
}

}  // namespace quire
