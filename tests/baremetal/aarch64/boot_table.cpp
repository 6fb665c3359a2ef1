// SPDX-License-Identifier: MIT
// The host's own translation: the identity, built by the compiler.
//
// With it the host's memory is cacheable, as the tables of the guests are to their walkers; without it a CPU need not
// let exclusive loads and stores work at all.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// SCTLR_EL2. Addresses: QEMU, hw/arm/virt.c: devices in the first GiB, RAM in the second.
#include <quire/format/arm64_stage1.hpp>   // stage1
#include <quire/format/arm64_tcr.hpp>      // tcr_el2, ttbr0, mair
#include <quire/table/constant_table.hpp>  // constant_table

#include "cpu.hpp"

namespace bare {

namespace {

using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::arm64::regime;

// Not every CPU has hardware that sets the accessed flag.
using host_stage =
    quire::arm64::stage1<quire::arm64::granule::k4, 39,
                         quire::arm64::stage1_options{.translates = regime::el2, .hardware_accessed = false}>;
constexpr std::uint64_t gigabyte = std::uint64_t{1} << 30;

}  // namespace

[[gnu::section(".boot_table"), gnu::used]] constinit const auto boot_table =
    quire::constant_table<host_stage, 0x4008'0000, 0>([](auto& session) {
      const auto devices = session.map(input_range::sized(input_address{0}, gigabyte), output_address{0},
                                       {.allowed = quire::read_write, .memory = quire::memory_type::device});
      if (!devices) return devices;
      return session.map(input_range::sized(input_address{gigabyte}, gigabyte), output_address{gigabyte},
                         {.allowed = quire::all_access});
    });

void translate_host() noexcept {
  constexpr std::uint64_t reserved_ones = 0x30c5'0830, m = 1U << 0, c = 1U << 2, i = 1U << 12;
  const auto cpu = features();
  mair_el2::write(quire::arm64::mair<host_stage>);
  tcr_el2::write(*quire::arm64::tcr_el2<host_stage>(cpu));
  ttbr0_el2::write(*quire::arm64::ttbr0<host_stage>(cpu, boot_table.root()));
  isb();
  asm volatile("tlbi alle2\n dsb nsh\n isb" : : : "memory");
  sctlr_el2::write(reserved_ones | m | c | i);
  isb();
}

}  // namespace bare
