// SPDX-License-Identifier: MIT
// Litmus programs for the automaton: what it must report, and next to it what it must accept.
#include <quire/check/break_before_make.hpp>

#include <iterator>  // size
#include <set>       // set
#include <string>    // string

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {

template <class F>
struct program {
  const char* name;
  void (*run)(hand<F>&);
};

// The block at entry 1 and the page at entry 0 are mapped before a program starts.
template <class F>
void prepare(hand<F>& h) {
  h.store(h.blocks, 1, h.leaf(0x400, 1));
  h.store(h.pages, 0, h.leaf(0x1000, 0));
  h.flush(0, 2 * block - 1, -1, false, invalidation_reason::installed);
  REQUIRE(h.ended().text() == "");
}

template <class F, std::size_t Count>
void expect(const program<F> (&programs)[Count], rule broken, check::machine_options options = {}) {
  std::set<std::string> names;
  for (const program<F>& one : programs) {
    INFO(one.name);
    CHECK(names.insert(one.name).second);
    hand<F> h{options};
    prepare(h);
    one.run(h);
    h.machine.automaton().verify_nothing_owed();
    INFO(h.findings().text());
    CHECK(h.findings().only(broken));
  }
}
template <class F, std::size_t Count>
void accept(const program<F> (&programs)[Count], check::machine_options options = {}) {
  std::set<std::string> names;
  for (const program<F>& one : programs) {
    INFO(one.name);
    CHECK(names.insert(one.name).second);
    hand<F> h{options};
    prepare(h);
    one.run(h);
    h.machine.automaton().verify_nothing_owed();
    CHECK(h.findings().text() == "");
  }
}

using b = hand<breaking>;
using d = hand<direct>;
using c = hand<caching>;

// A group of two pages at entries 2 and 3, mapped from absent.
void map_group(b& h, std::uint64_t output = 0x2000) {
  const auto first = h.leaf(output, 0, clean, 1);
  h.store(h.pages, 2, first);
  h.store(h.pages, 3, static_cast<std::uint64_t>(first + breaking::step(0, 1)));
}
void lock_group(b& h) {
  h.store(h.pages, 2, breaking::locked);
  h.store(h.pages, 3, breaking::locked);
}

// Break, invalidate, make.
void replace(b& h, table_address t, std::size_t i, std::uint64_t entry, std::uint64_t first, std::uint64_t last) {
  h.store(t, i, breaking::locked);
  h.flush(first, last);
  h.store(t, i, entry);
}

}  // namespace

