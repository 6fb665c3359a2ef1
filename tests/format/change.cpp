// SPDX-License-Identifier: MIT
#include <quire/format/change.hpp>

#include <cstdint>  // uint32_t, uint64_t

#include "catch.hpp"

using quire::entry_change;
using quire::entry_test;

TEST_CASE("a question compares the bits of its mask and no others") {
  constexpr entry_test<std::uint64_t> valid_and_not_read_only{.mask = 0x81, .value = 0x01};
  CHECK(valid_and_not_read_only(0x01));
  CHECK(valid_and_not_read_only(0xffff'ffff'ffff'ff7f));
  CHECK_FALSE(valid_and_not_read_only(0x81));
  CHECK_FALSE(valid_and_not_read_only(0x00));

  constexpr entry_test<std::uint64_t> never{.mask = 0, .value = 1};
  CHECK_FALSE(never(0));
  CHECK_FALSE(never(~std::uint64_t{0}));
}

TEST_CASE("a change touches what answers its question, and only what it was asked to") {
  // Clears bit 2 and sets bit 7 (a write permission that goes, an inverted one that comes).
  constexpr entry_change<std::uint32_t> change{.applies_to = {.mask = 1, .value = 1}, .keep = ~4U, .set = 0x80};
  CHECK(change(0x5) == 0x81);
  CHECK(change(0xffff'ff7f) == 0xffff'fffb);
  CHECK(change(0x4) == 0x4);
  CHECK(change(0) == 0);
  CHECK(change(change(0x5)) == change(0x5));
  static_assert(change(0x5) == 0x81);
}
