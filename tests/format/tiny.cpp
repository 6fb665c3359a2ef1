// SPDX-License-Identifier: MIT
// The tiny formats are there to have every peculiarity somewhere, and every two of them together.
#include <quire/format/tiny.hpp>

#include <bit>      // popcount
#include <cstddef>  // size_t
#include <cstdint>  // uint32_t
#include <vector>   // vector

#include "catch.hpp"
#include "support/formats.hpp"

namespace {

using namespace quire;
using quire_test::tiny_formats;

// The options as a list of small numbers; `leaf_levels` as only pages, all but the root, all.
std::vector<int> choices_of(const tiny::shape_options& options) {
  const int leaf_levels = std::popcount(options.leaf_levels);
  return {
      options.levels,
      options.index_bits,
      options.extra_root_bits,
      leaf_levels == 1                ? 0
      : leaf_levels == options.levels ? 2
                                      : 1,
      static_cast<int>(options.narrow),
      static_cast<int>(options.sign_extended),
      static_cast<int>(options.groups),
      static_cast<int>(options.inverted),
      static_cast<int>(options.table_rights),
      static_cast<int>(options.dirty),
      static_cast<int>(options.hardware_updates),
      static_cast<int>(options.break_before_make),
      static_cast<int>(options.caches_invalid),
  };
}
constexpr std::size_t levels = 0, index_bits = 1, leaf_levels = 3, groups = 6, dirty = 9, hardware_updates = 10;

// The pairs that no format can have; first < second.
bool impossible(std::size_t first, int a, std::size_t second, int b) {
  if (first == levels && second == leaf_levels) return a == 2 && b == 1;
  if (first == index_bits && second == groups) return a == 1 && b != 0;  // a group is not a whole table
  if (first == dirty && second == hardware_updates) return a == 2 && b == 0;
  return false;
}

}  // namespace

TEST_CASE("tiny formats: every two values of two options stand together in one of them") {
  std::vector<std::vector<int>> formats;
  quire_test::for_each_format<tiny_formats>([&]<class F>(const char*) { formats.push_back(choices_of(F::options)); });
  REQUIRE(formats.size() >= 12);

  const auto values = std::vector<std::vector<int>>{{2, 3, 4}, {1, 2}, {0, 1, 4}, {0, 1, 2}, {0, 1}, {0, 1}, {0, 1, 2},
                                                    {0, 1},    {0, 1}, {0, 1, 2}, {0, 1},    {0, 1}, {0, 1}};
  for (std::size_t first = 0; first < values.size(); ++first)
    for (std::size_t second = first + 1; second < values.size(); ++second)
      for (const int a : values[first])
        for (const int b : values[second]) {
          bool together = false;
          for (const auto& format : formats) together = together || (format[first] == a && format[second] == b);
          CAPTURE(first, a, second, b);
          CHECK(together != impossible(first, a, second, b));
        }
}

TEST_CASE("tiny formats: the facts follow from the options") {
  quire_test::for_each_format<tiny_formats>([]<class F>(const char* name) {
    CAPTURE(name);
    constexpr tiny::shape_options options = F::options;
    CHECK(F::shape.levels == options.levels);
    CHECK(F::shape.input_bits() == 6 + options.levels * options.index_bits + options.extra_root_bits);
    CHECK(sizeof(typename F::word) == (options.narrow ? 4 : 8));
    CHECK(F::facts.break_before_make == options.break_before_make);
    CHECK(F::facts.caches_invalid == options.caches_invalid);
    CHECK(F::facts.sign_extended == options.sign_extended);
    CHECK(F::facts.table_permissions == options.table_rights);
    CHECK(F::facts.has_dirty == (options.dirty != tiny::dirty_encoding::none));
    CHECK(F::facts.sets_accessed == options.hardware_updates);
    CHECK(F::facts.sets_dirty == (options.hardware_updates && F::facts.has_dirty));
    CHECK(has_groups<F> == (options.groups != tiny::group_encoding::none));
    CHECK(F::facts.output_bits > F::shape.input_bits());
  });
}

