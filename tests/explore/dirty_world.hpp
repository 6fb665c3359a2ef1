// SPDX-License-Identifier: MIT
// A guest of two pages under the explorer: the shipped dirty_log, fault_handler and invalidation_sequence, vCPUs that
// store, a harvester that copies what it is told, and a host that moves pages. Whatever happens, no store may be lost.
#pragma once

#include <quire/check/explored_sections.hpp>  // explored_section
#include <quire/dirty/fault.hpp>              // fault_handler
#include <quire/format/tiny.hpp>              // tiny::format

#include <array>   // array
#include <string>  // string

#include "explore/world.hpp"  // software_only, hardware_bits

namespace quire_test {

using quire::dirty_order;
using quire::harvest_order;

// ---- how faults and harvest are kept apart, and in which orders they work
template <class F, dirty_order Dirty, harvest_order Harvest>
struct with_a_lock {
  using guard_type = check::explored_rw_lock;
  struct locking : quire::locking::shared<guard_type> {
    static constexpr dirty_order dirty = Dirty;
    static constexpr harvest_order harvest = Harvest;
  };
  static constexpr const char* name = "a lock";
};
template <class F, dirty_order Dirty, harvest_order Harvest>
struct without_a_lock {
  using guard_type = check::explored_section<F>;
  struct locking : quire::locking::concurrent<guard_type> {
    static constexpr dirty_order dirty = Dirty;
    static constexpr harvest_order harvest = Harvest;
    using loses_pages_on_purpose = void;
  };
  static constexpr const char* name = "no lock";
};
template <class F>
using in_sections = without_a_lock<F, dirty_order::grant_then_mark, harvest_order::clear_then_protect>;

template <class F, class Access>
class guest_world {
 public:
  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t pages = 2;  // of the slot, all of one table
  static constexpr unsigned threads = 4;
  using guard_type = typename Access::guard_type;
  static constexpr bool locked = std::is_same_v<guard_type, check::explored_rw_lock>;
  using policies_type = check::explored_policies<F, typename Access::locking>;
  using table_type = quire::page_table<F, policies_type>;
  using sink_type = check::explored_sink<quire::dirty_bitmap>;
  using log_type = quire::dirty_log<table_type, guard_type, sink_type>;
  using cache_type =
      quire::table_cache<check::arena<typename F::word>, quire::array_memory<typename F::word>, typename F::word>;

  // Guest page p lies in a frame of the host, first frame p of those from 2 on.
  class backing {
   public:
    explicit backing(trace& run) noexcept : run_(&run) {}
    int largest = 0;
    std::array<std::uint64_t, pages> frame{2, 3};
    bool writable = true;

    quire::result<quire::host_page> resolve(const quire::memory_slot&, input_address at, bool) noexcept {
      const std::uint64_t number = at.value / page;
      run_->read({"host page", number});
      return quire::host_page{output_address{frame[number] * page}, writable, largest};
    }
    int mapped_level(const quire::memory_slot&, input_address) noexcept { return largest; }

   private:
    trace* run_;
  };
  using handler_type = quire::fault_handler<table_type, guard_type, backing, sink_type>;

  explicit guest_world(trace& r)
      : run(r),
        machine({.units = 24, .cpus = threads}),
        state(machine, r),
        epochs(machine, r, state),
        lock(r),
        table(policies_type{machine, r, state}),
        sequence(check::explored_words{r, state.words}),
        host(r),
        sink({&bits, pages}, r),
        log(table, guard(3), {.first = input_address{0}, .pages = pages}, sink, control) {
    for (unsigned i = 0; i < threads; ++i) {
      stocks.emplace_back(&machine.tables(), machine.memory(), quire::table_unit_bytes<F>);
      handlers.emplace_back(table, guard(i), sequence, host, quire::fault_path::fast);
      if (!stocks[i].top_up(4)) run.fail("no memory");
    }
    if (!table.create()) run.fail("no root");
  }
  guest_world(const guest_world&) = delete;
  guest_world& operator=(const guest_world&) = delete;

  [[nodiscard]] guard_type& guard(unsigned thread) noexcept {
    if constexpr (locked) return lock;
    else return epochs.section(thread);
  }
  [[nodiscard]] static input_address at(std::uint64_t number) { return input_address{number * page}; }
  [[nodiscard]] static input_range all() { return input_range::sized(at(0), pages * page); }

