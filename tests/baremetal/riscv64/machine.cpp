// SPDX-License-Identifier: MIT
// QEMU's machine "virt": console, end, memory.
//
// Source: QEMU, hw/riscv/virt.c (addresses) and hw/misc/sifive_test.c; the 16550's line status register.
#include "arch.hpp"

#include "report.hpp"

namespace bare {

extern "C" {
constinit std::uint64_t hart_isa = 0;  // misa, which HS mode cannot read; written by start.S
extern char guest_area_begin[], end_of_image[];
}

namespace {

constexpr std::uint64_t uart = 0x1000'0000, test_finisher = 0x10'0000;
constexpr std::uint64_t end_of_memory = 0x8000'0000 + (512U << 20U);  // -m 512M

volatile std::uint8_t& uart_register(unsigned number) noexcept {
  return *reinterpret_cast<volatile std::uint8_t*>(uart + number);
}

}  // namespace

void put(char c) noexcept {
  while ((uart_register(5) & 0x20U) == 0) {  // LSR.THRE: the last one is out
  }
  uart_register(0) = static_cast<std::uint8_t>(c);
}

// Pass, or fail with an exit status of 1 in the upper half.
void power_off(bool passed) noexcept {
  *reinterpret_cast<volatile std::uint32_t*>(test_finisher) = passed ? 0x5555U : 0x1'3333U;
  for (;;) asm volatile("wfi");
}

std::uint64_t instructions() noexcept { return read<csr::instret>(); }

std::uint64_t memory_first() noexcept {
  return (reinterpret_cast<std::uint64_t>(end_of_image) + 0x1f'ffff) & ~std::uint64_t{0x1f'ffff};
}
std::uint64_t memory_bytes() noexcept { return end_of_memory - memory_first(); }
std::uint64_t guest_area() noexcept { return reinterpret_cast<std::uint64_t>(guest_area_begin); }

bool has_hypervisor_extension() noexcept { return (hart_isa >> ('H' - 'A') & 1U) != 0; }

// addi a0, x0, number; jalr x0, 0(ra)
void write_function(void* at, unsigned number) noexcept {
  auto* code = static_cast<std::uint32_t*>(at);
  code[0] = 0x0000'0513U | (number << 20U);
  code[1] = 0x0000'8067U;
  publish_code(reinterpret_cast<std::uint64_t>(at), 8);
}
// Other harts execute a fence.i of their own before they enter a guest.
void publish_code(std::uint64_t, std::uint64_t) noexcept { asm volatile("fence.i" : : : "memory"); }

extern "C" [[noreturn]] void host_trapped(std::uint64_t cause, std::uint64_t pc, std::uint64_t value) {
  say("trap in the host: cause ");
  say_hex(cause);
  say(", pc ");
  say_hex(pc);
  say(", value ");
  say_hex(value);
  end_line();
  power_off(false);
}

extern "C" [[noreturn]] void boot() {
  program();
  check(false, "a program ends with finish()");
  finish();
}

}  // namespace bare
