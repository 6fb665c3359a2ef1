// SPDX-License-Identifier: MIT
// The PC as QEMU's microvm and Bochs have it: console, end, memory, one CPU.
//
// Source: the data sheet of the 16550 (line control and line status register); QEMU, hw/misc/debugexit.c; Bochs,
// iodev/unmapped.cc (port 0x8900).
#include "arch.hpp"

#include "contract.hpp"
#include "cpu.hpp"
#include "exceptions.hpp"
#include "guest.hpp"
#include "machine.hpp"
#include "report.hpp"

namespace bare {

extern "C" char guest_area_begin[], end_of_image[];

namespace {

constexpr std::uint16_t uart = 0x3f8, qemu_exit = 0xf4, bochs_exit = 0x8900;
constexpr std::uint64_t end_of_memory = 256U << 20U;  // QEMU: -m 256M; Bochs: megs: 256

}  // namespace

void put(char c) noexcept {
  while ((in(uart + 5) & 0x20U) == 0) {  // LSR.THRE: the last one is out
  }
  out(uart, static_cast<std::uint8_t>(c));
}

// isa-debug-exit makes n an exit status of 2 n + 1: 33 is passed and 35 is failed; 1 is QEMU's own. The status of Bochs
// says nothing.
void power_off(bool passed) noexcept {
  while ((in(uart + 5) & 0x40U) == 0) {  // LSR.TEMT: the last one has left
  }
  out(qemu_exit, passed ? 16 : 17);
  for (const char* text = "Shutdown"; *text != 0; ++text) out(bochs_exit, static_cast<std::uint8_t>(*text));
  for (;;) asm volatile("cli; hlt");
}

std::uint64_t instructions() noexcept {
  std::uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return std::uint64_t{high} << 32 | low;
}

unsigned this_cpu() noexcept { return 0; }
unsigned cpus() noexcept { return 1; }
void start(unsigned, void (*)(void*), void*) noexcept { contract_broken("start(cpu) with cpu < cpus()"); }
void wait_for(unsigned) noexcept {}
void pause() noexcept { asm volatile("pause"); }

std::uint64_t memory_first() noexcept {
  return (reinterpret_cast<std::uint64_t>(end_of_image) + 0x1f'ffff) & ~std::uint64_t{0x1f'ffff};
}
std::uint64_t memory_bytes() noexcept { return end_of_memory - memory_first(); }
std::uint64_t guest_area() noexcept { return reinterpret_cast<std::uint64_t>(guest_area_begin); }

// mov $number, %eax; ret
void write_function(void* at, unsigned number) noexcept {
  auto* code = static_cast<std::uint8_t*>(at);
  code[0] = 0xb8;
  for (unsigned i = 0; i < 4; ++i) code[1 + i] = static_cast<std::uint8_t>(number >> (8 * i));
  code[5] = 0xc3;
}

extern "C" [[noreturn]] void boot() {
  out(uart + 3, 3);  // LCR: 8 bits, no parity
  take_exceptions();
  turn_on_virtualization();
  program();
  check(false, "a program ends with finish()");
  finish();
}

}  // namespace bare