  // ---- before the threads start
  void map(int level, attributes wanted = {.allowed = quire::read_write, .may_write = true}) {
    auto session = table.session(guard(0));
    wanted.dirty = F::facts.has_dirty && wanted.allowed.contains(quire::writable);
    if (!session.map(all(), output_address{host.frame[0] * page}, wanted, stocks[0], {.largest_level = level}))
      run.fail("not mapped");
    host.largest = level;
  }
  void enable(bool manual = false) { expect(log.enable({.manual_protect = manual}, stocks[0]).has_value(), "enable"); }

  // ---- what threads do
  // One store of the guest's, faults included.
  void write(unsigned thread, std::uint64_t number) {
    check::explored_cpu<F> cpu{machine, run};
    for (;;) {
      const auto store = [&](output_address to) {
        if (to.value / page != host.frame[number]) stores_elsewhere = true;
        ++content[to.value / page];
        ++stores[number];
      };
      if (cpu.access(at(number).value, check::access_type::write, store).ok()) return;
      const auto writes = [this, thread] {
        return state.entries.by_others(thread) + state.words.clock.by_others(thread);
      };
      const std::uint64_t seen = writes();
      const auto said = handlers[thread].handle({at(number), quire::writable}, &log, stocks[thread]);
      if (said && said->outcome != quire::fault_outcome::retry) ++answered[number];
      if (!said) return run.fail(std::string("the fault failed: ") + quire::name_of(said.error().code));
      if (said->outcome == quire::fault_outcome::retry)  // somebody is at work: look again when he did something
        run.block({{check::action_kind::wait, check::every_entry()}, {check::action_kind::wait, state.words.all()}},
                  [&] { return writes() != seen; });
    }
  }
  // Takes the log, and copies the pages that it names.
  void harvest() {
    std::uint64_t taken = 0;
    if (!log.get(&taken, stocks[3])) return run.fail("get");
    copy(taken);
  }
  void copy(std::uint64_t which) {
    for (std::uint64_t i = 0; i < pages; ++i) {
      if ((which >> i & 1U) == 0) continue;
      run.read(check::page_object(i));
      copied[i] = content[host.frame[i]];
    }
  }
  // The host moves a page to another frame, as a notifier does.
  void move(unsigned thread, std::uint64_t number, std::uint64_t to) {
    const input_range range = input_range::sized(at(number), page);
    const auto change = begin(thread, range);
    run.announce(
        {{check::action_kind::write, {"host page", number}}, {check::action_kind::write, check::page_object(number)}});
    content[to] = content[host.frame[number]];
    host.frame[number] = to;
    if constexpr (locked) {
      lock.lock();
      sequence.end(change);
      lock.unlock();
    } else {
      sequence.end(change);
    }
  }

  // What write_protect() promises once it is complete: a CPU that may store to a page that is protected has found it
  // writable since, for its fault was answered; and that somebody has protected it again, he has still to complete.
  void expect_no_writer(const std::array<std::uint64_t, pages>& answered_before) {
    for (const auto& cpu : machine.mmu().cpus())
      for (const check::cached_translation& cached : cpu.translations) {
        if (!cached.mapped || !cached.allowed.contains(quire::writable)) continue;
        for (std::uint64_t i = 0; i < pages; ++i) {
          if (!cached.covers(at(i).value) || answered[i] != answered_before[i]) continue;
          const auto now = check::translate<F>(machine.memory(), machine.root(), at(i).value);
          if (!now.mapped() || !now.attrs.allowed.contains(quire::writable))
            return run.fail("a CPU may write where all was protected");
        }
      }
  }

  // ---- after the run
  [[nodiscard]] std::string lost_writes() {
    if (log.enabled()) harvest();
    std::string text;
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (content[host.frame[i]] != stores[i]) text += "page " + std::to_string(i) + " is not what was stored\n";
      if (log.enabled() && copied[i] != stores[i]) text += "page " + std::to_string(i) + ": a write was lost\n";
    }
    if (stores_elsewhere) text += "a store went to a page that the host had given away\n";
    return text;
  }
  [[nodiscard]] std::string ended() {
    if constexpr (!locked)
      for (int rounds = 0; rounds < 4; ++rounds)
        for (unsigned i = 0; i < threads; ++i) table.collect(epochs.section(i));
    for (auto& stock : stocks) stock.drain();
    machine.end_of_operation();
    return machine.findings().text();
  }

