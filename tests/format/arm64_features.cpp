// SPDX-License-Identifier: MIT
// Identification registers of arm64, put together by hand, and what is read from them.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1,
// ID_AA64MMFR2_EL1.
#include <quire/format/arm64_features.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::cpu_features;
using arm64::features_of;
using arm64::granule;
using arm64::granule_support;

}  // namespace

TEST_CASE("arm64 features: a CPU of Armv8.0") {
  // PARange 2 (40 bits), ASIDBits 2, TGran4 and TGran64 0 (supported), TGran16 0 (not), stage 2 alike.
  const cpu_features cpu = features_of(0x22, 0, 0);
  CHECK(cpu.physical_bits == 40);
  CHECK(cpu.asid_bits == 16);
  CHECK(cpu.vmid_bits == 8);
  CHECK(cpu.at_stage1(granule::k4) == granule_support::narrow);
  CHECK(cpu.at_stage1(granule::k16) == granule_support::none);
  CHECK(cpu.at_stage2(granule::k64) == granule_support::narrow);
  CHECK_FALSE(cpu.hardware_accessed);
  CHECK_FALSE(cpu.forced_write_back);
  CHECK(cpu.bbm_level == 0);
}

TEST_CASE("arm64 features: physical address sizes") {
  constexpr int expected[] = {32, 36, 40, 42, 44, 48, 52, 52};
  for (std::uint64_t range = 0; range < 8; ++range) {
    CHECK(features_of(range, 0, 0).physical_bits == expected[range]);
    CHECK(arm64::size_code(expected[range]) == (range < 7 ? range : 6));
  }
}

TEST_CASE("arm64 features: granules, by stage") {
  // 52 bits of address everywhere: PARange 6, TGran4 1, TGran16 2, TGran4_2 3, TGran16_2 3, TGran64_2 2.
  const cpu_features all = features_of(0x0000'0323'1020'0026, 0, 0);
  for (const granule size : {granule::k4, granule::k16, granule::k64}) {
    CHECK(all.at_stage1(size) == granule_support::wide);
    CHECK(all.at_stage2(size) == granule_support::wide);
  }
  // No 4 KiB at all (0xf), 16 KiB only at stage 1 (TGran16 1, TGran16_2 1), 64 KiB only at stage 2 (0xf, 2).
  const cpu_features some = features_of(0x0000'0021'ff10'0005, 0, 0);
  CHECK(some.at_stage1(granule::k4) == granule_support::none);
  CHECK(some.at_stage2(granule::k4) == granule_support::none);
  CHECK(some.at_stage1(granule::k16) == granule_support::narrow);
  CHECK(some.at_stage2(granule::k16) == granule_support::none);
  CHECK(some.at_stage1(granule::k64) == granule_support::none);
  CHECK(some.at_stage2(granule::k64) == granule_support::narrow);
  // _2 of 2 is without 52 bits though stage 1 has them; 64 KiB has them with PARange.
  const cpu_features narrow = features_of(0x0000'0222'1020'0006, 0, 0);
  CHECK(narrow.at_stage1(granule::k4) == granule_support::wide);
  CHECK(narrow.at_stage2(granule::k4) == granule_support::narrow);
  CHECK(narrow.at_stage2(granule::k16) == granule_support::narrow);
  CHECK(narrow.at_stage2(granule::k64) == granule_support::wide);
}

TEST_CASE("arm64 features: the rest") {
  // HAFDBS 2, VMIDBits 2, XNX 1; BBM 2, TTL 1, FWB 1, ST 1, VARange 1, CnP 1.
  const cpu_features cpu = features_of(0, 0x1000'0022, 0x0021'0100'1001'0001);
  CHECK(cpu.hardware_accessed);
  CHECK(cpu.hardware_dirty);
  CHECK(cpu.vmid_bits == 16);
  CHECK(cpu.execute_by_privilege);
  CHECK(cpu.forced_write_back);
  CHECK(cpu.level_hints);
  CHECK(cpu.small_tables);
  CHECK(cpu.large_input);
  CHECK(cpu.common_not_private);
  CHECK(cpu.bbm_level == 2);
  CHECK(features_of(0, 1, 0).hardware_accessed);
  CHECK_FALSE(features_of(0, 1, 0).hardware_dirty);
}
