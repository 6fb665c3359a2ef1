// SPDX-License-Identifier: MIT
// Reading TLBI operands back: first the decoder by hand, against the manual; then whatever the encoder makes, for every
// number of pages that one instruction can name.
#include <quire/check/arm64_operands.hpp>

#include <quire/format/arm64_tlbi.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::granule;
using arm64::tlbi_options;
using check::decode_tlbi_ipa;
using check::decode_tlbi_ipa_range;
using check::stage2_regime;

constexpr check::tlbi_kind kind{.leaf_only = true, .reason = invalidation_reason::reduced};
constexpr stage2_regime k4{.page_bits = 12}, k16{.page_bits = 14}, k64{.page_bits = 16};
constexpr stage2_regime k4_lpa2{.page_bits = 12, .lpa2 = true}, k16_lpa2{.page_bits = 14, .lpa2 = true};
constexpr stage2_regime no_hints{.page_bits = 12, .level_hints = false};

constexpr bool names(const std::optional<invalidation_request>& read, std::uint64_t first, std::uint64_t last,
                     int level) {
  return read && read->first.value == first && read->last.value == last && read->level == level;
}
constexpr bool by_ipa(std::uint64_t operand, stage2_regime in, std::uint64_t first, std::uint64_t last, int level) {
  return names(decode_tlbi_ipa(operand, in, kind), first, last, level);
}
constexpr bool by_range(std::uint64_t operand, stage2_regime in, std::uint64_t first, std::uint64_t last, int level) {
  return names(decode_tlbi_ipa_range(operand, in, kind), first, last, level);
}
constexpr bool drops_nothing(std::uint64_t operand, stage2_regime in) { return !decode_tlbi_ipa(operand, in, kind); }
constexpr bool range_drops_nothing(std::uint64_t operand, stage2_regime in) {
  return !decode_tlbi_ipa_range(operand, in, kind);
}

constexpr std::uint64_t ttl(std::uint64_t four_bits) { return four_bits << 44U; }
constexpr std::uint64_t range(std::uint64_t tg, std::uint64_t scale, std::uint64_t num, std::uint64_t level) {
  return tg << 46U | scale << 44U | num << 39U | level << 37U;
}

// ---- reading back what the policy issues

template <granule G>
constexpr int page_bits = G == granule::k4    ? 12
                          : G == granule::k16 ? 14
                                              : 16;

// Executes the instructions of one request, which must follow one another without a gap or an overlap.
template <granule G, tlbi_options O>
struct reader {
  struct reading {
    std::uint64_t next;  // the first byte that is not invalidated yet
    int level = -1;      // that may be hinted at
    bool leaf_only = true;
    bool fine = true;
    bool whole = false;
    unsigned instructions = 0;
  };
  reading* to;

  static constexpr stage2_regime in{.page_bits = page_bits<G>, .lpa2 = O.lpa2, .level_hints = O.level_hints};

  void enter_vmid() {}
  void leave_vmid() {}
  void dsb_ish() {}
  void dsb_nsh() {}
  void isb() {}
  void tlbi_ipas2e1is(std::uint64_t x) { read(decode_tlbi_ipa(x, in, kind), false); }
  void tlbi_ipas2le1is(std::uint64_t x) { read(decode_tlbi_ipa(x, in, kind), true); }
  void tlbi_ripas2e1is(std::uint64_t x) { read(decode_tlbi_ipa_range(x, in, kind), false); }
  void tlbi_ripas2le1is(std::uint64_t x) { read(decode_tlbi_ipa_range(x, in, kind), true); }
  void tlbi_ipas2e1(std::uint64_t x) { tlbi_ipas2e1is(x); }
  void tlbi_ipas2le1(std::uint64_t x) { tlbi_ipas2le1is(x); }
  void tlbi_ripas2e1(std::uint64_t x) { tlbi_ripas2e1is(x); }
  void tlbi_ripas2le1(std::uint64_t x) { tlbi_ripas2le1is(x); }
  void tlbi_vmalle1is() {}
  void tlbi_vmalle1() {}
  void tlbi_vmalls12e1is() { to->whole = true; }
  void tlbi_vmalls12e1() { to->whole = true; }

