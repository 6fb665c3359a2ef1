// SPDX-License-Identifier: MIT
// Tables that nobody vouches for: each finding by a table made by hand, the same mappings as the trusting walk where
// all is well, and garbage.
#include <quire/table/foreign.hpp>

#include <array>    // array
#include <bit>      // endian
#include <cstddef>  // byte, size_t
#include <cstdint>  // uint64_t
#include <cstring>  // memcpy
#include <random>   // mt19937_64
#include <span>     // as_bytes
#include <string>   // string
#include <tuple>    // tuple
#include <vector>   // vector

#include "catch.hpp"
#include "support/foreign_check.hpp"
#include "support/made_tables.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;
using quire_test::counting_dump, quire_test::foreign_story, quire_test::healthy;

// Tables that are walked, once.
template <class F>
struct hand_made : quire_test::made_tables<F> {
  using quire_test::made_tables<F>::made_tables;

  [[nodiscard]] foreign_story walked(const foreign_bounds& bounds = {}) const {
    counting_dump counting{this->dump()};
    foreign_story told = quire_test::walk_foreign<F>(counting, this->root(), quire_test::halves<F>().front(), bounds);
    CHECK(told.summary);
    CHECK_FALSE(counting.any_twice());
    return told;
  }
};

template <class F>
typename F::word page(std::uint64_t number, int level = 0, int group = 0) {
  return *F::leaf(output_address{number * F::shape.page_bytes()}, {.allowed = readable}, level, group);
}

using plain = tiny::plain;  // three levels of four entries; leaves of 64 and 256 bytes
using gstage = riscv::sv39x4;
using grouping = arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>;

// The only finding of the walk, and that what lies beside it was mapped.
void check_only(const foreign_story& told, const foreign_finding& wanted, std::size_t mappings) {
  REQUIRE(told.findings.size() == 1);
  INFO(name_of(told.findings[0].what) << " at level " << told.findings[0].level << ", address "
                                      << told.findings[0].address.value << ", index " << told.findings[0].index);
  CHECK(told.findings[0] == wanted);
  CHECK(told.mappings.size() == mappings);
}

}  // namespace

