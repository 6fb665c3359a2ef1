// SPDX-License-Identifier: MIT
// Litmus programs for the order of maintenance calls: a bad one next to a good one for each rule.
#include <quire/check/maintenance_order.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {

constexpr attributes code{.allowed = quire::all_access, .may_write = true};

// Pages 1 and 3 are mapped, the tables are complete and nothing is outstanding; from here on the calls are watched.
template <class F>
struct watched : hand<F> {
  explicit watched(check::machine_options options = {}) : hand<F>(options) {
    this->machine.options().maintenance = true;
    this->machine.maintenance().options().gained_code = true;
    filled(this->root);
    for (const std::size_t i : {1U, 3U}) this->store(this->pages, i, this->leaf(0x1000 + i * page, 0));
    published();
    barrier();
    REQUIRE(this->ended().text() == "");
  }
  void filled(table_address table) {
    this->policies.maintenance.table_filled(
        table, table == this->root ? quire::root_table_bytes<F> : quire::table_bytes<F>(0));
  }
  void published() { this->policies.maintenance.published(); }
  void barrier() { this->policies.maintenance.before_invalidation(); }
  void visible(std::uint64_t output, std::uint64_t bytes) {
    this->policies.maintenance.code_visible(output_address{output}, bytes);
  }
  // Without the barrier that hand::add() executes.
  void add_at_once(std::uint64_t first, std::uint64_t last) {
    this->policies.invalidation.add(
        {input_address{first}, input_address{last}, -1, false, invalidation_reason::removed});
  }
  void local(std::uint64_t first, std::uint64_t last) {
    this->policies.invalidation.local(
        {input_address{first}, input_address{last}, 0, true, invalidation_reason::relaxed});
  }
};

using w = watched<direct>;

struct program {
  const char* name;
  void (*run)(w&);
};
template <std::size_t Count>
void expect(const program (&programs)[Count], rule broken) {
  for (const program& one : programs) {
    INFO(one.name);
    w h;
    one.run(h);
    h.machine.maintenance().end_of_operation();
    INFO(h.findings().text());
    CHECK(h.findings().only(broken));
  }
}
template <std::size_t Count>
void accept(const program (&programs)[Count]) {
  for (const program& one : programs) {
    INFO(one.name);
    w h;
    one.run(h);
    h.machine.maintenance().end_of_operation();
    CHECK(h.findings().text() == "");
  }
}

}  // namespace

TEST_CASE("a table is cleaned after it was filled and before it is linked") {
  const program bad[] = {
      {"never", [](w& h) { h.store(h.blocks, 1, direct::table(h.table(), 1)); }},
      {"after it was linked",
       [](w& h) {
         const table_address made = h.table();
         h.store(h.blocks, 1, direct::table(made, 1));
         h.filled(made);
       }},
      {"before the last store to it",
       [](w& h) {
         const table_address made = h.table();
         h.filled(made);
         h.store(made, 0, h.leaf(0x400, 0));
         h.store(h.blocks, 1, direct::table(made, 1));
         h.published();
       }},
      {"a part of it",
       [](w& h) {
         const table_address made = h.table();
         h.policies.maintenance.table_filled(made, quire::table_bytes<direct>(0) - 8);
         h.store(h.blocks, 1, direct::table(made, 1));
       }},
      {"the upper one of two",
       [](w& h) {
         const table_address top = h.table();
         h.store(top, 0, direct::table(h.table(), 1));
         h.filled(top);
         h.store(h.root, 1, direct::table(top, 2));
       }},
      {"another table",
       [](w& h) {
         const table_address made = h.table(), other = h.table();
         h.filled(other);
         h.store(h.blocks, 1, direct::table(made, 1));
       }},
      {"in an earlier life of the block",
       [](w& h) {
         const table_address made = h.table();
         h.filled(made);
         h.policies.tables.give_back(made);
         h.store(h.blocks, 1, direct::table(h.table(), 1));
       }},
  };
  expect(bad, rule::not_filled);
  const program good[] = {
      {"empty",
       [](w& h) {
         const table_address made = h.table();
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
       }},
      {"with a leaf",
       [](w& h) {
         const table_address made = h.table();
         h.store(made, 0, h.leaf(0x400, 0));
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
         h.published();
       }},
      {"two levels",
       [](w& h) {
         const table_address top = h.table(), low = h.table();
         h.filled(low);
         h.store(top, 0, direct::table(low, 1));
         h.filled(top);
         h.store(h.root, 1, direct::table(top, 2));
       }},
      {"a lock of a table that is taken back",
       [](w& h) {
         const auto entry = h.load(h.blocks, 0);
         h.store(h.blocks, 0, direct::lock(entry));
         h.store(h.pages, 0, direct::locked);
         h.store(h.pages, 0, 0);
         h.store(h.blocks, 0, entry);
         h.published();
       }},
      {"the same table again: rights of a table entry changed",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.exchange(h.blocks, 0, direct::table(h.pages, 1) | 0x100);
       }},
  };
  accept(good);
}

