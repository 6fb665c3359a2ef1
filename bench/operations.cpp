// SPDX-License-Identifier: MIT
// The workloads' times beside what the machine can do at best: items are the units of instructions.cpp. Compare ratios
// within one run, not times of different runs.
#include <benchmark/benchmark.h>

#include <time.h>  // clock_gettime

#include "limits.hpp"

namespace {

// Of this process alone: whoever else is on the processor does not count.
double seconds_of_cpu() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class clock_meter final : public quire_bench::stopwatch {
 public:
  double seconds = 0;
  std::uint64_t units = 0;

  void start(std::uint64_t of_work) override {
    units += of_work;
    begin_ = seconds_of_cpu();
  }
  void stop() override { seconds = seconds_of_cpu() - begin_; }

 private:
  double begin_ = 0;
};

void run_row(benchmark::State& state, const quire_bench::row& row) {
  clock_meter meter;
  for (auto _ : state) {
    row.run(meter);
    state.SetIterationTime(meter.seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(meter.units));
}

}  // namespace

// To prepare a row takes longer than what is timed, so each repetition is one iteration.
int main(int argc, char** argv) {
  for (const quire_bench::row& row : quire_bench::all_rows())
    benchmark::RegisterBenchmark(row.name().c_str(), run_row, row)->UseManualTime()->Iterations(1);
  quire_bench::register_limits();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
