// SPDX-License-Identifier: MIT
// Litmus programs for the oracle of progress: bad ones next to good ones, then operations of real tables.
#include <quire/check/progress.hpp>

#include <quire/dirty/eager_split.hpp>
#include <quire/format/riscv_gstage.hpp>
#include <quire/table/page_table.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;
using check::work;

namespace {

using word = direct::word;
using plain_memory = quire::array_memory<word>;
using watched_memory = quire::observed_memory<plain_memory, check::progress>;

// One table of four entries, and two actors.
struct words {
  check::report findings;
  word entries[4]{};
  check::progress oracle;
  watched_memory memory{plain_memory{entries, 4, 64}, &oracle};
  table_address table{64};

  explicit words(check::progress_options options = {}) : oracle(findings, options) {}

  word load(std::size_t i) { return memory.load<word>(table, i, order::relaxed); }
  void store(std::size_t i, word w) { memory.store<word>(table, i, w, order::relaxed); }
  bool exchange(std::size_t i, word expected, word w) {
    return memory.compare_exchange<word>(table, i, expected, w, order::relaxed);
  }
  // Somebody else's store.
  void other_stores(std::size_t i, word w) {
    oracle.run_as(2);
    store(i, w);
    oracle.run_as(1);
  }
};

struct program {
  const char* name;
  void (*run)(words&);
};
template <std::size_t Count>
void play(const program (&programs)[Count], bool good, check::progress_options options = {},
          rule broken = rule::no_progress) {
  for (const program& one : programs) {
    INFO(one.name);
    words w{options};
    w.oracle.run_as(1);
    w.oracle.began();
    one.run(w);
    w.oracle.ended(work::changed);
    INFO(w.findings.text());
    if (good) CHECK(w.findings.empty());
    else CHECK(w.findings.only(broken));
  }
}

}  // namespace

TEST_CASE("whoever tries again does so because somebody else has written") {
  const program bad[] = {
      {"busy, and nobody has ever written", [](words& w) { w.oracle.ended(work::busy); }},
      {"busy twice on one write",
       [](words& w) {
         w.other_stores(0, 1);
         w.oracle.ended(work::busy);
         w.oracle.ended(work::busy);
       }},
      {"only its own writes",
       [](words& w) {
         w.store(0, 1);
         w.oracle.ended(work::busy);
       }},
      {"a store that changes nothing is no write",
       [](words& w) {
         w.other_stores(0, 1);
         w.oracle.retried();
         w.other_stores(0, 1);
         w.oracle.retried();
       }},
      {"an exchange that expects what was never there", [](words& w) { CHECK_FALSE(w.exchange(0, 7, 1)); }},
      {"the same exchange over and over",
       [](words& w) {
         w.other_stores(0, 1);
         CHECK_FALSE(w.exchange(0, 0, 3));
         CHECK_FALSE(w.exchange(0, 0, 3));
       }},
      {"an exchange that fails last of all",
       [](words& w) {
         CHECK_FALSE(w.exchange(0, 7, 1));
         w.oracle.run_as(2);
       }},
  };
  play(bad, false);
  const program good[] = {
      {"busy once for each write",
       [](words& w) {
         for (word i = 1; i < 5; ++i) {
           w.other_stores(0, i);
           w.oracle.ended(work::busy);
         }
       }},
      {"an exchange that lost a race, and won the next",
       [](words& w) {
         w.other_stores(0, 1);
         CHECK_FALSE(w.exchange(0, 0, 3));
         CHECK(w.exchange(0, 1, 3));
       }},
      {"lost to the hardware",
       [](words& w) {
         w.oracle.run_as(9);
         w.oracle.wrote();
         w.oracle.run_as(1);
         w.oracle.retried();
       }},
      {"the other one is excused by this one's write",
       [](words& w) {
         w.store(0, 1);
         w.oracle.run_as(2);
         w.oracle.ended(work::busy);
         w.oracle.run_as(1);
       }},
      {"never busy",
       [](words& w) {
         CHECK(w.exchange(0, 0, 3));
         w.store(1, 1);
       }},
  };
  play(good, true);
}

