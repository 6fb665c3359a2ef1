// SPDX-License-Identifier: MIT
// Foreign tables: tables that we did not build and do not trust, read and never written. A guest's own tables under a
// debugger, the tables in a memory dump.
//
//   const memory_dump dump{bytes, count, base};
//   foreign_for_each_mapping<riscv::sv39x4>(dump, root, range, [](const foreign_mapping& m) {...},
//                                           [](const foreign_finding& f) {...}, {.budget = 1 << 20});
//
// Guarantees
// - Whatever the words are: no access but those that the memory policy grants, no endless walk (a table that lies in
//   one of its own ancestors is not entered, and no more entries are asked for than the budget says), no recursion.
// - Each entry on the way is read once, so that what was checked is what is used, whoever writes meanwhile. (A table
//   that hangs in two places is read for each.)
// - Every irregularity is a finding, and nothing is mapped by what one names: what the hardware would do there is the
//   manual's affair. Entries that the hardware takes for invalid, markers and locked ones among them, are no finding.
#pragma once

#include <cstdint>      // int8_t
#include <type_traits>  // remove_reference_t

#include <quire/table/foreign_visitor.hpp>  // foreign_visitor
#include <quire/table/range.hpp>            // check_range, page_of

namespace quire {

namespace detail {

// Calls a function of the user, who may give whether to go on.
template <class Function, class T>
constexpr bool goes_on(Function& function, const T& with) {
  if constexpr (std::is_same_v<decltype(function(with)), bool>) return function(with);
  else {
    function(with);
    return true;
  }
}

template <pte_format Format, class OnMapping, class OnFinding>
struct each_foreign_mapping {
  OnMapping& on_mapping;
  OnFinding& on_finding;

  constexpr bool mapped(const foreign_mapping& found) { return goes_on(on_mapping, found); }
  constexpr bool found(const foreign_finding& finding) { return goes_on(on_finding, finding); }
  constexpr void unmapped(typename Format::word, int, input_address) const noexcept {}
};

template <pte_format Format, class OnFinding>
struct foreign_answer {
  OnFinding& on_finding;
  result<foreign_mapping> answer;

  constexpr bool mapped(const foreign_mapping& found) noexcept {
    answer = found;
    return false;
  }
  constexpr bool found(const foreign_finding& finding) {
    answer = error{errc::malformed, static_cast<std::int8_t>(finding.level), answer.error().at};
    return goes_on(on_finding, finding);
  }
  constexpr void unmapped(typename Format::word entry, int level, input_address) noexcept {
    answer = no_leaf<Format>(entry, level, input_address{answer.error().at});
  }
};

}  // namespace detail

// For who wants to see more than mappings: what a walk comes to is told to the receiver, in the order of the table.
//   mapped(foreign_mapping), found(foreign_finding)   give whether to go on; no ends the walk with errc::stopped
//   unmapped(entry, level, address)                   an absent entry, a marker or a locked one
//   seen(table, index, entry, level, address)         if it has that: each entry, when it is read
//   entered(entry, level, address)                    if it has that: a table entry whose table is walked next
// Errors: those of check_range; stopped.
template <pte_format Format, class Memory, class Receiver>
constexpr result<foreign_summary> foreign_walk(Memory&& memory, table_address root, input_range range,
                                               Receiver&& receiver, const foreign_bounds& bounds = {}) {
  if (const error bad = check_range<Format>(range); bad.code != errc::none) return bad;
  detail::foreign_visitor<Format, std::remove_reference_t<Memory>, std::remove_reference_t<Receiver>> visitor{
      memory, root, bounds, receiver};
  detail::read_by_the_visitor none;
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::table_post | walk_flag::stop_on_retry;
  const error ended = walk<flags, Format>(none, root, range, visitor);
  if (ended.code != errc::none && visitor.summary().complete) return ended;
  return visitor.summary();
}

// Calls on_mapping(foreign_mapping) for every leaf that overlaps the range, in ascending order, and
// on_finding(foreign_finding) for what is wrong; either may give false, which ends the walk with errc::stopped. A walk
// that runs out of budget is a success that is not complete; one whose budget is less than a root-to-page path with the
// largest group may get nowhere. Errors: those of check_range; stopped.
template <pte_format Format, class Memory, class OnMapping, class OnFinding>
constexpr result<foreign_summary> foreign_for_each_mapping(Memory&& memory, table_address root, input_range range,
                                                           OnMapping&& on_mapping, OnFinding&& on_finding,
                                                           const foreign_bounds& bounds = {}) {
  detail::each_foreign_mapping<Format, std::remove_reference_t<OnMapping>, std::remove_reference_t<OnFinding>> receiver{
      on_mapping, on_finding};
  return foreign_walk<Format>(memory, root, range, receiver, bounds);
}

// The leaf that translates `address`. A budget below a path and a group counts as a finding. Errors: beyond_input;
// not_mapped, marked, busy with the level, as of a table of ours; malformed with the level where a finding stands in
// the way, which on_finding is told.
template <pte_format Format, class Memory, class OnFinding>
constexpr result<foreign_mapping> foreign_lookup(Memory&& memory, table_address root, input_address address,
                                                 OnFinding&& on_finding, const foreign_bounds& bounds = {}) {
  if (!is_translatable<Format>(address)) return error{errc::beyond_input, -1, address.value};
  detail::foreign_answer<Format, std::remove_reference_t<OnFinding>> receiver{
      on_finding, error{errc::not_mapped, -1, address.value}};
  // The receiver stops the walk where it has the answer; what else could end it was asked above.
  static_cast<void>(foreign_walk<Format>(memory, root, page_of<Format>(address), receiver, bounds));
  return receiver.answer;
}
template <pte_format Format, class Memory>
constexpr result<foreign_mapping> foreign_lookup(Memory&& memory, table_address root, input_address address,
                                                 const foreign_bounds& bounds = {}) {
  return foreign_lookup<Format>(memory, root, address, [](const foreign_finding&) {}, bounds);
}

}  // namespace quire
