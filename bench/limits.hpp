// SPDX-License-Identifier: MIT
// What the machine takes for the words of as many tables as the workloads of pages have, with no page table about it.
#pragma once

#include <benchmark/benchmark.h>

#include "workload.hpp"

namespace quire_bench {

inline constexpr std::size_t limit_words = paged / page;

// As wide as one register of x86-64-v3.
using four_words [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(8)]] = std::uint64_t;

inline void limit_memset(std::uint64_t* words, const std::uint64_t*) { std::memset(words, 0, limit_words * 8); }
inline void limit_fill(std::uint64_t* words, const std::uint64_t*) {
  four_words next{0, page, 2 * page, 3 * page};
  auto* const at = reinterpret_cast<four_words*>(words);
  for (std::size_t i = 0; i < limit_words / 4; ++i, next += 4 * page) at[i] = next;
}
inline void limit_read(std::uint64_t* words, const std::uint64_t*) {
  four_words some{};
  const auto* const at = reinterpret_cast<const four_words*>(words);
  for (std::size_t i = 0; i < limit_words / 4; ++i) some |= at[i];
  benchmark::DoNotOptimize(some);
}
inline void limit_read_modify_write(std::uint64_t* words, const std::uint64_t*) {
  std::uint64_t mask = 4;
  benchmark::DoNotOptimize(mask);
  for (std::size_t i = 0; i < limit_words; ++i) words[i] ^= mask;
}
inline void exchange_one(std::uint64_t* word) {
  std::uint64_t expected = atomic::load(word, order::relaxed);
  benchmark::DoNotOptimize(atomic::compare_exchange(word, expected, expected ^ 4, order::release));
}
inline void limit_compare_exchange(std::uint64_t* words, const std::uint64_t*) {
  for (std::size_t i = 0; i < limit_words; ++i) exchange_one(words + i);
}
inline void limit_compare_exchange_random(std::uint64_t* words, const std::uint64_t* order) {
  for (std::size_t i = 0; i < limit_words; ++i) exchange_one(words + order[i]);
}
inline void limit_random_read(std::uint64_t* words, const std::uint64_t* order) {
  std::uint64_t some = 0;
  for (std::size_t i = 0; i < limit_words; ++i) some |= words[order[i]];
  benchmark::DoNotOptimize(some);
}
// Where each load says where the next one is: a step through the words that is no stride for the hardware.
inline void limit_dependent_read(std::uint64_t* words, const std::uint64_t*) {
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < limit_words; ++i) at = (at * 40509 + 12345 + (words[at] >> 63)) % limit_words;
  benchmark::DoNotOptimize(at);
}
inline void limit_read_lock_pair(std::uint64_t*, const std::uint64_t*) {
  rw_lock lock;
  for (std::size_t i = 0; i < limit_words; ++i) {
    lock.lock_shared();
    benchmark::ClobberMemory();
    lock.unlock_shared();
  }
}

inline void register_limits() {
  const auto add = [](const char* name, void (*once)(std::uint64_t*, const std::uint64_t*)) {
    benchmark::RegisterBenchmark(name, [once](benchmark::State& state) {
      arena tables{2 * paged / block};
      const std::uint64_t first = tables.allocate(limit_words * sizeof(std::uint64_t)).value_or({}).value;
      auto* const words = reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(first));
      const auto order = shuffled(limit_words);
      for (auto _ : state) {
        once(words, order.data());
        benchmark::ClobberMemory();
      }
      state.SetItemsProcessed(static_cast<std::int64_t>(limit_words) * state.iterations());
    })->Iterations(8);
  };
  add("limit/memset", limit_memset);
  add("limit/fill", limit_fill);
  add("limit/read", limit_read);
  add("limit/read_modify_write", limit_read_modify_write);
  add("limit/compare_exchange", limit_compare_exchange);
  add("limit/compare_exchange_random", limit_compare_exchange_random);
  add("limit/random_read", limit_random_read);
  add("limit/dependent_read", limit_dependent_read);
  add("limit/read_lock_pair", limit_read_lock_pair);
}

}  // namespace quire_bench
