// SPDX-License-Identifier: MIT
// One small table of locking::concurrent, threads that each make one operation on it, and what must hold afterwards.
#pragma once

#include <quire/check/explored_sections.hpp>  // explored_section
#include <quire/format/tiny.hpp>              // tiny::format
#include <quire/table/page_table.hpp>         // page_table

#include <algorithm>  // next_permutation
#include <array>      // array
#include <string>     // string
#include <vector>     // vector

#include "explore/scenarios.hpp"  // scenario

namespace quire_test {

namespace check = quire::check;
using check::trace;
using quire::attributes;
using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::table_address;

// Blocks of two pages under a root of two entries: as little as possible; the hardware at its busiest; groups of two
// pages in tables of four; a level more.
struct software_only : quire::tiny::format<quire::tiny::shape_options{.levels = 2, .index_bits = 1}> {};
struct hardware_bits
    : quire::tiny::format<quire::tiny::shape_options{
          .levels = 2, .index_bits = 1, .hardware_updates = true, .break_before_make = true, .caches_invalid = true}> {
};
struct groups_of_two : quire::tiny::format<quire::tiny::shape_options{
                           .levels = 2, .groups = quire::tiny::group_encoding::own_output, .break_before_make = true}> {
};
struct three_levels
    : quire::tiny::format<quire::tiny::shape_options{.levels = 3, .index_bits = 1, .leaf_levels = 0x7}> {};

enum class verb : unsigned char {
  map_pages,
  map_block,
  unmap,
  annotate,
  protect,
  write_protect,
  write_protect_mask,
  restore,
  set_accessed,
  relax,
  grant,
  age_page,
  age,
  clean,
  split,
  collapse,
  prune,
  look,
};
inline constexpr const char* verb_names[] = {
    "map_pages", "map_block",    "unmap", "annotate", "protect",  "write_protect", "write_protect_mask",
    "restore",   "set_accessed", "relax", "grant",    "age_page", "age",           "clean",
    "split",     "collapse",     "prune", "look"};
inline constexpr unsigned verbs = std::size(verb_names);

enum class start : unsigned char { empty, half, pages, block };
inline constexpr const char* start_names[] = {"nothing", "every other", "pages", "blocks"};
inline constexpr start all_starts[] = {start::empty, start::half, start::pages, start::block};

struct piece {
  std::uint64_t first;
  std::uint64_t count;
};
struct operation_on {
  verb what;
  piece where;
  [[nodiscard]] std::string text() const {
    std::string name = verb_names[static_cast<std::size_t>(what)];
    name += " " + std::to_string(where.first);
    if (where.count != 1) name += ".." + std::to_string(where.first + where.count - 1);
    return name;
  }
};

// What software decides about a page.
struct page_state {
  bool mapped = false;
  bool marked = false;
  unsigned rights = 0;
  bool may_write = false;
  friend bool operator==(const page_state&, const page_state&) = default;
};

template <class F>
class table_world {
 public:
  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t pages = std::uint64_t{1} << (F::shape.input_bits() - F::shape.page_bits);
  static constexpr std::uint64_t base = 0x1000;  // where page 0 leads
  static constexpr unsigned threads = 4;
  using section_type = check::explored_section<F>;
  using policies_type = check::explored_policies<F, quire::locking::concurrent<section_type>>;
  using table_type = quire::page_table<F, policies_type>;
  using cache_type = typename check::machine<F>::cache;

  // A thread's own tables: what one has reserved no other takes.
  struct own_tables {
    cache_type* stock;
    [[nodiscard]] bool reserve(std::size_t n) noexcept { return stock->reserve(n); }
    quire::result<table_address> take(quire::table_contents contents) noexcept { return stock->take(contents); }
    void give_back(table_address gone) noexcept { stock->give_back(gone); }
    quire::result<table_address> take_root(std::uint64_t) noexcept { return quire::errc::no_memory; }
    void give_back_root(table_address, std::uint64_t) noexcept {}
  };

