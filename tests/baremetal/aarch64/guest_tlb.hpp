// SPDX-License-Identifier: MIT
// What this CPU's walkers and TLBs are told of a guest.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), "A64 System instructions for TLB
// maintenance", "Use of out-of-context translation regimes".
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/arm64_tlbi.hpp>  // stage2_invalidation

#include "machine.hpp"
#include "registers.hpp"

namespace bare {

// VTTBR_EL2 of each CPU while it does not invalidate for another guest.
inline constinit std::uint64_t walked_by[most_cpus]{};

// From the next entry of a guest on this CPU walks these tables. What it knows of the VMID may be of others.
inline void walk(std::uint64_t vttbr) noexcept {
  walked_by[this_cpu()] = vttbr;
  vttbr_el2::write(vttbr);
  asm volatile(
      "isb\n"
      "tlbi vmalls12e1\n"
      "dsb nsh\n"
      "isb"
      :
      :
      : "memory");
}

// The instructions of the library's policy, for one VMID. The ranges go by their encodings: assemblers take the names
// for Armv8.4 alone.
class guest_tlb {
 public:
  explicit guest_tlb(unsigned vmid) noexcept : vmid_(vmid) {}

  // The tables in VTTBR_EL2 stay: no CPU walks a guest's tables while it is at EL2.
  void enter_vmid() const noexcept { use(std::uint64_t{vmid_} << 48U | (mine() & ~vmid_mask)); }
  void leave_vmid() const noexcept { use(mine()); }

  void dsb_ish() const noexcept { asm volatile("dsb ish" : : : "memory"); }
  void dsb_nsh() const noexcept { asm volatile("dsb nsh" : : : "memory"); }
  void isb() const noexcept { bare::isb(); }
  void tlbi_ipas2e1is(std::uint64_t x) const noexcept { asm volatile("tlbi ipas2e1is, %0" : : "r"(x) : "memory"); }
  void tlbi_ipas2le1is(std::uint64_t x) const noexcept { asm volatile("tlbi ipas2le1is, %0" : : "r"(x) : "memory"); }
  void tlbi_ipas2e1(std::uint64_t x) const noexcept { asm volatile("tlbi ipas2e1, %0" : : "r"(x) : "memory"); }
  void tlbi_ipas2le1(std::uint64_t x) const noexcept { asm volatile("tlbi ipas2le1, %0" : : "r"(x) : "memory"); }
  void tlbi_ripas2e1is(std::uint64_t x) const noexcept { asm volatile("sys #4, c8, c0, #2, %0" : : "r"(x) : "memory"); }
  void tlbi_ripas2le1is(std::uint64_t x) const noexcept {
    asm volatile("sys #4, c8, c0, #6, %0" : : "r"(x) : "memory");
  }
  void tlbi_ripas2e1(std::uint64_t x) const noexcept { asm volatile("sys #4, c8, c4, #2, %0" : : "r"(x) : "memory"); }
  void tlbi_ripas2le1(std::uint64_t x) const noexcept { asm volatile("sys #4, c8, c4, #6, %0" : : "r"(x) : "memory"); }
  void tlbi_vmalle1is() const noexcept { asm volatile("tlbi vmalle1is" : : : "memory"); }
  void tlbi_vmalle1() const noexcept { asm volatile("tlbi vmalle1" : : : "memory"); }
  void tlbi_vmalls12e1is() const noexcept { asm volatile("tlbi vmalls12e1is" : : : "memory"); }
  void tlbi_vmalls12e1() const noexcept { asm volatile("tlbi vmalls12e1" : : : "memory"); }

 private:
  static constexpr std::uint64_t vmid_mask = std::uint64_t{0xffff} << 48;

  // this_cpu(), without a call: every fault that is mended comes here.
  static std::uint64_t mine() noexcept { return walked_by[tpidr_el2::read()]; }
  static void use(std::uint64_t vttbr) noexcept {
    if (vttbr_el2::read() == vttbr) return;
    vttbr_el2::write(vttbr);
    bare::isb();
  }

  unsigned vmid_;
};

template <quire::arm64::granule Granule, quire::arm64::tlbi_options Options>
struct guest_invalidation : quire::arm64::stage2_invalidation<Granule, guest_tlb, Options> {
  explicit guest_invalidation(unsigned vmid) noexcept
      : quire::arm64::stage2_invalidation<Granule, guest_tlb, Options>(guest_tlb{vmid}) {}
};

}  // namespace bare
