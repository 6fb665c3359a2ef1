// SPDX-License-Identifier: MIT
// Control and status registers, by number: assemblers know the names of the hypervisor extension late or never.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "CSR Listing".
#pragma once

#include <cstdint>  // uint64_t

namespace bare {

enum class csr : unsigned {
  sip = 0x144,
  scause = 0x142,
  stval = 0x143,
  vsstatus = 0x200,
  vsatp = 0x280,
  hedeleg = 0x602,
  hideleg = 0x603,
  hie = 0x604,
  henvcfg = 0x60a,
  htval = 0x643,
  hvip = 0x645,
  htinst = 0x64a,
  hgatp = 0x680,
  time = 0xc01,
  instret = 0xc02,
};

template <csr Which>
[[nodiscard]] std::uint64_t read() noexcept {
  std::uint64_t value;
  asm volatile("csrr %0, %1" : "=r"(value) : "i"(static_cast<unsigned>(Which)));
  return value;
}
template <csr Which>
void write(std::uint64_t value) noexcept {
  asm volatile("csrw %1, %0" : : "r"(value), "i"(static_cast<unsigned>(Which)) : "memory");
}
template <csr Which>
void set_bits(std::uint64_t bits) noexcept {
  asm volatile("csrs %1, %0" : : "r"(bits), "i"(static_cast<unsigned>(Which)) : "memory");
}
template <csr Which>
void clear_bits(std::uint64_t bits) noexcept {
  asm volatile("csrc %1, %0" : : "r"(bits), "i"(static_cast<unsigned>(Which)) : "memory");
}

}  // namespace bare