TEST_CASE("break-before-make: bad programs are reported") {
  const program<breaking> bad[] = {
      {"another output, written over",
       [](b& h) {
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"another memory type, written over",
       [](b& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, device));
         h.flush(0, page - 1);
       }},
      {"a table over a block",
       [](b& h) {
         h.store(h.blocks, 1, breaking::table(h.split_of(0x400, clean), 1));
         h.flush(block, 2 * block - 1);
       }},
      {"a block over a table",
       [](b& h) {
         h.store(h.blocks, 0, h.leaf(0x800, 1));
         h.flush(0, block - 1);
       }},
      {"a table over a table",
       [](b& h) {
         h.store(h.blocks, 0, breaking::table(h.table(), 1));
         h.flush(0, block - 1);
       }},
      {"a page becomes part of a group",
       [](b& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, clean, 1));
         h.flush(0, 2 * page - 1);
       }},
      {"a block becomes part of a group",
       [](b& h) {
         replace(h, h.blocks, 1, h.leaf(0x400, 1), block, 2 * block - 1);
         h.store(h.blocks, 1, static_cast<std::uint64_t>(h.leaf(0x400, 1, clean, 1) + breaking::step(1, 1)));
         h.flush(0, 2 * block - 1);
       }},
      {"made without an invalidation",
       [](b& h) {
         h.store(h.pages, 0, 0);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"made again as it was, without an invalidation",
       [](b& h) {
         h.store(h.pages, 0, 0);
         h.store(h.pages, 0, h.leaf(0x1000, 0));
         h.flush(0, page - 1);
       }},
      {"made before the invalidation completed",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.add(0, page - 1);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.complete();
       }},
      {"a lock that ends with another output",
       [](b& h) {
         h.store(h.pages, 0, breaking::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"a lock that ends with another memory type",
       [](b& h) {
         h.store(h.pages, 0, breaking::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x1000, 0, device));
         h.flush(0, page - 1);
       }},
      {"invalidated before it was broken",
       [](b& h) {
         h.flush(0, page - 1);
         h.store(h.pages, 0, breaking::locked);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"added before it was broken, completed after",
       [](b& h) {
         h.add(0, page - 1);
         h.store(h.pages, 0, breaking::locked);
         h.complete();
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"invalidated another page",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.flush(page, 2 * page - 1);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"invalidated one page of a block",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.flush(block, block + page - 1);
         h.store(h.blocks, 1, h.leaf(0x800, 1));
         h.flush(block, 2 * block - 1);
       }},
      {"invalidated with a hint at another level",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.flush(block, 2 * block - 1, 0, false, invalidation_reason::reduced);
         h.store(h.blocks, 1, h.leaf(0x800, 1));
         h.flush(block, 2 * block - 1);
       }},
      {"a table was broken and only leaves invalidated",
       [](b& h) {
         h.store(h.blocks, 0, breaking::locked);
         h.flush(0, block - 1, -1, true);
         h.store(h.blocks, 0, h.leaf(0x800, 1));
         h.flush(0, block - 1);
       }},
      {"broken and made through a marker",
       [](b& h) {
         h.store(h.pages, 0, breaking::marker(5));
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"one of two broken entries made too early",
       [](b& h) {
         h.store(h.pages, 1, h.leaf(0x1040, 0));
         h.store(h.pages, 0, breaking::locked);
         h.store(h.pages, 1, breaking::locked);
         h.flush(0, page - 1);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.store(h.pages, 1, h.leaf(0x2040, 0));
         h.flush(0, 2 * page - 1);
       }},
      {"a group was broken entry by entry and made before the last one",
       [](b& h) {
         map_group(h);
         h.store(h.pages, 2, 0);
         h.flush(2 * page, 4 * page - 1);
         h.store(h.pages, 3, 0);
         h.store(h.pages, 2, h.leaf(0x3000, 0));
         h.flush(2 * page, 4 * page - 1);
       }},
      {"a group becomes single pages, written over",
       [](b& h) {
         map_group(h);
         h.store(h.pages, 2, h.leaf(0x2000, 0));
         h.store(h.pages, 3, h.leaf(0x2040, 0));
         h.flush(2 * page, 4 * page - 1);
       }},
      {"the output of a group, written over",
       [](b& h) {
         map_group(h);
         map_group(h, 0x3000);
         h.flush(2 * page, 4 * page - 1);
       }},
      {"half of a group invalidated, and the other half made",
       [](b& h) {
         map_group(h);
         lock_group(h);
         h.flush(2 * page, 3 * page - 1);
         h.store(h.pages, 3, h.leaf(0x3040, 0));
         h.flush(3 * page, 4 * page - 1);
       }},
      {"half of a block invalidated",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.flush(block, block + 2 * page - 1, 1);
         h.store(h.blocks, 1, h.leaf(0x800, 1));
         h.flush(block, 2 * block - 1);
       }},
      {"a block invalidated page by page, but one",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         for (std::uint64_t i : {0U, 1U, 3U})
           h.add(block + i * page, block + i * page + page - 1, 1, true, invalidation_reason::reduced);
         h.complete();
         h.store(h.blocks, 1, h.leaf(0x800, 1));
         h.flush(block, 2 * block - 1);
       }},
      {"only the calling CPU was told",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::removed});
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"nothing was added, and that completed",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.complete();
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"the second time round without an invalidation",
       [](b& h) {
         replace(h, h.pages, 0, h.leaf(0x2000, 0), 0, page - 1);
         h.store(h.pages, 0, breaking::locked);
         h.store(h.pages, 0, h.leaf(0x3000, 0));
         h.flush(0, page - 1);
       }},
      {"one table through locked to another, without an invalidation",
       [](b& h) {
         h.store(h.blocks, 0, breaking::locked);
         h.store(h.blocks, 0, breaking::table(h.table(), 1));
         h.flush(0, block - 1);
       }},
      {"a table through absent to a block, and only leaves invalidated",
       [](b& h) {
         h.store(h.blocks, 0, 0);
         h.flush(0, block - 1, -1, true);
         h.store(h.blocks, 0, h.leaf(0x800, 1));
         h.flush(0, block - 1);
       }},
      {"a table at the root, written over",
       [](b& h) {
         h.store(h.root, 0, breaking::table(h.table(), 2));
         h.flush(0, region - 1);
       }},
      {"written over by an exchange, which does not wait for caches",
       [](b& h) {
         h.exchange(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1);
       }},
      {"another output with fewer rights",
       [](b& h) {
         h.store(h.pages, 0, h.leaf(0x2000, 0, read_only));
         h.flush(0, page - 1);
       }},
      {"a block to another block with a table in between",
       [](b& h) {
         replace(h, h.blocks, 1, breaking::table(h.split_of(0x400, clean), 1), block, 2 * block - 1);
         h.store(h.blocks, 1, h.leaf(0x400, 1));
         h.flush(block, 2 * block - 1);
       }},
  };
  CHECK(std::size(bad) >= 30);
  expect(bad, rule::broken_before_made);
}