  trace& run;
  check::machine<F> machine;
  check::explored_state<F> state;
  check::explored_epochs<F> epochs;
  check::explored_rw_lock lock;
  table_type table;
  typename handler_type::sequence_type sequence;
  backing host;
  quire::eager_split_control control;
  std::uint64_t bits = 0;
  sink_type sink;
  log_type log;
  std::vector<cache_type> stocks;
  std::vector<handler_type> handlers;
  std::array<unsigned, 8> content{};            // by frame: how many stores it holds
  std::array<unsigned, pages> stores{};         // how many were made
  std::array<unsigned, pages> copied{};         // what the harvester has
  std::array<std::uint64_t, pages> answered{};  // faults of the page
  bool stores_elsewhere = false;

 private:
  void expect(bool fine, const char* what) {
    if (!fine) run.fail(what);
  }
  auto begin(unsigned thread, input_range range) {
    auto session = table.session(guard(thread));
    const auto change = sequence.begin(range);
    if constexpr (locked) expect(session.unmap(range, quire::partial::split, stocks[thread]).has_value(), "unmap");
    else expect(session.unmap(range).has_value(), "unmap");
    session.complete();
    return change;
  }
};

// `prepare(world)`, then the threads that `add(world, run)` adds, then what `check(world)` says.
template <class F, class Access, class Prepare, class Add>
[[nodiscard]] scenario guest_scenario(std::string name, Prepare prepare, Add add, std::string expected = {}) {
  return {std::move(name),
          [=](trace& run) -> std::string {
            guest_world<F, Access> w{run};
            prepare(w);
            add(w, run);
            if (!run.run()) return {};
            std::string wrong = w.lost_writes();
            return wrong += w.ended();
          },
          std::move(expected)};
}

namespace detail {

template <template <class, dirty_order, harvest_order> class Access, dirty_order Dirty, harvest_order Harvest>
void add_cell(scenarios& all, bool safe) {
  using F = software_only;
  using access = Access<F, Dirty, Harvest>;
  const std::string name = std::string("orders with ") + access::name +
                           (Dirty == dirty_order::mark_then_grant ? ": mark, grant | " : ": grant, mark | ") +
                           (Harvest == harvest_order::clear_then_protect ? "clear, protect" : "protect, clear");
  all.push_back(guest_scenario<F, access>(
      name,
      [](auto& w) {
        w.map(0);
        w.enable();
      },
      [](auto& w, trace& run) {
        run.add("guest", [&w] {
          w.write(0, 0);
          w.write(0, 0);
          w.write(0, 0);
        });
        run.add("harvest", [&w] { w.harvest(); });
      },
      safe ? "" : "a write was lost"));
}

}  // namespace detail

// Marking against granting, clearing against protecting, with a lock between the two and without: the table of eight.
[[nodiscard]] inline scenarios eight_orders() {
  using enum dirty_order;
  using enum harvest_order;
  scenarios all;
  detail::add_cell<with_a_lock, mark_then_grant, clear_then_protect>(all, true);
  detail::add_cell<with_a_lock, grant_then_mark, clear_then_protect>(all, true);
  detail::add_cell<with_a_lock, mark_then_grant, protect_then_clear>(all, true);
  detail::add_cell<with_a_lock, grant_then_mark, protect_then_clear>(all, true);
  detail::add_cell<without_a_lock, mark_then_grant, clear_then_protect>(all, false);
  detail::add_cell<without_a_lock, grant_then_mark, clear_then_protect>(all, true);
  detail::add_cell<without_a_lock, mark_then_grant, protect_then_clear>(all, false);
  detail::add_cell<without_a_lock, grant_then_mark, protect_then_clear>(all, false);
  return all;
}

// ---- dirty logging and faults beside one another, on one format and with one kind of access