  table_world(trace& r, start from)
      : run(r),
        machine({.units = 24, .cpus = threads}),
        state(machine, r),
        epochs(machine, r, state),
        table(policies_type{machine, r, state}) {
    for (unsigned i = 0; i < threads; ++i)
      stocks.emplace_back(&machine.tables(), machine.memory(), quire::table_unit_bytes<F>);
    bool made = table.create().has_value();
    const auto map = [&](piece where, int level) {
      const attributes wanted{.allowed = quire::read_write, .may_write = true};
      made = made && table.concurrent(epochs.section(0))
                         .map(at(where), behind(at(where)), wanted, table.policies().tables, {.largest_level = level});
    };
    // Half of them: every other page, or with three levels every other table of pages.
    constexpr std::uint64_t unit = F::shape.levels == 2 ? 1 : F::shape.entries(0);
    if (from == start::half)
      for (std::uint64_t i = unit; i < pages; i += 2 * unit) map({i, unit}, 0);
    else if (from != start::empty) map({0, pages}, from == start::block ? 1 : 0);
    if (!made) run.fail("the table could not be built");
  }
  table_world(const table_world&) = delete;
  table_world& operator=(const table_world&) = delete;

  [[nodiscard]] static input_range at(piece where) {
    return input_range::sized(input_address{where.first * page}, where.count * page);
  }
  [[nodiscard]] static output_address behind(input_range range) { return output_address{base + range.first().value}; }

  void play(unsigned thread, operation_on op) {
    auto session = table.concurrent(epochs.section(thread));
    play(session, thread, op);
  }
  template <class Session>
  void play(Session& session, unsigned thread, operation_on op) {
    struct drop {
      void operator()(input_address, std::uint64_t) const noexcept {}
    };
    static constexpr drop dropped{};
    const input_range range = at(op.where);
    check::explored_tables<own_tables> source{own_tables{&stocks[thread]}, run};
    const attributes wanted{.allowed = quire::readable, .may_write = true};
    const auto mask = (std::uint64_t{1} << op.where.count) - 1;
    const auto done = [](auto&&) {};
    switch (op.what) {
      case verb::map_pages: return done(session.map(range, behind(range), wanted, source, {.largest_level = 0}));
      case verb::map_block: return done(session.map(range, behind(range), wanted, source));
      case verb::unmap: return done(session.unmap(range));
      case verb::annotate: return done(session.annotate(range, 5, source));
      case verb::protect: return done(session.protect(range, quire::readable, dropped));
      case verb::write_protect: return done(session.write_protect(range, dropped));
      case verb::write_protect_mask: return done(session.write_protect(range.first(), mask, dropped));
      case verb::restore: return done(session.restore_write(range));
      case verb::set_accessed: return done(session.set_accessed(range));
      case verb::relax: return done(session.relax(range.first(), quire::read_execute));
      case verb::grant: return done(session.make_writable(range.first(), [] {}));
      case verb::age_page: return done(session.test_and_clear_accessed(range.first()));
      case verb::age: return done(session.test_and_clear_accessed(range));
      case verb::clean: return done(session.read_and_clear_dirty(range, dropped));
      case verb::split: return done(session.split(range, 0, source));
      case verb::collapse: return done(session.collapse(range));
      case verb::prune: return done(session.prune(range));
      case verb::look: {
        const auto found = session.lookup(range.first());
        if (found && found->translate(range.first()) != behind(range)) run.fail("a page leads elsewhere");
        return;
      }
    }
  }
  // A CPU that reads a page while all this happens, for a store, so it sets accessed and dirty.
  void look(std::uint64_t number) {
    check::explored_cpu<F> cpu{machine, run};
    check::access_result result;
    static_cast<void>(cpu.walk(number * page, check::access_type::write, result));
  }
  void collect(unsigned thread) { table.collect(epochs.section(thread)); }

  // ---- after the run
  [[nodiscard]] std::vector<page_state> states() {
    std::vector<page_state> all(pages);
    auto session = table.concurrent(epochs.section(0));
    for (std::uint64_t i = 0; i < pages; ++i) {
      const input_address address{i * page};
      const auto found = session.lookup(address);
      if (found)
        all[i] = {found->translate(address).value == base + i * page, false, found->attrs.allowed.bits,
                  found->attrs.may_write};
      else if (found.error().code == quire::errc::marked) all[i] = {.marked = true};
      else if (found.error().code != quire::errc::not_mapped) problem = "an entry is left locked\n";
    }
    return all;
  }
  // Everything retired is given back, and no oracle has anything to say.
  [[nodiscard]] std::string ended() {
    for (int rounds = 0; rounds < 4; ++rounds)
      for (unsigned i = 0; i < threads; ++i) collect(i);
    for (auto& stock : stocks) stock.drain();
    machine.end_of_operation();
    return problem + machine.findings().text();
  }