TEST_CASE("break-before-make: good programs are accepted") {
  const program<breaking> good[] = {
      {"a lock that is taken back",
       [](b& h) {
         h.store(h.pages, 0, breaking::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x1000, 0));
       }},
      {"a lock of a table that is taken back",
       [](b& h) {
         const std::uint64_t table = h.machine.memory().load<std::uint64_t>(h.blocks, 0, order::relaxed);
         h.store(h.blocks, 0, breaking::lock(table));
         h.store(h.blocks, 0, table);
       }},
      {"another output through locked", [](b& h) { replace(h, h.pages, 0, h.leaf(0x2000, 0), 0, page - 1); }},
      {"another memory type through locked",
       [](b& h) { replace(h, h.pages, 0, h.leaf(0x1000, 0, device), 0, page - 1); }},
      {"through absent",
       [](b& h) {
         h.store(h.pages, 0, 0);
         h.flush(0, page - 1, 0, true);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"through a marker",
       [](b& h) {
         h.store(h.pages, 0, breaking::marker(5));
         h.flush(0, page - 1, 0, true);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"a block becomes a table",
       [](b& h) { replace(h, h.blocks, 1, breaking::table(h.split_of(0x400, clean), 1), block, 2 * block - 1); }},
      {"a table becomes a block", [](b& h) { replace(h, h.blocks, 0, h.leaf(0x800, 1), 0, block - 1); }},
      {"pages become a group",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.flush(0, 2 * page - 1);
         h.store(h.pages, 1, static_cast<std::uint64_t>(h.leaf(0x1000, 0, clean, 1) + breaking::step(0, 1)));
         h.store(h.pages, 0, h.leaf(0x1000, 0, clean, 1));
       }},
      {"rights added",
       [](b& h) { h.store(h.pages, 0, h.leaf(0x1000, 0, {.allowed = quire::all_access, .may_write = true})); }},
      {"rights removed and invalidated",
       [](b& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, read_only));
         h.flush(0, page - 1, 0, true, invalidation_reason::reduced);
       }},
      {"accessed cleared", [](b& h) { h.exchange(h.pages, 0, h.leaf(0x1000, 0, not_accessed)); }},
      {"software bits changed",
       [](b& h) {
         attributes marked = clean;
         marked.software = 2;
         h.store(h.pages, 0, h.leaf(0x1000, 0, marked));
       }},
      {"two broken, one invalidation, two made",
       [](b& h) {
         h.store(h.pages, 1, h.leaf(0x1040, 0));
         h.store(h.pages, 0, breaking::locked);
         h.store(h.pages, 1, breaking::locked);
         h.flush(0, 2 * page - 1);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.store(h.pages, 1, h.leaf(0x2040, 0));
       }},
      {"a block invalidated page by page",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         for (std::uint64_t i : {2U, 0U, 3U, 1U})
           h.add(block + i * page, block + i * page + page - 1, 1, true, invalidation_reason::reduced);
         h.complete();
         h.store(h.blocks, 1, h.leaf(0x800, 1));
       }},
      {"a wider invalidation pays", [](b& h) { replace(h, h.pages, 0, h.leaf(0x2000, 0), 0, 4095); }},
      {"a neighbour made while a break is not invalidated",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.store(h.pages, 1, h.leaf(0x2040, 0));
         h.flush(0, page - 1);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"stores to a table that is not linked",
       [](b& h) {
         const table_address made = h.table();
         h.store(made, 0, h.leaf(0x2000, 0));
         h.store(made, 0, h.leaf(0x3000, 0));
         h.policies.tables.give_back(made);
       }},
      {"broken and left so",
       [](b& h) {
         h.store(h.pages, 0, 0);
         h.flush(0, page - 1);
       }},
      {"a group becomes single pages",
       [](b& h) {
         map_group(h);
         lock_group(h);
         h.flush(2 * page, 4 * page - 1);
         h.store(h.pages, 2, h.leaf(0x2000, 0));
         h.store(h.pages, 3, h.leaf(0x2040, 0));
       }},
      {"the output of a group",
       [](b& h) {
         map_group(h);
         lock_group(h);
         h.flush(2 * page, 4 * page - 1);
         map_group(h, 0x3000);
       }},
      {"a lock that is taken back with the dirty bit set",
       [](b& h) {
         h.store(h.pages, 0, breaking::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x1000, 0, dirtied));
       }},
      {"a lock that is taken back with more rights",
       [](b& h) {
         h.store(h.pages, 0, breaking::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x1000, 0, {.allowed = quire::all_access, .may_write = true}));
       }},
      {"one table becomes another", [](b& h) { replace(h, h.blocks, 0, breaking::table(h.table(), 1), 0, block - 1); }},
      {"a table at the root becomes another",
       [](b& h) { replace(h, h.root, 0, breaking::table(h.table(), 2), 0, region - 1); }},
      {"two requests, one completion",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.add(block + 2 * page, 2 * block - 1);
         h.add(block, block + 2 * page - 1);
         h.complete();
         h.store(h.blocks, 1, h.leaf(0x800, 1));
       }},
      {"requests that overlap",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.add(block, block + 3 * page - 1);
         h.add(block + page, 2 * block - 1);
         h.complete();
         h.store(h.blocks, 1, h.leaf(0x800, 1));
       }},
      {"completed twice",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.flush(0, page - 1, 0, true);
         h.complete();
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"made after other things have happened",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.flush(0, page - 1, 0, true);
         replace(h, h.blocks, 1, h.leaf(0x800, 1), block, 2 * block - 1);
         h.store(h.pages, 3, h.leaf(0x3000, 0));
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"the calling CPU first, then all",
       [](b& h) {
         h.store(h.pages, 0, breaking::locked);
         h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::removed});
         h.flush(0, page - 1, 0, true);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"the block's own level for a hint",
       [](b& h) {
         h.store(h.blocks, 1, breaking::locked);
         h.flush(block, 2 * block - 1, 1, true);
         h.store(h.blocks, 1, h.leaf(0x800, 1));
       }},
      {"from absent there is nothing to break", [](b& h) { h.store(h.pages, 2, h.leaf(0x2000, 0)); }},
      {"from a marker there is nothing to break",
       [](b& h) {
         h.store(h.pages, 2, breaking::marker(5));
         h.store(h.pages, 2, h.leaf(0x2000, 0));
       }},
      {"locked from absent there is nothing to break",
       [](b& h) {
         h.store(h.pages, 2, breaking::locked);
         h.store(h.pages, 2, h.leaf(0x2000, 0));
       }},
      {"a block becomes a table, and a page of it leads elsewhere",
       [](b& h) {
         const table_address made = h.split_of(0x400, clean);
         replace(h, h.blocks, 1, breaking::table(made, 1), block, 2 * block - 1);
         replace(h, made, 2, h.leaf(0x2000, 0), block + 2 * page, block + 3 * page - 1);
       }},
      {"the dirty bit cleared and invalidated",
       [](b& h) {
         h.exchange(h.pages, 0, h.leaf(0x1000, 0, dirtied));
         h.exchange(h.pages, 0, h.leaf(0x1000, 0, clean));
         h.flush(0, page - 1, 0, true, invalidation_reason::reduced);
       }},
      {"the same word again", [](b& h) { h.store(h.pages, 0, h.leaf(0x1000, 0)); }},
  };
  CHECK(std::size(good) >= 30);
  accept(good);
}

