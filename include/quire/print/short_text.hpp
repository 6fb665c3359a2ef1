// SPDX-License-Identifier: MIT
// A line of text of bounded length: what values are printed into, so that printing allocates nothing.
#pragma once

#include <bit>          // countr_zero
#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <string_view>  // string_view

namespace quire {

// Every text of this library fits; one that does not (a result<T> of a user's T) ends with "...".
class short_text {
 public:
  static constexpr std::size_t capacity = 320;

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {characters_, size_}; }

  constexpr short_text& append(std::string_view more) noexcept {
    for (const char each : more) {
      if (size_ == capacity) {
        for (std::size_t i = 1; i <= 3; ++i) characters_[capacity - i] = '.';
        break;
      }
      characters_[size_++] = each;
    }
    return *this;
  }
  constexpr short_text& append_decimal(std::uint64_t number) noexcept { return append_digits(number, 10, 1); }
  // With 0x; at least so many digits.
  constexpr short_text& append_hex(std::uint64_t number, std::size_t digits = 1) noexcept {
    return append("0x").append_digits(number, 16, digits);
  }
  // Exact, in the largest unit that divides it: 4 KiB, 1536 KiB, 64 B. 0 stands for all of 64 bits: 16 EiB.
  constexpr short_text& append_size(std::uint64_t bytes) noexcept {
    constexpr std::string_view units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    if (bytes == 0) return append("16 EiB");
    const auto unit = static_cast<std::size_t>(std::countr_zero(bytes)) / 10;
    return append_decimal(bytes >> (10 * unit)).append(units[unit]);
  }

 private:
  constexpr short_text& append_digits(std::uint64_t number, unsigned base, std::size_t least) noexcept {
    char digits[20]{};
    std::size_t first = sizeof(digits);
    do {
      digits[--first] = "0123456789abcdef"[number % base];
      number /= base;
    } while (number != 0 || sizeof(digits) - first < least);
    return append({digits + first, sizeof(digits) - first});
  }

  char characters_[capacity]{};
  std::size_t size_ = 0;
};

}  // namespace quire
