// SPDX-License-Identifier: MIT
// The harts of the machine as the library's invalidation policy asks for them: fences here, and fences sent to the
// others.
//
// A fence for another hart lies in a mailbox of that hart until it was executed. A hart looks into its mailboxes
// wherever it waits (pause, wait_for, wait) and when the sender's interrupt takes it out of a guest.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/riscv_hfence.hpp>  // gstage_invalidation

namespace bare {

// hfence.gvma is funct7 0x31, hfence.vvma 0x11, of opcode SYSTEM.
inline void hfence_gvma_every_guest() noexcept { asm volatile(".insn r 0x73, 0, 0x31, x0, x0, x0" : : : "memory"); }
inline void hfence_vvma_all() noexcept { asm volatile(".insn r 0x73, 0, 0x11, x0, x0, x0" : : : "memory"); }

struct harts {
  void hfence_gvma(std::uint64_t address, std::uint64_t vmid) noexcept {
    asm volatile(".insn r 0x73, 0, 0x31, x0, %0, %1" : : "r"(address), "r"(vmid) : "memory");
  }
  void hfence_gvma_all(std::uint64_t vmid) noexcept {
    asm volatile(".insn r 0x73, 0, 0x31, x0, x0, %0" : : "r"(vmid) : "memory");
  }
  void send(const quire::riscv::gstage_fence& fence) noexcept;
  void wait() noexcept;
};

// The emulator runs one hart at a time, for as long as that one likes (QEMU, when it counts instructions): pause()
// gives the others their turn.
inline constinit bool harts_take_turns = false;

// To be called before this hart walks tables of the VMID: from then on fences of it are sent here.
void hear_fences_of(unsigned vmid) noexcept;
void execute_fences_sent_here() noexcept;
void take_interrupt() noexcept;  // a guest was left for the sake of a fence, or by interrupt_guest()
[[nodiscard]] bool is_guest_interrupted() noexcept;  // on this hart; says so once

struct guest_invalidation : quire::riscv::gstage_invalidation<harts> {
  explicit guest_invalidation(unsigned vmid) noexcept : gstage_invalidation({}, vmid) {}
};

}  // namespace bare
