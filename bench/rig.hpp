// SPDX-License-Identifier: MIT
// What a benchmark works on: one table of guest memory, its policies, and the checks that an operation did its work.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <cstdio>   // fprintf
#include <cstdlib>  // aligned_alloc, abort
#include <cstring>  // memset

#include <quire/format/arm64_stage2.hpp>  // arm64::stage2_4k
#include <quire/format/intel_ept.hpp>     // intel::ept
#include <quire/format/riscv_gstage.hpp>  // riscv::sv39x4
#include <quire/policy/epoch.hpp>         // epoch_section
#include <quire/policy/table_cache.hpp>   // table_cache
#include <quire/table/page_table.hpp>     // page_table

namespace quire_bench {

using namespace quire;

inline constexpr std::uint64_t page = 4096;
inline constexpr std::uint64_t mib = 1024 * 1024;
inline constexpr std::uint64_t block = 2 * mib;
inline constexpr std::uint64_t gib = 1024 * mib;

// A workload that did not do what it was measured for must not give a figure.
inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "benchmark: wrong result: %s\n", what);
  std::abort();
}

// One piece of memory, handed out table by table; a table that comes back goes on a list.
class arena {
 public:
  explicit arena(std::size_t tables)
      : bytes_((tables + 16) * page), memory_(static_cast<char*>(std::aligned_alloc(alignment, rounded(bytes_)))) {
    must(memory_ != nullptr, "no memory for tables");
    std::memset(memory_, 0, bytes_);
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena() { std::free(memory_); }

  result<table_address> allocate(std::uint64_t bytes) noexcept {
    ++taken;
    if (bytes == page && free_ != 0) {
      const std::uint64_t table = free_;
      free_ = *word(table);
      std::memset(word(table), 0, page);
      return table_address{table};
    }
    used_ = (used_ + bytes - 1) & ~(bytes - 1);
    must(used_ + bytes <= bytes_, "the arena is too small");
    used_ += bytes;
    return table_address{reinterpret_cast<std::uintptr_t>(memory_) + used_ - bytes};
  }
  void free(table_address table, std::uint64_t bytes) noexcept {
    --taken;
    if (bytes != page) return;
    *word(table.value) = free_;
    free_ = table.value;
  }

  std::size_t taken = 0;

 private:
  static constexpr std::size_t alignment = 16 * page;
  static std::size_t rounded(std::size_t bytes) noexcept { return (bytes + alignment - 1) & ~(alignment - 1); }
  static std::uint64_t* word(std::uint64_t table) noexcept {
    return reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(table));
  }

  std::size_t bytes_;
  char* memory_;
  std::size_t used_ = 0;
  std::uint64_t free_ = 0;
};

// identity_memory without its run capability: every operation works word by word.
class word_memory : identity_memory {
 public:
  using identity_memory::compare_exchange;
  using identity_memory::exchange;
  using identity_memory::fetch_and;
  using identity_memory::fetch_or;
  using identity_memory::load;
  using identity_memory::store;
};
static_assert(run_memory<identity_memory, std::uint64_t> && !run_memory<word_memory, std::uint64_t>);

// The cost of a lock is the lock's: this one has none.
struct open_lock {
  void lock() noexcept {}
  void unlock() noexcept {}
  void lock_shared() noexcept {}
  void unlock_shared() noexcept {}
};

// A readers-writer lock as small as one can be: how many readers there are, and whether a writer is.
class rw_lock {
 public:
  void lock_shared() noexcept {
    while ((atomic::fetch_add(&state_, reader, order::acquire) & writer) != 0) [[unlikely]] {
      unlock_shared();
      while ((atomic::load(&state_, order::relaxed) & writer) != 0) {
      }
    }
  }
  void unlock_shared() noexcept { atomic::fetch_add(&state_, 0U - reader, order::release); }
  void lock() noexcept {
    for (unsigned free = 0; !atomic::compare_exchange(&state_, free, writer, order::acquire);) free = 0;
  }
  void unlock() noexcept { atomic::fetch_and(&state_, ~writer, order::release); }

 private:
  static constexpr unsigned writer = 1, reader = 2;
  unsigned state_ = 0;
};

