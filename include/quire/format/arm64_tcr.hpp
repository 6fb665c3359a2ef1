// SPDX-License-Identifier: MIT
// TCR_EL1, TCR_EL2, TTBR0, TTBR1 and MAIR for stage 1 tables: what the CPU must be told so that it reads them as the
// type writes them. The registers of EL2&0 (HCR_EL2.E2H) are laid out like those of EL1.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// TCR_EL1, TCR_EL2, TTBR0_EL1, TTBR1_EL1, MAIR_EL1.
//
//   TCR_EL1  59 DS | 40 HD | 39 HA | 36 AS | 34..32 IPS | 31 30 TG1 | 29 28 SH1 | 27 26 ORGN1 | 25 24 IRGN1 | 23 EPD1
//            21..16 T1SZ | 15 14 TG0 | 13 12 SH0 | 11 10 ORGN0 | 9 8 IRGN0 | 5..0 T0SZ
//   TCR_EL2  32 DS | 31 1 | 23 1 | 22 HD | 21 HA | 18..16 PS | 15..0 as TCR_EL1
//   TTBRn    63..48 ASID | 47..1 BADDR: root 47..6, and 51..48 in bits 5..2 if it has 52 bits | 0 CnP
#pragma once

#include <cstdint>  // uint16_t, uint64_t

#include <quire/address.hpp>                // table_address
#include <quire/format/arm64_features.hpp>  // cpu_features
#include <quire/format/arm64_stage1.hpp>    // stage1
#include <quire/format/arm64_vtcr.hpp>      // tg0_of, walk_attributes
#include <quire/result.hpp>                 // result

namespace quire::arm64 {

// Whether the CPU can read tables of this type. Errors: unsupported_attribute (it lacks the granule, 52 bits of output
// with it, or an option), beyond_input (52 bits of input without FEAT_LVA).
template <pte_format Stage1>
[[nodiscard]] constexpr result<void> runs_stage1(const cpu_features& cpu) noexcept {
  constexpr stage1_options options = Stage1::options;
  constexpr bool wide = options.output_bits == 52;
  const granule_support support = cpu.at_stage1(Stage1::granule_size);
  if (support == granule_support::none || (wide && support != granule_support::wide))
    return errc::unsupported_attribute;
  if ((options.hardware_accessed && !cpu.hardware_accessed) || (options.hardware_dirty && !cpu.hardware_dirty))
    return errc::unsupported_attribute;
  if (Stage1::half_bits > 48 && Stage1::granule_size == granule::k64 && !cpu.large_input) return errc::beyond_input;
  return {};
}

namespace detail {

// T0SZ, IRGN0, ORGN0 and SH0; those of TTBR1 are the same 16 bits higher.
template <class Stage1>
[[nodiscard]] constexpr std::uint64_t tcr_half(walk_attributes walks) noexcept {
  return static_cast<std::uint64_t>(64 - Stage1::half_bits) | std::uint64_t{walks.inner} << 8U |
         std::uint64_t{walks.outer} << 10U | std::uint64_t{walks.shareability} << 12U;
}
template <class Stage1>
[[nodiscard]] constexpr std::uint64_t output_code(const cpu_features& cpu) noexcept {
  constexpr int bits = Stage1::options.output_bits;
  return size_code(cpu.physical_bits < bits ? cpu.physical_bits : bits);
}
template <class Stage1>
inline constexpr bool has_ds = Stage1::options.output_bits == 52 && Stage1::granule_size != granule::k64;  // FEAT_LPA2

}  // namespace detail

// TCR_EL1. A table of the lower half alone leaves the upper one without translation (EPD1, over the same sizes): where
// TTBR1 has a table of another type, put its T1SZ, TG1 and EPD1 in.
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> tcr_el1(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  static_assert(Stage1::options.translates == regime::el1_0);
  if (const auto runs = runs_stage1<Stage1>(cpu); !runs) return runs.error();
  constexpr granule size = Stage1::granule_size;
  constexpr bool lower_alone = Stage1::options.input == halves::lower;
  constexpr std::uint64_t tg1 = size == granule::k16 ? 1 : size == granule::k4 ? 2 : 3;
  const std::uint64_t half = detail::tcr_half<Stage1>(walks);
  const std::uint64_t upper = half << 16U | tg1 << 30U | std::uint64_t{lower_alone} << 23U;
  return half | tg0_of(size) << 14U | upper | detail::output_code<Stage1>(cpu) << 32U |
         std::uint64_t{cpu.asid_bits == 16} << 36U | std::uint64_t{Stage1::options.hardware_accessed} << 39U |
         std::uint64_t{Stage1::options.hardware_dirty} << 40U | std::uint64_t{detail::has_ds<Stage1>} << 59U;
}

// TCR_EL2 where HCR_EL2.E2H is 0.
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> tcr_el2(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  static_assert(Stage1::options.translates == regime::el2);
  if (const auto runs = runs_stage1<Stage1>(cpu); !runs) return runs.error();
  return detail::tcr_half<Stage1>(walks) | tg0_of(Stage1::granule_size) << 14U |
         detail::output_code<Stage1>(cpu) << 16U | std::uint64_t{Stage1::options.hardware_accessed} << 21U |
         std::uint64_t{Stage1::options.hardware_dirty} << 22U | std::uint64_t{1} << 23U | std::uint64_t{1} << 31U |
         std::uint64_t{detail::has_ds<Stage1>} << 32U;
}

// TTBR0 and, with two halves, TTBR1 of a table whose root is at `root`. EL2 has no ASID: 0. Errors: unaligned or
// beyond_output (the root), unsupported_attribute (an ASID or a CnP that the CPU does not have).
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> ttbr0(const cpu_features& cpu, table_address root, std::uint16_t asid = 0,
                                                    bool common = false) noexcept {
  constexpr int bits = Stage1::options.output_bits;
  constexpr std::uint64_t low = (std::uint64_t{1} << 48U) - 1;
  if (!root.is_aligned(root_table_bytes<Stage1>)) return errc::unaligned;
  if (root.value >> (cpu.physical_bits < bits ? cpu.physical_bits : bits) != 0) return errc::beyond_output;
  const bool has_asid = Stage1::options.translates == regime::el1_0;
  if (asid >> (has_asid ? cpu.asid_bits : 0) != 0 || (common && !cpu.common_not_private))
    return errc::unsupported_attribute;
  return std::uint64_t{asid} << 48U | (root.value & low) | root.value >> 48U << 2U | std::uint64_t{common};
}
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> ttbr1(const cpu_features& cpu, table_address root, std::uint16_t asid = 0,
                                                    bool common = false) noexcept {
  static_assert(Stage1::options.input == halves::both, "only a table of both halves has an upper one");
  const auto lower = ttbr0<Stage1>(cpu, root, asid, common);
  if (!lower) return lower;
  return *lower + table_bytes<Stage1>(Stage1::shape.root_level) / 2;
}

// MAIR_ELx for the type's three indices, 0 elsewhere: write-back, allocating (0xff); non-cacheable (0x44);
// Device-nGnRE (0x04).
template <pte_format Stage1>
inline constexpr std::uint64_t mair =
    std::uint64_t{0xff} << (8U * Stage1::options.normal) | std::uint64_t{0x44} << (8U * Stage1::options.non_cacheable) |
    std::uint64_t{0x04} << (8U * Stage1::options.device);

}  // namespace quire::arm64
