// SPDX-License-Identifier: MIT
// A fair reader-writer spin lock: everyone draws a ticket, neighbouring readers go in together.
#pragma once

#include <cstdint>  // uint32_t

namespace kernel {

class rw_lock {
 public:
  void lock() noexcept { wait_for(draw(), &done_); }
  void unlock() noexcept {
    call_next(&entered_);
    call_next(&done_);
  }
  // A reader lets the next reader in as soon as it is in itself; a writer behind it waits until all have left.
  void lock_shared() noexcept {
    wait_for(draw(), &entered_);
    call_next(&entered_);
  }
  void unlock_shared() noexcept { call_next(&done_); }

  // Caller must: hold the write side. Whether somebody has drawn a ticket since: Quire asks at its yield points.
  [[nodiscard]] bool is_contended() const noexcept {
    return __atomic_load_n(&tickets_, __ATOMIC_RELAXED) != __atomic_load_n(&done_, __ATOMIC_RELAXED) + 1;
  }

 private:
  [[nodiscard]] std::uint32_t draw() noexcept { return __atomic_fetch_add(&tickets_, 1U, __ATOMIC_RELAXED); }
  static void wait_for(std::uint32_t ticket, const std::uint32_t* counter) noexcept {
    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != ticket) {
    }
  }
  // Release, and read-modify-write: whoever waits for a later ticket is ordered after all who called before.
  static void call_next(std::uint32_t* counter) noexcept { __atomic_fetch_add(counter, 1U, __ATOMIC_RELEASE); }

  std::uint32_t tickets_ = 0;
  std::uint32_t entered_ = 0;  // the ticket that may read
  std::uint32_t done_ = 0;     // the ticket that may write
};

// Holds the write side for a scope.
class write_guard {
 public:
  explicit write_guard(rw_lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~write_guard() { lock_.unlock(); }
  write_guard(const write_guard&) = delete;
  write_guard& operator=(const write_guard&) = delete;

 private:
  rw_lock& lock_;
};

}  // namespace kernel
