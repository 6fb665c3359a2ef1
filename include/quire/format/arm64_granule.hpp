// SPDX-License-Identifier: MIT
// The translation granules of arm64 (VMSAv8-64) in numbers: levels, root tables, block and group sizes.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.2.2 "Concatenated translation tables", D8.2.8
// to D8.2.10 "VMSAv8-64 translation using the 4KB, 16KB, 64KB granule", D8.7.1 "The Contiguous bit". The manual counts
// levels down to the pages: its level is 3 - ours.
//
//   the manual's level |   -1        0        1        2       3
//   ours               |    4        3        2        1       0
//   4 KiB granule      | 256 TiB  512 GiB*  1 GiB    2 MiB   4 KiB
//   16 KiB             |          128 TiB  64 GiB*  32 MiB  16 KiB
//   64 KiB             |                    4 TiB* 512 MiB  64 KiB
//
// That is what one entry translates; with * it may be a block only where descriptors hold 52 bits of output address.
#pragma once

#include <cstdint>  // uint8_t

#include <quire/version.hpp>  // one copy of Quire

namespace quire::arm64 {

enum class granule : std::uint8_t { k4, k16, k64 };

struct granule_numbers {
  int page_bits;
  int block_levels;   // levels 1 .. block_levels hold blocks, with 48 bits of output address
  int table_levels;   // levels there are, with 48 bits of input address
  int group_bits[3];  // log2 of the entries of a contiguous group, at level 0, 1 and 2; 0: none

  [[nodiscard]] constexpr int index_bits() const noexcept { return page_bits - 3; }  // of 8-byte entries in a page
  // Levels that hold leaves, from 0 on: Tables D8-17, D8-27 and D8-36.
  [[nodiscard]] constexpr int leaf_levels(int output_bits = 48) const noexcept {
    return block_levels + (output_bits > 48 ? 2 : 1);
  }
  // The index of a root table for this many bits of input address, under so many levels.
  [[nodiscard]] constexpr int root_bits(int input_bits, int levels) const noexcept {
    return input_bits - page_bits - (levels - 1) * index_bits();
  }
  // Stage 1: as many as the bits need.
  [[nodiscard]] constexpr int stage1_levels(int input_bits) const noexcept {
    return (input_bits - page_bits + index_bits() - 1) / index_bits();
  }
  // Stage 2: up to 16 root tables may be concatenated, so 4 bits need no level of their own. Never fewer than two, or
  // there would be no blocks.
  [[nodiscard]] constexpr int levels(int ipa_bits) const noexcept {
    const int wanted = (ipa_bits - 8) / index_bits();
    return wanted < 2 ? 2 : wanted;
  }
  // The manual's tables of permitted concatenated translation tables, D8-20 to D8-24, D8-30 to D8-33 and D8-39 to
  // D8-41: one table of two entries or more, or up to 16 of them. More levels than 48 bits need exist for 52 bits
  // alone, at 4 KiB (level -1) and 16 KiB (level 0, where 48 bits take two tables of the level below instead: R_DXBSH).
  [[nodiscard]] constexpr bool stage2_starts(int ipa_bits, int levels, int output_bits) const noexcept {
    const int bits = root_bits(ipa_bits, levels);
    const bool wide = output_bits > 48 && page_bits < 16;
    const int most = (page_bits == 14 ? table_levels - 1 : table_levels) + (wide ? 1 : 0);
    return levels >= 1 && levels <= most && bits >= 1 && bits <= index_bits() + 4;
  }
};

[[nodiscard]] constexpr granule_numbers numbers_of(granule size) noexcept {
  switch (size) {
    case granule::k16: return {.page_bits = 14, .block_levels = 1, .table_levels = 4, .group_bits = {7, 5, 0}};
    case granule::k64: return {.page_bits = 16, .block_levels = 1, .table_levels = 3, .group_bits = {5, 5, 0}};
    case granule::k4: break;
  }
  return {.page_bits = 12, .block_levels = 2, .table_levels = 4, .group_bits = {4, 4, 4}};
}

static_assert(numbers_of(granule::k4).levels(43) == 3 && numbers_of(granule::k4).levels(44) == 4);
static_assert(numbers_of(granule::k16).levels(40) == 2 && numbers_of(granule::k16).levels(41) == 3);
static_assert(numbers_of(granule::k64).levels(46) == 2 && numbers_of(granule::k64).levels(47) == 3);
static_assert(numbers_of(granule::k4).stage1_levels(39) == 3 && numbers_of(granule::k4).stage1_levels(40) == 4 &&
              numbers_of(granule::k4).stage1_levels(49) == 5);
static_assert(numbers_of(granule::k16).stage1_levels(47) == 3 && numbers_of(granule::k16).stage1_levels(48) == 4);
static_assert(numbers_of(granule::k64).stage1_levels(42) == 2 && numbers_of(granule::k64).stage1_levels(52) == 3);
static_assert(!numbers_of(granule::k16).stage2_starts(48, 4, 48) && numbers_of(granule::k16).stage2_starts(48, 3, 48));

}  // namespace quire::arm64
