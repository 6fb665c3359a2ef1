// SPDX-License-Identifier: MIT
// locking::concurrent under the explorer: the shipped epoch reclaimer, whose words are announced like everything else,
// and sections that wait instead of spinning.
//
//   check::explored_epochs<F> epochs{machine, run, state};
//   quire::page_table<F, check::explored_policies<F, locking::concurrent<check::explored_section<F>>>> table{
//       {machine, run, state}};
//   run.add("a thread", [&] { table.concurrent(epochs.section(0)).unmap(...); });
//
// The machine's oracle of retired tables is told of every section: a table that is given back while another thread is
// in a section that saw it is a finding.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/check/explored_machine.hpp>  // explored_state
#include <quire/policy/epoch.hpp>            // basic_epoch_section

namespace quire::check {

// One for each thread, with the thread's number.
template <pte_format F>
class explored_section : public basic_epoch_section<explored_words> {
  using base = basic_epoch_section<explored_words>;

 public:
  explored_section(machine<F>& to, trace& run, explored_state<F>& state, basic_epoch_reclaim<explored_words>& domain,
                   unsigned number) noexcept
      : base(domain, number), machine_(&to), run_(&run), state_(&state), number_(number) {}

  void enter() noexcept {
    base::enter();
    machine_->retired().enter(number_);
    seen_ = writes();
  }
  void leave() noexcept {
    machine_->retired().leave(number_);
    base::leave();
  }
  // Whoever found an entry locked looks again after another's next write to an entry. If there was none since its walk
  // began, the entry is locked indeed, and not one of a table that was unlinked meanwhile.
  void pause() noexcept {
    run_->wait_until(every_entry(), [this] { return writes() != seen_; });
    seen_ = writes();
  }

 private:
  [[nodiscard]] std::uint64_t writes() const noexcept { return state_->entries.by_others(number_); }

  machine<F>* machine_;
  trace* run_;
  explored_state<F>* state_;
  unsigned number_;
  std::uint64_t seen_ = 0;  // writes when the walk began
};

template <pte_format F>
class explored_epochs {
 public:
  explored_epochs(machine<F>& to, trace& run, explored_state<F>& state)
      : run_(&run), state_(&state), domain_(slots_, most_threads, explored_words(run, state.epochs)) {
    for (unsigned i = 0; i < most_threads; ++i) sections_.emplace_back(to, run, state, domain_, i);
  }
  explored_epochs(const explored_epochs&) = delete;
  explored_epochs& operator=(const explored_epochs&) = delete;

  [[nodiscard]] explored_section<F>& section(unsigned thread) noexcept { return sections_[thread]; }
  [[nodiscard]] basic_epoch_reclaim<explored_words>& domain() noexcept { return domain_; }
  // What a thread that gives the whole table up does between close() and destroy().
  void wait_for_sections() {
    const unsigned self = run_->current();
    const auto writes = [&] { return state_->epochs.clock.by_others(self); };
    std::uint64_t seen = writes();
    domain_.wait_for_sections([&] {
      run_->wait_until(state_->epochs.all(), [&] { return writes() != seen; });
      seen = writes();
    });
  }

 private:
  trace* run_;
  explored_state<F>* state_;
  epoch_slot slots_[most_threads];
  basic_epoch_reclaim<explored_words> domain_;
  std::vector<explored_section<F>> sections_;
};

}  // namespace quire::check
