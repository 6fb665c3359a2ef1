// SPDX-License-Identifier: MIT
// A user's own RCU behind locking::concurrent, here liburcu's memb flavour: what it takes is one class.
//
// Four threads map, unmap and collapse the same gigabyte while four others translate in it, without any lock. Tables
// that were unlinked go back to the heap, poisoned, when the grace period is over: a reader that was still inside one
// would see addresses that nobody mapped.
#include <quire/quire.hpp>

#include <urcu/urcu-memb.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

// A thread's read sections, and the tables that it unlinked. A table cannot hold an rcu_head while somebody may still
// be inside it, for what is in it must read as locked; so the tables wait on a list (through `links`, which takes care
// of that) and one rcu_head stands for all of them: `gathering` fills while `waiting` sits out a grace period.
class rcu_section {
 public:
  rcu_section() { urcu_memb_register_thread(); }
  ~rcu_section() { urcu_memb_unregister_thread(); }
  rcu_section(const rcu_section&) = delete;
  rcu_section& operator=(const rcu_section&) = delete;

  void enter() noexcept { urcu_memb_read_lock(); }
  void leave() noexcept { urcu_memb_read_unlock(); }
  void pause() noexcept { std::this_thread::yield(); }

  // Called outside the section, for a table that nothing leads to any more.
  template <class Links, class Source>
  void retire(Links links, Source&, quire::table_address table) noexcept {
    gathering_.push(links, table);
  }
  // Gives back what may go, starts the next grace period, and says how many tables still wait.
  template <class Links, class Source>
  std::size_t collect(Links links, Source& source) noexcept {
    if (grace_.over.load(std::memory_order_acquire)) {
      while (waiting_.count != 0) source.give_back(waiting_.pop(links));
      if (gathering_.count != 0) {
        waiting_ = std::exchange(gathering_, {});
        grace_.over.store(false, std::memory_order_relaxed);
        urcu_memb_call_rcu(&grace_.head, [](rcu_head* head) {
          reinterpret_cast<grace_period*>(head)->over.store(true, std::memory_order_release);  // its first member
        });
      }
    }
    return gathering_.count + waiting_.count;
  }

 private:
  struct grace_period {
    rcu_head head{};
    std::atomic<bool> over{true};
  };
  grace_period grace_;
  quire::table_list gathering_;
  quire::table_list waiting_;
};

struct heap {
  std::atomic<long>* live;
  quire::result<quire::table_address> allocate(std::uint64_t bytes) noexcept {
    void* table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return quire::errc::no_memory;
    std::memset(table, 0, bytes);
    live->fetch_add(1);
    return quire::table_address{reinterpret_cast<std::uintptr_t>(table)};
  }
  void free(quire::table_address table, std::uint64_t bytes) noexcept {
    void* memory = reinterpret_cast<void*>(static_cast<std::uintptr_t>(table.value));
    std::memset(memory, 0x5f, bytes);
    std::free(memory);
    live->fetch_sub(1);
  }
};
// The root, and where tables go; each thread takes from a stock of its own.
struct common_tables : heap {
  [[nodiscard]] bool reserve(std::size_t n) noexcept { return n == 0; }
  quire::result<quire::table_address> take(quire::table_contents) noexcept { return quire::errc::no_memory; }
  void give_back(quire::table_address table) noexcept { free(table, 4096); }
  quire::result<quire::table_address> take_root(std::uint64_t bytes) noexcept { return allocate(bytes); }
  void give_back_root(quire::table_address table, std::uint64_t bytes) noexcept { free(table, bytes); }
};

struct lockless : quire::policies {
  using locking = quire::locking::concurrent<rcu_section>;
  common_tables tables;
};
using table_type = quire::page_table<quire::riscv::sv39x4, lockless>;
using stock_type = quire::table_cache<heap, quire::direct_memory>;

constexpr quire::input_address guest{0x4000'0000};
constexpr std::uint64_t gigabyte = std::uint64_t{1} << 30;
constexpr quire::output_address host{0x8'0000'0000};

int main() {
  std::atomic<long> live{0};
  std::atomic<bool> over{false};
  std::atomic<unsigned long> changes{0}, reads{0}, wrong{0}, unlinked{0};
  {
    table_type table{lockless{{}, {{&live}}}};
    if (!table.create()) return 1;
    const auto change = [&](unsigned seed) {
      rcu_section section;
      heap memory{&live};
      stock_type stock{&memory, {}, 4096};
      for (unsigned i = 0; i < 20'000; ++i) {
        seed = seed * 1664525 + 1013904223;
        const std::uint64_t first = (seed >> 8 & 511) << 21;
        const auto range = quire::input_range::sized(guest + first, std::uint64_t{1} << 21);
        if (!stock.top_up(4)) wrong.fetch_add(1);
        auto session = table.concurrent(section);
        const quire::attributes wanted{.allowed = quire::read_write, .may_write = true};
        bool fine = true;
        switch (seed >> 4 & 3) {
          case 0:
          case 1: {  // what another thread has mapped there is fine, too
            const auto made = session.map(range, host + first, wanted, stock, {.largest_level = seed & 1 ? 1 : 0});
            fine = made || made.error().code == quire::errc::already_mapped;
            break;
          }
          case 2: fine = session.collapse(range).has_value(); break;
          default: fine = session.unmap(range).has_value(); break;
        }
        if (!fine) wrong.fetch_add(1);
        session.let_go(true, [&] { unlinked.fetch_add(table.collect(section) != 0 ? 1 : 0); });
        changes.fetch_add(1);
      }
      while (table.collect(section) != 0) std::this_thread::yield();
    };
    const auto read = [&](unsigned seed) {
      rcu_section section;
      while (!over.load()) {
        seed = seed * 1664525 + 1013904223;
        const quire::input_address at = guest + (std::uint64_t{seed} << 2 & (gigabyte - 1));
        const auto found = table.concurrent(section).translate(at);
        if (found && *found != host + (at - guest)) wrong.fetch_add(1);
        reads.fetch_add(1);
      }
    };
    std::vector<std::thread> writers, readers;
    for (unsigned i = 0; i < 4; ++i) {
      writers.emplace_back(change, i + 1);
      readers.emplace_back(read, i + 77);
    }
    for (std::thread& each : writers) each.join();
    over.store(true);
    for (std::thread& each : readers) each.join();
  }
  urcu_memb_barrier();
  std::printf("%lu changes beside %lu reads; tables waited for a grace period %lu times; %ld tables left, %lu wrong\n",
              changes.load(), reads.load(), unlinked.load(), live.load(), wrong.load());
  return wrong == 0 && live == 0 && unlinked != 0 ? 0 : 1;
}
