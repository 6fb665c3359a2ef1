// SPDX-License-Identifier: MIT
// Virtual CPUs on real threads. Each has a TLB of its own, walks the shared table itself, and handles its own faults;
// an invalidation goes to all of them and waits until each has obeyed or is out of the guest, as hypervisors do it.
//
//   guest<Format> g{options};                 under one readers-writer lock; guest<Format, sections>: in read sections
//   typename guest<Format>::vcpu vcpu{g, 0};  on the vCPU's own thread
//   vcpu.store(page, value);
#pragma once

#include <array>         // array
#include <atomic>        // atomic
#include <cstddef>       // size_t
#include <cstdint>       // uint64_t
#include <mutex>         // mutex, lock_guard
#include <shared_mutex>  // shared_mutex
#include <string>        // string
#include <thread>        // thread, yield
#include <utility>       // pair
#include <vector>        // vector

#include <quire/dirty/fault.hpp>          // fault_handler
#include <quire/policy/epoch.hpp>         // epoch_section
#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/policy/table_cache.hpp>   // table_cache

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace quire_test {

using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::table_address;

// Spins for a moment, then lets others run: there may be fewer processors than threads.
class patience {
 public:
  void wait() noexcept {
    if (++spins_ % 64 == 0) std::this_thread::yield();
  }

 private:
  unsigned spins_ = 0;
};

// Tables in an array; several threads may allocate.
template <class Word>
class shared_arena {
 public:
  static constexpr std::uint64_t base = std::uint64_t{1} << 20U;
  static constexpr std::uint64_t unit = 4096;
  explicit shared_arena(std::size_t units) : words_(units * (unit / sizeof(Word))), used_(units) {}

  [[nodiscard]] quire::array_memory<Word> memory() noexcept { return {words_.data(), words_.size(), base}; }
  quire::result<table_address> allocate(std::uint64_t bytes) noexcept {
    const std::lock_guard<std::mutex> guard{mutex_};
    const std::size_t n = bytes < unit ? 1 : static_cast<std::size_t>(bytes / unit);
    std::size_t run = 0;
    for (std::size_t i = n == 1 ? hint_ : 0; i < used_.size(); ++i) {
      if (run == 0 && (base + i * unit) % bytes != 0) continue;
      run = used_[i] == 0 ? run + 1 : 0;
      if (run != n) continue;
      for (std::size_t k = i + 1 - n; k <= i; ++k) used_[k] = 1;
      live_ += n;
      if (n == 1) hint_ = i + 1;
      const std::size_t words = unit / sizeof(Word);
      for (std::size_t k = (i + 1 - n) * words; k < (i + 1) * words; ++k)
        quire::atomic::store(&words_[k], Word{0}, quire::order::relaxed);
      return table_address{base + (i + 1 - n) * unit};
    }
    return quire::errc::no_memory;
  }
  void free(table_address table, std::uint64_t bytes) noexcept {
    const std::lock_guard<std::mutex> guard{mutex_};
    const std::size_t first = static_cast<std::size_t>((table.value - base) / unit);
    const std::size_t n = bytes < unit ? 1 : static_cast<std::size_t>(bytes / unit);
    for (std::size_t k = first; k < first + n; ++k) used_[k] = 0;
    live_ -= n;
    if (first < hint_) hint_ = first;
  }
  [[nodiscard]] std::size_t live() noexcept {
    const std::lock_guard<std::mutex> guard{mutex_};
    return live_;
  }

 private:
  std::vector<Word> words_;
  std::vector<unsigned char> used_;
  std::size_t live_ = 0;
  std::size_t hint_ = 0;
  std::mutex mutex_;
};

// What one TLB keeps: direct-mapped, pages only.
struct tlb_entry {
  std::uint64_t page = ~std::uint64_t{0};
  std::uint64_t frame = 0;
  bool writable = false;
};

struct alignas(64) cpu_state {
  std::atomic<bool> in_guest{false};
  std::atomic<std::uint64_t> obeyed{0};
  std::array<tlb_entry, 64> tlb{};  // touched by the owner alone
};

// The translation caches of all vCPUs.
class shootdown {
 public:
  explicit shootdown(std::size_t cpus) : cpus_(cpus) {}

  [[nodiscard]] cpu_state& cpu(std::size_t i) noexcept { return cpus_[i]; }
  void invalidate_all() noexcept {
    const std::uint64_t wanted = wanted_.fetch_add(1) + 1;
    for (cpu_state& one : cpus_)
      for (patience p; one.in_guest.load() && one.obeyed.load() < wanted;) p.wait();
  }
  // By the owner. Between enter and leave it polls.
  void enter(cpu_state& one) noexcept {
    one.in_guest.store(true);
    poll(one);
  }
  static void leave(cpu_state& one) noexcept { one.in_guest.store(false); }
  void poll(cpu_state& one) noexcept {
    const std::uint64_t wanted = wanted_.load();
    if (one.obeyed.load(std::memory_order_relaxed) == wanted) return;
    one.tlb.fill({});
    one.obeyed.store(wanted);
  }

 private:
  std::vector<cpu_state> cpus_;
  std::atomic<std::uint64_t> wanted_{0};
};

inline thread_local cpu_state* this_cpu = nullptr;

// Sends when it is completed.
struct shootdown_invalidation {
  static constexpr bool reentrant = true;
  struct batch {
    bool pending = false;
  };
  shootdown* to;
  static void add(batch& mine, const quire::invalidation_request&) noexcept { mine.pending = true; }
  void local(const quire::invalidation_request& request) noexcept {
    if (this_cpu == nullptr) return;
    for (tlb_entry& one : this_cpu->tlb)
      if (one.page >= request.first.value && one.page <= request.last.value) one = {};
  }
  void complete(batch& mine) noexcept {
    if (mine.pending) to->invalidate_all();
    mine.pending = false;
  }
};

// What keeps sessions apart: guard(i) is thread i's, the last one that of whoever owns the log.
class one_lock {
 public:
  using guard_type = std::shared_mutex;
  using locking = quire::locking::shared<guard_type>;
  explicit one_lock(unsigned) {}
  [[nodiscard]] guard_type& guard(unsigned) noexcept { return lock_; }
  template <class Table>
  void collect(Table&) noexcept {}

 private:
  guard_type lock_;
};
class sections {
 public:
  // Lets other threads run while it waits: there may be more threads than processors.
  struct guard_type : quire::epoch_section {
    using quire::epoch_section::epoch_section;
    static void pause() noexcept { std::this_thread::yield(); }
  };
  using locking = quire::locking::concurrent<guard_type>;
  explicit sections(unsigned threads) : slots_(threads), domain_(slots_.data(), threads) {
    for (unsigned i = 0; i < threads; ++i) sections_.emplace_back(domain_, i);
  }
  [[nodiscard]] guard_type& guard(unsigned i) noexcept { return sections_[i]; }
  // Caller must: be the only thread at work.
  template <class Table>
  void collect(Table& table) noexcept {
    for (int epochs = 0; epochs < 3; ++epochs)
      for (guard_type& each : sections_) static_cast<void>(table.collect(each));
  }
  [[nodiscard]] quire::epoch_reclaim& domain() noexcept { return domain_; }

 private:
  std::vector<quire::epoch_slot> slots_;
  quire::epoch_reclaim domain_;
  std::vector<guard_type> sections_;
};

// Lets go of the lock at every n-th question (0: never), for as long as it takes the guest to get something done. Only
// whoever owns the log asks.
struct eager_yield {
  const unsigned* every;
  const std::atomic<std::uint64_t>* stores;
  unsigned asked = 0;
  [[nodiscard]] bool should_yield() noexcept { return *every != 0 && ++asked % *every == 0; }
  void pause() noexcept {
    const std::uint64_t before = stores->load(std::memory_order_relaxed);
    for (int tries = 0; tries < 20 && stores->load(std::memory_order_relaxed) - before < 8; ++tries)
      std::this_thread::yield();
  }
};

// The exchanges that changed an entry.
struct exchange_counter {
  std::atomic<std::uint64_t> exchanges{0};
  std::atomic<bool> counting{false};
};

template <class Word>
class counting_memory : public quire::array_memory<Word> {
 public:
  using base = quire::array_memory<Word>;
  counting_memory(base memory, exchange_counter* counter) noexcept : base(memory), counter_(counter) {}
  template <class W>
  [[nodiscard]] bool compare_exchange(table_address t, std::size_t i, W& expected, W wanted,
                                      quire::order o) const noexcept {
    const W before = expected;
    if (!base::template compare_exchange<W>(t, i, expected, wanted, o)) return false;
    if (before != wanted && counter_->counting.load(std::memory_order_relaxed))
      counter_->exchanges.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

 private:
  exchange_counter* counter_;
};

// Page p of the slot lies in frame p of the host, or where it was moved to in frame p + pages.
struct identity_backing {
  std::uint64_t displacement = 0;
  std::uint64_t page_mask = 0;
  std::vector<std::atomic<bool>>* moved = nullptr;
  int largest = 7;
  quire::result<quire::host_page> resolve(const quire::memory_slot& slot, input_address address, bool) noexcept {
    const std::uint64_t page = (address.value - slot.first.value) / (page_mask + 1);
    const std::uint64_t away = (*moved)[page].load(std::memory_order_acquire) ? slot.pages * (page_mask + 1) : 0;
    return quire::host_page{output_address{(address.value & ~page_mask) + displacement + away}, true, largest};
  }
  int mapped_level(const quire::memory_slot&, input_address) noexcept { return largest; }
};

template <quire::pte_format F, class Sync>
struct thread_policies : quire::policies {
  using locking = typename Sync::locking;
  using word = typename F::word;
  using tables_type = quire::table_cache<shared_arena<word>, quire::array_memory<word>, word, true>;
  counting_memory<word> memory;
  tables_type tables;
  shootdown_invalidation invalidation;
  eager_yield yield;
};

struct guest_options {
  std::uint64_t pages = 64;
  unsigned cpus = 2;
  std::size_t units = 64;
};

template <quire::pte_format F, class Sync = one_lock>
struct guest {
  using word = typename F::word;
  using guard_type = typename Sync::guard_type;
  using table_type = quire::page_table<F, thread_policies<F, Sync>>;
  using log_type = quire::dirty_log<table_type, guard_type, quire::dirty_bitmap>;
  using handler = quire::fault_handler<table_type, guard_type, identity_backing, quire::dirty_bitmap>;
  using cache = quire::table_cache<shared_arena<word>, quire::array_memory<word>, word>;

  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t region = F::shape.leaf_bytes(2);

  explicit guest(guest_options options)
      : arena(options.units),
        caches(options.cpus),
        slot{.first = input_address{region}, .pages = options.pages, .host = region, .rights = quire::read_write},
        owner(options.cpus),
        sync(options.cpus + 1),
        table(thread_policies<F, Sync>{
            {}, {arena.memory(), &counter}, {&arena, arena.memory(), 4096}, {&caches}, {&yield_every, &stores}}),
        moved(options.pages),
        backing{.displacement = region, .page_mask = page - 1, .moved = &moved},
        words(quire::bitmap_words(options.pages)),
        log(table, sync.guard(owner), slot, quire::dirty_bitmap{words.data(), options.pages}, control),
        splitter(&arena, arena.memory(), 4096),
        content(2 * options.pages),
        made(table.create().has_value()) {}

  [[nodiscard]] input_address at(std::uint64_t index) const noexcept { return slot.first + index * page; }
  [[nodiscard]] input_range all() const noexcept { return slot.template range<F>(); }
  [[nodiscard]] bool map(int level) {
    auto session = table.session(sync.guard(owner));
    const quire::attributes wanted{.allowed = quire::read_write, .may_write = true, .dirty = F::facts.has_dirty};
    return session
        .map(all(), output_address{slot.first.value + backing.displacement}, wanted, table.policies().tables,
             {.largest_level = level})
        .has_value();
  }
  // The host moves a page to its other frame. `thread` is the caller's guard.
  [[nodiscard]] bool move(unsigned thread, std::uint64_t index) noexcept {
    const input_range range = input_range::sized(at(index), page);
    const auto announce = [&] {
      auto session = table.session(sync.guard(thread));
      const auto change = sequence.begin(range);
      const bool gone = session.unmap(range).has_value();
      session.complete();
      return std::pair{change, gone};
    };
    const auto [change, gone] = announce();
    const bool away = moved[index].load(std::memory_order_relaxed);
    const std::uint64_t from = away ? index + slot.pages : index, to = away ? index : index + slot.pages;
    content[to].store(content[from].load(std::memory_order_relaxed), std::memory_order_relaxed);
    moved[index].store(!away, std::memory_order_release);
    const auto session = table.session(sync.guard(thread));
    sequence.end(change);
    return gone;
  }
  // What is in a page now. Caller must: know that the host does not move it meanwhile.
  [[nodiscard]] std::uint64_t read(std::uint64_t index) const noexcept {
    const bool away = moved[index].load(std::memory_order_acquire);
    return content[away ? index + slot.pages : index].load(std::memory_order_relaxed);
  }
  // Gives back what was retired. Caller must: be the only thread at work.
  void collect() noexcept { sync.collect(table); }
  // The entry that translates an address, as a hardware walk finds it.
  struct leaf_place {
    table_address table;
    std::size_t index;
    word entry;
    int level;
  };
  [[nodiscard]] leaf_place walk(input_address address) noexcept {
    auto memory = arena.memory();
    table_address at_table = *table.root();
    for (int level = F::shape.root_level;; --level) {
      const std::size_t i = F::shape.index(address.value, level);
      const word entry = memory.template load<word>(at_table, i, quire::order::acquire);
      if (level == 0 || F::kind_of(entry, level) != quire::entry_kind::table) return {at_table, i, entry, level};
      at_table = F::table_of(entry, level);
    }
  }

  // One vCPU, used by one thread.
  class vcpu {
   public:
    vcpu(guest& g, unsigned number)
        : guest_(g),
          cpu_(g.caches.cpu(number)),
          stock_(&g.arena, g.arena.memory(), 4096),
          handler_(g.table, g.sync.guard(number), g.sequence, g.backing, quire::fault_path::fast) {
      this_cpu = &cpu_;
    }
    vcpu(const vcpu&) = delete;
    vcpu& operator=(const vcpu&) = delete;
    ~vcpu() { this_cpu = nullptr; }

    std::uint64_t faults = 0;
    std::uint64_t fast = 0;
    std::uint64_t failures = 0;     // faults that ended with an error
    std::uint64_t wrong_walks = 0;  // a translation that is neither the old nor the new one

    // Stores to the guest's page. The store happens while this CPU may not be interrupted, as an instruction does.
    void store(std::uint64_t index, std::uint64_t value) {
      for (;;) {
        guest_.caches.enter(cpu_);
        std::uint64_t frame = 0;
        const bool done = translated(index, frame);
        if (done) guest_.content[frame].store(value, std::memory_order_relaxed);
        shootdown::leave(cpu_);
        if (done) {
          guest_.stores.fetch_add(1, std::memory_order_relaxed);
          return;
        }
        fault(index);
      }
    }
    quire::fault_outcome fault(std::uint64_t index) {
      ++faults;
      const auto said = handler_.handle({guest_.at(index), quire::writable}, &guest_.log, stock_);
      failures += said ? 0U : 1U;
      if (!said) return quire::fault_outcome::retry;
      fast += said->outcome == quire::fault_outcome::fixed_fast ? 1U : 0U;
      return said->outcome;
    }

   private:
    [[nodiscard]] bool translated(std::uint64_t index, std::uint64_t& frame) {
      const input_address address = guest_.at(index);
      tlb_entry& cached = cpu_.tlb[index % cpu_.tlb.size()];
      frame = cached.frame;
      if (cached.page == address.value) return cached.writable;
      const auto found = guest_.walk(address);
      const auto kind = F::kind_of(found.entry, found.level);
      if (kind != quire::entry_kind::leaf) {
        const bool gone = kind == quire::entry_kind::absent && guest_.may_be_absent;
        if (kind != quire::entry_kind::locked && !gone) ++wrong_walks;
        return false;
      }
      const std::uint64_t inside = address.value & (F::shape.leaf_bytes(found.level) - 1);
      frame = (F::output_of(found.entry, found.level).value + inside - guest_.slot.first.value -
               guest_.backing.displacement) /
              page;
      if (frame != index && frame != index + guest_.slot.pages) {
        ++wrong_walks;
        return false;
      }
      // Hardware that traps on a clean page.
      const bool may =
          F::is_writable(found.entry) && (!F::facts.has_dirty || F::facts.sets_dirty || F::is_dirty(found.entry));
      cached = {address.value, frame, may};
      return may;
    }

    guest& guest_;
    cpu_state& cpu_;
    cache stock_;
    handler handler_;
  };

  exchange_counter counter;
  shared_arena<word> arena;
  shootdown caches;
  unsigned yield_every = 0;
  bool may_be_absent = false;  // pages of the slot, after a while
  std::atomic<std::uint64_t> stores{0};
  quire::memory_slot slot;
  unsigned owner;
  Sync sync;
  table_type table;
  std::vector<std::atomic<bool>> moved;
  identity_backing backing;
  quire::invalidation_sequence sequence;
  quire::eager_split_control control;
  std::vector<std::uint64_t> words;
  log_type log;
  cache splitter;
  std::vector<std::atomic<std::uint64_t>> content;  // what is in the host's frames
  bool made;
};

// Threads meet here.
class meeting {
 public:
  explicit meeting(unsigned n) : n_(n) {}
  void arrive() noexcept {
    const unsigned round = round_.load();
    if (arrived_.fetch_add(1) + 1 == n_) {
      arrived_.store(0);
      round_.store(round + 1);
      return;
    }
    for (patience p; round_.load() == round;) p.wait();
  }

 private:
  unsigned n_;
  std::atomic<unsigned> arrived_{0};
  std::atomic<unsigned> round_{0};
};

#ifdef QUIRE_FEW_FORMATS
using thread_formats = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>>;
#else
using thread_formats = std::tuple<quire::riscv::sv39x4, quire::riscv::sv48x4, quire::arm64::stage2_4k<40>,
                                  quire::arm64::stage2_4k<43>, quire::arm64::stage2_4k<48>>;
#endif
// The first of each architecture gets all the rounds, the others a share.
template <class F>
[[nodiscard]] std::uint64_t rounds_of(std::uint64_t all) {
  const bool whole = std::is_same_v<F, quire::riscv::sv39x4> || std::is_same_v<F, quire::arm64::stage2_4k<40>>;
  return scaled(whole ? all : all / 20);
}

}  // namespace quire_test
