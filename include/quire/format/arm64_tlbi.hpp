// SPDX-License-Identifier: MIT
// arm64 stage 2 invalidation: the operands of TLBI instructions, and an invalidation policy that issues them.
//
// Source: Arm Architecture Reference Manual for A-profile, "A64 System instructions for TLB maintenance": TLBI
// IPAS2E1IS and RIPAS2E1IS with their L (last level) and local forms; "TLB maintenance instructions", range and level
// hints.
//
//   by IPA     47..44 TTL: granule, level                           | 39..0 IPA[51:12]
//   by range   47 46 TG | 45 44 SCALE | 43..39 NUM | 38 37 TTL: level | 36..0 BaseADDR
//
// All other bits are 0 (bit 63 is NS for a hypervisor in Secure state, which this one is not). A range has (NUM + 1) <<
// (5 * SCALE + 1) pages, 2 to 2^21, from BaseADDR on: IPA[48:12], [50:14] or [52:16] by granule, and [52:16] for every
// granule where VTCR_EL2.DS is 1, so that its first page lies at a multiple of 64 KiB. A hint that does not fit
// (another granule or level, a base that is not aligned to the level's leaves) lets the caches keep everything: so only
// a request for leaves of one known level carries one.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/arm64_stage2.hpp>   // granule, numbers_of
#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::arm64 {

struct tlbi_options {
  bool level_hints = false;         // ID_AA64MMFR2_EL1.TTL: FEAT_TTL
  bool ranges = false;              // ID_AA64ISAR0_EL1.TLB >= 2: FEAT_TLBIRANGE
  bool lpa2 = false;                // VTCR_EL2.DS = 1: FEAT_LPA2
  unsigned most_instructions = 64;  // for one request; beyond them the whole VMID is invalidated
};

// TG, and the upper half of the by-IPA TTL.
[[nodiscard]] constexpr std::uint64_t granule_field(granule size) noexcept {
  return size == granule::k4 ? 1 : size == granule::k16 ? 2 : 3;
}

// The four TTL bits that name leaves of `level` (ours: 0 = pages); 0, no hint, where the granule has no such leaves.
[[nodiscard]] constexpr std::uint64_t level_hint(granule size, int level, bool lpa2 = false) noexcept {
  const int highest = size == granule::k4 && lpa2 ? 3 : size == granule::k16 && !lpa2 ? 1 : 2;
  return level < 0 || level > highest ? 0 : granule_field(size) << 2U | static_cast<std::uint64_t>(3 - level);
}

// Requires: an IPA below 2^52, a multiple of the page; `hint` from level_hint().
[[nodiscard]] constexpr std::uint64_t ipa_operand(input_address ipa, std::uint64_t hint = 0) noexcept {
  return hint << 44U | ipa.value >> 12U;
}
// Requires: scale 0 to 3, num 0 to 31; a base that BaseADDR can hold and that is a multiple of the hinted leaf.
[[nodiscard]] constexpr std::uint64_t ipa_range_operand(granule size, input_address base, unsigned scale, unsigned num,
                                                        std::uint64_t hint = 0, bool lpa2 = false) noexcept {
  const int shift = lpa2 ? 16 : numbers_of(size).page_bits;
  return granule_field(size) << 46U | std::uint64_t{scale} << 44U | std::uint64_t{num} << 39U | (hint & 3U) << 37U |
         base.value >> shift;
}
[[nodiscard]] constexpr std::uint64_t pages_of_range(unsigned scale, unsigned num) noexcept {
  return (std::uint64_t{num} + 1) << (5 * scale + 1);
}

// The instructions that one request takes: they cover its leaves exactly, and none of them twice.
template <granule Granule, tlbi_options Options>
class stage2_operands {
  static constexpr granule_numbers size = numbers_of(Granule);
  static constexpr int ipa_bits = Granule == granule::k64 || Options.lpa2 ? 52 : 48;