TEST_CASE("an operation whose goal is reached writes nothing") {
  const program bad[] = {
      {"breaks and makes the same again",
       [](words& w) {
         w.store(0, 1);
         w.oracle.ended(work::changed);
         w.store(0, 0);
         w.store(0, 1);
         w.oracle.ended(work::unchanged);
       }},
      {"a run of words",
       [](words& w) {
         w.oracle.owned(w.table, 0, 4);
         w.oracle.ended(work::unchanged);
       }},
  };
  play(bad, false);
  const program good[] = {
      {"looks",
       [](words& w) {
         w.store(0, 1);
         w.oracle.ended(work::changed);
         static_cast<void>(w.load(0));
         w.oracle.ended(work::unchanged);
       }},
      {"stores what is there",
       [](words& w) {
         w.store(0, 0);
         w.oracle.ended(work::unchanged);
       }},
      {"while somebody else writes",
       [](words& w) {
         w.other_stores(0, 1);
         w.oracle.ended(work::unchanged);
       }},
  };
  play(good, true);
}

TEST_CASE("a fault that was answered does not come again for nothing") {
  const program bad[] = {
      {"twice",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.oracle.faulted(0x40, 1, 2);
       }},
      {"its own write does not excuse it",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.store(0, 1);
         w.oracle.faulted(0x40, 1, 2);
       }},
  };
  play(bad, false);
  const program good[] = {
      {"once", [](words& w) { w.oracle.faulted(0x40, 1, 2); }},
      {"somebody else has written since",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.other_stores(0, 1);
         w.oracle.faulted(0x40, 1, 2);
       }},
      {"another page, access or reason",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.oracle.faulted(0x80, 1, 2);
         w.oracle.faulted(0x80, 0, 2);
         w.oracle.faulted(0x80, 0, 3);
       }},
      {"after it came through",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.oracle.went_on();
         w.oracle.faulted(0x40, 1, 2);
       }},
      {"another CPU's",
       [](words& w) {
         w.oracle.faulted(0x40, 1, 2);
         w.oracle.run_as(2);
         w.oracle.faulted(0x40, 1, 2);
         w.oracle.run_as(1);
       }},
  };
  play(good, true);
}

