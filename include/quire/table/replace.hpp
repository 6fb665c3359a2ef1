// SPDX-License-Identifier: MIT
// All that map() of an exclusive holder may have to do: what is in the way goes first, if that is asked for.
#pragma once

#include <quire/table/map.hpp>    // map_range
#include <quire/table/split.hpp>  // settle_ends
#include <quire/table/unmap.hpp>  // unmap_range

namespace quire {

// Room for the new mapping is reserved, then what overlaps it goes, to be forgotten before anything is made there.
// Errors, before anything is changed: those of check_mapping; no_memory.
template <class Operation, class Source, class Report>
[[gnu::noinline]] constexpr result<void> take_away(Operation& op, Source& source, input_range range,
                                                   output_address output, const attributes& wanted,
                                                   const map_options& options, Report& report) noexcept {
  using format = typename Operation::format;
  if (const auto legal = check_mapping<format>(range, output, wanted, options); !legal) return legal;
  std::size_t tables = tables_needed<format>(range, output, options);
  for (const input_address end : {range.first(), range.last() + 1}) tables += needs_at_boundary(op, end).tables;
  if (!source.reserve(tables)) return error{errc::no_memory, -1, range.first().value};
  if (const auto settled = settle_ends(op, source, range, partial::split); !settled) return settled;
  static_cast<void>(unmap_range(op, range, report));
  op.finish();
  return {};
}

// Maps the range. What an earlier operation of the session took away, or this one, is forgotten before anything is made
// there. Errors: those of take_away, if options.replace; those of map_range.
template <class Operation, class P, class Source, class Report>
constexpr result<void> map_over(Operation& op, invalidator<P>& invalidations, Source& source, input_range range,
                                output_address output, const attributes& wanted, const map_options& options,
                                Report& report) noexcept {
  static_cast<void>(invalidations.complete());
  if (options.replace) {
    const auto replaced = take_away(op, source, range, output, wanted, options, report);
    if (!replaced) return replaced;
    static_cast<void>(invalidations.complete());
  }
  const auto done = map_range(op, source, range, output, wanted, options);
  if (done) op.finish_install(range);
  return done;
}

}  // namespace quire
