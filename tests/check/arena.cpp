// SPDX-License-Identifier: MIT
#include <quire/check/arena.hpp>

#include "catch.hpp"

namespace check = quire::check;
using check::block_state;
using check::rule;
using quire::order;
using quire::table_address;

namespace {
struct rig {
  check::report findings;
  check::arena<std::uint64_t> tables{16, 64, findings, 0x1000};
};
}  // namespace

TEST_CASE("blocks are aligned to their size, zeroed and in use") {
  rig r;
  const table_address one = *r.tables.allocate(64), four = *r.tables.allocate(256);
  CHECK(one.is_aligned(64));
  CHECK(four.is_aligned(256));
  for (std::size_t i = 0; i < 32; ++i) CHECK(r.tables.memory().load<std::uint64_t>(four, i, order::relaxed) == 0);
  CHECK(r.tables.state_of(one) == block_state::live);
  CHECK(r.tables.state_of(four + 192) == block_state::live);
  CHECK(r.tables.live_blocks() == 2);
  CHECK(r.tables.live_bytes() == 320);
  CHECK(r.tables.ever_allocated() == 2);
  CHECK(r.findings.empty());
}

TEST_CASE("the block freed last comes back first, as another generation") {
  rig r;
  const table_address a = *r.tables.allocate(64), b = *r.tables.allocate(64);
  const auto before = r.tables.generation_of(a);
  r.tables.free(b, 64);
  r.tables.free(a, 64);
  CHECK(r.tables.state_of(a) == block_state::free);
  CHECK(*r.tables.allocate(64) == a);
  CHECK(r.tables.generation_of(a) == before + 1);
  CHECK(*r.tables.allocate(64) == b);
  CHECK(r.findings.empty());
}

TEST_CASE("a freed block is poison, and writing to it is told") {
  rig r;
  const table_address a = *r.tables.allocate(64);
  r.tables.free(a, 64);
  CHECK(r.tables.memory().load<std::uint64_t>(a, 3, order::relaxed) == check::arena<std::uint64_t>::poison);
  SECTION("written") {
    r.tables.memory().store<std::uint64_t>(a, 3, 1, order::relaxed);
    CHECK(r.tables.allocate(64).has_value());
    CHECK(r.findings.only(rule::written_when_free));
  }
  SECTION("not written") {
    CHECK(r.tables.allocate(64).has_value());
    CHECK(r.findings.empty());
  }
}

TEST_CASE("memory is bounded") {
  rig r;
  for (int i = 0; i < 12; ++i) CHECK(r.tables.allocate(64).has_value());
  CHECK(r.tables.allocate(256).has_value());
  CHECK_FALSE(r.tables.allocate(256).has_value());
  CHECK(r.tables.allocate(64).error().code == quire::errc::no_memory);
  CHECK(r.findings.empty());
}

TEST_CASE("wrong frees are told and change nothing") {
  rig r;
  const table_address four = *r.tables.allocate(256);
  SECTION("twice") {
    r.tables.free(four, 256);
    r.tables.free(four, 256);
    CHECK(r.findings.only(rule::double_free));
    CHECK(r.tables.live_blocks() == 0);
    CHECK(*r.tables.allocate(256) == four);
    CHECK_FALSE(*r.tables.allocate(256) == four);
  }
  SECTION("in another size") {
    r.tables.free(four, 64);
    CHECK(r.findings.only(rule::wrong_size));
    CHECK(r.tables.live_blocks() == 1);
  }
  SECTION("not at its start") {
    r.tables.free(four + 64, 64);
    CHECK(r.findings.only(rule::wrong_size));
  }
  SECTION("never allocated") {
    r.tables.free(table_address{0x1000}, 64);
    CHECK(r.findings.only(rule::wrong_size));
  }
  SECTION("outside") {
    r.tables.free(table_address{0x40}, 64);
    CHECK(r.findings.only(rule::wrong_size));
  }
  SECTION("retired twice") {
    r.tables.retire(four);
    r.tables.retire(four);
    CHECK(r.findings.only(rule::double_free));
  }
}

TEST_CASE("allocations fail when they are told to") {
  rig r;
  SECTION("the second one") {
    r.tables.fail_at(2);
    CHECK(r.tables.allocate(64).has_value());
    CHECK_FALSE(r.tables.allocate(64).has_value());
    CHECK(r.tables.allocate(64).has_value());
  }
  SECTION("from the second one on") {
    r.tables.fail_all_from(2);
    CHECK(r.tables.allocate(64).has_value());
    CHECK_FALSE(r.tables.allocate(64).has_value());
    CHECK_FALSE(r.tables.allocate(64).has_value());
    r.tables.fail_never();
    CHECK(r.tables.allocate(64).has_value());
  }
  CHECK(r.findings.empty());
}

TEST_CASE("a report counts all and keeps the first") {
  check::report findings{2};
  for (int i = 0; i < 3; ++i) findings.add(rule::census, std::to_string(i));
  CHECK(findings.total() == 3);
  CHECK(findings.text() == "census: 0\ncensus: 1\n1 more\n");
  findings.clear();
  CHECK(findings.empty());
}
