// SPDX-License-Identifier: MIT
#include "console.hpp"

void kernel::panic(const char* what) noexcept {
  print("panic: ", what, "\n");
  halt(1);
}

void kernel::print_one(const char* text) noexcept {
  std::size_t length = 0;
  while (text[length] != '\0') ++length;
  write_console(text, length);
}

void kernel::print_one(std::uint64_t number) noexcept {
  char digits[20];
  std::size_t first = sizeof digits;
  do {
    digits[--first] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  write_console(digits + first, sizeof digits - first);
}
