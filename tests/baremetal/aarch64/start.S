// SPDX-License-Identifier: MIT
// Where a CPU begins: the first one at reset, the others when PSCI turns them on. At EL2, its MMU off, interrupts
// masked; that they stay.

#define STACK_BYTES 0x8000
#define MOST_CPUS 4

  .text
  .globl _start, begin_cpu
_start:
  mov x0, xzr
begin_cpu:  // x0 is the number of the CPU: the context of PSCI's CPU_ON
  msr tpidr_el2, x0
  adrp x1, stacks
  add x1, x1, :lo12:stacks
  add x2, x0, #1
  mov x3, STACK_BYTES
  madd x1, x2, x3, x1
  mov sp, x1
  adrp x1, host_vectors
  add x1, x1, :lo12:host_vectors
  msr vbar_el2, x1
  isb
  b boot

  .section .bss
  .balign 16
stacks:
  .zero STACK_BYTES * MOST_CPUS
