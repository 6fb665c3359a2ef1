// SPDX-License-Identifier: MIT
// Two stages: the guest walks tables of its own, which lie behind the second stage like all its memory. Faults of that
// walk are told apart from those of the access.
#pragma once

#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class two_stages {
 public:
  static constexpr const char* name = "two stages";

  two_stages() noexcept {
    stamp_pages<F>(memory_);
    guest_.map(tables_in_guest, tables_.at(), tables_.bytes(), leaf_for<F>(quire::read_write));
    guest_.map(memory_in_guest, memory_.at(), memory_.bytes(), leaf_for<F>(quire::all_access));
  }

  void operator()() noexcept {
    guest_window window{tables_in_guest, tables_.at(), tables_.bytes()};
    quire::page_table<guest_stage, guest_table_policies> own{guest_table_policies{window}};
    check(own.create().has_value(), "the guest's own root");
    const auto map_own = [&](input_address from, input_address to, std::uint64_t bytes) {
      const attributes wanted{.allowed = quire::all_access,
                              .may_write = true,
                              .dirty = guest_stage::facts.has_dirty,
                              .from = quire::privilege::supervisor};
      const auto done = own.exclusive().map(input_range::sized(from, bytes), output_address{to.value}, wanted);
      check(done.has_value(), "a mapping of the guest's own", from.value);
    };
    map_own(area_in_guest, area_in_guest, guest_area_bytes);
    map_own(memory_to_guest, memory_in_guest, memory_.bytes());
    vcpu_.use_tables(input_address{own.root()->value});

    for (std::uint64_t page = 0; page < pages; ++page) both_stages(page);
    memory_faults();
    table_faults();
    read_only_tables();
  }

 private:
  using in_page = page_layout<F>;
  static constexpr std::uint64_t pages = 8;
  // Where the second stage has it, and where the guest's own tables do.
  static constexpr input_address tables_in_guest{0x1800'0000}, memory_in_guest{0x2000'0000},
      memory_to_guest{0x5000'0000};

  [[nodiscard]] guest_exit load(std::uint64_t page) noexcept {
    return vcpu_.run({verb::load, memory_to_guest.value + page * in_page::bytes + in_page::stamp});
  }
  [[nodiscard]] std::uint64_t host(std::uint64_t page) const noexcept { return memory_.at() + page * in_page::bytes; }

  void both_stages(std::uint64_t page) noexcept {
    const std::uint64_t at = memory_to_guest.value + page * in_page::bytes;
    guest_.expect_done(load(page), stamp_of(host(page)), "a load through both stages");
    guest_.expect_done(vcpu_.run({verb::store, at + in_page::scratch, page}), 0, "a store through both stages");
    check(word_at(host(page) + in_page::scratch) == page, "it arrives", page);
    guest_.expect_done(vcpu_.run({verb::call, at}), number_of(host(page)), "a call through both stages");
  }
  // The address is the guest's physical one.
  void memory_faults() noexcept {
    const input_address page = memory_in_guest + 3 * in_page::bytes;
    check(guest_.change().unmap(quire::page_of<F>(page)).has_value(), "the library unmaps a page of the memory");
    guest_.expect_fault(load(3), page, quire::readable, "a page of the memory is missed");
    guest_.map(page, host(3), in_page::bytes, leaf_for<F>(quire::all_access));
    guest_.expect_done(vcpu_.resume(), stamp_of(host(3)), "it is there again");
  }

  [[nodiscard]] bool is_in_tables(const guest_exit& left) const noexcept {
    return left.address >= tables_in_guest && left.address - tables_in_guest < tables_.bytes();
  }
  void table_faults() noexcept {
    const input_range all = input_range::sized(tables_in_guest, tables_.bytes());
    check(guest_.change().unmap(all).has_value(), "the library unmaps the guest's tables");
    std::uint64_t faults = 0, of_tables = 0;
    bool elsewhere = false;
    guest_exit left = load(5);
    for (; left.why == guest_exit::reason::fault && faults < 2 * tables_.bytes() / in_page::bytes; ++faults) {
      of_tables += left.of_guest_tables ? 1U : 0U;
      elsewhere = elsewhere || !is_in_tables(left);
      if (elsewhere) break;
      const input_address page = left.address.align_down(in_page::bytes);
      const std::uint64_t lies_at = tables_.at() + (page - tables_in_guest);
      static_cast<void>(guest_.change().map(quire::page_of<F>(page), output_address{lies_at},
                                            leaf_for<F>(quire::read_write), guest_.tables()));
      left = vcpu_.resume();
    }
    check(faults > 0 && !elsewhere, "the pages of the guest's tables are missed, and nothing else", left.address.value);
    if (faults > 0 && of_tables == 0) not_enforced("that the fault was in the guest's tables", 1);
    else check(of_tables == faults, "each time it is said that it was in the guest's tables", faults - of_tables);
    guest_.expect_done(left, stamp_of(host(5)), "with its tables there the guest goes on");
    guest_.map(tables_in_guest, tables_.at(), tables_.bytes(), leaf_for<F>(quire::read_write));
  }
  // A walk may count as a write, whatever it does (AMD's nested paging; EPT with accessed and dirty bits): then it
  // faults, and says so.
  void read_only_tables() noexcept {
    const input_range all = input_range::sized(tables_in_guest, tables_.bytes());
    const auto done =
        guest_.change().protect(all, quire::readable, quire::partial::split, guest_.tables(), nobody_asks_);
    check(done.has_value(), "the library protects the guest's tables");
    guest_exit left = load(6);
    if (left.why == guest_exit::reason::fault) {
      check(is_in_tables(left) && left.of_guest_tables && left.access == quire::writable,
            "a walk that counts as a write faults as one", left.syndrome);
      guest_.map(tables_in_guest, tables_.at(), tables_.bytes(), leaf_for<F>(quire::read_write));
      left = vcpu_.resume();
    } else {
      check(true, "a walk is a read");
    }
    guest_.expect_done(left, stamp_of(host(6)), "a walk of tables that may only be read");
  }

  host_memory tables_{
      32 * (in_page::bytes > guest_stage::shape.page_bytes() ? in_page::bytes : guest_stage::shape.page_bytes())};
  host_memory memory_{pages * in_page::bytes};
  nobody_asks nobody_asks_{};
  guest<F> guest_;
  vcpu vcpu_{area_in_guest};
};

}  // namespace bare
