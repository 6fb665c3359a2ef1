// SPDX-License-Identifier: MIT
// Reading and clearing the dirty bits that the entries themselves hold.
#pragma once

#include <quire/table/entry.hpp>  // change_entry

namespace quire {

namespace detail {

template <class Operation, class Report>
class dirty_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr dirty_leaves(Operation& op, Report& report, bool clear) noexcept
      : op_(op), report_(report), clear_(clear) {}

  bool any = false;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
      const entry_span span = group_span<format>(entry, Run::level, i);
      bool dirty = false;
      for (std::size_t k = span.first; k <= span.last; ++k) dirty = clean(run, k) || dirty;
      if (dirty) {
        any = true;
        report_(run.address(span.first), (span.last - span.first + 1) * format::shape.leaf_bytes(Run::level));
        if (clear_)
          op_.changed(run.address(span.first), run.address(span.last + 1) - 1, Run::level,
                      invalidation_reason::reduced);
      }
      i = span.last;
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr bool clean(const Run& run, std::size_t i) noexcept {
    auto& memory = op_.policies.memory;
    const word entry = memory.template load<word>(run.table, i, order::relaxed);
    if (!format::is_dirty(entry)) return false;
    if (clear_) static_cast<void>(change_entry<format>(memory, run.table, i, entry, format::make_clean));
    return true;
  }

  Operation& op_;
  Report& report_;
  bool clear_;
};

}  // namespace detail

template <class Operation, class Report>
constexpr bool take_dirty(Operation& op, input_range range, Report& report, bool clear) noexcept {
  detail::dirty_leaves<Operation, Report> visitor{op, report, clear};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.any;
}

}  // namespace quire