  trace& run;
  check::machine<F> machine;
  check::explored_state<F> state;
  check::explored_epochs<F> epochs;
  table_type table;
  std::vector<cache_type> stocks;
  std::string problem;
};

// Runs outside of any exploration: everything happens at once.
class at_once : public check::chooser {
 public:
  unsigned choose(const trace&) override { return check::nobody; }
};

// The pages' states after each sequence of the operations.
template <class F>
[[nodiscard]] std::vector<std::vector<page_state>> after_every_sequence(const std::vector<operation_on>& ops,
                                                                        start from) {
  std::vector<std::vector<page_state>> all;
  std::vector<unsigned> order(ops.size());
  for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
  do {
    at_once who;
    trace::stacks none;
    trace run{who, none, 1};
    table_world<F> w{run, from};
    for (const unsigned i : order) w.play(i, ops[i]);
    all.push_back(w.states());
  } while (std::next_permutation(order.begin(), order.end()));
  return all;
}

inline constexpr const char* thread_names[] = {"first", "second", "third", "fourth"};

// The operations beside one another, and if asked for a CPU that walks to page 0. Each page must be as after one of
// their sequences. (Not all pages after the same one: operations of a range work entry by entry.)
template <class F>
[[nodiscard]] scenario beside(const char* format, const std::vector<operation_on>& ops, start from, bool cpu) {
  std::string name = std::string(format) + (cpu ? " with a CPU" : "") + ": ";
  for (const operation_on& op : ops) name += op.text() + ", ";
  name += std::string("from ") + start_names[static_cast<std::size_t>(from)];
  const auto expected = after_every_sequence<F>(ops, from);
  return {std::move(name), [=](trace& run) -> std::string {
            table_world<F> w{run, from};
            for (unsigned i = 0; i < ops.size(); ++i) run.add(thread_names[i], [&w, &ops, i] { w.play(i, ops[i]); });
            if (cpu) run.add("cpu", [&w] { w.look(0); });
            if (!run.run()) return {};
            const auto now = w.states();
            for (std::size_t i = 0; i < now.size(); ++i) {
              bool known = false;
              for (const auto& one : expected) known = known || one[i] == now[i];
              if (!known) return "page " + std::to_string(i) + " is as in no sequence";
            }
            return w.ended();
          }};
}

// Every two operations: the first on page 0, the second on the same page, its neighbour in the table, the block over
// both, and a page of another table.
template <class F>
[[nodiscard]] scenarios every_pair(const char* format, bool cpu, unsigned every = 1) {
  constexpr piece others[] = {{0, 1}, {1, 1}, {0, 2}, {table_world<F>::pages - 2, 1}};
  scenarios all;
  unsigned number = 0;
  for (unsigned a = 0; a < verbs; ++a)
    for (unsigned b = a; b < verbs; ++b)
      for (const piece other : others)
        for (const start from : all_starts)
          if (number++ % every == 0)
            all.push_back(
                beside<F>(format, {{static_cast<verb>(a), {0, 1}}, {static_cast<verb>(b), other}}, from, cpu));
  return all;
}

// Three operations that change structure or rights: on page 0, on page 0 or 1, and on the block over both.
[[nodiscard]] inline scenarios every_three() {
  constexpr verb some[] = {verb::map_pages, verb::unmap,    verb::write_protect, verb::grant,
                           verb::split,     verb::collapse, verb::prune};
  scenarios all;
  for (std::size_t a = 0; a < std::size(some); ++a)
    for (std::size_t b = a; b < std::size(some); ++b)
      for (std::size_t c = b; c < std::size(some); ++c)
        for (const piece second : {piece{0, 1}, piece{1, 1}})
          for (const start from : {start::pages, start::block})
            all.push_back(beside<software_only>("software", {{some[a], {0, 1}}, {some[b], second}, {some[c], {0, 2}}},
                                                from, false));
  for (scenario& one : all) one.preemptions = 2;
  return all;
}

// Structure of three levels: tables that hold tables are unlinked, split and collapsed beside everything else.
[[nodiscard]] inline scenarios deep_pairs() {
  constexpr verb whole[] = {verb::map_block, verb::unmap, verb::split,
                            verb::collapse,  verb::prune, verb::write_protect};
  scenarios all;
  for (const verb first : whole)
    for (unsigned b = 0; b < verbs; ++b)
      for (const piece other : {piece{0, 1}, piece{0, 2}, piece{0, 4}, piece{2, 2}})
        for (const start from : all_starts)
          all.push_back(
              beside<three_levels>("three levels", {{first, {0, 4}}, {static_cast<verb>(b), other}}, from, false));
  return all;
}

// Groups: what changes a group whole beside everything.
[[nodiscard]] inline scenarios group_pairs() {
  constexpr verb whole[] = {verb::map_block, verb::unmap, verb::write_protect, verb::restore,
                            verb::age,       verb::split, verb::collapse,      verb::clean};
  scenarios all;
  for (const verb first : whole)
    for (unsigned b = 0; b < verbs; ++b)
      for (const piece other : {piece{0, 1}, piece{1, 1}, piece{0, 4}})
        for (const start from : all_starts)
          all.push_back(beside<groups_of_two>("groups", {{first, {0, 2}}, {static_cast<verb>(b), other}}, from, false));
  return all;
}

// The table is closed and destroyed beside every operation: nobody is inside a table that goes, and all go.
[[nodiscard]] inline scenarios destroy_beside_everything() {
  using F = software_only;
  scenarios all;
  for (unsigned a = 0; a < verbs; ++a)
    for (unsigned b = a; b < verbs; b += 3)
      for (const start from : all_starts) {
        const operation_on one{static_cast<verb>(a), {0, 2}}, other{static_cast<verb>(b), {0, 1}};
        std::string name = "software: destroy beside " + one.text() + ", " + other.text() + ", from " +
                           start_names[static_cast<std::size_t>(from)];
        all.push_back({std::move(name), [=](trace& run) -> std::string {
                         table_world<F> w{run, from};
                         run.add("first", [&w, one] { w.play(0, one); });
                         run.add("second", [&w, other] { w.play(1, other); });
                         run.add("destroy", [&w] {
                           w.table.close();
                           w.epochs.wait_for_sections();
                           w.machine.stop();
                           if (!w.table.destroy(~std::size_t{0})) w.run.fail("destroy did not end");
                         });
                         if (!run.run()) return {};
                         std::string wrong = w.ended();
                         if (w.machine.tables().live_blocks() != 0) wrong += "tables are left\n";
                         return wrong;
                       }});
      }
  return all;
}

// Tables are given back as soon as they may be, beside somebody who looks, and their memory is used again at once.
[[nodiscard]] inline scenarios reclaim_beside_everything() {
  scenarios all;
  const auto add = [&]<class F>(const char* format, verb unlinks, piece where, verb beside, start from) {
    const operation_on one{unlinks, where}, other{beside, {0, 1}}, again{verb::map_pages, {0, 1}};
    std::string name = std::string(format) + ": reclaim after " + one.text() + " beside " + other.text() + ", from " +
                       start_names[static_cast<std::size_t>(from)];
    all.push_back({std::move(name), [=](trace& run) -> std::string {
                     table_world<F> w{run, from};
                     run.add("first", [&w, one, again] {
                       w.play(0, one);
                       for (int i = 0; i < 3; ++i) w.collect(0);
                       w.play(0, again);
                     });
                     run.add("second", [&w, other] { w.play(1, other); });
                     run.add("reader", [&w] { w.play(2, {verb::look, {0, 1}}); });
                     if (!run.run()) return {};
                     static_cast<void>(w.states());
                     return w.ended();
                   }});
  };
  for (unsigned b = 0; b < verbs; ++b) {
    const auto other = static_cast<verb>(b);
    add.operator()<software_only>("software", verb::unmap, {0, 2}, other, start::pages);
    add.operator()<software_only>("software", verb::collapse, {0, 2}, other, start::pages);
    add.operator()<software_only>("software", verb::prune, {0, 2}, other, start::pages);
    add.operator()<three_levels>("three levels", verb::unmap, {0, 4}, other, start::pages);
    add.operator()<three_levels>("three levels", verb::unmap, {0, 4}, other, start::half);
  }
  return all;
}

}  // namespace quire_test
