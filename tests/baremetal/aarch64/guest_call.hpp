// SPDX-License-Identifier: MIT
// How the guest leaves for the host: a hypervisor call, the answer in x0, the next command in x0 to x4.
#pragma once

#include <cstdint>  // uint64_t

#include "guest.hpp"

namespace bare {

[[gnu::always_inline]] inline command next_command(std::uint64_t answer) noexcept {
  register std::uint64_t x0 asm("x0") = answer;
  register std::uint64_t x1 asm("x1");
  register std::uint64_t x2 asm("x2");
  register std::uint64_t x3 asm("x3");
  register std::uint64_t x4 asm("x4");
  asm volatile("hvc #0" : "+r"(x0), "=r"(x1), "=r"(x2), "=r"(x3), "=r"(x4) : : "memory");
  return {verb{x0}, x1, x2, x3, x4};
}

}  // namespace bare
