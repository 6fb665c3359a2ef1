// SPDX-License-Identifier: MIT
// Addresses that do not convert into each other, and ranges of input addresses.
#pragma once

#include <compare>  // operator<=>
#include <cstdint>  // uint64_t

#include <quire/error.hpp>  // errc: what is wrong with a range

namespace quire {

// A byte address of one kind. Arithmetic is in bytes and stays within the kind; `value` is the way out.
template <class Kind>
struct address {
  std::uint64_t value = 0;

  constexpr address() = default;
  constexpr explicit address(std::uint64_t bytes) noexcept : value(bytes) {}

  friend constexpr auto operator<=>(address, address) noexcept = default;
  friend constexpr address operator+(address a, std::uint64_t bytes) noexcept { return address{a.value + bytes}; }
  friend constexpr address operator-(address a, std::uint64_t bytes) noexcept { return address{a.value - bytes}; }
  friend constexpr std::uint64_t operator-(address a, address b) noexcept { return a.value - b.value; }

  [[nodiscard]] constexpr bool is_aligned(std::uint64_t power_of_two) const noexcept {
    return (value & (power_of_two - 1)) == 0;
  }
  [[nodiscard]] constexpr address align_down(std::uint64_t power_of_two) const noexcept {
    return address{value & ~(power_of_two - 1)};
  }
};

using input_address = address<struct input_address_kind>;    // what is translated
using output_address = address<struct output_address_kind>;  // what comes out
using table_address = address<struct table_address_kind>;    // where a table lies, as the hardware walker names it

// A non-empty range of input addresses. Written half-open or as a size; `closed` is for the range that ends with the
// last byte of a 64-bit space. Inside, the last byte is kept, so nothing overflows.
//
// Errors: a range that is empty, reversed or wraps remembers so, and every operation rejects it by that name. It ends
// before it begins then, where it is empty right before: two words say it all, and travel in registers. (What would be
// empty at 0 is empty at 1.)
class input_range {
 public:
  constexpr input_range() noexcept = default;  // an empty range
  [[nodiscard]] static constexpr input_range half_open(input_address first, input_address end) noexcept {
    if (end == first) return empty(first);
    return end < first ? reversed(first) : input_range{first, end - 1};
  }
  [[nodiscard]] static constexpr input_range closed(input_address first, input_address last) noexcept {
    return {first, last};
  }
  [[nodiscard]] static constexpr input_range sized(input_address first, std::uint64_t bytes) noexcept {
    return bytes == 0 ? empty(first) : input_range{first, first + (bytes - 1)};
  }

  [[nodiscard]] constexpr input_address first() const noexcept { return first_; }
  [[nodiscard]] constexpr input_address last() const noexcept { return last_; }
  [[nodiscard]] constexpr errc defect() const noexcept {
    if (first_ <= last_) return errc::none;
    return first_ - last_ == 1 ? errc::empty_range : errc::range_overflow;
  }

  // The part of this range inside `other`; both without defect and overlapping.
  [[nodiscard]] constexpr bool overlaps(input_range other) const noexcept {
    return first_ <= other.last_ && other.first_ <= last_;
  }
  [[nodiscard]] constexpr input_range clamped_to(input_range other) const noexcept {
    return {first_ < other.first_ ? other.first_ : first_, last_ < other.last_ ? last_ : other.last_};
  }
  friend constexpr bool operator==(input_range, input_range) noexcept = default;

 private:
  constexpr input_range(input_address first, input_address last) noexcept : first_(first), last_(last) {}
  [[nodiscard]] static constexpr input_range empty(input_address first) noexcept {
    const input_address from = first.value == 0 ? input_address{1} : first;
    return {from, from - 1};
  }

  [[nodiscard]] static constexpr input_range reversed(input_address first) noexcept {
    return {first.value == 1 ? input_address{2} : first, input_address{0}};  // [1, 0] is empty
  }

  input_address first_{1};
  input_address last_{0};
};

}  // namespace quire