TEST_CASE("a lock that ends with fewer rights leaves an invalidation owed") {
  hand<breaking> h{{}};
  prepare(h);
  const std::uint64_t leaf = h.leaf(0x1000, 0);
  h.store(h.pages, 0, breaking::lock(leaf));
  h.store(h.pages, 0, breaking::write_protect(leaf));
  CHECK(h.machine.automaton().owed() == 1);
  h.flush(0, page - 1, 0, true, invalidation_reason::reduced);
  h.machine.automaton().verify_nothing_owed();
  CHECK(h.findings().text() == "");
}

TEST_CASE("without break-before-make an invalidation is owed") {
  const program<direct> bad[] = {
      {"unmapped", [](d& h) { h.store(h.pages, 0, 0); }},
      {"another output", [](d& h) { h.store(h.pages, 0, h.leaf(0x2000, 0)); }},
      {"write-protected", [](d& h) { h.store(h.pages, 0, h.leaf(0x1000, 0, read_only)); }},
      {"made clean",
       [](d& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, dirtied));
         h.store(h.pages, 0, h.leaf(0x1000, 0, clean));
       }},
      {"split", [](d& h) { h.store(h.blocks, 1, direct::table(h.split_of(0x400, clean), 1)); }},
      {"collapsed", [](d& h) { h.store(h.blocks, 0, h.leaf(0x1000, 1)); }},
      {"added and not completed",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.add(0, page - 1);
       }},
      {"added before the change",
       [](d& h) {
         h.add(0, page - 1);
         h.store(h.pages, 0, 0);
         h.complete();
       }},
      {"changed again after it was added",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.add(0, page - 1);
         h.store(h.pages, 0, h.leaf(0x1000, 0));
         h.store(h.pages, 0, 0);
         h.complete();
       }},
      {"a table taken out, leaves invalidated",
       [](d& h) {
         h.store(h.blocks, 0, 0);
         h.flush(0, block - 1, -1, true);
       }},
      {"a table taken out, half of it invalidated",
       [](d& h) {
         h.store(h.blocks, 0, 0);
         h.flush(0, 2 * page - 1);
       }},
      {"one of two pages invalidated",
       [](d& h) {
         h.store(h.pages, 1, h.leaf(0x1040, 0));
         h.store(h.pages, 0, 0);
         h.store(h.pages, 1, 0);
         h.flush(page, 2 * page - 1);
       }},
      {"a hint at another level",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.flush(0, page - 1, 1);
       }},
      {"another memory type", [](d& h) { h.store(h.pages, 0, h.leaf(0x1000, 0, device)); }},
      {"locked and left so", [](d& h) { h.store(h.pages, 0, direct::locked); }},
      {"a marker in its place", [](d& h) { h.store(h.pages, 0, direct::marker(3)); }},
      {"locked and made again as something else",
       [](d& h) {
         h.store(h.pages, 0, direct::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"another table in place of a table", [](d& h) { h.store(h.blocks, 0, direct::table(h.table(), 1)); }},
      {"a table at the root taken out, one block of it invalidated",
       [](d& h) {
         h.store(h.root, 0, 0);
         h.flush(0, block - 1);
       }},
      {"only the calling CPU was told",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::removed});
       }},
      {"completed before it was added",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.complete();
         h.add(0, page - 1);
       }},
      {"protected after the rest was invalidated",
       [](d& h) {
         h.store(h.blocks, 1, h.leaf(0x400, 1, read_only));
         h.flush(block, 2 * block - 1, 1, true, invalidation_reason::reduced);
         h.store(h.pages, 0, h.leaf(0x1000, 0, read_only));
       }},
      {"split and merged again, the merge not invalidated",
       [](d& h) {
         h.store(h.blocks, 1, direct::table(h.split_of(0x400, clean), 1));
         h.flush(block, 2 * block - 1, 1, true, invalidation_reason::resized);
         h.store(h.blocks, 1, h.leaf(0x400, 1));
       }},
      {"one right of three taken away",
       [](d& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, {.allowed = quire::all_access, .may_write = true}));
         h.store(h.pages, 0, h.leaf(0x1000, 0, {.allowed = quire::readable | quire::executable}));
       }},
      {"unmapped by an exchange", [](d& h) { h.exchange(h.pages, 0, 0); }},
  };
  CHECK(std::size(bad) >= 20);
  expect(bad, rule::not_invalidated);

  const program<direct> good[] = {
      {"unmapped",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.flush(0, page - 1, 0, true);
       }},
      {"another output, invalidated later",
       [](d& h) {
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.flush(0, page - 1, 0, true);
       }},
      {"split",
       [](d& h) {
         h.store(h.blocks, 1, direct::table(h.split_of(0x400, clean), 1));
         h.flush(block, 2 * block - 1, 1, true, invalidation_reason::resized);
       }},
      {"collapsed",
       [](d& h) {
         h.store(h.blocks, 0, h.leaf(0x1000, 1));
         h.flush(0, block - 1, -1, false, invalidation_reason::resized);
       }},
      {"two changes, one invalidation",
       [](d& h) {
         h.store(h.pages, 0, 0);
         h.store(h.blocks, 1, 0);
         h.flush(0, 2 * block - 1);
       }},
      {"mapped: nothing is owed where invalid entries are not cached",
       [](d& h) { h.store(h.pages, 2, h.leaf(0x2000, 0)); }},
      {"accessed cleared", [](d& h) { h.exchange(h.pages, 0, h.leaf(0x1000, 0, not_accessed)); }},
      {"rights added",
       [](d& h) { h.store(h.pages, 0, h.leaf(0x1000, 0, {.allowed = quire::all_access, .may_write = true})); }},
      {"the same word again", [](d& h) { h.store(h.pages, 0, h.leaf(0x1000, 0)); }},
      {"another memory type",
       [](d& h) {
         h.store(h.pages, 0, h.leaf(0x1000, 0, device));
         h.flush(0, page - 1, 0, true);
       }},
      {"locked, invalidated and made again",
       [](d& h) {
         h.store(h.pages, 0, direct::lock(h.leaf(0x1000, 0)));
         h.flush(0, page - 1, 0, true);
         h.store(h.pages, 0, h.leaf(0x2000, 0));
       }},
      {"a lock that is taken back",
       [](d& h) {
         h.store(h.pages, 0, direct::lock(h.leaf(0x1000, 0)));
         h.store(h.pages, 0, h.leaf(0x1000, 0));
       }},
      {"another table in place of a table",
       [](d& h) {
         h.store(h.blocks, 0, direct::table(h.table(), 1));
         h.flush(0, block - 1);
       }},
      {"a table at the root taken out",
       [](d& h) {
         h.store(h.root, 0, 0);
         h.flush(0, region - 1);
       }},
      {"three changes of one page, invalidated after the last",
       [](d& h) {
         h.store(h.pages, 0, h.leaf(0x2000, 0));
         h.store(h.pages, 0, 0);
         h.store(h.pages, 0, h.leaf(0x3000, 0));
         h.flush(0, page - 1, 0, true);
       }},
      {"piece by piece, completed once",
       [](d& h) {
         h.store(h.blocks, 1, 0);
         for (std::uint64_t i : {1U, 3U, 0U, 2U}) h.add(block + i * page, block + i * page + page - 1, 1, true);
         h.complete();
       }},
      {"a marker over a marker",
       [](d& h) {
         h.store(h.pages, 2, direct::marker(3));
         h.store(h.pages, 2, direct::marker(4));
         h.store(h.pages, 2, 0);
       }},
      {"the dirty bit set", [](d& h) { h.store(h.pages, 0, h.leaf(0x1000, 0, dirtied)); }},
      {"software bits changed",
       [](d& h) {
         attributes marked = clean;
         marked.software = 2;
         h.store(h.pages, 0, h.leaf(0x1000, 0, marked));
       }},
      {"an empty table in place of nothing", [](d& h) { h.store(h.blocks, 3, direct::table(h.table(), 1)); }},
  };
  CHECK(std::size(good) >= 20);
  accept(good);
}

