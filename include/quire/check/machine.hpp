// SPDX-License-Identifier: MIT
// A whole machine for tests: an arena for the tables, CPUs that walk them while operations run, and every oracle, all
// plugged into a table through one struct of policies.
//
//   check::machine<format> machine{{.cpus = 2, .hardware = 100}};
//   quire::page_table<format, check::policies<format>> table{check::policies<format>{machine}};
//   ... one operation ...
//   machine.end_of_operation();
//   REQUIRE(machine.findings().text() == "");
//   machine.stop();  // before the table is destroyed: the CPUs leave it
//
// The policies are handles: they may be moved and copied, and the machine must outlive them. A machine serves one table
// at a time, one guest's; its root is the one taken last. The machine of another guest, with a VMID of its own, may
// have the CPUs in common: check::machine<format> other{{.vmid = 2}, machine}. check::policies<format, locking, update,
// true> has the run capability: stores through it cannot be seen one by one, so construct the machine with .automaton =
// false.
#pragma once

#include <cstddef>     // size_t
#include <cstdint>     // uint32_t, uint64_t
#include <functional>  // function
#include <memory>      // make_unique
#include <string>      // to_string
#include <utility>     // move
#include <vector>      // vector

#include <quire/check/arena.hpp>              // arena
#include <quire/check/break_before_make.hpp>  // break_before_make
#include <quire/check/lost_bit.hpp>           // lost_bit
#include <quire/check/machine_policies.hpp>   // policies
#include <quire/check/maintenance_order.hpp>  // maintenance_order
#include <quire/check/naive_walk.hpp>         // count_tables
#include <quire/check/recorder.hpp>           // recorder
#include <quire/check/report.hpp>             // report
#include <quire/check/retired_table.hpp>      // retired_table
#include <quire/check/software_mmu.hpp>       // software_mmu
#include <quire/check/stale_translation.hpp>  // stale_translation
#include <quire/policy/observed_memory.hpp>   // observed_memory
#include <quire/policy/table_cache.hpp>       // table_cache

namespace quire::check {

struct machine_options {
  std::size_t units = 256;  // of the arena, each the size of the smallest table that is allocated
  std::uint64_t base = 0;   // of the arena; 0: its own alignment
  unsigned cpus = 2;
  unsigned vmid = 0;
  unsigned hardware = 0;     // of 1024 accesses to entries, so many have a CPU do something first
  unsigned yield_every = 0;  // 0: operations are never asked to yield
  std::uint64_t seed = 1;
  bool automaton = true;       // off with the run capability; the maintenance calls are then not watched, either
  bool maintenance = true;     // the order of maintenance calls is watched
  bool defer_reclaim = false;  // retired tables wait for machine.collect()
  // Where the CPUs access memory: a window of pages; 0 pages: the whole input space.
  input_address window{};
  std::uint64_t window_pages = 0;
  mmu_options mmu{};
};

template <pte_format F>
class machine {
 public:
  using word = typename F::word;
  using raw_memory = array_memory<word>;
  using cache = table_cache<arena<word>, raw_memory, word, true>;
  using mmu_type = software_mmu<F, raw_memory>;

  // What a memory policy tells.
  class observer : public memory_observer {
   public:
    explicit observer(machine* owner) noexcept : machine_(owner) {}
    void before(access_kind kind) noexcept { machine_->before_access(kind); }
    void loaded(table_address table, std::size_t index, word entry) noexcept { machine_->loaded(table, index, entry); }
    void stored(table_address table, std::size_t index, word before, word after, order o) noexcept {
      machine_->stored(table, index, before, after, o);
    }
    void owned(table_address table, std::size_t first, std::size_t) noexcept {
      machine_->retired_.accessed(table, first, true);
    }

   private:
    machine* machine_;
  };

