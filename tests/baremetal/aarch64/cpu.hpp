// SPDX-License-Identifier: MIT
// A CPU of the machine: what it has, and how its own part is set up.
#pragma once

#include <quire/format/arm64_features.hpp>  // cpu_features

#include "registers.hpp"

namespace bare {

// All CPUs of the machine are alike.
[[nodiscard]] inline quire::arm64::cpu_features features() noexcept {
  return quire::arm64::features_of(id_aa64mmfr0_el1::read(), id_aa64mmfr1_el1::read(), id_aa64mmfr2_el1::read());
}

void translate_host() noexcept;  // boot_table.cpp: from here on the host's memory is cacheable
void count_instructions() noexcept;
void hear_interrupts() noexcept;                     // cpus.cpp
void take_interrupt() noexcept;                      // the one that waits; it was only there to wake this CPU
[[nodiscard]] bool is_guest_interrupted() noexcept;  // on this CPU, by interrupt_guest(); says so once
void start_other_cpus() noexcept;                    // CPU 0 calls it
[[noreturn]] void idle() noexcept;

}  // namespace bare
