// SPDX-License-Identifier: MIT
// What keeps faults, harvest and structure changes apart: a readers-writer lock, or read sections without any lock.
//
// guard(i) is what thread i opens sessions with: vCPU i, and behind the vCPUs the main thread.
#pragma once

#include <deque>   // deque
#include <thread>  // yield
#include <vector>  // vector

#include <quire/policy/epoch.hpp>    // epoch_section
#include <quire/policy/locking.hpp>  // locking::shared, locking::concurrent

#include "counted_lock.hpp"  // counted_lock

namespace perf {

class with_lock {
 public:
  using guard_type = counted_lock;
  using locking = quire::locking::shared<counted_lock>;

  explicit with_lock(unsigned) noexcept {}
  [[nodiscard]] guard_type& guard(unsigned) noexcept { return lock_; }
  template <class Table>
  void collect(Table&, unsigned) noexcept {}
  template <class Table>
  void collect_all(Table&) noexcept {}

 private:
  counted_lock lock_;
};

class in_sections {
 public:
  // Lets others run while it waits for them: there may be more threads than processors.
  class guard_type : public quire::epoch_section {
   public:
    using quire::epoch_section::epoch_section;
    static void pause() noexcept { std::this_thread::yield(); }
  };
  using locking = quire::locking::concurrent<guard_type>;

  explicit in_sections(unsigned threads) : slots_(threads), domain_(slots_.data(), threads) {
    for (unsigned i = 0; i < threads; ++i) sections_.emplace_back(domain_, i);
  }
  [[nodiscard]] guard_type& guard(unsigned i) noexcept { return sections_[i]; }
  // Gives back the tables that thread i unlinked, as far as nobody can be inside them.
  template <class Table>
  void collect(Table& table, unsigned i) noexcept {
    static_cast<void>(table.collect(sections_[i]));
  }
  // Caller must: be the only thread left.
  template <class Table>
  void collect_all(Table& table) noexcept {
    for (int epochs = 0; epochs < 3; ++epochs)
      for (guard_type& each : sections_) static_cast<void>(table.collect(each));
  }

 private:
  std::vector<quire::epoch_slot> slots_;
  quire::epoch_reclaim domain_;
  std::deque<guard_type> sections_;
};

}  // namespace perf
