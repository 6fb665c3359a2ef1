// SPDX-License-Identifier: MIT
// locking::shared under the explorer: the read side against itself, and against the harvest and the guest that writes.
// The code that runs is the shipped one; every order of its accesses that can make a difference is run.
#include <quire/check/explored_machine.hpp>
#include <quire/check/explorer.hpp>

#include "catch.hpp"

#include <chrono>

#include <quire/format/tiny.hpp>
#include <quire/table/page_table.hpp>

using namespace quire::check;
using quire::input_address;
using quire::write_grant;

namespace {

struct hardware_accessed : quire::tiny::format<quire::tiny::shape_options{
                               .levels = 2, .index_bits = 1, .leaf_levels = 0x1, .hardware_updates = true}> {};
struct software_only
    : quire::tiny::format<quire::tiny::shape_options{.levels = 2, .index_bits = 1, .leaf_levels = 0x1}> {};

using shared_locking = quire::locking::shared<explored_rw_lock>;

// Two pages, mapped, read-only for the log's sake, clean; what the guest wrote to each, and what was copied of it.
template <class F>
struct guest {
  using table_type = quire::page_table<F, explored_policies<F, shared_locking>>;
  static constexpr std::uint64_t pages = 2;

  explicit guest(trace& r)
      : run(r),
        machine({.units = 8, .cpus = 4}),
        state(machine, r),
        lock(r),
        sink({&log, pages}, r),
        table({machine, r, state}) {
    const bool made = table.create().has_value();
    auto session = table.exclusive(lock);
    const auto mapped = session.map(
        quire::input_range::sized(input_address{0}, pages * F::shape.page_bytes()), quire::output_address{0x1000},
        {.allowed = quire::readable, .may_write = true, .accessed = true}, {.largest_level = 0});
    if (!made || !mapped) run.fail("the table could not be built");
  }
  guest(const guest&) = delete;
  guest& operator=(const guest&) = delete;

  [[nodiscard]] static input_address at(std::uint64_t page) { return input_address{page * F::shape.page_bytes()}; }

  // ---- what threads do
  write_grant grant(std::uint64_t page) {
    return table.shared(lock).make_writable(at(page), [&] { sink.mark(page); });
  }
  // One store of the guest, faults included.
  void write(std::uint64_t page) {
    explored_cpu<F> cpu{machine, run};
    while (!cpu.access(at(page).value, access_type::write, [&](quire::output_address) { ++source[page]; }).ok())
      if (grant(page) > write_grant::already) return run.fail("the fast path gave up");
  }
  // Log and protection in one critical section; then what was marked is copied.
  void harvest() {
    std::uint64_t marked = 0;
    {
      auto session = table.exclusive(lock);
      marked = sink.take(0, ~std::uint64_t{0});
      static_cast<void>(session.write_protect(input_address{0}, marked));
    }
    copy(marked);
  }
  // The same without any lock, and if told so without telling the CPUs.
  void harvest_unlocked(bool invalidates = true) {
    const std::uint64_t marked = sink.take(0, ~std::uint64_t{0});
    for (std::uint64_t page = 0; page < pages; ++page)
      if ((marked >> page & 1U) != 0) change(page, [](auto entry) { return F::write_protect(entry); });
    if (invalidates) {
      table.policies().maintenance.before_invalidation();
      table.policies().invalidation.add({at(0), at(pages) - 1, 0, true, quire::invalidation_reason::reduced});
      table.policies().invalidation.complete();
    }
    copy(marked);
  }
  void copy(std::uint64_t marked) {
    for (std::uint64_t page = 0; page < pages; ++page) {
      if ((marked >> page & 1U) == 0) continue;
      run.read(page_object(page));
      copied[page] = source[page];
    }
  }

  // ---- after the run
  [[nodiscard]] quire::attributes attributes_of(std::uint64_t page) {
    return table.exclusive(lock).lookup(at(page))->attrs;
  }
  // The guest has stopped: what the log says is copied, then both sides must be equal.
  [[nodiscard]] std::string lost_writes() {
    harvest();
    std::string text;
    for (std::uint64_t page = 0; page < pages; ++page)
      if (copied[page] != source[page])
        text += "page " + std::to_string(page) + ": " + std::to_string(source[page] - copied[page]) + " writes lost ";
    return text;
  }
  [[nodiscard]] std::string ended() {
    machine.end_of_operation();
    return machine.findings().text();
  }

