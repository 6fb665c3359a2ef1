// SPDX-License-Identifier: MIT
// Views of foreign tables show what foreign_for_each_mapping tells, in its order, whatever the words are.
#include <quire/views/foreign.hpp>

#include <random>   // mt19937_64
#include <span>     // as_bytes
#include <variant>  // get_if, visit
#include <vector>   // vector

#include <range/v3/range/concepts.hpp>  // input_range
#include <range/v3/view/filter.hpp>     // filter
#include <range/v3/view/ref.hpp>        // ref

#include "catch.hpp"
#include "support/foreign_check.hpp"
#include "support/made_tables.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;
using quire_test::healthy;
using views::foreign_item;

bool equal(const foreign_item& a, const foreign_item& b) {
  if (a.index() != b.index()) return false;
  if (const auto* const one = std::get_if<foreign_mapping>(&a))
    return *one == std::get<foreign_mapping>(b) && one->effective == std::get<foreign_mapping>(b).effective;
  return std::get<foreign_finding>(a) == std::get<foreign_finding>(b);
}
bool equal(const std::vector<foreign_item>& a, const std::vector<foreign_item>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = equal(a[i], b[i]);
  return same;
}
bool equal(const foreign_summary& a, const foreign_summary& b) {
  return a.entries == b.entries && a.findings == b.findings && a.complete == b.complete && a.unvisited == b.unvisited;
}

template <class View>
std::vector<foreign_item> all_of(View& view) {
  std::vector<foreign_item> items;
  for (const auto& one : view) items.emplace_back(one);
  return items;
}

// What is wrong with the views of a dump; nullptr if nothing is.
template <class F>
const char* defect_of(memory_dump dump, table_address root, input_range range, const foreign_bounds& bounds) {
  std::vector<foreign_item> told;
  const auto summary = foreign_for_each_mapping<F>(
      dump, root, range, [&](const foreign_mapping& one) { told.emplace_back(one); },
      [&](const foreign_finding& one) { told.emplace_back(one); }, bounds);
  if (!summary) return "the walk failed";

  quire_test::counting_dump counting{dump};
  auto view = views::foreign<F>(counting, root, range, bounds);
  if (!equal(all_of(view), told)) return "other items";
  if (!equal(view.summary(), *summary)) return "another summary";
  // As many as the walk that is not put down, which reads each once (a table that hangs in two places for each).
  if (counting.asked != summary->entries) return "entries were read again";
  if (!equal(all_of(view), told)) return "other items in the second pass";

  std::vector<foreign_item> mapped, found;
  for (const foreign_item& one : told) (one.index() == 0 ? mapped : found).push_back(one);
  auto mappings = views::foreign_mappings<F>(dump, root, range, bounds);
  auto findings = views::foreign_findings<F>(dump, root, range, bounds);
  if (!equal(all_of(mappings), mapped)) return "other mappings";
  if (!equal(all_of(findings), found)) return "other findings";
  return nullptr;
}

}  // namespace

QUIRE_TYPED_TEST("views of foreign tables show what is told", quire_test::chosen_formats) {
  using word = typename Format::word;
  std::mt19937_64 random{9};
  for (std::uint64_t round = 0; round < quire_test::scaled(60); ++round) {
    std::vector<word> words = healthy<Format>{round / 4 + 1}.words;
    if (round % 2 == 1)  // a few bits of few words, or any words in a few tables
      for (std::size_t i = 0; i < 400; ++i) {
        word& one = words[random() % words.size()];
        one = round % 4 == 1 ? static_cast<word>(one ^ static_cast<word>(word{1} << random() % (8 * sizeof(word))))
                             : static_cast<word>(random());
      }
    const std::size_t cut = random() % 3 == 0 ? random() % words.size() : 0;
    const auto bytes = std::as_bytes(std::span{words}).first((words.size() - cut) * sizeof(word));
    const foreign_bounds bounds{.budget = random() % 3 == 0 ? random() % 300 : 5000};
    for (const input_range half : quire_test::halves<Format>()) {
      const char* const defect =
          defect_of<Format>({bytes.data(), bytes.size(), healthy<Format>::base}, healthy<Format>::root(), half, bounds);
      INFO("round " << round);
      CHECK(std::string(defect == nullptr ? "" : defect) == "");
    }
  }
}

TEST_CASE("a view of foreign tables composes, and says how far it came") {
  using format = tiny::plain;
  healthy<format> made{3};
  auto dump = made.dump();
  const input_range all = quire_test::halves<format>().front();
  auto view = views::foreign_mappings<format>(dump, made.root(), all);
  std::size_t count = 0, filtered = 0;
  for (const foreign_mapping& one : view) count += one.level == 0 ? 1U : 0U;
  auto pages =
      ranges::views::ref(view) | ranges::views::filter([](const foreign_mapping& one) { return one.level == 0; });
  for (const foreign_mapping& one : pages) filtered += one.bytes == format::shape.page_bytes() ? 1U : 0U;
  CHECK(count > 0);
  CHECK(filtered == count);
  CHECK(view.summary().complete);
  CHECK(view.summary().entries > 0);
  const auto copy = view;
  CHECK(copy.summary().entries == 0);

  using type = decltype(view);
  STATIC_REQUIRE(ranges::view_<type>);
  STATIC_REQUIRE(ranges::input_range<type>);
  STATIC_REQUIRE(!ranges::forward_range<type>);
  STATIC_REQUIRE(!ranges::borrowed_range<type>);
}

TEST_CASE("a bad range of foreign tables makes an empty view") {
  healthy<tiny::plain> made{1};
  auto dump = made.dump();
  auto view = views::foreign<tiny::plain>(dump, made.root(), input_range::sized(input_address{1}, 64));
  CHECK(all_of(view).empty());
  CHECK(view.error().code == errc::unaligned);
}
