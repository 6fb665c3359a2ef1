// SPDX-License-Identifier: MIT
// What a clock and callgrind do not tell, counted through the policies and printed as JSON: entries read and written as
// memory grows, the memory that tables take, words that faults write, faults per second with more and more threads.
#include <algorithm>  // max
#include <chrono>     // steady_clock
#include <cstdio>     // printf
#include <mutex>      // mutex
#include <set>        // set

#include <quire/policy/observed_memory.hpp>  // observed_memory

#include "crowd.hpp"
#include "sizes.hpp"

namespace {

using namespace quire_bench;
using format = riscv::sv39x4;

// ---- entries

struct entry_counter : memory_observer {
  std::uint64_t loads = 0, stores = 0;
  void loaded(table_address, std::size_t, std::uint64_t) noexcept { ++loads; }
  void stored(table_address, std::size_t, std::uint64_t, std::uint64_t, order) noexcept { ++stores; }
};
entry_counter entries;

struct counted_memory : observed_memory<identity_memory, entry_counter> {
  counted_memory() noexcept : observed_memory(identity_memory{}, &entries) {}
};

class entry_meter final : public stopwatch {
 public:
  std::uint64_t units = 0, loads = 0, stores = 0;
  void start(std::uint64_t of_work) override {
    units = of_work;
    entries = {};
  }
  void stop() override {
    loads = entries.loads;
    stores = entries.stores;
  }
};

void print_entries() {
  sized<rig<format, counted_memory>>::add_rows("riscv-sv39x4");
  std::printf(" \"entries\": [");
  const char* separator = "\n";
  for (const row& each : all_rows()) {
    entry_meter meter;
    each.run(meter);
    std::printf("%s  {\"row\": \"%s\", \"units\": %llu, \"read\": %llu, \"written\": %llu}", separator,
                each.name().c_str(), static_cast<unsigned long long>(meter.units),
                static_cast<unsigned long long>(meter.loads), static_cast<unsigned long long>(meter.stores));
    separator = ",\n";
  }
  std::printf("\n ],\n");
}

// ---- memory

// Tables that lead to `bytes` of neighbouring leaves of a level, beside the root.
std::uint64_t fewest_tables(std::uint64_t bytes, int level) {
  std::uint64_t tables = 0;
  for (int above = level + 1; above <= format::shape.root_level; ++above) {
    const std::uint64_t each = format::shape.leaf_bytes(above);
    tables += (bytes + each - 1) / each;
  }
  return tables;
}
void print_memory() {
  std::printf(" \"memory\": [");
  const char* separator = "\n";
  for (std::uint64_t bytes = 64 * mib; bytes <= tib; bytes *= 4)
    for (const int level : {1, 0}) {
      if (level == 0 && bytes > 16 * gib) continue;
      sized<rig<format, identity_memory>> all{bytes, level};
      all.rig.fill(level);
      const std::uint64_t in_stock = all.rig.cache.stock(), tables = all.rig.all.taken - in_stock - 1;
      std::printf(
          "%s  {\"bytes\": %llu, \"leaves\": \"%s\", \"tables\": %llu, \"fewest\": %llu, \"root_bytes\": %llu, "
          "\"bitmap_bytes\": %llu}",
          separator, static_cast<unsigned long long>(bytes), level == 0 ? "pages" : "blocks",
          static_cast<unsigned long long>(tables), static_cast<unsigned long long>(fewest_tables(bytes, level)),
          static_cast<unsigned long long>(root_table_bytes<format>),
          static_cast<unsigned long long>(bitmap_words(bytes / page) * 8));
      separator = ",\n";
    }
  std::printf("\n ],\n");
}

// Tables for several threads, and how many were in use at once: a thread that loses the race for an entry has taken
// one for nothing.
class watched_tables {
 public:
  explicit watched_tables(arena& from) noexcept : from_(from), peak_(from.taken) {}
  [[nodiscard]] std::size_t peak() const noexcept { return peak_; }
  [[nodiscard]] bool reserve(std::size_t) noexcept { return true; }  // the arena aborts where it has too few
  result<table_address> take(table_contents) {
    const std::lock_guard alone{lock_};
    const auto table = from_.allocate(page);
    peak_ = std::max(peak_, from_.taken);
    return table;
  }
  void give_back(table_address table) {
    const std::lock_guard alone{lock_};
    from_.free(table, page);
  }