  trace& run;
  quire::check::machine<F> machine;
  explored_state<F> state;
  explored_rw_lock lock;
  std::uint64_t log = 0;
  explored_sink<quire::dirty_bitmap> sink;
  table_type table;
  unsigned source[pages] = {};
  unsigned copied[pages] = {};

 private:
  template <class Change>
  void change(std::uint64_t page, Change&& made) {
    const auto found = quire::descend<F>(table.policies().memory, *table.root(), at(page));
    auto entry = found.entry;
    while (!table.policies().memory.template compare_exchange<typename F::word>(found.table, found.index, entry,
                                                                                made(entry), quire::order::acq_rel)) {
    }
  }
};

// Adds the threads, runs, and asks `check` what is wrong.
template <class F, class Threads, class Check>
program scenario(Threads threads, Check check) {
  return [=](trace& run) -> std::string {
    guest<F> g{run};
    threads(g, run);
    if (!run.run()) return {};
    std::string wrong = check(g);
    return wrong += g.ended();
  };
}

exploration timed(const char* what, const program& body, const explore_options& options = {}) {
  const auto begin = std::chrono::steady_clock::now();
  auto found = explore(body, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  UNSCOPED_INFO(what << ": " << found.complete << " complete, " << found.cut << " cut, deepest " << found.deepest
                     << ", " << seconds << " s, " << static_cast<double>(found.traces()) / seconds << " traces/s");
  if (!found.finding.empty()) UNSCOPED_INFO(explain(body, shrink(body, found.schedule)));
  return found;
}

}  // namespace

#define QUIRE_ALL_ORDERS(what, body)           \
  do {                                         \
    const exploration all = timed(what, body); \
    CHECK(all.finding == "");                  \
    CHECK(all.exhaustive);                     \
  } while (false)

TEMPLATE_TEST_CASE("two write faults on one page", "", software_only, hardware_accessed) {
  bool both_orders[2] = {};
  QUIRE_ALL_ORDERS("two make_writable", (scenario<TestType>(
                                            [&](auto& g, trace& run) {
                                              for (unsigned i = 0; i < 2; ++i)
                                                run.add(i == 0 ? "first" : "second", [&g, &run, &both_orders, i] {
                                                  const write_grant given = g.grant(0);
                                                  if (given > write_grant::already) run.fail("not granted");
                                                  if (given == write_grant::granted) both_orders[i] = true;
                                                });
                                            },
                                            [](auto& g) -> std::string {
                                              if (!g.attributes_of(0).allowed.contains(quire::writable))
                                                return "not writable";
                                              return (g.log & 1U) != 0 ? "" : "not marked";
                                            })));
  CHECK(both_orders[0]);
  CHECK(both_orders[1]);
}

TEMPLATE_TEST_CASE("a write fault beside more rights", "", software_only, hardware_accessed) {
  QUIRE_ALL_ORDERS("make_writable, relax",
                   (scenario<TestType>(
                       [](auto& g, trace& run) {
                         run.add("writer", [&g, &run] {
                           if (g.grant(0) != write_grant::granted) run.fail("not granted");
                         });
                         run.add("other", [&g, &run] {
                           if (!g.table.shared(g.lock).relax(g.at(0), quire::readable | quire::executable))
                             run.fail("not relaxed");
                         });
                       },
                       [](auto& g) -> std::string {
                         const auto attrs = g.attributes_of(0);
                         return attrs.allowed.contains(quire::writable | quire::executable) ? "" : "a right was lost";
                       })));
}

TEMPLATE_TEST_CASE("a write fault beside aging", "", software_only, hardware_accessed) {
  QUIRE_ALL_ORDERS("make_writable, test_and_clear_accessed",
                   (scenario<TestType>(
                       [](auto& g, trace& run) {
                         run.add("writer", [&g, &run] {
                           if (g.grant(0) != write_grant::granted) run.fail("not granted");
                         });
                         run.add("aging", [&g, &run] {
                           const auto aged = g.table.shared(g.lock).test_and_clear_accessed(g.at(0));
                           if (!aged || !*aged) run.fail("it was accessed, and not found so");
                         });
                       },
                       [](auto& g) -> std::string {
                         return g.attributes_of(0).allowed.contains(quire::writable) ? "" : "the grant was lost";
                       })));
}

TEMPLATE_TEST_CASE("a guest that writes beside aging", "", software_only, hardware_accessed) {
  QUIRE_ALL_ORDERS("writer, test_and_clear_accessed twice",
                   (scenario<TestType>(
                       [](auto& g, trace& run) {
                         run.add("guest", [&g] { g.write(0); });
                         run.add("aging", [&g] {
                           for (int i = 0; i < 2; ++i)
                             static_cast<void>(g.table.shared(g.lock).test_and_clear_accessed(g.at(0)));
                         });
                       },
                       [](auto& g) -> std::string {
                         if (!g.attributes_of(0).allowed.contains(quire::writable)) return "the grant was lost";
                         return g.source[0] == 1 ? g.lost_writes() : "not one store";
                       })));
}

TEMPLATE_TEST_CASE("no write is lost between a guest that writes and a harvest", "", software_only, hardware_accessed) {
  const auto lost = [](auto& g) { return g.lost_writes(); };
  QUIRE_ALL_ORDERS("writer of two stores, harvest", (scenario<TestType>(
                                                        [](auto& g, trace& run) {
                                                          run.add("guest", [&g] {
                                                            g.write(0);
                                                            g.write(0);
                                                          });
                                                          run.add("harvest", [&g] { g.harvest(); });
                                                        },
                                                        lost)));
  QUIRE_ALL_ORDERS("writer, two harvests", (scenario<TestType>(
                                               [](auto& g, trace& run) {
                                                 run.add("guest", [&g] { g.write(0); });
                                                 run.add("harvest", [&g] {
                                                   g.harvest();
                                                   g.harvest();
                                                 });
                                               },
                                               lost)));
}

namespace {
program two_guests(std::uint64_t first, std::uint64_t second) {
  return scenario<software_only>(
      [=](auto& g, trace& run) {
        run.add("first", [&g, first] { g.write(first); });
        run.add("second", [&g, second] { g.write(second); });
        run.add("harvest", [&g] { g.harvest(); });
      },
      [](auto& g) { return g.lost_writes(); });
}
}  // namespace

// On one page there are too many orders to run them all here: those with two preemptions, and the first of the rest.
TEST_CASE("no write is lost between two guests and a harvest") {
  for (const std::uint64_t page : {0U, 1U}) {
    const auto bounded = timed("two writers, harvest, 2 preemptions", two_guests(0, page), {.preemptions = 2});
    CHECK(bounded.finding == "");
    CHECK(bounded.exhaustive);
    const auto first = timed("two writers, harvest", two_guests(0, page), {.most_traces = 100'000});
    CHECK(first.finding == "");
    CHECK(first.exhaustive == (page == 1));
  }
}

TEST_CASE("a harvest that leaves something out loses a page") {
  bool lost = false;
  const auto with = [&lost](auto harvest) {
    return scenario<software_only>(
        [harvest](auto& g, trace& run) {
          run.add("guest", [&g] {
            g.write(0);
            g.write(0);
          });
          run.add("harvest", [&g, harvest] { harvest(g); });
        },
        [&lost](auto& g) {
          const std::string text = g.lost_writes();
          lost = lost || !text.empty();
          return text;
        });
  };
  SECTION("the lock: the shipped fast path marks first") {
    const auto found = timed("no lock", with([](auto& g) { g.harvest_unlocked(); }));
    CHECK(found.finding.find("writes lost") != std::string::npos);
  }
  SECTION("the invalidation: the oracle tells before anything is lost") {
    const auto found = timed("no invalidation", with([](auto& g) {
                               g.lock.lock();
                               g.harvest_unlocked(false);
                               g.lock.unlock();
                             }),
                             {.stop_at_finding = false});
    CHECK(found.finding.find("stale_translation") != std::string::npos);
    CHECK(lost);
  }
}
