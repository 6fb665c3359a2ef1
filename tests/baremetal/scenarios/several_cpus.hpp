// SPDX-License-Identifier: MIT
// Several CPUs run one guest and fault on one table, while CPU 0 harvests their writes, splits, unmaps and collapses
// beside them: under each locking policy. As in a migration, what was harvested is copied; in the end the copy is the
// memory, and no word is wrong.
#pragma once

#include <quire/atomic.hpp>  // fetch_add

#include "logged_slot.hpp"
#include "scenario.hpp"

namespace bare {

template <quire::pte_format F, class Locking>
class cpus_on_one_table {
 public:
  explicit cpus_on_one_table(quire::fault_path path) noexcept : slot_(guest_, memory_, path) {
    guest_.map(slot_.seen, {.level = 1}, leaf_for<F>(quire::all_access));
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) {
      const std::uint64_t area = areas_.at() + cpu * guest_area_bytes;
      for (std::uint64_t i = 0; i < guest_area_bytes; i += 8) word_at(area + i) = word_at(guest_area() + i);
      guest_.map(area_of(cpu), area, guest_area_bytes, leaf_for<F>(quire::all_access));
    }
  }

  void operator()() noexcept {
    begin_log();
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) {
      workers_[cpu].all = this;
      start(cpu, [](void* with) { static_cast<worker*>(with)->work(); }, &workers_[cpu]);
    }
    workers_[0].all = this;
    workers_[0].begin();
    for (std::uint64_t round = 0; !others_are_done(); ++round) {
      harvest();
      workers_[0].write();
      if (round % 2 == 1) change_the_host();
      if (round % 4 == 2) restart_log();
      quire::atomic::fetch_add(&rounds_, std::uint64_t{1}, quire::order::relaxed);
      // Not at once again: each harvest interrupts everybody.
      const std::uint64_t enough = writes() + writes_in_a_round;
      while (writes() < enough && !others_are_done()) pause();
    }
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) wait_for(cpu);
    harvest();
    judge();
  }

 private:
  using in_page = page_layout<F>;
  using guest_type = guest<F, Locking>;
  static constexpr std::uint64_t pages = 64, least_writes = 64, least_rounds = 8, writes_in_a_round = 12;

  [[nodiscard]] static input_address area_of(unsigned cpu) noexcept {
    return area_in_guest + std::uint64_t{cpu} * guest_area_bytes;
  }

  // A CPU in the guest. It adds to a word of its own of each page, and to one that all share.
  struct worker {
    cpus_on_one_table* all = nullptr;
    vcpu runs{area_of(0)};
    stock_of_tables tables = stock_for<F>();
    random_numbers random{1};
    std::uint64_t added[pages]{};
    std::uint64_t wrong = 0, failed = 0;
    std::uint64_t done = 0;

    void begin() noexcept {
      all->guest_.use();
      runs = vcpu{area_of(this_cpu())};
      random = random_numbers{this_cpu() + 1};
    }
    void work() noexcept {
      begin();
      for (std::uint64_t i = 0;
           i < least_writes || quire::atomic::load(&all->rounds_, quire::order::relaxed) < least_rounds; ++i) {
        write();
        quire::atomic::fetch_add(&all->writes_, std::uint64_t{1}, quire::order::relaxed);
      }
      quire::atomic::store(&done, std::uint64_t{1}, quire::order::release);
    }
    void write() noexcept {
      const std::uint64_t page = random.below(pages);
      const std::uint64_t at = all->slot_.seen.at.value + page * in_page::bytes + in_page::scratch;
      const guest_exit own = add(at + 8 * std::uint64_t{this_cpu() + 1});
      wrong += own.answer != added[page] ? 1U : 0U;
      ++added[page];
      add(at);
    }
    guest_exit add(std::uint64_t address) noexcept {
      guest_exit left = runs.run({verb::add, address, 1});
      while (left.why == guest_exit::reason::fault && all->slot_.mend(left, tables)) left = runs.resume();
      failed += left.why != guest_exit::reason::done ? 1U : 0U;
      return left;
    }
  };

  [[nodiscard]] std::uint64_t writes() const noexcept { return quire::atomic::load(&writes_, quire::order::relaxed); }
  [[nodiscard]] bool others_are_done() const noexcept {
    for (unsigned cpu = 1; cpu < cpus(); ++cpu)
      if (quire::atomic::load(&workers_[cpu].done, quire::order::acquire) == 0) return false;
    return true;
  }

  void copy(std::uint64_t page) noexcept {
    for (std::uint64_t word = 0; word <= most_cpus; ++word) {
      const std::uint64_t at = page * in_page::bytes + in_page::scratch + 8 * word;
      word_at(copied_.at() + at) = word_at(memory_.at() + at);
    }
  }
  void harvest() noexcept {
    if (!slot_.log.get(harvested_.words(), guest_.tables())) ++trouble_;
    for (std::uint64_t page = 0; page < pages; ++page)
      if (harvested_.contains(slot_.first_page() + page)) copy(page);
  }
  // Everything is protected, then copied; every second time it is split beforehand.
  void begin_log() noexcept {
    slot_.control.set_enabled(starts_++ % 2 == 1);
    if (!slot_.log.enable({.manual_protect = false}, guest_.tables())) ++trouble_;
    for (std::uint64_t page = 0; page < pages; ++page) copy(page);
  }
  void restart_log() noexcept {
    if (!slot_.log.disable(quire::block_recovery::in_place, slot_.backing)) ++trouble_;
    begin_log();
  }
  // As if the host took a page away to give it back at once. Both parts are critical sections where there is a lock.
  void change_the_host() noexcept {
    const input_range page = quire::page_of<F>(slot_.seen.at + workers_[0].random.below(pages) * in_page::bytes);
    const auto change = [&] {
      auto session = guest_.change();
      const auto announced = slot_.sequence.begin(page);
      if (!session.unmap(page)) ++trouble_;
      return announced;
    }();
    auto session = guest_.change();
    slot_.sequence.end(change);
  }

  void judge() noexcept {
    std::uint64_t wrong = 0, failed = 0, lost = 0, not_copied = 0;
    for (unsigned cpu = 0; cpu < cpus(); ++cpu) {
      wrong += workers_[cpu].wrong;
      failed += workers_[cpu].failed;
    }
    for (std::uint64_t page = 0; page < pages; ++page) {
      const std::uint64_t at = page * in_page::bytes + in_page::scratch;
      std::uint64_t all = 0;
      for (unsigned cpu = 0; cpu < cpus(); ++cpu) {
        all += workers_[cpu].added[page];
        lost += word_at(memory_.at() + at + 8 * std::uint64_t{cpu + 1}) != workers_[cpu].added[page] ? 1U : 0U;
      }
      lost += word_at(memory_.at() + at) != all ? 1U : 0U;
      for (std::uint64_t word = 0; word <= most_cpus; ++word)
        not_copied += word_at(copied_.at() + at + 8 * word) != word_at(memory_.at() + at + 8 * word) ? 1U : 0U;
    }
    check(trouble_ == 0, "whatever CPU 0 asked of the library was done", trouble_);
    check(failed == 0, "every access is done in the end", failed);
    check(wrong == 0, "no CPU reads a wrong word", wrong);
    check(lost == 0, "no write is lost", lost);
    check(not_copied == 0, "what was harvested is what was written", not_copied);
  }

  host_memory memory_{pages * in_page::bytes}, copied_{pages * in_page::bytes};
  host_memory areas_{most_cpus * guest_area_bytes};
  guest_type guest_;
  logged_slot<guest_type> slot_;
  page_set harvested_{logged_slot<guest_type>::pages};
  std::uint64_t rounds_ = 0, writes_ = 0, starts_ = 0, trouble_ = 0;
  worker workers_[most_cpus]{};
};

template <quire::pte_format F>
class several_cpus {
 public:
  static constexpr const char* name = "several CPUs on one table";

  void operator()() noexcept {
    cpus_on_one_table<F, one_at_a_time>{quire::fault_path::slow}();
    cpus_on_one_table<F, faults_at_once>{quire::fault_path::fast}();
    cpus_on_one_table<F, all_at_once>{quire::fault_path::fast}();
  }
};

}  // namespace bare
