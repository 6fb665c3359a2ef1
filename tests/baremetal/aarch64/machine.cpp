// SPDX-License-Identifier: MIT
// QEMU's machine "virt": how a CPU begins, console, end, memory.
//
// Source: QEMU, hw/arm/virt.c (addresses); PrimeCell UART PL011 (DDI 0183), 3.3 "Register descriptions"; Semihosting
// for AArch32 and AArch64, "SYS_EXIT".
#include "arch.hpp"

#include "cpu.hpp"
#include "report.hpp"

namespace bare {

extern "C" char guest_area_begin[], end_of_image[];

namespace {

constexpr std::uint64_t uart = 0x900'0000;
constexpr std::uint64_t end_of_memory = 0x4000'0000 + (std::uint64_t{1} << 30);  // -m 1G

volatile std::uint32_t& uart_register(unsigned offset) noexcept {
  return *reinterpret_cast<volatile std::uint32_t*>(uart + offset);
}

}  // namespace

void put(char c) noexcept {
  while ((uart_register(0x18) & 0x20U) != 0) {  // UARTFR.TXFF: the FIFO is full
  }
  uart_register(0) = static_cast<std::uint8_t>(c);
}

// ADP_Stopped_ApplicationExit, with the status.
void power_off(bool passed) noexcept {
  const std::uint64_t block[2] = {0x20026, passed ? 0U : 1U};
  register std::uint64_t x0 asm("x0") = 0x18;
  register const std::uint64_t* x1 asm("x1") = block;
  for (;;) asm volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
}

std::uint64_t instructions() noexcept {
  isb();
  return pmccntr_el0::read();
}
// Cycles, at EL2 as well (NSH). With `-icount shift=0` QEMU's virtual time is a nanosecond an instruction and its
// cycles are nanoseconds; without they are real time.
void count_instructions() noexcept {
  pmccfiltr_el0::write(1U << 27);
  pmcntenset_el0::write(1U << 31);
  pmcr_el0::write(1U << 6 | 1U << 0);  // LC, E
  isb();
}

std::uint64_t memory_first() noexcept {
  return (reinterpret_cast<std::uint64_t>(end_of_image) + 0x1f'ffff) & ~std::uint64_t{0x1f'ffff};
}
std::uint64_t memory_bytes() noexcept { return end_of_memory - memory_first(); }
std::uint64_t guest_area() noexcept { return reinterpret_cast<std::uint64_t>(guest_area_begin); }

// movz x0, #number; ret.
void write_function(void* at, unsigned number) noexcept {
  auto* code = static_cast<std::uint32_t*>(at);
  code[0] = 0xd280'0000U | number << 5U;
  code[1] = 0xd65f'03c0U;
  publish_code(reinterpret_cast<std::uint64_t>(at), 8);
}
// To the point of unification, as "Concurrent modification and execution of instructions" says; other CPUs come to the
// code through an exception return. CTR_EL0 has the smallest line of each cache, in words of 4 bytes, as a logarithm.
void publish_code(std::uint64_t at, std::uint64_t bytes) noexcept {
  const std::uint64_t ctr = ctr_el0::read(), end = at + bytes;
  const std::uint64_t data_line = 4U << (ctr >> 16 & 0xfU), instruction_line = 4U << (ctr & 0xfU);
  for (std::uint64_t line = at & ~(data_line - 1); line < end; line += data_line)
    asm volatile("dc cvau, %0" : : "r"(line) : "memory");
  asm volatile("dsb ish" : : : "memory");
  for (std::uint64_t line = at & ~(instruction_line - 1); line < end; line += instruction_line)
    asm volatile("ic ivau, %0" : : "r"(line) : "memory");
  asm volatile("dsb ish\n isb" : : : "memory");
}

extern "C" [[noreturn]] void host_trapped(std::uint64_t syndrome, std::uint64_t pc, std::uint64_t address) {
  say("trap in the host: syndrome ");
  say_hex(syndrome);
  say(", pc ");
  say_hex(pc);
  say(", address ");
  say_hex(address);
  end_line();
  power_off(false);
}

extern "C" [[noreturn]] void boot() {
  translate_host();
  count_instructions();
  hear_interrupts();
  forget_guests();
  if (this_cpu() != 0) idle();
  start_other_cpus();
  program();
  check(false, "a program ends with finish()");
  finish();
}

}  // namespace bare
