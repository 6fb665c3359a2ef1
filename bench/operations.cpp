// SPDX-License-Identifier: MIT
// The workloads' times beside what the machine can do at best: items are the units of instructions.cpp. Compare ratios
// within one run, not times of different runs.
#include <benchmark/benchmark.h>

#include <chrono>  // steady_clock
#include <string>  // string

#include "workloads.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

class clock_meter final : public quire_bench::stopwatch {
 public:
  double seconds = 0;
  std::uint64_t units = 0;

  void start(std::uint64_t of_work) override {
    units += of_work;
    begin_ = clock_type::now();
  }
  void stop() override { seconds = std::chrono::duration<double>(clock_type::now() - begin_).count(); }

 private:
  clock_type::time_point begin_{};
};

void run_row(benchmark::State& state, const quire_bench::row& row) {
  clock_meter meter;
  for (auto _ : state) {
    row.run(meter);
    state.SetIterationTime(meter.seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(meter.units));
}

// ---- limits: an item is one entry of as many tables as the workloads of pages have.

constexpr std::size_t words = quire_bench::paged / quire_bench::page;

void limit_memset(benchmark::State& state) {
  std::vector<std::uint64_t> tables(words, 1);
  for (auto _ : state) {
    std::memset(tables.data(), 0, words * sizeof(std::uint64_t));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(words) * state.iterations());
}
BENCHMARK(limit_memset);

void limit_read_modify_write(benchmark::State& state) {
  std::vector<std::uint64_t> tables(words, 7);
  std::uint64_t mask = 4;
  for (auto _ : state) {
    for (std::uint64_t& word : tables) word ^= mask;
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(words) * state.iterations());
}
BENCHMARK(limit_read_modify_write);

void limit_compare_exchange(benchmark::State& state) {
  std::vector<std::uint64_t> tables(words, 7);
  const auto order = quire_bench::shuffled(words);
  for (auto _ : state)
    for (const std::uint64_t i : order) {
      std::uint64_t expected = quire::atomic::load(&tables[i], quire::order::relaxed);
      benchmark::DoNotOptimize(
          quire::atomic::compare_exchange(&tables[i], expected, expected ^ 4, quire::order::release));
    }
  state.SetItemsProcessed(static_cast<std::int64_t>(words) * state.iterations());
}
BENCHMARK(limit_compare_exchange);

}  // namespace

int main(int argc, char** argv) {
  for (const quire_bench::row& row : quire_bench::all_rows())
    benchmark::RegisterBenchmark(row.name().c_str(), run_row, row)->UseManualTime();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
