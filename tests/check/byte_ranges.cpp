// SPDX-License-Identifier: MIT
#include <quire/check/byte_ranges.hpp>

#include <bitset>   // bitset
#include <cstdint>  // uint64_t

#include "catch.hpp"

using quire::check::byte_range;
using quire::check::byte_ranges;

TEST_CASE("ranges that touch become one") {
  byte_ranges all;
  CHECK(all.empty());
  all.add(10, 19);
  all.add(20, 29);
  all.add(0, 4);
  all.add(6, 8);
  CHECK(std::vector<byte_range>(all.begin(), all.end()) == std::vector<byte_range>{{0, 4}, {6, 8}, {10, 29}});
  all.add(5, 9);
  CHECK(std::vector<byte_range>(all.begin(), all.end()) == std::vector<byte_range>{{0, 29}});
  CHECK(all.covers(0, 29));
  CHECK_FALSE(all.covers(0, 30));
  CHECK(all.overlapping(29, 99) != nullptr);
  CHECK(all.overlapping(30, 99) == nullptr);
  all.clear();
  CHECK(all.empty());
}

TEST_CASE("what is removed is gone, and its neighbours stay") {
  byte_ranges all;
  all.add(10, 19);
  all.add(30, 39);
  all.remove(0, 9);
  all.remove(20, 29);
  CHECK(std::vector<byte_range>(all.begin(), all.end()) == std::vector<byte_range>{{10, 19}, {30, 39}});
  all.remove(12, 13);
  CHECK(std::vector<byte_range>(all.begin(), all.end()) == std::vector<byte_range>{{10, 11}, {14, 19}, {30, 39}});
  all.remove(11, 30);
  CHECK(std::vector<byte_range>(all.begin(), all.end()) == std::vector<byte_range>{{10, 10}, {31, 39}});
  all.remove(0, 99);
  CHECK(all.empty());
}

TEST_CASE("the last byte of the address space is a byte") {
  constexpr std::uint64_t top = ~std::uint64_t{0};
  byte_ranges all;
  all.add(top, top);
  all.add(top - 4, top - 1);
  all.add(0, 0);
  CHECK(all.covers(top - 4, top));
  CHECK(all.covers(0, 0));
  CHECK_FALSE(all.covers(0, 1));
}

TEST_CASE("a random set of bytes is the set that it is") {
  std::uint64_t dice = 1;
  const auto random = [&dice](std::uint64_t below) {
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    return (dice >> 33U) % below;
  };
  for (int round = 0; round < 200; ++round) {
    byte_ranges all;
    std::bitset<64> bits;
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t first = random(64), last = first + random(std::min<std::uint64_t>(8, 64 - first));
      const bool out = random(3) == 0;
      if (out) all.remove(first, last);
      else all.add(first, last);
      for (std::uint64_t b = first; b <= last; ++b) bits.set(b, !out);
      std::uint64_t end = 0;
      bool sorted = true;
      for (const byte_range& each : all) {
        sorted = sorted && each.first <= each.last && (end == 0 || each.first > end);
        end = each.last + 1;
      }
      CHECK(sorted);
    }
    bool same = true;
    for (std::uint64_t first = 0; first < 64; ++first) {
      bool whole = true, any = false;
      for (std::uint64_t last = first; last < 64; ++last) {
        whole = whole && bits[last];
        any = any || bits[last];
        same = same && all.covers(first, last) == whole && (all.overlapping(first, last) != nullptr) == any;
      }
    }
    CHECK(same);
  }
}