  explicit machine(machine_options options = {}) : machine(options, nullptr) {}
  // Has the CPUs of `neighbour`, which must outlive it.
  machine(machine_options options, machine& neighbour) : machine(options, neighbour.mmu_) {}
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  // ---- parts
  [[nodiscard]] report& findings() noexcept { return report_; }
  [[nodiscard]] arena<word>& tables() noexcept { return arena_; }
  [[nodiscard]] cache& stock() noexcept { return cache_; }
  [[nodiscard]] raw_memory memory() noexcept { return arena_.memory(); }  // not observed
  [[nodiscard]] mmu_type& mmu() noexcept { return *mmu_; }
  [[nodiscard]] stale_translation<F, raw_memory>& stale() noexcept { return stale_; }
  [[nodiscard]] break_before_make<F>& automaton() noexcept { return automaton_; }
  [[nodiscard]] maintenance_order<F>& maintenance() noexcept { return maintenance_; }
  [[nodiscard]] retired_table<word>& retired() noexcept { return retired_; }
  [[nodiscard]] lost_bit<F>& lost() noexcept { return lost_; }
  [[nodiscard]] recorder& record() noexcept { return recorder_; }
  [[nodiscard]] machine_options& options() noexcept { return options_; }
  [[nodiscard]] bool has_root() const noexcept { return mmu_->has_root(options_.vmid); }
  [[nodiscard]] table_address root() const noexcept { return mmu_->root(options_.vmid); }
  [[nodiscard]] observer& watch() noexcept { return observer_; }

