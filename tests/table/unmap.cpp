// SPDX-License-Identifier: MIT
// unmap and discard, promise by promise: what was there is reported with its accessed and dirty bits, nothing outside
// the range changes unless whole leaves are asked for, unused tables are freed after one invalidation.
#include <quire/table/unmap.hpp>

#include <vector>  // vector

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;
using plain = tiny::plain;

constexpr attributes guest{.allowed = read_write, .may_write = true, .accessed = true, .dirty = true};

}  // namespace

TEST_CASE("unmap says what was there") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 6), at(8), guest));
  std::vector<removed_leaf> leaves;
  const auto found = s.session().unmap(pages(0, 8), partial::error, s.table.policies().tables,
                                       [&](const removed_leaf& leaf) { leaves.push_back(leaf); });
  REQUIRE(found);
  CHECK(found->entries == 3);
  CHECK(found->accessed);
  CHECK(found->dirty);
  CHECK(found->covered == pages(0, 8));
  REQUIRE(leaves.size() == 3);
  CHECK(leaves[0].bytes == 4 * page);
  CHECK(leaves[1].output == at(12));
  CHECK(leaves[2].address == input_address{5 * page});
  CHECK(leaves[2].was == guest);
  CHECK(s.findings().empty());
}

TEST_CASE("a part of a block: split, whole, or an error") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest));
  s.begin();
  CHECK(s.session().unmap(pages(1, 2), partial::error).error().code == errc::crosses_leaf);
  CHECK(s.touched() == 0);

  REQUIRE(s.session().unmap(pages(1, 2), partial::split));
  CHECK(s.session().translate(input_address{0})->value == 0);
  CHECK(s.session().translate(input_address{3 * page})->value == 3 * page);
  CHECK(s.session().lookup(input_address{page}).error().code == errc::not_mapped);

  const auto whole = s.session().unmap(pages(5, 1), partial::whole);
  REQUIRE(whole);
  CHECK(whole->covered == pages(4, 4));
  CHECK(s.session().lookup(input_address{7 * page}).error().code == errc::not_mapped);
  CHECK(s.findings().empty());
}

TEST_CASE("whole leaves are taken without memory") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), guest));
  s.fail_all_from(1);
  CHECK(s.session().unmap(pages(1, 1), partial::split).error().code == errc::no_memory);
  CHECK(s.session().translate(input_address{page})->value == page);
  CHECK(s.session().unmap(pages(1, 1), partial::whole));
  s.fail_at(0);
}

TEST_CASE("one invalidation for a range, none where nothing was mapped") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 40), at(0), guest, {.largest_level = 0}));
  s.begin();
  REQUIRE(s.session().unmap(pages(3, 30)));
  CHECK(s.machine.record().requests_added == 1);
  CHECK(s.machine.record().completions == 1);
  s.begin();
  REQUIRE(s.session().unmap(pages(48, 16)));
  CHECK(s.touched() == 0);
  CHECK(s.machine.record().completions == 0);
  CHECK(s.findings().empty());
}

TEST_CASE("the level hint of an invalidation names the leaves, or nothing when they differ") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 6), at(0), guest));
  s.begin();
  REQUIRE(s.session().unmap(pages(4, 2)));
  CHECK(s.machine.record().requests[0] == invalidation_request{input_address{4 * page}, input_address{6 * page - 1}, 0,
                                                               true, invalidation_reason::removed});
  REQUIRE(s.session().map(pages(4, 2), at(4), guest));
  s.begin();
  REQUIRE(s.session().unmap(pages(0, 6)));
  CHECK(s.machine.record().requests[0].level == -1);
}

TEST_CASE("tables that the range covers are freed, others stay") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 32), at(0), guest, {.largest_level = 0}));
  CHECK(s.in_use() == 1 + 2 + 8);
  REQUIRE(s.session().unmap(pages(0, 16)));
  CHECK(s.in_use() == 1 + 1 + 4);
  REQUIRE(s.session().unmap(pages(16, 15)));
  CHECK(s.in_use() == 1 + 1 + 1);
  REQUIRE(s.session().unmap(pages(31, 1)));
  CHECK(s.in_use() == 1 + 1 + 1);  // empty, not covered
  CHECK(s.session().prune(pages(31, 1)).value() == 2);
  CHECK(s.in_use() == 1);
  CHECK(s.findings().empty());
}

