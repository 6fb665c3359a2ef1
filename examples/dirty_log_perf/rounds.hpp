// SPDX-License-Identifier: MIT
// How the main thread and the vCPUs take turns. Whoever waits sleeps.
#pragma once

#include <atomic>              // atomic
#include <condition_variable>  // condition_variable
#include <cstdint>             // uint64_t
#include <mutex>               // mutex
#include <optional>            // optional

#include "tally.hpp"  // tally

namespace perf {

// One turn of all vCPUs.
struct round_work {
  unsigned iteration = 0;  // 0: populate, in order, nothing but stores
  bool endless = false;    // pass after pass, until end_passes()
};

class rounds {
 public:
  explicit rounds(unsigned vcpus) noexcept : vcpus_(vcpus) {}

  // ---- main thread; what the vCPUs did in a round happens before wait() returns
  void start(round_work work);
  void end_passes() noexcept { enough_.store(true, std::memory_order_relaxed); }
  void wait();
  void quit();
  // What the vCPUs counted since the last call. Caller must: be between rounds.
  [[nodiscard]] tally collect();

  // ---- vCPUs
  // Sleeps until there is a round after `seen`; nothing when it is time to quit.
  [[nodiscard]] std::optional<round_work> next(std::uint64_t& seen);
  [[nodiscard]] bool enough() const noexcept { return enough_.load(std::memory_order_relaxed); }
  void finished(const tally& counted);

 private:
  unsigned vcpus_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t number_ = 0;
  unsigned busy_ = 0;
  bool quit_ = false;
  round_work work_{};
  tally counted_{};
  std::atomic<bool> enough_{false};
};

}  // namespace perf
