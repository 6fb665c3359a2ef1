// SPDX-License-Identifier: MIT
#include <quire/dirty/memory_slot.hpp>

#include <cstdint>  // uint64_t

#include <quire/format/arm64_stage2.hpp>  // arm64::stage2_4k
#include <quire/format/riscv_gstage.hpp>  // riscv::sv48x4

#include "catch.hpp"
#include "support/typed.hpp"

namespace {
using quire::input_address;
using quire::memory_slot;
}  // namespace

QUIRE_TYPED_TEST("a page belongs to the slot or it does not", quire_test::all_formats) {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  for (const std::uint64_t first : {std::uint64_t{0}, page, 3 * page})
    for (std::uint64_t pages = 1; pages < 6; ++pages) {
      const memory_slot slot{.first = input_address{first}, .pages = pages};
      CHECK(slot.range<Format>() == quire::input_range::sized(slot.first, pages * page));
      for (std::uint64_t at = 0; at < 10 * page; at += page / 2) {
        const bool inside = at >= first && at < first + pages * page;
        CHECK(slot.contains<Format>(input_address{at}) == inside);
        if (inside) CHECK(slot.page_index<Format>(input_address{at}) == (at - first) / page);
      }
    }
}

// Every start, size and host offset of a small space, against the definition.
QUIRE_TYPED_TEST("the largest level is the largest leaf inside the slot", quire_test::tiny_formats) {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  constexpr std::uint64_t space = std::uint64_t{1} << (Format::shape.input_bits() - Format::shape.page_bits);
  constexpr std::uint64_t most = space < 64 ? space : 64;
  const auto brute = [](const memory_slot& slot, std::uint64_t at, int largest) {
    int best = 0;
    for (int level = 1; level <= largest && level < Format::shape.levels; ++level) {
      if ((Format::group_sizes(level) & 1U) == 0) continue;
      const std::uint64_t bytes = Format::shape.leaf_bytes(level);
      bool fits = slot.first.value % bytes == slot.host % bytes;
      for (std::uint64_t p = at / bytes * bytes; fits && p < at / bytes * bytes + bytes; p += page)
        fits = slot.contains<Format>(input_address{p});
      if (fits) best = level;
    }
    return best;
  };
  std::uint64_t wrong = 0;
  for (std::uint64_t first = 0; first < most; first += first < 8 ? 1 : 5)
    for (std::uint64_t pages = 1; first + pages <= most; pages += pages < 6 ? 1 : 7)
      for (const std::uint64_t skew : {0U, 1U, 4U, 16U, 17U})
        for (std::uint64_t at = first; at < first + pages; ++at)
          for (int largest = 0; largest <= Format::shape.levels; ++largest) {
            const memory_slot slot{.first = input_address{first * page}, .pages = pages, .host = (first + skew) * page};
            wrong +=
                slot.largest_level<Format>(input_address{at * page + 5}, largest) != brute(slot, at * page, largest)
                    ? 1U
                    : 0U;
          }
  CHECK(wrong == 0);
}

TEST_CASE("real sizes") {
  using sv48 = quire::riscv::sv48x4;
  using stage2 = quire::arm64::stage2_4k<48>;
  constexpr std::uint64_t gib = std::uint64_t{1} << 30U, mib = std::uint64_t{1} << 20U;
  constexpr memory_slot slot{.first = input_address{512 * gib}, .pages = 512 * gib / 4096, .host = 1024 * gib};
  static_assert(slot.largest_level<sv48>(input_address{600 * gib + 12345}, 7) == 3);
  static_assert(slot.largest_level<stage2>(input_address{600 * gib}, 7) == 2);  // no leaf of 512 GiB
  static_assert(slot.largest_level<sv48>(input_address{600 * gib}, 1) == 1);
  constexpr memory_slot odd{.first = input_address{gib - mib}, .pages = 2 * gib / 4096, .host = 5 * gib - mib};
  static_assert(odd.largest_level<sv48>(input_address{gib - mib}, 7) == 0);
  static_assert(odd.largest_level<sv48>(input_address{gib}, 7) == 2);
  static_assert(odd.largest_level<sv48>(input_address{2 * gib}, 7) == 1);
  constexpr memory_slot skewed{.first = input_address{gib}, .pages = gib / 4096, .host = 5 * gib + 2 * mib};
  static_assert(skewed.largest_level<sv48>(input_address{gib + 5 * mib}, 7) == 1);
  constexpr memory_slot top{.first = input_address{(std::uint64_t{1} << 48U) - gib}, .pages = gib / 4096, .host = 0};
  static_assert(top.largest_level<stage2>(input_address{(std::uint64_t{1} << 48U) - 1}, 7) == 2);
  CHECK(top.contains<stage2>(input_address{(std::uint64_t{1} << 48U) - 1}));
  CHECK_FALSE(top.contains<stage2>(input_address{std::uint64_t{1} << 48U}));
}
