// SPDX-License-Identifier: MIT
#include <quire/check/software_mmu.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

TEST_CASE("an access walks, and is answered from the cache afterwards") {
  hand<direct> h;
  h.store(h.pages, 1, h.leaf(0x400, 0));
  const auto first = h.access(page + 5);
  CHECK(first.ok());
  CHECK(first.output == output_address{0x405});
  CHECK_FALSE(first.cached);
  h.store(h.pages, 1, 0);
  const auto second = h.access(page + 6);
  CHECK(second.ok());
  CHECK(second.cached);
  CHECK_FALSE(h.access(page, access_type::read, 1).ok());  // another CPU never saw it
  h.flush(page, page + 63, 0);
  CHECK(h.access(page).why == fault::not_mapped);
}

TEST_CASE("a leaf without the right faults, and too few rights are believed until they are invalidated") {
  hand<traps> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, read_only));
  CHECK(h.access(0, access_type::write).why == fault::permission);
  CHECK(h.access(0, access_type::execute).why == fault::permission);
  h.store(h.pages, 0, h.leaf(0x400, 0, dirtied));
  const auto again = h.access(0, access_type::write);
  CHECK(again.why == fault::permission);
  CHECK(again.cached);
  SECTION("locally") {
    CHECK(h.access(0, access_type::write, 1).ok());
    h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::relaxed});
    CHECK(h.access(0, access_type::write).ok());
  }
  SECTION("everywhere") {
    h.flush(0, 63, 0, true, invalidation_reason::relaxed);
    CHECK(h.access(0, access_type::write).ok());
  }
}

TEST_CASE("hardware that sets accessed and dirty does so in the table") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
  CHECK(h.access(0).ok());
  CHECK(direct::is_accessed(h.peek(h.pages, 0)));
  CHECK_FALSE(direct::is_dirty(h.peek(h.pages, 0)));
  CHECK(h.access(0, access_type::write).ok());  // the cached translation is clean: the table is told
  CHECK(direct::is_dirty(h.peek(h.pages, 0)));
}

TEST_CASE("a store through a dirty translation does not touch the table") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, dirtied));
  CHECK(h.access(0, access_type::write).ok());
  h.store(h.pages, 0, h.leaf(0x400, 0, clean));
  CHECK(h.access(0, access_type::write).ok());
  CHECK_FALSE(direct::is_dirty(h.peek(h.pages, 0)));
}

TEST_CASE("hardware that does not set the bits faults, and such faults are not cached") {
  hand<traps> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
  CHECK(h.access(0).why == fault::accessed_missing);
  h.store(h.pages, 0, h.leaf(0x400, 0, clean));
  CHECK(h.access(0, access_type::write).why == fault::dirty_missing);
}

TEST_CASE("without a dirty bit there is no dirty fault") {
  hand<no_dirty> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, clean));
  CHECK(h.access(0, access_type::write).ok());
}

TEST_CASE("setting a bit reads the entry again when it changed") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
  h.begin(0);
  h.step(3);  // the leaf is read, and not yet obeyed
  h.store(h.pages, 0, h.leaf(0x800, 0, not_accessed));
  CHECK_FALSE(h.step());  // the compare-exchange fails
  CHECK_FALSE(h.step());  // read again
  CHECK(h.step());
  CHECK(h.access(0).output == output_address{0x800});
  CHECK(direct::is_accessed(h.peek(h.pages, 0)));
}

TEST_CASE("a walk is stepped entry by entry") {
  hand<traps> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.begin(0);
  CHECK_FALSE(h.step(3));
  CHECK(h.machine.mmu().walking(0));
  CHECK(h.step());
  CHECK_FALSE(h.machine.mmu().walking(0));
}

