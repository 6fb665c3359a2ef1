// SPDX-License-Identifier: MIT
// collapse and prune, promise by promise: one leaf where leaves continue one another, nothing otherwise; accessed and
// dirty become the OR; the table is given back after the invalidation.
#include <quire/table/collapse.hpp>

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;
using plain = tiny::plain;

constexpr attributes guest{.allowed = read_write, .may_write = true};

// Pages 0..3 as single pages, then one of them changed.
template <class Change>
std::size_t collapsed_after(Change&& change) {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(4), guest, {.largest_level = 0}));
  change(s);
  const std::size_t made = s.session().collapse(pages(0, 4))->leaves;
  CHECK(s.findings().empty());
  return made;
}

}  // namespace

TEST_CASE("leaves that continue one another become one, and the table is given back") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(4), guest, {.largest_level = 0}));
  CHECK(s.in_use() == 3);
  s.begin();
  CHECK(s.session().collapse(pages(0, 4))->leaves == 1);
  CHECK(s.machine.record().requests_added == 1);
  CHECK_FALSE(s.machine.record().requests[0].leaf_only);
  CHECK(s.in_use() == 2);
  CHECK(s.session().lookup(input_address{0})->level == 1);
  CHECK(s.session().lookup(input_address{0})->attrs == guest);
  s.begin();
  CHECK(s.session().collapse(pages(0, 4))->leaves == 0);
  CHECK(s.touched() == 0);
  CHECK(s.findings().empty());
}

TEST_CASE("what differs does not collapse") {
  const auto& allowed = pages;
  CHECK(collapsed_after([](auto&) {}) == 1);
  CHECK(collapsed_after([&](auto& s) { REQUIRE(s.session().unmap(allowed(2, 1))); }) == 0);
  CHECK(collapsed_after([&](auto& s) { REQUIRE(s.session().protect(allowed(2, 1), readable)); }) == 0);
  // Read-only for the log and read-only for good are not the same: may_write must be equal.
  CHECK(collapsed_after([&](auto& s) {
          REQUIRE(s.session().write_protect(allowed(0, 3)));
          REQUIRE(s.session().protect(allowed(3, 1), readable));
        }) == 0);
  CHECK(collapsed_after([&](auto& s) { REQUIRE(s.session().map(allowed(2, 1), at(9), guest, {.replace = true})); }) ==
        0);
  CHECK(collapsed_after([&](auto& s) {
          REQUIRE(s.session().unmap(allowed(2, 1)));
          REQUIRE(s.session().annotate(allowed(2, 1), 1));
        }) == 0);
}

TEST_CASE("a collapse needs an output that is aligned, a whole range and a level that holds leaves") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(5), guest));
  CHECK(s.session().collapse(pages(0, 4))->leaves == 0);
  REQUIRE(s.session().map(pages(4, 4), at(4), guest, {.largest_level = 0}));
  CHECK(s.session().collapse(pages(4, 3))->leaves == 0);
  CHECK(s.session().collapse(pages(4, 4), 0)->leaves == 0);
  CHECK(s.session().collapse(pages(0, 16))->leaves == 1);
}

TEST_CASE("accessed and dirty of the new leaf are those of all the old ones") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 3), at(0), {.allowed = read_write, .accessed = false}, {.largest_level = 0}));
  REQUIRE(s.session().map(pages(3, 1), at(3), {.allowed = read_write, .accessed = true, .dirty = true}));
  REQUIRE(s.session().collapse(pages(0, 4))->leaves == 1);
  CHECK(s.session().lookup(input_address{0})->attrs.accessed);
  CHECK(s.session().lookup(input_address{0})->attrs.dirty);
}

TEST_CASE("a collapse goes up as many levels as it can") {
  using format = tiny::deep;
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest, {.largest_level = 0}));
  CHECK(s.session().collapse(pages(0, 8), 2)->leaves == 4 + 2);
  CHECK(s.session().lookup(input_address{0})->level == 2);
  CHECK(s.session().collapse(pages(0, 8))->leaves == 1);
  CHECK(s.in_use() == 1);
  CHECK(s.findings().empty());
}

TEST_CASE("groups and singles side by side collapse as well") {
  using format = tiny::bbm;  // groups of two pages, blocks of four
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), {.allowed = read_write}, {.largest_level = 0}));
  REQUIRE(s.session().lookup(input_address{0})->group == 1);
  REQUIRE(s.session().split(pages(0, 2)));
  REQUIRE(s.session().lookup(input_address{0})->group == 0);
  REQUIRE(s.session().lookup(input_address{2 * page})->group == 1);
  CHECK(s.session().collapse(pages(0, 4))->leaves == 1);
  CHECK(s.findings().empty());
}

TEST_CASE("bits that the hardware sets while leaves collapse are in the new leaf") {
  for (std::uint64_t seed = 1; seed < 60; ++seed) {
    stand<tiny::deep> s(700, seed);
    REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = read_write, .accessed = false}, {.largest_level = 0}));
    REQUIRE(s.session().collapse(pages(0, 8)));
    bool kept = true;
    for (std::size_t i = 0; i < 8; ++i)
      kept = kept && (s.stores_at(i) == 0 || s.session().lookup(input_address{i * page})->attrs.dirty);
    CHECK(kept);
    if (!s.findings().empty()) FAIL(s.machine.findings().text());
  }
}

TEST_CASE("prune frees tables without entries, all the way up, and nothing else") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 2), at(0), guest));
  REQUIRE(s.session().map(pages(16, 2), at(0), guest));
  REQUIRE(s.session().unmap(pages(0, 2)));
  CHECK(s.in_use() == 5);
  s.begin();
  CHECK(s.session().prune(pages(0, 64)).value() == 2);
  CHECK(s.machine.record().requests_added == 1);
  CHECK(s.in_use() == 3);
  s.begin();
  CHECK(s.session().prune(pages(0, 64)).value() == 0);
  CHECK(s.touched() == 0);
  REQUIRE(s.session().unmap(pages(16, 2)));
  REQUIRE(s.session().annotate(pages(16, 1), 0));
  CHECK(s.session().prune(pages(0, 64)).value() == 0);  // a marker is an entry
  CHECK(s.findings().empty());
}
