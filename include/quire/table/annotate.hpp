// SPDX-License-Identifier: MIT
// Annotations: markers that say something about memory that is not mapped (an owner, a poison).
#pragma once

#include <cstddef>  // size_t

#include <quire/table/entry.hpp>  // operation
#include <quire/table/map.hpp>    // tables_below

namespace quire {

namespace detail {

// Two passes of one visitor: first it looks and counts, then it writes.
template <class Operation, class Source, bool Commit>
class annotate_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr annotate_leaves(Operation& op, Source& source, input_range range, word marker) noexcept
      : op_(op), source_(source), range_(range), marker_(marker) {}

  std::size_t tables = 0;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf) return run_stop<word>::failed(i, errc::already_mapped);
      if (kind != entry_kind::absent)
        return run_stop<word>::failed(i, kind == entry_kind::marker ? errc::marked : errc::busy);
      if constexpr (Run::level == 0) {
        if constexpr (Commit) memory.template store<word>(run.table, i, marker_, order::relaxed);
      } else if constexpr (Commit) {
        const auto child = source_.take(table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = filled_table<format, Run::level - 1>{op_.policies.maintenance, *child}.link();
        memory.template store<word>(run.table, i, made, order::release);
        return run_stop<word>::made_table(i, made);
      } else {
        const input_range part = input_range::closed(run.address(i), run.address(i + 1) - 1).clamped_to(range_);
        const leaf_choice<format> pages{0, 0, false};
        tables += 1 + tables_below<format>(Run::level - 1, part.first() - run.address(i), part.last() - run.address(i),
                                           pages);
      }
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  input_range range_;
  word marker_;
};

}  // namespace detail

// One marker a page.
template <class Operation, class Source>
constexpr result<void> annotate_range(Operation& op, Source& source, input_range range,
                                      std::uint64_t payload) noexcept {
  using format = typename Operation::format;
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::stop_on_retry;
  const auto marker = format::marker(payload);
  detail::annotate_leaves<Operation, Source, false> look{op, source, range, marker};
  if (const error found = walk<flags, format>(op.policies.memory, op.root, range, look); found.code != errc::none)
    return found;
  if (!source.reserve(look.tables)) return error{errc::no_memory, -1, range.first().value};
  detail::annotate_leaves<Operation, Source, true> write{op, source, range, marker};
  return walk<flags, format>(op.policies.memory, op.root, range, write);
}

}  // namespace quire
