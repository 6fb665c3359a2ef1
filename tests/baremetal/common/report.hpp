// SPDX-License-Identifier: MIT
// What a program says, and its verdict. The last line is "PASS n checks", or "FAIL m of n checks".
#pragma once

#include <cstdint>  // uint64_t

#include "machine.hpp"

namespace bare {

void say(const char* text) noexcept;
void say_number(std::uint64_t number) noexcept;
void say_hex(std::uint64_t number) noexcept;
void end_line() noexcept;
void say_exit(const guest_exit& left) noexcept;  // what it is, in words

// Counts a check; one that fails is printed. May be called on every CPU.
bool check(bool holds, const char* what) noexcept;
// A check with a number that helps where it fails.
bool check(bool holds, const char* what, std::uint64_t number) noexcept;
// What this emulator lets pass though the manual says that it must not: printed, not counted.
void not_enforced(const char* what) noexcept;
// The same, for so many checks that were left out: they are in the last line's number, which is then the same on an
// emulator that is stricter. A line of its own says how many they are.
void not_enforced(const char* what, std::uint64_t checks) noexcept;

[[noreturn]] void finish() noexcept;  // the verdict, and the end
// The end where the machine lacks what the program is about. The last line is "SKIP: why"; whether that is right for
// the emulator is for the list of tests to say.
[[noreturn]] void skip(const char* why) noexcept;

}  // namespace bare
