// SPDX-License-Identifier: MIT
// AMD's way of virtualization: a guest behind nested page tables.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Secure Virtual Machine", with "Nested Paging" and the
// appendix "VMCB Layout".
#pragma once

#include <cstddef>  // offsetof
#include <cstdint>  // uint8_t, uint16_t, uint32_t, uint64_t

#include <quire/address.hpp>               // input_address, table_address
#include <quire/invalidation_request.hpp>  // invalidation_request

#include "machine.hpp"
#include "registers.hpp"

namespace bare::svm {

struct segment {
  std::uint16_t selector = 0, attributes = 0;
  std::uint32_t limit = 0xffff'ffff;
  std::uint64_t base = 0;
};

struct alignas(4096) vmcb {
  std::uint32_t intercept_control_registers = 0, intercept_debug_registers = 0, intercept_exceptions = 0,
                intercept_1 = 0, intercept_2 = 0;
  std::uint8_t reserved_14[0x40 - 0x14]{};
  std::uint64_t io_permission_map = 0, msr_permission_map = 0, tsc_offset = 0;
  std::uint32_t asid = 0, tlb_control = 0;
  std::uint64_t virtual_interrupt = 0, interrupt_shadow = 0;
  std::uint64_t exit_code = 0, exit_info_1 = 0, exit_info_2 = 0, exit_interrupt = 0;
  std::uint64_t nested_control = 0;
  std::uint8_t reserved_98[0xb0 - 0x98]{};
  std::uint64_t nested_cr3 = 0;
  std::uint8_t reserved_b8[0x400 - 0xb8]{};
  segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
  std::uint8_t reserved_4a0[0x4cb - 0x4a0]{};
  std::uint8_t cpl = 0;
  std::uint32_t reserved_4cc = 0;
  std::uint64_t efer = 0;
  std::uint8_t reserved_4d8[0x548 - 0x4d8]{};
  std::uint64_t cr4 = 0, cr3 = 0, cr0 = 0, dr7 = 0, dr6 = 0, rflags = 0, rip = 0;
  std::uint8_t reserved_580[0x5d8 - 0x580]{};
  std::uint64_t rsp = 0;
  std::uint8_t reserved_5e0[0x5f8 - 0x5e0]{};
  std::uint64_t rax = 0;
  std::uint8_t reserved_600[0x640 - 0x600]{};
  std::uint64_t cr2 = 0;
  std::uint8_t reserved_648[0x668 - 0x648]{};
  std::uint64_t pat = 0;
  std::uint8_t reserved_670[0x1000 - 0x670]{};
};
static_assert(sizeof(vmcb) == 4096);
static_assert(offsetof(vmcb, asid) == 0x58 && offsetof(vmcb, exit_code) == 0x70 && offsetof(vmcb, nested_cr3) == 0xb0);
static_assert(offsetof(vmcb, es) == 0x400 && offsetof(vmcb, cpl) == 0x4cb && offsetof(vmcb, efer) == 0x4d0);
static_assert(offsetof(vmcb, rip) == 0x578 && offsetof(vmcb, rsp) == 0x5d8 && offsetof(vmcb, rax) == 0x5f8);
static_assert(offsetof(vmcb, cr2) == 0x640 && offsetof(vmcb, pat) == 0x668);

[[nodiscard]] const char* obstacle() noexcept;  // why this CPU has no nested paging, or nullptr
void turn_on() noexcept;                        // if there is no obstacle

// The next entry walks these tables, and finds nothing of this ASID in the TLB.
void walk(quire::table_address root, unsigned asid) noexcept;
// The next entry with this ASID finds nothing of it in the TLB.
void flush(unsigned asid) noexcept;

class guest {
 public:
  guest() noexcept;
  void begin(std::uint64_t rip, std::uint64_t rsp) noexcept;
  void use_cr3(std::uint64_t cr3) noexcept;
  // Until something leaves the guest; done: its call, which waits to be skipped. The syndrome is EXITINFO1 and, from
  // bit 40 on, EXITCODE.
  guest_exit enter(general_registers& registers) noexcept;
  void skip_call() noexcept { control_.rip += 3; }

 private:
  vmcb control_;
};

// The library asks, TLB_CONTROL of the next VMRUN does it: between the two no guest runs. One CPU runs the guest, so
// nobody else needs to be told.
class nested_invalidation {
 public:
  explicit nested_invalidation(unsigned id) noexcept : asid_(asid_of(id)) {}
  void add(const quire::invalidation_request&) noexcept { flush(asid_); }
  void local(const quire::invalidation_request&) noexcept { flush(asid_); }
  void complete() noexcept {}

  // ASID 0 is the host's.
  [[nodiscard]] static unsigned asid_of(unsigned id) noexcept { return id + 1; }

 private:
  unsigned asid_;
};

}  // namespace bare::svm
