// SPDX-License-Identifier: MIT
// Which instructions a request becomes, and in which order. (That operands mean what they should is shown by reading
// them back: tests/check/arm64_operands.cpp.)
#include <quire/format/arm64_tlbi.hpp>

#include <string>  // string, to_string
#include <vector>  // vector

#include <quire/policy/invalidation.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::granule;
using arm64::tlbi_options;

using listing = std::vector<std::string>;

// Writes down what it is to execute.
struct scribe {
  listing* to;

  void enter_vmid() { to->push_back("enter"); }
  void leave_vmid() { to->push_back("leave"); }
  void dsb_ish() { to->push_back("dsb ish"); }
  void dsb_nsh() { to->push_back("dsb nsh"); }
  void isb() { to->push_back("isb"); }
  void tlbi_ipas2e1is(std::uint64_t x) { tlbi("ipas2e1is", x); }
  void tlbi_ipas2le1is(std::uint64_t x) { tlbi("ipas2le1is", x); }
  void tlbi_ipas2e1(std::uint64_t x) { tlbi("ipas2e1", x); }
  void tlbi_ipas2le1(std::uint64_t x) { tlbi("ipas2le1", x); }
  void tlbi_vmalle1is() { to->push_back("vmalle1is"); }
  void tlbi_vmalle1() { to->push_back("vmalle1"); }
  void tlbi_vmalls12e1is() { to->push_back("vmalls12e1is"); }
  void tlbi_vmalls12e1() { to->push_back("vmalls12e1"); }
  void tlbi(const char* name, std::uint64_t x) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    do text.insert(text.begin(), digits[x & 15U]);
    while ((x >>= 4U) != 0);
    to->push_back(std::string(name) + " " + text);
  }
};
struct range_scribe : scribe {
  void tlbi_ripas2e1is(std::uint64_t x) { tlbi("ripas2e1is", x); }
  void tlbi_ripas2le1is(std::uint64_t x) { tlbi("ripas2le1is", x); }
  void tlbi_ripas2e1(std::uint64_t x) { tlbi("ripas2e1", x); }
  void tlbi_ripas2le1(std::uint64_t x) { tlbi("ripas2le1", x); }
};

template <granule G, tlbi_options O = tlbi_options{}>
using policy = arm64::stage2_invalidation<G, range_scribe, O>;
template <tlbi_options O>
using policy_4k = policy<granule::k4, O>;

static_assert(invalidation_policy<policy<granule::k4>>);
static_assert(invalidation_policy<batching_invalidation<arm64::stage2_invalidation<granule::k4, scribe>>>);
static_assert(arm64::tlbi_cpu<scribe> && arm64::tlbi_range_cpu<range_scribe>);
static_assert(!arm64::tlbi_range_cpu<scribe> && !arm64::tlbi_cpu<int>);
struct without_local_form {
  void enter_vmid();
  void leave_vmid();
  void dsb_ish();
  void isb();
  void tlbi_ipas2e1is(std::uint64_t);
  void tlbi_vmalle1is();
};
static_assert(!arm64::tlbi_cpu<without_local_form>);

constexpr invalidation_request leaves(std::uint64_t first, std::uint64_t last, int level) {
  return {input_address{first}, input_address{last}, level, true, invalidation_reason::reduced};
}
constexpr invalidation_request everything(std::uint64_t first, std::uint64_t last) {
  return {input_address{first}, input_address{last}, -1, false, invalidation_reason::removed};
}

// The TLBIs of one add().
template <class Policy>
listing tlbis_of(const invalidation_request& request) {
  listing all;
  Policy{range_scribe{{&all}}}.add(request);
  REQUIRE(all.size() >= 4);
  CHECK(all[0] == "enter");
  CHECK(all[1] == "dsb ish");
  CHECK(all.back() == "leave");
  return {all.begin() + 2, all.end() - 1};
}

constexpr tlbi_options hints{.level_hints = true};
constexpr tlbi_options ranges{.level_hints = true, .ranges = true};
constexpr tlbi_options lpa2{.level_hints = true, .ranges = true, .lpa2 = true};

}  // namespace

TEST_CASE("stage 2 completes before the combined entries go, and then they are waited for") {
  listing told;
  policy_4k<tlbi_options{}> invalidation{range_scribe{{&told}}};
  invalidation.add(everything(0x8000'0000, 0x8000'0fff));
  invalidation.complete();
  CHECK(told == listing{"enter", "dsb ish", "ipas2e1is 80000", "leave",  //
                        "enter", "dsb ish", "vmalle1is", "dsb ish", "isb", "leave"});
}

