// SPDX-License-Identifier: MIT
// The marks of a sink, as numbers and as addresses.
#include <quire/views/dirty_pages.hpp>

#include <random>  // mt19937_64
#include <vector>  // vector

#include <range/v3/range/concepts.hpp>  // input_range
#include <range/v3/view/filter.hpp>     // filter

#include <quire/format/riscv_gstage.hpp>  // riscv::sv39x4

#include "catch.hpp"
#include "support/scale.hpp"

namespace {

using namespace quire;

template <class View>
auto all_of(View&& view) {
  std::vector<ranges::range_value_t<View>> found;
  for (const auto& one : view) found.push_back(one);
  return found;
}

}  // namespace

TEST_CASE("marked pages are shown in ascending order and stay marked") {
  std::mt19937_64 random{11};
  for (const std::uint64_t pages : std::vector<std::uint64_t>{1, 63, 64, 65, 1000}) {
    for (std::uint64_t round = 0; round < quire_test::scaled(50); ++round) {
      std::vector<std::uint64_t> words(bitmap_words(pages)), wanted;
      dirty_bitmap bitmap{words.data(), pages};
      for (std::uint64_t page = 0; page < pages; ++page) {
        if (random() % (1 + round) != 0) continue;
        bitmap.mark(page);
        wanted.push_back(page);
      }
      const std::vector<std::uint64_t> before = words;
      CHECK((all_of(views::dirty_pages(bitmap)) == wanted));
      CHECK((words == before));
    }
  }
}

TEST_CASE("marked pages are addresses of their slot") {
  std::vector<std::uint64_t> words(2);
  dirty_bitmap bitmap{words.data(), 100};
  bitmap.mark(0);
  bitmap.mark(64);
  bitmap.mark(99);
  const memory_slot slot{.first = input_address{0x8000'0000}, .pages = 100};
  const auto dirty = views::dirty_pages<riscv::sv39x4>(bitmap, slot);
  CHECK((all_of(dirty) ==
         std::vector{input_address{0x8000'0000}, input_address{0x8004'0000}, input_address{0x8006'3000}}));
  auto late = dirty | ranges::views::filter([](input_address at) { return at > input_address{0x8005'0000}; });
  CHECK((all_of(late) == std::vector{input_address{0x8006'3000}}));
}

TEST_CASE("a mark in a word that was not read yet is shown, one in a word that was read is not") {
  std::vector<std::uint64_t> words(2);
  dirty_bitmap bitmap{words.data(), 128};
  bitmap.mark(1);
  auto dirty = views::dirty_pages(bitmap);
  auto at = dirty.begin();
  CHECK(*at == 1);
  bitmap.mark(2);
  bitmap.mark(70);
  ++at;
  CHECK(*at == 70);
  ++at;
  CHECK(at == dirty.end());
  using view = decltype(dirty);
  STATIC_REQUIRE(ranges::input_range<view>);
  STATIC_REQUIRE(!ranges::forward_range<view>);
  STATIC_REQUIRE(ranges::view_<view>);
  STATIC_REQUIRE(ranges::borrowed_range<view>);
}