TEST_CASE("where a split may wait for its invalidation, it may") {
  hand<direct> h;
  prepare(h);
  h.machine.automaton().options().resized_may_wait = true;
  h.store(h.blocks, 1, direct::table(h.split_of(0x400, clean), 1));
  CHECK(h.ended().text() == "");
  h.machine.automaton().options().resized_may_wait = false;
  CHECK(h.ended().only(rule::not_invalidated));
}

TEST_CASE("break-before-make may be asked of a format that does not need it") {
  hand<direct> h;
  prepare(h);
  h.machine.automaton().options().must_break = true;
  h.store(h.pages, 0, h.leaf(0x2000, 0));
  h.flush(0, page - 1);
  CHECK(h.ended().only(rule::broken_before_made));
}

TEST_CASE("where invalid entries are cached, an installed translation is invalidated") {
  const program<caching> bad[] = {
      {"a page", [](c& h) { h.store(h.pages, 2, h.leaf(0x2000, 0)); }},
      {"a table with leaves", [](c& h) { h.store(h.blocks, 2, caching::table(h.split_of(0x400, clean), 1)); }},
      {"a page, and a hint at another level",
       [](c& h) {
         h.store(h.blocks, 2, h.leaf(0x400, 1));
         h.flush(2 * block, 3 * block - 1, 0, true, invalidation_reason::installed);
       }},
      {"a table, and a hint at its leaves",
       [](c& h) {
         h.store(h.blocks, 2, caching::table(h.split_of(0x400, clean), 1));
         h.flush(2 * block, 3 * block - 1, 0, true, invalidation_reason::installed);
       }},
  };
  expect(bad, rule::not_invalidated);
  const program<caching> good[] = {
      {"a page",
       [](c& h) {
         h.store(h.pages, 2, h.leaf(0x2000, 0));
         h.flush(2 * page, 3 * page - 1, 0, true, invalidation_reason::installed);
       }},
      {"a page in a new table",
       [](c& h) {
         const table_address made = h.table();
         h.store(h.blocks, 2, caching::table(made, 1));
         h.store(made, 1, h.leaf(0x2000, 0));
         h.flush(2 * block + page, 2 * block + 2 * page - 1, 0, false, invalidation_reason::installed);
       }},
      {"an empty table: nothing is mapped yet", [](c& h) { h.store(h.blocks, 2, caching::table(h.table(), 1)); }},
  };
  accept(good);
}

