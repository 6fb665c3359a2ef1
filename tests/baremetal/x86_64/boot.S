// SPDX-License-Identifier: MIT
// The first sector of a disk, for machines without a loader: reads the image from the sectors behind it to 1 MiB and
// enters it as start.S asks. make_image.py writes the number of sectors into the last bytes.
//
// Source: Phoenix, Enhanced Disk Drive Specification, "Extended Read" (int 13h, function 42h, drive in dl); Intel 64 and
// IA-32 Architectures Software Developer's Manual, Volume 3, "Switching to Protected Mode".

#define CHUNK_SECTORS 64  // what the BIOS reads at once
#define BUFFER 0x10000

  .code16
  .text
  .globl boot_sector
boot_sector:
  cli
  cld
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %ss
  mov $0x7c00, %sp
  ljmp $0, $1f
1:
  in $0x92, %al  // system control port A, bit 1: the address line 20 works
  or $2, %al
  out %al, $0x92
  mov $0x100000, %ebp

next_chunk:
  mov $packet, %si
  mov $0x42, %ah
  int $0x13
  jc failed
  cli

  // Out to protected mode and back: es keeps its limit of 4 GiB, and so reaches the image.
  push %dx
  lgdt gdt_pointer
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  mov $0x10, %bx
  mov %bx, %es
  and $0xfe, %al
  mov %eax, %cr0
  xor %bx, %bx
  mov %bx, %es
  mov $BUFFER >> 4, %bx
  mov %bx, %ds
  xor %esi, %esi
  mov %ebp, %edi
  mov $CHUNK_SECTORS * 512 / 4, %ecx
  addr32 rep movsl
  mov %edi, %ebp
  xor %bx, %bx
  mov %bx, %ds
  pop %dx

  addl $CHUNK_SECTORS, first_sector
  subw $CHUNK_SECTORS, sectors
  ja next_chunk

  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $0x08, $enter

  .code32
enter:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $0x100000, %eax
  jmp *%eax

  .code16
failed:
  hlt
  jmp failed

  .balign 4
packet:
  .byte 16, 0
  .word CHUNK_SECTORS
  .word 0, BUFFER >> 4
first_sector:
  .long 1, 0

  .balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff  // code, 32 bits
  .quad 0x00cf93000000ffff  // data
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .long gdt

  .org 508
sectors:
  .word 0
  .word 0xaa55

  .section .note.GNU-stack, "", @progbits
