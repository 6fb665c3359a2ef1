// SPDX-License-Identifier: MIT
// The phases of the test: populate, enable, then dirty, get and clear in iterations, disable.
#pragma once

#include <chrono>    // steady_clock
#include <cstdlib>   // abort
#include <deque>     // deque
#include <optional>  // optional
#include <thread>    // thread
#include <utility>   // exchange
#include <vector>    // vector

#include <fmt/format.h>  // format, print

#include "content_oracle.hpp"  // content_oracle
#include "guest_memory.hpp"    // guest_memory
#include "report.hpp"          // report
#include "vcpu.hpp"            // vcpu

namespace perf {

template <quire::pte_format Format, class Sync>
class phases {
  using vm_type = vm<Format, Sync>;

 public:
  phases(const options& chosen, table_pool& pool)
      : options_(chosen),
        memory_(chosen.slot_pages() << options::page_bits, chosen.slot_offset << options::page_bits,
                chosen.used_pages() << options::page_bits),
        host_(memory_.base() + (chosen.slot_offset << options::page_bits)),
        guest_(chosen, host_, pool, seats_),
        split_tables_(&pool, quire::direct_memory{}, table_pool::table_bytes),
        turns_(chosen.vcpus) {
    if (!guest_.create()) refuse("no memory for the root of the tables");
    if (chosen.verify) oracle_.emplace(host_, chosen.used_pages());
    for (unsigned i = 0; i < chosen.vcpus; ++i)
      vcpus_.emplace_back(guest_, seats_.emplace_back(options::page_bits), pool, options_, i);
    for (vcpu<vm_type>& each : vcpus_) threads_.emplace_back([this, &each] { each.run(turns_); });
  }
  ~phases() {
    turns_.quit();
    for (std::thread& each : threads_) each.join();
  }
  phases(const phases&) = delete;
  phases& operator=(const phases&) = delete;

  report run() {
    my_tally = {};
    report done;
    done.levels = Format::shape.levels;
    done.guest_first = guest_.first().value;
    done.guest_bytes = options_.slot_pages() << options::page_bits;
    show_progress("populating");
    done.populate = timed([&] { round({.iteration = 0}); });
    show_progress("enabling");
    if (options_.warm_enable) done.enable_protect_only = warm_up();
    done.enable = timed([&] { enable(); });
    if (oracle_) oracle_->copy_all();
    done.counts = counted();

    for (unsigned i = 1; i <= options_.iterations; ++i) {
      show_progress(fmt::format("iteration {} of {}", i, options_.iterations));
      done.iterations.push_back(iteration(i));
      done.counts += done.iterations.back().counts;
    }
    if (oracle_) {
      get();
      if (options_.manual_protect) clear();
      check(true);
    }
    disable_logging(done);
    done.counts += counted();
    if (oracle_) done.lost_writes = oracle_->lost_writes();
    show_progress("");
    return done;
  }

 private:
  // ---- the phases

  iteration_report iteration(unsigned number) {
    iteration_report one;
    one.dirty = timed([&] {
      if (options_.toggle) toggle_beside_vcpus(number);
      else round({.iteration = number});
    });
    one.get = timed([&] { get(); });
    if (options_.manual_protect) one.clear = timed([&] { clear(); });
    check(true);
    one.counts = counted();
    return one;
  }

  void disable_logging(report& done) {
    show_progress("disabling");
    if (options_.run_while_disabling) turns_.start({.iteration = options_.iterations + 1, .endless = true});
    done.disable = timed([&] { disable(); });
    if (options_.run_while_disabling) {
      turns_.end_passes();
      turns_.wait();
    }
    if (options_.recovery != quire::block_recovery::none)
      done.after_disable = timed([&] { round({.iteration = options_.iterations + 1}); });
  }

  // All is split and protected afterwards. Gives what enabling costs then without the split.
  step warm_up() {
    enable();
    disable();
    guest_.eager.set_enabled(false);
    const step protect_only = timed([&] { enable(); });
    disable();
    guest_.eager.set_enabled(options_.split == split_mode::eager);
    return protect_only;
  }

  // Logging goes off and on, and is harvested, while the vCPUs store.
  void toggle_beside_vcpus(unsigned number) {
    turns_.start({.iteration = number, .endless = true});
    for (int times = 0; times < 3; ++times) {
      disable();
      enable();
      if (oracle_) oracle_->copy_all();
      for (int harvests = 0; harvests < 2; ++harvests) {
        get();
        if (options_.manual_protect) clear();
        check(false);
      }
    }
    turns_.end_passes();
    turns_.wait();
  }

  // ---- their parts

  void round(round_work work) {
    turns_.start(work);
    turns_.wait();
  }
  void enable() {
    const quire::dirty_log_mode mode{.manual_protect = options_.manual_protect,
                                     .initially_set = options_.initially_set};
    for (auto& each : guest_.slots()) note(each.log.enable(mode, split_tables_), "enabling");
  }
  void get() {
    for (auto& each : guest_.slots()) note(each.log.get(each.harvested.data(), split_tables_), "getting the log");
  }
  void clear() {
    for (auto& each : guest_.slots())
      note(each.log.clear(0, each.log.slot().pages, each.harvested.data(), split_tables_), "clearing the log");
  }
  void disable() {
    for (auto& each : guest_.slots()) note(each.log.disable(options_.recovery, guest_.backing()), "disabling");
  }
  void check(bool settled) {
    if (!oracle_) return;
    for (auto& each : guest_.slots())
      oracle_->report((each.log.slot().first - guest_.first()) >> options::page_bits, each.log.slot().pages,
                      each.harvested.data());
    oracle_->end_round(settled);
  }

  // ---- measuring

  void note(const quire::result<quire::dirty_log_work>& work, const char* what) {
    if (!work) {
      fmt::print(stderr, "dirty_log_perf: {}: {} at {:#x}\n", what, quire::name_of(work.error().code), work.error().at);
      std::abort();
    }
    if (work->split.missed != 0) fmt::print(stderr, "dirty_log_perf: {}: no memory to split everything\n", what);
    my_tally.splits += work->split.leaves;
    my_tally.lock_drops += work->split.drops;
    my_tally.blocks_recovered += work->blocks_recovered;
    guest_.collect();
  }
  // What all threads counted since the last call. Caller must: be between rounds.
  tally counted() {
    tally sum = std::exchange(my_tally, {});
    sum += turns_.collect();
    return sum;
  }
  template <class Body>
  step timed(Body&& body) {
    const std::uint64_t entries = my_tally.entries_visited;
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    return {.seconds = passed.count(), .entries_visited = my_tally.entries_visited - entries};
  }

  const options& options_;
  guest_memory memory_;
  std::uint64_t host_;
  std::deque<seat> seats_;
  vm_type guest_;
  stock split_tables_;  // for the eager split, so for the main thread
  rounds turns_;
  std::optional<content_oracle> oracle_;
  std::deque<vcpu<vm_type>> vcpus_;
  std::vector<std::thread> threads_;
};

// A whole run, and what is left of its tables when everything is gone.
template <quire::pte_format Format>
report run_format(const options& chosen) {
  table_pool pool;
  report done = chosen.locking == locking_name::shared ? phases<Format, with_lock>(chosen, pool).run()
                                                       : phases<Format, in_sections>(chosen, pool).run();
  done.tables_allocated = pool.allocated();
  done.tables_live_at_exit = pool.live();
  return done;
}

}  // namespace perf
