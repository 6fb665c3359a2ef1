// SPDX-License-Identifier: MIT
// TLB shootdown between threads: each vCPU has a seat, the invalidation policy writes to the seats and waits for them.
//
//   vCPU                                              whoever changes the table; several at once without a lock
//   enter()    obeys, and is running from here          post()    puts a range into the seat's mailbox,
//     obey_if_asked(); look up, walk, load or store                gives it a new generation
//     obey_if_asked(); look up, walk, load or store     await()   sleeps until the seat is idle, or has obeyed
//   leave()    is idle from here: sleeps, takes locks             that generation
//
// Guarantee: after await() the vCPU never again uses a translation of the posted range that it got from an entry as it
// was before post(), and never reads that entry's old value again. So no store through a stale translation comes after
// it, and a table that was unlinked before post() may be freed.
//
// Why. One access lies between two calls of obey_if_asked() and uses what the cache and the tables say in between.
//  - A running vCPU: await() reads, in `reached_`, the generation that the vCPU stored after it emptied its cache. That
//    store comes after all its earlier accesses, so they are over and visible; its later ones see the changed entries,
//    since it read the generation (acquire) that was stored after them (release).
//  - An idle vCPU: it does not touch its cache until enter(). There it stores `reached_` and then reads `demanded_`,
//  while
//    the other side stores `demanded_` and then reads `reached_`. All four are seq_cst, so at least one sees the other:
//    either enter() obeys once more, or await() finds a running vCPU that is behind and waits.
#pragma once

#include <array>    // array
#include <atomic>   // atomic
#include <cstddef>  // size_t
#include <deque>    // deque
#include <mutex>    // mutex

#include <quire/policy/invalidation.hpp>  // invalidation_request

#include "tlb.hpp"  // tlb

namespace perf {

class seat {
 public:
  explicit seat(int page_bits) noexcept : page_bits_(page_bits) {}

  // ---- for the vCPU's own thread

  void sit() noexcept { current_ = this; }
  void enter();
  void leave() noexcept;
  // Acquire: the changes of the table that the generation stands for are seen by the walks from here on.
  void obey_if_asked() {
    if (demanded_.load(std::memory_order_acquire) != obeyed_) [[unlikely]]
      acknowledge();
  }
  void drop(const quire::invalidation_request& request) noexcept;
  [[nodiscard]] tlb& cache() noexcept { return tlb_; }

  // The seat of the calling thread; null for a thread that is no vCPU.
  [[nodiscard]] static seat* current() noexcept { return current_; }

  // ---- for whoever changes the table

  void post(const quire::invalidation_request& request);
  void await() noexcept;

 private:
  void obey();
  void acknowledge();

  static constexpr std::uint64_t idle = ~std::uint64_t{0};  // ahead of every generation
  static inline constinit thread_local seat* current_ = nullptr;

  struct pages {
    std::uint64_t first;
    std::uint64_t last;
  };

  alignas(64) std::atomic<std::uint64_t> demanded_{0};  // the latest generation; changes under mutex_
  alignas(64) std::atomic<std::uint64_t> reached_{idle};
  alignas(64) std::mutex mutex_;  // guards the mailbox
  std::array<pages, 8> mailbox_{};
  std::size_t posted_ = 0;  // more than fit: drop everything
  std::uint64_t obeyed_ = 0;
  int page_bits_;
  tlb tlb_;
};

// quire::invalidation_policy. A vCPU that changes the table itself empties its own cache at once. A translation cache
// here holds no "not mapped", and a missing right costs the others one fault that finds it there: neither is sent
// around.
class shootdown {
 public:
  static constexpr bool reentrant = true;

  explicit shootdown(std::deque<seat>& seats) noexcept : seats_(&seats) {}

  void add(const quire::invalidation_request& request);
  void complete() noexcept;
  void local(const quire::invalidation_request& request) noexcept {
    if (seat* mine = seat::current(); mine != nullptr) mine->drop(request);
  }

 private:
  static inline constinit thread_local bool posted_ = false;  // by this thread, since its last complete()
  std::deque<seat>* seats_;
};

static_assert(quire::invalidation_policy<shootdown>);

}  // namespace perf
