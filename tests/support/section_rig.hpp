// SPDX-License-Identifier: MIT
// The guest of dirty_rig.hpp without a lock: the same slot, log, fault handlers and host, in read sections, on a
// machine with every oracle. One handler for each of two vCPUs, and a section for the owner of the log.
#pragma once

#include <quire/policy/epoch.hpp>  // epoch_section

#include "support/dirty_rig.hpp"  // rig

namespace quire_test {

template <quire::pte_format F>
struct section_rig {
  using format = F;
  using word = typename F::word;
  using policies_type = quire::check::policies<F, quire::locking::concurrent<quire::epoch_section>>;
  using table_type = quire::page_table<F, policies_type>;
  using log_type = quire::dirty_log<table_type, quire::epoch_section, quire::dirty_bitmap>;
  using handler = quire::fault_handler<table_type, quire::epoch_section, rig_backing, quire::dirty_bitmap>;
  using cache = quire::table_cache<quire::check::arena<word>, quire::array_memory<word>, word>;
  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr unsigned owner = 2;

  explicit section_rig(std::uint64_t pages, quire::check::machine_options options = {}, std::uint64_t skip_pages = 0)
      : slot(rig<F>::slot_of(pages, skip_pages)),
        machine(rig<F>::with_window(options, slot)),
        lock(watch),
        domain(slots, 3),
        sections{{domain, 0}, {domain, 1}, {domain, 2}},
        table(policies_type{machine}),
        backing(watch, lock),
        words(quire::bitmap_words(pages)),
        log(table, sections[owner], slot, quire::dirty_bitmap{words.data(), pages}, control),
        handlers{{table, sections[0], sequence, backing, quire::fault_path::fast},
                 {table, sections[1], sequence, backing, quire::fault_path::fast}},
        vcpu(&machine.tables(), machine.memory(), quire::table_unit_bytes<F>),
        splitter(&machine.tables(), machine.memory(), quire::table_unit_bytes<F>) {
    backing.displacement = 2 * rig<F>::region;
    backing.page_mask = page - 1;
    if (!table.create()) watch.wrong("no root");
  }
  section_rig(const section_rig&) = delete;
  section_rig& operator=(const section_rig&) = delete;
  ~section_rig() { machine.stop(); }

  [[nodiscard]] input_address at(std::uint64_t index) const { return slot.first + index * page; }
  [[nodiscard]] input_range all() const { return slot.template range<F>(); }
  [[nodiscard]] input_range pages(std::uint64_t first, std::uint64_t count) const {
    return input_range::sized(at(first), count * page);
  }
  void map(input_range range, int largest, const attributes& wanted = rig<F>::usual()) {
    auto session = table.session(sections[owner]);
    const auto done = session.map(range, output_address{range.first().value + backing.displacement}, wanted,
                                  table.policies().tables, {.largest_level = largest, .groups = false});
    if (!done) watch.wrong(quire::name_of(done.error().code));
  }
  [[nodiscard]] bool dirty(std::uint64_t index) const { return (words[index / 64] >> (index % 64) & 1U) != 0; }
  [[nodiscard]] auto found(input_address address) {
    return quire::check::translate<F>(machine.memory(), machine.root(), address.value);
  }
  [[nodiscard]] bool writable(input_address address) { return F::is_writable(found(address).entry.word); }

  quire::result<quire::fault_report> fault(unsigned cpu, input_address address, quire::permissions access) {
    return handlers[cpu].handle({address, access}, &log, vcpu);
  }
  // Accesses until it succeeds. Gives the faults that it took; `most` of them, then it is given up.
  unsigned access(input_address address, access_type how, unsigned cpu = 0, unsigned most = 4) {
    machine.run_on(cpu);
    for (unsigned faults = 0; faults < most; ++faults) {
      if (machine.mmu().translate(cpu, address, how).ok()) return faults;
      static_cast<void>(fault(cpu, address, how == access_type::write ? quire::writable : quire::readable));
    }
    return most;
  }

  [[nodiscard]] std::string complaints() {
    for (int epochs = 0; epochs < 3; ++epochs)
      for (auto& each : sections) static_cast<void>(table.collect(each));
    vcpu.drain();
    splitter.drain();
    machine.end_of_operation();
    return watch.text() + machine.findings().text();
  }
  [[nodiscard]] std::string ended() {
    std::string all = complaints();
    machine.stop();
    if (!table.destroy(~std::size_t{0})) all += "destroy did not end\n";
    machine.stock().drain();
    if (machine.tables().live_blocks() != 0) all += "tables leaked\n";
    return all + machine.findings().text();
  }

  quire::memory_slot slot;
  probe watch;
  quire::check::machine<F> machine;
  probe_lock lock;  // never taken: the backing wants to see that
  quire::epoch_slot slots[3];
  quire::epoch_reclaim domain;
  quire::epoch_section sections[3];
  table_type table;
  rig_backing backing;
  quire::invalidation_sequence sequence;
  quire::eager_split_control control;
  std::vector<std::uint64_t> words;
  log_type log;
  handler handlers[2];
  cache vcpu;
  cache splitter;
};

}  // namespace quire_test
