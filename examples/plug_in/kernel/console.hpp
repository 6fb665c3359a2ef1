// SPDX-License-Identifier: MIT
// What a kernel says, and how it ends.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

namespace kernel {

// The two things that differ between a machine (entry.cpp) and a host (host_main.cpp).
void write_console(const char* text, std::size_t length) noexcept;
[[noreturn]] void halt(int status) noexcept;

[[noreturn]] void panic(const char* what) noexcept;

void print_one(const char* text) noexcept;
void print_one(std::uint64_t number) noexcept;  // decimal

template <class... Parts>
void print(Parts... parts) noexcept {
  (print_one(parts), ...);
}

}  // namespace kernel
