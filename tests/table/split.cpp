// SPDX-License-Identifier: MIT
// split, promise by promise: every attribute kept, as far as memory goes, one invalidation a batch where the format
// breaks before it makes, and nothing that the hardware sets meanwhile is lost.
#include <quire/table/split.hpp>

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;
using plain = tiny::plain;

constexpr attributes guest{.allowed = read_write,
                           .may_write = true,
                           .memory = memory_type::non_cacheable,
                           .accessed = true,
                           .dirty = true,
                           .software = 2};

}  // namespace

TEST_CASE("a split keeps the translation and every attribute") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(8), guest));
  const auto done = s.session().split(pages(1, 1));
  REQUIRE(done);
  CHECK(done->leaves == 1);
  CHECK(done->tables == 1);
  CHECK_FALSE(done->out_of_memory);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const auto found = s.session().lookup(input_address{i * page});
    CHECK(found->level == (i < 4 ? 0 : 1));
    CHECK(found->attrs == guest);
    CHECK(found->translate(input_address{i * page}) == at(8 + i));
  }
  CHECK(s.findings().empty());
}

TEST_CASE("what is split already costs nothing") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), guest));
  REQUIRE(s.session().split(pages(0, 8)));
  s.begin();
  const auto done = s.session().split(pages(0, 8));
  CHECK(done->leaves == 0);
  CHECK(s.touched() == 0);
  CHECK(s.machine.record().loads <= 4 + 4);  // level 0 is not read
}

TEST_CASE("a target that holds no leaves is refused") {
  stand<plain> s;
  CHECK(s.session().split(pages(0, 8), 2).error().code == errc::unsupported_level);
  CHECK(s.session().split(pages(0, 8), -1).error().code == errc::unsupported_level);
  CHECK(s.session().split(pages(0, 8), 3).error().code == errc::unsupported_level);
  CHECK(s.session().split(pages(0, 8), 1));
}

TEST_CASE("a split to a middle level stops there") {
  using format = tiny::deep;  // leaves of 1, 2, 4 and 8 pages
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = read_write}));
  REQUIRE(s.session().lookup(input_address{0})->level == 3);
  const auto done = s.session().split(pages(0, 8), 1);
  CHECK(done->leaves == 1);  // in one piece
  CHECK(done->tables == 1 + 2);
  CHECK(s.session().lookup(input_address{0})->level == 1);
  // A part of a leaf goes down along the range only.
  stand<format> part;
  REQUIRE(part.session().map(pages(0, 8), at(0), {.allowed = read_write}));
  CHECK(part.session().split(pages(0, 1), 0)->tables == 3);
  CHECK(part.session().lookup(input_address{0})->level == 0);
  CHECK(part.session().lookup(input_address{2 * page})->level == 1);
  CHECK(part.session().lookup(input_address{4 * page})->level == 2);
  CHECK(part.findings().empty());
}

TEST_CASE("a split that runs out of memory says where and keeps what it did") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 16), at(0), guest));
  s.fail_all_from(3);
  const auto done = s.session().split(pages(0, 16));
  REQUIRE(done);
  CHECK(done->out_of_memory);
  CHECK(done->leaves == 2);
  CHECK(done->stopped_at == input_address{8 * page});
  CHECK(s.session().lookup(input_address{7 * page})->level == 0);
  CHECK(s.session().lookup(input_address{8 * page})->level == 1);
  s.fail_at(0);
  CHECK(s.findings().empty());
}

TEST_CASE("breaking before making takes one invalidation a batch") {
  using format = tiny::inverted;  // 64 root entries, each a leaf of 8 pages
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 128), at(0), {.allowed = read_write}));
  s.begin();
  const auto done = s.session().split(pages(0, 128), 2);
  CHECK(done->leaves == 16);
  CHECK(s.machine.record().requests_added == 16 / 8);
  CHECK(s.findings().empty());
}

TEST_CASE("a split of entries whose absence may be cached invalidates after it made them") {
  using format = tiny::hardware_ad;  // breaks, and "not mapped" is cached
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    stand<format> s(900, seed);
    REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = read_write}));
    REQUIRE(s.session().split(pages(0, 8)));
    if (!s.findings().empty()) FAIL(s.machine.findings().text());
  }
}

TEST_CASE("a group without any right is broken like every other") {
  using format = tiny::pages_only;
  stand<format> s;
  REQUIRE(s.session().map(pages(0, 2), at(0), {.allowed = no_access, .accessed = true}));
  REQUIRE(s.session().lookup(input_address{0})->group == 1);
  REQUIRE(s.session().split(pages(0, 1)));
  CHECK(s.session().lookup(input_address{0})->group == 0);
  REQUIRE(s.session().unmap(pages(0, 1)));
  CHECK(s.session().lookup(input_address{page})->bytes == page);
  CHECK(s.findings().empty());
}

TEST_CASE("bits that the hardware sets while a leaf is split are in the children") {
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    stand<tiny::deep> s(700, seed);
    REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = read_write, .accessed = false}));
    for (int i = 0; i < 6; ++i) s.machine.run_hardware();
    REQUIRE(s.session().split(pages(0, 8)));
    const bool stored = [&]() {
      for (std::size_t i = 0; i < 8; ++i)
        if (s.stores_at(i) != 0 && !s.session().lookup(input_address{i * page})->attrs.dirty) return false;
      return true;
    }();
    CHECK(stored);
    if (!s.findings().empty()) FAIL(s.machine.findings().text());
  }
}
