// SPDX-License-Identifier: MIT
#include <quire/check/retired_table.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {
// A table that was published, taken out again and is about to be retired.
table_address detached(hand<direct>& h) {
  const table_address gone = h.split_of(0x400, clean);
  h.store(h.blocks, 1, direct::table(gone, 1));
  h.store(h.blocks, 1, 0);
  h.flush(block, 2 * block - 1);
  REQUIRE(h.findings().text() == "");
  return gone;
}
}  // namespace

TEST_CASE("a table that was given back is not touched") {
  hand<direct> h;
  const table_address gone = detached(h);
  SECTION("stored before it is given back") {
    h.store(gone, 0, 0);
    h.retire(gone);
    CHECK(h.ended().text() == "");
  }
  SECTION("stored afterwards") {
    h.retire(gone);
    h.store(gone, 0, 0);
    CHECK(h.findings().only(rule::retired_access));
  }
  SECTION("loaded afterwards") {
    h.retire(gone);
    CHECK(h.load(gone, 0) != 0);
    CHECK(h.findings().only(rule::retired_access));
  }
  SECTION("compare-exchange afterwards") {
    h.retire(gone);
    h.exchange(gone, 0, 0);
    CHECK(h.findings().only(rule::retired_access));
  }
  SECTION("allocated again: it is another table") {
    h.retire(gone);
    CHECK(h.table() == gone);
    h.store(gone, 0, 0);
    CHECK(h.findings().text() == "");
  }
  SECTION("given back twice") {
    h.retire(gone);
    h.policies.tables.give_back(gone);
    CHECK(h.findings().only(rule::double_free));
  }
  SECTION("retired twice") {
    h.retire(gone);
    h.retire(gone);
    CHECK(h.findings().only(rule::double_free));
  }
}

TEST_CASE("a table that waits for a grace period may be read and not written") {
  hand<direct> h{{.defer_reclaim = true}};
  const table_address gone = detached(h);
  h.retire(gone);
  CHECK(h.machine.waiting() == 1);
  CHECK(h.ended().text() == "");
  SECTION("read") {
    CHECK(h.load(gone, 0) != 0);
    h.machine.collect();
    CHECK(h.ended().text() == "");
  }
  SECTION("written") {
    h.store(gone, 0, 0);
    CHECK(h.findings().only(rule::retired_access));
  }
  SECTION("read after it was collected") {
    h.machine.collect();
    CHECK(h.load(gone, 0) != 0);
    CHECK(h.findings().only(rule::retired_access));
  }
}

TEST_CASE("a table is not given back while a section that saw it is open") {
  hand<direct> h{{.defer_reclaim = true}};
  const table_address gone = detached(h);
  h.machine.retired().enter(7);
  SECTION("saw it") {
    CHECK(h.load(gone, 0) != 0);
    h.machine.retired().run_as(8);
    h.retire(gone);
    h.machine.collect();
    CHECK(h.findings().only(rule::retired_in_use));
  }
  SECTION("saw it and has left") {
    CHECK(h.load(gone, 0) != 0);
    h.retire(gone);
    h.machine.retired().leave(7);
    h.machine.collect();
    CHECK(h.findings().text() == "");
  }
  SECTION("did not see it") {
    CHECK(h.load(h.blocks, 0) != 0);
    h.retire(gone);
    h.machine.collect();
    CHECK(h.findings().text() == "");
  }
  SECTION("somebody else saw it") {
    h.machine.retired().run_as(8);
    CHECK(h.load(gone, 0) != 0);
    h.retire(gone);
    h.machine.collect();
    CHECK(h.findings().text() == "");
  }
  SECTION("saw an earlier table at the same address") {
    CHECK(h.load(gone, 0) != 0);
    h.machine.retired().leave(7);
    h.retire(gone);
    h.machine.collect();
    h.machine.retired().enter(7);
    CHECK(h.table() == gone);
    h.policies.tables.give_back(gone);
    CHECK(h.findings().text() == "");
  }
}
