// SPDX-License-Identifier: MIT
// The sizes of leaves that a format has, and where the guest sees memory that leaves of one size lead to.
//
// The memory need not fill a leaf: it is seen at the same offset that it has in the host, and nothing else of the leaf
// is touched. So every size can be tried, whatever the machine has of memory.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>         // input_address
#include <quire/format/concept.hpp>  // pte_format

namespace bare {

struct leaf_size {
  int level = 0;
  int group = 0;  // log2 of the entries

  template <quire::pte_format F>
  [[nodiscard]] constexpr std::uint64_t bytes() const noexcept {
    return F::shape.leaf_bytes(level) << group;
  }
};

inline constexpr quire::input_address area_in_guest{0x1000'0000}, views_in_guest{0x2000'0000};

struct view {
  quire::input_range leaves;
  std::uint64_t output;     // where they lead
  quire::input_address at;  // where the memory is seen
};
[[nodiscard]] constexpr view view_of(std::uint64_t host, std::uint64_t bytes, std::uint64_t leaf_bytes) noexcept {
  const quire::input_address first{leaf_bytes > views_in_guest.value ? leaf_bytes : views_in_guest.value};
  const std::uint64_t output = host & ~(leaf_bytes - 1);
  const std::uint64_t all = (host - output + bytes + leaf_bytes - 1) & ~(leaf_bytes - 1);
  return {quire::input_range::sized(first, all), output, first + (host - output)};
}

// Calls function(leaf_size) for each of which a few fit into the input space.
template <quire::pte_format F, class Function>
void for_each_leaf_size(Function&& function) {
  for (int level = 0; level < F::shape.levels; ++level)
    for (int group = 0; group < 32; ++group) {
      const leaf_size size{level, group};
      if ((F::group_sizes(level) >> group & 1U) == 0) continue;
      if (F::shape.shift(level) + group + 2 > F::shape.input_bits()) continue;
      function(size);
    }
}

}  // namespace bare
