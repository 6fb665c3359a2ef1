// SPDX-License-Identifier: MIT
// Each case is a bad program that is reported, and its good twin that is not.
#include <quire/check/stale_translation.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {
// What the translation oracle alone says; the automaton has tests of its own.
template <class F>
check::report& verified(hand<F>& h) {
  h.findings().clear();
  h.machine.stale().verify(h.root);
  return h.findings();
}
}  // namespace

TEST_CASE("an unmapped page needs an invalidation") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  CHECK(h.access(0).ok());
  h.store(h.pages, 0, 0);
  SECTION("missing") { CHECK(verified(h).only(rule::stale_translation)); }
  SECTION("added and not completed") {
    h.add(0, 63, 0);
    CHECK(verified(h).only(rule::stale_translation));
  }
  SECTION("of another page") {
    h.flush(64, 127, 0);
    CHECK(verified(h).only(rule::stale_translation));
  }
  SECTION("with a hint at another level") {
    h.findings().clear();
    h.flush(0, 63, 1);  // told at once, because it says `removed`
    CHECK(h.findings().count(rule::stale_translation) == 1);
  }
  SECTION("done") {
    h.flush(0, 63, 0, true);
    CHECK(verified(h).text() == "");
  }
  SECTION("done without a hint") {
    h.flush(0, 63);
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("what is reported is told once") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  CHECK(h.access(0).ok());
  h.store(h.pages, 0, 0);
  CHECK(verified(h).total() == 1);
  CHECK(verified(h).empty());
}

TEST_CASE("every CPU is asked") {
  hand<direct> h{{.cpus = 3}};
  h.store(h.pages, 0, h.leaf(0x400, 0));
  CHECK(h.access(0, access_type::read, 2).ok());
  h.store(h.pages, 0, 0);
  h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::removed});
  CHECK(verified(h).only(rule::stale_translation));
}

TEST_CASE("other output and memory type are stale") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  CHECK(h.access(0).ok());
  SECTION("output") { h.store(h.pages, 0, h.leaf(0x800, 0)); }
  SECTION("memory type") { h.store(h.pages, 0, h.leaf(0x400, 0, device)); }
  CHECK(verified(h).only(rule::stale_translation));
}

TEST_CASE("more rights are stale, fewer are not") {
  hand<traps> h;
  SECTION("taken away") {
    h.store(h.pages, 0, h.leaf(0x400, 0, dirtied));
    CHECK(h.access(0).ok());
    h.store(h.pages, 0, h.leaf(0x400, 0, read_only));
    SECTION("not invalidated") { CHECK(verified(h).only(rule::stale_translation)); }
    SECTION("invalidated") {
      h.flush(0, 63, 0, true, invalidation_reason::reduced);
      CHECK(verified(h).text() == "");
    }
  }
  SECTION("added") {
    h.store(h.pages, 0, h.leaf(0x400, 0, read_only));
    CHECK(h.access(0).ok());
    h.store(h.pages, 0, h.leaf(0x400, 0, dirtied));
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("a dirty translation of a clean leaf is stale: the next store would not be seen") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, clean));
  CHECK(h.access(0, access_type::write).ok());
  CHECK(direct::is_dirty(h.exchange(h.pages, 0, h.leaf(0x400, 0, clean))));
  SECTION("not invalidated: the store is lost") {
    CHECK(h.access(0, access_type::write).ok());
    CHECK_FALSE(direct::is_dirty(h.peek(h.pages, 0)));
    CHECK(verified(h).only(rule::stale_translation));
  }
  SECTION("invalidated: the store is seen") {
    h.flush(0, 63, 0, true, invalidation_reason::reduced);
    CHECK(h.access(0, access_type::write).ok());
    CHECK(direct::is_dirty(h.peek(h.pages, 0)));
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("dirty in one entry of a group is dirty in the group") {
  hand<breaking> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, clean, 1));
  h.store(h.pages, 1, static_cast<std::uint64_t>(h.leaf(0x400, 0, clean, 1) + breaking::step(0, 1)));
  CHECK(h.access(page, access_type::write).ok());  // dirty in entry 1, cached for both pages
  CHECK(breaking::is_dirty(h.peek(h.pages, 1)));
  CHECK_FALSE(breaking::is_dirty(h.peek(h.pages, 0)));
  CHECK(verified(h).text() == "");
  h.policies.memory.fetch_and<std::uint64_t>(h.pages, 1, breaking::make_clean.keep, order::relaxed);
  CHECK(verified(h).only(rule::stale_translation));
}

