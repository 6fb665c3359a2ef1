// SPDX-License-Identifier: MIT
// Rights that RISC-V cannot encode (W without R is reserved), asked for in a constant expression.
// expect: value_of_an_error.*unsupported_attribute
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
inline constexpr quire::permissions rights = quire::read_write;
#else
inline constexpr quire::permissions rights = quire::writable;
#endif

inline constexpr std::uint64_t framebuffer = *riscv::leaf(host, {.allowed = rights}, 0);
