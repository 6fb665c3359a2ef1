// SPDX-License-Identifier: MIT
#include <quire/check/naive_walk.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {
template <class F>
check::naive_walk<F> read(hand<F>& h) {
  check::naive_walk<F> all;
  all.read(h.machine.memory(), h.root);
  return all;
}
}  // namespace

TEST_CASE("every table, leaf and marker is found, in input order") {
  hand<direct> h;
  h.store(h.pages, 2, h.leaf(0x2000, 0, dirtied));
  h.store(h.pages, 3, direct::marker(9));
  h.store(h.blocks, 3, h.leaf(0x400, 1, read_only));
  h.store(h.root, 1, direct::locked);
  const auto all = read(h);
  REQUIRE(all.tables.size() == 3);
  CHECK(all.tables[0] == std::pair{h.root, 2});
  CHECK(all.tables[1] == std::pair{h.blocks, 1});
  CHECK(all.tables[2] == std::pair{h.pages, 0});
  CHECK(check::count_tables<direct>(h.machine.memory(), h.root) == 3);
  REQUIRE(all.leaves.size() == 2);
  CHECK(all.leaves[0].first == input_address{2 * page});
  CHECK(all.leaves[0].output == output_address{0x2000});
  CHECK(all.leaves[0].attrs == dirtied);
  CHECK(all.leaves[1].first == input_address{3 * block});
  CHECK(all.leaves[1].bytes() == block);
  REQUIRE(all.markers.size() == 2);
  CHECK(direct::payload_of(all.markers[0].word) == 9);
  CHECK(all.markers[1].first == input_address{region});
  CHECK(all.torn_groups == 0);
}

TEST_CASE("an address is translated by the entry it ends at") {
  hand<direct> h;
  h.store(h.pages, 2, h.leaf(0x2000, 0));
  h.store(h.blocks, 3, h.leaf(0x400, 1));
  const auto in_page = check::translate<direct>(h.machine.memory(), h.root, 2 * page + 7);
  CHECK(in_page.mapped());
  CHECK(in_page.output == output_address{0x2007});
  CHECK(in_page.entry.table == h.pages);
  CHECK(in_page.entry.last == 3 * page - 1);
  CHECK(check::translate<direct>(h.machine.memory(), h.root, 4 * block - 1).output == output_address{0x4ff});
  const auto nothing = check::translate<direct>(h.machine.memory(), h.root, 3 * region);
  CHECK(nothing.kind == quire::entry_kind::absent);
  CHECK(nothing.entry.level == 2);
}

TEST_CASE("a group is one leaf, and a torn one is counted") {
  hand<breaking> h;
  const auto first = h.leaf(0x400, 0, clean, 1);
  const auto second = static_cast<std::uint64_t>(first + breaking::step(0, 1));
  SECTION("complete") {
    h.store(h.pages, 2, first);
    h.store(h.pages, 3, breaking::is_dirty.value | second);
    const auto all = read(h);
    REQUIRE(all.leaves.size() == 1);
    CHECK(all.leaves[0].group == 1);
    CHECK(all.leaves[0].bytes() == 2 * page);
    CHECK(all.leaves[0].attrs.dirty);
    CHECK(all.torn_groups == 0);
    CHECK(check::translate<breaking>(h.machine.memory(), h.root, 3 * page + 1).output == output_address{0x441});
  }
  SECTION("the second entry missing") {
    h.store(h.pages, 2, first);
    CHECK(read(h).torn_groups == 1);
  }
  SECTION("the first entry missing") {
    h.store(h.pages, 3, second);
    CHECK(read(h).torn_groups == 1);
  }
  SECTION("the second entry of another group") {
    h.store(h.pages, 2, first);
    h.store(h.pages, 3, static_cast<std::uint64_t>(h.leaf(0x800, 0, clean, 1) + breaking::step(0, 1)));
    CHECK(read(h).torn_groups == 2);
  }
  SECTION("the second entry with other rights") {
    h.store(h.pages, 2, first);
    h.store(h.pages, 3, static_cast<std::uint64_t>(h.leaf(0x400, 0, read_only, 1) + breaking::step(0, 1)));
    CHECK(read(h).torn_groups == 2);
  }
  SECTION("the last entry of the space missing") {
    const table_address high = h.table(), last = h.table();
    h.store(last, 2, first);
    h.store(high, 3, breaking::table(last, 1));
    h.store(h.root, 3, breaking::table(high, 2));
    CHECK(read(h).torn_groups == 1);
  }
}

TEST_CASE("input addresses of the upper half repeat the top bit") {
  hand<signed_halves> h;
  const table_address high = h.table();
  h.store(high, 3, h.leaf(0x400, 1));
  h.store(h.root, 3, signed_halves::table(high, 2));
  const auto all = read(h);
  REQUIRE(all.leaves.size() == 1);
  CHECK(all.leaves[0].first == input_address{~std::uint64_t{0} - 255});
}
