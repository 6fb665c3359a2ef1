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
// Errors: a range that is empty, reversed or wraps remembers so; every operation rejects it by that name.
class input_range {
 public:
  constexpr input_range() noexcept = default;  // an empty range
  [[nodiscard]] static constexpr input_range half_open(input_address first, input_address end) noexcept {
    if (end == first) return {first, first, errc::empty_range};
    if (end < first) return {first, first, errc::range_overflow};
    return {first, end - 1, errc::none};
  }
  [[nodiscard]] static constexpr input_range closed(input_address first, input_address last) noexcept {
    return {first, last, last < first ? errc::range_overflow : errc::none};
  }
  [[nodiscard]] static constexpr input_range sized(input_address first, std::uint64_t bytes) noexcept {
    if (bytes == 0) return {first, first, errc::empty_range};
    return {first, first + (bytes - 1), (first + (bytes - 1)) < first ? errc::range_overflow : errc::none};
  }

  [[nodiscard]] constexpr input_address first() const noexcept { return first_; }
  [[nodiscard]] constexpr input_address last() const noexcept { return last_; }
  [[nodiscard]] constexpr errc defect() const noexcept { return defect_; }

  // The part of this range inside `other`; both without defect and overlapping.
  [[nodiscard]] constexpr bool overlaps(input_range other) const noexcept {
    return first_ <= other.last_ && other.first_ <= last_;
  }
  [[nodiscard]] constexpr input_range clamped_to(input_range other) const noexcept {
    return {first_ < other.first_ ? other.first_ : first_, last_ < other.last_ ? last_ : other.last_, errc::none};
  }
  friend constexpr bool operator==(input_range, input_range) noexcept = default;

 private:
  constexpr input_range(input_address first, input_address last, errc defect) noexcept
      : first_(first), last_(last), defect_(defect) {}

  input_address first_{};
  input_address last_{};
  errc defect_ = errc::empty_range;
};

}  // namespace quire