TEST_CASE("a table in place of a leaf translates as the leaf did") {
  using program_of = void (*)(d&, table_address);
  struct part {
    const char* name;
    program_of spoil;
    bool good;
  };
  const part parts[] = {
      {"complete", [](d&, table_address) {}, true},
      {"an entry missing", [](d& h, table_address t) { h.store(t, 2, 0); }, false},
      {"an entry locked", [](d& h, table_address t) { h.store(t, 2, direct::locked); }, false},
      {"another output", [](d& h, table_address t) { h.store(t, 2, h.leaf(0x400, 0, dirtied)); }, false},
      {"fewer rights", [](d& h, table_address t) { h.store(t, 2, h.leaf(0x480, 0, read_only)); }, false},
      {"another memory type", [](d& h, table_address t) { h.store(t, 2, h.leaf(0x480, 0, device)); }, false},
      {"dirty lost", [](d& h, table_address t) { h.store(t, 2, h.leaf(0x480, 0, clean)); }, false},
      {"accessed lost",
       [](d& h, table_address t) {
         attributes lost = dirtied;
         lost.accessed = false;
         h.store(t, 2, h.leaf(0x480, 0, lost));
       },
       false},
      {"another software bit",
       [](d& h, table_address t) {
         attributes lost = dirtied;
         lost.software = 1;
         h.store(t, 2, h.leaf(0x480, 0, lost));
       },
       false},
  };
  for (const part& one : parts) {
    INFO(one.name);
    hand<direct> h;
    h.store(h.blocks, 1, h.leaf(0x400, 1, dirtied));
    const table_address made = h.split_of(0x400, dirtied);
    one.spoil(h, made);
    h.store(h.blocks, 1, direct::table(made, 1));
    h.flush(block, 2 * block - 1, -1, false, invalidation_reason::resized);
    if (one.good) CHECK(h.findings().text() == "");
    else CHECK(h.findings().only(rule::incomplete_table));
  }
  SECTION("dirty may have been set meanwhile") {
    hand<direct> h;
    h.store(h.blocks, 1, h.leaf(0x400, 1, clean));
    h.store(h.blocks, 1, direct::table(h.split_of(0x400, dirtied), 1));
    h.flush(block, 2 * block - 1, -1, false, invalidation_reason::resized);
    CHECK(h.findings().text() == "");
  }
  SECTION("two levels at once") {
    hand<direct> h;
    h.store(h.blocks, 1, h.leaf(0x400, 1, dirtied));
    const table_address made = h.split_of(0x400, dirtied);
    h.store(made, 3, 0);
    const table_address top = h.table();
    for (std::size_t i = 0; i < 4; ++i) h.store(top, i, h.leaf(i * block, 1, dirtied));
    h.store(top, 1, direct::table(made, 1), order::relaxed);
    h.store(h.root, 1, direct::table(top, 2));
    CHECK(h.findings().text() == "");  // in place of nothing: whatever it holds
  }
  SECTION("after a break, as the leaf was at the break") {
    hand<breaking> h;
    h.store(h.blocks, 1, h.leaf(0x400, 1, clean));
    const table_address made = h.split_of(0x400, clean);
    CHECK(h.access(block, access_type::write).ok());  // now it is dirty
    CHECK(breaking::is_dirty(h.exchange(h.blocks, 1, breaking::locked)));
    h.flush(block, 2 * block - 1);
    const bool corrected = GENERATE(true, false);
    if (corrected)
      for (std::size_t i = 0; i < 4; ++i) h.store(made, i, h.leaf(0x400 + i * page, 0, dirtied));
    h.store(h.blocks, 1, breaking::table(made, 1));
    if (corrected) CHECK(h.findings().text() == "");
    else CHECK(h.findings().only(rule::incomplete_table));
  }
  SECTION("not where a map replaces") {
    hand<direct> h;
    h.machine.automaton().options().same_translation = false;
    h.store(h.blocks, 1, h.leaf(0x400, 1));
    h.store(h.blocks, 1, direct::table(h.split_of(0x800, clean), 1));
    h.flush(block, 2 * block - 1);
    CHECK(h.ended().text() == "");
  }
}

