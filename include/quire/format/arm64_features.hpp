// SPDX-License-Identifier: MIT
// What an arm64 CPU has of what the formats can ask for, read from its identification registers.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1.
//
//   MMFR0 | 43..40 TGran4_2 | 39..36 TGran64_2 | 35..32 TGran16_2 | 31..28 TGran4 | 27..24 TGran64 | 23..20 TGran16
//         | 7..4 ASIDBits | 3..0 PARange
//   MMFR1 | 31..28 XNX | 7..4 VMIDBits | 3..0 HAFDBS
//   MMFR2 | 55..52 BBM | 51..48 TTL | 43..40 FWB | 31..28 ST | 19..16 VARange | 3..0 CnP
//
// The CPUs of a system may differ: ask all of them and use what every one has.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/arm64_granule.hpp>  // granule

namespace quire::arm64 {

// How well a translation stage supports a granule. `wide`: with 52 bits of output address as well (FEAT_LPA2, TCR.DS).
enum class granule_support : std::uint8_t { none, narrow, wide };

struct cpu_features {
  int physical_bits = 32;  // "PAMax": of a physical address, as far as 64-bit descriptors go
  int asid_bits = 8;
  int vmid_bits = 8;
  granule_support stage1[3]{};  // by granule
  granule_support stage2[3]{};
  bool hardware_accessed = false;     // FEAT_HAFDBS
  bool hardware_dirty = false;        // the dirty state, too
  bool execute_by_privilege = false;  // FEAT_XNX
  bool forced_write_back = false;     // FEAT_S2FWB
  bool level_hints = false;           // FEAT_TTL
  bool small_tables = false;          // FEAT_TTST
  bool large_input = false;           // FEAT_LVA: 52 bits of stage 1 input at 64 KiB
  bool common_not_private = false;    // FEAT_TTCNP
  int bbm_level = 0;                  // FEAT_BBM: 0, 1 or 2

  [[nodiscard]] constexpr granule_support at_stage1(granule size) const noexcept {
    return stage1[static_cast<int>(size)];
  }
  [[nodiscard]] constexpr granule_support at_stage2(granule size) const noexcept {
    return stage2[static_cast<int>(size)];
  }

  friend constexpr bool operator==(const cpu_features&, const cpu_features&) noexcept = default;
};

namespace detail {

[[nodiscard]] constexpr unsigned id_field(std::uint64_t value, int low) noexcept {
  return static_cast<unsigned>(value >> low) & 0xfU;
}
// TGran4 counts from "supported" (0), 0xf is none; TGran16 from none (0). TGran64 has no second value: whether its
// descriptors hold 52 bits follows from PARange (FEAT_LPA).
[[nodiscard]] constexpr granule_support support_of(unsigned field, granule size, bool lpa) noexcept {
  const unsigned steps = size == granule::k16 ? field : field == 0xfU ? 0 : field + 1;
  const bool more = size == granule::k64 ? lpa : steps >= 2;
  return steps == 0 ? granule_support::none : more ? granule_support::wide : granule_support::narrow;
}
// The _2 fields: 0 says "as at stage 1", 1 none, 2 supported, 3 with 52 bits.
[[nodiscard]] constexpr granule_support support_at_stage2(unsigned field, granule size, granule_support stage1,
                                                          bool lpa) noexcept {
  if (field == 0) return stage1;
  const bool more = size == granule::k64 ? lpa : field >= 3;
  return field < 2 ? granule_support::none : more ? granule_support::wide : granule_support::narrow;
}

}  // namespace detail

// The code of a size of physical addresses in PARange, VTCR_EL2.PS, TCR_EL2.PS and TCR_EL1.IPS.
[[nodiscard]] constexpr unsigned size_code(int bits) noexcept {
  return bits >= 52 ? 6 : bits >= 48 ? 5 : bits >= 44 ? 4 : bits >= 42 ? 3 : bits >= 40 ? 2 : bits >= 36 ? 1 : 0;
}

// Reads ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1 and ID_AA64MMFR2_EL1.
[[nodiscard]] constexpr cpu_features features_of(std::uint64_t mmfr0, std::uint64_t mmfr1,
                                                 std::uint64_t mmfr2) noexcept {
  using detail::id_field;
  constexpr int sizes[] = {32, 36, 40, 42, 44, 48, 52, 52};  // 56 bits take 128-bit descriptors (FEAT_D128)
  constexpr int fields[] = {28, 20, 24}, fields_2[] = {40, 32, 36};
  const unsigned range = id_field(mmfr0, 0);
  cpu_features cpu{};
  cpu.physical_bits = sizes[range < 7 ? range : 7];
  cpu.asid_bits = id_field(mmfr0, 4) == 2 ? 16 : 8;
  cpu.vmid_bits = id_field(mmfr1, 4) == 2 ? 16 : 8;
  const bool lpa = cpu.physical_bits == 52;
  for (int i = 0; i < 3; ++i) {
    const auto size = static_cast<granule>(i);
    cpu.stage1[i] = detail::support_of(id_field(mmfr0, fields[i]), size, lpa);
    cpu.stage2[i] = detail::support_at_stage2(id_field(mmfr0, fields_2[i]), size, cpu.stage1[i], lpa);
  }
  cpu.hardware_accessed = id_field(mmfr1, 0) >= 1;
  cpu.hardware_dirty = id_field(mmfr1, 0) >= 2;
  cpu.execute_by_privilege = id_field(mmfr1, 28) != 0;
  cpu.forced_write_back = id_field(mmfr2, 40) != 0;
  cpu.level_hints = id_field(mmfr2, 48) != 0;
  cpu.small_tables = id_field(mmfr2, 28) != 0;
  cpu.large_input = id_field(mmfr2, 16) != 0;
  cpu.common_not_private = id_field(mmfr2, 0) != 0;
  cpu.bbm_level = static_cast<int>(id_field(mmfr2, 52));
  return cpu;
}

}  // namespace quire::arm64
