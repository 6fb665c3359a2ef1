// SPDX-License-Identifier: MIT
// protect, write_protect, relax and the accessed and dirty bits, promise by promise.
#include <quire/table/change.hpp>

#include <utility>  // pair
#include <vector>   // vector

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;
using plain = tiny::plain;

constexpr attributes guest{.allowed = read_write, .may_write = true};

struct reports {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pages;
  void operator()(input_address first, std::uint64_t bytes) { pages.emplace_back(first.value / page, bytes / page); }
};

}  // namespace

TEST_CASE("protect gives exactly these rights, and may_write goes with the write permission") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), guest, {.largest_level = 0}));
  CHECK(s.session().protect(pages(1, 2), read_execute).value());
  CHECK(s.attrs(0) == guest);
  CHECK(s.attrs(1).allowed == read_execute);
  CHECK_FALSE(s.attrs(1).may_write);
  s.begin();
  CHECK_FALSE(s.session().protect(pages(1, 2), read_execute).value());
  CHECK(s.touched() == 0);
  CHECK(s.findings().empty());
}

TEST_CASE("protect says that nothing changed though it had to split") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), guest));
  CHECK_FALSE(s.session().protect(pages(1, 1), read_write).value());
  CHECK(s.session().lookup(input_address{page})->level == 0);
}

TEST_CASE("write_protect takes whole leaves, leaves may_write alone and never allocates") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest));
  s.fail_all_from(1);
  s.begin();
  CHECK(s.session().write_protect(pages(1, 1)).value());
  CHECK(s.attrs(3).allowed == readable);
  CHECK(s.attrs(3).may_write);
  CHECK(s.attrs(4).allowed == read_write);
  CHECK(s.machine.record().requests_added == 1);
  s.begin();
  CHECK_FALSE(s.session().write_protect(pages(0, 4)).value());
  CHECK(s.touched() == 0);
  s.fail_at(0);
  CHECK(s.session().restore_write(pages(0, 64)).value());
  CHECK(s.attrs(3).allowed == read_write);
  CHECK(s.findings().empty());
}

TEST_CASE("restore_write leaves alone what may not be written") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 1), at(0), {.allowed = readable}));
  s.begin();
  CHECK_FALSE(s.session().restore_write(pages(0, 4)).value());
  CHECK(s.touched() == 0);
  CHECK(s.attrs(0).allowed == readable);
}

TEST_CASE("write_protect of a mask protects the pages of its bits") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 64), at(0), guest, {.largest_level = 0}));
  const std::uint64_t mask = 0x8000'0000'0010'0251;
  s.begin();
  CHECK(s.session().write_protect(input_address{0}, mask).value());
  CHECK(s.machine.record().requests_added == 1);
  for (std::uint64_t i = 0; i < 64; ++i)
    if (s.attrs(i).allowed.contains(writable) != ((mask >> i & 1U) == 0)) FAIL("page " << i);
  CHECK_FALSE(s.session().write_protect(input_address{0}, 0).value());
  CHECK(s.findings().empty());
}

TEST_CASE("whoever protects to split is told that there is nothing to split") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest));
  const auto told = [](const result<change_outcome>& done, bool any, bool is_split) {
    return done.has_value() && done->any == any && done->is_split == is_split;
  };
  CHECK(told(s.session().write_protect_to_split(pages(1, 1)), true, false));
  CHECK(told(s.session().write_protect_to_split(input_address{0}, 4U), false, false));
  REQUIRE(s.session().split(pages(0, 4)));
  CHECK(told(s.session().write_protect_to_split(pages(1, 1)), false, true));
  CHECK(told(s.session().write_protect_to_split(input_address{0}, 4U), false, true));
  CHECK(told(s.session().write_protect_to_split(pages(1, 4)), true, false));  // page 4 lies in a block
  CHECK(told(s.session().write_protect_to_split(input_address{0}, 0), false, true));
  // Pages in groups can be split, wherever they are.
  stand<tiny::grouped> grouped;
  REQUIRE(grouped.session().map(pages(0, 4), at(0), guest, {.largest_level = 0}));
  CHECK(told(grouped.session().write_protect_to_split(pages(1, 1)), true, false));
}

TEST_CASE("a mask does not wrap around to the lowest pages") {
  using format = tiny::pages_only;  // two halves: the last page of the space exists
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest, {.groups = false}));
  const input_address last_page = input_address{0} - page;
  s.begin();
  CHECK(s.session().write_protect(last_page, 0x10).error().code == errc::range_overflow);
  CHECK(s.session().write_protect(last_page, 0x11).error().code == errc::range_overflow);
  CHECK(s.touched() == 0);
  CHECK(s.session().write_protect(last_page, 0x1).has_value());
}