// How sessions are kept apart: by a lock, or not at all, in sections of the epoch reclaimer.
template <class Lock>
struct under_lock {
  using locking = quire::locking::shared<Lock>;
  using guard_type = Lock;
  Lock guard;
  template <class Table>
  void collect(Table&) noexcept {}
};
using locked = under_lock<open_lock>;
using read_locked = under_lock<rw_lock>;
struct lockless {
  using locking = quire::locking::concurrent<epoch_section>;
  using guard_type = epoch_section;
  epoch_slot slots[1];
  epoch_reclaim domain{slots, 1};
  epoch_section guard{domain, 0};
  template <class Table>
  void collect(Table& table) noexcept {
    for (int epochs = 0; epochs < 3; ++epochs) static_cast<void>(table.collect(guard));
  }
};

// Counts what it is told, as cheaply as an owner could write it down.
struct counted_invalidation {
  static constexpr bool reentrant = true;  // one thread
  std::size_t requests = 0;
  std::size_t waits = 0;
  std::size_t locals = 0;

  void add(const invalidation_request&) noexcept { ++requests; }
  void local(const invalidation_request&) noexcept { ++locals; }
  void complete() noexcept { ++waits; }
};

template <pte_format Format>
using stock_of = table_cache<arena, identity_memory, typename Format::word>;

template <pte_format Format, class Memory, class Locking, class Invalidation, class Words = direct_words>
struct kernel : policies {
  using locking = Locking;
  Memory memory{};
  stock_of<Format>& tables;
  Invalidation invalidation{};
  Words words{};
  explicit kernel(stock_of<Format>& stock) noexcept : tables(stock) {}
};

template <pte_format Format, class Memory, class Sync = locked>
struct rig {
  using format = Format;
  using memory_type = Memory;
  template <class Other>
  using under = rig<Format, Memory, Other>;
  template <class Other>
  using over = rig<Format, Other, Sync>;
  using policies_type = kernel<Format, Memory, typename Sync::locking, counted_invalidation>;
  using table_type = page_table<Format, policies_type>;
  using guard_type = typename Sync::guard_type;

  // `bytes` of guest memory from `guest`, backed from `host` on; room for all its tables, `bytes` at a time as pages.
  explicit rig(std::uint64_t memory) : bytes(memory), all(2 * memory / block + 64) {
    must(tables.create().has_value() && cache.top_up(memory / block + 32), "tables");
  }

  std::uint64_t bytes;
  arena all;
  stock_of<Format> cache{&all, identity_memory{}, page};
  table_type tables{policies_type{cache}};
  Sync sync{};

  static constexpr input_address guest{gib};
  static constexpr output_address host{8 * gib};
  // As a write fault leaves it: the hardware has nothing to add.
  static constexpr attributes ordinary{.allowed = read_write, .may_write = true, .dirty = Format::facts.sets_dirty};

  [[nodiscard]] input_range range() const noexcept { return input_range::sized(guest, bytes); }
  [[nodiscard]] static output_address behind(input_address address) noexcept { return host + (address - guest); }
  [[nodiscard]] auto session() noexcept { return tables.session(sync.guard); }

  // Preparation: all of the memory in leaves of one level.
  void fill(int level, attributes how = ordinary) {
    must(session().map(range(), host, how, cache, {.largest_level = level}).has_value(), "map");
  }
  // All of the memory is there, in leaves of `level`, leading where it should, with the rights that `allowed(page)`
  // gives.
  template <class Rights>
  void expect(int level, const Rights& allowed, bool accessed = true) {
    std::uint64_t next = guest.value;
    const auto seen = session().for_each_mapping(range(), [&](const mapping& found) {
      must(found.input.value == next && found.level == level && found.group == 0, "the leaves");
      must(found.output == behind(found.input), "an output address");
      must(found.attrs.allowed == allowed((found.input - guest) / page), "the rights");
      must(found.attrs.may_write && found.attrs.accessed == accessed, "the state");
      next += found.bytes;
    });
    must(seen.has_value() && next - guest.value == bytes, "the extent");
  }
  void expect(int level, permissions allowed, bool accessed = true) {
    expect(level, [&](std::uint64_t) { return allowed; }, accessed);
  }
  // Nothing is there, and only the root is left of the tables.
  void expect_nothing() {
    std::size_t leaves = 0;
    must(session().for_each_mapping(range(), [&](const mapping&) { ++leaves; }).has_value() && leaves == 0,
         "leaves are left");
  }
};

}  // namespace quire_bench