 public:
  constexpr explicit stage2_operands(const invalidation_request& request) noexcept {
    const std::uint64_t known = request.leaf_only ? level_hint(Granule, request.level, Options.lpa2) : 0;
    leaf_ = std::uint64_t{1} << (size.page_bits + (known != 0 ? request.level * size.index_bits() : 0));
    hint_ = Options.level_hints ? known : 0;
    first_ = request.first.align_down(leaf_);
    last_ = input_address{request.last.value | (leaf_ - 1)};
    whole_vmid_ = last_.value >> ipa_bits != 0;
    unsigned count = 0;
    for (input_address at = first_; !whole_vmid_;) {
      const std::uint64_t bytes = instruction_at(at).bytes;
      whole_vmid_ = ++count > Options.most_instructions;
      if (bytes > last_ - at) break;
      at = at + bytes;
    }
  }

  // Too many, or an address that no operand holds: TLBI VMALLS12E1IS instead.
  [[nodiscard]] constexpr bool whole_vmid() const noexcept { return whole_vmid_; }

  // each(operand, by_range), in ascending order. Requires: !whole_vmid().
  template <class Each>
  constexpr void for_each(Each&& each) const noexcept {
    for (input_address at = first_;;) {
      const instruction now = instruction_at(at);
      each(now.operand, now.by_range);
      if (now.bytes > last_ - at) return;
      at = at + now.bytes;
    }
  }

 private:
  struct instruction {
    std::uint64_t operand;
    std::uint64_t bytes;
    bool by_range;
  };
  // The one that covers the most from `at` on. A range has an even number of pages: an odd one is left to the end.
  [[nodiscard]] constexpr instruction instruction_at(input_address at) const noexcept {
    const instruction one{ipa_operand(at, hint_), leaf_, false};
    if (!Options.ranges || (Options.lpa2 && !at.is_aligned(std::uint64_t{1} << 16U))) return one;
    const std::uint64_t pages = ((last_ - at) >> size.page_bits) + 1;
    unsigned scale = 3;
    while (scale > 0 && pages < pages_of_range(scale, 0)) --scale;
    const std::uint64_t units = pages >> (5 * scale + 1);
    if (units == 0) return one;
    const auto num = static_cast<unsigned>(units < 32 ? units : 32) - 1;
    const std::uint64_t bytes = pages_of_range(scale, num) << size.page_bits;
    if (bytes <= leaf_) return one;
    // `at` is the first byte of a leaf still: what a scale leaves over is less than one of its units.
    return {ipa_range_operand(Granule, at, scale, num, hint_, Options.lpa2), bytes, true};
  }

  input_address first_;
  input_address last_;
  std::uint64_t leaf_;  // bytes of the leaves that changed
  std::uint64_t hint_;
  bool whole_vmid_;
};

// Whoever executes the instructions, at EL2, one member function for each; all of them act on the calling CPU and may
// be in use by several at once. In between enter_vmid() and leave_vmid() VTTBR_EL2 holds the table's VMID (and an isb
// has seen to it): that is the VMID a TLBI means.
template <class C>
concept tlbi_cpu = requires(C& cpu, std::uint64_t operand) {
  cpu.enter_vmid();
  cpu.leave_vmid();
  cpu.dsb_ish();
  cpu.dsb_nsh();
  cpu.isb();
  cpu.tlbi_ipas2e1is(operand);
  cpu.tlbi_ipas2le1is(operand);
  cpu.tlbi_ipas2e1(operand);
  cpu.tlbi_ipas2le1(operand);
  cpu.tlbi_vmalle1is();
  cpu.tlbi_vmalle1();
  cpu.tlbi_vmalls12e1is();
  cpu.tlbi_vmalls12e1();
};
template <class C>
concept tlbi_range_cpu = tlbi_cpu<C> && requires(C& cpu, std::uint64_t operand) {
  cpu.tlbi_ripas2e1is(operand);
  cpu.tlbi_ripas2le1is(operand);
  cpu.tlbi_ripas2e1(operand);
  cpu.tlbi_ripas2le1(operand);
};

