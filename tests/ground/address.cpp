// SPDX-License-Identifier: MIT
#include <quire/address.hpp>

#include <type_traits>

#include "catch.hpp"

using namespace quire;

// Kinds do not mix, and integers do not slip in.
static_assert(!std::is_convertible_v<std::uint64_t, input_address>);
static_assert(!std::is_convertible_v<input_address, std::uint64_t>);
static_assert(!std::is_constructible_v<input_address, output_address>);
static_assert(!std::is_constructible_v<output_address, table_address>);
template <class A, class B>
concept subtractable = requires(A a, B b) { a - b; };
static_assert(subtractable<input_address, input_address> && !subtractable<input_address, output_address>);

static_assert(input_address{0x1fff}.align_down(0x1000) == input_address{0x1000});
static_assert(input_address{0x2000}.is_aligned(0x2000) && !input_address{0x3000}.is_aligned(0x2000));
static_assert(input_address{0x3000} - input_address{0x1000} == 0x2000);

TEST_CASE("a half-open range keeps its last byte") {
  constexpr auto range = input_range::half_open(input_address{0x1000}, input_address{0x3000});
  STATIC_REQUIRE(range.defect() == errc::none);
  STATIC_REQUIRE(range.first() == input_address{0x1000});
  STATIC_REQUIRE(range.last() == input_address{0x2fff});
  CHECK(range == input_range::sized(input_address{0x1000}, 0x2000));
  CHECK(range == input_range::closed(input_address{0x1000}, input_address{0x2fff}));
}

TEST_CASE("empty, reversed and wrapping ranges remember what is wrong") {
  const input_address a{0x1000}, b{0x2000}, top{~std::uint64_t{0}};
  CHECK(input_range{}.defect() == errc::empty_range);
  CHECK(input_range::half_open(a, a).defect() == errc::empty_range);
  CHECK(input_range::half_open(b, a).defect() == errc::range_overflow);
  CHECK(input_range::closed(b, a).defect() == errc::range_overflow);
  CHECK(input_range::sized(a, 0).defect() == errc::empty_range);
  CHECK(input_range::sized(b, ~std::uint64_t{0}).defect() == errc::range_overflow);
  CHECK(input_range::sized(top, 2).defect() == errc::range_overflow);
}

TEST_CASE("what begins at 0 is a range, or empty at 1") {
  const input_address zero{0}, one{1};
  CHECK(input_range::closed(zero, zero).defect() == errc::none);
  for (const input_range nothing : {input_range::half_open(zero, zero), input_range::sized(zero, 0), input_range{}}) {
    CHECK(nothing.defect() == errc::empty_range);
    CHECK(nothing.first() == one);
  }
  CHECK(input_range::half_open(input_address{0x1000}, zero).defect() == errc::range_overflow);
  CHECK(input_range::half_open(one, zero).defect() == errc::range_overflow);
  CHECK(input_range::closed(input_address{0x1000}, input_address{0xfff}).defect() == errc::empty_range);
}

// Two words, which every calling convention passes in registers.
static_assert(sizeof(input_range) == 2 * sizeof(std::uint64_t) && std::is_trivially_copyable_v<input_range>);

TEST_CASE("the range that ends with the last byte of the space can be said") {
  const input_address last_page{~std::uint64_t{0} - 0xfff}, top{~std::uint64_t{0}};
  CHECK(input_range::closed(last_page, top).defect() == errc::none);
  CHECK(input_range::sized(last_page, 0x1000) == input_range::closed(last_page, top));
  CHECK(input_range::closed(input_address{0}, top).defect() == errc::none);
}

TEST_CASE("overlap and clamping are symmetric where they should be") {
  const auto range = [](std::uint64_t first, std::uint64_t last) {
    return input_range::closed(input_address{first}, input_address{last});
  };
  CHECK(range(0, 9).overlaps(range(9, 20)));
  CHECK(range(9, 20).overlaps(range(0, 9)));
  CHECK_FALSE(range(0, 9).overlaps(range(10, 20)));
  CHECK(range(0, 9).clamped_to(range(5, 20)) == range(5, 9));
  CHECK(range(5, 20).clamped_to(range(0, 9)) == range(5, 9));
  CHECK(range(2, 3).clamped_to(range(0, 9)) == range(2, 3));
}
