// SPDX-License-Identifier: MIT
// The stock of tables: topped up outside the lock, drawn from under it, and never the owner of anything.
#include <quire/policy/table_cache.hpp>

#include <utility>  // move

#include <quire/check/arena.hpp>

#include "catch.hpp"

namespace {

using namespace quire;

struct fixture {
  check::report findings;
  check::arena<std::uint64_t> tables{16, 64, findings, 4096};
  template <bool Grows = false>
  auto cache() {
    return table_cache<check::arena<std::uint64_t>, array_memory<std::uint64_t>, std::uint64_t, Grows>{
        &tables, tables.memory(), 64};
  }
};

static_assert(root_source<table_cache<check::arena<std::uint64_t>, array_memory<std::uint64_t>>>);
static_assert(!std::is_copy_constructible_v<table_cache<check::arena<std::uint64_t>, array_memory<std::uint64_t>>>);

}  // namespace

TEST_CASE("a topped up cache gives what it has, zeroed, and no more") {
  fixture f;
  auto cache = f.cache();
  CHECK(cache.stock() == 0);
  CHECK(cache.reserve(0));
  CHECK_FALSE(cache.reserve(1));
  REQUIRE(cache.top_up(3));
  CHECK(cache.stock() == 3);
  CHECK(cache.reserve(3));
  CHECK_FALSE(cache.reserve(4));
  auto memory = f.tables.memory();
  for (int i = 0; i < 3; ++i) {
    const auto table = cache.take(table_contents::zeroed);
    REQUIRE(table);
    for (std::size_t word = 0; word < 8; ++word) CHECK(memory.load<std::uint64_t>(*table, word, order::relaxed) == 0);
    cache.give_back(*table);
  }
  CHECK(cache.take(table_contents::any).error().code == errc::no_memory);
  CHECK(f.tables.live_blocks() == 0);
  CHECK(f.findings.empty());
}

TEST_CASE("topping up a full enough cache allocates nothing") {
  fixture f;
  auto cache = f.cache();
  REQUIRE(cache.top_up(2));
  const auto asked = f.tables.allocations_asked();
  CHECK(cache.top_up(2));
  CHECK(cache.top_up(1));
  CHECK(f.tables.allocations_asked() == asked);
}

TEST_CASE("a failed top up keeps what could be had") {
  fixture f;
  auto cache = f.cache();
  f.tables.fail_at(3);
  CHECK_FALSE(cache.top_up(5));
  CHECK(cache.stock() == 2);
  CHECK(cache.top_up(5));
  CHECK(cache.stock() == 5);
  CHECK_FALSE(cache.top_up(17));
  CHECK(cache.stock() == 16);
}

TEST_CASE("drain and destruction return the stock") {
  fixture f;
  {
    auto cache = f.cache();
    REQUIRE(cache.top_up(4));
    cache.drain();
    CHECK(cache.stock() == 0);
    CHECK(f.tables.live_blocks() == 0);
    REQUIRE(cache.top_up(4));
    auto moved = std::move(cache);
    CHECK(moved.stock() == 4);
    CHECK(cache.stock() == 0);
  }
  CHECK(f.tables.live_blocks() == 0);
  CHECK(f.findings.empty());
}

TEST_CASE("a cache that grows tops itself up when asked to reserve") {
  fixture f;
  auto cache = f.cache<true>();
  CHECK(cache.reserve(3));
  CHECK(cache.stock() == 3);
  f.tables.fail_all_from(1);
  CHECK_FALSE(cache.reserve(4));
  CHECK(cache.stock() == 3);
}

TEST_CASE("roots come from the allocator in their own size") {
  fixture f;
  auto cache = f.cache();
  const auto root = cache.take_root(256);
  REQUIRE(root);
  CHECK(root->is_aligned(256));
  CHECK(f.tables.live_bytes() == 256);
  cache.give_back_root(*root, 256);
  CHECK(f.tables.live_blocks() == 0);
  CHECK(f.findings.empty());
}

TEST_CASE("addresses of 32-bit formats keep the stock's list in one word") {
  check::report findings;
  check::arena<std::uint32_t> tables{8, 64, findings, std::uint64_t{1} << 36U};
  table_cache<check::arena<std::uint32_t>, array_memory<std::uint32_t>, std::uint32_t> cache{&tables, tables.memory(),
                                                                                             64};
  REQUIRE(cache.top_up(8));
  for (int i = 0; i < 8; ++i) {
    const auto table = cache.take(table_contents::any);
    REQUIRE(table);
    CHECK(tables.contains(*table));
    cache.give_back(*table);
  }
  CHECK(findings.empty());
}
