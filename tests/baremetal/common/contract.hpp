// SPDX-License-Identifier: MIT
// Where a broken contract of the library ends. Included before everything else by an option of the compiler.
#pragma once

namespace bare {
[[noreturn]] void contract_broken(const char* text) noexcept;
}

#define QUIRE_CONTRACT_VIOLATION(text) bare::contract_broken(text)
