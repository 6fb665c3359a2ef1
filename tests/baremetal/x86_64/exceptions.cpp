// SPDX-License-Identifier: MIT
// An exception in the host is a defect: said, and the end. Without this the CPU would shut down in silence.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Exceptions and Interrupts".
#include "exceptions.hpp"

#include <cstdint>  // uint16_t, uint64_t
#include <utility>  // index_sequence

#include "cpu.hpp"
#include "report.hpp"

namespace bare {

namespace {

struct frame {
  std::uint64_t rip, cs, rflags, rsp, ss;
};

struct gate {
  std::uint16_t offset_low = 0, selector = 0, type = 0, offset_middle = 0;
  std::uint32_t offset_high = 0, reserved = 0;
};

constexpr std::size_t exceptions = 32;
constinit gate gates[exceptions]{};

[[noreturn]] void report(std::uint64_t vector, std::uint64_t rip, std::uint64_t code) noexcept {
  say("exception in the host: vector ");
  say_number(vector);
  say(", rip ");
  say_hex(rip);
  say(", error code ");
  say_hex(code);
  say(", cr2 ");
  say_hex(read_cr2());
  end_line();
  power_off(false);
}

// "Exceptions and Interrupts", the vectors that push an error code: 8, 10 to 14, 17, 21, 29, 30.
constexpr bool has_error_code(std::size_t vector) { return (0x6022'7d00U >> vector & 1U) != 0; }

template <std::size_t Vector>
[[gnu::interrupt]] void without_code(frame* at) {
  report(Vector, at->rip, 0);
}
template <std::size_t Vector>
[[gnu::interrupt]] void with_code(frame* at, unsigned long code) {
  report(Vector, at->rip, code);
}

template <std::size_t Vector>
void make_gate() noexcept {
  std::uint64_t at = 0;
  if constexpr (has_error_code(Vector)) at = reinterpret_cast<std::uint64_t>(&with_code<Vector>);
  else at = reinterpret_cast<std::uint64_t>(&without_code<Vector>);
  gates[Vector] = {.offset_low = static_cast<std::uint16_t>(at),
                   .selector = 0x08,
                   .type = 0x8e00,  // present, interrupt gate
                   .offset_middle = static_cast<std::uint16_t>(at >> 16),
                   .offset_high = static_cast<std::uint32_t>(at >> 32)};
}

template <std::size_t... Vectors>
void make_gates(std::index_sequence<Vectors...>) noexcept {
  (make_gate<Vectors>(), ...);
}

}  // namespace

void take_exceptions() noexcept {
  make_gates(std::make_index_sequence<exceptions>{});
  const struct [[gnu::packed]] {
    std::uint16_t limit;
    std::uint64_t base;
  } table{sizeof gates - 1, reinterpret_cast<std::uint64_t>(gates)};
  asm volatile("lidt %0" : : "m"(table));
}

}  // namespace bare
