// SPDX-License-Identifier: MIT
#include <quire/print/dump.hpp>

#include <cstdlib>   // malloc, free
#include <iterator>  // back_inserter
#include <memory>    // unique_ptr
#include <mutex>     // mutex
#include <new>       // operator new
#include <span>      // span
#include <sstream>   // ostringstream
#include <string>    // string
#include <vector>    // vector

#include <quire/print/stream.hpp>  // operator<<
#include <quire/quire.hpp>         // page_table, table_block

#include "support/typed.hpp"

using namespace quire;

namespace {

std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

constexpr std::uint64_t base = 0x10'0000;

template <class F>
using block_of = table_block<typename F::word, base, root_table_bytes<F>, table_unit_bytes<F>, 16>;

template <class F>
struct in_a_block : policies {
  array_memory<typename F::word> memory;
  block_tables<block_of<F>> tables;
  explicit in_a_block(block_of<F>& block) : memory(block.memory()), tables(block) {}
};

template <class F>
struct subject {
  std::unique_ptr<block_of<F>> block = std::make_unique<block_of<F>>();
  page_table<F, in_a_block<F>> table{in_a_block<F>{*block}};

  subject() { REQUIRE(table.create()); }
  [[nodiscard]] std::string dumped(dump_style style) {
    std::ostringstream out;
    REQUIRE(dump(table.exclusive(), style, out));
    return out.str();
  }
  // As one who does not trust the tables sees them.
  [[nodiscard]] std::string dumped_by_stranger(dump_style style, const foreign_bounds& bounds = {}) {
    std::string out;
    auto at = std::back_inserter(out);
    const auto bytes = std::as_bytes(std::span{block->words});
    REQUIRE(dump_foreign<F>(memory_dump{bytes.data(), bytes.size(), base}, block->root(), style, at, bounds));
    return out;
  }
};

constexpr input_range pages(std::uint64_t first, std::uint64_t count) {
  return input_range::sized(input_address{first * 4096}, count * 4096);
}
constexpr output_address at(std::uint64_t page) { return output_address{page * 4096}; }

// 2 blocks, then 3 pages of which one may not be written, a marker of 2 pages.
template <class F>
void fill(subject<F>& made, privilege from = privilege::any) {
  auto session = made.table.exclusive();
  const attributes wanted{.allowed = read_write, .may_write = true, .from = from};
  REQUIRE(session.map(pages(0x400, 0x400), at(0x800), wanted));
  REQUIRE(session.map(pages(0x800, 3), at(0x123), wanted));
  REQUIRE(session.write_protect(pages(0x802, 1)));
  REQUIRE(session.annotate(pages(0x804, 2), 7));
}

}  // namespace

TEST_CASE("runs merge what continues") {
  subject<riscv::sv39x4> made;
  fill(made);
  const char* expected =
      "input:0x400000-0x7fffff -> output:0x800000 4 MiB in 2 of 2 MiB rw-- may_write accessed normal\n"
      "input:0x800000-0x801fff -> output:0x123000 8 KiB in 2 of 4 KiB rw-- may_write accessed normal\n"
      "input:0x802000-0x802fff -> output:0x125000 4 KiB in 1 of 4 KiB r--- may_write accessed normal\n";
  CHECK(made.dumped(dump_style::runs) == expected);
  CHECK(made.dumped_by_stranger(dump_style::runs) == expected);
}

TEST_CASE("runs merge leaves of several sizes") {
  subject<riscv::sv39x4> made;
  auto session = made.table.exclusive();
  REQUIRE(session.map(pages(0x3fe, 0x202), at(0x1fe), {.allowed = readable}));
  std::ostringstream out;
  REQUIRE(dump(session, dump_style::runs, out));
  CHECK(out.str() ==
        "input:0x3fe000-0x5fffff -> output:0x1fe000 2056 KiB in 3 of 4 KiB to 2 MiB r--- accessed normal\n");
}

