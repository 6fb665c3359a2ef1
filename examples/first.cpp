// SPDX-License-Identifier: MIT
// The program of README.md: a RISC-V guest's memory, mapped, looked up, write-protected and split, on any machine.
#include <quire/quire.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

struct heap {  // where tables come from; in a hypervisor, the page allocator
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return quire::errc::no_memory;
    std::memset(table, 0, bytes);
    return quire::table_address{reinterpret_cast<std::uintptr_t>(table)};
  }
  void free(quire::table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};

struct laptop : quire::policies {
  quire::table_cache<heap, quire::direct_memory, std::uint64_t, true> tables;
  explicit laptop(heap* from) : tables(from, {}, quire::table_unit_bytes<quire::riscv::sv39x4>) {}
};

int main() {
  heap memory;
  quire::page_table<quire::riscv::sv39x4, laptop> guest{laptop{&memory}};
  if (!guest.create()) return 1;
  auto session = guest.exclusive();
  const auto ram = quire::input_range::sized(quire::input_address{0x8000'0000}, 1 << 30);
  if (!session.map(ram, quire::output_address{0x1'4000'0000}, {.allowed = quire::all_access})) return 1;
  const auto before = session.lookup(quire::input_address{0x8012'3456});
  const auto changed = session.write_protect(ram);
  const auto split = session.split(ram);
  const auto after = session.translate(quire::input_address{0x8012'3456});
  if (!before || !changed || !split || !after) return 1;
  std::printf("one leaf of %llu MiB, then %zu tables; 0x80123456 -> 0x%llx\n",
              static_cast<unsigned long long>(before->bytes >> 20), split->tables,
              static_cast<unsigned long long>(after->value));
}
