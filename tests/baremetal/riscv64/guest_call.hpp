// SPDX-License-Identifier: MIT
// How the guest leaves for the host: an environment call, the answer in a0, the next command in a0 to a4.
#pragma once

#include <cstdint>  // uint64_t

#include "guest.hpp"

namespace bare {

[[gnu::always_inline]] inline command next_command(std::uint64_t answer) noexcept {
  register std::uint64_t a0 asm("a0") = answer;
  register std::uint64_t a1 asm("a1");
  register std::uint64_t a2 asm("a2");
  register std::uint64_t a3 asm("a3");
  register std::uint64_t a4 asm("a4");
  asm volatile("ecall" : "+r"(a0), "=r"(a1), "=r"(a2), "=r"(a3), "=r"(a4) : : "memory");
  return {verb{a0}, a1, a2, a3, a4};
}

}  // namespace bare
