// SPDX-License-Identifier: MIT
// Instantiations of the library as a kernel would have them. This file is never linked: what matters is that it
// compiles without a library, and which symbols the object file leaves undefined (allowed_symbols.txt).
//
// A contract violation goes to the kernel's own panic, here an illegal instruction.
#define QUIRE_CONTRACT_VIOLATION(text) __builtin_trap()

#include <quire/quire.hpp>
