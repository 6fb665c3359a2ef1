// SPDX-License-Identifier: MIT
// Maps one page and looks it up again; with the hosted tier, an oracle watches.
#include <quire/quire.hpp>

#include <cstdint>
#include <cstdio>

using format = quire::riscv::sv39x4;

constexpr quire::input_address page{0x8000'1000};
constexpr quire::output_address frame{0x1'4000'2000};

#ifdef WITH_HOSTED
#include <quire/check/machine.hpp>

static bool works() {
  quire::check::machine<format> machine{{.window = page, .window_pages = 1}};
  quire::page_table<format, quire::check::policies<format>> guest{quire::check::policies<format>{machine}};
  if (!guest.create()) return false;
  {
    auto session = guest.exclusive();
    if (!session.map(quire::input_range::sized(page, 4096), frame, {.allowed = quire::all_access})) return false;
    const auto found = session.translate(page);
    if (!found || *found != frame) return false;
  }
  machine.end_of_operation();
  machine.stop();
  return machine.findings().text().empty();
}

static const char* const tier = "hosted";
#else
#include <array>

// Just enough memory for a root of 16 KiB and the two tables below it.
struct pool {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    const std::uint64_t at = (used + bytes - 1) / bytes * bytes;
    if (at + bytes > memory.size()) return quire::errc::no_memory;
    used = at + bytes;
    return quire::table_address{reinterpret_cast<std::uintptr_t>(memory.data() + at)};
  }
  void free(quire::table_address, std::uint64_t) {}

  alignas(16384) std::array<unsigned char, 32768> memory{};
  std::uint64_t used = 0;
};

struct kernel : quire::policies {
  quire::table_cache<pool, quire::direct_memory, std::uint64_t, true> tables;
  explicit kernel(pool* from) : tables(from, {}, quire::table_unit_bytes<format>) {}
};

static bool works() {
  pool memory;
  quire::page_table<format, kernel> guest{kernel{&memory}};
  if (!guest.create()) return false;
  auto session = guest.exclusive();
  if (!session.map(quire::input_range::sized(page, 4096), frame, {.allowed = quire::all_access})) return false;
  const auto found = session.translate(page);
  return found && *found == frame;
}

static const char* const tier = "core";
#endif

int main() {
  const bool good = works();
  std::printf("quire::%s: one page mapped and found again: %s\n", tier, good ? "yes" : "no");
  return good ? 0 : 1;
}
