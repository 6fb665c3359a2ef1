// SPDX-License-Identifier: MIT
// VTCR_EL2 and VTTBR_EL2 against values put together by hand.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), VTCR_EL2 and VTTBR_EL2. Every value has bit 31
// and 0x3500: SH0 inner, ORGN0 and IRGN0 write-back.
#include <quire/format/arm64_vtcr.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::cpu_features;
using arm64::granule_support;
using arm64::stage2_16k;
using arm64::stage2_4k;
using arm64::stage2_64k;
using arm64::stage2_options;
using arm64::vtcr;
using arm64::vttbr;

constexpr cpu_features cpu_with(int physical_bits) {
  cpu_features cpu{.physical_bits = physical_bits, .vmid_bits = 16};
  for (granule_support& each : cpu.stage2) each = physical_bits == 52 ? granule_support::wide : granule_support::narrow;
  cpu.hardware_accessed = cpu.hardware_dirty = cpu.execute_by_privilege = cpu.forced_write_back = true;
  cpu.common_not_private = true;
  return cpu;
}

constexpr stage2_options soft{.hardware_accessed = false};
constexpr stage2_options wide{.output_bits = 52};

template <class Format>
errc refusal(const cpu_features& cpu) {
  return vtcr<Format>(cpu).error().code;
}

}  // namespace

