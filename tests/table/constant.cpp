// SPDX-License-Identifier: MIT
// Sequences of operations in constant evaluation, where the compiler itself finds undefined behaviour, leaks of storage
// and reads of what was never written. Each is run again at run time, on the vector kernels.
#include <quire/table/constant_table.hpp>

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/format/riscv_gstage.hpp>  // riscv::sv39x4
#include <quire/format/tiny.hpp>          // tiny::plain

#include "catch.hpp"

namespace {

using namespace quire;

template <class F, std::size_t Tables>
using image = table_image < F,
      root_table_bytes<F><table_unit_bytes<F> ? table_unit_bytes<F> : root_table_bytes<F>, Tables>;

// Pages `count` from `first`; the page's size is the format's.
template <class F>
constexpr input_range pages(std::uint64_t first, std::uint64_t count) {
  return input_range::sized(input_address{first * F::shape.page_bytes()}, count * F::shape.page_bytes());
}
template <class F>
constexpr output_address out(std::uint64_t page) {
  return output_address{page * F::shape.page_bytes()};
}

// Whether every page of [first, first + count) leads to `page`, `page` + 1, ... with these rights.
template <class F, class Session>
constexpr bool leads(Session& session, std::uint64_t first, std::uint64_t count, std::uint64_t page,
                     permissions rights) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const input_address byte{(first + i) * F::shape.page_bytes() + 5};
    const auto found = session.lookup(byte);
    if (!found || found->translate(byte) != out<F>(page + i) + 5 || found->attrs.allowed != rights) return false;
  }
  return true;
}

// Every operation once, on the first `block` pages (one block of level 1) and their neighbours. Gives the number of the
// first check that failed, 0 for none.
template <class F, std::size_t Tables>
constexpr int every_operation() {
  constexpr std::uint64_t block = F::shape.leaf_bytes(1) / F::shape.page_bytes();
  constexpr attributes guest{.allowed = read_write, .may_write = true};
  image<F, Tables> words;
  page_table<F, image_policies<image<F, Tables>>> table{image_policies<image<F, Tables>>{words}};
  const auto& tables = table.policies().tables;
  if (!table.create()) return 1;
  {
    auto session = table.exclusive();
    const auto ignore = [](input_address, std::uint64_t) {};
    if (!session.map(pages<F>(0, block), out<F>(block), guest)) return 2;
    if (!leads<F>(session, block - 2, 2, 2 * block - 2, read_write)) return 3;
    const std::size_t with_block = tables.left();
    const auto split = session.split(pages<F>(1, 1));
    if (!split || split->tables != 1 || tables.left() + 1 != with_block) return 4;
    if (!leads<F>(session, 0, 3, block, read_write)) return 5;
    if (const auto done = session.protect(pages<F>(1, 2), readable, partial::split, table.policies().tables, ignore);
        !done || !*done)
      return 6;
    if (!leads<F>(session, 1, 2, block + 1, readable) || !leads<F>(session, 0, 1, block, read_write)) return 7;
    if (!session.relax(input_address{F::shape.page_bytes()}, read_write)) return 8;
    if (!leads<F>(session, 1, 1, block + 1, read_write)) return 9;
    if (const auto done = session.write_protect(input_address{0}, 0x3, ignore); !done || !*done) return 10;
    if (!leads<F>(session, 0, 2, block, readable)) return 11;
    if (const auto done = session.restore_write(pages<F>(0, 2)); !done || !*done) return 12;
    if (const auto done = session.test_and_clear_accessed(pages<F>(0, block)); !done || !*done) return 13;
    std::uint64_t dirty = F::facts.has_dirty ? 0 : 2;
    [[maybe_unused]] const auto report = [&](input_address, std::uint64_t bytes) {
      dirty += bytes / F::shape.page_bytes();
    };
    if constexpr (F::facts.has_dirty)
      if (!session.read_and_clear_dirty(pages<F>(0, block), report)) return 14;
    if (dirty != 2) return 14;
    const auto gone = session.unmap(pages<F>(2, 1));
    if (!gone || gone->entries != 1 || session.lookup(input_address{2 * F::shape.page_bytes()})) return 15;
    if (!session.annotate(pages<F>(2, 1), 6) ||
        session.annotation(input_address{2 * F::shape.page_bytes()}).value() != 6)
      return 16;
    if (session.map(pages<F>(2, 1), out<F>(0), guest).error().code != errc::marked) return 17;
    if (!session.map(pages<F>(0, block), out<F>(0), guest, {.largest_level = 0, .replace = true})) return 18;
    const auto collapsed = session.collapse(pages<F>(0, block));
    if (!collapsed || collapsed->leaves != 1 || tables.left() != with_block) return 19;
    if (!session.discard(pages<F>(0, block - 1))) return 20;
    std::size_t mappings = 0;
    if (!session.for_each_mapping(pages<F>(0, block), [&](const mapping&) { ++mappings; }) || mappings != 1) return 21;
    if (!session.unmap(pages<F>(block - 1, 1)) || !session.prune(pages<F>(0, block))) return 22;
    if (tables.left() != Tables) return 23;
    if (session.map(input_range{}, out<F>(0), guest).error().code != errc::empty_range) return 24;
  }
  return table.destroy(Tables) && tables.left() == Tables ? 0 : 25;
}

