// SPDX-License-Identifier: MIT
// quire::hosted: a table watched by the oracles, what it maps read through a view of range-v3.
#include <quire/check/machine.hpp>
#include <quire/quire.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

#include <range/v3/numeric/accumulate.hpp>
#include <range/v3/view/transform.hpp>

int main() {
  using format = quire::riscv::sv39x4;
  const auto ram = quire::input_range::sized(quire::input_address{0x8000'0000}, 4 << 20);
  quire::check::machine<format> machine{{.cpus = 2, .hardware = 100, .window = ram.first(), .window_pages = 1024}};
  quire::page_table<format, quire::check::policies<format>> table{quire::check::policies<format>{machine}};
  if (!table.create()) return 1;
  std::vector<quire::mapping> mappings;
  {
    auto session = table.exclusive();
    if (!session.map(ram, quire::output_address{0x1'4000'0000}, {.allowed = quire::all_access})) return 1;
    if (!session.write_protect(ram) || !session.split(ram)) return 1;
    if (!session.for_each_mapping(ram, [&](const quire::mapping& one) { mappings.push_back(one); })) return 1;
  }
  machine.end_of_operation();
  machine.stop();
  const auto sizes = mappings | ranges::views::transform([](const quire::mapping& one) { return one.bytes; });
  const auto bytes = ranges::accumulate(sizes, std::uint64_t{0});
  std::printf("hosted: %zu leaves, %llu KiB; findings of the oracles: %zu\n", mappings.size(),
              static_cast<unsigned long long>(bytes >> 10), machine.findings().total());
  return machine.findings().empty() && bytes == 4 << 20 ? 0 : 1;
}
