// SPDX-License-Identifier: MIT
// A vCPU's MMU in software: cache, walk, fault.
#pragma once

#include <chrono>    // milliseconds
#include <cstdint>   // uint64_t
#include <cstdlib>   // abort
#include <optional>  // optional
#include <thread>    // sleep_for

#include <fmt/format.h>  // print

#include <quire/walk/descend.hpp>  // descend

#include "guest_memory.hpp"  // word_at
#include "shootdown.hpp"     // seat
#include "tally.hpp"         // my_tally
#include "vm.hpp"            // vm

namespace perf {

template <class Vm>
class mmu {
  using format = typename Vm::format;
  static constexpr std::uint64_t page_bytes = format::shape.page_bytes();

 public:
  mmu(Vm& guest, seat& place, stock& tables, unsigned number) noexcept
      : guest_(guest), seat_(place), tables_(tables), number_(number), root_(guest.root()) {}

  // Eight bytes at an input address, which is a multiple of the page size. Caller must: be the thread of the seat,
  // running (shootdown.hpp); the access is over when the call returns.
  [[nodiscard]] std::uint64_t load(quire::input_address address) {
    return word_at(translate(address, false)).load(std::memory_order_relaxed);
  }
  void store(quire::input_address address, std::uint64_t value) {
    word_at(translate(address, true)).store(value, std::memory_order_relaxed);
  }

 private:
  // Where to access, now: nothing that could change a translation is obeyed between here and the access.
  [[nodiscard]] std::uint64_t translate(quire::input_address address, bool write) {
    const std::uint64_t page = address.value / page_bytes;
    for (int tries = 0; tries < most_tries; ++tries) {
      seat_.obey_if_asked();
      if (const auto* hit = seat_.cache().find(page, write)) return hit->host;
      if (const auto found = walk(address); found && (found->writable || !write))
        return seat_.cache().fill(*found)->host;
      fault(address, write, tries >= most_hasty_tries);
    }
    give_up("a fault that does not go away", address);
  }

  // As the hardware would read the tables, with the rights of the leaf. Acquire, as tables are published meanwhile.
  [[nodiscard]] std::optional<tlb::entry> walk(quire::input_address address) noexcept {
    const auto found = quire::descend<format>(memory_, root_, address);
    if (format::kind_of(found.entry, found.level) != quire::entry_kind::leaf) return std::nullopt;
    const quire::attributes leaf = format::attributes_of(found.entry, found.level);
    if (!leaf.allowed.contains(quire::readable) || !leaf.accessed) return std::nullopt;
    // Where software keeps the dirty bit, a store to a clean leaf traps.
    const bool traps_clean = format::facts.has_dirty && !format::facts.sets_dirty && !leaf.dirty;
    const std::uint64_t inside = address.value & (format::shape.leaf_bytes(found.level) - 1);
    return tlb::entry{.page = address.value / page_bytes,
                      .host = format::output_of(found.entry, found.level).value + inside,  // no groups in these formats
                      .writable = leaf.allowed.contains(quire::writable) && !traps_clean};
  }

  // The handler sleeps on locks, so the vCPU leaves its running section for it; and so it does for a moment with
  // `patiently`, when whoever is in the way seems to sleep.
  void fault(quire::input_address address, bool write, bool patiently) {
    seat_.leave();
    if (patiently) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    if (write) ++my_tally.write_faults;
    const auto done =
        guest_.handle(number_, {.address = address, .access = write ? quire::writable : quire::readable}, tables_);
    if (!done) give_up(quire::name_of(done.error().code), address);
    if (done->outcome == quire::fault_outcome::not_memory) give_up("no memory slot", address);
    if (done->outcome == quire::fault_outcome::fixed_fast) ++my_tally.fast_path_fixed;
    my_tally.splits += done->splits;
    my_tally.splits_in_fault += done->splits;
    my_tally.blocks_recovered += done->made_block ? 1U : 0U;
    seat_.enter();
  }

  [[noreturn]] static void give_up(const char* why, quire::input_address address) {
    fmt::print(stderr, "dirty_log_perf: fault at guest address {:#x}: {}\n", address.value, why);
    std::abort();
  }

  // A race can make one access fault several times: each time somebody else made progress, or owns the entry.
  static constexpr int most_hasty_tries = 100, most_tries = 10'000;

  Vm& guest_;
  seat& seat_;
  stock& tables_;
  unsigned number_;
  quire::table_address root_;
  quire::direct_memory memory_{};  // the hardware's own reads: not counted
};

}  // namespace perf
