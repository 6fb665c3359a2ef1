// SPDX-License-Identifier: MIT
// Where the image is entered, and the two things it needs of its machine. So that it can be tried, the machine is a
// Linux process: two system calls stand where a kernel has its UART and its reset line.
#include "guest_life.hpp"      // run_guests
#include "kernel/console.hpp"  // write_console, halt

// The stack is there and aligned. On a machine of its own a kernel would set it up here and clear .bss.
#if defined(__x86_64__)
asm(".pushsection .text\n"
    ".globl _start\n"
    "_start: xorl %ebp, %ebp\n"
    "        call kernel_entry\n"
    ".popsection\n");
#elif defined(__aarch64__)
asm(".pushsection .text\n"
    ".globl _start\n"
    "_start: mov x29, #0\n"
    "        mov x30, #0\n"
    "        bl kernel_entry\n"
    ".popsection\n");
#elif defined(__riscv)
asm(".pushsection .text\n"
    ".globl _start\n"
    "_start:\n"
    ".option push\n"
    ".option norelax\n"
    "        la gp, __global_pointer$\n"
    ".option pop\n"
    "        call kernel_entry\n"
    ".popsection\n");
#else
#error "no entry for this architecture yet"
#endif

namespace {

#if defined(__x86_64__)
constexpr long write_call = 1;
constexpr long exit_call = 60;

long system_call(long number, long a, long b, long c) noexcept {
  asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return number;
}
#else
constexpr long write_call = 64;
constexpr long exit_call = 93;

long system_call(long number, long a, long b, long c) noexcept {
#if defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#else
  register long a7 asm("a7") = number;
  register long a0 asm("a0") = a;
  register long a1 asm("a1") = b;
  register long a2 asm("a2") = c;
  asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
  return a0;
#endif
}
#endif

}  // namespace

void kernel::write_console(const char* text, std::size_t length) noexcept {
  while (length > 0) {
    const long written = system_call(write_call, 1, reinterpret_cast<long>(text), static_cast<long>(length));
    if (written <= 0) return;
    text += written;
    length -= static_cast<std::size_t>(written);
  }
}

void kernel::halt(int status) noexcept {
  for (;;) system_call(exit_call, status, 0, 0);
}

extern "C" [[noreturn]] void kernel_entry() noexcept;
extern "C" void kernel_entry() noexcept { kernel::halt(hypervisor::run_guests() == 0 ? 0 : 1); }
