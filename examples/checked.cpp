// SPDX-License-Identifier: MIT
// The oracles around a table, as your own tests can have them: two CPUs that walk and cache it while an operation runs,
// and a finding for every stale translation, broken rule and lost page.
#include <quire/check/machine.hpp>
#include <quire/quire.hpp>

#include <cstdio>

int main() {
  using format = quire::arm64::stage2_4k<40>;
  const auto ram = quire::input_range::sized(quire::input_address{0x4000'0000}, 4 << 20);
  quire::check::machine<format> machine{{.cpus = 2, .hardware = 100, .window = ram.first(), .window_pages = 1024}};
  quire::page_table<format, quire::check::policies<format>> table{quire::check::policies<format>{machine}};
  if (!table.create()) return 1;
  {
    auto session = table.exclusive();
    if (!session.map(ram, quire::output_address{0x8000'0000}, {.allowed = quire::all_access, .may_write = true}))
      return 1;
    if (!session.write_protect(ram) || !session.split(ram) || !session.unmap(ram)) return 1;
  }
  machine.end_of_operation();
  const auto findings = machine.findings().text();
  std::printf("%s\n", findings.empty() ? "the oracles have nothing to say" : findings.c_str());
  machine.stop();
  return findings.empty() ? 0 : 1;
}
