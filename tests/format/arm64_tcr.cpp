// SPDX-License-Identifier: MIT
// TCR_EL1, TCR_EL2, TTBR0, TTBR1 and MAIR against values put together by hand.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), TCR_EL1, TCR_EL2, TTBR0_EL1, MAIR_EL1. 0x3500 is
// SH inner, ORGN and IRGN write-back, of either half.
#include <quire/format/arm64_tcr.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::cpu_features;
using arm64::el2_options;
using arm64::granule;
using arm64::granule_support;
using arm64::halves;
using arm64::regime;
using arm64::stage1;
using arm64::stage1_options;
using arm64::tcr_el1;
using arm64::tcr_el2;

constexpr cpu_features cpu_with(int physical_bits) {
  cpu_features cpu{.physical_bits = physical_bits, .asid_bits = 16};
  for (granule_support& each : cpu.stage1) each = physical_bits == 52 ? granule_support::wide : granule_support::narrow;
  cpu.hardware_accessed = cpu.hardware_dirty = cpu.large_input = cpu.common_not_private = true;
  return cpu;
}

using both_4k = stage1<granule::k4, 48, stage1_options{.input = halves::both}>;
using both_16k = stage1<granule::k16, 47, stage1_options{.input = halves::both}>;
using both_64k = stage1<granule::k64, 52, stage1_options{.input = halves::both, .output_bits = 52}>;
using process = stage1<granule::k4, 39>;
using el2 = stage1<granule::k4, 48, el2_options>;

}  // namespace

TEST_CASE("arm64 TCR_EL1") {
  // T0SZ and T1SZ 16, TG0 0, TG1 2, IPS 5, AS, HA.
  CHECK(*tcr_el1<both_4k>(cpu_with(48)) == 0x0000'0095'b510'3510);
  // T0SZ and T1SZ 25, EPD1.
  CHECK(*tcr_el1<process>(cpu_with(48)) == 0x0000'0095'b599'3519);
  // 16 KiB is TG0 2, TG1 1; 64 KiB TG0 1, TG1 3. IPS 6, and no DS at 64 KiB.
  CHECK(*tcr_el1<both_16k>(cpu_with(48)) == 0x0000'0095'7511'b511);
  CHECK(*tcr_el1<both_64k>(cpu_with(52)) == 0x0000'0096'f50c'750c);
  // HD; DS (bit 59).
  using lpa2 = stage1<granule::k4, 52, stage1_options{.hardware_dirty = true, .output_bits = 52}>;
  CHECK(*tcr_el1<lpa2>(cpu_with(52)) == 0x0800'0196'b58c'350c);
  cpu_features few = cpu_with(40);
  few.asid_bits = 8;
  CHECK(*tcr_el1<process>(few) == 0x0000'0082'b599'3519);
}

TEST_CASE("arm64 TCR_EL2") {
  // Bits 31 and 23, HA, PS 5, T0SZ 16.
  CHECK(*tcr_el2<el2>(cpu_with(48)) == 0x80a5'3510);
  using lpa2 =
      stage1<granule::k16, 52, stage1_options{.translates = regime::el2, .hardware_dirty = true, .output_bits = 52}>;
  CHECK(*tcr_el2<lpa2>(cpu_with(52)) == 0x1'80e6'b50c);
}

TEST_CASE("arm64 TCR: what the CPU lacks is named") {
  cpu_features cpu = cpu_with(48);
  CHECK(tcr_el1<both_64k>(cpu).error().code == errc::unsupported_attribute);
  cpu.stage1[0] = granule_support::none;
  CHECK(tcr_el2<el2>(cpu).error().code == errc::unsupported_attribute);
  cpu = cpu_with(48);
  cpu.hardware_accessed = false;
  CHECK(tcr_el2<el2>(cpu).error().code == errc::unsupported_attribute);
  cpu = cpu_with(52);
  cpu.large_input = false;
  CHECK(tcr_el1<both_64k>(cpu).error().code == errc::beyond_input);
}

TEST_CASE("arm64 TTBR0 and TTBR1") {
  const cpu_features cpu = cpu_with(48);
  CHECK(*arm64::ttbr0<both_4k>(cpu, table_address{0x8000'2000}, 0x1234) == 0x1234'0000'8000'2000);
  CHECK(*arm64::ttbr1<both_4k>(cpu, table_address{0x8000'2000}, 0x1234, true) == 0x1234'0000'8000'3001);
  // Address bits 51:48 in bits 5:2; the halves of a root of 2 x 1024 entries are 8 KiB apart.
  const cpu_features large = cpu_with(52);
  CHECK(*arm64::ttbr0<both_64k>(large, table_address{0xa'8000'0021'0000}) == 0x0000'8000'0021'0028);
  CHECK(*arm64::ttbr1<both_64k>(large, table_address{0xa'8000'0021'0000}) == 0x0000'8000'0021'2028);
  CHECK(arm64::ttbr0<both_4k>(cpu, table_address{0x8000'1000}).error().code == errc::unaligned);
  CHECK(arm64::ttbr0<el2>(cpu, table_address{0x1'0000'0000'0000}).error().code == errc::beyond_output);
  CHECK(arm64::ttbr0<el2>(cpu, table_address{0x1000}, 1).error().code == errc::unsupported_attribute);
  CHECK(arm64::ttbr0<el2>(cpu, table_address{0x1000}).has_value());
}

TEST_CASE("arm64 MAIR") {
  CHECK(arm64::mair<process> == 0x04'44ff);
  using linux_like = stage1<granule::k4, 48, stage1_options{.non_cacheable = 2, .device = 4}>;
  CHECK(arm64::mair<linux_like> == 0x04'0044'00ff);
}