TEST_CASE("a tree has its tables indented and its runs folded") {
  subject<riscv::sv39x4> made;
  fill(made);
  const char* expected =
      "table:0x100000 level 2\n"
      "  [0] input:0x0-0x3fffffff table:0x104000 level 1\n"
      "    [2-3] input:0x400000-0x7fffff -> output:0x800000 4 MiB in 2 of 2 MiB rw-- may_write accessed normal\n"
      "    [4] input:0x800000-0x9fffff table:0x105000 level 0\n"
      "      [0-1] input:0x800000-0x801fff -> output:0x123000 8 KiB in 2 of 4 KiB rw-- may_write accessed normal\n"
      "      [2] input:0x802000-0x802fff -> output:0x125000 4 KiB in 1 of 4 KiB r--- may_write accessed normal\n"
      "      [4-5] input:0x804000-0x805fff 0x0000000000001e00 marker payload:0x7\n";
  CHECK(made.dumped(dump_style::tree) == expected);
  CHECK(made.dumped_by_stranger(dump_style::tree) == expected);
}

TEST_CASE("raw entries say where they lie, what they are and what that means") {
  subject<riscv::sv39x4> made;
  fill(made);
  CHECK(
      made.dumped(dump_style::raw) ==
      "table:0x100000 level 2 [0] input:0x0 0x0000000000041001 table table:0x104000\n"
      "table:0x104010 level 1 [2] input:0x400000 0x0000000000200157 leaf output:0x800000 2 MiB rw-- may_write accessed "
      "normal\n"
      "table:0x104018 level 1 [3] input:0x600000 0x0000000000280157 leaf output:0xa00000 2 MiB rw-- may_write accessed "
      "normal\n"
      "table:0x104020 level 1 [4] input:0x800000 0x0000000000041401 table table:0x105000\n"
      "table:0x105000 level 0 [0] input:0x800000 0x0000000000048d57 leaf output:0x123000 4 KiB rw-- may_write accessed "
      "normal\n"
      "table:0x105008 level 0 [1] input:0x801000 0x0000000000049157 leaf output:0x124000 4 KiB rw-- may_write accessed "
      "normal\n"
      "table:0x105010 level 0 [2] input:0x802000 0x0000000000049553 leaf output:0x125000 4 KiB r--- may_write accessed "
      "normal\n"
      "table:0x105020 level 0 [4] input:0x804000 0x0000000000001e00 marker payload:0x7\n"
      "table:0x105028 level 0 [5] input:0x805000 0x0000000000001e00 marker payload:0x7\n");
}

TEST_CASE("both halves of a signed space are dumped") {
  subject<riscv::sv39> made;
  auto session = made.table.exclusive();
  const attributes wanted{.allowed = read_execute, .from = privilege::supervisor, .global = true};
  REQUIRE(session.map(input_range::closed(input_address{~std::uint64_t{0xfff}}, input_address{~std::uint64_t{0}}),
                      at(1), wanted));
  REQUIRE(session.map(pages(0, 1), at(2), wanted));
  CHECK(made.dumped(dump_style::runs) ==
        "input:0x0-0xfff -> output:0x2000 4 KiB in 1 of 4 KiB r-xs accessed normal global\n"
        "input:0xfffffffffffff000-0xffffffffffffffff -> output:0x1000 4 KiB in 1 of 4 KiB r-xs accessed normal "
        "global\n");
}

TEST_CASE("a group is one leaf of a run and several raw entries") {
  subject<quire_test::format_named<"riscv-sv39x4-svnapot">> made;
  REQUIRE(made.table.exclusive().map(pages(0x10, 0x10), at(0x20), {.allowed = readable}));
  CHECK(made.dumped(dump_style::runs) ==
        "input:0x10000-0x1ffff -> output:0x20000 64 KiB in 1 of 64 KiB r--- accessed normal\n");
  CHECK(made.dumped(dump_style::tree).find("      [16-31] input:0x10000-0x1ffff -> ") != std::string::npos);
  const std::string raw = made.dumped(dump_style::raw);
  std::size_t lines = 0;
  for (std::size_t found = 0; (found = raw.find("leaf output:0x20000 64 KiB", found)) != std::string::npos; ++found)
    ++lines;
  CHECK(lines == 16);
}

