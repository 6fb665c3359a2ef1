// SPDX-License-Identifier: MIT
// quire::core alone: one arm64 block, split for dirty logging.
#include <quire/quire.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using format = quire::arm64::stage2_4k<40>;

struct heap {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return quire::errc::no_memory;
    return quire::table_address{reinterpret_cast<std::uintptr_t>(std::memset(table, 0, bytes))};
  }
  void free(quire::table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};

struct my_kernel : quire::policies {
  quire::table_cache<heap, quire::direct_memory, std::uint64_t, true> tables;
  explicit my_kernel(heap* from) : tables(from, {}, quire::table_unit_bytes<format>) {}
};

int main() {
  heap memory;
  quire::page_table<format, my_kernel> guest{my_kernel{&memory}};
  if (!guest.create()) return 1;
  auto session = guest.exclusive();
  const auto ram = quire::input_range::sized(quire::input_address{0x4000'0000}, 2 << 20);
  if (!session.map(ram, quire::output_address{0x8000'0000}, {.allowed = quire::all_access})) return 1;
  if (!session.write_protect(ram)) return 1;
  const auto split = session.split(ram);
  const auto found = session.translate(quire::input_address{0x4012'3456});
  if (!split || !found) return 1;
  std::printf("core: a block of 2 MiB split, tables added: %zu; 0x40123456 -> 0x%llx\n", split->tables,
              static_cast<unsigned long long>(found->value));
  return found->value == 0x8012'3456 ? 0 : 1;
}
