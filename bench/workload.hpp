// SPDX-License-Identifier: MIT
// A workload: prepare, measure one operation over a stretch of guest memory, check what it did.
//
// It is a function template over a rig. It calls meter.start(units) and meter.stop() around what is timed; the
// operations themselves are the functions measured_*, never inlined, and only what happens inside them is counted.
#pragma once

#include <vector>  // vector

#include "rig.hpp"
#include "rows.hpp"

namespace quire_bench {

// Sizes that keep what an operation costs by itself below a hundredth of what its entries cost.
inline constexpr std::uint64_t paged = gib;        // where the unit is a page entry or one page
inline constexpr std::uint64_t sectioned = gib;    // 64 pages
inline constexpr std::uint64_t blocked = 8 * gib;  // 2 MiB

// The pages of a section that are asked for, and the rights. No constants for the compiler, as they are none in real
// life.
inline std::uint64_t half_of_64 = 0x5555'5555'5555'5555, one_of_64 = std::uint64_t{1} << 37,
                     all_of_64 = ~std::uint64_t{0};
inline permissions rights_asked_for = read_execute;

// The pages of the memory in an order without neighbours.
[[nodiscard]] inline std::vector<std::uint64_t> shuffled(std::uint64_t pages) {
  std::vector<std::uint64_t> order(pages);
  for (std::uint64_t i = 0; i < pages; ++i) order[i] = i * 40503 % pages;  // odd, and pages is a power of two
  return order;
}
[[nodiscard]] inline std::vector<std::uint64_t> in_sequence(std::uint64_t pages) {
  std::vector<std::uint64_t> order(pages);
  for (std::uint64_t i = 0; i < pages; ++i) order[i] = i;
  return order;
}

}  // namespace quire_bench
