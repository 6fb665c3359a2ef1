// SPDX-License-Identifier: MIT
// Instructions of the CPU that C++ has no words for, and what several files ask it about.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 2 (CPUID) and Volume 4 (MSRs); AMD64
// Architecture Programmer's Manual, Volume 3, "Obtaining Processor Information Via the CPUID Instruction".
#pragma once

#include <cstdint>  // uint8_t, uint32_t, uint64_t

namespace bare {

struct cpuid_registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// All 0 where the CPU does not have the function.
[[nodiscard]] inline cpuid_registers cpuid(std::uint32_t function) noexcept {
  const auto ask = [](std::uint32_t number) {
    cpuid_registers said;
    asm volatile("cpuid" : "=a"(said.eax), "=b"(said.ebx), "=c"(said.ecx), "=d"(said.edx) : "a"(number), "c"(0));
    return said;
  };
  const std::uint32_t last = ask(function & 0x8000'0000U).eax;
  return function <= last ? ask(function) : cpuid_registers{};
}

[[nodiscard]] inline std::uint64_t read_msr(std::uint32_t number) noexcept {
  std::uint32_t low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return std::uint64_t{high} << 32 | low;
}
inline void write_msr(std::uint32_t number, std::uint64_t value) noexcept {
  asm volatile("wrmsr" : : "c"(number), "a"(value), "d"(value >> 32) : "memory");
}

[[nodiscard]] inline std::uint8_t in(std::uint16_t port) noexcept {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void out(std::uint16_t port, std::uint8_t value) noexcept {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

[[nodiscard]] inline std::uint64_t read_cr0() noexcept {
  std::uint64_t value;
  asm volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}
[[nodiscard]] inline std::uint64_t read_cr2() noexcept {
  std::uint64_t value;
  asm volatile("mov %%cr2, %0" : "=r"(value));
  return value;
}
[[nodiscard]] inline std::uint64_t read_cr3() noexcept {
  std::uint64_t value;
  asm volatile("mov %%cr3, %0" : "=r"(value));
  return value;
}
[[nodiscard]] inline std::uint64_t read_cr4() noexcept {
  std::uint64_t value;
  asm volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}

// The architectural limit of the addresses in any table, MAXPHYADDR.
[[nodiscard]] inline int physical_address_bits() noexcept {
  const std::uint32_t said = cpuid(0x8000'0008).eax & 0xffU;
  return said != 0 ? static_cast<int>(said) : 36;
}

}  // namespace bare