TEST_CASE("the root is cleaned before an operation has ended on it") {
  hand<direct> h;
  h.machine.options().maintenance = true;
  h.policies.maintenance.published();
  SECTION("never") { CHECK(h.ended().only(rule::not_filled)); }
  SECTION("told once") {
    CHECK(h.ended().total() == 1);
    CHECK(h.ended().total() == 1);
  }
  SECTION("cleaned") {
    h.policies.maintenance.table_filled(h.root, quire::root_table_bytes<direct>);
    CHECK(h.ended().text() == "");
  }
}

TEST_CASE("what becomes valid is published before the operation ends") {
  const program bad[] = {
      {"never", [](w& h) { h.store(h.pages, 0, h.leaf(0x400, 0)); }},
      {"before it was stored",
       [](w& h) {
         h.published();
         h.store(h.pages, 0, h.leaf(0x400, 0));
       }},
      {"a barrier for an invalidation is another call",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.barrier();
       }},
      {"a table with a leaf",
       [](w& h) {
         const table_address made = h.table();
         h.store(made, 0, h.leaf(0x400, 0));
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
       }},
      {"the second of two",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.store(h.pages, 2, h.leaf(0x480, 0));
       }},
      {"a lock that ends with a leaf",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.store(h.pages, 0, direct::lock(h.leaf(0x400, 0)));
         h.store(h.pages, 0, h.leaf(0x400, 0));
       }},
  };
  expect(bad, rule::not_published);
  const program good[] = {
      {"once for two",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.store(h.blocks, 1, h.leaf(0x400, 1));
         h.published();
       }},
      {"an empty table translates nothing",
       [](w& h) {
         const table_address made = h.table();
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
       }},
      {"a table that nobody can reach", [](w& h) { h.store(h.table(), 0, h.leaf(0x400, 0)); }},
      {"what was valid and is not",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.store(h.pages, 0, 0);
       }},
      {"a marker", [](w& h) { h.store(h.pages, 0, direct::marker(3)); }},
  };
  accept(good);
}

TEST_CASE("an invalidation is sent after the stores that it is to cover were ordered") {
  const program bad[] = {
      {"no barrier",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.add_at_once(page, 2 * page - 1);
       }},
      {"a barrier before the store",
       [](w& h) {
         h.barrier();
         h.store(h.pages, 1, 0);
         h.add_at_once(page, 2 * page - 1);
       }},
      {"publishing is another call",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.published();
         h.add_at_once(page, 2 * page - 1);
       }},
      {"a range with a late store in it",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.barrier();
         h.store(h.pages, 3, 0);
         h.add_at_once(0, block - 1);
       }},
      {"a table that was taken out",
       [](w& h) {
         h.store(h.blocks, 0, 0);
         h.add_at_once(3 * page, 4 * page - 1);
       }},
      {"locally, without either barrier",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.local(page, 2 * page - 1);
       }},
  };
  expect(bad, rule::not_ordered);
  const program good[] = {
      {"a barrier in between",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.barrier();
         h.add_at_once(page, 2 * page - 1);
       }},
      {"the late store is elsewhere",
       [](w& h) {
         h.store(h.pages, 3, 0);
         h.add_at_once(page, 2 * page - 1);
       }},
      {"the same word again",
       [](w& h) {
         h.store(h.pages, 1, h.load(h.pages, 1));
         h.add_at_once(page, 2 * page - 1);
       }},
      {"a marker, a lock and nothing are one to a walk",
       [](w& h) {
         h.store(h.pages, 2, direct::marker(3));
         h.store(h.pages, 2, direct::locked);
         h.store(h.pages, 2, 0);
         h.add_at_once(2 * page, 3 * page - 1);
         h.local(2 * page, 3 * page - 1);
       }},
      {"accessed, which nobody waits for",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.barrier();
         h.exchange(h.pages, 0, h.leaf(0x400, 0, not_accessed));
         h.add_at_once(0, page - 1);
       }},
      {"a store to a table that nobody can reach",
       [](w& h) {
         h.store(h.table(), 0, h.leaf(0x400, 0));
         h.add_at_once(0, 4095);
       }},
      {"locally, after it was published",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.published();
         h.local(page, 2 * page - 1);
       }},
      {"locally, after a barrier",
       [](w& h) {
         h.store(h.pages, 1, 0);
         h.barrier();
         h.local(page, 2 * page - 1);
       }},
  };
  accept(good);
}