TEST_CASE("tiny formats: plain entries by hand") {
  // Frame 0x1240 >> 6 = 0x49 at bit 13; valid, leaf, R, W, may write, A.
  CHECK(*tiny::plain::leaf(output_address{0x1240}, {.allowed = read_write}, 0) == 0x9'206f);
  CHECK(*tiny::plain::leaf(output_address{0x1240}, {.allowed = read_write, .dirty = true}, 0) == 0x9'20ef);
  CHECK(*tiny::plain::leaf(output_address{0x1200}, {.allowed = read_execute, .software = 3}, 1) == 0x9'0357);
  CHECK(tiny::plain::table(table_address{0x40}, 1) == 0x2001);
}

TEST_CASE("tiny formats: inverted rights, and rights in table entries") {
  using inverted = tiny::format<tiny::shape_options{.inverted = true, .table_rights = true}>;
  CHECK(*inverted::leaf(output_address{0}, {.allowed = all_access}, 0) == 0x63);
  CHECK(*inverted::leaf(output_address{0}, {.allowed = readable}, 0) == 0x5b);  // "no write", "no execute"
  CHECK(inverted::leaf(output_address{0}, {.allowed = executable}, 0).error().code == errc::unsupported_attribute);
  CHECK(inverted::write_protect(0x63) == 0x6b);
  CHECK(inverted::make_writable(0x5b) == 0xf3);

  using straight = tiny::format<tiny::shape_options{.table_rights = true}>;
  CHECK(straight::table(table_address{0}, 1) == 0x5d);  // R, W, X and A
  CHECK(inverted::table(table_address{0}, 1) == 0x45);
}

TEST_CASE("tiny formats: the two kinds of groups") {
  using own = tiny::format<tiny::shape_options{.groups = tiny::group_encoding::own_output}>;
  using equal = tiny::format<tiny::shape_options{.groups = tiny::group_encoding::all_equal}>;
  const attributes wanted{.allowed = readable};
  // Two pages at 0x80: frames 2 and 3; or twice frame 2 with the size as a 1 in the low bit.
  CHECK(*own::leaf(output_address{0x80}, wanted, 0, 1) == 0x4447);
  CHECK(own::step(0, 1) == 0x2000);
  CHECK(*equal::leaf(output_address{0x80}, wanted, 0, 1) == 0x6447);
  CHECK(equal::step(0, 1) == 0);
  CHECK(own::output_of(0x6447, 0) == output_address{0x80});
  CHECK(equal::output_of(0x6447, 0) == output_address{0x80});
}

TEST_CASE("tiny formats: writable-clean, straight and inverted") {
  const attributes wanted{.allowed = read_write, .may_write = true};
  using straight =
      tiny::format<tiny::shape_options{.dirty = tiny::dirty_encoding::writable_clean, .hardware_updates = true}>;
  CHECK(*straight::leaf(output_address{0}, wanted, 0) == 0xe7);  // D ("may be written") set, W clear
  CHECK(straight::make_writable(0xe7) == 0xef);
  CHECK(straight::make_clean(0xef) == 0xe7);
  CHECK(straight::write_protect(0xef) == 0x67);

  using inverted = tiny::format<tiny::shape_options{
      .inverted = true, .dirty = tiny::dirty_encoding::writable_clean, .hardware_updates = true}>;
  CHECK(*inverted::leaf(output_address{0}, wanted, 0) == 0xfb);  // "no write" set until it was written
  CHECK(inverted::make_writable(0xfb) == 0xf3);
  CHECK(inverted::make_clean(0xf3) == 0xfb);
  CHECK(inverted::write_protect(0xf3) == 0x7b);
}

TEST_CASE("tiny formats: groups of two sizes") {
  using format = tiny::napot_sizes;
  const attributes wanted{.allowed = readable, .accessed = false};
  CHECK(format::group_sizes(0) == 0x7);
  // Two pages at 0x80 and four at 0x100, frames 2 and 4, with half the size in the low bits.
  CHECK(*format::leaf(output_address{0x80}, wanted, 0, 1) == 0x6407);
  CHECK(*format::leaf(output_address{0x100}, wanted, 0, 2) == 0xc407);
  CHECK(format::group_of(0x6407, 0) == 1);
  CHECK(format::group_of(0xc407, 0) == 2);
  CHECK(format::output_of(0xc407, 0) == output_address{0x100});
  // Two blocks at 0x1000, four at 0x2000: a block is 0x200 bytes, 8 frames.
  CHECK(*format::leaf(output_address{0x1000}, wanted, 1, 1) == 0x9'0407);
  CHECK(*format::leaf(output_address{0x2000}, wanted, 1, 2) == 0x12'0407);
  CHECK(format::group_of(0x12'0407, 1) == 2);
  CHECK_FALSE(format::is_well_formed(0x8407, 0));  // four pages, and no half
  CHECK(format::leaf(output_address{0}, wanted, 0, 3).error().code == errc::unsupported_level);
}
