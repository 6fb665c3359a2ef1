// SPDX-License-Identifier: MIT
// locking::concurrent under the explorer: every two operations beside each other, on the same page, on its neighbour,
// on a block over it and beside it, from an empty table, from pages and from a block; in every order of their accesses
// that can make a difference, or in the first thousands where those are too many.
//
// What must hold after each run: no oracle has anything to say; each page is as one of the two sequences of the
// operations leaves it; no entry is left locked; no table is missing or left over.
#include <quire/check/explored_machine.hpp>
#include <quire/check/explorer.hpp>

#include "catch.hpp"

#include <algorithm>  // next_permutation
#include <cstdio>     // printf
#include <string>     // string
#include <vector>     // vector

#include <quire/format/tiny.hpp>
#include <quire/table/page_table.hpp>

#include "support/scale.hpp"

using namespace quire::check;
using quire::attributes;
using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::table_address;

namespace {

// Blocks of two pages under a root of two entries; as little as possible, and the hardware at its busiest.
struct software_only : quire::tiny::format<quire::tiny::shape_options{.levels = 2, .index_bits = 1}> {};
struct hardware_bits
    : quire::tiny::format<quire::tiny::shape_options{
          .levels = 2, .index_bits = 1, .hardware_updates = true, .break_before_make = true, .caches_invalid = true}> {
};

// Counts the writes to entries: whoever found one locked has to look again after the next write. If there was none
// since its walk began, the entry is locked indeed, and not one of a table that was unlinked meanwhile.
struct entry_clock {
  std::uint64_t writes = 0;
};
template <class Base>
class clocked_memory {
 public:
  clocked_memory(Base base, entry_clock& clock) noexcept : base_(base), clock_(&clock) {}

  template <class Word>
  [[nodiscard]] Word load(table_address t, std::size_t i, quire::order o) const noexcept {
    return base_.template load<Word>(t, i, o);
  }
  template <class Word>
  void store(table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    base_.template store<Word>(t, i, w, o);
    ++clock_->writes;
  }
  template <class Word>
  Word exchange(table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    const Word word = base_.template exchange<Word>(t, i, w, o);
    ++clock_->writes;
    return word;
  }
  template <class Word>
  [[nodiscard]] bool compare_exchange(table_address t, std::size_t i, Word& e, Word w, quire::order o) const noexcept {
    const bool done = base_.template compare_exchange<Word>(t, i, e, w, o);
    clock_->writes += done ? 1 : 0;
    return done;
  }
  template <class Word>
  Word fetch_and(table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    const Word word = base_.template fetch_and<Word>(t, i, w, o);
    ++clock_->writes;
    return word;
  }
  template <class Word>
  Word fetch_or(table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    const Word word = base_.template fetch_or<Word>(t, i, w, o);
    ++clock_->writes;
    return word;
  }

 private:
  Base base_;
  entry_clock* clock_;
};

// Sections that give a table back when the last one that was open at its retirement is left.
struct section_domain {
  struct waiting_table {
    table_address table;
    unsigned sections;
  };
  unsigned open = 0;
  std::vector<waiting_table> waiting;
};
template <class Source>
class explored_section {
 public:
  explored_section(trace& run, section_domain& domain, entry_clock& clock, Source& source, unsigned number) noexcept
      : run_(run), domain_(domain), clock_(clock), source_(source), number_(number) {}

  void enter() noexcept {
    run_.write({"section", number_});
    domain_.open |= 1U << number_;
    seen_ = clock_.writes;
  }
  void leave() noexcept {
    run_.write({"section", number_});
    domain_.open &= ~(1U << number_);
    for (std::size_t i = domain_.waiting.size(); i-- != 0;) {
      domain_.waiting[i].sections &= ~(1U << number_);
      if (domain_.waiting[i].sections != 0) continue;
      const table_address table = domain_.waiting[i].table;
      domain_.waiting.erase(domain_.waiting.begin() + static_cast<std::ptrdiff_t>(i));
      source_.give_back(table);
    }
  }
  void pause() noexcept {
    run_.wait_until({"entry", 0, ~std::uint64_t{0}}, [this] { return clock_.writes != seen_; });
    seen_ = clock_.writes;
  }
  template <class Links, class Tables>
  void retire(Links, Tables&, table_address table) noexcept {
    run_.announce({{action_kind::read, {"section", 0, most_threads}}, {action_kind::write, {"retired tables"}}});
    if (domain_.open == 0) source_.give_back(table);
    else domain_.waiting.push_back({table, domain_.open});
  }

