// SPDX-License-Identifier: MIT
// Gaps are what is left between the mappings, page by page, on every format.
#include <quire/views/gaps.hpp>

#include <algorithm>  // min
#include <random>     // mt19937_64
#include <vector>     // vector

#include <range/v3/range/concepts.hpp>  // forward_range

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"
#include "views/made_session.hpp"

namespace {

using namespace quire;
using quire_test::healthy, quire_test::made_guest, quire_test::made_tables;

template <class View>
std::vector<input_range> all_of(View&& view) {
  std::vector<input_range> found;
  for (const input_range& one : view) found.push_back(one);
  return found;
}

// What is wrong with the gaps of a range, looked up one by one; nullptr if nothing is.
template <class Session>
const char* defect_of_gaps(Session& session, input_range range, const std::vector<input_range>& gaps) {
  input_address at = range.first();
  for (std::size_t next = 0;;) {
    const auto found = session.lookup(at);
    input_address last = at;
    if (found) {
      last = found->input + (found->bytes - 1);
    } else {
      if (next == gaps.size()) return "a gap is missing";
      const input_range gap = gaps[next++];
      if (gap.defect() != errc::none || gap.first() != at) return "a gap begins elsewhere";
      // All of it: step by step over the entries that say so.
      for (input_address in_gap = at; in_gap <= gap.last();) {
        const auto nothing = session.lookup(in_gap);
        if (nothing) return "something is mapped in a gap";
        const std::uint64_t bytes = Session::format::shape.leaf_bytes(nothing.error().level);
        const input_address end = in_gap.align_down(bytes) + (bytes - 1);
        if (end < in_gap || end >= gap.last()) break;
        in_gap = end + 1;
      }
      last = gap.last();
      if (last < range.last() && !session.lookup(last + 1)) return "a gap ends too early";
    }
    if (last >= range.last())
      return last > range.last() && !found ? "a gap ends outside" : next == gaps.size() ? nullptr : "too many gaps";
    at = last + 1;
  }
}

}  // namespace

QUIRE_TYPED_TEST("gaps and mappings take turns over the whole space", quire_test::chosen_formats) {
  std::size_t gaps = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    healthy<Format> made{seed};
    made_guest<Format> guest{made};
    auto session = guest.exclusive();
    std::vector<input_range> halves;
    for (const input_range half : {input_space_of<Format>.lower, input_space_of<Format>.upper}) {
      if (half.defect() != errc::none) continue;
      const auto found = all_of(session | views::gaps(half));
      const char* const defect = defect_of_gaps(session, half, found);
      CHECK(std::string(defect == nullptr ? "" : defect) == "");
      halves.insert(halves.end(), found.begin(), found.end());
    }
    CHECK((all_of(session | views::gaps) == halves));
    gaps += halves.size();
  }
  CHECK(gaps > 0);
}

QUIRE_TYPED_TEST("gaps are cut where the range ends", quire_test::chosen_of<quire_test::tiny_formats>) {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  const input_range half = input_space_of<Format>.lower;
  const std::uint64_t pages = std::min<std::uint64_t>((half.last() - half.first()) / page + 1, 64);
  for (std::uint64_t seed = 1; seed <= quire_test::scaled(3); ++seed) {
    healthy<Format> made{seed};
    made_guest<Format> guest{made};
    auto session = guest.exclusive();
    std::size_t wrong = 0;
    for (std::uint64_t first = 0; first < pages; ++first)
      for (std::uint64_t last = first; last < pages; ++last) {
        const auto range = input_range::closed(input_address{first * page}, input_address{last * page + (page - 1)});
        wrong += defect_of_gaps(session, range, all_of(session | views::gaps(range))) == nullptr ? 0U : 1U;
      }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a table without mappings is one gap, markers and locked entries are part of it") {
  using format = riscv::sv39;  // two halves
  made_tables<format> made{1};
  made_guest<format> guest{made};
  const auto both = all_of(guest | views::gaps);
  REQUIRE(both.size() == 2);
  CHECK(both[0] == input_space_of<format>.lower);
  CHECK(both[1] == input_space_of<format>.upper);

  made.put(made.root(), 3, format::marker(7));
  made.put(made.root(), 4, format::locked);
  made.put(made.root(), 5, format::table(made.table(0), 2));
  CHECK(all_of(guest | views::gaps) == both);

  made.put(made.table(0), 1, *format::leaf(output_address{0}, {.allowed = readable, .from = privilege::user}, 1));
  const auto cut = all_of(guest | views::gaps);
  REQUIRE(cut.size() == 3);
  CHECK(cut[0].last() == input_address{(std::uint64_t{5} << 30) + (1U << 21) - 1});
  CHECK(cut[1].first() == input_address{(std::uint64_t{5} << 30) + (2U << 21)});
}

TEST_CASE("a view of gaps is empty where there is no root, and says so") {
  using format = tiny::plain;
  made_tables<format> made{1};
  quire_test::made_policies<format> policies{made};
  page_table<format, quire_test::made_policies<format>> guest{policies};
  const auto gaps = guest | views::gaps;
  CHECK(all_of(gaps).empty());
  CHECK(gaps.error().code == errc::no_root);
  STATIC_REQUIRE(ranges::forward_range<decltype(gaps)>);
  STATIC_REQUIRE(ranges::view_<std::remove_const_t<decltype(gaps)>>);
  STATIC_REQUIRE(ranges::borrowed_range<std::remove_const_t<decltype(gaps)>>);
}
