// SPDX-License-Identifier: MIT
// What both ways of virtualization have in common: the general registers of a guest, which software switches, and the
// registers of 64-bit mode, which the hardware loads.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "System-Control Registers", "Extended Feature Enable
// Register", "Page-Attribute Table".
#pragma once

#include <cstdint>  // uint64_t

namespace bare {

// Laid out for svm_enter.S and vmx_enter.S.
struct general_registers {
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rbp = 0;
  std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
};

inline constexpr std::uint64_t cr0_of_guest = 0x8001'0031;  // PG, WP, NE, ET, PE
inline constexpr std::uint64_t cr4_of_guest = 0x20;         // PAE
inline constexpr std::uint64_t efer_of_guest = 0xd00;       // NXE, LMA, LME
inline constexpr std::uint64_t pat_at_power_up = 0x0007'0406'0007'0406;
inline constexpr std::uint64_t rflags_of_guest = 0x2;  // interrupts are off
inline constexpr std::uint64_t dr7_at_power_up = 0x400;

}  // namespace bare
