// SPDX-License-Identifier: MIT
// A memory slot: guest memory with one host mapping behind it, and what leaf sizes that allows.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire {

// `pages` pages of the format from `first` on. `host` is where the slot's first byte lies in the host's own address
// space: only its alignment matters here. `rights` is the most that any leaf of the slot may allow.
struct memory_slot {
  input_address first;
  std::uint64_t pages = 0;
  std::uint64_t host = 0;
  permissions rights = all_access;
  bool read_only = false;

  template <pte_format Format>
  [[nodiscard]] constexpr input_range range() const noexcept {
    return input_range::sized(first, pages << Format::shape.page_bits);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr bool contains(input_address address) const noexcept {
    return address >= first && (address - first) >> Format::shape.page_bits < pages;
  }
  template <pte_format Format>
  [[nodiscard]] constexpr std::uint64_t page_index(input_address address) const noexcept {
    return (address - first) >> Format::shape.page_bits;
  }
  // The largest level at which a leaf may cover `address`: the block lies wholly inside the slot, and guest and host
  // address agree in the bits inside the block. Never above `largest`.
  template <pte_format Format>
  [[nodiscard]] constexpr int largest_level(input_address address, int largest) const noexcept {
    int level = largest < Format::shape.root_level ? largest : Format::shape.root_level;
    const std::uint64_t last = first.value + ((pages << Format::shape.page_bits) - 1);
    for (; level > 0; --level) {
      if ((Format::group_sizes(level) & 1U) == 0) continue;
      const std::uint64_t bytes = Format::shape.leaf_bytes(level);
      const std::uint64_t block = address.value & ~(bytes - 1);
      if (((first.value ^ host) & (bytes - 1)) == 0 && block >= first.value && block + (bytes - 1) <= last) break;
    }
    return level;
  }
};

// What the host has behind a page: where it is, whether it may be written, and the largest level at which the host's
// own mapping around it is one aligned piece.
struct host_page {
  output_address output;
  bool writable = false;
  int largest_level = 0;
};

// resolve(slot, address, write) -> host_page of the page at `address`, faulting it in for writing if `write`. May
// sleep; it is called without the table's lock, after the invalidation sequence was sampled. mapped_level(slot,
// address) -> the largest level as above, now; called under the lock when blocks are recovered.
template <class B>
concept memory_backing = requires(B& backing, const memory_slot& slot, input_address address, bool write) {
  { backing.resolve(slot, address, write) } -> std::same_as<result<host_page>>;
  { backing.mapped_level(slot, address) } -> std::same_as<int>;
};

}  // namespace quire
