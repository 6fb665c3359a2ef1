// SPDX-License-Identifier: MIT
// From the 32-bit entry to the host in long mode, one CPU, memory seen where it is.
//
// Source: Xen's PVH boot protocol, which QEMU's -kernel speaks (32-bit protected mode, flat segments, paging off;
// boot.S enters in the same way); AMD64 Architecture Programmer's Manual, Volume 2, "Initializing Long Mode",
// "System Data Structures and Descriptors".

#define STACK_BYTES 0x10000

// Note 18 of "Xen" is the physical address of the 32-bit entry.
  .section .note.pvh, "a", @note
  .balign 4
  .long 4, 8, 18
  .asciz "Xen"
  .quad start

  .section .start, "ax"
  .code32
  .globl start
start:
  cli
  cld
  // An image without an ELF loader has garbage here.
  mov $bss_begin, %edi
  mov $end_of_image, %ecx
  sub %edi, %ecx
  shr $2, %ecx
  xor %eax, %eax
  rep stosl

  mov %cr4, %esi
  or $0x20, %esi  // PAE
  mov $host_pml4, %edi
  // Five levels where the CPU has them: nested tables then have as many.
  xor %eax, %eax
  cpuid
  cmp $7, %eax
  jb 1f
  mov $7, %eax
  xor %ecx, %ecx
  cpuid
  bt $16, %ecx  // LA57
  jnc 1f
  or $0x1000, %esi  // LA57
  mov $host_pml5, %edi
1:
  mov %esi, %cr4
  mov %edi, %cr3
  mov $0xc0000080, %ecx  // EFER
  rdmsr
  or $0x900, %eax  // LME, NXE
  wrmsr
  mov %cr0, %eax
  or $0x80000001, %eax  // PG, PE
  mov %eax, %cr0
  lgdt gdt_pointer
  ljmp $0x08, $2f

  .code64
2:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %fs
  mov %eax, %gs
  mov %eax, %ss
  mov $0x18, %eax
  ltr %ax
  mov $stack + STACK_BYTES, %rsp
  xor %ebp, %ebp
  call boot
  ud2

  .section .data
  .balign 8
// The task state segment lies at address 0: nobody reads it, as nothing here changes the privilege level or names an
// interrupt stack, but the selector of a VMX host must not be null.
gdt:
  .quad 0
  .quad 0x00af9b000000ffff  // code, 64 bits
  .quad 0x00cf93000000ffff  // data
  .quad 0x0000890000000067, 0  // task state segment
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .quad gdt

// The first 4 GiB by pages of 1 GiB: P, RW, PS.
  .balign 4096
host_pml5:
  .quad host_pml4 + 3
  .balign 4096
host_pml4:
  .quad host_pdpt + 3
  .balign 4096
host_pdpt:
  .quad 0x00000083, 0x40000083, 0x80000083, 0xc0000083
  .balign 4096

  .section .bss
  .balign 16
stack:
  .zero STACK_BYTES

  .section .note.GNU-stack, "", @progbits
