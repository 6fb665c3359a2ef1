// SPDX-License-Identifier: MIT
// What sessions are opened with on bare metal: locks that spin, and read sections that take part in the invalidations
// of others while they wait. Whoever waits calls pause(), where a machine without broadcast invalidation obeys.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/atomic.hpp>          // compare_exchange, fetch_add
#include <quire/policy/epoch.hpp>    // epoch_section
#include <quire/policy/locking.hpp>  // locking

#include "machine.hpp"

namespace bare {

class spin_lock {
 public:
  void lock() noexcept {
    std::uint64_t nobody = 0;
    while (!quire::atomic::compare_exchange(&taken_, nobody, std::uint64_t{1}, quire::order::acquire)) {
      nobody = 0;
      pause();
    }
  }
  void unlock() noexcept { quire::atomic::store(&taken_, std::uint64_t{0}, quire::order::release); }

 private:
  std::uint64_t taken_ = 0;
};

// How many read, or `writer`. A writer that waits does not hold new readers up.
class reader_writer_lock {
 public:
  void lock() noexcept {
    while (!become(0, writer)) pause();
  }
  void unlock() noexcept { quire::atomic::store(&state_, std::uint64_t{0}, quire::order::release); }
  void lock_shared() noexcept {
    for (;;) {
      const std::uint64_t readers = quire::atomic::load(&state_, quire::order::relaxed);
      if (readers != writer && become(readers, readers + 1)) return;
      pause();
    }
  }
  void unlock_shared() noexcept { quire::atomic::fetch_add(&state_, ~std::uint64_t{0}, quire::order::release); }

 private:
  static constexpr std::uint64_t writer = ~std::uint64_t{0};
  [[nodiscard]] bool become(std::uint64_t from, std::uint64_t to) noexcept {
    return quire::atomic::compare_exchange(&state_, from, to, quire::order::acquire);
  }
  std::uint64_t state_ = 0;
};

struct waiting_section : quire::epoch_section {
  waiting_section(quire::epoch_reclaim& domain, std::size_t slot) noexcept : quire::epoch_section(domain, slot) {}
  void pause() const noexcept { bare::pause(); }
};

// The guards of one table: mine() is the calling CPU's.
template <class Locking>
struct guards {
  typename Locking::mutex lock{};
  [[nodiscard]] auto& mine() noexcept { return lock; }
};
template <quire::concurrent_locking Locking>
struct guards<Locking> {
  quire::epoch_slot slots[most_cpus]{};
  quire::epoch_reclaim domain{slots, most_cpus};
  waiting_section sections[most_cpus]{{domain, 0}, {domain, 1}, {domain, 2}, {domain, 3}};
  [[nodiscard]] auto& mine() noexcept { return sections[this_cpu()]; }
};
static_assert(most_cpus == 4, "a section for each CPU");

using one_at_a_time = quire::locking::exclusive<spin_lock>;
using faults_at_once = quire::locking::shared<reader_writer_lock>;
using all_at_once = quire::locking::concurrent<waiting_section>;

}  // namespace bare
