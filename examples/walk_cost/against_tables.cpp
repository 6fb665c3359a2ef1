// SPDX-License-Identifier: MIT
// Is what walk_cost computes what tables of the library really take, entry by entry?
#include "scenario.hpp"

#include <cstdint>  // uint64_t
#include <random>   // mt19937_64
#include <tuple>    // tuple
#include <vector>   // vector

#include <quire/dirty/eager_split.hpp>  // tables_for_chunk

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

#include "layout.hpp"

namespace {

using namespace walk_cost;
using quire_test::format_named;

constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

template <class F>
void check_all(const std::vector<region>& layout) {
  scenario<F> all{layout};
  all.run_split(walk_kind::skip_level);
  all.run_split(walk_kind::every_level);
  all.run_protected();
  all.run_unsplit();
}

// Some regions in ascending order, with ends that are aligned to anything, and limits of any kind.
std::vector<region> random_layout(const table_shape& shape, std::mt19937_64& random, std::uint64_t space,
                                  std::uint64_t most_bytes) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<region> layout;
  std::uint64_t at = 0;
  for (std::uint64_t left = 1 + below(4); left != 0; --left) {
    const auto aligned = [&](std::uint64_t address) {
      const int bits = shape.shift(static_cast<int>(below(static_cast<std::uint64_t>(shape.levels))));
      const std::uint64_t to = address & ~low_bits(bits);
      return to < at ? address & ~low_bits(shape.page_bits) : to;
    };
    const std::uint64_t page = std::uint64_t{1} << shape.page_bits;
    const std::uint64_t first = below(3) == 0 ? at : aligned(at + below((space - at) / 2 + 1));
    if (first + page > space) break;
    const std::uint64_t end = aligned(first + page + below(space - first - page + 1));
    std::uint64_t bytes = end <= first ? page : end - first < most_bytes ? end - first : most_bytes;
    if (const std::uint64_t half = std::uint64_t{1} << (shape.input_bits() - 1);
        shape.sign_extended && first < half && first + bytes > half)
      bytes = half - first;
    leaf_limits leaves{.largest_level = static_cast<int>(below(static_cast<std::uint64_t>(shape.levels))),
                       .groups = below(2) == 0};
    if (below(3) == 0)
      leaves.alignment_bits =
          shape.page_bits + static_cast<int>(below(static_cast<std::uint64_t>(shape.shift(2) - shape.page_bits + 1)));
    layout.push_back({first, first + (bytes - 1), leaves});
    at = first + bytes;
  }
  return layout;
}

using checked_formats = quire_test::chosen_of<
    std::tuple<format_named<"riscv-sv39x4">, format_named<"riscv-sv48x4">, format_named<"riscv-sv39x4-svnapot">,
               format_named<"arm64-4k-40">, format_named<"arm64-4k-48">, format_named<"arm64-4k-40-dbm">,
               format_named<"arm64-4k-40-contiguous-1g">, format_named<"arm64-64k-48-contiguous">,
               format_named<"x86-64-4">, format_named<"intel-ept-4">, format_named<"amd-iommu-3">>>;
using tiny_formats = quire_test::chosen_of<
    std::tuple<format_named<"tiny-plain">, format_named<"tiny-wide-root">, format_named<"tiny-grouped">,
               format_named<"tiny-deep">, format_named<"tiny-pages-only">, format_named<"tiny-napot-sizes">>>;

// What is planned is known when a program is compiled, a petabyte as well as a page.
constexpr mapped_region petabyte{shape_of<format_named<"riscv-sv48x4">>(), {0, (std::uint64_t{1} << 50) - 1, {}}};
static_assert(tables_of(petabyte.shape(), std::span{&petabyte, 1}).all() == 1);
static_assert(map_cost(petabyte, {}).all() == entry_count{2 * 2048 + 1, 2048});
static_assert(split_cost(petabyte, walk_kind::skip_level).tables == 2048 * (1 + 512 + 512 * 512));
static_assert(clear_log_cost({petabyte.shape(), {0, petabyte.last(), single_pages}}, 64).calls == 1ULL << 32);

// The topmost page of 64 bits.
constexpr std::uint64_t top = ~std::uint64_t{0};
static_assert(first_section({shape_of<format_named<"amd-iommu-6">>(), {top << 12U, top, {}}}).pages() == 1);

}  // namespace

QUIRE_TYPED_TEST("tables of a chunk are those of the library", checked_formats) {
  constexpr table_shape shape = shape_of<Format>();
  for (int level = 0; level < shape.levels; ++level)
    CHECK(tables_for_chunk(shape, level) == quire::tables_for_chunk<Format>(std::uint64_t{1} << shape.shift(level)));
}

QUIRE_TYPED_TEST("costs of layouts", checked_formats) {
  const leaf_limits largest{};
  const leaf_limits blocks{.largest_level = 1};
  const leaf_limits apart{.alignment_bits = 21};
  check_all<Format>({{2 * gib, 3 * gib - 1, largest}});
  check_all<Format>({{2 * gib, 2 * gib + 512 * mib - 1, blocks}});
  check_all<Format>({{2 * gib + 64 * kib, 2 * gib + 320 * mib - 1, largest}});
  check_all<Format>(
      {{0, 640 * kib - 1, largest}, {mib, 130 * mib + 64 * kib - 1, apart}, {gib, gib + 128 * mib - 1, blocks}});
  check_all<Format>({{gib - 64 * kib, gib - 1, largest}, {gib, gib + 64 * kib - 1, largest}});
}

// What does not fit into a test's memory as pages is compared as it is mapped.
QUIRE_TYPED_TEST("costs of 64 GiB in leaves of every size", checked_formats) {
  scenario<Format>{{{0, 64 * gib - 1, {}}}}.run_unsplit();
  scenario<Format>{{{4 * gib, 68 * gib - 1, {.largest_level = 1}}}}.run_unsplit();
}
TEST_CASE("costs of 64 GiB in pages") {
  const std::vector<region> layout{{0, 64 * gib - 1, {.largest_level = 1}}};
  scenario<format_named<"riscv-sv39x4">> all{layout};
  all.run_split(walk_kind::skip_level);
  all.run_protected();
  scenario<format_named<"arm64-4k-48">>{layout}.run_split(walk_kind::skip_level);
}

QUIRE_TYPED_TEST("costs of random layouts", checked_formats) {
  std::mt19937_64 random{1};
  const std::uint64_t rounds = quire_test::scaled(20);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const std::uint64_t space = (std::uint64_t{64} * mib) << random() % 8;
    check_all<Format>(random_layout(shape_of<Format>(), random, space, 256 * mib));
  }
}

// Every end that a region can have, in a few dozen pages.
QUIRE_TYPED_TEST("costs of tiny tables", tiny_formats) {
  constexpr table_shape shape = shape_of<Format>();
  const std::uint64_t space = std::uint64_t{1} << shape.input_bits();
  std::mt19937_64 random{2};
  const std::uint64_t rounds = quire_test::scaled(400);
  for (std::uint64_t i = 0; i < rounds; ++i) check_all<Format>(random_layout(shape, random, space, space));
}
