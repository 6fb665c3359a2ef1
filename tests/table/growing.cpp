// SPDX-License-Identifier: MIT
// Tables that grow by a level: what was mapped stays as it was, what is new can be used, every table goes back once.
#include <quire/table/growing.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <map>      // map
#include <utility>  // move
#include <vector>   // vector

#include <quire/check/naive_walk.hpp>     // naive_walk, count_tables
#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/policy/table_cache.hpp>   // table_cache
#include <quire/table/page_table.hpp>

#include "catch.hpp"
#include "support/formats.hpp"

namespace {

using namespace quire;
using tiny::shape_options;

// A heap that knows what is out, and how large it is.
struct counting_heap {
  std::uint64_t next;
  std::uint64_t unit;
  std::map<std::uint64_t, std::uint64_t> out;
  std::size_t wrong = 0;

  result<table_address> allocate(std::uint64_t bytes) noexcept {
    const table_address table{next};
    next += (bytes + unit - 1) / unit * unit;
    out[table.value] = bytes;
    return table;
  }
  void free(table_address table, std::uint64_t bytes) noexcept {
    const auto found = out.find(table.value);
    if (found == out.end() || found->second != bytes) ++wrong;
    else out.erase(found);
  }
};

struct growing_policies : policies {
  using memory_type = array_memory<std::uint64_t>;
  memory_type memory;
  table_cache<counting_heap, memory_type, std::uint64_t, true> tables;

  growing_policies(counting_heap& heap, std::vector<std::uint64_t>& memory_words)
      : memory(memory_words.data(), memory_words.size(), heap.unit), tables(&heap, memory, heap.unit) {}
};

// Zeroed memory from one unit on.
struct world {
  counting_heap heap;
  std::vector<std::uint64_t> words;

  world(std::uint64_t unit, std::size_t tables)
      : heap{unit, unit, {}, 0}, words(static_cast<std::size_t>(tables * unit / sizeof(std::uint64_t))) {}
  [[nodiscard]] growing_policies policies() { return {heap, words}; }
};

template <class F>
using table_of = page_table<F, growing_policies>;

// Everything that a table maps, as its own session and as the plainest walk see it.
template <class F>
std::vector<mapping> mappings(table_of<F>& table, std::uint64_t last) {
  std::vector<mapping> all;
  const auto range = input_range::closed(input_address{0}, input_address{last});
  REQUIRE(table.exclusive().for_each_mapping(range, [&](const mapping& one) { all.push_back(one); }));
  check::naive_walk<F> walked;
  walked.read(table.policies().memory, *table.root());
  CHECK(walked.leaves.size() == all.size());
  CHECK(walked.torn_groups == 0);
  return all;
}
template <class F>
constexpr std::uint64_t last_of = F::shape.table_last_offset(F::shape.root_level);

template <class Taller, class Lower>
table_of<Taller> grown(table_of<Lower>&& lower) {
  REQUIRE(lower.policies().tables.reserve(1));
  const auto before = mappings(lower, last_of<Lower>);
  const table_address old_root = *lower.root();
  table_of<Taller> taller{std::move(lower)};
  CHECK_FALSE(lower.root().has_value());
  CHECK(*taller.root() != old_root);
  CHECK(mappings(taller, last_of<Taller>) == before);
  return taller;
}

struct two_levels : tiny::format<shape_options{.levels = 2}> {};
struct three_levels : tiny::format<shape_options{.levels = 3}> {};
struct four_levels : tiny::format<shape_options{.levels = 4}> {};
struct wide_two_levels : tiny::format<shape_options{.levels = 2, .extra_root_bits = 1}> {};
struct wide_three_levels : tiny::format<shape_options{.levels = 3, .extra_root_bits = 2}> {};
struct signed_three_levels : tiny::format<shape_options{.levels = 3, .sign_extended = true}> {};
struct inverted_three_levels : tiny::format<shape_options{.levels = 3, .inverted = true}> {};
struct one_leaf_level : tiny::format<shape_options{.levels = 3, .leaf_levels = 0x1}> {};
struct narrow_three_levels : tiny::format<shape_options{.levels = 3, .narrow = true}> {};

static_assert(grows_from<three_levels, two_levels> && grows_from<four_levels, three_levels>);
static_assert(!grows_from<two_levels, three_levels> && !grows_from<four_levels, two_levels>);
static_assert(!grows_from<three_levels, wide_two_levels>);    // twice the entries of a table
static_assert(!grows_from<wide_three_levels, two_levels>);    // a root that is no table
static_assert(!grows_from<signed_three_levels, two_levels>);  // the upper half would move
static_assert(!grows_from<inverted_three_levels, two_levels>);
static_assert(!grows_from<one_leaf_level, two_levels>);
static_assert(!grows_from<narrow_three_levels, two_levels>);
static_assert(grows_from<amd::iommu<6>, amd::iommu<5>> && grows_from<amd::iommu<2>, amd::iommu<1>>);
static_assert(!grows_from<amd::iommu<5>, amd::iommu<3>>);
static_assert(grows_from<vtd::second_stage<4>, vtd::second_stage<3>>);
static_assert(!grows_from<vtd::second_stage<4>, amd::iommu<3>> && !grows_from<riscv::sv48x4, riscv::sv39x4>);

}  // namespace

