// SPDX-License-Identifier: MIT
// A virtual processor whose guest reads and writes pages: translation cache first, then the tables, then a fault.
#pragma once

#include "guest_memory.hpp"  // guest_memory

namespace hypervisor {

struct fault_counts {
  unsigned fast = 0;  // answered under the read side
  unsigned slow = 0;

  friend constexpr bool operator==(fault_counts, fault_counts) noexcept = default;
};

template <quire::pte_format Format>
class vcpu {
 public:
  vcpu(guest_memory<Format>& guest, page_allocator& memory, unsigned cpu) noexcept
      : guest_(guest), stock_(&memory, physical_memory{}, kernel::page_bytes), cpu_(cpu) {}

  // Gives the faults that it took.
  fault_counts read(std::uint64_t page) noexcept { return access(page, quire::readable); }
  fault_counts write(std::uint64_t page) noexcept { return access(page, quire::writable); }

 private:
  fault_counts access(std::uint64_t page, quire::permissions how) noexcept {
    kernel::run_on(cpu_);
    const quire::input_address address = guest_.first + page * kernel::page_bytes;
    fault_counts faults;
    for (int tries = 0; tries < most_tries; ++tries) {
      if (is_translated(address, how)) return faults;
      handle({.address = address, .access = how}, faults);
    }
    kernel::panic("a fault that does not go away");
  }

  // As the hardware does it: what is cached decides alone, even where the tables say more by now.
  [[nodiscard]] bool is_translated(quire::input_address address, quire::permissions how) noexcept {
    const std::uint64_t page = address.value / kernel::page_bytes;
    if (const kernel::translation* cached = kernel::this_cpu().find(guest_.vmid(), page))
      return cached->writable || how != quire::writable;
    const auto found = guest_.walk(address);
    if (!found || !found->attrs.allowed.contains(how)) return false;
    kernel::this_cpu().fill({.vmid = guest_.vmid(),
                             .page = page,
                             .output = found->translate(address).value,
                             .writable = found->attrs.allowed.contains(quire::writable)});
    return true;
  }

  void handle(const quire::guest_fault& fault, fault_counts& faults) noexcept {
    const auto done = guest_.handle(fault, stock_);
    if (!done) kernel::panic(quire::name_of(done.error().code));
    switch (done->outcome) {
      case quire::fault_outcome::fixed_fast: ++faults.fast; break;
      case quire::fault_outcome::fixed: ++faults.slow; break;
      case quire::fault_outcome::retry: break;
      case quire::fault_outcome::not_memory: kernel::panic("no memory there: a device to emulate");
    }
  }

  static constexpr int most_tries = 8;

  guest_memory<Format>& guest_;
  table_stock stock_;
  unsigned cpu_;
};

}  // namespace hypervisor
