// SPDX-License-Identifier: MIT
// What the threads count. Every thread counts into its own plain words and hands them over when its work is done, so
// counting shares nothing and orders nothing.
#pragma once

#include <cstdint>  // uint64_t

namespace perf {

struct tally {
  std::uint64_t entries_visited = 0;   // entries that the library read; the guest's MMU is not counted
  std::uint64_t write_faults = 0;      // faults of stores that the handler was called for
  std::uint64_t fast_path_fixed = 0;   // of these, answered under the read side
  std::uint64_t write_lock_taken = 0;  // by vCPUs
  std::uint64_t splits = 0;            // leaves that became tables
  std::uint64_t splits_in_fault = 0;   // of these, by a fault
  std::uint64_t blocks_recovered = 0;  // tables that became leaves again
  std::uint64_t invalidations = 0;     // shootdowns sent to the vCPUs
  std::uint64_t lock_drops = 0;        // times an eager split let go of the lock

  tally& operator+=(const tally& other) noexcept {
    entries_visited += other.entries_visited;
    write_faults += other.write_faults;
    fast_path_fixed += other.fast_path_fixed;
    write_lock_taken += other.write_lock_taken;
    splits += other.splits;
    splits_in_fault += other.splits_in_fault;
    blocks_recovered += other.blocks_recovered;
    invalidations += other.invalidations;
    lock_drops += other.lock_drops;
    return *this;
  }
};

// The calling thread's own.
inline constinit thread_local tally my_tally{};

}  // namespace perf
