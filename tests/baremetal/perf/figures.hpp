// SPDX-License-Identifier: MIT
// How measurements are printed: a table for people, and a line "name value unit" each for programs.
#pragma once

#include <cstdint>  // uint64_t

#include "report.hpp"

namespace bare {

// A quotient to one decimal.
struct tenths {
  std::uint64_t value = 0;

  constexpr tenths() noexcept = default;
  constexpr tenths(std::uint64_t sum, std::uint64_t count) noexcept
      : value(count == 0 ? 0 : (sum * 10 + count / 2) / count) {}
  [[nodiscard]] constexpr bool is_at_most(std::uint64_t limit) const noexcept { return value <= limit * 10; }
};

inline void say_tenths(tenths number) noexcept {
  say_number(number.value / 10);
  say(".");
  say_number(number.value % 10);
}

// In a column of that width: a text to its left, a number to its right.
inline void say_padded(const char* text, unsigned width) noexcept {
  for (; *text != 0; ++text, --width) put(*text);
  for (; width != 0; --width) put(' ');
}
inline void say_tenths(tenths number, unsigned width) noexcept {
  unsigned used = 3;
  for (std::uint64_t left = number.value; left >= 100; left /= 10) ++used;
  for (; used < width; ++used) put(' ');
  say_tenths(number);
}

}  // namespace bare
