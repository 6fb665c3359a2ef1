// SPDX-License-Identifier: MIT
// Physical memory: where the kernel sees it, and who owns which page.
//
// The RAM of this machine lies in two banks far apart, each mapped on its own: no single displacement leads from a
// physical address to a pointer.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include "console.hpp"  // panic

namespace kernel {

using physical = std::uint64_t;

inline constexpr std::uint64_t page_bytes = 4096;
inline constexpr std::size_t words_per_page = page_bytes / sizeof(std::uint64_t);

inline constexpr physical low_bank = 0x8000'0000;
inline constexpr physical high_bank = 0x10'0000'0000;
inline constexpr std::size_t low_pages = 8;
inline constexpr std::size_t high_pages = 56;
extern std::uint64_t low_ram[low_pages * words_per_page];
extern std::uint64_t high_ram[high_pages * words_per_page];

// The word at a physical address, which is a multiple of 8. Inline: it is on the path of every table access.
[[nodiscard]] inline std::uint64_t* to_virtual(physical at) noexcept {
  if (at - low_bank < low_pages * page_bytes) return low_ram + (at - low_bank) / sizeof(std::uint64_t);
  if (at - high_bank < high_pages * page_bytes) return high_ram + (at - high_bank) / sizeof(std::uint64_t);
  panic("a physical address outside of RAM");
}

// `bytes` (a power of two of pages) in one piece, aligned to its size and zeroed; 0 when there is no such piece.
[[nodiscard]] physical allocate_pages(std::uint64_t bytes) noexcept;
void free_pages(physical first, std::uint64_t bytes) noexcept;
[[nodiscard]] std::size_t free_page_count() noexcept;

}  // namespace kernel
