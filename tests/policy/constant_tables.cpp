// SPDX-License-Identifier: MIT
#include <quire/policy/constant_tables.hpp>

#include <cstdint>      // uint32_t
#include <type_traits>  // is_trivially_copyable_v

#include "catch.hpp"

namespace {

using namespace quire;

// A root that is wider than a table, and one that is narrower.
using wide = table_block<std::uint32_t, 0x1000, 0x100, 0x40, 3>;
using narrow = table_block<std::uint32_t, 0x1000, 0x40, 0x100, 2>;

static_assert(alignof(wide) == 0x100 && sizeof(wide) == 0x200 && wide::table(0) == table_address{0x1100});
static_assert(alignof(narrow) == 0x100 && sizeof(narrow) == 0x300 && narrow::table(1) == table_address{0x1200});
static_assert(std::is_trivially_copyable_v<wide> && std::is_standard_layout_v<wide>);
static_assert(sizeof(table_block<std::uint32_t, 0x1000, 0x40, 0x40, 0>) == 0x40);

// Gives the number of the first check that failed, 0 for none.
constexpr int take_and_give_back() {
  wide block;
  block_tables<wide> tables{block};
  auto memory = block.memory();
  if (!tables.reserve(3) || tables.reserve(4) || *tables.take_root(0x100) != wide::root()) return 1;
  if (*tables.take(table_contents::zeroed) != wide::table(0)) return 2;
  if (*tables.take(table_contents::any) != wide::table(1) || tables.left() != 1) return 3;
  memory.store<std::uint32_t>(wide::table(0), 15, 7, order::relaxed);
  tables.give_back(wide::table(0));
  if (*tables.take(table_contents::zeroed) != wide::table(0)) return 4;
  if (memory.load<std::uint32_t>(wide::table(0), 15, order::relaxed) != 0) return 5;
  if (*tables.take(table_contents::zeroed) != wide::table(2)) return 6;
  if (tables.take(table_contents::any).error().code != errc::no_memory || tables.reserve(1)) return 7;
  memory.store<std::uint32_t>(wide::root(), 63, 7, order::relaxed);
  tables.give_back_root(wide::root(), 0x100);
  if (*tables.take_root(0x100) != wide::root()) return 8;
  return memory.load<std::uint32_t>(wide::root(), 63, order::relaxed) == 0 ? 0 : 9;
}
static_assert(take_and_give_back() == 0);

}  // namespace

TEST_CASE("a block hands out its tables in order, zeroed where that is asked for") { CHECK(take_and_give_back() == 0); }