  // The leaves that translate what is named go as a whole, whether their level is hinted at or not.
  void read(const std::optional<invalidation_request>& named, bool leaf_only) const {
    ++to->instructions;
    const int level = to->level < 0 ? 0 : to->level;
    const std::uint64_t inside = (std::uint64_t{1} << (page_bits<G> + level * (page_bits<G> - 3))) - 1;
    const bool continues = named && (named->first.value & ~inside) == to->next && leaf_only == to->leaf_only &&
                           (named->level == -1 || named->level == to->level);
    to->fine = to->fine && continues;
    if (named) to->next = (named->last.value | inside) + 1;
  }
};

template <granule G, tlbi_options O>
typename reader<G, O>::reading read_back(std::uint64_t first, std::uint64_t bytes, int level, bool leaf_only) {
  typename reader<G, O>::reading reading{.next = first, .level = leaf_only ? level : -1, .leaf_only = leaf_only};
  arm64::stage2_invalidation<G, reader<G, O>, O> policy{reader<G, O>{&reading}};
  policy.add({input_address{first}, input_address{first + (bytes - 1)}, level, leaf_only, kind.reason});
  return reading;
}

// Every number of pages from one to 2^21: covered exactly, by no more instructions than a range of each scale, the odd
// page at the end, and with LPA2 those before the first multiple of 64 KiB.
template <granule G, tlbi_options O>
void read_every_count(std::uint64_t first, bool from_the_top, int level, bool leaf_only) {
  constexpr std::uint64_t page = std::uint64_t{1} << page_bits<G>;
  constexpr unsigned most = 4 + 1 + (O.lpa2 ? 0x1'0000 / page - 1 : 0);
  std::uint64_t wrong = 0;
  for (std::uint64_t count = 1; count <= std::uint64_t{1} << 21U && wrong == 0; ++count) {
    const std::uint64_t from = from_the_top ? first - count * page : first;
    const auto reading = read_back<G, O>(from, count * page, level, leaf_only);
    if (!reading.fine || reading.whole || reading.next != from + count * page || reading.instructions > most)
      wrong = count;
  }
  INFO("pages of " << page << " bytes, base " << first << ", lpa2 " << O.lpa2);
  CHECK(wrong == 0);
}

constexpr tlbi_options hints{.level_hints = true};
constexpr tlbi_options ranges{.level_hints = true, .ranges = true};
constexpr tlbi_options ranges_alone{.ranges = true};
constexpr tlbi_options lpa2{.level_hints = true, .ranges = true, .lpa2 = true};

template <granule G, tlbi_options O>
void read_from_everywhere() {
  constexpr std::uint64_t page = std::uint64_t{1} << page_bits<G>;
  constexpr int bits = O.lpa2 || G == granule::k64 ? 52 : 48;
  read_every_count<G, O>(0, false, 0, true);
  read_every_count<G, O>((std::uint64_t{1} << 40U) - 3 * page, false, -1, false);
  read_every_count<G, O>(std::uint64_t{1} << bits, true, 0, true);
}

// Blocks in a row at a level, with the hint wherever an instruction carries one.
template <granule G, tlbi_options O>
void read_blocks(int level) {
  const std::uint64_t block = std::uint64_t{1} << (page_bits<G> + level * (page_bits<G> - 3));
  INFO("blocks of " << block << " bytes");
  for (std::uint64_t count = 1; count <= 64; ++count) {
    const auto reading = read_back<G, O>(3 * block, count * block, level, true);
    INFO(count << " from 3 on: " << reading.instructions << " instructions, up to " << reading.next / block);
    CHECK((reading.fine && !reading.whole && reading.next == (3 + count) * block));
  }
}

}  // namespace

