// SPDX-License-Identifier: MIT
#include <quire/dirty/sink.hpp>

#include <cstdint>  // uint64_t
#include <vector>   // vector

#include "catch.hpp"

namespace {

constexpr std::uint64_t guard = 0x5a5a'5a5a'5a5a'5a5a;

// A bitmap with a guard word at either end, and what it should say, one truth a page.
struct both {
  std::vector<std::uint64_t> words;
  std::vector<bool> model;
  quire::dirty_bitmap bitmap;

  explicit both(std::uint64_t pages)
      : words(quire::bitmap_words(pages) + 2, guard), model(pages), bitmap(words.data() + 1, pages) {
    bitmap.clear_all();
  }
  [[nodiscard]] bool agree() const {
    if (words.front() != guard || words.back() != guard) return false;
    for (std::size_t bit = 0; bit < (words.size() - 2) * 64; ++bit) {
      const bool expected = bit < model.size() && model[bit];
      if ((words[1 + bit / 64] >> (bit % 64) & 1U) != (expected ? 1U : 0U)) return false;
    }
    return true;
  }
};

}  // namespace

TEST_CASE("a bitmap of any size has as many words as it needs") {
  CHECK(quire::bitmap_words(0) == 0);
  for (std::uint64_t pages = 1; pages <= 1000; ++pages) CHECK(quire::bitmap_words(pages) == (pages + 63) / 64);
  CHECK(quire::bitmap_words(~std::uint64_t{0}) == std::uint64_t{1} << 58U);
}

TEST_CASE("marks and takes of every size at every offset are those of a list of truths") {
  for (std::uint64_t pages = 1; pages <= 130; ++pages) {
    both b{pages};
    REQUIRE(b.agree());
    b.bitmap.set_all();
    b.model.assign(pages, true);
    REQUIRE(b.agree());
    b.bitmap.clear_all();
    b.model.assign(pages, false);
    REQUIRE(b.agree());
    for (std::uint64_t page = 0; page < pages; ++page) {
      b.bitmap.mark(page);
      b.model[page] = true;
      REQUIRE(b.agree());
      b.bitmap.mark((page * 7) % (page + 1));  // a page that is marked already
      REQUIRE(b.agree());
    }
    REQUIRE(b.bitmap.pages() == pages);
    for (std::uint64_t page = 0; page < pages; ++page) {
      const std::size_t word = page / 64;
      // This page, one that is clear by now, and no other.
      const std::uint64_t bits = (std::uint64_t{1} << (page % 64)) | (page % 64 != 0 ? 1U : 0U);
      const std::uint64_t expected = bits & b.bitmap.peek(word);
      REQUIRE(b.bitmap.take(word, bits) == expected);
      for (std::uint64_t bit = 0; bit < 64; ++bit)
        if ((bits >> bit & 1U) != 0 && word * 64 + bit < pages) b.model[word * 64 + bit] = false;
      REQUIRE(b.agree());
    }
  }
}

TEST_CASE("what was taken is given once") {
  both b{100};
  b.bitmap.mark(3);
  b.bitmap.mark(99);
  CHECK(b.bitmap.take(0, ~std::uint64_t{0}) == 8);
  CHECK(b.bitmap.take(0, ~std::uint64_t{0}) == 0);
  CHECK(b.bitmap.peek(1) == std::uint64_t{1} << 35U);
  CHECK(b.bitmap.take(1, 1) == 0);
  CHECK(b.bitmap.take(1, ~std::uint64_t{0}) == std::uint64_t{1} << 35U);
}

TEST_CASE("a callback is told every mark") {
  std::vector<std::uint64_t> told;
  const auto tell = [&told](std::uint64_t page) { told.push_back(page); };
  quire::dirty_callback<decltype(tell)> sink{tell};
  static_assert(quire::dirty_sink<decltype(sink)> && !quire::harvestable_sink<decltype(sink)>);
  sink.mark(5);
  sink.mark(5);
  sink.mark(1);
  CHECK(told == std::vector<std::uint64_t>{5, 5, 1});
}

TEST_CASE("no sink forgets") {
  quire::no_sink sink;
  sink.mark(0);
  static_assert(quire::dirty_sink<quire::no_sink> && !quire::harvestable_sink<quire::no_sink>);
}
