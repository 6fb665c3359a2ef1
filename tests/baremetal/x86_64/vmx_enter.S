// SPDX-License-Identifier: MIT
// The world switch of VMX: the hardware switches rsp, rip, rflags and the system registers, the rest is done here.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "VM Entries", "VM Exits"; the numbers
// are those of "Field Encoding in VMCS".

#define HOST_RSP 0x6c14
#define HOST_RIP 0x6c16

#include "general_registers.inc"

  .text
// bool vmx_enter(bool launched, general_registers*): whether the guest was entered; the VMCS is current.
  .globl vmx_enter
vmx_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rsi
  mov $HOST_RSP, %eax
  vmwrite %rsp, %rax
  mov $HOST_RIP, %eax
  lea exit(%rip), %rdx
  vmwrite %rdx, %rax
  test %edi, %edi
  mov (%rsi), %rax
  for_each_register load_register
  mov 32(%rsi), %rsi
  jnz 1f
  vmlaunch
  jmp not_entered
1:
  vmresume
not_entered:
  pop %rsi
  xor %eax, %eax
  jmp back
exit:
  push %rsi
  mov 8(%rsp), %rsi
  mov %rax, (%rsi)
  for_each_register save_register
  pop 32(%rsi)
  pop %rsi
  mov $1, %eax
back:
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret

  .section .note.GNU-stack, "", @progbits
