// SPDX-License-Identifier: MIT
// What a table maps, as ranges: each question about a guest's memory is one pipeline, and none of them allocates.
#include <quire/quire.hpp>
#include <quire/views/dirty_pages.hpp>
#include <quire/views/foreign.hpp>
#include <quire/views/gaps.hpp>
#include <quire/views/mappings.hpp>
#include <quire/views/tables.hpp>

#include <range/v3/algorithm/count_if.hpp>
#include <range/v3/numeric/accumulate.hpp>
#include <range/v3/view/filter.hpp>
#include <range/v3/view/take.hpp>
#include <range/v3/view/transform.hpp>

#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

namespace views = quire::views;
using quire::mapping;

struct heap {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return quire::errc::no_memory;
    std::memset(table, 0, bytes);
    return quire::table_address{reinterpret_cast<std::uintptr_t>(table)};
  }
  void free(quire::table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};

using format = quire::riscv::gstage<3, quire::riscv::extensions{.svadu = true}>;  // the hardware marks dirty leaves
struct laptop : quire::policies {
  quire::table_cache<heap, quire::direct_memory, std::uint64_t, true> tables;
  explicit laptop(heap* from) : tables(from, {}, quire::table_unit_bytes<format>) {}
};

constexpr std::uint64_t mib = 1 << 20;
constexpr auto ram = quire::input_range::sized(quire::input_address{0x8000'0000}, 64 * mib);
constexpr auto rom = quire::input_range::sized(quire::input_address{0x8800'0000}, 3 * 4096);

// How much of its memory can the guest write?
template <class Session>
std::uint64_t writable_bytes(Session& session) {
  const auto is_writable = [](const mapping& m) { return m.attrs.allowed.contains(quire::writable); };
  const auto bytes = [](const mapping& m) { return m.bytes; };
  return ranges::accumulate(
      session | views::mappings | ranges::views::filter(is_writable) | ranges::views::transform(bytes),
      std::uint64_t{0});
}

// What did the hardware write to?
template <class Session>
void print_dirty(Session& session) {
  for (const mapping& m : session | views::dirty_mappings(ram))
    fmt::print("dirty: {:#x}, {} KiB\n", m.input.value, m.bytes >> 10);
}

// Where is there room for a device of 1 MiB?
template <class Session>
void print_room(Session& session) {
  const auto is_large = [](const quire::input_range& gap) { return gap.last() - gap.first() >= mib - 1; };
  for (const quire::input_range& gap : session | views::gaps | ranges::views::filter(is_large) | ranges::views::take(2))
    fmt::print("room: {:#x} to {:#x}\n", gap.first().value, gap.last().value);
}

// What does it cost?
template <class Session>
auto tables_of_pages(Session& session) {
  return ranges::count_if(session | views::tables, [](const views::found_table& t) { return t.level == 0; });
}

// Which pages are in the log?
void print_log(quire::dirty_bitmap& log, const quire::memory_slot& slot) {
  for (const quire::input_address page : views::dirty_pages<format>(log, slot))
    fmt::print("logged: {:#x}\n", page.value);
}

// What is wrong with tables that somebody else made, or saved?
template <class Memory>
void print_findings(const Memory& memory, quire::table_address root) {
  for (const quire::foreign_finding& found : views::foreign_findings<format>(memory, root, ram))
    fmt::print("{} from {:#x}, level {}\n", name_of(found.what), found.address.value, found.level);
}

int main() {
  heap memory;
  quire::page_table<format, laptop> guest{laptop{&memory}};
  if (!guest.create()) return 1;
  auto session = guest.exclusive();
  if (!session.map(ram, quire::output_address{0x1'4000'0000}, {.allowed = quire::all_access, .may_write = true}) ||
      !session.map(rom, quire::output_address{0x1'8000'0000}, {.allowed = quire::read_execute}))
    return 1;
  const auto written = quire::input_range::sized(ram.first() + 5 * mib, 4096);
  if (!session.unmap(written) || !session.map(written, quire::output_address{0x1'4050'0000},
                                              {.allowed = quire::all_access, .may_write = true, .dirty = true}))
    return 1;
  std::uint64_t words[quire::bitmap_words(64 * mib / 4096)]{};
  quire::dirty_bitmap log{words, 64 * mib / 4096};
  log.mark(1280);

  fmt::print("writable: {} MiB in {} tables of pages\n", writable_bytes(session) / mib, tables_of_pages(session));
  print_dirty(session);
  print_room(session);
  print_log(log, {.first = ram.first(), .pages = log.pages()});
  // A dump that lacks all but the root.
  const auto* const root_bytes = reinterpret_cast<const std::byte*>(session.root()->value);
  print_findings(quire::memory_dump{root_bytes, quire::root_table_bytes<format>, session.root()->value},
                 *session.root());
  const bool right = writable_bytes(session) == 64 * mib && tables_of_pages(session) == 2;
  return right ? 0 : 1;
}