 private:
  std::mutex lock_;
  arena& from_;
  std::size_t peak_;
};

// Every thread splits every block: those that all of them make pages of are raced for.
template <class Sync>
void print_peak(const char* policy, unsigned threads, const char* separator) {
  plain_crowd<Sync> all{1};
  const std::size_t before = all.all.taken;
  watched_tables tables{all.all};
  const auto split_all = [&](unsigned thread) {
    auto session = all.table.session(all.sync.guard_of(thread));
    must(session.split(input_range::sized(all.guest, paged), 0, tables).has_value(), "split");
  };
  std::vector<std::thread> running;
  for (unsigned i = 1; i < threads; ++i) running.emplace_back(split_all, i);
  split_all(0);
  for (std::thread& each : running) each.join();
  const std::size_t used = all.all.taken - before, peak = tables.peak() - before;
  must(used == paged / block && peak <= used + threads, "tables of a split");
  std::printf("%s  {\"policy\": \"%s\", \"threads\": %u, \"tables\": %zu, \"peak\": %zu}", separator, policy, threads,
              used, peak);
}
void print_peaks() {
  std::printf(" \"peaks\": [");
  print_peak<crowd_under_lock<rw_lock>>("shared", 1, "\n");
  for (unsigned threads = 1; threads <= most_threads; threads *= 2)
    print_peak<crowd_in_sections<direct_words>>("concurrent", threads, ",\n");
  std::printf("\n ],\n");
}

// ---- words that a fault writes

// The words that each of two threads wrote, by address.
struct write_log {
  unsigned actor = 0;
  std::uint64_t writes = 0;
  std::set<const void*> words[2];
  void wrote(const void* word) {
    ++writes;
    words[actor].insert(word);
  }
  [[nodiscard]] std::size_t common() const {
    std::size_t both = 0;
    for (const void* word : words[0]) both += words[1].count(word);
    return both;
  }
};
write_log written;

struct logged_words : direct_words {
  template <class T>
  static void store(T& to, T value, order o) noexcept {
    written.wrote(&to);
    direct_words::store(to, value, o);
  }
  template <class T>
  static T fetch_add(T& at, T amount, order o) noexcept {
    written.wrote(&at);
    return direct_words::fetch_add(at, amount, o);
  }
  template <class T>
  [[nodiscard]] static bool compare_exchange(T& at, T& expected, T desired, order o) noexcept {
    written.wrote(&at);
    return direct_words::compare_exchange(at, expected, desired, o);
  }
};
struct write_observer : memory_observer {
  void stored(table_address table, std::size_t index, std::uint64_t, std::uint64_t, order) noexcept {
    written.wrote(reinterpret_cast<const std::uint64_t*>(static_cast<std::uintptr_t>(table.value)) + index);
  }
};
write_observer observer;
struct logged_memory : observed_memory<identity_memory, write_observer> {
  logged_memory() noexcept : observed_memory(identity_memory{}, &observer) {}
};
// Both halves of the pair write the lock's word.
struct logged_lock : rw_lock {
  void lock_shared() noexcept {
    written.wrote(this);
    rw_lock::lock_shared();
  }
  void unlock_shared() noexcept {
    written.wrote(this);
    rw_lock::unlock_shared();
  }
};
struct logged_bitmap {
  std::uint64_t* words;
  std::uint64_t pages;
  void mark(std::uint64_t number) noexcept {
    written.wrote(words + number / 64);
    dirty_bitmap{words, pages}.mark(number);
  }
};

template <class Sync>
void print_writes(const char* policy, const char* separator) {
  constexpr std::uint64_t faults = 1024;  // of each thread
  crowd<format, logged_memory, logged_words, Sync, logged_bitmap> both;
  const std::size_t taken = both.all.taken, stock = both.cache.stock();
  written = {};
  for (unsigned actor = 0; actor < 2; ++actor) {
    written.actor = actor;
    must(both.fault_all(actor, 2, faults), "fault");
  }
  must(both.all.taken == taken && both.cache.stock() == stock, "a fault on the fast path took memory");
  std::printf("%s  {\"policy\": \"%s\", \"faults\": %llu, \"writes\": %llu, \"words\": %zu, \"words_of_both\": %zu}",
              separator, policy, static_cast<unsigned long long>(2 * faults),
              static_cast<unsigned long long>(written.writes), written.words[0].size() + written.words[1].size(),
              written.common());
}

// ---- threads

template <class Sync>
void print_threads(const char* policy, const char* separator) {
  for (unsigned threads = 1; threads <= most_threads; threads *= 2) {
    double best = 0;
    for (int repetition = 0; repetition < 5; ++repetition) {
      plain_crowd<Sync> all;
      const auto begin = std::chrono::steady_clock::now();
      must(all.run(threads), "fault");
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      const double rate = static_cast<double>(all.pages) / took.count();
      if (rate > best) best = rate;
    }
    std::printf("%s  {\"policy\": \"%s\", \"threads\": %u, \"faults_per_second\": %.0f}", separator, policy, threads,
                best);
    separator = ",\n";
  }
}

}  // namespace

int main() {
  std::printf("{\n");
  print_entries();
  print_memory();
  print_peaks();
  std::printf(" \"writes\": [");
  print_writes<crowd_under_lock<logged_lock>>("shared", "\n");
  print_writes<crowd_in_sections<logged_words>>("concurrent", ",\n");
  std::printf("\n ],\n \"threads\": [");
  print_threads<crowd_under_lock<rw_lock>>("shared", "\n");
  print_threads<crowd_in_sections<direct_words>>("concurrent", ",\n");
  std::printf("\n ],\n \"processors\": %u\n}\n", std::thread::hardware_concurrency());
}