TEST_CASE("rights that tables take away are shown") {
  using format = x86::long_mode<4>;
  subject<format> made;
  fill(made);
  made.block->words[0] &= ~std::uint64_t{2};  // no right to write
  CHECK(made.dumped(dump_style::tree).find("table:0x101000 level 2 rights:r-x\n") != std::string::npos);
  CHECK(made.dumped(dump_style::runs).find(" rw-- may_write accessed normal effective:r--\n") != std::string::npos);
}

TEST_CASE("what is wrong is said where it stands") {
  subject<riscv::sv39x4> made;
  fill(made);
  constexpr std::size_t root_of_one = 0x4000 / 8;                                     // the table of level 1
  made.block->words[root_of_one + 5] = riscv::sv39x4::table(table_address{base}, 1);  // to the root
  made.block->words[root_of_one + 6] = riscv::sv39x4::table(table_address{0xdead'0000}, 1);
  const std::string cycle = "finding: cycle at input:0xa00000, level 1, table:0x104000 entry 5: 0x40001\n";
  const std::string missing = "finding: unreadable at input:0xc00000, level 0, table:0xdead0000 entry 0: 0x0\n";
  CHECK(made.dumped_by_stranger(dump_style::runs).find("normal\n" + cycle + missing) != std::string::npos);
  CHECK(made.dumped_by_stranger(dump_style::raw).find(cycle) != std::string::npos);
  const std::string tree = made.dumped_by_stranger(dump_style::tree);
  CHECK(tree.find("\n    " + cycle) != std::string::npos);
  CHECK(tree.find("\n      " + missing) != std::string::npos);
  CHECK(made.dumped_by_stranger(dump_style::runs, {.budget = 3}) ==
        "finding: out_of_budget at input:0x400000, level 1, table:0x104000 entry 2: 0x0\n");
  made.block->words[root_of_one + 5] = made.block->words[root_of_one + 6] = 0;
}

TEST_CASE("only what overlaps the range is dumped") {
  subject<riscv::sv39x4> made;
  fill(made);
  std::ostringstream out;
  CHECK(dump(made.table.exclusive(), pages(0x802, 1), dump_style::runs, out).has_value());
  CHECK(out.str() == "input:0x802000-0x802fff -> output:0x125000 4 KiB in 1 of 4 KiB r--- may_write accessed normal\n");
  CHECK(dump(made.table.exclusive(), input_range::sized(input_address{1}, 4096), dump_style::runs, out).error().code ==
        errc::unaligned);
  page_table<riscv::sv39x4, in_a_block<riscv::sv39x4>> none{in_a_block<riscv::sv39x4>{*made.block}};
  CHECK(dump(none.exclusive(), dump_style::tree, out).error().code == errc::no_root);
}

TEST_CASE("a dump allocates nothing") {
  subject<riscv::sv39x4> made;
  fill(made);
  std::vector<char> room(1 << 16);
  struct fixed_buffer : std::streambuf {
    explicit fixed_buffer(std::vector<char>& over) { setp(over.data(), over.data() + over.size()); }
  } buffer{room};
  std::ostream stream(&buffer);
  const std::size_t before = allocations;
  for (const auto style : {dump_style::tree, dump_style::runs, dump_style::raw}) {
    auto out = room.begin();
    if (!dump(made.table.exclusive(), style, out)) break;
    if (!dump(made.table.exclusive(), style, stream)) break;
  }
  stream << input_address{1} << attributes{} << errc::busy;
  const std::size_t after = allocations;
  CHECK(before > 0);
  CHECK(after == before);
  CHECK(stream.good());
}

TEST_CASE("dirty and accessed tell runs apart") {
  subject<riscv::sv39x4> made;
  auto session = made.table.exclusive();
  REQUIRE(session.map(pages(0, 2), at(0), {.allowed = read_write}));
  REQUIRE(session.map(pages(2, 2), at(2), {.allowed = read_write, .dirty = true}));
  std::ostringstream out;
  REQUIRE(dump(session, dump_style::runs, out));
  CHECK(out.str() ==
        "input:0x0-0x1fff -> output:0x0 8 KiB in 2 of 4 KiB rw-- may_write accessed normal\n"
        "input:0x2000-0x3fff -> output:0x2000 8 KiB in 2 of 4 KiB rw-- may_write accessed dirty normal\n");
}
