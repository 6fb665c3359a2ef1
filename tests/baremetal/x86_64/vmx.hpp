// SPDX-License-Identifier: MIT
// Intel's way of virtualization: a guest behind extended page tables.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "Virtual Machine Control Structures",
// "VMX Support for Address Translation", and the appendix "VMX Capability Reporting Facility".
#pragma once

#include <cstdint>  // uint8_t, uint64_t

#include <quire/invalidation_request.hpp>  // invalidation_request

#include "machine.hpp"
#include "registers.hpp"

namespace bare::vmx {

// What a format of tables asks of the CPU.
struct requirements {
  int levels = 4;
  bool accessed_dirty = false, execute_only = false, mode_based_execute = false, violations_are_exceptions = false;
};
[[nodiscard]] const char* obstacle(const requirements& wanted) noexcept;  // why this CPU does not have it, or nullptr
void turn_on() noexcept;                                                  // if the CPU has EPT

// What the next entry walks, finding nothing in the caches.
struct tables {
  std::uint64_t eptp = 0;
  bool mode_based_execute = false;
  bool violations_are_exceptions = false;  // #VE, where bit 63 of the entry does not say otherwise
};
void walk(const tables& wanted) noexcept;
// INVEPT, all contexts: what the caches of this CPU hold is forgotten.
void forget_everything() noexcept;

class guest {
 public:
  guest() noexcept;
  ~guest();
  guest(const guest&) = delete;
  guest& operator=(const guest&) = delete;
  void begin(std::uint64_t rip, std::uint64_t rsp) noexcept;
  void use_cr3(std::uint64_t cr3) noexcept;
  // Until something leaves the guest; done: its call, which waits to be skipped. The syndrome is the exit qualification
  // (of an exception: the interruption information) and, from bit 32 on, the exit reason.
  guest_exit enter(general_registers& registers) noexcept;
  void skip_call() noexcept;

 private:
  void make_current() noexcept;

  alignas(4096) std::uint8_t vmcs_[4096]{};
  bool launched_ = false;
};

// The library asks, INVEPT does it. Which EPTP the table has the policy does not know, so it is all of them. One CPU
// runs the guest, so nobody else needs to be told.
class ept_invalidation {
 public:
  void add(const quire::invalidation_request&) noexcept { forget_everything(); }
  void local(const quire::invalidation_request&) noexcept { forget_everything(); }
  void complete() noexcept {}
};

}  // namespace bare::vmx