TEST_CASE("the local sequence is obeyed when it returns") {
  listing told;
  SECTION("one page") {
    policy_4k<tlbi_options{}>{range_scribe{{&told}}}.local(leaves(0x8000'0000, 0x8000'0fff, 0));
    CHECK(told == listing{"enter", "dsb nsh", "ipas2le1 80000", "dsb nsh", "vmalle1", "dsb nsh", "isb", "leave"});
  }
  SECTION("a table") {
    policy_4k<tlbi_options{}>{range_scribe{{&told}}}.local(everything(0x8000'0000, 0x8000'0fff));
    CHECK(told[2] == "ipas2e1 80000");
  }
  SECTION("pages by range") {
    policy_4k<ranges>{range_scribe{{&told}}}.local(leaves(0x8000'0000, 0x8000'1fff, 0));
    CHECK(told[2] == "ripas2le1 406000080000");
  }
  SECTION("a table by range") {
    policy_4k<ranges>{range_scribe{{&told}}}.local(everything(0x8000'0000, 0x8000'1fff));
    CHECK(told[2] == "ripas2e1 400000080000");
  }
  SECTION("too many pages") {
    policy_4k<tlbi_options{}>{range_scribe{{&told}}}.local(leaves(0, 64 * 4096, 0));
    CHECK(told == listing{"enter", "dsb nsh", "vmalls12e1", "dsb nsh", "vmalle1", "dsb nsh", "isb", "leave"});
  }
}

TEST_CASE("a level is hinted for leaves of one level alone") {
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x20'0000, 0x20'0fff, 0)) == listing{"ipas2le1is 700000000200"});
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x20'0000, 0x3f'ffff, 1)) == listing{"ipas2le1is 600000000200"});
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x4000'0000, 0x7fff'ffff, 2)) == listing{"ipas2le1is 500000040000"});
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x20'0000, 0x20'0fff, -1)) == listing{"ipas2le1is 200"});
  invalidation_request table = leaves(0x20'0000, 0x20'0fff, 0);
  table.leaf_only = false;
  CHECK(tlbis_of<policy_4k<hints>>(table) == listing{"ipas2e1is 200"});
  CHECK(tlbis_of<policy_4k<tlbi_options{}>>(leaves(0x20'0000, 0x3f'ffff, 1)) == listing{"ipas2le1is 200"});
}

TEST_CASE("the hint names the granule, and the manual's level") {
  CHECK(tlbis_of<policy<granule::k16, hints>>(leaves(0x4000, 0x7fff, 0)) == listing{"ipas2le1is b00000000004"});
  CHECK(tlbis_of<policy<granule::k16, hints>>(leaves(0x200'0000, 0x3ff'ffff, 1)) == listing{"ipas2le1is a00000002000"});
  CHECK(tlbis_of<policy<granule::k64, hints>>(leaves(0x1'0000, 0x1'ffff, 0)) == listing{"ipas2le1is f00000000010"});
  CHECK(tlbis_of<policy<granule::k64, hints>>(leaves(0x2000'0000, 0x3fff'ffff, 1)) ==
        listing{"ipas2le1is e00000020000"});
  // 512 GiB and 64 GiB leaves exist with LPA2 only.
  STATIC_REQUIRE(arm64::level_hint(granule::k4, 3, true) == 0b0100);
  STATIC_REQUIRE(arm64::level_hint(granule::k4, 3, false) == 0);
  STATIC_REQUIRE(arm64::level_hint(granule::k16, 2, true) == 0b1001);
  STATIC_REQUIRE(arm64::level_hint(granule::k16, 2, false) == 0);
  STATIC_REQUIRE(arm64::level_hint(granule::k64, 2, false) == 0b1101);
  STATIC_REQUIRE(arm64::level_hint(granule::k64, 3, true) == 0);
  STATIC_REQUIRE(arm64::level_hint(granule::k4, -1, true) == 0);
}

TEST_CASE("without ranges there is one instruction a leaf, and a bound") {
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x20'0000, 0x7f'ffff, 1)) ==
        listing{"ipas2le1is 600000000200", "ipas2le1is 600000000400", "ipas2le1is 600000000600"});
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0, 64 * 4096 - 1, 0)).size() == 64);
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0, 64 * 4096, 0)) == listing{"vmalls12e1is"});
  CHECK(tlbis_of<policy_4k<tlbi_options{.most_instructions = 1}>>(leaves(0, 4096, 0)) == listing{"vmalls12e1is"});
  CHECK(tlbis_of<policy_4k<hints>>(everything(0, ~std::uint64_t{0})) == listing{"vmalls12e1is"});
}