TEST_CASE("what a table of pages says together: one page that differs, a hole, an annotation") {
  constexpr attributes clean{.allowed = read_write, .may_write = true, .accessed = false, .dirty = false};
  stand<plain> s;
  for (const int odd : {-1, 0, 1, 2, 3}) {
    for (int page_number = 0; page_number < 4; ++page_number) {
      const auto i = static_cast<std::uint64_t>(page_number);
      REQUIRE(s.session().map(pages(i, 1), at(i), page_number == odd ? guest : clean));
    }
    const auto found = s.session().unmap(pages(0, 16));
    REQUIRE(found);
    CHECK(found->entries == 4);
    CHECK(found->accessed == (odd >= 0));
    CHECK(found->dirty == (odd >= 0));
    CHECK(found->covered == pages(0, 16));
    CHECK(s.in_use() == 1);
  }
  REQUIRE(s.session().map(pages(0, 3), at(0), clean, {.largest_level = 0}));
  REQUIRE(s.session().annotate(pages(3, 1), 9));
  CHECK(s.session().unmap(pages(0, 16))->entries == 3);
  REQUIRE(s.session().map(pages(1, 3), at(1), guest, {.largest_level = 0}));
  const auto found = s.session().unmap(pages(0, 16));
  CHECK(found->entries == 3);
  CHECK((found->accessed && found->dirty));
  CHECK(s.in_use() == 1);
  CHECK(s.findings().empty());
}

TEST_CASE("a covered table of pages is not emptied entry by entry") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 32), at(0), guest, {.largest_level = 0}));
  s.begin();
  CHECK(s.session().unmap(pages(0, 32))->entries == 32);
  CHECK(s.machine.record().stores == 2 + 8 + 2 * (2 + 8));  // its link, and the list of what was detached
  CHECK(s.findings().empty());
}

TEST_CASE("unmap takes annotations along") {
  stand<plain> s;
  REQUIRE(s.session().annotate(pages(2, 2), 9));
  CHECK(s.session().annotation(input_address{2 * page}).value() == 9);
  CHECK(s.session().lookup(input_address{2 * page}).error().code == errc::marked);
  REQUIRE(s.session().unmap(pages(2, 1)));
  CHECK(s.session().annotation(input_address{2 * page}).error().code == errc::not_mapped);
  CHECK(s.session().annotation(input_address{3 * page}).value() == 9);
}

TEST_CASE("discard detaches covered tables without reading their leaves") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 64), at(0), guest, {.largest_level = 0}));
  s.begin();
  REQUIRE(s.session().discard(pages(0, 64)));
  // The root's entries, and of each detached table two entries that hold the list and the links that lead on.
  CHECK(s.machine.record().loads < 150);
  CHECK(s.machine.record().requests_added == 1);
  CHECK(s.in_use() == 1);
  CHECK(s.findings().empty());
}

// A translation cache may hold a group as one leaf: then a store to any page of it marks any entry.
TEST_CASE("a group of which one entry is dirty is dirty as a whole") {
  using format = tiny::inverted_dbm;
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 2), at(0), {.allowed = read_write, .may_write = true, .accessed = true}));
  REQUIRE(s.session().lookup(input_address{0})->group == 1);
  // The hardware sets the dirty bit in the second entry only.
  auto memory = s.machine.memory();
  const auto found = check::translate<format>(memory, s.machine.root(), page);
  REQUIRE(found.entry.index == 1);
  memory.store<format::word>(found.entry.table, 1, (found.entry.word & ~format::is_dirty.mask) | format::is_dirty.value,
                             order::relaxed);

  CHECK(s.session().lookup(input_address{0})->attrs.dirty);
  bool visited = false;
  REQUIRE(s.session().for_each_mapping(pages(0, 2), [&](const mapping& each) { visited = each.attrs.dirty; }));
  CHECK(visited);
  std::vector<bool> dirty;
  const auto gone = s.session().unmap(pages(0, 2), partial::error, s.table.policies().tables,
                                      [&](const removed_leaf& leaf) { dirty.push_back(leaf.was.dirty); });
  CHECK(gone->dirty);
  CHECK(dirty == std::vector<bool>{true, true});
}
