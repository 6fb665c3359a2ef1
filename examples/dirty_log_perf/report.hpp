// SPDX-License-Identifier: MIT
// What a run measured.
#pragma once

#include <cstdint>  // uint64_t
#include <string>   // string
#include <vector>   // vector

#include "options.hpp"  // options
#include "tally.hpp"    // tally

namespace perf {

// A stretch of the main thread's work: how long, and how many entries the library read in it.
struct step {
  double seconds = 0;
  std::uint64_t entries_visited = 0;
};

struct iteration_report {
  step dirty;  // from the start until the slowest vCPU is done
  step get;
  step clear;  // with manual protection
  tally counts;
};

struct report {
  int levels = 0;
  std::uint64_t guest_first = 0;
  std::uint64_t guest_bytes = 0;
  step populate;
  step enable;
  step enable_protect_only;  // with --warm-enable: the same without the split
  std::vector<iteration_report> iterations;
  step disable;
  step after_disable;  // a pass of the vCPUs after recovery, if there was any
  tally counts;        // everything
  std::uint64_t tables_allocated = 0;
  std::uint64_t tables_live_at_exit = 0;
  std::uint64_t lost_writes = 0;
};

// The lines for a person, and the object for a program.
[[nodiscard]] std::string summary_of(const options& chosen, const report& measured);
[[nodiscard]] std::string json_of(const options& chosen, const report& measured);

// The run for a format; riscv.cpp, arm64.cpp.
[[nodiscard]] report run_riscv(const options& chosen);
[[nodiscard]] report run_arm64(const options& chosen);

// On a terminal, a line on standard error that says what is being done.
void show_progress(const std::string& what);

}  // namespace perf
