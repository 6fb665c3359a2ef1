// SPDX-License-Identifier: MIT
// The table's lock: std::shared_mutex, which puts waiting threads to sleep, and two things that are asked of it.
#pragma once

#include <atomic>        // atomic
#include <shared_mutex>  // shared_mutex

#include "shootdown.hpp"  // seat
#include "tally.hpp"      // my_tally

namespace perf {

class counted_lock {
 public:
  void lock() {
    if (seat::current() != nullptr) ++my_tally.write_lock_taken;
    if (mutex_.try_lock()) return;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    if (mutex_.try_lock_shared()) return;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock_shared();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  void unlock_shared() { mutex_.unlock_shared(); }

  // A hint for long operations: relaxed, as nothing follows from it but to let go for a moment.
  [[nodiscard]] bool is_contended() const noexcept { return waiting_.load(std::memory_order_relaxed) != 0; }

 private:
  std::shared_mutex mutex_;
  std::atomic<int> waiting_{0};
};

}  // namespace perf