TEST_CASE("a tiny table grows: every page as before, and room above") {
  world w{64, 64};
  {
    table_of<two_levels> low{w.policies()};
    REQUIRE(low.create());
    // Pages, a block, a hole, a marker.
    REQUIRE(
        low.exclusive().map(input_range::sized(input_address{0}, 3 * 64), output_address{64}, {.allowed = readable}));
    REQUIRE(low.exclusive().map(input_range::sized(input_address{256}, 256), output_address{512},
                                {.allowed = read_write, .dirty = true}));
    REQUIRE(low.exclusive().annotate(input_range::sized(input_address{1024 - 64}, 64), 5));
    CHECK(low.exclusive().lookup(input_address{1024}).error().code == errc::beyond_input);
    const std::size_t tables = w.heap.out.size();

    auto tall = grown<three_levels>(std::move(low));
    CHECK(w.heap.out.size() == tables + 1);
    CHECK(check::count_tables<three_levels>(tall.policies().memory, *tall.root()) == tables + 1);
    CHECK(*tall.exclusive().annotation(input_address{1024 - 64}) == 5);
    CHECK(tall.exclusive().lookup(input_address{1024}).error().code == errc::not_mapped);
    // Over the seam, both ways.
    REQUIRE(tall.exclusive().unmap(input_range::sized(input_address{1024 - 64}, 64)));
    REQUIRE(tall.exclusive().map(input_range::sized(input_address{1024 - 256}, 512), output_address{2048},
                                 {.allowed = read_write}));
    CHECK(tall.exclusive().translate(input_address{1024 + 5})->value == 2048 + 256 + 5);
    // The old root is a table like any other: it goes when the range covers it.
    REQUIRE(tall.exclusive().unmap(input_range::sized(input_address{0}, 1024)));
    CHECK(tall.exclusive().lookup(input_address{0}).error().level == 2);

    auto taller = grown<four_levels>(std::move(tall));
    CHECK(taller.exclusive().translate(input_address{1024 + 5})->value == 2048 + 256 + 5);
  }
  CHECK(w.heap.out.empty());
  CHECK(w.heap.wrong == 0);
}

TEST_CASE("an empty table grows, and is empty") {
  world w{64, 8};
  {
    table_of<two_levels> low{w.policies()};
    REQUIRE(low.create());
    auto tall = grown<three_levels>(std::move(low));
    CHECK(*tall.exclusive().prune(input_range::sized(input_address{0}, 4096)) == 1);
  }
  CHECK(w.heap.out.empty());
  CHECK(w.heap.wrong == 0);
}

TEST_CASE("an AMD IOMMU table grows from 3 levels to 6") {
  using amd::iommu;
  world w{4096, 64};
  {
    table_of<iommu<3>> three{w.policies()};
    REQUIRE(three.create());
    const attributes wanted{.allowed = read_write, .dirty = true};
    REQUIRE(
        three.exclusive().map(input_range::sized(input_address{0x1000}, 0x7000), output_address{0x10'1000}, wanted));
    REQUIRE(three.exclusive().map(input_range::sized(input_address{0x40'0000'0000}, 0x40'0000'0000),
                                  output_address{0x80'0000'0000}, {.allowed = readable}));  // 256 GiB, one group
    CHECK(iommu<3>::device_table_entry(*three.root()) ==
          (three.root()->value | 0x6000'0000'0000'0783));  // mode 3, A and D, IR and IW

    auto four = grown<iommu<4>>(std::move(three));
    // The new root leads to the old one with its number of levels: NextLevel 3.
    const std::uint64_t first = four.policies().memory.load<std::uint64_t>(*four.root(), 0, order::relaxed);
    CHECK((first & ~std::uint64_t{0xf'ffff'ffff'f000}) == 0x6000'0000'0000'0621);
    auto five = grown<iommu<5>>(std::move(four));
    auto six = grown<iommu<6>>(std::move(five));
    CHECK(iommu<6>::device_table_entry(*six.root()) == (six.root()->value | 0x6000'0000'0000'0d83));

    // The last page of 64 bits.
    const auto top = input_range::closed(input_address{~std::uint64_t{0xfff}}, input_address{~std::uint64_t{0}});
    REQUIRE(six.exclusive().map(top, output_address{0x5000}, wanted));
    CHECK(six.exclusive().translate(input_address{~std::uint64_t{0}})->value == 0x5fff);
    CHECK(six.exclusive().translate(input_address{0x2345})->value == 0x10'2345);
    const auto huge = six.exclusive().lookup(input_address{0x7f'ffff'ffff});
    REQUIRE(huge.has_value());
    CHECK(huge->bytes == 0x40'0000'0000);
    CHECK(huge->translate(input_address{0x7f'ffff'ffff}).value == 0xbf'ffff'ffff);
    REQUIRE(six.exclusive().unmap(input_range::closed(input_address{0}, input_address{~std::uint64_t{0}})));
    CHECK(mappings(six, ~std::uint64_t{0}).empty());
  }
  CHECK(w.heap.out.empty());
  CHECK(w.heap.wrong == 0);
}
