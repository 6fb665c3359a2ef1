// SPDX-License-Identifier: MIT
// The report, and one litmus for every rule in it: a program that breaks that rule and no other, and the same program
// put right. A rule without one does not pass.
#include <quire/check/report.hpp>

#include <string>  // string

#include <quire/check/flat_model.hpp>
#include <quire/check/progress.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {

using model = check::flat_model<direct>;

struct tables {
  check::report findings;
  check::arena<std::uint64_t> arena{16, 64, findings, 0x1000};
};

// A hand that only the oracles of caches speak to.
check::machine_options caches_alone() { return {.automaton = false}; }
// A hand whose maintenance calls are watched, none outstanding.
hand<direct>& watched(hand<direct>& h) {
  h.machine.options().maintenance = true;
  h.policies.maintenance.table_filled(h.root, quire::root_table_bytes<direct>);
  h.policies.maintenance.published();
  h.policies.maintenance.before_invalidation();
  return h;
}

// What was found when the program ran as it should (`right`), or with the one thing wrong.
check::report play(rule broken, bool right) {
  switch (broken) {
    case rule::double_free: {
      tables t;
      const table_address block_of_words = *t.arena.allocate(64);
      t.arena.free(block_of_words, 64);
      if (!right) t.arena.free(block_of_words, 64);
      return t.findings;
    }
    case rule::wrong_size: {
      tables t;
      t.arena.free(*t.arena.allocate(128), right ? 128 : 64);
      return t.findings;
    }
    case rule::written_when_free: {
      tables t;
      const table_address gone = *t.arena.allocate(64);
      t.arena.free(gone, 64);
      if (!right) t.arena.memory().store<std::uint64_t>(gone, 1, 1, order::relaxed);
      static_cast<void>(t.arena.allocate(64));
      return t.findings;
    }
    case rule::retired_access: {
      hand<direct> h;
      const table_address gone = h.table();
      if (right) static_cast<void>(h.load(gone, 0));
      h.policies.tables.give_back(gone);
      if (!right) static_cast<void>(h.load(gone, 0));
      return h.ended();
    }
    case rule::retired_in_use: {
      hand<direct> h;
      h.machine.retired().enter(1);
      static_cast<void>(h.load(h.pages, 0));
      h.machine.retired().run_as(2);
      h.store(h.blocks, 0, 0);
      h.flush(0, block - 1);
      if (right) h.machine.retired().leave(1);
      h.retire(h.pages);
      return h.ended();
    }
    case rule::stale_translation: {
      hand<direct> h{caches_alone()};
      h.store(h.pages, 0, h.leaf(0x400, 0));
      static_cast<void>(h.access(0));
      h.store(h.pages, 0, 0);
      if (right) h.flush(0, page - 1, 0, true);
      return h.ended();
    }
    case rule::stale_walk: {
      hand<direct> h{caches_alone()};
      h.begin(0);
      h.step(2);
      h.store(h.blocks, 0, 0);
      if (right) h.flush(0, block - 1);
      h.retire(h.pages);
      return h.ended();
    }
    case rule::broken_before_made: {
      hand<breaking> h;
      h.store(h.pages, 0, h.leaf(0x400, 0));
      h.store(h.pages, 0, breaking::locked);
      if (right) h.flush(0, page - 1);
      h.store(h.pages, 0, h.leaf(0x800, 0));
      if (!right) h.flush(0, page - 1);
      return h.ended();
    }
    case rule::not_invalidated: {
      hand<direct> h;
      h.store(h.pages, 0, h.leaf(0x400, 0));
      h.store(h.pages, 0, 0);
      if (right) h.flush(0, page - 1);
      return h.ended();
    }
    case rule::incomplete_table: {
      hand<direct> h;
      h.store(h.blocks, 1, h.leaf(0x400, 1));
      const table_address made = h.split_of(0x400, clean);
      if (!right) h.store(made, 2, 0);
      h.store(h.blocks, 1, direct::table(made, 1));
      h.flush(block, 2 * block - 1);
      return h.ended();
    }
    case rule::not_released: {
      hand<direct> h;
      h.store(h.blocks, 1, direct::table(h.table(), 1), right ? order::release : order::relaxed);
      return h.ended();
    }
    case rule::not_filled: {
      hand<direct> h;
      watched(h);
      const table_address made = h.table();
      if (right) h.policies.maintenance.table_filled(made, quire::table_bytes<direct>(0));
      h.store(h.blocks, 1, direct::table(made, 1));
      return h.ended();
    }
    case rule::not_published: {
      hand<direct> h;
      watched(h).store(h.pages, 0, h.leaf(0x400, 0));
      if (right) h.policies.maintenance.published();
      return h.ended();
    }
    case rule::not_ordered: {
      hand<direct> h;
      h.store(h.pages, 0, h.leaf(0x400, 0));
      watched(h).store(h.pages, 0, 0);
      if (right) h.policies.maintenance.before_invalidation();
      h.policies.invalidation.add({input_address{0}, input_address{page - 1}, 0, true, invalidation_reason::removed});
      h.complete();
      return h.ended();
    }
    case rule::code_not_visible: {
      hand<direct> h;
      watched(h);
      if (right) h.policies.maintenance.code_visible(output_address{0x400}, page);
      h.store(h.pages, 0, h.leaf(0x400, 0, {.allowed = quire::all_access, .may_write = true}));
      h.policies.maintenance.published();
      return h.ended();
    }
    case rule::wrong_link: {
      hand<direct> h;
      h.store(h.blocks, 1, direct::table(right ? h.table() : h.pages, 1));
      return h.findings();
    }
    case rule::lost_bit: {
      hand<direct> h;
      h.store(h.pages, 0, h.leaf(0x400, 0, not_accessed));
      const auto seen = h.load(h.pages, 0);
      static_cast<void>(h.access(0));  // the hardware sets accessed
      if (right) h.exchange(h.pages, 0, direct::write_protect(seen));
      else h.store(h.pages, 0, direct::write_protect(seen));
      h.flush(0, page - 1);
      return h.ended();
    }
    case rule::no_progress: {
      check::report findings;
      check::progress oracle{findings};
      if (right) {
        oracle.run_as(1);
        oracle.wrote();
        oracle.run_as(0);
      }
      oracle.retried();
      return findings;
    }
    case rule::unbounded_work: {
      check::report findings;
      check::progress oracle{findings, {.most_accesses = 2}};
      for (int i = 0; i < 3; ++i) {
        if (right) oracle.asked_to_yield();
        oracle.before(quire::access_kind::load);
      }
      return findings;
    }
    case rule::census: {
      hand<direct> h;
      const table_address lost = h.table();
      if (right) h.policies.tables.give_back(lost);
      return h.ended();
    }
    case rule::difference: {
      hand<direct> h;
      model flat{input_address{0}, 64};
      static_cast<void>(flat.map(0, 1, output_address{0x400}, clean));
      h.store(h.pages, 0, h.leaf(right ? 0x400 : 0x800, 0));
      flat.differences(h.machine.memory(), h.root, h.findings());
      return h.ended();
    }
  }
  return check::report{};
}

