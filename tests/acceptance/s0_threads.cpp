// SPDX-License-Identifier: MIT
// S0 with threads: vCPUs that write the same pages at once, and a log that is harvested beside them.
#include "support/dirty_threads.hpp"

using namespace quire_test;

namespace {

template <class Format, class Sync>
void write_one_page_at_once() {
  using guest_type = guest<Format, Sync>;
  constexpr unsigned cpus = 3;
  guest_type g{{.pages = 64, .cpus = cpus}};
  REQUIRE(g.made);
  REQUIRE(g.map(0));
  REQUIRE(g.log.enable({}, g.splitter).has_value());
  const std::uint64_t rounds = rounds_of<Format>(5000);
  const std::uint64_t page = 17;
  meeting start{cpus + 1}, end{cpus + 1};
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> not_fast{0}, failures{0};
  for (unsigned cpu = 0; cpu < cpus; ++cpu)
    threads.emplace_back([&, cpu] {
      typename guest_type::vcpu vcpu{g, cpu};
      for (std::uint64_t round = 0; round < rounds; ++round) {
        start.arrive();
        if (vcpu.fault(page) != quire::fault_outcome::fixed_fast) ++not_fast;
        end.arrive();
      }
      failures += vcpu.failures;
    });
  std::uint64_t wrong_words = 0, wrong_entries = 0, wrong_exchanges = 0;
  const auto there = g.walk(g.at(page));
  auto memory = g.arena.memory();
  const auto aged = Format::clear_accessed(there.entry);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    // Where the hardware sets the accessed bit, it does so in the middle of it all.
    if (Format::facts.sets_accessed)
      memory.template store<typename Format::word>(there.table, there.index, aged, quire::order::relaxed);
    g.counter.exchanges.store(0);
    g.counter.counting.store(true);
    start.arrive();
    if constexpr (Format::facts.sets_accessed)
      memory.template fetch_or<typename Format::word>(there.table, there.index, there.entry & ~aged,
                                                      quire::order::relaxed);
    end.arrive();
    g.counter.counting.store(false);
    const auto now = g.walk(g.at(page)).entry;
    wrong_entries +=
        Format::is_writable(now) && Format::is_accessed(now) && (!Format::facts.has_dirty || Format::is_dirty(now))
            ? 0U
            : 1U;
    wrong_words += g.words[0] == std::uint64_t{1} << page ? 0U : 1U;
    wrong_exchanges += g.counter.exchanges.load() == 1 ? 0U : 1U;
    std::uint64_t word = 0;
    REQUIRE(g.log.get(&word, g.splitter).has_value());
    REQUIRE(g.log.clear(0, 64, &word, g.splitter).has_value());
  }
  for (std::thread& one : threads) one.join();
  CHECK(not_fast.load() == 0);
  CHECK(failures.load() == 0);
  CHECK(wrong_entries == 0);
  CHECK(wrong_words == 0);
  CHECK(wrong_exchanges == 0);
}

template <class Format, class Sync>
void write_beside_a_harvest() {
  using guest_type = guest<Format, Sync>;
  constexpr unsigned cpus = 2;
  constexpr std::uint64_t pages = 64;
  guest_type g{{.pages = pages, .cpus = cpus}};
  REQUIRE(g.made);
  REQUIRE(g.map(0));
  const std::uint64_t rounds = rounds_of<Format>(std::is_same_v<Sync, one_lock> ? 1000000 : 250000);
  for (const bool manual : {true, false}) {
    REQUIRE(g.log.enable({.manual_protect = manual}, g.splitter).has_value());
    std::vector<std::uint64_t> copy(pages);
    for (std::uint64_t page = 0; page < pages; ++page) copy[page] = g.content[page].load();
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> written{0}, wrong{0};
    meeting begun{cpus + 1}, pause{cpus + 1}, resume{cpus + 1};
    std::atomic<bool> halt{false};
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < cpus; ++cpu)
      threads.emplace_back([&, cpu] {
        typename guest_type::vcpu vcpu{g, cpu};
        std::uint64_t value = (std::uint64_t{cpu} + 1) << 48U, dice = cpu + 1;
        vcpu.store(cpu, ++value);
        begun.arrive();  // few rounds may be over before a thread has run at all
        while (!over.load(std::memory_order_relaxed)) {
          dice = dice * 6364136223846793005U + 1442695040888963407U;
          vcpu.store((dice >> 33U) % pages, ++value);
          if (halt.load(std::memory_order_relaxed)) {
            pause.arrive();
            resume.arrive();
          }
        }
        written += value & 0xffff'ffff'ffffU;
        wrong += vcpu.failures + vcpu.wrong_walks;
      });
    std::uint64_t harvested = 0, lost = 0;
    const auto harvest = [&] {
      std::uint64_t word = 0;
      if (!g.log.get(&word, g.splitter)) ++lost;
      if (manual && !g.log.clear(0, pages, &word, g.splitter)) ++lost;
      harvested += static_cast<std::uint64_t>(__builtin_popcountll(word));
      for (std::uint64_t left = word; left != 0; left &= left - 1) {
        const auto page = static_cast<std::size_t>(__builtin_ctzll(left));
        copy[page] = g.content[page].load(std::memory_order_relaxed);
      }
    };
    // Every write that was made is in a copy, or its page is still marked. Only asked while nobody writes.
    const auto nothing_lost = [&] {
      for (std::uint64_t page = 0; page < pages; ++page)
        if (copy[page] != g.content[page].load(std::memory_order_relaxed) && (g.words[0] >> page & 1U) == 0) ++lost;
    };
    begun.arrive();
    for (std::uint64_t round = 0; round < rounds / 2; ++round) {
      harvest();
      if (round % 1024 != 1023) continue;
      halt.store(true);
      pause.arrive();
      nothing_lost();
      halt.store(false);
      resume.arrive();
    }
    // Nobody may wait at the meeting any more.
    over.store(true);
    for (std::thread& one : threads) one.join();
    nothing_lost();
    harvest();
    for (std::uint64_t page = 0; page < pages; ++page) lost += copy[page] != g.content[page].load() ? 1U : 0U;
    CHECK(lost == 0);
    CHECK(wrong.load() == 0);
    CHECK(written.load() != 0);
    CHECK(harvested != 0);
    REQUIRE(g.log.disable(quire::block_recovery::none, g.backing).has_value());
  }
}

}  // namespace

QUIRE_TYPED_TEST("S0-6 all who write one page at once succeed and it changes once", thread_formats) {
  write_one_page_at_once<Format, one_lock>();
}
QUIRE_TYPED_TEST("S0-6 the same in read sections", thread_formats) { write_one_page_at_once<Format, sections>(); }

QUIRE_TYPED_TEST("S0-10 no write is lost while the log is harvested", thread_formats) {
  write_beside_a_harvest<Format, one_lock>();
}
QUIRE_TYPED_TEST("S0-10 the same in read sections", thread_formats) { write_beside_a_harvest<Format, sections>(); }
