// SPDX-License-Identifier: MIT
// How the guest leaves for the host: the answer in rax, the next command in rdi, rsi, rdx, rcx and r8.
#pragma once

#include <cstdint>  // uint64_t

#include "guest.hpp"

#ifdef QUIRE_BARE_VMX
#define QUIRE_BARE_GUEST_CALL "vmcall"
#else
#define QUIRE_BARE_GUEST_CALL "vmmcall"
#endif

namespace bare {

[[gnu::always_inline]] inline command next_command(std::uint64_t answer) noexcept {
  std::uint64_t what, address, value, count;
  register std::uint64_t step asm("r8");
  asm volatile(QUIRE_BARE_GUEST_CALL
               : "+a"(answer), "=D"(what), "=S"(address), "=d"(value), "=c"(count), "=r"(step)
               :
               : "memory");
  return {verb{what}, address, value, count, step};
}

}  // namespace bare
