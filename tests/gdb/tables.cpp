// SPDX-License-Identifier: MIT
// Writes what the debugger should show of the variables of main(), and stops there.
#include <cstdlib>  // aligned_alloc, free
#include <cstring>  // memset
#include <fstream>  // ofstream

#include <quire/format/x86_64.hpp>  // x86::long_mode
#include <quire/print/dump.hpp>     // dump
#include <quire/print/stream.hpp>   // operator<<
#include <quire/quire.hpp>          // page_table

namespace {

using namespace quire;

[[gnu::noinline]] void stop_here(const void* seen) { asm volatile("" : : "r"(seen) : "memory"); }

// Tables from the heap, at `displacement` bytes from their address.
struct heap_tables {
  std::uint64_t displacement;
  std::uint64_t unit;

  [[nodiscard]] bool reserve(std::size_t) const { return true; }
  result<table_address> take(table_contents) { return take_root(unit); }
  void give_back(table_address table) const { std::free(reinterpret_cast<void*>(table.value + displacement)); }
  result<table_address> take_root(std::uint64_t bytes) const {
    void* const table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return errc::no_memory;
    std::memset(table, 0, bytes);
    return table_address{reinterpret_cast<std::uintptr_t>(table) - displacement};
  }
  void give_back_root(table_address root, std::uint64_t) const { give_back(root); }
};

constexpr std::uint64_t distance = 0x10'0000'0000;

template <class Format, class Memory>
struct of_the_heap : policies {
  Memory memory;
  heap_tables tables;
  explicit of_the_heap(Memory m) : memory(m), tables{m.displacement(), table_unit_bytes<Format>} {}
};

// Entries of 32 bits, in an array.
using narrow = riscv::sv32x4;
using narrow_block = table_block<narrow::word, 0x10'0000, root_table_bytes<narrow>, table_unit_bytes<narrow>, 4>;
struct of_an_array : policies {
  array_memory<narrow::word> memory;
  block_tables<narrow_block> tables;
  explicit of_an_array(narrow_block& block) : memory(block.memory()), tables(block) {}
};

constexpr input_range pages(std::uint64_t first, std::uint64_t count) {
  return input_range::sized(input_address{first * 4096}, count * 4096);
}

template <class Table>
bool fill(Table& table) {
  auto session = table.exclusive();
  const attributes wanted{.allowed = read_write, .may_write = true};
  return session.map(pages(0x400, 0x400), output_address{0x80'0000}, wanted) &&
         session.map(pages(0x810, 0x10), output_address{0x3'0000}, wanted) &&
         session.map(pages(0x830, 3), output_address{0x12'3000}, wanted) && session.write_protect(pages(0x831, 1)) &&
         session.annotate(pages(0x840, 2), 7);
}

template <class Table>
void expect_dumps(std::ostream& out, const char* name, Table& table) {
  for (const auto style : {dump_style::runs, dump_style::raw}) {
    out << "dump " << (style == dump_style::runs ? "runs " : "raw ") << name << '\n';
    if (!dump(table.exclusive(), style, out)) out << "failed\n";
  }
}

template <class Table>
void expect(std::ostream& out, const char* name, Table& table) {
  expect_dumps(out, name, table);
  std::size_t leaves = 0;
  for (const input_range& part : input_parts<typename Table::format>)
    if (!table.exclusive().for_each_mapping(part, [&](const mapping&) { ++leaves; })) out << "failed\n";
  out << "summary " << name << '\n' << *table.root() << ", " << leaves << " leaves\n";
}

template <class T>
void expect_value(std::ostream& out, const char* name, const T& value) {
  out << "value " << name << '\n' << value << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ofstream out(arguments[1]);

  using grouped = arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>;
  page_table<riscv::sv39x4, of_the_heap<riscv::sv39x4, direct_memory>> displaced{
      of_the_heap<riscv::sv39x4, direct_memory>{direct_memory{distance}}};
  page_table<grouped, of_the_heap<grouped, direct_memory_at<distance>>> constant{
      of_the_heap<grouped, direct_memory_at<distance>>{{}}};
  page_table<x86::long_mode<4>, of_the_heap<x86::long_mode<4>, identity_memory>> identical{
      of_the_heap<x86::long_mode<4>, identity_memory>{{}}};
  narrow_block block{};
  page_table<narrow, of_an_array> arrayed{of_an_array{block}};
  decltype(identical) looped{of_the_heap<x86::long_mode<4>, identity_memory>{{}}};
  page_table<riscv::sv39x4, of_the_heap<riscv::sv39x4, direct_memory>> rootless{
      of_the_heap<riscv::sv39x4, direct_memory>{direct_memory{distance}}};
  if (!displaced.create() || !constant.create() || !identical.create() || !arrayed.create() || !looped.create())
    return 1;
  if (!fill(displaced) || !fill(constant) || !fill(identical) || !fill(arrayed) || !fill(looped)) return 1;
  expect(out, "displaced", displaced);
  expect(out, "constant", constant);
  expect(out, "identical", identical);
  expect(out, "arrayed", arrayed);
  const table_address root = *looped.root();
  looped.policies().memory.store(root, 5, x86::long_mode<4>::table(root, 3), order::relaxed);
  expect_dumps(out, "looped", looped);

  const input_address input{0x8000'0000};
  const output_address output{0x1000};
  const table_address table{0x2000};
  const input_range range = pages(1, 3), empty = pages(1, 0);
  const permissions rights = read_execute;
  const attributes plain{.allowed = all_access, .may_write = true, .dirty = true};
  const attributes special{
      .memory = memory_type::device, .accessed = false, .software = 3, .from = privilege::user, .global = true};
  const error nowhere{errc::no_root}, somewhere{errc::not_mapped, 1, 0x1000};
  const result<void> done, failed = errc::busy;
  const result<bool> yes = true;
  const result<std::uint64_t> number = std::uint64_t{17};
  const result<mapping> found = constant.exclusive().lookup(input_address{0x81'2345});
  const result<mapping> missed = constant.exclusive().lookup(input_address{0});
  const mapping leaf = *found;
  const invalidation_request request{input, input + 0xfff, 0, true, invalidation_reason::removed};
  const auto shape = riscv::sv39x4::shape;
#define QUIRE_EXPECT_VALUE(name) expect_value(out, #name, name)
  QUIRE_EXPECT_VALUE(input);
  QUIRE_EXPECT_VALUE(output);
  QUIRE_EXPECT_VALUE(table);
  QUIRE_EXPECT_VALUE(range);
  QUIRE_EXPECT_VALUE(empty);
  QUIRE_EXPECT_VALUE(rights);
  QUIRE_EXPECT_VALUE(plain);
  QUIRE_EXPECT_VALUE(special);
  QUIRE_EXPECT_VALUE(nowhere);
  QUIRE_EXPECT_VALUE(somewhere);
  QUIRE_EXPECT_VALUE(done);
  QUIRE_EXPECT_VALUE(failed);
  QUIRE_EXPECT_VALUE(yes);
  QUIRE_EXPECT_VALUE(number);
  QUIRE_EXPECT_VALUE(found);
  QUIRE_EXPECT_VALUE(missed);
  QUIRE_EXPECT_VALUE(leaf);
  QUIRE_EXPECT_VALUE(request);
  QUIRE_EXPECT_VALUE(shape);
  out.close();
  stop_here(&rootless);
  looped.policies().memory.store(root, 5, std::uint64_t{0}, order::relaxed);
  return 0;
}
