// SPDX-License-Identifier: MIT
// The kernel as an ordinary program.
#include <cstdio>   // fwrite
#include <cstdlib>  // exit

#include "guest_life.hpp"      // run_guests
#include "kernel/console.hpp"  // write_console, halt

void kernel::write_console(const char* text, std::size_t length) noexcept { std::fwrite(text, 1, length, stdout); }

void kernel::halt(int status) noexcept { std::exit(status); }

int main() { return hypervisor::run_guests() == 0 ? 0 : 1; }
