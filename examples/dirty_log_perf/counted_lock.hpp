// SPDX-License-Identifier: MIT
// The table's lock: std::shared_mutex, which puts waiting threads to sleep, and what it lacks: a writer that waits is
// not passed by new readers (vCPUs that fault without pause would keep it out for good), and somebody counts.
#pragma once

#include <atomic>        // atomic
#include <mutex>         // mutex, scoped_lock
#include <shared_mutex>  // shared_mutex

#include "shootdown.hpp"  // seat
#include "tally.hpp"      // my_tally

namespace perf {

class counted_lock {
 public:
  void lock() {
    if (seat::current() != nullptr) ++my_tally.write_lock_taken;
    if (mutex_.try_lock()) return;
    writers_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::scoped_lock closed(gate_);
      mutex_.lock();
    }
    writers_.fetch_sub(1, std::memory_order_relaxed);
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    // Relaxed: who misses a writer that has just come is only a little less polite.
    if (writers_.load(std::memory_order_relaxed) != 0) {
      const std::scoped_lock behind_the_writer(gate_);
    }
    if (mutex_.try_lock_shared()) return;
    readers_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock_shared();
    readers_.fetch_sub(1, std::memory_order_relaxed);
  }
  void unlock_shared() { mutex_.unlock_shared(); }

  // A hint for long operations: relaxed, as nothing follows from it but to let go for a moment.
  [[nodiscard]] bool is_contended() const noexcept {
    return writers_.load(std::memory_order_relaxed) + readers_.load(std::memory_order_relaxed) != 0;
  }

 private:
  std::shared_mutex mutex_;
  std::mutex gate_;              // held by the writer whose turn is next
  std::atomic<int> writers_{0};  // that wait
  std::atomic<int> readers_{0};  // that sleep on mutex_
};

}  // namespace perf
