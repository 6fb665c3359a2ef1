// SPDX-License-Identifier: MIT
// Two boot tables, finished by the compiler, in sections of their own. A kernel's linker script puts each where its
// type says it lies:
//
//   .boot_tables.riscv 0x80200000 : { KEEP(*(.boot_tables.riscv)) }
//
// and the first instructions need no more than that address for hgatp or VTTBR.
#include "tables.hpp"

[[gnu::section(".boot_tables.riscv")]] constinit const riscv_tables boot_tables_riscv =
    quire::constant_table<quire::riscv::sv39x4, 0x8020'0000, 4>(boot_map{});

[[gnu::section(".boot_tables.arm64")]] constinit const arm64_tables boot_tables_arm64 =
    quire::constant_table<quire::arm64::stage2_4k<40>, 0x8020'8000, 4>(boot_map{});

// They can be asked before they are ever used.
static_assert(quire::constant_table<quire::riscv::sv39x4, 0x8020'0000, 4>(boot_map{})
                  .lookup(quire::input_address{boot_map::ram + 0x1234})
                  ->attrs.allowed == quire::read_execute);
