// SPDX-License-Identifier: MIT
// A guest: how it is entered, and what its exits mean.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// ESR_EL2, FAR_EL2, HPFAR_EL2, PAR_EL1, HCR_EL2, SCTLR_EL1.
#include "vcpu.hpp"

#include <quire/format/arm64_tcr.hpp>  // tcr_el1, ttbr0, mair

#include "cpu.hpp"

namespace bare {

enum class trap : std::uint64_t { synchronous, interrupt, fast_interrupt, system_error };
extern "C" trap enter_guest(guest_registers*);  // world_switch.S

namespace {

constexpr std::uint64_t hypervisor_call = 0x16, instruction_abort = 0x20, data_abort = 0x24;  // ESR_EL2.EC, "lower"
constexpr std::uint64_t el1h_masked = 0x3c5;                                                  // SPSR_EL2
constexpr std::uint64_t sctlr_reserved_ones = 0x30d0'0800, sctlr_m = 1U << 0, sctlr_c = 1U << 2, sctlr_i = 1U << 12;
constexpr std::uint64_t vectors = 0x1000;  // in the guest's area: link.ld

// Address size, translation, access flag, permission; the first two at level -1 as well.
bool is_translation(std::uint64_t status) noexcept { return status < 0x10 || status == 0x29 || status == 0x2b; }
bool is_permission(std::uint64_t status) noexcept { return (status & 0x3cU) == 0xc; }

// Asks the guest's own tables; nothing where they have changed meanwhile.
bool find_ipa(std::uint64_t address, std::uint64_t& ipa) noexcept {
  asm volatile("at s1e1r, %0\n isb" : : "r"(address) : "memory");
  const std::uint64_t par = par_el1::read();
  ipa = par & 0x000f'ffff'ffff'f000;
  return (par & 1U) == 0;
}

// False: the guest shall try again. HPFAR_EL2 is written for every fault but that of a permission, of which it is
// written only where a table of the guest's was missed.
bool decode_fault(std::uint64_t syndrome, guest_exit& left) noexcept {
  const std::uint64_t far = far_el2::read();
  left = {.why = guest_exit::reason::fault, .of_guest_tables = (syndrome >> 7 & 1U) != 0, .syndrome = syndrome};
  std::uint64_t ipa = (hpfar_el2::read() & 0x0fff'ffff'fff0) << 8U;
  if (is_permission(syndrome & 0x3fU) && !left.of_guest_tables && !find_ipa(far, ipa)) return false;
  left.address = quire::input_address{left.of_guest_tables ? ipa : ipa | (far & 0xfffU)};
  // guest_stage has walkers only read its tables, whatever they do it for.
  const bool fetches = syndrome >> 26U == instruction_abort, writes = (syndrome >> 6U & 1U) != 0;
  left.access = left.of_guest_tables ? quire::readable
                : fetches            ? quire::executable
                : writes             ? quire::writable
                                     : quire::readable;
  return true;
}

}  // namespace

void vcpu::begin() noexcept {
  registers_.pc = area_.value;
  registers_.sp = area_.value + guest_area_bytes;
  registers_.pstate = el1h_masked;
  asks_ = false;
}

void vcpu::give(const command& next) noexcept {
  registers_.x[0] = static_cast<std::uint64_t>(next.what);
  registers_.x[1] = next.address;
  registers_.x[2] = next.value;
  registers_.x[3] = next.count;
  registers_.x[4] = next.step;
  has_next_ = asks_ = false;
}

void vcpu::use_tables(quire::input_address root) noexcept {
  ttbr0_ = *quire::arm64::ttbr0<guest_stage>(features(), quire::table_address{root.value});
}

void forget_guests() noexcept {
  sctlr_el1::write(sctlr_reserved_ones);
  ttbr0_el1::write(0);
  hcr_el2::write(hcr_for(false));
  isb();
}

// The servant changes none of them, so none is saved. Guests have the same ASID: what is cached of one is not for the
// next. A guest that goes on has what it had, stale translations too.
void vcpu::load_system_registers() const noexcept {
  hcr_el2::write(hcr_for(ttbr0_ != 0));
  ttbr0_el1::write(ttbr0_);
  tcr_el1::write(*quire::arm64::tcr_el1<guest_stage>(features()));
  mair_el1::write(quire::arm64::mair<guest_stage>);
  sctlr_el1::write(sctlr_reserved_ones | (ttbr0_ != 0 ? sctlr_m | sctlr_c | sctlr_i : 0));
  asm volatile(
      "isb\n"
      "tlbi vmalle1\n"
      "dsb nsh\n"
      "isb"
      :
      :
      : "memory");
}

guest_exit vcpu::run(const command& next) noexcept {
  next_ = next;
  has_next_ = true;
  if (asks_) give(next_);
  else begin();
  return resume();
}

guest_exit vcpu::resume() noexcept {
  vbar_el1::write(area_.value + vectors);
  if (hcr_el2::read() != hcr_for(ttbr0_ != 0) || ttbr0_el1::read() != ttbr0_) load_system_registers();
  // Interrupts are masked here: one that comes after the question ends the entry.
  while (!is_guest_interrupted()) {
    const trap how = enter_guest(&registers_);
    const std::uint64_t syndrome = esr_el2::read(), cause = syndrome >> 26U;
    const bool aborts = cause == instruction_abort || cause == data_abort;
    guest_exit left{.address = quire::input_address{registers_.pc}, .syndrome = syndrome};
    if (how == trap::interrupt) {
      take_interrupt();
    } else if (how == trap::synchronous && cause == hypervisor_call && (syndrome & 0xffffU) == 0) {
      asks_ = true;
      if (!has_next_) return {.why = guest_exit::reason::done, .answer = registers_.x[0]};
      give(next_);
    } else if (how == trap::synchronous && aborts && is_translation(syndrome & 0x3fU)) {
      if (decode_fault(syndrome, left)) return left;
    } else {
      if (cause == hypervisor_call) left.syndrome = esr_el1::read();  // its vectors called
      return left;
    }
  }
  return {.why = guest_exit::reason::interrupted};
}

}  // namespace bare
