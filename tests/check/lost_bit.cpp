// SPDX-License-Identifier: MIT
#include <quire/check/lost_bit.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

TEST_CASE("a plain store does not overwrite a bit that its author never saw") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
  const auto seen = h.load(h.pages, 0);
  SECTION("dirty, set since") {
    CHECK(h.access(0, access_type::write).ok());
    h.store(h.pages, 0, direct::write_protect(seen));
    CHECK(h.findings().only(rule::lost_bit));
  }
  SECTION("accessed, set since") {
    CHECK(h.access(0).ok());
    h.store(h.pages, 0, direct::write_protect(seen));
    CHECK(h.findings().only(rule::lost_bit));
  }
  SECTION("nothing set since") {
    h.store(h.pages, 0, direct::write_protect(seen));
    CHECK(h.findings().text() == "");
  }
  SECTION("set before it was read") {
    CHECK(h.access(0, access_type::write).ok());
    h.store(h.pages, 0, direct::write_protect(h.load(h.pages, 0)));
    CHECK(h.findings().text() == "");
  }
  SECTION("by an exchange, which gives what it replaced") {
    CHECK(h.access(0, access_type::write).ok());
    CHECK(direct::is_dirty(h.exchange(h.pages, 0, 0)));
    CHECK(h.findings().text() == "");
  }
  SECTION("after a compare-exchange that failed, which gives it, too") {
    auto expected = seen;
    CHECK(h.access(0, access_type::write).ok());
    CHECK_FALSE(h.policies.memory.compare_exchange<std::uint64_t>(h.pages, 0, expected, 0, order::relaxed));
    h.store(h.pages, 0, direct::write_protect(expected));
    CHECK(h.findings().text() == "");
  }
  SECTION("while discarding") {
    CHECK(h.access(0, access_type::write).ok());
    h.machine.lost().discarding(true);
    h.store(h.pages, 0, 0);
    CHECK(h.findings().text() == "");
  }
}

TEST_CASE("a table that was filled out of reach was seen by its author") {
  hand<direct> h;
  const table_address parts = h.split_of(0x400, dirtied);
  h.store(h.blocks, 1, direct::table(parts, 1));
  h.store(parts, 0, 0);
  CHECK(h.findings().text() == "");
}
