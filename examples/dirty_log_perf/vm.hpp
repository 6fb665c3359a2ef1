// SPDX-License-Identifier: MIT
// The guest's second stage: one Quire table, its slots and their logs.
#pragma once

#include <algorithm>  // upper_bound
#include <cstdint>    // uint64_t
#include <deque>      // deque
#include <iterator>   // prev
#include <string>     // to_string
#include <vector>     // vector

#include <quire/quire.hpp>  // page_table, dirty_log, fault_handler

#include "counting_memory.hpp"  // counting_memory
#include "options.hpp"          // options
#include "shootdown.hpp"        // shootdown
#include "synchronisation.hpp"  // with_lock, in_sections
#include "table_pool.hpp"       // table_pool

namespace perf {

// Yield policy: lets go at every n-th chance (0: never by itself; counted_lock says when somebody waits). There is
// nothing to do meanwhile: whoever sleeps on the lock is woken when it is let go. Only the main thread asks.
class yield_by_count {
 public:
  explicit yield_by_count(unsigned every) noexcept : every_(every) {}
  [[nodiscard]] bool should_yield() noexcept { return every_ != 0 && ++asked_ % every_ == 0; }
  void pause() noexcept {}

 private:
  unsigned every_;
  unsigned asked_ = 0;
};

template <class Sync>
struct vm_policies : quire::policies {
  using locking = typename Sync::locking;

  vm_policies(table_pool& pool, std::deque<seat>& seats, unsigned yield_every) noexcept
      : tables(pool), invalidation(shootdown(seats)), yield(yield_every) {}

  counting_memory memory{};
  table_pool& tables;
  quire::batching_invalidation<shootdown> invalidation;
  yield_by_count yield;
};

// What the host has behind the slots: everything, writable, in pages of one size.
struct emulated_backing {
  int level;

  quire::result<quire::host_page> resolve(const quire::memory_slot& slot, quire::input_address address,
                                          bool) const noexcept {
    return quire::host_page{quire::output_address{slot.host + (address - slot.first)}, true, level};
  }
  int mapped_level(const quire::memory_slot&, quire::input_address) const noexcept { return level; }
};

template <quire::pte_format Format, class Sync>
class vm {
  using guard_type = typename Sync::guard_type;

 public:
  using format = Format;
  using table_type = quire::page_table<Format, vm_policies<Sync>>;
  using log_type = quire::dirty_log<table_type, guard_type, quire::dirty_bitmap>;
  using handler_type = quire::fault_handler<table_type, guard_type, const emulated_backing, quire::dirty_bitmap>;

  struct slot {
    slot(vm& owner, const quire::memory_slot& where)
        : log_words(quire::bitmap_words(where.pages)),
          harvested(quire::bitmap_words(where.pages)),
          log(owner.table_, owner.sync_.guard(owner.main_), where, quire::dirty_bitmap(log_words.data(), where.pages),
              owner.eager) {}

    std::vector<std::uint64_t> log_words;
    std::vector<std::uint64_t> harvested;  // what the last get() gave
    log_type log;
  };

  // The guest's memory ends at the top of its address space, or up to 1 GiB below for the alignment of blocks; its
  // first byte is `host` in this process. Refuses like a wrong command line what does not fit in the address space.
  vm(const options& chosen, std::uint64_t host, table_pool& pool, std::deque<seat>& seats)
      : main_(chosen.vcpus),
        sync_(chosen.vcpus + 1),
        table_(vm_policies<Sync>(pool, seats, chosen.yield_every)),
        backing_{chosen.backing_level()} {
    for (unsigned i = 0; i < chosen.vcpus; ++i)
      handlers_.emplace_back(table_, sync_.guard(i), sequence_, backing_, chosen.fault_path);
    const std::uint64_t bytes = (chosen.slot_pages() + chosen.slot_offset) << options::page_bits;
    const std::uint64_t space = std::uint64_t{1} << Format::shape.input_bits();
    if (bytes > space)
      refuse("-v and -b: more memory than the guest's " + std::to_string(Format::shape.input_bits()) +
             " address bits reach");
    eager.set_chunk_bytes(chosen.chunk);
    eager.set_enabled(chosen.split == split_mode::eager);
    const quire::input_address block = quire::input_address{space - bytes}.align_down(std::uint64_t{1} << 30);
    first_ = block + (chosen.slot_offset << options::page_bits);
    for (std::uint64_t i = 0, page = 0; i < chosen.slots; ++i) {
      const std::uint64_t end = chosen.slot_pages() * (i + 1) / chosen.slots;
      const std::uint64_t offset = page << options::page_bits;
      slots_.emplace_back(*this,
                          quire::memory_slot{.first = first_ + offset, .pages = end - page, .host = host + offset});
      slots_.back().log.walk = chosen.walk;
      page = end;
    }
  }

  // Caller must: have ended every other thread.
  ~vm() { sync_.collect_all(table_); }
  vm(const vm&) = delete;
  vm& operator=(const vm&) = delete;

  [[nodiscard]] quire::result<void> create() noexcept { return table_.create(); }

  // Caller must: be that vCPU, outside its seat's running section, holding nothing.
  [[nodiscard]] quire::result<quire::fault_report> handle(unsigned vcpu, const quire::guest_fault& fault,
                                                          stock& cache) noexcept {
    const auto after =
        std::upper_bound(slots_.begin(), slots_.end(), fault.address,
                         [](quire::input_address at, const slot& each) { return at < each.log.slot().first; });
    const auto done = handlers_[vcpu].handle(fault, &std::prev(after)->log, cache);
    sync_.collect(table_, vcpu);
    return done;
  }
  // For the main thread, between its calls of the logs.
  void collect() noexcept { sync_.collect(table_, main_); }

  [[nodiscard]] quire::table_address root() const noexcept { return *table_.root(); }
  [[nodiscard]] quire::input_address first() const noexcept { return first_; }
  [[nodiscard]] std::deque<slot>& slots() noexcept { return slots_; }
  [[nodiscard]] const emulated_backing& backing() const noexcept { return backing_; }

  quire::eager_split_control eager{};  // may be changed between calls of the logs

 private:
  unsigned main_;  // the main thread's number
  Sync sync_;
  table_type table_;
  quire::invalidation_sequence sequence_;
  emulated_backing backing_;
  std::deque<handler_type> handlers_;
  quire::input_address first_{};
  std::deque<slot> slots_;
};

}  // namespace perf
