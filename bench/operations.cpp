// SPDX-License-Identifier: MIT
// The workloads' times beside what the machine can do at best: items are the units of instructions.cpp. Compare ratios
// within one run, not times of different runs.
#include <benchmark/benchmark.h>

#include <malloc.h>  // mallopt
#include <time.h>    // clock_gettime

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

void run_row(benchmark::State& state, void (*run)(quire_bench::stopwatch&)) {
  clock_meter meter;
  for (auto _ : state) {
    run(meter);
    state.SetIterationTime(meter.seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(meter.units));
}

// To prepare a row takes longer than what is timed, so each repetition is one iteration.
void add(const char* name, void (*run)(quire_bench::stopwatch&)) {
  benchmark::RegisterBenchmark(name, run_row, run)->UseManualTime()->Iterations(1);
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // tables come from new memory for every row, whichever ran before
  for (const quire_bench::row& row : quire_bench::all_rows()) add(row.name().c_str(), row.run);
  for (const quire_bench::limit_row& row : quire_bench::all_limits) add(row.name, row.run);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
