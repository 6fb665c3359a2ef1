// SPDX-License-Identifier: MIT
// map, promise by promise: the largest leaves that fit, all or nothing, nothing to do when it is there already, tables
// bounded by tables_needed(), and one invalidation for what is replaced.
#include <quire/table/map.hpp>

#include <algorithm>  // count
#include <cstddef>    // size_t
#include <iterator>   // begin
#include <string>     // string

#include <quire/format/riscv_gstage.hpp>  // riscv::gstage
#include <quire/format/riscv_stage1.hpp>  // riscv::sv39

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;

using plain = tiny::plain;         // 64 pages of 64 bytes; leaves of 1 and 4 pages; the root's entries are tables of 16
using grouped = tiny::pages_only;  // groups of two pages

using wide_64k = arm64::stage2_64k<52, arm64::stage2_options{.output_bits = 52}>;
using wide_4k = arm64::stage2_4k<52, arm64::stage2_options{.output_bits = 52}>;
using wide_groups = arm64::stage2_16k<52, arm64::stage2_options{.contiguous = true, .output_bits = 52}>;

constexpr attributes guest{.allowed = read_write, .may_write = true};

}  // namespace

TEST_CASE("map chooses the largest leaves that the alignment of both addresses allows") {
  stand<plain> s;
  auto session = s.session();
  REQUIRE(session.map(pages(2, 9), at(18), guest));
  CHECK(session.lookup(input_address{3 * page})->level == 0);   // head
  CHECK(session.lookup(input_address{4 * page})->level == 1);   // 4..7
  CHECK(session.lookup(input_address{10 * page})->level == 0);  // tail
  REQUIRE(session.map(pages(16, 4), at(17), guest));            // the outputs are one page off
  CHECK(session.lookup(input_address{16 * page})->level == 0);
  CHECK(s.findings().empty());
}

// It once looked for a leaf below level 0, for ever.
TEST_CASE("map refuses a level below the pages") {
  stand<plain> s;
  auto session = s.session();
  for (const int level : {-1, -2, -2147483647 - 1}) {
    CHECK(session.map(pages(0, 1), at(0), guest, {.largest_level = level}).error() ==
          error{errc::unsupported_level, -1, 0});
    CHECK(session.map(pages(0, 16), at(0), guest, {.largest_level = level, .replace = true}).error().code ==
          errc::unsupported_level);
  }
  CHECK_FALSE(session.lookup(input_address{0}).has_value());
}

TEST_CASE("map uses no leaf above the level asked for, and no groups unless they are wanted") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 16), at(0), guest, {.largest_level = 0}));
  CHECK(s.session().lookup(input_address{0})->bytes == page);

  stand<grouped> g;
  REQUIRE(g.session().map(pages(0, 4), at(0), guest));
  CHECK(g.session().lookup(input_address{0})->group == 1);
  CHECK(g.session().lookup(input_address{0})->bytes == 2 * page);
  REQUIRE(g.session().map(pages(4, 4), at(4), guest, {.groups = false}));
  CHECK(g.session().lookup(input_address{4 * page})->group == 0);
}

TEST_CASE("tables_needed() is exact on an empty table and an upper bound on any other") {
  for (std::uint64_t first = 0; first < 64; ++first)
    for (std::uint64_t count = 1; first + count <= 64; ++count)
      for (const std::uint64_t skew : {0U, 1U, 4U}) {
        stand<plain> s;
        const std::size_t needed = tables_needed<plain>(pages(first, count), at(first + skew));
        REQUIRE(s.session().map(pages(first, count), at(first + skew), guest));
        if (s.in_use() - 1 != needed) FAIL("first " << first << " count " << count << " skew " << skew);
      }
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 16), at(0), guest, {.largest_level = 0}));
  REQUIRE(s.session().unmap(pages(0, 3)));
  const std::size_t before = s.in_use();
  REQUIRE(s.session().map(pages(0, 3), at(32), guest));
  CHECK(s.in_use() == before);
  CHECK(tables_needed<plain>(pages(0, 3), at(32)) == 2);
}

TEST_CASE("what is there already is success and writes nothing") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(1, 9), at(1), guest));
  s.begin();
  REQUIRE(s.session().map(pages(1, 9), at(1), guest));
  REQUIRE(s.session().map(pages(2, 3), at(2), {.allowed = readable}));  // fewer rights: a racing read fault
  CHECK(s.touched() == 0);
  CHECK(s.session().lookup(input_address{2 * page})->attrs.allowed == read_write);
}

TEST_CASE("an identical map of cached invalid entries invalidates nothing") {
  stand<tiny::table_rights> s;
  s.begin();
  REQUIRE(s.session().map(pages(1, 3), at(1), guest));
  CHECK(s.machine.record().requests_added == 1);  // "not mapped" may be cached
  s.begin();
  REQUIRE(s.session().map(pages(1, 3), at(1), guest));
  CHECK(s.touched() == 0);
  CHECK(s.findings().empty());
}