 private:
  trace& run_;
  section_domain& domain_;
  entry_clock& clock_;
  Source& source_;
  unsigned number_;
  std::uint64_t seen_ = 0;  // writes when the walk began
};

// A thread's own tables: what one has reserved no other takes.
template <quire::pte_format F>
struct own_tables {
  typename quire::check::machine<F>::cache* stock;
  [[nodiscard]] bool reserve(std::size_t n) noexcept { return stock->reserve(n); }
  quire::result<table_address> take(quire::table_contents contents) noexcept { return stock->take(contents); }
  void give_back(table_address table) noexcept { stock->give_back(table); }
  quire::result<table_address> take_root(std::uint64_t) noexcept { return quire::errc::no_memory; }
  void give_back_root(table_address, std::uint64_t) noexcept {}
};

template <quire::pte_format F>
struct pair_policies : quire::policies {
  using observed =
      quire::observed_memory<quire::array_memory<typename F::word>, typename quire::check::machine<F>::observer>;
  using explored_base = explored_memory<observed>;
  using tables_type = explored_tables<tables_handle<F>>;
  using locking = quire::locking::concurrent<explored_section<tables_type>>;
  clocked_memory<explored_base> memory;
  maintenance_handle<F> maintenance;
  tables_type tables;
  explored_invalidation<own_cpu_invalidation<F>> invalidation;
  yield_handle<F> yield;

  pair_policies(quire::check::machine<F>& to, trace& run, entry_clock& clock)
      : memory(explored_base({to.memory(), &to.watch()}, run), clock),
        maintenance{&to},
        tables({&to}, run),
        invalidation({&to, &run}, run),
        yield{&to} {}
};

enum class verb : unsigned char {
  map_pages,
  map_block,
  unmap,
  protect,
  write_protect,
  restore,
  relax,
  grant,
  age,
  split,
  collapse,
  prune,
  count
};
constexpr const char* names[] = {"map_pages", "map_block", "unmap", "protect", "write_protect", "restore",
                                 "relax",     "grant",     "age",   "split",   "collapse",      "prune"};
enum class start : unsigned char { empty, pages, block };
constexpr const char* start_names[] = {"nothing", "pages", "a block"};

struct piece {
  std::uint64_t first;
  std::uint64_t count;
};
struct pair_of_operations {
  verb first;
  verb second;
  piece other;  // the first works on page 0
  start from;
};

// What software decides about a page.
struct page_state {
  bool mapped = false;
  unsigned rights = 0;
  bool may_write = false;
  friend bool operator==(const page_state&, const page_state&) = default;
};

template <class F>
struct world {
  static constexpr std::uint64_t pages = 4;
  static constexpr std::uint64_t page = F::shape.page_bytes();
  using policies_type = pair_policies<F>;
  using section_type = typename policies_type::locking::section;