template <class F, class Access>
[[nodiscard]] scenarios logging_scenarios(const char* format) {
  scenarios all;
  const auto add = [&](const char* what, auto prepare, auto threads) {
    all.push_back(
        guest_scenario<F, Access>(std::string(format) + " with " + Access::name + ": " + what, prepare, threads));
  };
  const auto logged_pages = [](auto& w) {
    w.map(0);
    w.enable();
  };
  const auto logged_block = [](auto& w) {
    w.map(1);
    w.enable();
  };
  const auto nothing = [](auto&) {};
  const auto read_only_pages = [](auto& w) { w.map(0, {.allowed = quire::readable, .may_write = true}); };
  const auto writer = [](auto& w, trace& run, unsigned thread, std::uint64_t page, int times = 1) {
    run.add(thread == 0 ? "guest" : "other guest", [&w, thread, page, times] {
      for (int i = 0; i < times; ++i) w.write(thread, page);
    });
  };
  const auto harvester = [](auto& w, trace& run, int times = 1) {
    run.add("harvest", [&w, times] {
      for (int i = 0; i < times; ++i) w.harvest();
    });
  };
  const auto enabler = [](auto& w, trace& run) {
    run.add("enable", [&w] {
      w.enable();
      w.copy(3);
    });
  };

  add("two guests on one page, harvest", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0);
    writer(w, run, 1, 0);
    harvester(w, run);
  });
  add("two guests on two pages, harvest", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0);
    writer(w, run, 1, 1);
    harvester(w, run);
  });
  add("guest, two harvests one after the other", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    harvester(w, run, 2);
  });
  add("guest on a block, harvest", logged_block, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    harvester(w, run);
  });
  add(
      "guest where nothing is, harvest", [](auto& w) { w.enable(); },
      [=](auto& w, trace& run) {
        writer(w, run, 0, 0, 2);
        harvester(w, run);
      });
  add("the log is switched on beside a guest on read-only pages", read_only_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    enabler(w, run);
  });
  add(
      "the log is switched on beside a guest on a block", [](auto& w) { w.map(1); },
      [=](auto& w, trace& run) {
        writer(w, run, 0, 0, 2);
        enabler(w, run);
      });
  add("the log is switched on beside a guest where nothing is", nothing, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    enabler(w, run);
  });
  add(
      "the log is switched on beside a guest where a block will be", [](auto& w) { w.host.largest = 1; },
      [=](auto& w, trace& run) {
        writer(w, run, 0, 0, 2);
        enabler(w, run);
      });
  for (const auto recovery :
       {quire::block_recovery::none, quire::block_recovery::in_place, quire::block_recovery::on_fault}) {
    constexpr const char* names[] = {"kept", "made blocks at once", "made blocks by faults"};
    const std::string what =
        std::string("the log goes off and on beside a guest, pages ") + names[static_cast<std::size_t>(recovery)];
    all.push_back(guest_scenario<F, Access>(
        std::string(format) + " with " + Access::name + ": " + what,
        [](auto& w) {
          w.map(0);
          w.host.largest = 1;
          w.enable();
        },
        [=](auto& w, trace& run) {
          run.add("guest", [&w] {
            w.write(0, 0);
            w.write(0, 1);
          });
          run.add("off and on", [&w, recovery] {
            if (!w.log.disable(recovery, w.host)) w.run.fail("disable");
            w.enable();
            w.copy(3);
          });
        }));
  }
  add("the host moves the page under a guest, harvest", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    harvester(w, run);
    run.add("host", [&w] { w.move(2, 0, 4); });
  });
  add("the host moves the page under a guest where nothing is", nothing, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    run.add("host", [&w] { w.move(2, 0, 4); });
  });
  add("the host moves the page twice under a guest", read_only_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    run.add("host", [&w] {
      w.move(2, 0, 4);
      w.move(2, 0, 5);
    });
  });
  add("the host moves the page under two guests", nothing, [=](auto& w, trace& run) {
    writer(w, run, 0, 0);
    writer(w, run, 1, 0);
    run.add("host", [&w] { w.move(2, 0, 4); });
  });
  all.back().preemptions = 2;  // three threads that all wait for one another are millions of orders
  add("two changes of the host at once", nothing, [=](auto& w, trace& run) {
    writer(w, run, 0, 0);
    run.add("host", [&w] { w.move(1, 0, 4); });
    run.add("another", [&w] { w.move(2, 1, 5); });
  });
  add("pages become a block beside a guest and a harvest", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    harvester(w, run);
    run.add("collapse", [&w] {
      auto session = w.table.session(w.guard(2));
      if (!session.collapse(w.all())) w.run.fail("collapse");
    });
  });
  add("all is protected and copied beside a guest and a harvest", logged_pages, [=](auto& w, trace& run) {
    writer(w, run, 0, 0, 2);
    harvester(w, run);
    run.add("protect", [&w] {
      const auto answered_before = w.answered;
      auto session = w.table.session(w.guard(2));
      if (!session.write_protect(w.all())) w.run.fail("write_protect");
      session.complete();
      w.expect_no_writer(answered_before);
    });
  });
  return all;
}

}  // namespace quire_test