TEST_CASE("more rights relax what is there; other outputs, memory types and markers stand in the way") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 8), at(0), {.allowed = readable}));
  REQUIRE(s.session().map(pages(0, 4), at(0), guest));
  CHECK(s.session().lookup(input_address{0})->attrs.allowed == read_write);
  CHECK(s.session().lookup(input_address{4 * page})->attrs.allowed == readable);
  REQUIRE(s.session().annotate(pages(16, 1), 7));
  s.begin();
  CHECK(s.session().map(pages(0, 4), at(1), guest).error().code == errc::already_mapped);
  CHECK(s.session().map(pages(4, 2), at(4), guest).error().code == errc::already_mapped);  // half of a leaf
  CHECK(s.session().map(pages(0, 4), at(0), {.allowed = readable, .memory = memory_type::device}).error().code ==
        errc::already_mapped);
  CHECK(s.session().map(pages(12, 8), at(12), guest).error().code == errc::marked);
  CHECK(s.session().map(pages(12, 8), at(12), guest).error().at == 16 * page);
  CHECK(s.touched() == 0);
  CHECK(s.session().lookup(input_address{12 * page}).error().code == errc::not_mapped);
  CHECK(s.findings().empty());
}

TEST_CASE("runs of pages: those that are there stay what they are, the others come between them") {
  using hardware = riscv::gstage<3, riscv::extensions{.svadu = true}>;
  constexpr std::uint64_t bytes = 4096, last = 700, there[] = {3, 4, 130, 511, 512, last};
  constexpr attributes wanted{.allowed = read_write, .may_write = true, .dirty = true};
  attributes clean = wanted, old = wanted, read_only = wanted;
  clean.dirty = old.accessed = false;
  read_only.allowed = readable;
  const auto run = [](std::uint64_t first, std::uint64_t n) {
    return input_range::sized(input_address{first * bytes}, n * bytes);
  };
  for (const attributes& state : {wanted, clean, old, read_only}) {
    bare_stand<hardware> s({.tables = 8});
    REQUIRE(s.table.create());
    for (const std::uint64_t number : there)
      REQUIRE(s.session().map(run(number, 1), output_address{number * bytes}, state));
    s.begin();
    REQUIRE(s.session().map(run(2, last - 1), output_address{2 * bytes}, wanted, {.largest_level = 0}));
    CHECK(s.requests().size() == 1);
    CHECK(s.session().lookup(input_address{bytes}).error().code == errc::not_mapped);
    CHECK(s.session().lookup(input_address{(last + 1) * bytes}).error().code == errc::not_mapped);
    for (std::uint64_t number = 2; number <= last; ++number) {
      CAPTURE(number);
      const auto found = s.session().lookup(input_address{number * bytes});
      REQUIRE(found);
      const bool was_there = std::count(std::begin(there), std::end(there), number) != 0;
      attributes expected = was_there ? state : wanted;
      expected.allowed = wanted.allowed;
      CHECK(found->attrs == expected);
      CHECK(found->output.value == number * bytes);
    }
    s.begin();
    REQUIRE(s.session().map(run(2, last - 1), output_address{2 * bytes}, wanted, {.largest_level = 0}));
    CHECK(s.requests().empty());
    // One page that leads elsewhere, far into the range: nothing is mapped.
    REQUIRE(s.session().unmap(run(2, 300)));
    CHECK(s.session().map(run(2, last), output_address{2 * bytes}, wanted).has_value());
    REQUIRE(s.session().unmap(run(2, 300)));
    REQUIRE(s.session().unmap(run(600, 1)));
    REQUIRE(s.session().map(run(600, 1), output_address{}, wanted));
    CHECK(s.session().map(run(2, last), output_address{2 * bytes}, wanted).error() ==
          error{errc::already_mapped, 0, 600 * bytes});
    CHECK(s.session().lookup(input_address{2 * bytes}).error().code == errc::not_mapped);
  }
}

TEST_CASE("map without memory changes nothing") {
  stand<plain> s;
  s.fail_all_from(2);
  s.begin();
  CHECK(s.session().map(pages(0, 3), at(0), guest).error().code == errc::no_memory);
  CHECK(s.touched() == 0);
  s.fail_at(0);
  CHECK(s.in_use() == 1);
}

TEST_CASE("replace takes away what is there and invalidates it before the new mapping stands") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 16), at(0), guest, {.largest_level = 0}));
  CHECK(s.in_use() == 1 + 1 + 4);
  s.begin();
  REQUIRE(s.session().map(pages(0, 16), at(32), guest, {.replace = true}));
  CHECK(s.machine.record().requests_added == 1);
  CHECK(s.machine.record().requests[0].reason == invalidation_reason::removed);
  CHECK_FALSE(s.machine.record().requests[0].leaf_only);
  CHECK(s.in_use() == 1 + 1);  // tables replaced by blocks are retired
  CHECK(s.session().translate(input_address{5 * page + 7})->value == 37 * page + 7);
  CHECK(s.findings().empty());
}