  explicit world(trace& r, start from)
      : run(r),
        machine({.units = 16, .cpus = 4}),
        table(policies_type{machine, r, clock}),
        sections{{r, domain, clock, table.policies().tables, 0},
                 {r, domain, clock, table.policies().tables, 1},
                 {r, domain, clock, table.policies().tables, 2}},
        stocks{{&machine.tables(), machine.memory(), quire::table_unit_bytes<F>},
               {&machine.tables(), machine.memory(), quire::table_unit_bytes<F>},
               {&machine.tables(), machine.memory(), quire::table_unit_bytes<F>}} {
    bool made = table.create().has_value();
    if (from != start::empty) {
      const attributes wanted{.allowed = quire::read_write, .may_write = true};
      made = made && table.concurrent(sections[0])
                         .map(at({0, pages}), output_address{0x1000}, wanted, table.policies().tables,
                              {.largest_level = from == start::block ? 1 : 0});
    }
    if (!made) run.fail("the table could not be built");
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  [[nodiscard]] static input_range at(piece where) {
    return input_range::sized(input_address{where.first * page}, where.count * page);
  }

  void play(unsigned thread, verb what, piece where) {
    struct drop {
      void operator()(input_address, std::uint64_t) const noexcept {}
    };
    static constexpr drop dropped{};
    const input_range range = at(where);
    auto session = table.concurrent(sections[thread]);
    explored_tables<own_tables<F>> source{own_tables<F>{&stocks[thread]}, run};
    const attributes wanted{.allowed = quire::readable, .may_write = true};
    const output_address output{0x1000 + range.first().value};
    switch (what) {
      case verb::map_pages: static_cast<void>(session.map(range, output, wanted, source, {.largest_level = 0})); break;
      case verb::map_block: static_cast<void>(session.map(range, output, wanted, source)); break;
      case verb::unmap: static_cast<void>(session.unmap(range)); break;
      case verb::protect: static_cast<void>(session.protect(range, quire::readable, dropped)); break;
      case verb::write_protect: static_cast<void>(session.write_protect(range, dropped)); break;
      case verb::restore: static_cast<void>(session.restore_write(range)); break;
      case verb::relax: static_cast<void>(session.relax(range.first(), quire::read_execute)); break;
      case verb::grant: static_cast<void>(session.make_writable(range.first(), [] {})); break;
      case verb::age: static_cast<void>(session.test_and_clear_accessed(range)); break;
      case verb::split: static_cast<void>(session.split(range, 0, source)); break;
      case verb::collapse: static_cast<void>(session.collapse(range)); break;
      case verb::prune: static_cast<void>(session.prune(range)); break;
      case verb::count: break;
    }
  }
  // A CPU that reads a page while all this happens.
  void look(std::uint64_t number) {
    explored_cpu<F> cpu{machine, run};
    access_result result;
    static_cast<void>(cpu.walk(number * page, access_type::write, result));
  }

  [[nodiscard]] std::vector<page_state> states() {
    std::vector<page_state> all(pages);
    auto session = table.concurrent(sections[0]);
    for (std::uint64_t i = 0; i < pages; ++i) {
      const auto found = session.lookup(input_address{i * page});
      if (found)
        all[i] = {found->translate(input_address{i * page}).value == 0x1000 + i * page, found->attrs.allowed.bits,
                  found->attrs.may_write};
      else if (found.error().code != quire::errc::not_mapped) problem = "an entry is left locked";
    }
    return all;
  }
  [[nodiscard]] std::string ended() {
    if (!domain.waiting.empty()) return "a retired table was not given back";
    for (auto& stock : stocks) stock.drain();
    machine.end_of_operation();
    return problem + machine.findings().text();
  }

  trace& run;
  quire::check::machine<F> machine;
  entry_clock clock;
  section_domain domain;
  quire::page_table<F, policies_type> table;
  section_type sections[3];
  typename quire::check::machine<F>::cache stocks[3];
  std::string problem;
};

// Runs outside of any exploration: everything happens at once.
class at_once : public chooser {
 public:
  unsigned choose(const trace&) override { return nobody; }
};
template <class F>
std::vector<page_state> in_sequence(const pair_of_operations& p, bool swapped) {
  at_once who;
  trace::stacks none;
  trace run{who, none, 1};
  world<F> w{run, p.from};
  if (!swapped) w.play(0, p.first, {0, 1});
  w.play(1, p.second, p.other);
  if (swapped) w.play(0, p.first, {0, 1});
  return w.states();
}

template <class F>
program beside(const pair_of_operations& p, unsigned cpus) {
  const auto one = in_sequence<F>(p, false), other = in_sequence<F>(p, true);
  return [=](trace& run) -> std::string {
    world<F> w{run, p.from};
    run.add("first", [&w, &p] { w.play(0, p.first, {0, 1}); });
    run.add("second", [&w, &p] { w.play(1, p.second, p.other); });
    if (cpus != 0) run.add("cpu", [&w] { w.look(0); });
    if (!run.run()) return {};
    const auto now = w.states();
    for (std::size_t i = 0; i < now.size(); ++i)
      if (now[i] != one[i] && now[i] != other[i]) return "page " + std::to_string(i) + " is as in no sequence";
    return w.ended();
  };
}

struct totals {
  std::size_t scenarios = 0;
  std::size_t exhaustive = 0;
  std::size_t traces = 0;
};

template <class F>
void explore_pairs(totals& sum, unsigned cpus, std::size_t most) {
  constexpr piece others[] = {{0, 1}, {1, 1}, {0, 2}, {2, 1}};
  for (unsigned a = 0; a < static_cast<unsigned>(verb::count); ++a)
    for (unsigned b = a; b < static_cast<unsigned>(verb::count); ++b)
      for (const piece other : others)
        for (const start from : {start::empty, start::pages, start::block}) {
          const pair_of_operations p{static_cast<verb>(a), static_cast<verb>(b), other, from};
          const program body = beside<F>(p, cpus);
          exploration found = explore(body, {.most_traces = most});
          ++sum.scenarios;
          sum.exhaustive += found.exhaustive ? 1 : 0;
          sum.traces += found.traces();
          if (!found.exhaustive && found.finding.empty()) {
            found = explore(body, {.preemptions = 3, .most_traces = 3 * most});
            sum.traces += found.traces();
            std::printf("%s beside %s of %d from %d, from %s: %s\n", names[a], names[b], static_cast<int>(other.count),
                        static_cast<int>(other.first), start_names[static_cast<int>(from)],
                        found.exhaustive ? "three preemptions" : "the first orders of three preemptions");
          }
          INFO(names[a] << " of page 0 beside " << names[b] << " of " << other.count << " from " << other.first
                        << ", from " << start_names[static_cast<int>(from)]);
          if (!found.finding.empty()) {
            INFO(found.finding << "\n" << explain(body, shrink(body, found.schedule)));
            CHECK(found.finding == "");
          }
        }
}

}  // namespace

namespace {

// Three operations: the first on page 0, the second on page 0 or 1, the third on the block over both.
struct three_operations {
  verb what[3];
  piece where[3];
  start from;
};

template <class F>
std::vector<std::vector<page_state>> in_every_sequence(const three_operations& p) {
  std::vector<std::vector<page_state>> all;
  unsigned order[] = {0, 1, 2};
  do {
    at_once who;
    trace::stacks none;
    trace run{who, none, 1};
    world<F> w{run, p.from};
    for (const unsigned i : order) w.play(i, p.what[i], p.where[i]);
    all.push_back(w.states());
  } while (std::next_permutation(order, order + 3));
  return all;
}

template <class F>
program three_beside(const three_operations& p) {
  const auto expected = in_every_sequence<F>(p);
  return [=](trace& run) -> std::string {
    world<F> w{run, p.from};
    static constexpr const char* threads[] = {"first", "second", "third"};
    for (unsigned i = 0; i < 3; ++i) run.add(threads[i], [&w, &p, i] { w.play(i, p.what[i], p.where[i]); });
    if (!run.run()) return {};
    const auto now = w.states();
    for (std::size_t i = 0; i < now.size(); ++i) {
      bool known = false;
      for (const auto& one : expected) known = known || one[i] == now[i];
      if (!known) return "page " + std::to_string(i) + " is as in no sequence";
    }
    return w.ended();
  };
}

}  // namespace

// Three preemptions; two where only a share of the random testing is asked for, as this takes as long.
TEST_CASE("threes of operations with two or three preemptions") {
  constexpr verb verbs[] = {verb::map_pages, verb::unmap,    verb::write_protect, verb::grant,
                            verb::split,     verb::collapse, verb::prune};
  const unsigned bound = quire_test::scaled(100) < 100 ? 2 : 3;
  totals sum;
  for (std::size_t a = 0; a < std::size(verbs); ++a)
    for (std::size_t b = a; b < std::size(verbs); ++b)
      for (std::size_t c = b; c < std::size(verbs); ++c)
        for (const piece second : {piece{0, 1}, piece{1, 1}})
          for (const start from : {start::pages, start::block}) {
            const three_operations p{{verbs[a], verbs[b], verbs[c]}, {{0, 1}, second, {0, 2}}, from};
            const program body = three_beside<software_only>(p);
            const exploration found = explore(body, {.preemptions = bound});
            ++sum.scenarios;
            CHECK(found.exhaustive);
            sum.exhaustive += found.exhaustive ? 1 : 0;
            sum.traces += found.traces();
            INFO(names[static_cast<int>(p.what[0])] << ", " << names[static_cast<int>(p.what[1])] << ", "
                                                    << names[static_cast<int>(p.what[2])] << " from "
                                                    << start_names[static_cast<int>(from)]);
            if (!found.finding.empty()) {
              INFO(found.finding << "\n" << explain(body, shrink(body, found.schedule)));
              CHECK(found.finding == "");
            }
          }
  std::printf("%zu scenarios, %zu exhaustive for %u preemptions, %zu traces\n", sum.scenarios, sum.exhaustive, bound,
              sum.traces);
  CHECK(sum.scenarios == 84 * 2 * 2);
}

TEST_CASE("pairs of operations where software alone writes entries") {
  totals sum;
  explore_pairs<software_only>(sum, 0, quire_test::scaled(20'000));
  std::printf("%zu scenarios, %zu exhaustive, %zu traces\n", sum.scenarios, sum.exhaustive, sum.traces);
  CHECK(sum.scenarios == 78 * 4 * 3);
}
TEST_CASE("pairs of operations beside a CPU that sets accessed and dirty") {
  totals sum;
  explore_pairs<hardware_bits>(sum, 1, quire_test::scaled(1'000));
  std::printf("%zu scenarios, %zu exhaustive, %zu traces\n", sum.scenarios, sum.exhaustive, sum.traces);
  CHECK(sum.scenarios == 78 * 4 * 3);
}
