// SPDX-License-Identifier: MIT
#include <quire/geometry.hpp>

#include "catch.hpp"

using namespace quire;

namespace {
constexpr geometry<3> wide{.page_bits = 12, .index_bits = {9, 9, 11}};    // RISC-V Sv39x4
constexpr geometry<3> uneven{.page_bits = 10, .index_bits = {8, 10, 7}};  // no table like another
constexpr geometry<4> whole{.page_bits = 16, .index_bits = {13, 13, 13, 9}};
}  // namespace

static_assert(wide.shift(0) == 12 && wide.shift(1) == 21 && wide.shift(2) == 30 && wide.input_bits() == 41);
static_assert(wide.entries(0) == 512 && wide.entries(2) == 2048 && wide.most_entries_below_root() == 512);
static_assert(uneven.shift(2) == 28 && uneven.input_bits() == 35 && uneven.most_entries_below_root() == 1024);
static_assert(uneven.leaf_bytes(1) == 0x4'0000 && uneven.page_bytes() == 1024);
static_assert(wide.table_last_offset(0) == 0x1f'ffff && wide.table_last_offset(2) == 0x1ff'ffff'ffff);
static_assert(whole.input_bits() == 64 && whole.table_last_offset(3) == ~std::uint64_t{0});

TEST_CASE("the indices and the offset put the address together again") {
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0x1'2345'6789}, std::uint64_t{0x7'ffff'ffff}, std::uint64_t{0x5'5555'5555}}) {
    std::uint64_t sum = address & (uneven.page_bytes() - 1);
    for (int level = 0; level < 3; ++level) sum += std::uint64_t{uneven.index(address, level)} << uneven.shift(level);
    CHECK(sum == address);
  }
}

TEST_CASE("bits above the geometry do not reach an index") {
  CHECK(wide.index(~std::uint64_t{0}, 2) == 2047);
  CHECK(wide.index(std::uint64_t{1} << 41, 2) == 0);
}
