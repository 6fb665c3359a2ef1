// SPDX-License-Identifier: MIT
// What the machine takes for the words of as many tables as the workloads of pages have, with no page table about it:
// the same memory in the same order, prepared in the same way.
#pragma once

#include <benchmark/benchmark.h>

#include "workload.hpp"

namespace quire_bench {

inline constexpr std::size_t table_words = page / sizeof(std::uint64_t), limit_words = paged / page;

using limit_tables = std::vector<std::uint64_t*>;
using limit_order = std::vector<std::uint64_t>;

// As wide as one register of x86-64-v3.
using four_words [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(8)]] = std::uint64_t;

inline void limit_memset(const limit_tables& tables, const limit_order&) {
  for (std::uint64_t* const words : tables) std::memset(words, 0, page);
}
inline void limit_fill(const limit_tables& tables, const limit_order&) {
  four_words next{0, page, 2 * page, 3 * page};
  for (std::uint64_t* const words : tables) {
    auto* const at = reinterpret_cast<four_words*>(words);
    for (std::size_t i = 0; i < table_words / 4; ++i, next += 4 * page) at[i] = next;
  }
}
inline void limit_read(const limit_tables& tables, const limit_order&) {
  four_words some{};
  for (const std::uint64_t* const words : tables) {
    const auto* const at = reinterpret_cast<const four_words*>(words);
    for (std::size_t i = 0; i < table_words / 4; ++i) some |= at[i];
  }
  benchmark::DoNotOptimize(some[0] | some[1] | some[2] | some[3]);
}
inline void limit_read_modify_write(const limit_tables& tables, const limit_order&) {
  std::uint64_t mask = 4;
  benchmark::DoNotOptimize(mask);
  for (std::uint64_t* const words : tables)
    for (std::size_t i = 0; i < table_words; ++i) words[i] ^= mask;
}
inline void exchange_one(std::uint64_t* word) {
  std::uint64_t expected = atomic::load(word, order::relaxed);
  benchmark::DoNotOptimize(atomic::compare_exchange(word, expected, expected ^ 4, order::release));
}
inline void limit_compare_exchange(const limit_tables& tables, const limit_order&) {
  for (std::uint64_t* const words : tables)
    for (std::size_t i = 0; i < table_words; ++i) exchange_one(words + i);
}
inline void limit_compare_exchange_random(const limit_tables& tables, const limit_order& order) {
  for (const std::uint64_t i : order) exchange_one(tables[i / table_words] + i % table_words);
}
inline void limit_random_read(const limit_tables& tables, const limit_order& order) {
  std::uint64_t some = 0;
  for (const std::uint64_t i : order) some |= tables[i / table_words][i % table_words];
  benchmark::DoNotOptimize(some);
}
// Where a load is depends on the one before.
inline void limit_dependent_read(const limit_tables& tables, const limit_order& order) {
  std::uint64_t none = 0;
  for (const std::uint64_t each : order) {
    const std::uint64_t i = each + none;
    none = tables[i / table_words][i % table_words] >> 63;
  }
  benchmark::DoNotOptimize(none);
}
inline void limit_read_lock_pair(const limit_tables&, const limit_order& order) {
  rw_lock lock;
  for (std::size_t i = 0; i < order.size(); ++i) {
    lock.lock_shared();
    benchmark::ClobberMemory();
    lock.unlock_shared();
  }
}

// `written`: what is in the words was written a moment before, in the order in which they are looked at.
template <void (*Once)(const limit_tables&, const limit_order&)>
void limit(stopwatch& meter, bool written) {
  arena memory{2 * paged / block + 64};
  table_cache<arena, identity_memory> cache{&memory, identity_memory{}, page};
  must(cache.top_up(paged / block), "tables");
  limit_tables tables;
  while (tables.size() < paged / block)
    tables.push_back(reinterpret_cast<std::uint64_t*>(
        static_cast<std::uintptr_t>(cache.take(table_contents::any).value_or({}).value)));
  for (std::uint64_t* const words : tables)
    for (std::size_t i = 0; written && i < table_words; ++i) words[i] = 3;
  const auto order = shuffled(limit_words);
  benchmark::ClobberMemory();
  meter.start(limit_words);
  Once(tables, order);
  benchmark::ClobberMemory();
  meter.stop();
}

struct limit_row {
  const char* name;
  void (*run)(stopwatch&);
};
template <void (*Once)(const limit_tables&, const limit_order&), bool Written>
inline constexpr limit_row limit_named(const char* name) noexcept {
  return {name, [](stopwatch& meter) { limit<Once>(meter, Written); }};
}
inline constexpr limit_row all_limits[] = {
    limit_named<limit_memset, false>("limit/memset"),
    limit_named<limit_fill, false>("limit/fill"),
    limit_named<limit_read, true>("limit/read"),
    limit_named<limit_read_modify_write, true>("limit/read_modify_write"),
    limit_named<limit_compare_exchange, true>("limit/compare_exchange"),
    limit_named<limit_compare_exchange_random, true>("limit/compare_exchange_random"),
    limit_named<limit_random_read, true>("limit/random_read"),
    limit_named<limit_dependent_read, true>("limit/dependent_read"),
    limit_named<limit_read_lock_pair, true>("limit/read_lock_pair"),
};

}  // namespace quire_bench