// The invalidation policy of a stage 2 table: an instance for each guest.
//
//   add()       dsb ish; TLBI [R]IPAS2[L]E1IS ... or VMALLS12E1IS
//   complete()  dsb ish; TLBI VMALLE1IS; dsb ish; isb
//   local()     dsb nsh; TLBI [R]IPAS2[L]E1 ...; dsb nsh; TLBI VMALLE1; dsb nsh; isb
//
// A cache may hold both stages of a translation as one, under the virtual address; no TLBI by IPA finds it. So all of
// the VMID's stage 1 goes, and not before the stage 2 invalidation completed: a walk would make another one from what
// is still cached of stage 2. complete() keeps no state, so that sessions of locking::concurrent may share an instance;
// after VMALLS12E1IS, which drops both stages, its VMALLE1IS is one too many.
//
// Guarantees: what was stored to the table before add() or local() is seen by every walk after it;
// before_invalidation() of the maintenance policy may do nothing. Caller must: give options that every CPU of the
// system implements; stay on one CPU from the first add() to complete(), for a dsb waits for its own CPU's
// invalidations only (batching_invalidation<stage2_invalidation<...>> issues and waits in one go).
template <granule Granule, class Cpu, tlbi_options Options = tlbi_options{}>
class stage2_invalidation {
  static_assert(tlbi_cpu<Cpu>, "Cpu must execute every TLBI, dsb and isb of tlbi_cpu");
  static_assert(!Options.ranges || tlbi_range_cpu<Cpu>, "Cpu must execute the TLBIs by range of tlbi_range_cpu");

 public:
  static constexpr bool reentrant = true;

  constexpr explicit stage2_invalidation(Cpu cpu) noexcept : cpu_(cpu) {}

  constexpr void add(const invalidation_request& request) noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_ish();
    const stage2_operands<Granule, Options> operands{request};
    if (operands.whole_vmid()) cpu_.tlbi_vmalls12e1is();
    else
      operands.for_each([&](std::uint64_t operand, bool by_range) {
        if constexpr (Options.ranges) {
          if (by_range) return request.leaf_only ? cpu_.tlbi_ripas2le1is(operand) : cpu_.tlbi_ripas2e1is(operand);
        }
        request.leaf_only ? cpu_.tlbi_ipas2le1is(operand) : cpu_.tlbi_ipas2e1is(operand);
      });
    cpu_.leave_vmid();
  }
  constexpr void complete() noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_ish();
    cpu_.tlbi_vmalle1is();
    cpu_.dsb_ish();
    cpu_.isb();
    cpu_.leave_vmid();
  }
  constexpr void local(const invalidation_request& request) noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_nsh();
    const stage2_operands<Granule, Options> operands{request};
    if (operands.whole_vmid()) cpu_.tlbi_vmalls12e1();
    else
      operands.for_each([&](std::uint64_t operand, bool by_range) {
        if constexpr (Options.ranges) {
          if (by_range) return request.leaf_only ? cpu_.tlbi_ripas2le1(operand) : cpu_.tlbi_ripas2e1(operand);
        }
        request.leaf_only ? cpu_.tlbi_ipas2le1(operand) : cpu_.tlbi_ipas2e1(operand);
      });
    cpu_.dsb_nsh();
    cpu_.tlbi_vmalle1();
    cpu_.dsb_nsh();
    cpu_.isb();
    cpu_.leave_vmid();
  }

  [[nodiscard]] constexpr Cpu& cpu() noexcept { return cpu_; }

 private:
  [[no_unique_address]] Cpu cpu_;
};

static_assert(ipa_operand(input_address{0x8020'0000}, level_hint(granule::k4, 1)) == 0x0000'6000'0008'0200);
static_assert(level_hint(granule::k4, 0) == 0b0111 && level_hint(granule::k16, 1) == 0b1010 &&
              level_hint(granule::k64, 2) == 0b1101 && level_hint(granule::k4, 3) == 0);
static_assert(ipa_range_operand(granule::k4, input_address{0x8020'0000}, 1, 7, level_hint(granule::k4, 1)) ==
              0x0000'53c0'0008'0200);
static_assert(pages_of_range(0, 0) == 2 && pages_of_range(3, 31) == std::uint64_t{1} << 21U);

}  // namespace quire::arm64