TEST_CASE("the work between two questions to yield is bounded") {
  constexpr check::progress_options four{.most_accesses = 4};
  const program bad[] = {
      {"five loads",
       [](words& w) {
         for (int i = 0; i < 5; ++i) static_cast<void>(w.load(0));
       }},
      {"a run of five words", [](words& w) { w.oracle.owned(w.table, 0, 5); }},
      {"the question comes too late",
       [](words& w) {
         for (int i = 0; i < 5; ++i) static_cast<void>(w.load(0));
         w.oracle.asked_to_yield();
       }},
      {"told once",
       [](words& w) {
         for (int i = 0; i < 50; ++i) static_cast<void>(w.load(0));
         CHECK(w.findings.total() == 1);
       }},
  };
  play(bad, false, four, rule::unbounded_work);
  const program good[] = {
      {"four",
       [](words& w) {
         for (int i = 0; i < 4; ++i) static_cast<void>(w.load(0));
       }},
      {"a question in between",
       [](words& w) {
         for (int i = 0; i < 12; ++i) {
           if (i % 4 == 0) w.oracle.asked_to_yield();
           static_cast<void>(w.load(0));
         }
       }},
      {"two operations",
       [](words& w) {
         for (int i = 0; i < 4; ++i) static_cast<void>(w.load(0));
         w.oracle.ended(work::changed);
         for (int i = 0; i < 4; ++i) static_cast<void>(w.load(0));
       }},
      {"two actors",
       [](words& w) {
         for (int i = 0; i < 4; ++i) static_cast<void>(w.load(0));
         for (word i = 0; i < 4; ++i) w.other_stores(0, i);
       }},
  };
  play(good, true, four);
  words unlimited;
  for (int i = 0; i < 100'000; ++i) static_cast<void>(unlimited.load(0));
  CHECK(unlimited.findings.empty());
}

// ---- a CPU whose fault is answered

TEST_CASE("the loser of a race to add a right ends its own stale translation, or faults for ever") {
  const bool ends = GENERATE(true, false);
  hand<traps> h;
  check::progress oracle{h.findings()};
  h.store(h.pages, 0, h.leaf(0x400, 0, read_only));
  h.flush(0, page - 1, 0, true, invalidation_reason::installed);
  CHECK(h.access(0, access_type::write, 0).why == fault::permission);
  oracle.run_as(0);
  oracle.faulted(0, 1, static_cast<unsigned>(fault::permission));
  h.store(h.pages, 0, h.leaf(0x400, 0, dirtied));  // CPU 1 answers a fault of its own first
  // CPU 0's handler finds the right there already.
  if (ends) h.policies.invalidation.local({input_address{0}, input_address{63}, 0, true, invalidation_reason::relaxed});
  for (int tries = 0; tries < 3; ++tries) {
    const auto again = h.access(0, access_type::write, 0);
    if (again.ok()) oracle.went_on();
    else oracle.faulted(0, 1, static_cast<unsigned>(again.why));
  }
  CHECK(h.findings().count(rule::no_progress) == (ends ? 0 : 3));
  CHECK(h.findings().total() == h.findings().count(rule::no_progress));
}

TEST_CASE("the hardware's writes can be told apart by counting them") {
  hand<direct> h;
  h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
  CHECK(h.machine.mmu().writes() == 0);
  CHECK(h.access(0).ok());
  CHECK(h.machine.mmu().writes() == 1);
  CHECK(h.access(0, access_type::write).ok());
  CHECK(h.machine.mmu().writes() == 2);
  CHECK(h.access(0, access_type::write).ok());
  CHECK(h.machine.mmu().writes() == 2);
}

// ---- tables

namespace {

using format = quire::riscv::sv39x4;

struct counted_pages {
  std::vector<format::word>* words;
  std::uint64_t* next;

  quire::result<table_address> allocate(std::uint64_t bytes) {
    *next = (*next + bytes - 1) & ~(bytes - 1);
    const table_address table{*next};
    *next += bytes;
    if (*next > words->size() * 8) return quire::errc::no_memory;
    return table;
  }
  void free(table_address, std::uint64_t) {}
};

struct watched_policies : quire::policies {
  quire::observed_memory<quire::array_memory<format::word>, check::progress> memory;
  quire::table_cache<counted_pages, quire::array_memory<format::word>, format::word, true> tables;
  check::watched_yield<quire::yield_every> yield;

  watched_policies(std::vector<format::word>& all, counted_pages& pages, check::progress& oracle)
      : memory({all.data(), all.size(), 0}, &oracle),
        tables(&pages, {all.data(), all.size(), 0}, 4096),
        yield{&oracle, quire::yield_every{1}} {}
};

struct watched_table {
  check::report findings;
  check::progress oracle;
  std::vector<format::word> words = std::vector<format::word>(64 * 512);
  std::uint64_t next = 4096;
  counted_pages pages{&words, &next};
  quire::page_table<format, watched_policies> table;

  explicit watched_table(std::size_t most_accesses)
      : oracle(findings, {.most_accesses = most_accesses}), table(watched_policies{words, pages, oracle}) {
    REQUIRE(table.create());
    oracle.began();
  }
};

constexpr std::uint64_t two_mib = 2 * 1024 * 1024;
constexpr quire::input_range blocks = quire::input_range::sized(input_address{0}, 16 * two_mib);
constexpr attributes writable_page{.allowed = quire::read_write, .may_write = true};

}  // namespace

TEST_CASE("an eager split asks after every chunk, so its work is bounded by one") {
  constexpr std::size_t bound = 2 * 512;  // the entries of a chunk's table, with as much again for the way there
  SECTION("a chunk of one block") {
    watched_table t{bound};
    auto session = t.table.exclusive();
    REQUIRE(session.map(blocks, output_address{0}, writable_page));
    t.oracle.ended(work::changed);
    const auto done = quire::split_eagerly<quire::walk_flags{}>(session, t.table.policies().tables, blocks, two_mib);
    CHECK(done.leaves == 16);
    CHECK(t.findings.text() == "");
  }
  SECTION("all of it in one operation") {
    watched_table t{bound};
    auto session = t.table.exclusive();
    REQUIRE(session.map(blocks, output_address{0}, writable_page));
    t.oracle.ended(work::changed);
    CHECK(session.split(blocks)->leaves == 16);
    CHECK(t.findings.only(rule::unbounded_work));
  }
}

TEST_CASE("mapping what is mapped already writes nothing") {
  watched_table t{0};
  auto session = t.table.exclusive();
  for (const work expected : {work::changed, work::unchanged, work::unchanged}) {
    t.oracle.began();
    REQUIRE(session.map(blocks, output_address{0}, writable_page));
    t.oracle.ended(expected);
  }
  REQUIRE(session.write_protect(blocks));
  t.oracle.ended(work::changed);
  REQUIRE(session.write_protect(blocks));
  t.oracle.ended(work::unchanged);
  CHECK(t.findings.text() == "");
  REQUIRE(session.restore_write(blocks));
  t.oracle.ended(work::unchanged);  // it was not
  CHECK(t.findings.only(rule::no_progress));
}
