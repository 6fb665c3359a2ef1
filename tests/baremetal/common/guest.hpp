// SPDX-License-Identifier: MIT
// The guest of every scenario: a servant that obeys one command after the other and says what each gave.
//
// Its code and its stack are guest_area_bytes from guest_area() on, in the memory of the host; a scenario maps them
// somewhere, all access. Nothing else is the guest's by itself.
#pragma once

#include <cstdint>  // uint64_t

namespace bare {

enum class verb : std::uint64_t {
  load,   // the word at `address`
  store,  // `value` to it
  add,    // `value` to it, atomically; gives what it was
  call,   // the function at `address`; gives what it returns
  fill,   // value + i to the words at address + i * step, i < count
  sum,    // the sum of the words at address + i * step, i < count
  spin,   // reads the word at `address` until it is `value`, at most `count` times; gives how many times
  beat,   // writes 1, 2, 3 ... to the word at `address` until the word at `value` is not 0; gives how many times
};

struct command {
  verb what = verb::load;
  std::uint64_t address = 0;
  std::uint64_t value = 0;
  std::uint64_t count = 0;
  std::uint64_t step = 0;
};

inline constexpr std::uint64_t guest_area_bytes = 0x1'0000;  // the largest page that there is

[[nodiscard]] std::uint64_t guest_area() noexcept;  // a multiple of guest_area_bytes; code first, the stack at its end

}  // namespace bare