TEST_CASE("relax adds rights to the whole leaf; a second one writes nothing and ends its own stale translation") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), {.allowed = readable}));
  REQUIRE(s.session().relax(input_address{page + 5}, writable));
  CHECK(s.attrs(3).allowed == read_write);
  CHECK(s.attrs(3).may_write);
  s.begin();
  REQUIRE(s.session().relax(input_address{page}, writable));
  CHECK(s.touched() == 0);
  CHECK(s.machine.record().requests_local == 1);
  CHECK(s.session().relax(input_address{9 * page}, writable).error().code == errc::not_mapped);
}

TEST_CASE("a right that the leaf cannot have is not granted in silence") {
  using format = arm64::stage2_4k<40>;  // no instruction fetch from device memory
  watched_stand<format> s({.first = 0, .pages = 16, .tables = 8});
  REQUIRE(s.table.create());
  REQUIRE(s.session().map(input_range::sized(input_address{0}, 4096), output_address{0},
                          {.allowed = readable, .memory = memory_type::device}));
  CHECK(s.session().relax(input_address{0}, executable).error().code == errc::unsupported_attribute);
  CHECK(s.session().relax(input_address{0}, writable));
}

TEST_CASE("accessed is sampled and cleared, dirty is read and cleared") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), {.allowed = read_write, .accessed = true, .dirty = true},
                          {.largest_level = 0}));
  REQUIRE(s.session().map(pages(4, 4), at(4), {.allowed = read_write, .accessed = false}));
  CHECK(s.session().test_and_clear_accessed(pages(0, 8)).value());
  CHECK_FALSE(s.attrs(0).accessed);
  CHECK_FALSE(s.session().test_and_clear_accessed(pages(0, 8)).value());
  CHECK(s.session().set_accessed(pages(4, 1)).value());
  CHECK(s.attrs(7).accessed);

  reports found;
  s.begin();
  CHECK(s.session().read_and_clear_dirty(pages(1, 2), found, false).value());
  CHECK(s.touched() == 0);
  CHECK(s.session().read_and_clear_dirty(pages(0, 8), found).value());
  CHECK(found.pages == decltype(found.pages){{1, 1}, {2, 1}, {0, 1}, {1, 1}, {2, 1}, {3, 1}});
  CHECK_FALSE(s.session().read_and_clear_dirty(pages(0, 8), found).value());
  CHECK(s.findings().empty());
}

TEST_CASE("an accessed bit in the second entry of a group of blocks is found") {
  using format = tiny::wide_root;  // blocks of four pages in groups of two
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = readable, .accessed = false}));
  REQUIRE(s.session().lookup(input_address{0})->group == 1);
  REQUIRE(s.session().lookup(input_address{0})->level == 1);
  auto memory = s.machine.memory();
  const auto second = check::translate<format>(memory, s.machine.root(), 4 * page).entry;
  memory.store<format::word>(second.table, second.index, format::set_accessed(second.word), order::relaxed);
  CHECK(s.session().test_and_clear_accessed(pages(0, 1)).value());
  CHECK_FALSE(s.attrs(5).accessed);
}

TEST_CASE("protecting a dirty leaf reports it where writable and dirty share bits") {
  using format = tiny::dbm;
  static_assert(protecting_loses_dirty<format>);
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 2), at(0), {.allowed = read_write, .dirty = true}));
  REQUIRE(s.session().map(pages(2, 2), at(2), guest));
  reports found;
  CHECK(s.session().write_protect(pages(0, 4), found).value());
  CHECK(found.pages == decltype(found.pages){{0, 2}});
  REQUIRE(s.session().restore_write(pages(0, 2)));
  found.pages.clear();
  CHECK(s.session().protect(pages(1, 1), readable, partial::split, s.table.policies().tables, found).value());
  CHECK(found.pages == decltype(found.pages){{1, 1}});
  CHECK(s.findings().empty());
}

TEST_CASE("protecting a group of which one entry is dirty reports the group") {
  using format = tiny::inverted_dbm;
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 2), at(0), guest));
  REQUIRE(s.session().lookup(input_address{0})->group == 1);
  auto memory = s.machine.memory();
  const auto second = check::translate<format>(memory, s.machine.root(), page).entry;
  memory.store<format::word>(second.table, 1, (second.word & ~format::is_dirty.mask) | format::is_dirty.value,
                             order::relaxed);
  reports found;
  CHECK(s.session().write_protect(pages(0, 1), found).value());
  CHECK(found.pages == decltype(found.pages){{0, 2}});
}
