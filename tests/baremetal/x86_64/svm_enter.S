// SPDX-License-Identifier: MIT
// The world switch of SVM: the hardware switches rax, rsp, rip, rflags and the system registers, the rest is done here.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "VMRUN Instruction", "Global Interrupt Flag, STGI and CLGI
// Instructions".

#include "general_registers.inc"

  .text
// void svm_enter(vmcb*, general_registers*): all but rax, which is in the VMCB.
  .globl svm_enter
svm_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rsi
  mov %rdi, %rax
  for_each_register load_register
  mov 32(%rsi), %rsi
  clgi
  vmrun %rax
  stgi
  push %rsi
  mov 8(%rsp), %rsi
  for_each_register save_register
  pop 32(%rsi)
  pop %rsi
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret

  .section .note.GNU-stack, "", @progbits
