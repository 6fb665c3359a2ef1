// SPDX-License-Identifier: MIT
// VTCR_EL2 and VTTBR_EL2 for stage 2 tables: what the CPU must be told so that it reads them as the type writes them.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// VTCR_EL2, VTTBR_EL2; Tables D8-19, D8-29 and D8-38 (start levels); the pseudocode functions AArch64.S2InvalidSL and
// AArch64.S2MinTxSZ (what the physical address size forbids).
//
//   VTCR_EL2   33  | 32 | 31 | 22 | 21 | 19 | 18..16 | 15 14 | 13 12 | 11 10 | 9 8   | 7 6 | 5..0
//              SL2 | DS |  1 | HD | HA | VS | PS     | TG0   | SH0   | ORGN0 | IRGN0 | SL0 | T0SZ
//   VTTBR_EL2  63..48 VMID | 47..1 BADDR: root 47..6, and 51..48 in bits 5..2 if it has 52 bits | 0 CnP
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint16_t, uint64_t

#include <quire/address.hpp>                // table_address
#include <quire/format/arm64_features.hpp>  // cpu_features
#include <quire/format/arm64_stage2.hpp>    // stage2
#include <quire/result.hpp>                 // result

namespace quire::arm64 {

// How the hardware reads the tables; the default is what coherent memory of a normal system is.
struct walk_attributes {
  std::uint8_t inner = 1;         // IRGN0: 0 non-cacheable, 1 write-back, allocating, 2 write-through, 3 write-back
  std::uint8_t outer = 1;         // ORGN0, alike
  std::uint8_t shareability = 3;  // SH0: 0 none, 2 outer, 3 inner; with DS = 1 that of all the guest's memory, too
};

[[nodiscard]] constexpr std::uint64_t tg0_of(granule size) noexcept {
  return size == granule::k4 ? 0 : size == granule::k64 ? 1 : 2;
}

// VTCR_EL2 for tables of this type on such a CPU. Errors, each of a CPU that lacks something: unsupported_attribute
// (the granule, 52 bits with it, or one of the format's options); beyond_input (an IPA larger than a physical address:
// the manual leaves open what happens); unsupported_level (a start level that is reserved for larger physical
// addresses).
template <pte_format Stage2>
[[nodiscard]] constexpr result<std::uint64_t> vtcr(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  constexpr granule size = Stage2::granule_size;
  constexpr stage2_options options = Stage2::options;
  constexpr int ipa_bits = Stage2::shape.input_bits();
  constexpr int start = 4 - Stage2::shape.levels;  // in the manual's count
  constexpr bool wide = options.output_bits == 52;
  constexpr bool ds = wide && size != granule::k64;

  const granule_support support = cpu.at_stage2(size);
  if (support == granule_support::none || (wide && support != granule_support::wide))
    return errc::unsupported_attribute;
  if ((options.hardware_accessed && !cpu.hardware_accessed) || (options.hardware_dirty && !cpu.hardware_dirty) ||
      (options.execute_by_privilege && !cpu.execute_by_privilege) ||
      (options.forced_write_back && !cpu.forced_write_back))
    return errc::unsupported_attribute;
  if (ipa_bits > cpu.physical_bits) return errc::beyond_input;
  const int needed = size == granule::k4 && start == 0    ? 44
                     : size == granule::k16 && start == 1 ? 42
                     : size == granule::k64 && start == 1 ? 44
                                                          : 0;
  if (cpu.physical_bits < needed) return errc::unsupported_level;

  // SL0 counts up from the pages' level or, at 4 KiB, from the one before; what comes before 4 KiB's level 0 has SL2.
  constexpr std::uint64_t sl0 = start == -1 ? 0 : static_cast<std::uint64_t>((size == granule::k4 ? 2 : 3) - start);
  const int output = cpu.physical_bits < options.output_bits ? cpu.physical_bits : options.output_bits;
  return static_cast<std::uint64_t>(64 - ipa_bits) | sl0 << 6U | std::uint64_t{walks.inner} << 8U |
         std::uint64_t{walks.outer} << 10U | std::uint64_t{walks.shareability} << 12U | tg0_of(size) << 14U |
         std::uint64_t{size_code(output)} << 16U | std::uint64_t{cpu.vmid_bits == 16} << 19U |
         std::uint64_t{options.hardware_accessed} << 21U | std::uint64_t{options.hardware_dirty} << 22U |
         std::uint64_t{1} << 31U | std::uint64_t{ds} << 32U | std::uint64_t{start == -1} << 33U;
}

// VTTBR_EL2. `common`: the CPUs of an inner shareable domain that use this VMID all use this table (CnP). Errors:
// unaligned or beyond_output (the root), unsupported_attribute (a VMID or a CnP that the CPU does not have).
template <pte_format Stage2>
[[nodiscard]] constexpr result<std::uint64_t> vttbr(const cpu_features& cpu, table_address root, std::uint16_t vmid,
                                                    bool common = false) noexcept {
  constexpr int bits = Stage2::options.output_bits;
  if (!root.is_aligned(root_table_bytes<Stage2>)) return errc::unaligned;
  if (root.value >> (cpu.physical_bits < bits ? cpu.physical_bits : bits) != 0) return errc::beyond_output;
  if (vmid >> cpu.vmid_bits != 0 || (common && !cpu.common_not_private)) return errc::unsupported_attribute;
  constexpr std::uint64_t low = (std::uint64_t{1} << 48U) - 1;
  return std::uint64_t{vmid} << 48U | (root.value & low) | root.value >> 48U << 2U | std::uint64_t{common};
}

// The place of the first of these types, best first, that the CPU can run; the error of the last one if it is none.
template <pte_format... Stage2>
[[nodiscard]] constexpr result<std::size_t> first_stage2(const cpu_features& cpu) noexcept {
  errc said = errc::unsupported_attribute;
  std::size_t place = 0;
  const bool found = (... || [&] {
    said = vtcr<Stage2>(cpu).error().code;
    if (said != errc::none) ++place;
    return said == errc::none;
  }());
  if (!found) return said;
  return place;
}

// Calls use.operator()<Format>(), a lambda with one template parameter, for that type alone.
template <pte_format... Stage2, class Use>
constexpr result<void> with_first_stage2(const cpu_features& cpu, Use&& use) {
  const auto chosen = first_stage2<Stage2...>(cpu);
  if (!chosen) return chosen.error();
  std::size_t place = 0;
  static_cast<void>((... || (place++ == *chosen && (use.template operator()<Stage2>(), true))));
  return {};
}

}  // namespace quire::arm64