TEST_CASE("a block that was split may stay cached as long as it translates alike") {
  hand<traps> h;
  h.store(h.blocks, 1, h.leaf(0x400, 1, dirtied));
  CHECK(h.access(block, access_type::write).ok());
  const table_address parts = h.split_of(0x400, dirtied);
  h.store(h.blocks, 1, traps::table(parts, 1));
  CHECK(verified(h).text() == "");
  h.store(parts, 0, h.leaf(0x400, 0, read_only));
  SECTION("nothing invalidated") { CHECK(verified(h).total() == 2); }  // the block, and its fragment
  SECTION("with a hint that overlooks the block") {
    h.flush(block, block + 63, 0, true, invalidation_reason::reduced);
    CHECK(verified(h).total() == 2);
  }
  SECTION("the page invalidated at any level") {
    h.flush(block, block + 63, -1, true, invalidation_reason::reduced);
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("a fragment of another page of the block is stale, too") {
  hand<traps> h;
  h.store(h.blocks, 1, h.leaf(0x400, 1));
  CHECK(h.access(block + page).ok());
  h.store(h.blocks, 1, 0);
  SECTION("one page invalidated") {
    h.findings().clear();
    h.flush(block, block + page - 1, 1, true, invalidation_reason::reduced);
    CHECK(verified(h).total() == 1);
  }
  SECTION("the block invalidated") {
    h.flush(block, 2 * block - 1, 1, true);
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("pages left in the cache after a collapse are stale when the block says otherwise") {
  hand<traps> h;
  for (std::size_t i = 0; i < 4; ++i) h.store(h.pages, i, h.leaf(0x400 + i * page, 0, read_only));
  CHECK(h.access(page).ok());
  SECTION("same translation: only the table entries are stale") {
    h.store(h.blocks, 0, h.leaf(0x400, 1, read_only));
    CHECK(verified(h).only(rule::stale_walk));
  }
  SECTION("other translation") {
    h.store(h.blocks, 0, h.leaf(0x800, 1, read_only));
    CHECK(verified(h).count(rule::stale_translation) == 1);
  }
  SECTION("invalidated as leaves only: the table entry is still cached") {
    h.store(h.blocks, 0, h.leaf(0x400, 1, read_only));
    h.flush(0, block - 1, -1, true, invalidation_reason::resized);
    CHECK(verified(h).only(rule::stale_walk));
  }
  SECTION("invalidated") {
    h.store(h.blocks, 0, h.leaf(0x400, 1, read_only));
    h.flush(0, block - 1, -1, false, invalidation_reason::resized);
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("cached \"not mapped\" is stale once something is mapped") {
  hand<caching> h;
  CHECK(h.access(0).why == fault::not_mapped);
  h.store(h.pages, 0, h.leaf(0x400, 0));
  SECTION("not invalidated") { CHECK(verified(h).only(rule::stale_translation)); }
  SECTION("invalidated") {
    h.flush(0, 63, 0, true, invalidation_reason::installed);
    CHECK(verified(h).text() == "");
  }
  SECTION("still nothing there") {
    h.store(h.pages, 0, 0);
    CHECK(verified(h).text() == "");
  }
}

TEST_CASE("a walk overtaken by an invalidation is no false alarm") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.begin(0);
  h.step(3);
  h.store(h.pages, 0, 0);
  SECTION("it is discarded") {
    h.flush(0, 63, 0, true);
    CHECK(h.step());
    CHECK(verified(h).text() == "");
    CHECK(h.access(0).why == fault::not_mapped);
  }
  SECTION("without the invalidation it brings the old leaf into the cache") {
    CHECK(h.step());
    CHECK(verified(h).only(rule::stale_translation));
  }
  SECTION("without the invalidation it counts while it is in flight") {
    CHECK(verified(h).only(rule::stale_translation));
  }
}

TEST_CASE("nothing leads into a freed table") {
  hand<direct> h;
  for (std::size_t i = 0; i < 4; ++i) h.store(h.pages, i, h.leaf(0x400 + i * page, 0));
  const bool cached = GENERATE(true, false);
  if (cached) {
    CHECK(h.access(0).ok());
  } else {  // a walk in flight
    h.begin(0);
    h.step(2);
    h.machine.mmu().cpus()[0].tables.clear();
  }
  h.store(h.blocks, 0, 0);
  SECTION("invalidated") {
    h.flush(0, block - 1);
    h.retire(h.pages);
    CHECK(h.findings().text() == "");
  }
  SECTION("invalidated as leaves only") {
    h.flush(0, block - 1, -1, true, invalidation_reason::reduced);
    h.findings().clear();
    h.retire(h.pages);
    CHECK(h.findings().count(rule::stale_walk) != 0);
  }
}

TEST_CASE("output memory that was reported as removed is not reached any more") {
  hand<direct> h;
  h.store(h.blocks, 1, h.leaf(0x400, 1));
  CHECK(h.access(block + page).ok());
  h.store(h.blocks, 1, 0);
  SECTION("reached through a fragment") {
    h.flush(block + page, 2 * block - 1, 0, true, invalidation_reason::removed);
    CHECK(h.findings().count(rule::stale_translation) != 0);
  }
  SECTION("what is cached as not mapped, or with more rights, may wait") {
    h.store(h.blocks, 1, h.leaf(0x400, 1, read_only));
    h.flush(block, 2 * block - 1, 0, true, invalidation_reason::removed);
    CHECK(h.findings().count(rule::stale_translation) == 0);
    CHECK(verified(h).only(rule::stale_translation));
  }
  SECTION("not reached") {
    h.flush(block, 2 * block - 1, 1, true, invalidation_reason::removed);
    CHECK(h.findings().text() == "");
  }
}