TEST_CASE("a table is published with release order") {
  hand<direct> h;
  const table_address made = h.split_of(0x400, clean);
  const order o = GENERATE(order::relaxed, order::release, order::seq_cst);
  h.store(h.blocks, 1, direct::table(made, 1), o);
  if (o == order::relaxed) CHECK(h.findings().only(rule::not_released));
  else CHECK(h.findings().text() == "");
}

TEMPLATE_TEST_CASE("a leaf in place of a table keeps accessed and dirty", "", direct, traps) {
  hand<TestType> h;
  for (std::size_t i = 0; i < 4; ++i) h.store(h.pages, i, h.leaf(0x400 + i * page, 0, i == 2 ? dirtied : clean));
  const auto free_the_table = [&] {
    h.flush(0, block - 1, -1, false, invalidation_reason::resized);
    h.retire(h.pages);
  };
  SECTION("kept") {
    h.store(h.blocks, 0, h.leaf(0x400, 1, dirtied));
    free_the_table();
    CHECK(h.findings().text() == "");
  }
  SECTION("lost") {
    h.store(h.blocks, 0, h.leaf(0x400, 1, clean));
    free_the_table();
    CHECK(h.findings().only(rule::lost_bit));
  }
  SECTION("another output: it is another mapping") {
    h.store(h.blocks, 0, h.leaf(0x800, 1, clean));
    free_the_table();
    CHECK(h.findings().text() == "");
  }
}

