// SPDX-License-Identifier: MIT
// A pipeline over 16 GiB in pages allocates nothing: this program counts what operator new is asked for.
#include <cstddef>  // size_t, byte
#include <cstdint>  // uint64_t
#include <cstdlib>  // malloc, aligned_alloc, free
#include <new>      // bad_alloc, align_val_t, nothrow_t
#include <vector>   // vector

#include <range/v3/view/filter.hpp>     // filter
#include <range/v3/view/transform.hpp>  // transform

#include <quire/format/riscv_gstage.hpp>  // riscv::sv39x4
#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/table/page_table.hpp>     // page_table
#include <quire/views/dirty_pages.hpp>    // dirty_pages
#include <quire/views/foreign.hpp>        // foreign_mappings
#include <quire/views/gaps.hpp>           // gaps
#include <quire/views/mappings.hpp>       // mappings, dirty_mappings
#include <quire/views/tables.hpp>         // tables

#include "catch.hpp"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* const block = std::malloc(bytes == 0 ? 1 : bytes)) return block;
  throw std::bad_alloc{};
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto align = static_cast<std::size_t>(alignment);
  if (void* const block = std::aligned_alloc(align, (bytes + align - 1) / align * align)) return block;
  throw std::bad_alloc{};
}
// These call the first one by default, but a sanitizer brings its own.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new[](std::size_t bytes) { return ::operator new(bytes); }
void operator delete[](void* block) noexcept { ::operator delete(block); }
void operator delete[](void* block, std::size_t) noexcept { ::operator delete(block); }
// Not inlined: GCC would see free() of what came from an operator new that it did not inline.
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }

namespace {

using namespace quire;
using format = riscv::gstage<3, riscv::extensions{.svadu = true}>;  // has a dirty bit

constexpr std::uint64_t gib = std::uint64_t{1} << 30, page = 4096, block = 512 * page;

// Tables from one piece of memory, one after the other.
struct stack_of_tables {
  std::uint64_t next;

  [[nodiscard]] bool reserve(std::size_t) const { return true; }
  result<table_address> take(table_contents) { return take_root(page); }  // the memory is zero
  void give_back(table_address) {}
  result<table_address> take_root(std::uint64_t bytes) {
    next = (next + bytes - 1) & ~(bytes - 1);
    next += bytes;
    return table_address{next - bytes};
  }
  void give_back_root(table_address, std::uint64_t) {}
};
struct laptop : policies {
  array_memory<std::uint64_t> memory;
  stack_of_tables tables;
  explicit laptop(std::vector<std::uint64_t>& from) : memory(from.data(), from.size(), block), tables{block} {}
};

}  // namespace

TEST_CASE("views over 16 GiB of pages allocate nothing") {
  std::vector<std::uint64_t> words(34 * 1024 * 1024 / sizeof(std::uint64_t));
  page_table<format, laptop> guest{laptop{words}};
  REQUIRE(guest.create());
  const auto ram = input_range::sized(input_address{4 * gib}, 16 * gib);
  auto session = guest.exclusive();
  REQUIRE(session.map(ram, output_address{32 * gib}, {.allowed = read_write, .may_write = true, .dirty = true},
                      {.largest_level = 0}));
  const auto quarter = input_range::sized(input_address{8 * gib}, 4 * gib);
  const nothing_reported unreported;
  REQUIRE(session.protect(quarter, readable, partial::split, guest.policies().tables, unreported));
  REQUIRE(session.read_and_clear_dirty(quarter, [](input_address, std::uint64_t) {}));
  std::vector<std::uint64_t> marks(bitmap_words(16 * gib / page));
  dirty_bitmap bitmap{marks.data(), 16 * gib / page};
  bitmap.set_all();
  REQUIRE(bitmap.take(5, ~std::uint64_t{0}) != 0);

  std::uint64_t bytes = 0, first_output = 0, dirty = 0, gaps = 0, leaf_tables = 0, marked = 0, foreign = 0;
  const std::size_t before = allocations;
  const auto is_writable = [](const mapping& one) { return one.attrs.allowed.contains(writable); };
  for (const std::uint64_t output : session | views::mappings | ranges::views::filter(is_writable) |
                                        ranges::views::transform([](const mapping& one) { return one.output.value; })) {
    bytes += page;
    if (first_output == 0) first_output = output;
  }
  for (const mapping one : session | views::dirty_mappings(ram)) dirty += one.bytes;
  for (const input_range one : session | views::gaps) gaps += one.last() - one.first() + 1;
  for (const views::found_table one : session | views::tables) leaf_tables += one.level == 0 ? 1U : 0U;
  for (const input_address at : views::dirty_pages<format>(bitmap, {.first = ram.first(), .pages = bitmap.pages()}))
    marked += at >= ram.first() ? 1U : 0U;
  const memory_dump dump{reinterpret_cast<const std::byte*>(words.data()), words.size() * sizeof(words[0]), block};
  for (const foreign_mapping& one : views::foreign_mappings<format>(dump, *session.root(), ram)) foreign += one.bytes;
  const std::size_t after = allocations;

  CHECK(after == before);
  CHECK(bytes == 12 * gib);
  CHECK(first_output == 32 * gib);
  CHECK(dirty == 12 * gib);
  CHECK(gaps == (std::uint64_t{1} << 41) - 16 * gib);
  CHECK(leaf_tables == 8192);
  CHECK(marked == 16 * gib / page - 64);
  CHECK(foreign == 16 * gib);
  // The count counts: a call of the function, which the compiler may not leave out.
  const std::size_t counted = allocations;
  ::operator delete(::operator new(1));
  const std::size_t once_more = allocations;
  CHECK(once_more == counted + 1);
}