// All sequences of `length` out of six operations on four pages that end with operation `last`, each compared page by
// page with what was asked for. In six parts, because a compiler counts the steps of one evaluation and gives up.
constexpr int sequences(int length, int last) {
  using F = tiny::plain;
  int count = 1;
  for (int i = 1; i < length; ++i) count *= 6;
  for (int number = last * count; number < (last + 1) * count; ++number) {
    image<F, 8> words;
    page_table<F, image_policies<image<F, 8>>> table{image_policies<image<F, 8>>{words}};
    if (!table.create()) return -1;
    auto session = table.exclusive();
    std::array<int, 4> model{};  // 0: nothing, else rights + 1
    for (int i = 0, rest = number; i < length; ++i, rest /= 6) {
      bool fine = false;
      switch (rest % 6) {
        case 0:
          fine = session.map(pages<F>(0, 4), out<F>(0), {.allowed = read_write}, {.replace = true}).has_value();
          for (int& each : model) each = 4;
          break;
        case 1:
          fine = session.map(pages<F>(1, 2), out<F>(1), {.allowed = readable}, {.replace = true}).has_value();
          model[1] = model[2] = 2;
          break;
        case 2:
          fine = session.unmap(pages<F>(2, 2)).has_value();
          model[2] = model[3] = 0;
          break;
        case 3:
          fine = session.protect(pages<F>(0, 2), readable).has_value();
          for (std::size_t k = 0; k < 2; ++k) model[k] = model[k] != 0 ? 2 : 0;
          break;
        case 4: fine = session.split(pages<F>(0, 4)).has_value(); break;
        default: fine = session.collapse(pages<F>(0, 4)).has_value(); break;
      }
      if (!fine) return number + 1;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      const auto found = session.lookup(input_address{k * 64});
      const int now =
          found ? (found->translate(input_address{k * 64}).value == k * 64 ? found->attrs.allowed.bits + 1 : -1) : 0;
      if (now != model[k]) return number + 1;
    }
  }
  return 0;
}

}  // namespace

static_assert(every_operation<tiny::plain, 8>() == 0);
static_assert(every_operation<tiny::grouped, 8>() == 0);
static_assert(every_operation<tiny::wide_root, 8>() == 0);
static_assert(every_operation<riscv::sv39x4, 6>() == 0);
static_assert(sequences(3, 0) == 0);
static_assert(sequences(3, 1) == 0);
static_assert(sequences(3, 2) == 0);
static_assert(sequences(3, 3) == 0);
static_assert(sequences(3, 4) == 0);
static_assert(sequences(3, 5) == 0);

TEST_CASE("what is true in constant evaluation is true at run time") {
  CHECK(every_operation<tiny::plain, 8>() == 0);
  CHECK(every_operation<tiny::grouped, 8>() == 0);
  CHECK(every_operation<tiny::wide_root, 8>() == 0);
  CHECK(every_operation<riscv::sv39x4, 6>() == 0);
  for (int last = 0; last < 6; ++last) CHECK(sequences(5, last) == 0);
}