TEST_CASE("with ranges an odd page is left to the end") {
  CHECK(tlbis_of<policy_4k<ranges>>(leaves(0x1000, 0x1fff, 0)) == listing{"ipas2le1is 700000000001"});
  CHECK(tlbis_of<policy_4k<ranges>>(leaves(0x1000, 0x2fff, 0)) == listing{"ripas2le1is 406000000001"});
  CHECK(tlbis_of<policy_4k<ranges>>(leaves(0x1000, 0x3fff, 0)) ==
        listing{"ripas2le1is 406000000001", "ipas2le1is 700000000003"});
  CHECK(tlbis_of<policy_4k<ranges>>(everything(0x1000, 0x2fff)) == listing{"ripas2e1is 400000000001"});
  // 8 GiB, the most that one instruction can say, and 8 GiB and a page.
  CHECK(tlbis_of<policy_4k<ranges>>(everything(0, 0x1'ffff'ffff)) == listing{"ripas2e1is 7f8000000000"});
  CHECK(tlbis_of<policy_4k<ranges>>(everything(0, 0x2'0000'0000)) ==
        listing{"ripas2e1is 7f8000000000", "ipas2e1is 200000"});
}

TEST_CASE("with LPA2 a range begins at a multiple of 64 KiB, and pages before it go one by one") {
  CHECK(tlbis_of<policy_4k<lpa2>>(leaves(0xe000, 0x1'1fff, 0)) ==
        listing{"ipas2le1is 70000000000e", "ipas2le1is 70000000000f", "ripas2le1is 406000000001"});
  CHECK(tlbis_of<policy<granule::k16, lpa2>>(leaves(0xc000, 0x1'7fff, 0)) ==
        listing{"ipas2le1is b0000000000c", "ripas2le1is 806000000001"});
}

TEST_CASE("a request is widened to whole leaves") {
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x1800, 0x2800, 0)) ==
        listing{"ipas2le1is 700000000001", "ipas2le1is 700000000002"});
  CHECK(tlbis_of<policy_4k<hints>>(leaves(0x21'0000, 0x21'ffff, 1)) == listing{"ipas2le1is 600000000200"});
}

TEST_CASE("an address that no operand can hold takes the whole VMID") {
  constexpr std::uint64_t last48 = (std::uint64_t{1} << 48U) - 1, last52 = (std::uint64_t{1} << 52U) - 1;
  CHECK(tlbis_of<policy_4k<ranges>>(leaves(last48 - 0xfff, last48, 0)) == listing{"ipas2le1is 700fffffffff"});
  CHECK(tlbis_of<policy_4k<ranges>>(leaves(last48 + 1, last48 + 0x1000, 0)) == listing{"vmalls12e1is"});
  CHECK(tlbis_of<policy_4k<lpa2>>(leaves(last52 - 0xfff, last52, 0)) == listing{"ipas2le1is 70ffffffffff"});
  CHECK(tlbis_of<policy<granule::k64, ranges>>(leaves(last52 - 0x1'ffff, last52, 0)) ==
        listing{"ripas2le1is c06ffffffffe"});
  CHECK(tlbis_of<policy_4k<lpa2>>(leaves(last52 + 1, last52 + 0x1000, 0)) == listing{"vmalls12e1is"});
  CHECK(tlbis_of<policy_4k<lpa2>>(leaves(std::uint64_t{1} << 63U, (std::uint64_t{1} << 63U) + 4095, 0)) ==
        listing{"vmalls12e1is"});
}

TEST_CASE("it works in constant evaluation") {
  struct counter {
    int* tlbis;
    constexpr void enter_vmid() {}
    constexpr void leave_vmid() {}
    constexpr void dsb_ish() {}
    constexpr void dsb_nsh() {}
    constexpr void isb() {}
    constexpr void tlbi_ipas2e1is(std::uint64_t) { ++*tlbis; }
    constexpr void tlbi_ipas2le1is(std::uint64_t) { ++*tlbis; }
    constexpr void tlbi_ipas2e1(std::uint64_t) { ++*tlbis; }
    constexpr void tlbi_ipas2le1(std::uint64_t) { ++*tlbis; }
    constexpr void tlbi_vmalle1is() { ++*tlbis; }
    constexpr void tlbi_vmalle1() { ++*tlbis; }
    constexpr void tlbi_vmalls12e1is() { ++*tlbis; }
    constexpr void tlbi_vmalls12e1() { ++*tlbis; }
  };
  constexpr int count = []() constexpr {
    int tlbis = 0;
    arm64::stage2_invalidation<granule::k4, counter> invalidation{counter{&tlbis}};
    invalidation.add(leaves(0, 0x2fff, 0));
    invalidation.local(leaves(0, 0xfff, 0));
    invalidation.complete();
    return tlbis;
  }();
  STATIC_REQUIRE(count == 3 + 2 + 1);
}