TEST_CASE("an operand by IPA names the leaf that it hints at, or a page") {
  STATIC_REQUIRE(by_ipa(0x80200, k4, 0x8020'0000, 0x8020'0fff, -1));
  STATIC_REQUIRE(by_ipa(ttl(0b0111) | 0x80201, k4, 0x8020'1000, 0x8020'1fff, 0));
  STATIC_REQUIRE(by_ipa(ttl(0b0110) | 0x80201, k4, 0x8020'0000, 0x803f'ffff, 1));
  STATIC_REQUIRE(by_ipa(ttl(0b0101) | 0x80201, k4, 0x8000'0000, 0xbfff'ffff, 2));
  STATIC_REQUIRE(by_ipa(ttl(0b1011) | 0x7, k16, 0x4000, 0x7fff, 0));  // IPA[13:12] is ignored
  STATIC_REQUIRE(by_ipa(ttl(0b1010) | 0x2004, k16, 0x200'0000, 0x3ff'ffff, 1));
  STATIC_REQUIRE(by_ipa(ttl(0b1111) | 0x1f, k64, 0x1'0000, 0x1'ffff, 0));
  STATIC_REQUIRE(by_ipa(ttl(0b1110) | 0x2'0000, k64, 0x2000'0000, 0x3fff'ffff, 1));
  STATIC_REQUIRE(by_ipa(ttl(0b1101) | 0x4000'0000, k64, 0x400'0000'0000, 0x7ff'ffff'ffff, 2));
}

TEST_CASE("levels that exist with LPA2 only are hints with LPA2 only") {
  STATIC_REQUIRE(by_ipa(ttl(0b0100) | 0x80201, k4_lpa2, 0, 0x7f'ffff'ffff, 3));
  STATIC_REQUIRE(by_ipa(ttl(0b0100) | 0x80201, k4, 0x8020'1000, 0x8020'1fff, -1));
  STATIC_REQUIRE(by_ipa(ttl(0b1001) | 0x100'0004, k16_lpa2, 0x10'0000'0000, 0x1f'ffff'ffff, 2));
  STATIC_REQUIRE(by_ipa(ttl(0b1001) | 0x4, k16, 0x4000, 0x7fff, -1));
  STATIC_REQUIRE(by_ipa(ttl(0b1000) | 0x4, k16_lpa2, 0x4000, 0x7fff, -1));
  STATIC_REQUIRE(by_ipa(ttl(0b1100) | 0x10, k64, 0x1'0000, 0x1'ffff, -1));
  STATIC_REQUIRE(by_range(range(2, 0, 0, 1) | 1, k16, 0x4000, 0xbfff, -1));
  STATIC_REQUIRE(range_drops_nothing(range(2, 0, 0, 1) | 1, k16_lpa2));  // not aligned to 64 GiB
}

TEST_CASE("an operand that says nothing drops nothing") {
  STATIC_REQUIRE(drops_nothing(ttl(0b1011) | 0x80200, k4));  // another granule
  STATIC_REQUIRE(drops_nothing(ttl(0b0111) | 0x80200, k64));
  STATIC_REQUIRE(drops_nothing(ttl(0b0011) | 0x80200, k4));        // a level without a granule
  STATIC_REQUIRE(drops_nothing(ttl(0b0111) | 0x80200, no_hints));  // no FEAT_TTL
  STATIC_REQUIRE(drops_nothing(std::uint64_t{1} << 40U, k4));      // reserved bits
  STATIC_REQUIRE(drops_nothing(std::uint64_t{1} << 48U, k4));
  STATIC_REQUIRE(drops_nothing(std::uint64_t{1} << 63U, k4));
  STATIC_REQUIRE(drops_nothing(std::uint64_t{1} << 36U, k4));  // IPA[48] without LPA2
  STATIC_REQUIRE(!drops_nothing(std::uint64_t{1} << 36U, k4_lpa2));
  STATIC_REQUIRE(!drops_nothing(std::uint64_t{1} << 36U, k64));
  STATIC_REQUIRE(range_drops_nothing(range(0, 0, 0, 0), k4));
  STATIC_REQUIRE(range_drops_nothing(range(2, 0, 0, 0), k4));
  STATIC_REQUIRE(range_drops_nothing(range(1, 0, 0, 2) | 1, k4));  // 2 MiB leaves from 4 KiB on
  STATIC_REQUIRE(range_drops_nothing(std::uint64_t{1} << 48U | range(1, 0, 0, 0), k4));
}

TEST_CASE("a range has (NUM + 1) << (5 * SCALE + 1) pages") {
  STATIC_REQUIRE(by_range(range(1, 0, 0, 0) | 1, k4, 0x1000, 0x2fff, -1));
  STATIC_REQUIRE(by_range(range(1, 0, 31, 3), k4, 0, 64 * 4096 - 1, 0));
  STATIC_REQUIRE(by_range(range(1, 1, 7, 2) | 0x200, k4, 0x20'0000, 0x3f'ffff, 1));
  STATIC_REQUIRE(by_range(range(1, 3, 31, 0), k4, 0, (std::uint64_t{1} << 33U) - 1, -1));
  STATIC_REQUIRE(by_range(range(2, 2, 0, 2), k16, 0, 0x1ff'ffff, 1));
  STATIC_REQUIRE(by_range(range(3, 0, 0, 0) | 2, k64, 0x2'0000, 0x3'ffff, -1));
  STATIC_REQUIRE(by_range(range(1, 0, 0, 3) | 2, k4_lpa2, 0x2'0000, 0x2'1fff, 0));  // units of 64 KiB
}

TEST_CASE("every number of pages of 4 KiB is named exactly") {
  read_from_everywhere<granule::k4, ranges>();
  read_every_count<granule::k4, ranges_alone>(0x1000, false, 0, true);
}
TEST_CASE("every number of pages of 16 KiB is named exactly") { read_from_everywhere<granule::k16, ranges>(); }
TEST_CASE("every number of pages of 64 KiB is named exactly") { read_from_everywhere<granule::k64, ranges>(); }
TEST_CASE("every number of pages of 4 KiB is named exactly with LPA2") { read_from_everywhere<granule::k4, lpa2>(); }
TEST_CASE("every number of pages of 16 KiB is named exactly with LPA2") { read_from_everywhere<granule::k16, lpa2>(); }

TEST_CASE("a few pages are named exactly, with ranges and without") {
  for (std::uint64_t base : {std::uint64_t{0}, std::uint64_t{0xf000}, (std::uint64_t{1} << 48U) - 0x4'0000})
    for (std::uint64_t count = 1; count <= 64; ++count)
      for (const bool leaf_only : {true, false}) {
        const auto one_by_one = read_back<granule::k4, hints>(base, count * 4096, 0, leaf_only);
        CHECK((one_by_one.fine && one_by_one.next == base + count * 4096 && one_by_one.instructions == count));
        const auto ranged = read_back<granule::k4, ranges>(base, count * 4096, 0, leaf_only);
        CHECK((ranged.fine && ranged.next == base + count * 4096 && ranged.instructions <= 2));
      }
}

TEST_CASE("blocks are named with the level they have") {
  for (const int level : {1, 2}) {
    read_blocks<granule::k4, hints>(level);
    read_blocks<granule::k4, ranges>(level);
    read_blocks<granule::k4, ranges_alone>(level);
    read_blocks<granule::k64, ranges>(level);
  }
  read_blocks<granule::k4, lpa2>(3);
  read_blocks<granule::k16, hints>(1);
  read_blocks<granule::k16, ranges>(1);
  read_blocks<granule::k16, lpa2>(2);
  // A hint is given, not only allowed.
  typename reader<granule::k4, hints>::reading asked{.next = 0, .level = 1};
  arm64::stage2_invalidation<granule::k4, reader<granule::k4, hints>, hints> policy{{&asked}};
  policy.add({input_address{0x1000}, input_address{0x1fff}, 1, true, kind.reason});
  CHECK(asked.next == 0x20'0000);
}

TEST_CASE("at the limits of the address space the request is covered, or everything is") {
  for (const int bit : {13, 30, 39, 47, 48, 51, 52, 63})
    for (const std::uint64_t off : {std::uint64_t{0} - 0x2000, std::uint64_t{0} - 0x1000, std::uint64_t{0}})
      for (const bool leaf_only : {true, false}) {
        const std::uint64_t first = (std::uint64_t{1} << bit) + off;
        const auto narrow = read_back<granule::k4, ranges>(first, 0x2000, 0, leaf_only);
        CHECK((narrow.whole || (narrow.fine && narrow.next == first + 0x2000)));
        CHECK(narrow.whole == (first + 0x1fff > (std::uint64_t{1} << 48U) - 1));
        const auto wide = read_back<granule::k4, lpa2>(first, 0x2000, 0, leaf_only);
        CHECK((wide.whole || (wide.fine && wide.next == first + 0x2000)));
        CHECK(wide.whole == (first + 0x1fff > (std::uint64_t{1} << 52U) - 1));
      }
  const auto everything = read_back<granule::k4, lpa2>(0, 0, -1, false);  // 2^64 bytes
  CHECK(everything.whole);
}
