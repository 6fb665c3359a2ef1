// SPDX-License-Identifier: MIT
// Dirty logging by write protection: the guest writes pages at random, and each harvest is exactly the pages that were
// written since the last; on both fault paths, with blocks split beforehand or by faults, in each way of clearing.
#pragma once

#include "logged_slot.hpp"
#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class dirty {
 public:
  static constexpr const char* name = "dirty logging";

  void operator()() noexcept {
    stamp_pages<F>(memory_);
    for (const auto path : {quire::fault_path::slow, quire::fault_path::fast})
      for (const bool eager : {false, true})
        for (const auto mode : {quire::dirty_log_mode{.manual_protect = false}, quire::dirty_log_mode{},
                                quire::dirty_log_mode{.initially_set = true}})
          from_start_to_end(path, eager, mode);
  }

 private:
  using in_page = page_layout<F>;
  using guest_type = guest<F>;
  using slot_type = logged_slot<guest_type>;
  static constexpr std::uint64_t pages = 128, rounds = 4, writes = 40;

  void from_start_to_end(quire::fault_path path, bool eager, quire::dirty_log_mode mode) noexcept {
    slot_type slot{guest_, memory_, path};
    slot.control.set_enabled(eager);
    guest_.map(slot.seen, {.level = 1}, leaf_for<F>(quire::all_access));
    write_at_random(slot);
    check(slot.log.enable(mode, guest_.tables()).has_value(), "logging begins");
    guest_.check_size(slot.seen.at, {.level = eager && !mode.initially_set ? 0 : 1});
    if (mode.initially_set) all_at_first(slot);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      write_at_random(slot);
      harvest(slot, mode);
    }
    guest_.expect_done(guest_.run({verb::sum, slot.seen.at.value + in_page::scratch, 0, pages, in_page::bytes}),
                       expected_sum(), "the guest reads what it wrote");

    const auto ended = slot.log.disable(quire::block_recovery::in_place, slot.backing);
    check(ended.has_value() && ended->blocks_recovered == 1, "logging ends, and the pages are a block again");
    guest_.check_size(slot.seen.at, {.level = 1});
    guest_.expect_rights(slot.seen.at, memory_.at(), quire::all_access, "nothing is tracked any more");
    expected_[0] = word_at(memory_.at() + in_page::scratch);
    guest_.unmap(slot.seen);
  }

  void all_at_first(slot_type& slot) noexcept {
    check(slot.log.get(harvested_.words(), guest_.tables()).has_value(), "the log is read");
    std::uint64_t set = 0;
    for (std::uint64_t page = 0; page < slot_type::pages; ++page) set += harvested_.contains(page) ? 1U : 0U;
    check(set == slot_type::pages, "at first every page is to be copied", set);
    clear(slot);
  }
  void clear(slot_type& slot) noexcept {
    const auto cleared = slot.log.clear(0, slot_type::pages, harvested_.words(), guest_.tables());
    check(cleared.has_value(), "the log is cleared");
  }
  // First the page that was written last, as no fault has been since that would have had its translation forgotten.
  void write_at_random(slot_type& slot) noexcept {
    written_.clear();
    bool done = true;
    for (std::uint64_t i = 0; i < writes; ++i) {
      const std::uint64_t page = i == 0 ? last_ : random_.below(pages);
      last_ = page;
      const std::uint64_t at = slot.seen.at.value + page * in_page::bytes + in_page::scratch;
      expected_[page] = random_.below(~std::uint64_t{0});
      const auto left = guest_.run({verb::store, at, expected_[page]},
                                   [&](const guest_exit& fault) { return slot.mend(fault, guest_.tables()); });
      done = done && left.why == guest_exit::reason::done;
      written_.insert(slot.first_page() + page);
    }
    check(done, "every store is done in the end");
  }
  void harvest(slot_type& slot, quire::dirty_log_mode mode) noexcept {
    check(slot.log.get(harvested_.words(), guest_.tables()).has_value(), "the log is read");
    check(harvested_ == written_, "it has the pages that were written, and no others");
    if (mode.manual_protect) clear(slot);
  }
  [[nodiscard]] std::uint64_t expected_sum() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t value : expected_) sum += value;
    return sum;
  }

  host_memory memory_{pages * in_page::bytes};
  page_set written_{slot_type::pages}, harvested_{slot_type::pages};
  std::uint64_t expected_[pages]{}, last_ = 0;
  random_numbers random_{1};
  guest_type guest_;
};

}  // namespace bare