TEST_CASE("arm64 VTCR_EL2: every field") {
  // The value of many a hypervisor with 40 bits: PS 2, SL0 1, T0SZ 24; VS 0.
  cpu_features old = cpu_with(40);
  old.vmid_bits = 8;
  CHECK(*vtcr<stage2_4k<40, soft>>(old) == 0x8002'3558);
  CHECK(*vtcr<stage2_4k<40>>(old) == 0x8022'3558);  // HA
  // 48 bits, PS 5, VS, HA, HD, SL0 2, T0SZ 16.
  CHECK(*vtcr<stage2_4k<48, stage2_options{.hardware_dirty = true}>>(cpu_with(48)) == 0x806d'3590);
  // Level 2 with four tables: SL0 0, T0SZ 32.
  CHECK(*vtcr<stage2_4k<32>>(cpu_with(48)) == 0x802d'3520);
  // TG0 2 is 16 KiB, TG0 1 is 64 KiB; SL0 1 is level 2 for both, SL0 2 level 1.
  CHECK(*vtcr<stage2_16k<40>>(cpu_with(48)) == 0x802d'b558);
  CHECK(*vtcr<stage2_16k<47>>(cpu_with(48)) == 0x802d'b591);
  CHECK(*vtcr<stage2_64k<42>>(cpu_with(48)) == 0x802d'7556);
  CHECK(*vtcr<stage2_64k<48>>(cpu_with(48)) == 0x802d'7590);
  // Pages alone, level 3: SL0 0.
  CHECK(*vtcr<stage2_64k<33, stage2_options{.levels = 1}>>(cpu_with(48)) == 0x802d'751f);
  // Walks that are not cacheable and outer shareable.
  CHECK(*vtcr<stage2_4k<40>>(old, {.inner = 0, .outer = 0, .shareability = 2}) == 0x8022'2058);
}

TEST_CASE("arm64 VTCR_EL2: 52 bits") {
  const cpu_features cpu = cpu_with(52);
  // DS (bit 32) at 4 and 16 KiB. From level 0 with 16 tables, from level -1 (SL2, bit 33; SL0 0) with one.
  CHECK(*vtcr<stage2_4k<52, wide>>(cpu) == 0x1'802e'358c);
  CHECK(*vtcr<stage2_4k<52, stage2_options{.output_bits = 52, .levels = 5}>>(cpu) == 0x3'802e'350c);
  CHECK(*vtcr<stage2_16k<52, wide>>(cpu) == 0x1'802e'b5cc);  // level 0 is SL0 3
  CHECK(*vtcr<stage2_64k<52, wide>>(cpu) == 0x802e'758c);    // no DS
  // A type of 48 bits on such a CPU: PS 5.
  CHECK(*vtcr<stage2_64k<48>>(cpu) == 0x802d'7590);
  // A type of 52 bits on a CPU with fewer, but with the descriptors: PS 5, DS.
  cpu_features smaller = cpu_with(48);
  smaller.stage2[0] = granule_support::wide;
  CHECK(*vtcr<stage2_4k<48, wide>>(smaller) == 0x1'802d'3590);
}

TEST_CASE("arm64 VTCR_EL2: what the CPU lacks is named") {
  CHECK(refusal<stage2_4k<48>>(cpu_with(44)) == errc::beyond_input);
  CHECK(refusal<stage2_4k<40>>(cpu_with(36)) == errc::beyond_input);
  // Level 0 at 4 KiB takes 44 bits of physical address, level 1 at 16 KiB 42, level 1 at 64 KiB 44.
  using four_levels = stage2_4k<40, stage2_options{.levels = 4}>;
  CHECK(refusal<four_levels>(cpu_with(42)) == errc::unsupported_level);
  CHECK(refusal<four_levels>(cpu_with(44)) == errc::none);
  using three_16k = stage2_16k<40, stage2_options{.levels = 3}>;
  CHECK(refusal<three_16k>(cpu_with(40)) == errc::unsupported_level);
  CHECK(refusal<three_16k>(cpu_with(42)) == errc::none);
  using three_64k = stage2_64k<43, stage2_options{.levels = 3}>;
  CHECK(refusal<stage2_64k<42>>(cpu_with(42)) == errc::none);
  CHECK(refusal<three_64k>(cpu_with(44)) == errc::none);
  cpu_features odd = cpu_with(44);
  odd.physical_bits = 43;
  CHECK(refusal<three_64k>(odd) == errc::unsupported_level);

  cpu_features cpu = cpu_with(48);
  cpu.stage2[1] = granule_support::none;
  CHECK(refusal<stage2_16k<40>>(cpu) == errc::unsupported_attribute);
  CHECK(refusal<stage2_4k<48, wide>>(cpu) == errc::unsupported_attribute);  // no LPA2
  cpu.hardware_dirty = cpu.execute_by_privilege = cpu.forced_write_back = false;
  CHECK(refusal<stage2_4k<40>>(cpu) == errc::none);
  CHECK(refusal<stage2_4k<40, stage2_options{.hardware_dirty = true}>>(cpu) == errc::unsupported_attribute);
  CHECK(refusal<stage2_4k<40, stage2_options{.execute_by_privilege = true}>>(cpu) == errc::unsupported_attribute);
  CHECK(refusal<stage2_4k<40, stage2_options{.forced_write_back = true}>>(cpu) == errc::unsupported_attribute);
  cpu.hardware_accessed = false;
  CHECK(refusal<stage2_4k<40>>(cpu) == errc::unsupported_attribute);
  CHECK(refusal<stage2_4k<40, soft>>(cpu) == errc::none);
}

TEST_CASE("arm64 VTTBR_EL2") {
  const cpu_features cpu = cpu_with(48);
  CHECK(*vttbr<stage2_4k<48>>(cpu, table_address{0x8000'1000}, 0x1234) == 0x1234'0000'8000'1000);
  CHECK(*vttbr<stage2_4k<48>>(cpu, table_address{0x8000'1000}, 0xff, true) == 0x00ff'0000'8000'1001);
  // Address bits 51:48 in bits 5:2.
  CHECK(*vttbr<stage2_64k<52, wide>>(cpu_with(52), table_address{0xa'8000'0021'0000}, 1) == 0x0001'8000'0021'0028);
  // A root of two tables is aligned to both.
  CHECK(vttbr<stage2_4k<40>>(cpu, table_address{0x8000'1000}, 1).error().code == errc::unaligned);
  CHECK(vttbr<stage2_4k<48>>(cpu, table_address{0x1'0000'0000'0000}, 1).error().code == errc::beyond_output);
  CHECK(vttbr<stage2_4k<40>>(cpu_with(40), table_address{0x100'0000'0000}, 1).error().code == errc::beyond_output);
  cpu_features old = cpu;
  old.vmid_bits = 8;
  old.common_not_private = false;
  CHECK(vttbr<stage2_4k<48>>(old, table_address{0}, 0x100).error().code == errc::unsupported_attribute);
  CHECK(vttbr<stage2_4k<48>>(old, table_address{0}, 0xff).has_value());
  CHECK(vttbr<stage2_4k<48>>(old, table_address{0}, 1, true).error().code == errc::unsupported_attribute);
}

TEST_CASE("arm64 stage 2: the best type that a CPU can run") {
  using best = stage2_4k<48, stage2_options{.forced_write_back = true, .hardware_dirty = true}>;
  using middle = stage2_4k<48>;
  using least = stage2_4k<40, soft>;
  const auto place = [](const cpu_features& cpu) { return arm64::first_stage2<best, middle, least>(cpu); };
  const auto bits_used = [](const cpu_features& cpu) {
    int bits = 0;
    const auto said = arm64::with_first_stage2<best, middle, least>(
        cpu, [&]<class Format>() { bits = bits * 100 + Format::shape.input_bits(); });
    CHECK(said.has_value());
    return bits;
  };
  cpu_features cpu = cpu_with(48);
  CHECK(*place(cpu) == 0);
  cpu.hardware_dirty = false;
  CHECK(*place(cpu) == 1);
  CHECK(bits_used(cpu) == 48);
  cpu.physical_bits = 44;
  CHECK(*place(cpu) == 2);
  CHECK(bits_used(cpu) == 40);
  cpu.physical_bits = 36;
  CHECK(place(cpu).error().code == errc::beyond_input);
  CHECK_FALSE(arm64::with_first_stage2<best>(cpu, []<class>() { FAIL(); }).has_value());
}