  // ---- between operations
  // Everything that must hold when no operation is at work and no session is open.
  void end_of_operation() {
    if (has_root()) {
      stale_.verify(root());
      if (options_.automaton) automaton_.verify_nothing_owed();
    }
    if (watches_maintenance()) maintenance_.end_of_operation();
    verify_census();
  }
  void verify_census() {
    const std::size_t reachable = has_root() ? count_tables<F>(arena_.memory(), root()) : 0;
    if (arena_.live_blocks() == reachable + cache_.stock() + waiting_.size()) return;
    report_.add(rule::census, std::to_string(arena_.live_blocks()) + " tables are in use, " +
                                  std::to_string(reachable) + " are reachable, " + std::to_string(cache_.stock()) +
                                  " in stock, " + std::to_string(waiting_.size()) + " retired");
  }
  // The CPUs leave the table for good: before it is destroyed.
  void stop() {
    mmu_->leave(options_.vmid);
    automaton_.clear_root();
    maintenance_.root_gone();
  }
  // The grace period has ended: retired tables go back.
  void collect() {
    for (const table_address table : waiting_) free_table(table);
    waiting_.clear();
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

  // ---- hardware
  // Has a random CPU begin, step or finish a walk, or make a complete access, somewhere in the window.
  void run_hardware() {
    if (!has_root()) return;
    const std::uint64_t dice = next_random();
    const auto on = static_cast<unsigned>(dice % mmu_->cpus().size());
    const auto access = static_cast<access_type>((dice >> 16U) % 3);
    const std::uint64_t page = (dice >> 32U) % options_.window_pages;
    const std::uint64_t input = options_.window.value + page * F::shape.page_bytes();
    access_result result;
    if (!mmu_->walking(on)) {
      mmu_->enter(on, options_.vmid);
      if ((dice >> 8U) % 4 != 0) return mmu_->begin(on, input, access);
      result = mmu_->translate(on, input, access);
      if (result.ok() && access == access_type::write) count_store(page);
      return;
    }
    const auto& flight = mmu_->cpus()[on].flight;
    if (flight.vmid != options_.vmid) return;  // the other guest's to end
    const std::uint64_t target = (flight.input - options_.window.value) >> F::shape.page_bits;
    const bool stores = flight.access == access_type::write;
    do
      if (mmu_->step(on, result)) {
        if (result.ok() && stores) count_store(target);
        return;
      }
    while ((dice >> 8U) % 4 == 0);
  }
  // How many stores the hardware made to a page of the window (windows below 65536 pages).
  [[nodiscard]] std::uint32_t stores_at(std::size_t page) const noexcept { return stores_at_[page]; }
  [[nodiscard]] std::uint64_t next_random() noexcept {
    random_ ^= random_ << 13U;
    random_ ^= random_ >> 7U;
    random_ ^= random_ << 17U;
    return random_ >> 1U;
  }

  // ---- what the policies forward to
  void add(const invalidation_request& request) {
    ++recorder_.requests_added;
    if (recorder_.requests.size() < recorder::most_kept) recorder_.requests.push_back(request);
    pending_.push_back(request);
    if (options_.automaton) automaton_.added(request);
    if (watches_maintenance()) maintenance_.added(request);
  }
  // Obeyed by the CPU that the caller runs on, see run_on().
  void local(const invalidation_request& request) {
    ++recorder_.requests_local;
    if (recorder_.requests.size() < recorder::most_kept) recorder_.requests.push_back(request);
    if (watches_maintenance()) maintenance_.local(request);
    mmu_->invalidate_on(current_cpu_, request, options_.vmid);
  }
  void run_on(unsigned cpu) noexcept { current_cpu_ = cpu; }
  [[nodiscard]] unsigned current_cpu() const noexcept { return current_cpu_; }
  // Where several operations are at work at once: whose store or call it is.
  void acted_by(std::function<unsigned()> actor) { actor_ = std::move(actor); }
  void complete() {
    ++recorder_.completions;
    for (const invalidation_request& request : pending_) mmu_->invalidate(request, options_.vmid);
    if (options_.automaton) automaton_.completed();
    if (has_root())
      for (const invalidation_request& request : pending_)
        if (request.reason == invalidation_reason::removed)
          stale_.verify_removed(root(), request.first.value, request.last.value);
    pending_.clear();
  }
  // `address`: of the table, or of the memory that holds code.
  void maintain(maintenance_event event, std::uint64_t address = 0, std::uint64_t bytes = 0) {
    if (recorder_.maintenance.size() < recorder::most_kept) recorder_.maintenance.push_back(event);
    if (!watches_maintenance()) return;
    switch (event) {
      case maintenance_event::table_filled: return maintenance_.table_filled(table_address{address}, bytes);
      case maintenance_event::published: return maintenance_.published();
      case maintenance_event::before_invalidation: return maintenance_.before_invalidation();
      case maintenance_event::code_visible: return maintenance_.code_visible(output_address{address}, bytes);
    }
  }
  [[nodiscard]] bool reserve(std::size_t n) { return cache_.reserve(n); }
  result<table_address> take(table_contents contents) {
    const auto table = cache_.take(contents);
    if (table) {
      automaton_.allocated(*table);
      maintenance_.allocated(*table);
    }
    return table;
  }
  // A table that nobody reached, or that the reclaimer lets go.
  void give_back(table_address table) { free_table(table); }
  result<table_address> take_root(std::uint64_t bytes) {
    const auto table = cache_.take_root(bytes);
    if (!table) return table;
    automaton_.clear_root();
    if (options_.automaton) automaton_.set_root(*table);
    maintenance_.root_taken(*table);
    mmu_->set_root(*table, options_.vmid, arena_.memory());
    return table;
  }
  // Whoever gives the root back has stopped the CPUs.
  void give_back_root(table_address table, std::uint64_t bytes) {
    if (has_root() && root() == table) stop();
    retired_.freed(table);
    cache_.give_back_root(table, bytes);
  }
  void retire(table_address table) {
    arena_.retire(table);
    if (options_.defer_reclaim) {
      automaton_.freed(table);
      waiting_.push_back(table);
    } else {
      free_table(table);
    }
  }
  [[nodiscard]] bool should_yield() noexcept {
    return options_.yield_every != 0 && ++asked_ % options_.yield_every == 0;
  }
  // The lock is dropped: nothing may be owed now, and the hardware does as it likes.
  void pause() {
    ++recorder_.pauses;
    if (has_root()) {
      if (options_.automaton) automaton_.verify_nothing_owed();
      stale_.verify(root());
    }
    if (options_.hardware != 0)
      for (int i = 0; i < 8; ++i) run_hardware();
  }

 private:
  machine(machine_options options, mmu_type* shared)
      : options_(options),
        arena_(options.units, unit_bytes, report_, options.base == 0 ? alignment : options.base),
        cache_(&arena_, arena_.memory(), table_unit_bytes<F>),
        own_mmu_(shared != nullptr ? nullptr : std::make_unique<mmu_type>(arena_.memory(), options.cpus, options.mmu)),
        mmu_(shared != nullptr ? shared : own_mmu_.get()),
        stale_(*mmu_, arena_.memory(), report_, options.vmid),
        automaton_(arena_, report_),
        maintenance_(arena_, report_),
        retired_(arena_, report_),
        lost_(arena_, report_),
        observer_(this),
        random_(options.seed * 0x9e37'79b9'7f4a'7c15ULL | 1U) {
    if (options_.window_pages == 0)
      options_.window_pages = std::uint64_t{1} << (F::shape.input_bits() - F::shape.page_bits);
    stores_at_.resize(static_cast<std::size_t>(options_.window_pages < 65536 ? options_.window_pages : 0));
    if (shared == nullptr)
      for (unsigned on = 0; on < options.cpus; ++on) mmu_->enter(on, options.vmid);
  }

  static constexpr std::uint64_t unit_bytes =
      table_unit_bytes<F> < root_table_bytes<F> ? table_unit_bytes<F> : root_table_bytes<F>;
  static constexpr std::uint64_t alignment =
      table_unit_bytes<F> < root_table_bytes<F> ? root_table_bytes<F> : table_unit_bytes<F>;

  [[nodiscard]] bool watches_maintenance() {
    if (!options_.automaton || !options_.maintenance) return false;
    if (actor_) maintenance_.run_as(actor_());
    return true;
  }
  void before_access(access_kind kind) {
    lost_.before(kind);
    if (options_.hardware != 0 && (next_random() & 1023U) < options_.hardware) run_hardware();
  }
  void loaded(table_address table, std::size_t index, word entry) {
    ++recorder_.loads;
    retired_.accessed(table, index, false);
    lost_.loaded(table, index, entry);
  }
  void stored(table_address table, std::size_t index, word before, word after, order o) {
    ++recorder_.stores;
    retired_.accessed(table, index, true);
    if (!options_.automaton) return;
    lost_.stored(table, index, before, after, automaton_.is_linked(table));
    if (watches_maintenance()) maintenance_.stored(table, index, before, after, automaton_.place_of(table));
    automaton_.stored(table, index, before, after, o);
  }
  void free_table(table_address table) {
    stale_.table_freed(table, table_unit_bytes<F>);
    retired_.freed(table);
    // A table that waited was told when it was retired.
    const bool waited = options_.defer_reclaim && arena_.state_of(table) == block_state::retired;
    if (options_.automaton && !waited) automaton_.freed(table);
    cache_.give_back(table);
  }
  void count_store(std::uint64_t page) {
    if (page < stores_at_.size()) ++stores_at_[static_cast<std::size_t>(page)];
  }

  machine_options options_;
  report report_;
  recorder recorder_;
  arena<word> arena_;
  cache cache_;
  std::unique_ptr<mmu_type> own_mmu_;
  mmu_type* mmu_;
  stale_translation<F, raw_memory> stale_;
  break_before_make<F> automaton_;
  maintenance_order<F> maintenance_;
  retired_table<word> retired_;
  lost_bit<F> lost_;
  observer observer_;
  std::vector<invalidation_request> pending_;
  std::vector<table_address> waiting_;
  std::vector<std::uint32_t> stores_at_;
  std::uint64_t random_;
  std::uint64_t asked_ = 0;
  unsigned current_cpu_ = 0;
  std::function<unsigned()> actor_;
};

}  // namespace quire::check
