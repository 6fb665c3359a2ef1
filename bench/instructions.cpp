// SPDX-License-Identifier: MIT
// Every workload once, under callgrind (run.py starts it so): instructions do not depend on what else the machine does.
// Each row is dumped with the text "row WORKLOAD FORMAT PATH UNITS" as its trigger.
//
//   bench_instructions [PART...]   only rows whose "WORKLOAD/FORMAT/PATH" contains one of the parts
#include <string>  // string

#include <valgrind/callgrind.h>  // CALLGRIND_START_INSTRUMENTATION

#include "workloads.hpp"

namespace {

// The text is made before the count starts; the dump comes before the stop, which forgets the count.
struct callgrind_meter {
  std::string row;

  void start(std::uint64_t units) {
    row += " " + std::to_string(units);
    CALLGRIND_START_INSTRUMENTATION;
  }
  void stop() const {
    CALLGRIND_DUMP_STATS_AT(row.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
  }
};

}  // namespace

int main(int argc, char** argv) {
  quire_bench::for_each_row(
      [&](const std::string& name, const std::string& format, const std::string& path, auto workload) {
        const std::string row = name + "/" + format + "/" + path;
        bool chosen = argc == 1;
        for (int i = 1; i < argc; ++i) chosen = chosen || row.find(argv[i]) != std::string::npos;
        if (!chosen) return;
        callgrind_meter meter{"row " + name + " " + format + " " + path};
        workload(meter);
      });
}
