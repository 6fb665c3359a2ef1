// SPDX-License-Identifier: MIT
// Groups whose entries are all equal, on a format that needs no break-before-make: RISC-V's 64 KiB of 16 pages. Made,
// kept, changed as a whole, broken by a change of a part, and asked about accessed and dirty: "the operating system
// must query all NAPOT aliases of a page".
#include <quire/table/split.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <vector>   // vector

#include <quire/check/naive_walk.hpp>     // translate
#include <quire/format/riscv_gstage.hpp>  // riscv::gstage

#include "catch.hpp"
#include "stand.hpp"

namespace {

using namespace quire;
using namespace quire_test;

using napot = riscv::gstage<3, riscv::extensions{.svadu = true, .svnapot = true}>;
constexpr std::uint64_t page = 4096, group = 16 * page, first = 0x4000'0000;
constexpr attributes guest{.allowed = read_write, .may_write = true, .accessed = false};

[[nodiscard]] input_range pages(std::uint64_t number, std::uint64_t count) {
  return input_range::sized(input_address{first + number * page}, count * page);
}
[[nodiscard]] input_address at(std::uint64_t number) { return input_address{first + number * page}; }

struct napot_stand : watched_stand<napot> {
  napot_stand() : watched_stand<napot>({.first = first, .pages = 1024, .tables = 32}) { REQUIRE(table.create()); }
  ~napot_stand() {
    end();
    CHECK(findings().text() == "");
  }
  [[nodiscard]] auto place_of(std::uint64_t number) {
    return check::translate<napot>(memory(), *table.root(), at(number).value).entry;
  }
  [[nodiscard]] std::uint64_t word(std::uint64_t number) { return place_of(number).word; }
  // What a CPU does that walks to this page: it sets bits in this entry alone.
  void hardware_sets(std::uint64_t number, std::uint64_t bits) {
    const auto place = place_of(number);
    memory().store<std::uint64_t>(place.table, place.index, place.word | bits, order::relaxed);
  }
  [[nodiscard]] mapping look(std::uint64_t number) { return *session().lookup(at(number)); }
};
constexpr std::uint64_t accessed_bit = 0x40, dirty_bit = 0x80;

}  // namespace

TEST_CASE("equal groups: map makes them where both addresses allow it") {
  napot_stand s;
  REQUIRE(s.session().map(pages(8, 40), output_address{0x8000'8000}, guest));
  CHECK(s.look(8).group == 0);
  for (const std::uint64_t number : {16U, 31U, 32U, 47U}) {
    CHECK(s.look(number).group == 4);
    CHECK(s.look(number).bytes == group);
    CHECK(s.look(number).translate(at(number) + 5) == output_address{0x8000'0000 + number * page + 5});
  }
  for (std::uint64_t i = 17; i < 32; ++i) CHECK(s.word(i) == s.word(16));
  CHECK(s.word(16) == 0x8000'0000'2000'6117);  // N, 0x8001'0000 >> 2 with PPN[3:0] = 1000
  REQUIRE(s.session().map(pages(64, 16), output_address{0x9000'1000}, guest));
  CHECK(s.look(64).group == 0);  // output not aligned
}

TEST_CASE("equal groups: what concerns the whole of one keeps it") {
  napot_stand s;
  REQUIRE(s.session().map(pages(0, 32), output_address{0x8000'0000}, guest));
  REQUIRE(s.session().protect(pages(0, 16), readable));
  CHECK(s.look(3).group == 4);
  CHECK(s.look(3).attrs.allowed == readable);
  for (std::uint64_t i = 1; i < 16; ++i) CHECK(s.word(i) == s.word(0));
  // Write protection takes the whole leaf, of whatever size.
  const auto ignore = [](input_address, std::uint64_t) {};
  REQUIRE(s.session().write_protect(pages(20, 1), ignore));
  CHECK(s.look(16).group == 4);
  for (std::uint64_t i = 17; i < 32; ++i) CHECK(s.word(i) == s.word(16));
  CHECK(s.look(31).attrs.allowed == readable);
  CHECK(s.look(31).attrs.may_write);
}

TEST_CASE("equal groups: a change of a part breaks one and leaves its neighbours") {
  napot_stand s;
  REQUIRE(s.session().map(pages(0, 48), output_address{0x8000'0000}, guest));
  s.hardware_sets(21, accessed_bit | dirty_bit);
  REQUIRE(s.session().protect(pages(18, 2), readable));
  REQUIRE(s.session().unmap(pages(40, 8)));
  CHECK(s.look(0).group == 4);
  for (std::uint64_t i = 16; i < 40; ++i) {
    const mapping one = s.look(i);
    CHECK(one.group == 0);
    CHECK(one.output == output_address{0x8000'0000 + i * page});
    CHECK(one.attrs.allowed == (i == 18 || i == 19 ? readable : read_write));
    CHECK(one.attrs.accessed == (i < 32));  // the CPU may have gone to any page of the group
    CHECK(one.attrs.dirty == (i < 32));
  }
  for (std::uint64_t i = 40; i < 48; ++i) CHECK_FALSE(s.session().lookup(at(i)).has_value());
}

TEST_CASE("equal groups: accessed and dirty are those of all entries") {
  napot_stand s;
  REQUIRE(s.session().map(pages(0, 16), output_address{0x8000'0000}, guest));
  CHECK_FALSE(s.look(0).attrs.accessed);
  s.hardware_sets(7, accessed_bit | dirty_bit);
  CHECK(s.look(0).attrs.accessed);
  CHECK(s.look(15).attrs.dirty);

  std::vector<std::uint64_t> told;
  const auto tell = [&told](input_address from, std::uint64_t bytes) { told = {from.value, bytes}; };
  CHECK(*s.session().read_and_clear_dirty(pages(2, 1), tell));
  CHECK(told == std::vector<std::uint64_t>{first, group});
  CHECK_FALSE(s.look(7).attrs.dirty);
  CHECK(*s.session().test_and_clear_accessed(pages(12, 1)));
  CHECK_FALSE(s.look(7).attrs.accessed);
  CHECK(s.look(7).group == 4);

  s.hardware_sets(9, accessed_bit | dirty_bit);
  const auto gone = s.session().unmap(pages(0, 16));
  CHECK(gone->accessed);
  CHECK(gone->dirty);
}

TEST_CASE("equal groups: blocks are split past them and collapse over them") {
  napot_stand s;
  REQUIRE(s.session().map(pages(0, 512), output_address{0x8000'0000}, guest, {.largest_level = 0}));
  CHECK(s.look(5).group == 4);
  s.hardware_sets(5, accessed_bit);
  REQUIRE(s.session().collapse(pages(0, 512))->leaves == 1);
  CHECK(s.look(5).level == 1);
  CHECK(s.look(300).attrs.accessed);
  REQUIRE(s.session().split(pages(0, 512), 0)->leaves == 1);
  CHECK(s.look(5).bytes == page);
  // A split goes down to pages, groups too.
  REQUIRE(s.session().map(pages(512, 16), output_address{0x9000'0000}, guest));
  CHECK(s.look(520).group == 4);
  REQUIRE(s.session().split(pages(512, 16), 0));
  CHECK(s.look(520).bytes == page);
  CHECK(s.look(520).output == output_address{0x9000'8000});
}
