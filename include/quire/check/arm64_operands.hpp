// SPDX-License-Identifier: MIT
// What a TLBI of arm64 stage 2 names, read back from its operand: written from the manual's field descriptions (TLBI
// IPAS2E1IS and RIPAS2E1IS), with nothing in common with format/arm64_tlbi.hpp but the manual.
//
// The answer is a request: every leaf that translates one of its addresses goes, as a whole, if it has the level. No
// answer: nothing need be dropped, because a reserved bit is set, the granule is another one, or the base of a range is
// not aligned to the level that it hints at.
#pragma once

#include <cstdint>   // uint64_t
#include <optional>  // optional

#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::check {

// How the CPU reads operands: VTCR_EL2.TG0 and DS, ID_AA64MMFR2_EL1.TTL.
struct stage2_regime {
  int page_bits;  // 12, 14 or 16
  bool lpa2 = false;
  bool level_hints = true;
};

// `leaf_only` and `reason` are the instruction's and the caller's, and go into the answer as they are.
struct tlbi_kind {
  bool leaf_only;  // an L form: entries of the last level
  invalidation_reason reason;
};

namespace detail {

[[nodiscard]] constexpr std::uint64_t field(std::uint64_t operand, int high, int low) noexcept {
  return (operand >> low) & ((std::uint64_t{2} << (high - low)) - 1);
}

// log2 of what one entry translates, at a level in the manual's numbers: 3 holds pages.
[[nodiscard]] constexpr int bits_at(stage2_regime in, std::uint64_t manual_level) noexcept {
  return in.page_bits + (3 - static_cast<int>(manual_level)) * (in.page_bits - 3);
}
// Which level two bits of a hint mean: -1, any, where they are reserved or mean no hint.
[[nodiscard]] constexpr int level_meant(stage2_regime in, std::uint64_t two_bits, bool zero_is_a_level) noexcept {
  if (two_bits == 0 && !(zero_is_a_level && in.page_bits == 12 && in.lpa2)) return -1;
  if (two_bits == 1 && in.page_bits == 14 && !in.lpa2) return -1;
  return static_cast<int>(two_bits);
}
[[nodiscard]] constexpr invalidation_request answer(tlbi_kind kind, std::uint64_t first, std::uint64_t last,
                                                    int manual_level) noexcept {
  return {input_address{first}, input_address{last}, manual_level < 0 ? -1 : 3 - manual_level, kind.leaf_only,
          kind.reason};
}

}  // namespace detail

// TLBI IPAS2E1(IS), IPAS2LE1(IS).
[[nodiscard]] constexpr std::optional<invalidation_request> decode_tlbi_ipa(std::uint64_t operand, stage2_regime in,
                                                                            tlbi_kind kind) noexcept {
  using detail::field;
  const int highest_ipa_bit = in.lpa2 || in.page_bits == 16 ? 51 : 47;
  if (field(operand, 63, 48) != 0 || field(operand, 43, 40) != 0) return std::nullopt;
  const std::uint64_t ipa = field(operand, 39, 0) << 12 & ~((std::uint64_t{1} << in.page_bits) - 1);
  if (ipa >> (highest_ipa_bit + 1) != 0) return std::nullopt;
  const std::uint64_t granule = field(operand, 47, 46), level_bits = field(operand, 45, 44);
  if (!in.level_hints && (granule | level_bits) != 0) return std::nullopt;
  if (granule == 0) {
    if (level_bits != 0) return std::nullopt;
    return detail::answer(kind, ipa, ipa | ((std::uint64_t{1} << in.page_bits) - 1), -1);
  }
  if (granule != static_cast<std::uint64_t>(in.page_bits - 10) / 2) return std::nullopt;  // 1, 2, 3: 4K, 16K, 64K
  const int level = detail::level_meant(in, level_bits, true);
  if (level < 0) return detail::answer(kind, ipa, ipa | ((std::uint64_t{1} << in.page_bits) - 1), -1);
  const std::uint64_t inside = (std::uint64_t{1} << detail::bits_at(in, static_cast<std::uint64_t>(level))) - 1;
  return detail::answer(kind, ipa & ~inside, ipa | inside, level);
}

// TLBI RIPAS2E1(IS), RIPAS2LE1(IS).
[[nodiscard]] constexpr std::optional<invalidation_request> decode_tlbi_ipa_range(std::uint64_t operand,
                                                                                  stage2_regime in,
                                                                                  tlbi_kind kind) noexcept {
  using detail::field;
  if (field(operand, 63, 48) != 0) return std::nullopt;
  if (field(operand, 47, 46) != static_cast<std::uint64_t>(in.page_bits - 10) / 2) return std::nullopt;
  const std::uint64_t base = field(operand, 36, 0) << (in.lpa2 ? 16 : in.page_bits);
  const auto scale = static_cast<int>(field(operand, 45, 44));
  const std::uint64_t pages = (field(operand, 43, 39) + 1) << (5 * scale + 1);
  const int level = detail::level_meant(in, field(operand, 38, 37), false);
  if (level >= 0) {
    const std::uint64_t inside = (std::uint64_t{1} << detail::bits_at(in, static_cast<std::uint64_t>(level))) - 1;
    if ((base & inside) != 0) return std::nullopt;
  }
  return detail::answer(kind, base, base + (pages << in.page_bits) - 1, level);
}

// TLBI VMALLS12E1(IS).
[[nodiscard]] constexpr invalidation_request whole_vmid(invalidation_reason reason) noexcept {
  return {input_address{0}, input_address{~std::uint64_t{0}}, -1, false, reason};
}

}  // namespace quire::check
