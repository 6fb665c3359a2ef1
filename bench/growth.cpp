// SPDX-License-Identifier: MIT
// Rows of what grows: memory, and the number of threads that fault at once (fault/FORMAT/POLICY/THREADS).
#include "crowd.hpp"
#include "sizes.hpp"

namespace {

using namespace quire_bench;

template <class Sync, unsigned Threads>
void faults(stopwatch& meter) {
  plain_crowd<Sync> all;
  meter.start(all.pages);
  const bool done = all.run(Threads);
  meter.stop();
  must(done, "fault");
}
template <class Sync>
void add_threads(const char* policy) {
  const auto add = [&](const char* threads, void (*run)(stopwatch&)) {
    all_rows().push_back({"fault", "riscv-sv39x4", policy, threads, run});
  };
  add("1", faults<Sync, 1>);
  add("2", faults<Sync, 2>);
  add("4", faults<Sync, 4>);
  add("8", faults<Sync, 8>);
}

[[maybe_unused]] const bool added = [] {
  sized<rig<riscv::sv39x4, identity_memory>>::add_rows("riscv-sv39x4");
  add_threads<crowd_under_lock<rw_lock>>("shared");
  add_threads<crowd_in_sections<direct_words>>("concurrent");
  return true;
}();

}  // namespace