TEST_CASE("replacing a part of a block keeps the rest") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 4), at(0), guest));
  REQUIRE(s.session().map(pages(1, 2), at(33), guest, {.replace = true}));
  CHECK(s.session().translate(input_address{0})->value == 0);
  CHECK(s.session().translate(input_address{page})->value == 33 * page);
  CHECK(s.session().translate(input_address{3 * page})->value == 3 * page);
  CHECK(s.findings().empty());
}

TEST_CASE("attributes that cannot be had are refused by name") {
  stand<plain> s;
  CHECK(s.session().map(pages(0, 4), at(0), {.allowed = readable, .software = 4}).error().code ==
        errc::unsupported_attribute);
  stand<tiny::inverted> i;
  CHECK(i.session().map(pages(0, 1), at(0), {.allowed = no_access}).error().code == errc::unsupported_attribute);
  CHECK(s.in_use() == 1);
}

TEST_CASE("a new executable mapping asks for the code to be visible") {
  stand<plain> s;
  REQUIRE(s.session().map(pages(0, 1), at(0), {.allowed = read_execute}));
  const auto& events = s.machine.record().maintenance;
  CHECK(std::count(events.begin(), events.end(), check::maintenance_event::code_visible) == 1);
  CHECK(std::count(events.begin(), events.end(), check::maintenance_event::published) == 1);
}

// Where a format keeps the top bits of an address apart, neighbours are not everywhere a step apart.
TEST_CASE("map fills across the place where an entry's address is not in one piece") {
  const auto crosses = []<class F>() {
    const std::uint64_t bytes = F::shape.page_bytes();
    const std::uint64_t limit = std::uint64_t{1} << F::facts.linear_output_bits;
    CAPTURE(limit);
    stand<F> s;
    bare_stand<F> bare({.first = 0, .pages = 16, .tables = 64});
    REQUIRE(bare.table.create());
    for (std::uint64_t before = 0; before <= 8; ++before) {
      const input_range range = input_range::sized(input_address{before * 8 * bytes}, 8 * bytes);
      // So many pages lie below the limit.
      const output_address output{limit - before * bytes};
      REQUIRE(s.session().map(range, output, guest));
      REQUIRE(bare.session().map(range, output, guest));
      for (std::uint64_t i = 0; i < 8; ++i) {
        const input_address at = range.first() + i * bytes;
        CHECK(s.session().lookup(at)->output == output + i * bytes);
        CHECK(bare.session().lookup(at)->output == output + i * bytes);
      }
    }
    CHECK(s.findings().empty());
  };
  static_assert(wide_64k::facts.linear_output_bits == 48 && wide_4k::facts.linear_output_bits == 50);
  crosses.operator()<wide_64k>();
  crosses.operator()<wide_4k>();
  crosses.operator()<wide_groups>();
}

// The root is all there is: nothing to split, nothing to take from the stock.
TEST_CASE("a table of one level maps, protects and unmaps") {
  using one_level = arm64::stage2_64k<33, arm64::stage2_options{.levels = 1}>;
  const std::uint64_t bytes = one_level::shape.page_bytes();
  const input_range eight = input_range::sized(input_address{0x1'fff8'0000}, 8 * bytes);  // the last of 8 GiB
  stand<one_level> s;
  {
    auto session = s.session();
    REQUIRE(session.map(eight, output_address{3 * bytes}, guest));
    CHECK(session.lookup(eight.last().align_down(bytes))->output == output_address{10 * bytes});
    CHECK(session.write_protect(eight).value_or(false));
    CHECK(session.unmap(eight).has_value());
    CHECK_FALSE(session.lookup(eight.first()).has_value());
  }
  CHECK(s.in_use() == 1);
  CHECK(s.findings() == "");
}

TEST_CASE("map is not content with a leaf that is there for other accesses") {
  watched_stand<riscv::sv39> s{{.pages = 16}};
  REQUIRE(s.table.create());
  const input_range two = input_range::sized(input_address{0x1000}, 0x2000);
  const output_address output{0x8000'1000};
  const attributes kernel{.allowed = read_write, .may_write = true, .from = privilege::supervisor};
  attributes user = kernel, global = kernel;
  user.from = privilege::user;
  global.global = true;
  {
    auto session = s.session();
    REQUIRE(session.map(two, output, kernel));
    CHECK(session.map(two, output, kernel));
    CHECK(session.map(two, output, user).error() == error{errc::already_mapped, 0, 0x1000});
    CHECK(session.map(two, output, global).error().code == errc::already_mapped);
    CHECK(session.lookup(input_address{0x1000})->attrs == kernel);
    REQUIRE(session.map(two, output, user, {.replace = true}));
    CHECK(session.lookup(input_address{0x2000})->attrs == user);
  }
  s.end();
  CHECK(s.findings().text() == "");
  s.machine.stop();
}
