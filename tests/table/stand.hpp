// SPDX-License-Identifier: MIT
// The two ways a sequence of operations is run.
//
//   watched_stand   on check::machine: word by word, every oracle on, the hardware at work in between if asked.
//   bare_stand      on plain words with the run capability, nothing watching; the whole state can be put aside and
//                   brought back, which makes trying every sequence cheap.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <string>   // string
#include <vector>   // vector

#include <quire/check/machine.hpp>     // machine
#include <quire/table/page_table.hpp>  // page_table

namespace quire_test {

struct stand_options {
  std::uint64_t seed = 1;
  unsigned hardware = 0;
  std::uint64_t first = 0;  // of the window
  std::uint64_t pages = 0;
  std::size_t tables = 64;
};

// Lets nobody go who owes an invalidation.
template <quire::pte_format F>
struct watched_lock {
  quire::check::machine<F>* machine;
  bool held = false;

  void lock() { held = true; }
  void unlock() {
    held = false;
    if (machine->has_root()) machine->automaton().verify_nothing_owed();
  }
};

template <quire::pte_format F>
class watched_stand {
 public:
  using policies = quire::check::policies<F, quire::locking::exclusive<watched_lock<F>>>;
  using table_type = quire::page_table<F, policies>;

  explicit watched_stand(const stand_options& o)
      : machine({.units = o.tables + 2 * (1 + quire::root_table_bytes<F> / quire::table_unit_bytes<F>),
                 .hardware = o.hardware,
                 .seed = o.seed,
                 .window = quire::input_address{o.first},
                 .window_pages = o.pages,
                 .mmu = {.most_cached = 48}}),
        lock{&machine},
        table(policies{machine}) {}
  ~watched_stand() { machine.stop(); }
  watched_stand(const watched_stand&) = delete;
  watched_stand& operator=(const watched_stand&) = delete;

  auto session() { return table.exclusive(lock); }
  auto memory() { return machine.memory(); }
  void begin() { machine.record().clear(); }
  void end() { machine.end_of_operation(); }
  // Tables in use, the root included.
  [[nodiscard]] std::size_t in_use() { return machine.tables().live_blocks() - machine.stock().stock(); }
  [[nodiscard]] std::size_t touched() { return machine.record().stores + machine.record().requests_added; }
  [[nodiscard]] const std::vector<quire::invalidation_request>& requests() { return machine.record().requests; }
  [[nodiscard]] std::uint32_t stores_at(std::size_t page) { return machine.stores_at(page); }
  [[nodiscard]] quire::check::report& findings() { return machine.findings(); }
  void discarding(bool on) { machine.lost().discarding(on); }
  void fail_at(std::uint64_t k) {
    machine.stock().drain();
    if (k == 0) machine.tables().fail_never();
    else machine.tables().fail_at(k);
  }
  void fail_all_from(std::uint64_t k) {
    machine.stock().drain();
    machine.tables().fail_all_from(k);
  }
  [[nodiscard]] std::uint64_t asked() { return machine.tables().allocations_asked(); }
  void stop() { machine.stop(); }

  quire::check::machine<F> machine;
  watched_lock<F> lock;
  table_type table;
};

// Tables in a vector, and what was invalidated.
template <quire::pte_format F>
struct bare_world {
  using word = typename F::word;
  static constexpr std::uint64_t unit = quire::table_unit_bytes<F>;
  static constexpr std::uint64_t root_bytes = quire::root_table_bytes<F>;
  static constexpr std::uint64_t base = unit < root_bytes ? root_bytes : unit;

  std::vector<word> words;
  std::vector<std::uint64_t> free;
  std::vector<quire::invalidation_request> requests;

  explicit bare_world(std::size_t tables)
      : words(static_cast<std::size_t>((root_bytes + tables * unit) / sizeof(word)), word{0xdead'0bad & ~1U}) {
    for (std::size_t i = tables; i-- != 0;) free.push_back(base + root_bytes + i * unit);
  }
};

template <quire::pte_format F>
struct bare_tables {
  bare_world<F>* world;

  [[nodiscard]] bool reserve(std::size_t n) { return world->free.size() >= n; }
  quire::result<quire::table_address> take(quire::table_contents contents) {
    if (world->free.empty()) return quire::errc::no_memory;
    const std::uint64_t at = world->free.back();
    world->free.pop_back();
    if (contents == quire::table_contents::zeroed) clear(at, bare_world<F>::unit);
    return quire::table_address{at};
  }
  void give_back(quire::table_address table) { world->free.push_back(table.value); }
  quire::result<quire::table_address> take_root(std::uint64_t bytes) {
    clear(bare_world<F>::base, bytes);
    return quire::table_address{bare_world<F>::base};
  }
  void give_back_root(quire::table_address, std::uint64_t) {}
  void clear(std::uint64_t at, std::uint64_t bytes) {
    const std::size_t first = static_cast<std::size_t>((at - bare_world<F>::base) / sizeof(typename F::word));
    for (std::size_t i = 0; i < bytes / sizeof(typename F::word); ++i) world->words[first + i] = 0;
  }
};
template <quire::pte_format F>
struct bare_invalidation {
  bare_world<F>* world;

  void add(const quire::invalidation_request& request) { world->requests.push_back(request); }
  void local(const quire::invalidation_request& request) { world->requests.push_back(request); }
  void complete() {}
};

template <quire::pte_format F>
struct bare_policies : quire::policies {
  quire::array_memory<typename F::word> memory;
  bare_tables<F> tables;
  bare_invalidation<F> invalidation;

  explicit bare_policies(bare_world<F>& world)
      : memory(world.words.data(), world.words.size(), bare_world<F>::base), tables{&world}, invalidation{&world} {}
};

template <quire::pte_format F>
class bare_stand {
 public:
  using table_type = quire::page_table<F, bare_policies<F>>;

  explicit bare_stand(const stand_options& o)
      : world(o.tables), all_(world.free.size()), table(bare_policies<F>{world}) {}
  bare_stand(const bare_stand&) = delete;
  bare_stand& operator=(const bare_stand&) = delete;

  auto session() { return table.exclusive(); }
  auto memory() { return quire::array_memory<typename F::word>{world.words.data(), world.words.size(), world.base}; }
  void begin() { world.requests.clear(); }
  void end() {}
  [[nodiscard]] std::size_t in_use() { return all_ - world.free.size() + (table.root() ? 1U : 0U); }
  [[nodiscard]] std::size_t touched() { return 0; }
  [[nodiscard]] const std::vector<quire::invalidation_request>& requests() { return world.requests; }
  [[nodiscard]] std::uint32_t stores_at(std::size_t) { return 0; }
  [[nodiscard]] quire::check::report& findings() { return report_; }
  void discarding(bool) {}
  void fail_at(std::uint64_t) {}
  void fail_all_from(std::uint64_t) {}
  [[nodiscard]] std::uint64_t asked() { return 0; }
  void stop() {}

  bare_world<F> world;

 private:
  std::size_t all_;
  quire::check::report report_;

 public:
  table_type table;
};

}  // namespace quire_test
