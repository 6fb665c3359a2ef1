// SPDX-License-Identifier: MIT
// From reset to the host in HS mode, every hart alike; the traps of M and HS mode; the way into a guest and back.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Machine-Level ISA", "Supervisor-Level ISA", "Hypervisor
// Extension". Addresses: QEMU's machine "virt", hw/riscv/virt.c. Registers that older assemblers do not know go by
// number.
//
// In the host tp is the number of the hart and sscratch is 0; while a guest runs sscratch is the address of its
// guest_registers (arch.hpp): x1 to x31 at 8 to 248, pc in the place of x0, the host's stack at 256.

#define MENVCFG 0x30a
#define HSTATUS 0x600

#define MOST_CPUS 4
#define STACK_BYTES 0x8000
#define CLINT_MSIP 0x2000000  // a word for each hart
#define HOST_FRAME 128        // ra, gp, tp, s0 to s11

  .section .start, "ax"
  .globl _start
_start:  // a0 is mhartid
  li t0, MOST_CPUS
  bgeu a0, t0, sleep
  mv tp, a0
  la sp, stacks
  addi t0, a0, 1
  li t1, STACK_BYTES
  mul t0, t0, t1
  add sp, sp, t0

  // For machine_trap: room for a register, and the word that rings this hart.
  la t0, machine_areas
  slli t1, a0, 4
  add t0, t0, t1
  csrw mscratch, t0
  li t1, CLINT_MSIP
  slli t2, a0, 2
  add t1, t1, t2
  sd t1, 8(t0)
  la t0, machine_trap
  csrw mtvec, t0

  bnez a0, 1f
  csrr t0, misa
  la t1, hart_isa
  sd t0, 0(t1)
1:
  // "Physical Memory Protection": one entry, NAPOT over everything, RWX.
  li t0, -1
  csrw pmpaddr0, t0
  li t0, 0x1f
  csrw pmpcfg0, t0
  // Every exception but the calls from HS and M goes to HS: misaligned to U call, VS call, page and guest-page faults,
  // virtual instruction; of the interrupts, the software interrupt of the supervisor.
  li t0, 0xf0b5ff
  csrw medeleg, t0
  li t0, 2
  csrw mideleg, t0
  li t0, 8  // MSIE
  csrw mie, t0
  li t0, 3 << 61  // PBMTE, ADUE
  csrw MENVCFG, t0
  li t0, -1
  csrw mcounteren, t0

  la t0, supervisor_trap
  csrw stvec, t0
  csrw sscratch, zero
  csrw satp, zero
  csrw sie, 2  // SSIE; sstatus.SIE stays clear: the host looks itself
  li t0, 1 << 11  // MPP = S, SIE and FS clear
  csrw mstatus, t0
  la t0, 1f
  csrw mepc, t0
  mret
1:
  bnez tp, 2f
  call boot
2:
  call idle
sleep:
  wfi
  j sleep

// "mtvec" and "stvec": the two low bits are the mode, 0 is direct.
  .balign 4
machine_trap:
  csrrw t0, mscratch, t0
  sd t1, 0(t0)
  csrr t1, mcause
  bgez t1, 1f
  ld t1, 8(t0)  // a machine software interrupt, which HS mode is to see as its own
  sw zero, 0(t1)
  csrsi mip, 2
  ld t1, 0(t0)
  csrrw t0, mscratch, t0
  mret
1:
  csrr a0, mcause
  csrr a1, mepc
  csrr a2, mtval
  tail host_trapped

  .balign 4
supervisor_trap:
  csrrw a0, sscratch, a0
  beqz a0, host_trap
  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  sd x\n, 8 * \n(a0)
  .endr
  csrrw t0, sscratch, zero
  sd t0, 8 * 10(a0)
  csrr t0, sepc
  sd t0, 0(a0)
  ld sp, 256(a0)
  ld ra, 0(sp)
  ld gp, 8(sp)
  ld tp, 16(sp)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ld s\n, 24 + 8 * \n(sp)
  .endr
  addi sp, sp, HOST_FRAME
  ret

// A trap out of the host is a defect, but for one: the load that asks whether a translation works.
host_trap:
  csrrw a0, sscratch, a0
  csrr t0, sepc
  la t1, asking_load
  bne t0, t1, 1f
  la t0, load_refused
  csrw sepc, t0
  sret
1:
  csrr a0, scause
  mv a1, t0
  csrr a2, stval
  tail host_trapped

  .text
// void enter_guest(guest_registers*): returns when a trap has come back to HS mode.
  .globl enter_guest
enter_guest:
  addi sp, sp, -HOST_FRAME
  sd ra, 0(sp)
  sd gp, 8(sp)
  sd tp, 16(sp)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  sd s\n, 24 + 8 * \n(sp)
  .endr
  sd sp, 256(a0)
  csrw sscratch, a0
  ld t0, 0(a0)
  csrw sepc, t0
  li t0, 0x180  // SPV, SPVP
  csrs HSTATUS, t0
  li t0, 0x100  // SPP
  csrs sstatus, t0
  fence.i  // another hart may have written the code that the guest is about to call
  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  ld x\n, 8 * \n(a0)
  .endr
  ld a0, 8 * 10(a0)
  sret

// bool guest_can_load(std::uint64_t address): by HLV.D, "Hypervisor Virtual-Machine Load and Store Instructions".
  .globl guest_can_load
guest_can_load:
asking_load:
  .insn r 0x73, 4, 0x36, a1, a0, x0
  li a0, 1
  ret
load_refused:
  li a0, 0
  ret

  .section .bss
  .balign 16
machine_areas:
  .zero 16 * MOST_CPUS
stacks:
  .zero STACK_BYTES * MOST_CPUS
