// SPDX-License-Identifier: MIT
// A guest: how it is entered, and what its exits mean.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Trap Cause Codes" and "Transformed Instruction or
// Pseudoinstruction for mtinst or htinst" of the hypervisor extension.
#include "arch.hpp"

namespace bare {

extern "C" void enter_guest(guest_registers*);  // start.S

namespace {

constexpr std::uint64_t interrupt = std::uint64_t{1} << 63;
constexpr std::uint64_t supervisor_software = interrupt | 1, call_from_guest = 10, fetch_fault = 20, load_fault = 21,
                        store_fault = 23;
constexpr unsigned a0 = 10, sp = 2, pc = 0;

// "Values for guest-page faults on implicit memory accesses": a read or write, of 32 or 64 bits.
bool is_access_to_guest_table(std::uint64_t htinst) noexcept {
  return htinst == 0x2000 || htinst == 0x2020 || htinst == 0x3000 || htinst == 0x3020;
}

guest_exit fault_of(std::uint64_t cause) noexcept {
  const std::uint64_t instruction = read<csr::htinst>();
  guest_exit left{.why = guest_exit::reason::fault};
  left.of_guest_tables = is_access_to_guest_table(instruction);
  // The two lowest bits are those of the virtual address, but an entry of a table is aligned.
  left.address = quire::input_address{(read<csr::htval>() << 2) | (left.of_guest_tables ? 0 : read<csr::stval>() & 3)};
  left.access = cause == fetch_fault ? quire::executable : cause == store_fault ? quire::writable : quire::readable;
  left.syndrome = (instruction << 32) | cause;
  return left;
}

}  // namespace

void vcpu::begin() noexcept {
  registers_.x[pc] = area_.value;
  registers_.x[sp] = area_.value + guest_area_bytes;
  asks_ = false;
}

void vcpu::give(const command& next) noexcept {
  registers_.x[a0] = static_cast<std::uint64_t>(next.what);
  registers_.x[a0 + 1] = next.address;
  registers_.x[a0 + 2] = next.value;
  registers_.x[a0 + 3] = next.count;
  registers_.x[a0 + 4] = next.step;
  registers_.x[pc] += 4;  // past its ecall
  has_next_ = asks_ = false;
}

void vcpu::use_tables(quire::input_address root) noexcept {
  vsatp_ = *quire::riscv::satp<guest_stage>(quire::table_address{root.value}, 0);
}

guest_exit vcpu::run(const command& next) noexcept {
  next_ = next;
  has_next_ = true;
  if (asks_) give(next_);
  else begin();
  return resume();
}

guest_exit vcpu::resume() noexcept {
  write<csr::hedeleg>(0);
  write<csr::hideleg>(0);
  write<csr::henvcfg>(std::uint64_t{3} << 61);  // PBMTE, ADUE
  write<csr::vsstatus>(0);
  if (read<csr::vsatp>() != vsatp_) {
    write<csr::vsatp>(vsatp_);
    hfence_vvma_all();
  }
  // Interrupts are masked here: one that comes after the question ends the entry.
  while (!is_guest_interrupted()) {
    enter_guest(&registers_);
    const std::uint64_t cause = read<csr::scause>();
    if (cause == supervisor_software) {
      take_interrupt();
    } else if (cause == call_from_guest) {
      asks_ = true;
      if (!has_next_) return {.why = guest_exit::reason::done, .answer = registers_.x[a0]};
      give(next_);
    } else if (cause == fetch_fault || cause == load_fault || cause == store_fault) {
      return fault_of(cause);
    } else {
      return {.why = guest_exit::reason::other, .address = quire::input_address{read<csr::stval>()}, .syndrome = cause};
    }
  }
  return {.why = guest_exit::reason::interrupted};
}

}  // namespace bare
