// SPDX-License-Identifier: MIT
// Every workload once, under callgrind (run.py starts it so): instructions do not depend on what else the machine does.
// Each row is dumped with the text "row WORKLOAD/FORMAT/POLICY/PATH UNITS" as its trigger.
//
//   bench_instructions [PART...]   only rows whose "WORKLOAD/FORMAT/POLICY/PATH" contains one of the parts
#include <string>  // string

#include <valgrind/callgrind.h>  // CALLGRIND_START_INSTRUMENTATION

#include "rows.hpp"

namespace {

// The text is made before the count starts; the dump comes before the stop, which forgets the count.
class callgrind_meter final : public quire_bench::stopwatch {
 public:
  explicit callgrind_meter(const quire_bench::row& r) : row_("row " + r.name()) {}

  void start(std::uint64_t units) override {
    row_ += " " + std::to_string(units);
    CALLGRIND_START_INSTRUMENTATION;
  }
  void stop() override {
    CALLGRIND_DUMP_STATS_AT(row_.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
  }

 private:
  std::string row_;
};

}  // namespace

int main(int argc, char** argv) {
  for (const quire_bench::row& row : quire_bench::all_rows()) {
    bool chosen = argc == 1;
    for (int i = 1; i < argc; ++i) chosen = chosen || row.name().find(argv[i]) != std::string::npos;
    if (!chosen) continue;
    callgrind_meter meter{row};
    row.run(meter);
  }
}
