// SPDX-License-Identifier: MIT
// Into a guest and back, and the vectors of both sides.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), "Exception vectors": four of 128 bytes
// (synchronous, IRQ, FIQ, SError) for each of: the same level with SP_EL0, the same level, a lower level in AArch64, a
// lower level in AArch32.
//
// guest_registers (vcpu.hpp): x0 to x30 at 0 to 240, then sp_el1, pc, pstate.

#define SP_EL1 248
#define PC 256
#define PSTATE 264

// x2 to x29, from or to the guest_registers at x0.
.macro two_by_two what
  \what x2, x3, [x0, #16]
  \what x4, x5, [x0, #32]
  \what x6, x7, [x0, #48]
  \what x8, x9, [x0, #64]
  \what x10, x11, [x0, #80]
  \what x12, x13, [x0, #96]
  \what x14, x15, [x0, #112]
  \what x16, x17, [x0, #128]
  \what x18, x19, [x0, #144]
  \what x20, x21, [x0, #160]
  \what x22, x23, [x0, #176]
  \what x24, x25, [x0, #192]
  \what x26, x27, [x0, #208]
  \what x28, x29, [x0, #224]
.endm

  .text
// trap enter_guest(guest_registers*): returns when an exception has come back to EL2, with which of the four it was.
  .globl enter_guest
enter_guest:
  stp x29, x30, [sp, #-96]!
  stp x27, x28, [sp, #16]
  stp x25, x26, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x21, x22, [sp, #64]
  stp x19, x20, [sp, #80]
  stp x0, xzr, [sp, #-16]!  // what the vectors need
  ldr x1, [x0, #SP_EL1]
  ldp x2, x3, [x0, #PC]
  msr sp_el1, x1
  msr elr_el2, x2
  msr spsr_el2, x3
  two_by_two ldp
  ldr x30, [x0, #240]
  ldp x0, x1, [x0]
  eret

guest_left:  // x1 is which of the four; the guest's x0 and x1 lie on the stack before the address of its registers
  ldr x0, [sp, #16]
  two_by_two stp
  str x30, [x0, #240]
  ldp x2, x3, [sp], #32
  stp x2, x3, [x0]
  mrs x2, sp_el1
  mrs x3, elr_el2
  mrs x4, spsr_el2
  str x2, [x0, #SP_EL1]
  stp x3, x4, [x0, #PC]
  mov x0, x1
  ldp x19, x20, [sp, #80]
  ldp x21, x22, [sp, #64]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #32]
  ldp x27, x28, [sp, #16]
  ldp x29, x30, [sp], #96
  ret

  .balign 0x800
  .globl host_vectors
host_vectors:
  .rept 8
  .balign 0x80
  b host_left
  .endr
  .irp n, 0, 1, 2, 3
  .balign 0x80
  stp x0, x1, [sp, #-16]!
  mov x1, #\n
  b guest_left
  .endr
  .rept 4
  .balign 0x80
  b host_left
  .endr

host_left:  // a defect
  mrs x0, esr_el2
  mrs x1, elr_el2
  mrs x2, far_el2
  b host_trapped

// The guest has no use for exceptions of its own: each one is a call that the host does not know.
  .section .guest.vectors, "ax"
  .balign 0x800
  .rept 16
  .balign 0x80
  hvc #1
  .endr
