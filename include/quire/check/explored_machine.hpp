// SPDX-License-Identifier: MIT
// The machine of machine.hpp under the explorer: its policies announce what they do, and its CPUs are threads of the
// trace that walk the table one access at a time.
//
//   check::machine<F> machine{{.cpus = 2}};  // at least one for each thread; .hardware = 0: nothing happens by chance
//   check::explored_state<F> state{machine, run};
//   quire::page_table<F, check::explored_policies<F, locking::shared<check::explored_rw_lock>>> table{
//       {machine, run, state}};
//   run.add("guest", [&] {
//     check::explored_cpu cpu{machine, run};
//     cpu.access(0x40, access_type::write, [](output_address to) { ... });
//   });
//
// Thread n runs on CPU n. A finding of the machine's oracles is the program's to give: machine.findings().text() after
// the run. They look at more than what was announced, so what they say at the end of a run is what counts.
#pragma once

#include <utility>  // forward

#include <quire/check/explored.hpp>  // explored_memory, explored_tables
#include <quire/check/machine.hpp>   // machine
#include <quire/table/entry.hpp>     // hardware_may_write

namespace quire::check {

// A local invalidation is obeyed by the CPU of the thread that makes it.
template <pte_format F>
struct own_cpu_invalidation {
  static constexpr bool reentrant = true;  // everything happens in one thread
  machine<F>* to;
  trace* run;
  void add(const invalidation_request& request) { to->add(request); }
  void complete() { to->complete(); }
  void local(const invalidation_request& request) {
    to->run_on(run->current() == nobody ? 0 : run->current());
    to->local(request);
  }
};

// Tells the machine's oracles which thread makes an access.
template <pte_format F>
class acting_observer : public machine<F>::observer {
  using base = typename machine<F>::observer;
  using word = typename F::word;

 public:
  acting_observer(machine<F>& to, trace& run) noexcept : base(&to), machine_(&to), run_(&run) {}
  void loaded(table_address table, std::size_t index, word entry) noexcept {
    machine_->retired().run_as(run_->current());
    base::loaded(table, index, entry);
  }
  void stored(table_address table, std::size_t index, word before, word after, order o) noexcept {
    machine_->retired().run_as(run_->current());
    base::stored(table, index, before, after, o);
  }

 private:
  machine<F>* machine_;
  trace* run_;
};

template <pte_format F>
struct acting_tables : tables_handle<F> {
  trace* run;
  void give_back(table_address table) {
    this->to->retired().run_as(run->current());
    tables_handle<F>::give_back(table);
  }
};

// What the threads of a run share besides the machine.
template <pte_format F>
struct explored_state {
  explored_state(machine<F>& to, trace& run) : observer(to, run) {
    to.acted_by([&run] { return run.current(); });
  }
  acting_observer<F> observer;
  write_clock entries;
  explored_words::group words{"word"};
  explored_words::group epochs{"epoch"};  // and who is in a section
};

template <pte_format F, locking_policy Locking, class Update = quire::update::as_format_needs>
struct explored_policies : quire::policies {
  using locking = Locking;
  using update = Update;
  explored_memory<observed_memory<array_memory<typename F::word>, acting_observer<F>>> memory;
  maintenance_handle<F> maintenance;
  explored_tables<acting_tables<F>> tables;
  explored_invalidation<own_cpu_invalidation<F>> invalidation;
  explored_reclaim<reclaim_handle<F>> reclaim;
  yield_handle<F> yield;
  explored_words words;

  explored_policies(machine<F>& to, trace& run, explored_state<F>& state)
      : memory({to.memory(), &state.observer}, run, &state.entries),
        maintenance{&to},
        tables({{&to}, &run}, run),
        invalidation({&to, &run}, run),
        reclaim({&to}, run),
        yield{&to},
        words(run, state.words) {}
};

template <pte_format F>
class explored_cpu {
 public:
  explored_cpu(machine<F>& on, trace& run) noexcept : machine_(on), run_(run) {}

  // One access of the calling thread's CPU. then(output) is the access itself: it happens in the step that finds the
  // translation in the cache, so an invalidation that completes comes before it or after it, never between the two.
  template <class Then>
  access_result access(std::uint64_t input, access_type how, Then&& then) {
    const unsigned cpu = run_.current();
    const auto on_page = how == access_type::write ? action_kind::write : action_kind::read;
    for (;;) {
      run_.announce({{action_kind::read, caches_of(cpu)}, {on_page, page_object(input >> F::shape.page_bits)}});
      access_result result;
      if (is_cached(input, how, result)) {
        if (result.ok()) then(result.output);
        return result;
      }
      if (walk(input, how, result) && !result.ok()) return result;
    }
  }
  // A walk ahead of any access: its translation stays in the cache. False: an invalidation ended it on the way.
  bool walk(std::uint64_t input, access_type how, access_result& result) {
    const unsigned cpu = run_.current();
    software_mmu<F, array_memory<typename F::word>>& mmu = machine_.mmu();
    run_.read(caches_of(cpu));
    mmu.begin(cpu, input, how);
    for (;;) {
      const auto& flight = mmu.cpus()[cpu].flight;
      const action_kind kind = !flight.loaded                              ? action_kind::read
                               : quire::hardware_may_write<F>(flight.word) ? action_kind::write
                                                                           : action_kind::nothing;
      run_.announce({{action_kind::write, caches_of(cpu)},
                     {kind, entry_object<typename F::word>(flight.table, index_of<F>(flight.input, flight.level))}});
      if (!mmu.walking(cpu)) return false;
      if (mmu.step(cpu, result)) return true;
    }
  }

 private:
  // What software_mmu::translate() does before it walks.
  [[nodiscard]] bool is_cached(std::uint64_t input, access_type how, access_result& result) {
    const auto& cached = machine_.mmu().cpus()[run_.current()].translations;
    for (const cached_translation& entry : cached) {
      if (!entry.covers(input)) continue;
      const permissions needed = how == access_type::read    ? readable
                                 : how == access_type::write ? writable
                                                             : executable;
      const bool clean = how == access_type::write && F::facts.has_dirty && !entry.dirty;
      result = {.why = fault::none, .output = output_address{entry.output + (input - entry.first)}, .cached = true};
      if (!entry.mapped) result.why = fault::not_mapped;
      else if (!entry.allowed.contains(needed)) result.why = fault::permission;
      else if (clean && F::facts.sets_dirty) return false;
      else if (clean) result.why = fault::dirty_missing;
      return true;
    }
    return false;
  }

  machine<F>& machine_;
  trace& run_;
};

}  // namespace quire::check
