// SPDX-License-Identifier: MIT
// Several threads that fault on one table, each on pages of its own: under a readers-writer lock, or in read sections.
#pragma once

#include <thread>  // thread

#include <quire/dirty/invalidation_sequence.hpp>  // basic_invalidation_sequence
#include <quire/dirty/sink.hpp>                   // dirty_bitmap

#include "workload.hpp"

namespace quire_bench {

inline constexpr unsigned most_threads = 8;

// Each thread's guard: the one lock, or a section of its own. `Words` and `Lock` let a counter look on.
template <class Lock>
struct crowd_under_lock {
  using locking = quire::locking::shared<Lock>;
  Lock lock;
  Lock& guard_of(unsigned) noexcept { return lock; }
};
template <shared_words_policy Words>
struct crowd_in_sections {
  using section = basic_epoch_section<Words>;
  using locking = quire::locking::concurrent<section>;
  epoch_slot slots[most_threads];
  basic_epoch_reclaim<Words> domain{slots, most_threads};
  section sections[most_threads] = {{domain, 0}, {domain, 1}, {domain, 2}, {domain, 3},
                                    {domain, 4}, {domain, 5}, {domain, 6}, {domain, 7}};
  section& guard_of(unsigned thread) noexcept { return sections[thread]; }
};

template <pte_format Format, class Memory, class Words, class Sync, class Sink = dirty_bitmap>
struct crowd {
  using policies_type = kernel<Format, Memory, typename Sync::locking, no_invalidation, Words>;
  static constexpr input_address guest{gib};
  static constexpr std::uint64_t pages = paged / page;

  // All leaves, pages or of another level, read-only for the log's sake.
  explicit crowd(int level = 0) {
    must(table.create().has_value() && cache.top_up(paged / block + 32), "tables");
    auto session = table.session(sync.guard_of(0));
    must(session
             .map(input_range::sized(guest, paged), output_address{8 * gib}, {.allowed = readable, .may_write = true},
                  cache, {.largest_level = level})
             .has_value(),
         "map");
  }

  arena all{2 * paged / block + 64};
  stock_of<Format> cache{&all, identity_memory{}, page};
  page_table<Format, policies_type> table{policies_type{cache}};
  Sync sync{};
  std::vector<std::uint64_t> bits = std::vector<std::uint64_t>(bitmap_words(pages));
  Sink log{bits.data(), pages};
  basic_invalidation_sequence<Words> sequence;

  [[gnu::noinline]] bool measured_fault(unsigned thread, std::uint64_t number) {
    const input_address at = guest + number * page;
    const std::uint64_t snapshot = sequence.sample();
    auto session = table.one_page_session(sync.guard_of(thread));
    if (sequence.must_retry(snapshot, at)) return false;
    return session.make_writable(at, [&] { log.mark(number); }) == write_grant::granted;
  }
  // Thread i of n takes the i-th part of all pages, or of those that `limit` leaves.
  bool fault_all(unsigned thread, unsigned threads, std::uint64_t limit = pages) {
    const std::uint64_t part = pages / threads;
    bool done = true;
    for (std::uint64_t i = 0; i < part && i < limit; ++i) done = measured_fault(thread, thread * part + i) && done;
    return done;
  }
  // All threads at once; whether every page was granted, and is marked.
  bool run(unsigned threads) {
    bool done[most_threads] = {};
    std::vector<std::thread> running;
    for (unsigned i = 1; i < threads; ++i)
      running.emplace_back([this, &done, i, threads] { done[i] = fault_all(i, threads); });
    done[0] = fault_all(0, threads);
    for (std::thread& each : running) each.join();
    bool all_done = true;
    for (unsigned i = 0; i < threads; ++i) all_done = all_done && done[i];
    for (const std::uint64_t word : bits) all_done = all_done && word == ~std::uint64_t{0};
    return all_done;
  }
};

template <class Sync>
using plain_crowd = crowd<riscv::sv39x4, identity_memory, direct_words, Sync>;

}  // namespace quire_bench
