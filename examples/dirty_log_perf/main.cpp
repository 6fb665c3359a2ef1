// SPDX-License-Identifier: MIT
// Dirty logging, measured and checked: the workload of the kernel's dirty_log_perf_test, in user space.
// Exit status: 0; 1 a write was lost (--verify) or a table was; 2 the command line or the machine does not allow it.
#include <fstream>  // ofstream

#include <fmt/format.h>  // print

#include "options.hpp"  // options_from
#include "report.hpp"   // run_riscv, run_arm64

int main(int argc, char** argv) {
  const perf::options chosen = perf::options_from(argc, argv);
  std::ofstream file;
  if (!chosen.json.empty() && chosen.json != "-") {
    file.open(chosen.json);
    if (!file) perf::refuse(fmt::format("--json: cannot write to {}", chosen.json));
  }
  const perf::report measured =
      chosen.format == perf::format_name::arm64_4k ? perf::run_arm64(chosen) : perf::run_riscv(chosen);
  if (chosen.json == "-") fmt::print("{}", perf::json_of(chosen, measured));
  else fmt::print("{}", perf::summary_of(chosen, measured));
  if (file.is_open()) file << perf::json_of(chosen, measured);
  return measured.lost_writes != 0 || measured.tables_live_at_exit != 0 ? 1 : 0;
}
