// SPDX-License-Identifier: MIT
// System registers: vttbr_el2::read(), vttbr_el2::write(value). What comes next sees a write after an isb.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers", and
// "Performance Monitors registers"; of the interrupt controller, GIC architecture specification (IHI 0069), chapter 12
// "Programmers' Model".
#pragma once

#include <cstdint>  // uint64_t

namespace bare {

// The name is part of the instruction: no function can have it as an argument.
#define QUIRE_BARE_REGISTER(name)                                                                                    \
  struct name {                                                                                                      \
    [[nodiscard]] static std::uint64_t read() noexcept {                                                             \
      std::uint64_t value;                                                                                           \
      asm volatile("mrs %0, " #name : "=r"(value) : : "memory");                                                     \
      return value;                                                                                                  \
    }                                                                                                                \
    static void write(std::uint64_t value) noexcept { asm volatile("msr " #name ", %0" : : "r"(value) : "memory"); } \
  };

QUIRE_BARE_REGISTER(id_aa64mmfr0_el1)
QUIRE_BARE_REGISTER(id_aa64mmfr1_el1)
QUIRE_BARE_REGISTER(id_aa64mmfr2_el1)
QUIRE_BARE_REGISTER(id_aa64isar0_el1)
QUIRE_BARE_REGISTER(ctr_el0)
QUIRE_BARE_REGISTER(tpidr_el2)

QUIRE_BARE_REGISTER(hcr_el2)
QUIRE_BARE_REGISTER(vtcr_el2)
QUIRE_BARE_REGISTER(vttbr_el2)
QUIRE_BARE_REGISTER(esr_el2)
QUIRE_BARE_REGISTER(far_el2)
QUIRE_BARE_REGISTER(hpfar_el2)
QUIRE_BARE_REGISTER(par_el1)

QUIRE_BARE_REGISTER(sctlr_el1)
QUIRE_BARE_REGISTER(tcr_el1)
QUIRE_BARE_REGISTER(ttbr0_el1)
QUIRE_BARE_REGISTER(mair_el1)
QUIRE_BARE_REGISTER(vbar_el1)
QUIRE_BARE_REGISTER(esr_el1)

QUIRE_BARE_REGISTER(sctlr_el2)
QUIRE_BARE_REGISTER(tcr_el2)
QUIRE_BARE_REGISTER(ttbr0_el2)
QUIRE_BARE_REGISTER(mair_el2)

QUIRE_BARE_REGISTER(pmcr_el0)
QUIRE_BARE_REGISTER(pmcntenset_el0)
QUIRE_BARE_REGISTER(pmccfiltr_el0)
QUIRE_BARE_REGISTER(pmccntr_el0)

QUIRE_BARE_REGISTER(icc_sre_el2)
QUIRE_BARE_REGISTER(icc_pmr_el1)
QUIRE_BARE_REGISTER(icc_igrpen1_el1)
QUIRE_BARE_REGISTER(icc_iar1_el1)
QUIRE_BARE_REGISTER(icc_eoir1_el1)
QUIRE_BARE_REGISTER(icc_sgi1r_el1)

#undef QUIRE_BARE_REGISTER

inline void isb() noexcept { asm volatile("isb" : : : "memory"); }

}  // namespace bare
