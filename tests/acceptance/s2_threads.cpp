// SPDX-License-Identifier: MIT
// S2 with threads: vCPUs that write while a gigabyte of blocks is split under them.
#include "support/dirty_threads.hpp"

using namespace quire_test;

namespace {

template <class Format, class Sync>
void write_beside_an_eager_split() {
  using guest_type = guest<Format, Sync>;
  constexpr unsigned cpus = 2;
  constexpr std::uint64_t pages = guest_type::region / guest_type::page;
  guest_type g{{.pages = pages, .cpus = cpus, .units = 1200}};
  REQUIRE(g.made);
  REQUIRE(g.map(2));
  REQUIRE(g.walk(g.at(5)).level == 2);
  const std::size_t tables_before = g.arena.live();
  const std::uint64_t rounds = rounds_of<Format>(100000);
  std::vector<std::uint64_t> copy(pages), log(g.words.size());
  std::uint64_t answered = 0, lost = 0, wrong = 0, iterations = 0;
  while (answered < rounds || iterations < 6) {  // both chunks, each with all kinds of logging
    g.control.set_chunk_bytes(++iterations % 2 == 0 ? Format::shape.leaf_bytes(1) : 8 * Format::shape.leaf_bytes(1));
    const bool piecewise = iterations % 3 == 2;
    for (std::uint64_t page = 0; page < pages; ++page) copy[page] = g.content[page].load(std::memory_order_relaxed);
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> faults{0}, wrongs{0};
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < cpus; ++cpu)
      threads.emplace_back([&, cpu] {
        typename guest_type::vcpu vcpu{g, cpu};
        std::uint64_t n = 0, dice = iterations * 2 + cpu;
        do {
          dice = dice * 6364136223846793005U + 1442695040888963407U;
          vcpu.store((dice >> 33U) % pages, iterations << 32U | ++n);
        } while (!over.load(std::memory_order_relaxed));
        faults += vcpu.faults;
        wrongs += vcpu.failures + vcpu.wrong_walks;
      });
    g.yield_every = 4;
    const auto enabled = g.log.enable({.manual_protect = true, .initially_set = piecewise}, g.splitter);
    const auto harvest = [&] {
      if (!g.log.get(log.data(), g.splitter) || !g.log.clear(0, pages, log.data(), g.splitter)) ++wrong;
      for (std::uint64_t page = 0; page < pages; ++page)
        if ((log[page / 64] >> (page % 64) & 1U) != 0) copy[page] = g.content[page].load(std::memory_order_relaxed);
    };
    // What was written before logging began is the first full copy's.
    if (enabled && !piecewise)
      for (std::uint64_t page = 0; page < pages; ++page) copy[page] = g.content[page].load(std::memory_order_relaxed);
    g.yield_every = 128;
    harvest();
    over.store(true);
    for (std::thread& one : threads) one.join();
    g.yield_every = 0;
    harvest();
    answered += faults.load();
    wrong += wrongs.load() + (enabled ? 0U : 1U) + (enabled ? enabled->split.missed : 0U);
    for (std::uint64_t page = 0; page < pages; ++page) lost += copy[page] != g.content[page].load() ? 1U : 0U;
    // All pages, every one read-only again, in exactly the tables that this takes.
    std::uint64_t odd = 0;
    for (std::uint64_t page = 0; page < pages; ++page) {
      const auto leaf = g.walk(g.at(page));
      odd += leaf.level == 0 && !Format::is_writable(leaf.entry) ? 0U : 1U;
    }
    CHECK(odd == 0);
    g.splitter.drain();
    g.collect();
    CHECK(g.arena.live() == tables_before + 1 + Format::shape.entries(1));
    const auto recovered = g.log.disable(quire::block_recovery::in_place, g.backing);
    REQUIRE(recovered.has_value());
    CHECK(g.walk(g.at(5)).level == 2);
    g.collect();
    CHECK(g.arena.live() == tables_before);
    if (lost + wrong != 0) break;
  }
  CHECK(lost == 0);
  CHECK(wrong == 0);
  CHECK(answered >= rounds);
  while (!g.table.destroy(~std::size_t{0})) {
  }
  g.table.policies().tables.drain();
  CHECK(g.arena.live() == 0);
}

}  // namespace

QUIRE_TYPED_TEST("S2-10 guests write while 1 GiB is split eagerly", thread_formats) {
  write_beside_an_eager_split<Format, one_lock>();
}
QUIRE_TYPED_TEST("S2-10 the same in read sections", thread_formats) { write_beside_an_eager_split<Format, sections>(); }