TEST_CASE("what the hardware sets in a table that was replaced is collected before the table is freed") {
  hand<direct> h;
  for (std::size_t i = 0; i < 4; ++i) h.store(h.pages, i, h.leaf(0x400 + i * page, 0, clean));
  h.begin(2 * page, access_type::write);
  h.step(3);
  h.store(h.blocks, 0, h.leaf(0x400, 1, clean));
  CHECK(h.step());  // sets dirty in the old table
  CHECK(direct::is_dirty(h.peek(h.pages, 2)));
  h.flush(0, block - 1, -1, false, invalidation_reason::resized);
  const bool collected = GENERATE(true, false);
  if (collected) h.exchange(h.blocks, 0, h.leaf(0x400, 1, dirtied));
  h.retire(h.pages);
  if (collected) CHECK(h.findings().text() == "");
  else CHECK(h.findings().only(rule::lost_bit));
}

TEST_CASE("an entry leads to a table of its own") {
  hand<direct> h;
  SECTION("linked twice") {
    h.store(h.blocks, 1, direct::table(h.pages, 1));
    CHECK(h.findings().only(rule::wrong_link));
  }
  SECTION("a table that was given back") {
    const table_address gone = h.table();
    h.policies.tables.give_back(gone);
    h.store(h.blocks, 1, direct::table(gone, 1));
    CHECK(h.findings().count(rule::wrong_link) == 1);
  }
  SECTION("given back while it is linked") {
    h.policies.tables.give_back(h.pages);
    CHECK(h.findings().count(rule::wrong_link) == 1);
  }
  SECTION("moved to another place") {
    h.store(h.blocks, 0, 0);
    h.flush(0, block - 1);
    h.store(h.blocks, 1, direct::table(h.pages, 1));
    CHECK(h.ended().text() == "");
  }
}

TEST_CASE("a table is given back when its invalidation has completed") {
  hand<direct> h;
  h.store(h.blocks, 0, 0);
  SECTION("not invalidated") {
    h.retire(h.pages);
    CHECK(h.findings().only(rule::not_invalidated));
  }
  SECTION("not completed") {
    h.add(0, block - 1);
    h.retire(h.pages);
    CHECK(h.findings().only(rule::not_invalidated));
  }
  SECTION("completed") {
    h.flush(0, block - 1);
    h.retire(h.pages);
    CHECK(h.ended().text() == "");
  }
}
