// SPDX-License-Identifier: MIT
// Is a range, or an address, one that a table can translate? Asked by every operation before it does anything.
#pragma once

#include <quire/format/concept.hpp>  // pte_format
#include <quire/result.hpp>          // error

namespace quire {

// Whether the bits above the geometry are what the format wants: zero, or copies of the top bit.
template <pte_format Format>
[[nodiscard]] constexpr bool is_translatable(input_address address) noexcept {
  constexpr int bits = Format::shape.input_bits();
  if constexpr (bits >= 64) return true;
  else if constexpr (Format::facts.sign_extended) {
    const std::uint64_t above = address.value >> (bits - 1);
    return above == 0 || above == ~std::uint64_t{0} >> (bits - 1);
  } else {
    // Asked of the root's index, which a descent needs next.
    constexpr int root = Format::shape.root_level;
    return address.value >> Format::shape.shift(root) < Format::shape.entries(root);
  }
}

// Whether a page that a table can translate begins there.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr bool is_page(input_address address) noexcept {
  constexpr std::uint64_t inside = Format::shape.page_bytes() - 1;
  if constexpr (Format::facts.sign_extended || Format::shape.input_bits() >= 64)
    return (address.value & inside) == 0 && is_translatable<Format>(address);
  else return (address.value & (inside | ~std::uint64_t{0} << Format::shape.input_bits())) == 0;
}

// Whether one entry of the level decides about all of the range. Requires: a sound range.
template <pte_format Format, int Level>
[[nodiscard]] QUIRE_INLINE constexpr bool is_within_leaf(input_range range) noexcept {
  return (range.first().value ^ range.last().value) >> Format::shape.shift(Level) == 0;
}

namespace detail {
template <pte_format Format>
[[nodiscard]] QUIRE_COLD constexpr error range_error(input_range range) noexcept {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  if (range.defect() == errc::empty_range) return {errc::empty_range, -1, range.first().value & ~std::uint64_t{1}};
  if (range.defect() != errc::none) return {range.defect(), -1, range.first().value};
  if (!range.first().is_aligned(page)) return {errc::unaligned, -1, range.first().value};
  if (!(range.last() + 1).is_aligned(page)) return {errc::unaligned, -1, range.last().value};
  if (!is_translatable<Format>(range.first())) return {errc::beyond_input, -1, range.first().value};
  return {errc::beyond_input, -1, range.last().value};
}
}  // namespace detail

// Whether check_range() has nothing to say: by few tests, for it is nearly always so.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr bool is_sound(input_range range) noexcept {
  const std::uint64_t first = range.first().value, last = range.last().value;
  if (range.defect() != errc::none || ((first | (last + 1)) & (Format::shape.page_bytes() - 1)) != 0) return false;
  if constexpr (Format::facts.sign_extended) {
    if ((first ^ last) >> (Format::shape.input_bits() - 1) != 0) return false;
  }
  return is_translatable<Format>(range.last());
}

// Errors: the range's own defect; unaligned (first byte, or the byte after the last, is no multiple of a page);
// beyond_input, also for a range that spans the hole between the halves of a sign-extended space.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr error check_range(input_range range) noexcept {
  if (is_sound<Format>(range)) [[likely]]
    return {};
  return detail::range_error<Format>(range);
}

// All input addresses of a format: one range, or the lower and the upper half (`upper` is empty otherwise).
struct input_space {
  input_range lower;
  input_range upper{};
};
template <pte_format Format>
inline constexpr input_space input_space_of = []() constexpr -> input_space {
  constexpr std::uint64_t last = Format::shape.table_last_offset(Format::shape.root_level);
  if (!Format::facts.sign_extended || Format::shape.input_bits() >= 64)
    return {input_range::closed(input_address{0}, input_address{last})};
  return {input_range::closed(input_address{0}, input_address{last >> 1U}),
          input_range::closed(input_address{~(last >> 1U)}, input_address{~std::uint64_t{0}})};
}();

// The page that an address (of any byte) lies in.
template <pte_format Format>
[[nodiscard]] constexpr input_range page_of(input_address address) noexcept {
  return input_range::sized(address.align_down(Format::shape.page_bytes()), Format::shape.page_bytes());
}

// The pages from the first to the last bit of a mask that is not 0 (bit b: the page b pages after `first`). One that
// would wrap is a range that remembers so.
template <pte_format Format>
[[nodiscard]] constexpr input_range masked_range(input_address first, std::uint64_t mask) noexcept {
  constexpr int bits = Format::shape.page_bits;
  const auto low = static_cast<unsigned>(__builtin_ctzll(mask));
  const auto high = 63 - static_cast<unsigned>(__builtin_clzll(mask));
  const input_address from = first + (std::uint64_t{low} << bits);
  return input_range::closed(from < first ? first : from, first + ((std::uint64_t{high} + 1) << bits) - 1);
}

}  // namespace quire