TEST_CASE("a completed invalidation discards the walks it covers") {
  hand<traps> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.begin(0);
  h.step(3);
  SECTION("covered") {
    h.flush(0, 63, 0);
    CHECK_FALSE(h.machine.mmu().walking(0));
  }
  SECTION("another page") {
    h.flush(page, 2 * page - 1, 0);
    CHECK(h.machine.mmu().walking(0));
  }
  SECTION("another level") {
    h.flush(0, 63, 1);
    CHECK(h.machine.mmu().walking(0));
  }
  SECTION("added, not complete") {
    h.add(0, 63, 0);
    CHECK(h.machine.mmu().walking(0));
  }
}

TEST_CASE("a walk that has read an entry is covered by what the entry translates") {
  hand<caching> h;
  h.begin(block + 3 * page);
  h.step(2);  // read: nothing at level 1
  h.store(h.blocks, 1, caching::table(h.split_of(0x400, clean), 1));
  h.flush(block, block + page - 1, 0, false, invalidation_reason::installed);
  CHECK_FALSE(h.machine.mmu().walking(0));
}

TEST_CASE("a block is cached whole and as a fragment") {
  hand<traps> h;
  h.store(h.blocks, 1, h.leaf(0x400, 1));
  CHECK(h.access(block + page).output == output_address{0x440});
  auto& cached = h.machine.mmu().cpus()[0].translations;
  REQUIRE(cached.size() == 2);
  CHECK(cached[0].last - cached[0].first == block - 1);
  CHECK(cached[1].last - cached[1].first == page - 1);
  SECTION("one page of it drops the block, and that fragment") {
    h.flush(block + page, block + 2 * page - 1, 1, true);
    CHECK(cached.empty());
  }
  SECTION("another page drops the block, and not the fragment") {
    h.flush(block, block + page - 1, 1, true);
    CHECK(cached.size() == 1);
  }
  SECTION("a hint at pages drops neither") {
    h.flush(block, 2 * block - 1, 0, true);
    CHECK(cached.size() == 2);
  }
}

TEST_CASE("table entries stay cached when only leaves are invalidated") {
  hand<traps> h;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  CHECK(h.access(0).ok());
  auto& cpu = h.machine.mmu().cpus()[0];
  CHECK(cpu.tables.size() == 2);
  h.flush(0, 4095, -1, true);
  CHECK(cpu.tables.size() == 2);
  CHECK(cpu.translations.empty());
  h.flush(0, 63, 0, false);
  CHECK(cpu.tables.empty());
}

TEST_CASE("\"not mapped\" is cached where the format says so") {
  hand<caching> h;
  CHECK(h.access(0).why == fault::not_mapped);
  CHECK(h.access(block).why == fault::not_mapped);  // an absent entry of level 1
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.store(h.blocks, 1, caching::table(h.split_of(0x400, clean), 1));
  CHECK(h.access(0).cached);
  h.flush(0, 63, 0, true, invalidation_reason::installed);
  CHECK(h.access(0).ok());
  h.flush(block, 2 * block - 1, 0, true, invalidation_reason::installed);
  CHECK(h.access(block).why == fault::not_mapped);  // the level 1 entry is no leaf of level 0
  h.flush(block, 2 * block - 1, 0, false, invalidation_reason::installed);
  CHECK(h.access(block).ok());

  hand<traps> other;
  CHECK(other.access(0).why == fault::not_mapped);
  other.store(other.pages, 0, other.leaf(0x400, 0));
  CHECK(other.access(0).ok());
}

TEST_CASE("both halves of a sign-extended space are walked") {
  hand<signed_halves> h;
  const table_address high = h.table();
  h.store(high, 3, h.leaf(0x100, 1));
  h.store(h.root, 3, signed_halves::table(high, 2));
  CHECK(h.access(~std::uint64_t{0}).output == output_address{0x1ff});
  h.store(high, 3, 0);
  CHECK(h.access(~std::uint64_t{0}).cached);
  h.flush(~std::uint64_t{0} - 255, ~std::uint64_t{0});
  CHECK(h.access(~std::uint64_t{0}).why == fault::not_mapped);
  CHECK(h.ended().text() == "");
}
