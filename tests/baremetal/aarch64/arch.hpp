// SPDX-License-Identifier: MIT
// The arm64 machine: a guest at EL1 behind stage 2, the host at EL2 (HCR_EL2.E2H = 0) with the identity for its own
// translation.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487).
#pragma once

#include <cstdint>  // uint16_t, uint64_t

#include <quire/address.hpp>              // table_address
#include <quire/format/arm64_stage2.hpp>  // stage2
#include <quire/format/arm64_tlbi.hpp>    // tlbi_options
#include <quire/format/arm64_vtcr.hpp>    // vtcr, vttbr

#include "cpu.hpp"
#include "formats.hpp"
#include "guest_tlb.hpp"
#include "machine.hpp"
#include "translates.hpp"
#include "vcpu.hpp"

namespace bare {

template <class F>
struct second_stage;

template <quire::arm64::granule Granule, int IpaBits, quire::arm64::stage2_options Options>
struct second_stage<quire::arm64::stage2<Granule, IpaBits, Options>> {
  static_assert(!Options.forced_write_back, "hcr_for() does not know HCR_EL2.FWB");
  using format = quire::arm64::stage2<Granule, IpaBits, Options>;
  static constexpr bool ds = Options.output_bits == 52 && Granule != quire::arm64::granule::k64;

  using invalidation = guest_invalidation<Granule, quire::arm64::tlbi_options{.lpa2 = ds}>;
  // For a CPU that has FEAT_TTL and FEAT_TLBIRANGE: has_range_invalidation().
  using range_invalidation =
      guest_invalidation<Granule, quire::arm64::tlbi_options{.level_hints = true, .ranges = true, .lpa2 = ds}>;

  [[nodiscard]] static const char* obstacle() noexcept {
    switch (quire::arm64::vtcr<format>(features()).error().code) {
      case quire::errc::none: break;
      case quire::errc::beyond_input: return "the CPU's physical addresses are smaller than the guest's";
      case quire::errc::unsupported_level: return "the CPU's physical addresses are too small for the start level";
      default: return "the CPU lacks the granule, 52 bits of address or the hardware's updates";
    }
    if (!translates<format>()) return "the CPU says that it can walk the tables, but it does not";
    return nullptr;
  }
  static void use(quire::table_address root, unsigned id) noexcept {
    vtcr_el2::write(*quire::arm64::vtcr<format>(features()));
    walk(*quire::arm64::vttbr<format>(features(), root, static_cast<std::uint16_t>(id)));
  }
};

[[nodiscard]] inline bool has_range_invalidation() noexcept {
  return features().level_hints && (id_aa64isar0_el1::read() >> 56U & 0xfU) >= 2;
}

void write_function(void* at, unsigned number) noexcept;
void publish_code(std::uint64_t at, std::uint64_t bytes) noexcept;  // what was written there may be executed

}  // namespace bare
