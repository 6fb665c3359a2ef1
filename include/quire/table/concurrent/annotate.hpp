// SPDX-License-Identifier: MIT
// Annotating in a read section: absent entries become markers by compare-exchange, page by page.
#pragma once

#include <cstddef>  // size_t

#include <quire/table/concurrent/operation.hpp>  // concurrent_operation
#include <quire/table/filled_table.hpp>          // filled_table

namespace quire::detail {

template <class Operation, class Source>
class concurrent_annotate {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_annotate(Operation& op, Source& source, word marker) noexcept
      : op_(op), source_(source), marker_(marker) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::leaf: return run_stop<word>::failed(i, errc::already_mapped);
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::locked: return run_stop<word>::retry(i);
        case entry_kind::absent: break;
      }
      if constexpr (Run::level == 0) {
        // Relaxed: a marker leads nowhere.
        if (memory.template compare_exchange<word>(run.table, i, entry, marker_, order::relaxed)) ++i;
      } else {
        if (!source_.reserve(1)) return run_stop<word>::failed(i, errc::no_memory);
        const auto child = source_.take(table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = filled_table<format, Run::level - 1>{op_.policies.maintenance, *child}.link();
        // Release: a walker that follows it finds the table zeroed.
        if (memory.template compare_exchange<word>(run.table, i, entry, made, order::acq_rel))
          return run_stop<word>::made_table(i, made);
        source_.give_back(*child);
      }
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  word marker_;
};

}  // namespace quire::detail

namespace quire {

// Errors, with the first page that is not annotated: already_mapped, marked, no_memory.
template <class Operation, class Section, class Source>
constexpr result<void> annotate_concurrently(Operation& op, Section& section, Source& source, input_range range,
                                             std::uint64_t payload) noexcept {
  detail::concurrent_annotate<Operation, Source> visitor{op, source, Operation::format::marker(payload)};
  const error said = concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, range, visitor);
  if (said.code != errc::none) return said;
  return {};
}

}  // namespace quire