TEST_CASE("a dump gives what is all there, in either byte order, wherever it lies in our memory") {
  std::array<std::byte, 21> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const memory_dump dump{bytes.data() + 1, 20, 0x1000};
  CHECK(*dump.load<std::uint64_t>(table_address{0x1000}, 1) == 0x100f'0e0d'0c0b'0a09);
  CHECK(*dump.load<std::uint32_t>(table_address{0x1008}, 2) == 0x1413'1211);
  const memory_dump big{bytes.data() + 1, 20, 0x1000, std::endian::big};
  CHECK(*big.load<std::uint64_t>(table_address{0x1000}, 1) == 0x090a'0b0c'0d0e'0f10);

  CHECK_FALSE(dump.load<std::uint64_t>(table_address{0x1000}, 2));  // four of its bytes are there
  CHECK_FALSE(dump.load<std::uint64_t>(table_address{0xff8}, 1));   // the table begins before the dump
  CHECK_FALSE(dump.load<std::uint32_t>(table_address{0x1014}, 0));
  CHECK_FALSE(dump.load<std::uint32_t>(table_address{~std::uint64_t{0}}, 0));
  CHECK_FALSE(dump.load<std::uint64_t>(table_address{0x1000}, ~std::size_t{0} / 8 + 1));  // index * 8 is 0 again
  CHECK_FALSE(memory_dump(nullptr, 0, 0).load<std::uint64_t>(table_address{0}, 0));
}

TEST_CASE("a table out of bounds is unreadable, and is told once") {
  hand_made<plain> made{1};
  made.put(made.root(), 0, plain::table(table_address{0x4000}, 2));
  made.put(made.root(), 1, plain::table(made.table(0), 2));
  made.put(made.table(0), 2, page<plain>(4, 1));
  check_only(made.walked(), {foreign_defect::unreadable, 1, input_address{0}, table_address{0x4000}, 0, 0}, 1);
  CHECK(made.walked().summary->entries == 12);

  std::vector<foreign_finding> told;
  const auto looked_up = foreign_lookup<plain>(made.dump(), made.root(), input_address{0x105},
                                               [&](const foreign_finding& one) { told.push_back(one); });
  CHECK(looked_up.error() == error{errc::malformed, 1, 0x105});
  REQUIRE(told.size() == 1);
  CHECK(told[0] == foreign_finding{foreign_defect::unreadable, 1, input_address{0x100}, table_address{0x4000}, 1, 0});
}

TEST_CASE("a dump that ends within a table gives the entries that are there") {
  hand_made<gstage> made{1};
  made.put(made.root(), 0, gstage::table(made.table(0), 2));
  made.put(made.table(0), 1, page<gstage>(512, 1));
  made.put(made.table(0), 511, page<gstage>(512, 1));
  made.words.resize(made.words.size() - 10);
  check_only(made.walked(),
             {foreign_defect::unreadable, 1, input_address{std::uint64_t{502} << 21}, made.table(0), 502, 0}, 1);
}

TEST_CASE("an entry that is valid and not well formed is malformed, and leads nowhere") {
  hand_made<gstage> made{1};
  made.put(made.root(), 3, gstage::table(made.table(0), 2) | std::uint64_t{1} << 60);  // "reserved" in a non-leaf
  made.put(made.table(0), 0, page<gstage>(512, 1));
  const std::uint64_t entry = gstage::table(made.table(0), 2) | std::uint64_t{1} << 60;
  check_only(made.walked(), {foreign_defect::malformed, 2, input_address{0xc000'0000}, made.root(), 3, entry}, 0);

  hand_made<gstage> unaligned{0};
  const std::uint64_t leaf = page<gstage>(0, 2) | std::uint64_t{1} << 10;  // a gigabyte from the second page on
  unaligned.put(unaligned.root(), 1, leaf);
  unaligned.put(unaligned.root(), 2, page<gstage>(0, 2));
  check_only(unaligned.walked(), {foreign_defect::malformed, 2, input_address{0x4000'0000}, unaligned.root(), 1, leaf},
             1);
}

TEST_CASE("a leaf or a table at a level that holds none is misplaced") {
  hand_made<plain> made{0};
  const auto block = *plain::leaf(output_address{0}, {.allowed = readable}, 1);  // the root of `plain` holds no leaves
  made.put(made.root(), 2, block);
  check_only(made.walked(), {foreign_defect::misplaced, 2, input_address{0x800}, made.root(), 2, block}, 0);

  using pages_only = tiny::pages_only;
  hand_made<pages_only> deep{2};
  deep.put(deep.root(), 0, pages_only::table(deep.table(0), 3));
  deep.put(deep.table(0), 1, page<pages_only>(0));
  check_only(deep.walked(), {foreign_defect::misplaced, 2, input_address{0x400}, deep.table(0), 1, page<pages_only>(0)},
             0);

  hand_made<gstage> low{2};
  low.put(low.root(), 0, gstage::table(low.table(0), 2));
  low.put(low.table(0), 0, gstage::table(low.table(1), 1));
  low.put(low.table(1), 7, gstage::table(low.table(1), 1));
  check_only(low.walked(),
             {foreign_defect::misplaced, 0, input_address{0x7000}, low.table(1), 7, gstage::table(low.table(1), 1)}, 0);
}

TEST_CASE("a table that lies in one of its ancestors is a cycle") {
  hand_made<plain> made{2};
  made.put(made.root(), 0, plain::table(made.table(0), 2));
  made.put(made.root(), 1, plain::table(made.root(), 2));  // itself
  made.put(made.table(0), 0, page<plain>(8, 1));
  made.put(made.table(0), 1, plain::table(made.root(), 1));    // its parent
  made.put(made.table(0), 2, plain::table(made.table(0), 1));  // itself
  made.put(made.table(0), 3, plain::table(made.table(1), 1));  // a child: no finding
  made.put(made.table(1), 0, page<plain>(3));
  const foreign_story told = made.walked();
  REQUIRE(told.findings.size() == 3);
  for (const auto& one : told.findings) CHECK(one.what == foreign_defect::cycle);
  CHECK(told.findings[0].level == 1);
  CHECK(told.findings[1].index == 2);
  CHECK(told.findings[2] ==
        foreign_finding{foreign_defect::cycle, 2, input_address{0x400}, made.root(), 1, plain::table(made.root(), 2)});
  CHECK(told.mappings.size() == 2);

  // The third page of a root of four.
  hand_made<gstage> wide{0};
  const auto inside = gstage::table(wide.root() + 0x2000, 2);
  wide.put(wide.root(), 5, inside);
  check_only(wide.walked(), {foreign_defect::cycle, 2, input_address{std::uint64_t{5} << 30}, wide.root(), 5, inside},
             0);
}

TEST_CASE("a table that hangs in several places is walked in each, until the budget is spent") {
  hand_made<plain> made{2};
  for (std::size_t i = 0; i < 4; ++i) {
    made.put(made.root(), i, plain::table(made.table(0), 2));
    made.put(made.table(0), i, plain::table(made.table(1), 1));
    made.put(made.table(1), i, page<plain>(i));
  }
  counting_dump all{made.dump()};
  const foreign_story whole = quire_test::walk_foreign<plain>(all, made.root(), quire_test::halves<plain>().front());
  CHECK(whole.summary->complete);
  CHECK(whole.mappings.size() == 64);
  CHECK(whole.summary->entries == 4 + 16 + 64);

  counting_dump some{made.dump()};
  const foreign_story part =
      quire_test::walk_foreign<plain>(some, made.root(), quire_test::halves<plain>().front(), {.budget = 22});
  CHECK(some.asked == 22);
  check_only(part, {foreign_defect::out_of_budget, 1, input_address{0x400}, made.table(0), 0, 0}, 16);
  CHECK_FALSE(part.summary->complete);
  CHECK(part.summary->unvisited == input_address{0x400});
  CHECK(part.summary->findings == 1);
}

TEST_CASE("a group whose entries do not agree is torn") {
  const auto group_of_pages = [](hand_made<grouping>& made) {
    made.put(made.root(), 0, grouping::table(made.table(0), 2));
    made.put(made.table(0), 0, grouping::table(made.table(1), 1));
    for (std::size_t i = 0; i < 16; ++i)
      made.put(made.table(1), 16 + i, page<grouping>(32, 0, 4) + i * grouping::step(0, 4));
    made.put(made.table(1), 40, page<grouping>(7));
  };
  const foreign_finding torn{foreign_defect::torn_group,    0,  input_address{0x1'0000},
                             hand_made<grouping>::table(1), 16, page<grouping>(32, 0, 4)};
  const auto at = [](std::size_t i) { return page<grouping>(32, 0, 4) + i * grouping::step(0, 4); };

  SECTION("accessed in one entry is accessed in all") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    for (std::size_t i = 0; i < 16; ++i)
      if (i != 5) made.put(made.table(1), 16 + i, grouping::clear_accessed(at(i)));
    const foreign_story told = made.walked();
    CHECK(told.findings.empty());
    REQUIRE(told.mappings.size() == 2);
    CHECK(told.mappings[0].attrs.accessed);
    CHECK(told.mappings[0].bytes == 0x1'0000);
    CHECK(told.summary->entries == 1024 + 512 + 512);
  }
  SECTION("one entry leads elsewhere") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.put(made.table(1), 20, at(5));
    check_only(made.walked(), torn, 1);
  }
  SECTION("one entry has more rights") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.put(made.table(1), 31, grouping::make_writable(at(15)));
    check_only(made.walked(), torn, 1);
  }
  SECTION("one entry is a leaf by itself, and is mapped") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.put(made.table(1), 30, page<grouping>(46));
    check_only(made.walked(), torn, 2);
  }
  SECTION("one entry is absent") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.put(made.table(1), 24, 0);
    check_only(made.walked(), torn, 1);
  }
  SECTION("the first entry is absent") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.put(made.table(1), 16, 0);
    check_only(made.walked(), {foreign_defect::torn_group, 0, input_address{0x1'1000}, made.table(1), 17, at(1)}, 1);
  }
  SECTION("all agree, but on an address that no group has") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    for (std::size_t i = 0; i < 16; ++i) made.put(made.table(1), 16 + i, at(i + 1));
    check_only(made.walked(), {foreign_defect::torn_group, 0, input_address{0x1'0000}, made.table(1), 16, at(1)}, 1);
  }
  SECTION("a range, or an address, in the middle reads what lies before it") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    const auto range = input_range::sized(input_address{0x1'8000}, 0x2000);
    counting_dump counting{made.dump()};
    foreign_story told = quire_test::walk_foreign<grouping>(counting, made.root(), range);
    CHECK(counting.asked == 2 + 16);
    CHECK_FALSE(counting.any_twice());
    CHECK(told.findings.empty());
    REQUIRE(told.mappings.size() == 1);
    CHECK(told.mappings[0].input == input_address{0x1'0000});

    made.put(made.table(1), 17, 0);
    auto dump = made.dump();
    told = quire_test::walk_foreign<grouping>(dump, made.root(), range);
    check_only(told, {foreign_defect::torn_group, 0, input_address{0x1'8000}, made.table(1), 24, at(8)}, 0);
    CHECK(foreign_lookup<grouping>(dump, made.root(), input_address{0x1'8123}).error() ==
          error{errc::malformed, 0, 0x1'8123});
  }
  SECTION("an entry out of bounds is told as well") {
    hand_made<grouping> made{2};
    group_of_pages(made);
    made.words.resize(made.words.size() - 512 + 30);
    const foreign_story told = made.walked();
    REQUIRE(told.findings.size() == 2);
    CHECK(told.findings[0].what == foreign_defect::unreadable);
    CHECK(told.findings[0].index == 30);
    CHECK(told.findings[1] == torn);
    CHECK(told.mappings.empty());
  }
}

TEST_CASE("a group of equal entries is torn where one differs") {
  using napot = tiny::napot;  // pairs of pages
  hand_made<napot> made{2};
  made.put(made.root(), 0, napot::table(made.table(0), 2));
  made.put(made.table(0), 0, napot::table(made.table(1), 1));
  for (std::size_t i = 0; i < 4; ++i) made.put(made.table(1), i, page<napot>(6, 0, 1));
  CHECK(made.walked().mappings.size() == 2);
  CHECK(made.walked().findings.empty());
  made.put(made.table(1), 3, page<napot>(4, 0, 1));
  check_only(made.walked(),
             {foreign_defect::torn_group, 0, input_address{0x80}, made.table(1), 2, page<napot>(6, 0, 1)}, 1);
}

// What an entry maps is a matter of its own group, wherever the walk began: the second walk never sees the torn one.
TEST_CASE("a whole group inside of a torn one is mapped") {
  using iommu = amd::iommu<3>;
  const auto pages = [](int group) { return *iommu::leaf(output_address{0}, {.allowed = readable}, 0, group); };
  hand_made<iommu> made{2};
  made.put(made.root(), 0, iommu::table(made.table(0), 2));
  made.put(made.table(0), 0, iommu::table(made.table(1), 1));
  for (std::size_t i = 0; i < 16; ++i) made.put(made.table(1), i, pages(i / 4 == 1 ? 2 : 4));

  const foreign_finding torn{foreign_defect::torn_group, 0, input_address{0}, made.table(1), 0, pages(4)};
  const foreign_story told = made.walked();
  check_only(told, torn, 1);
  auto dump = made.dump();
  const auto range = input_range::sized(input_address{0x4000}, 0x4000);
  const foreign_story part = quire_test::walk_foreign<iommu>(dump, made.root(), range);
  CHECK(part.findings.empty());
  REQUIRE(part.mappings.size() == 1);
  CHECK(part.mappings[0] == told.mappings[0]);
  CHECK(foreign_lookup<iommu>(dump, made.root(), input_address{0x7123}).value() == told.mappings[0]);
}

TEST_CASE("what reaches beyond the last output is told") {
  hand_made<gstage> made{1};
  made.put(made.root(), 0, page<gstage>(0x4'0000, 2));  // the second gigabyte
  made.put(made.root(), 1, page<gstage>(0x8'0000, 2));
  made.put(made.root(), 2, gstage::table(table_address{0x8000'0000}, 2));
  const foreign_story told = made.walked({.last_output = output_address{0x7fff'ffff}});
  REQUIRE(told.findings.size() == 2);
  CHECK(told.findings[0] == foreign_finding{foreign_defect::beyond_output, 2, input_address{0x4000'0000}, made.root(),
                                            1, page<gstage>(0x8'0000, 2)});
  CHECK(told.findings[1].what == foreign_defect::beyond_output);
  CHECK(told.findings[1].index == 2);
  CHECK(told.mappings.size() == 1);
  CHECK(made.walked({.last_output = output_address{0x7fff'fffe}}).mappings.empty());

  // A table, by its last byte.
  hand_made<gstage> low{1};
  low.put(low.root(), 0, gstage::table(low.table(0), 2));
  CHECK(low.walked({.last_output = output_address{low.table(0).value + 0xfff}}).findings.empty());
  check_only(low.walked({.last_output = output_address{low.table(0).value + 0xffe}}),
             {foreign_defect::beyond_output, 2, input_address{0}, low.root(), 0, gstage::table(low.table(0), 2)}, 0);
}

TEST_CASE("rights are those of the leaf and of every table above it") {
  using rights = tiny::table_rights;  // three levels of two entries, a root of 32; 32-bit entries
  constexpr unsigned r = 1U << 2, w = 1U << 3, x = 1U << 4;
  hand_made<rights> made{2};
  made.put(made.root(), 0, rights::table(made.table(0), 2) & ~w);
  made.put(made.table(0), 0, rights::table(made.table(1), 1) & ~x);
  made.put(made.table(0), 1, *rights::leaf(output_address{0}, {.allowed = all_access}, 1));
  made.put(made.table(1), 0, *rights::leaf(output_address{0}, {.allowed = all_access}, 0));
  made.put(made.root(), 1, *rights::leaf(output_address{0}, {.allowed = read_execute}, 2));
  const foreign_story told = made.walked();
  REQUIRE(told.mappings.size() == 3);
  CHECK(told.mappings[0].effective == readable);
  CHECK(told.mappings[0].attrs.allowed == all_access);
  CHECK(told.mappings[1].effective == read_execute);
  CHECK(told.mappings[2].effective == read_execute);
  CHECK(rights::table_rights_of(rights::table(made.table(0), 2) & ~r, 2) == (writable | executable));
}

TEST_CASE("what the hardware takes for invalid is no finding, and a look-up says what it is") {
  hand_made<gstage> made{0};
  made.put(made.root(), 1, gstage::marker(5));
  made.put(made.root(), 2, gstage::lock(page<gstage>(0, 2)));
  CHECK(made.walked().findings.empty());
  CHECK(made.walked().mappings.empty());
  const auto code = [&](std::uint64_t address) {
    return foreign_lookup<gstage>(made.dump(), made.root(), input_address{address}).error();
  };
  CHECK(code(0x1000) == error{errc::not_mapped, 2, 0x1000});
  CHECK(code(0x4000'0000) == error{errc::marked, 2, 0x4000'0000});
  CHECK(code(0x8000'0000) == error{errc::busy, 2, 0x8000'0000});
  CHECK(code(std::uint64_t{1} << 41) == error{errc::beyond_input, -1, std::uint64_t{1} << 41});
}

TEST_CASE("a callback may end the walk, and bad ranges are named") {
  hand_made<gstage> made{0};
  for (std::size_t i = 0; i < 4; ++i) made.put(made.root(), i, page<gstage>(0, 2));
  made.put(made.root(), 2, page<gstage>(1, 0));
  std::size_t seen = 0;
  const auto walked = [&](input_range range, std::size_t most, bool after_finding) {
    seen = 0;
    return foreign_for_each_mapping<gstage>(
               made.dump(), made.root(), range, [&](const foreign_mapping&) { return ++seen < most; },
               [&](const foreign_finding&) { return after_finding; })
        .error();
  };
  const auto all = quire_test::halves<gstage>().front();
  CHECK(walked(all, 2, true) == error{errc::stopped, 2, 0x4000'0000});
  CHECK(seen == 2);
  CHECK(walked(all, 9, false) == error{errc::stopped, 2, 0x8000'0000});
  CHECK(seen == 2);
  CHECK(walked(all, 9, true).code == errc::none);
  CHECK(seen == 3);
  CHECK(walked(input_range::sized(input_address{1}, 4096), 9, true).code == errc::unaligned);
  CHECK(walked({}, 9, true).code == errc::empty_range);
}

TEST_CASE("foreign tables can be read in constant evaluation") {
  static constexpr auto bytes = [] {
    std::array<std::byte, 64> made{};
    made[8] = std::byte{0x07};  // valid, a leaf, readable: misplaced in the root of `plain`
    return made;
  }();
  constexpr bool told = [] {
    foreign_defect what{};
    const auto found =
        foreign_lookup<plain>(memory_dump{bytes.data(), bytes.size(), 0x40}, table_address{0x40}, input_address{0x400},
                              [&](const foreign_finding& one) { what = one.what; });
    return found.error().code == errc::malformed && what == foreign_defect::misplaced;
  }();
  STATIC_REQUIRE(told);
}

TEST_CASE("a table entry with G leads to its table where others made it") {
  using others = riscv::foreign_gstage<gstage>;
  constexpr std::uint64_t g = 1U << 5;
  hand_made<others> made{1};
  made.put(made.root(), 1, others::table(made.table(0), 2) | g);
  made.put(made.table(0), 3, page<others>(512, 1));
  const foreign_story told = made.walked();
  CHECK(told.findings.empty());
  REQUIRE(told.mappings.size() == 1);
  CHECK(told.mappings[0].input == input_address{0x4060'0000});
  // In a table of one's own it would be no table.
  CHECK(foreign_lookup<gstage>(made.dump(), made.root(), input_address{0x4060'0000}).error().code == errc::marked);
}

// ---- every format

namespace {

// Walks take long to compile: every tiny format, and one of each family. QUIRE_FEW_FORMATS: for builds by the dozen.
#ifdef QUIRE_FEW_FORMATS
using looked_up_formats = std::tuple<plain>;
using walked_formats = looked_up_formats;
#else
using looked_up_formats = quire_test::all_formats;
using families =
    std::tuple<quire_test::format_named<"riscv-sv39x4-svnapot">, quire_test::format_named<"riscv-sv39-svnapot-svadu">,
               quire_test::format_named<"riscv-sv32">, quire_test::format_named<"arm64-4k-40-contiguous">,
               quire_test::format_named<"arm64-stage1-4k-39-halves-dbm-contiguous">,
               quire_test::format_named<"x86-64-4">, quire_test::format_named<"amd-npt-4">,
               quire_test::format_named<"intel-ept-4-mbec">, quire_test::format_named<"amd-iommu-3">,
               quire_test::format_named<"vtd-3">>;
using walked_formats = decltype(std::tuple_cat(families{}, quire_test::tiny_formats{}));
#endif

}  // namespace

QUIRE_TYPED_TEST("the last page is found and a root in itself is told", looked_up_formats) {
  constexpr int top = Format::shape.root_level;
  hand_made<Format> made{top};
  table_address at = made.root();
  for (int level = top; level > 0; --level) {
    const table_address below = made.table(static_cast<std::size_t>(top - level));
    made.put(at, Format::shape.entries(level) - 1, Format::table(below, level));
    at = below;
  }
  const attributes wanted{.allowed = read_write, .may_write = true, .from = quire_test::ordinary_privilege<Format>};
  const output_address output{5 * Format::shape.page_bytes()};
  made.put(at, Format::shape.entries(0) - 1, *Format::leaf(output, wanted, 0));
  const input_address last = quire_test::halves<Format>().back().last();
  const auto look = [&] { return foreign_lookup<Format>(made.dump(), made.root(), last); };

  const auto found = look();
  REQUIRE(found.has_value());
  CHECK(found->output == output);
  CHECK(found->bytes == Format::shape.page_bytes());
  CHECK(found->effective == wanted.allowed);
  CHECK(found->attrs == wanted);

  made.put(made.root(), Format::shape.entries(top) - 1, Format::table(made.root(), top));
  CHECK(look().error() == error{errc::malformed, top, last.value});
}

QUIRE_TYPED_TEST("a receiver is told every entry once and every table", walked_formats) {
  using word = typename Format::word;
  struct everything {
    std::uint64_t seen_entries = 0, tables = 0, kinds[5]{};

    bool mapped(const foreign_mapping&) { return true; }
    bool found(const foreign_finding&) { return true; }
    void unmapped(word entry, int level, input_address) {
      ++kinds[static_cast<std::size_t>(Format::kind_of(entry, level))];
    }
    void seen(table_address, std::size_t, word, int, input_address) { ++seen_entries; }
    void entered(word entry, int level, input_address) {
      CHECK(Format::kind_of(entry, level) == entry_kind::table);
      ++tables;
    }
  };
  std::uint64_t tables = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const healthy<Format> made{seed};
    memory_dump dump = made.dump();
    for (const input_range half : quire_test::halves<Format>()) {
      everything told;
      const auto summary = foreign_walk<Format>(dump, made.root(), half, told);
      REQUIRE(summary.has_value());
      CHECK(told.seen_entries == summary->entries);
      CHECK(told.kinds[static_cast<std::size_t>(entry_kind::leaf)] == 0);
      CHECK(told.kinds[static_cast<std::size_t>(entry_kind::table)] == 0);
      // Each table, the root's half included, was read from end to end.
      std::uint64_t root_entries = Format::shape.entries(Format::shape.root_level);
      if (Format::facts.sign_extended) root_entries /= 2;
      CHECK(told.seen_entries >= root_entries + told.tables);
      tables += told.tables;
    }
  }
  CHECK(tables > 0);
  everything none;
  const healthy<Format> made{1};
  CHECK(foreign_walk<Format>(made.dump(), made.root(), input_range::sized(input_address{1}, 1), none).error().code ==
        errc::unaligned);
}

QUIRE_TYPED_TEST("healthy tables map the same to those who do not trust them", walked_formats) {
  std::size_t mappings = 0;
  for (std::uint64_t seed = 1; seed <= quire_test::scaled(100); ++seed) {
    const healthy<Format> made{seed};
    for (const input_range half : quire_test::halves<Format>()) {
      counting_dump counting{made.dump()};
      const foreign_story told = quire_test::walk_foreign<Format>(counting, made.root(), half);
      CHECK(told.findings.empty());
      CHECK_FALSE(counting.any_twice());
      for (const auto& one : told.mappings) CHECK(one.effective == one.attrs.allowed);
      mappings += told.mappings.size();
    }
    // Compares with the walk of our own tables.
    const char* defect = quire_test::defect_of_foreign_walk<Format>(made.bytes(), made.base, made.root(), {});
    CHECK(std::string(defect == nullptr ? "" : defect) == "");
  }
  CHECK(mappings > 0);
}

QUIRE_TYPED_TEST("garbage is walked within bounds", walked_formats) {
  using word = typename Format::word;
  std::mt19937_64 random{7};
  bool cycles = false, malformed = false, dry = false;
  for (std::uint64_t round = 0; round < 40 + quire_test::scaled(160); ++round) {
    std::vector<word> words = healthy<Format>{round / 8 + 1}.words;
    const std::uint64_t base = healthy<Format>::base, bytes = words.size() * sizeof(word);
    const auto table = [&] {
      const std::uint64_t unit = std::uint64_t{1} << Format::table_shift;
      return Format::table(table_address{base + random() % (bytes / unit) * unit}, 1);
    };
    switch (round % 4) {
      case 0:  // a few bits
        for (int i = 0; i < 40; ++i)
          words[random() % words.size()] ^= static_cast<word>(word{1} << random() % (8 * sizeof(word)));
        break;
      case 1:  // any words
        for (word& one : words) one = static_cast<word>(random());
        break;
      case 2:  // tables everywhere
        for (word& one : words) one = table();
        break;
      default:  // a few tables
        for (int i = 0; i < 20; ++i) words[random() % (words.size() / 4)] = table();
        break;
    }
    // Sometimes the end is missing.
    const std::size_t cut = random() % 3 == 0 ? random() % words.size() : 0;
    const auto dump = std::as_bytes(std::span{words}).first((words.size() - cut) * sizeof(word));
    const foreign_bounds bounds{.budget = random() % 3 == 0 ? random() % 20 : quire_test::least_budget<Format> + 3000};
    const char* defect = quire_test::defect_of_foreign_walk<Format>(dump, base, healthy<Format>::root(), bounds);
    INFO("round " << round);
    CHECK(std::string(defect == nullptr ? "" : defect) == "");

    memory_dump memory{dump.data(), dump.size(), base};
    for (const auto& one :
         quire_test::walk_foreign<Format>(memory, healthy<Format>::root(), quire_test::halves<Format>().front(), bounds)
             .findings) {
      cycles = cycles || one.what == foreign_defect::cycle;
      malformed = malformed || one.what == foreign_defect::malformed || one.what == foreign_defect::misplaced;
      dry = dry || one.what == foreign_defect::out_of_budget;
    }
  }
  CHECK(cycles);
  CHECK(malformed);
  CHECK(dry);
}