TEST_CASE("memory is made visible as code before a leaf can execute it") {
  const program bad[] = {
      {"never",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"after the store",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.visible(0x400, page);
         h.published();
       }},
      {"other memory",
       [](w& h) {
         h.visible(0x440, page);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"a part of the block",
       [](w& h) {
         h.visible(0x400, block - 1);
         h.store(h.blocks, 1, h.leaf(0x400, 1, code));
         h.published();
       }},
      {"in a table that becomes reachable",
       [](w& h) {
         const table_address made = h.table();
         h.visible(0x400, page);
         h.store(made, 0, h.leaf(0x400, 0, code));
         h.store(made, 1, h.leaf(0x440, 0, code));
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
         h.published();
       }},
      {"another output in place of something executable",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
         h.store(h.pages, 0, h.leaf(0x800, 0, code));
       }},
      {"a table in place of a block, with another output in it",
       [](w& h) {
         h.machine.automaton().options().same_translation = false;
         h.visible(0x400, block);
         h.store(h.blocks, 1, h.leaf(0x400, 1, code));
         h.published();
         const table_address made = h.split_of(0x400, code);
         h.store(made, 2, h.leaf(0x1000, 0, code));
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
         h.published();
       }},
      {"the right is added",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"the right is added under a lock",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.pages, 0, direct::lock(h.leaf(0x400, 0)));
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"mapped anew under a lock",
       [](w& h) {
         h.visible(0x400, page);
         h.machine.maintenance().end_of_operation();
         h.store(h.pages, 0, direct::locked);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"visible once, written since: the right is added by another operation",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
       }},
  };
  expect(bad, rule::code_not_visible);
  const program good[] = {
      {"before the store",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"in two parts",
       [](w& h) {
         h.visible(0x480, 2 * page);
         h.visible(0x400, 2 * page);
         h.store(h.blocks, 1, h.leaf(0x400, 1, code));
         h.published();
       }},
      {"a leaf that was executable and is so still",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.pages, 0, h.leaf(0x400, 0, {.allowed = quire::readable | quire::executable}));
       }},
      {"a block that is split, through locked",
       [](w& h) {
         h.visible(0x400, block);
         h.store(h.blocks, 1, h.leaf(0x400, 1, code));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.blocks, 1, direct::lock(h.leaf(0x400, 1, code)));
         const table_address made = h.split_of(0x400, code);
         h.filled(made);
         h.store(h.blocks, 1, direct::table(made, 1));
         h.published();
       }},
      {"a table that becomes a block",
       [](w& h) {
         h.visible(0x400, block);
         for (std::size_t i = 0; i < 4; ++i) h.store(h.pages, i, h.leaf(0x400 + i * page, 0, code));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.blocks, 0, h.leaf(0x400, 1, code));
         h.published();
       }},
      {"a lock that is taken back",
       [](w& h) {
         h.visible(0x400, page);
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
         h.machine.maintenance().end_of_operation();
         h.store(h.pages, 0, direct::lock(h.leaf(0x400, 0, code)));
         h.store(h.pages, 0, h.leaf(0x400, 0, code));
         h.published();
       }},
      {"no right to execute",
       [](w& h) {
         h.store(h.pages, 0, h.leaf(0x400, 0));
         h.published();
       }},
  };
  accept(good);
}

TEST_CASE("a right that is gained is asked for on demand") {
  w h;
  const bool asked = GENERATE(true, false);
  h.machine.maintenance().options().gained_code = asked;
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.store(h.pages, 0, h.leaf(0x400, 0, code));
  h.published();
  h.machine.maintenance().end_of_operation();
  CHECK(h.findings().count(rule::code_not_visible) == (asked ? 1 : 0));
}

TEST_CASE("a barrier orders the stores of whoever executes it") {
  w h;
  unsigned actor = 1;
  h.machine.acted_by([&actor] { return actor; });
  h.store(h.pages, 0, h.leaf(0x400, 0));
  SECTION("another's barrier does not count for an invalidation") {
    actor = 2;
    h.barrier();
    h.published();
    actor = 1;
    h.add_at_once(0, page - 1);
    h.machine.maintenance().end_of_operation();
    CHECK(h.findings().count(rule::not_ordered) == 1);
    CHECK(h.findings().count(rule::not_published) == 1);
  }
  SECTION("a store over another's says that it was seen") {
    actor = 2;
    h.store(h.pages, 0, h.leaf(0x400, 0, read_only));
    h.barrier();
    h.published();
    actor = 1;
    h.add_at_once(0, page - 1);
    h.local(0, page - 1);
    CHECK(h.findings().text() == "");
  }
  SECTION("another's invalidation need not wait for this store") {
    actor = 2;
    h.add_at_once(0, page - 1);
    actor = 1;
    h.published();
    h.barrier();
    h.add_at_once(0, page - 1);
    h.machine.maintenance().end_of_operation();
    CHECK(h.findings().text() == "");
  }
}

TEST_CASE("with the oracle off, or without the automaton, nothing is watched") {
  check::machine_options options;
  bool watches = false;
  SECTION("on") { watches = true; }
  SECTION("off") { options.maintenance = false; }
  SECTION("no automaton") { options.automaton = false; }
  check::machine<direct> machine{options};
  check::policies<direct> policies{machine};
  const table_address root = *policies.tables.take_root(quire::root_table_bytes<direct>);
  REQUIRE(policies.tables.reserve(1));
  const table_address made = *policies.tables.take(quire::table_contents::zeroed);
  policies.memory.store<direct::word>(root, 0, direct::table(made, 2), order::release);
  machine.end_of_operation();
  CHECK(machine.findings().count(rule::not_filled) == (watches ? 2 : 0));  // the table, and the root
  CHECK(machine.findings().total() == machine.findings().count(rule::not_filled));
}