constexpr auto last_rule = static_cast<unsigned char>(rule::difference);

}  // namespace

TEST_CASE("every rule has a program that breaks it, and a name") {
  for (unsigned char number = 0; number <= last_rule; ++number) {
    const rule each{number};
    INFO(check::name_of(each));
    CHECK(std::string(check::name_of(each)) != "unknown");
    const check::report found = play(each, false);
    INFO(found.text());
    CHECK(found.only(each));
  }
  CHECK(std::string(check::name_of(static_cast<rule>(last_rule + 1))) == "unknown");
}

TEST_CASE("every rule has a program that keeps it") {
  for (unsigned char number = 0; number <= last_rule; ++number) {
    INFO(check::name_of(static_cast<rule>(number)));
    CHECK(play(static_cast<rule>(number), true).text() == "");
  }
}

TEST_CASE("a report counts everything and keeps the first words") {
  check::report findings{2};
  CHECK(findings.empty());
  CHECK_FALSE(findings.only(rule::census));
  for (int i = 0; i < 5; ++i) findings.add(rule::census, "number " + std::to_string(i));
  CHECK(findings.total() == 5);
  CHECK(findings.count(rule::census) == 5);
  CHECK(findings.only(rule::census));
  CHECK(findings.findings().size() == 2);
  CHECK(findings.text() == "census: number 0\ncensus: number 1\n3 more\n");
  findings.add(rule::difference, "");
  CHECK_FALSE(findings.only(rule::census));
  findings.clear();
  CHECK(findings.empty());
  CHECK(findings.text() == "");
}

TEST_CASE("words of a message") {
  CHECK(check::hex(0) == "0x0");
  CHECK(check::hex(0xdead'beef) == "0xdeadbeef");
  CHECK(check::range_text(1, 16) == "[0x1, 0x10]");
  CHECK(check::entry_text(table_address{0x40}, 3) == "table 0x40 entry 3");
}
