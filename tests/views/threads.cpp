// SPDX-License-Identifier: MIT
// A view that is read in a section while another thread maps, splits and unmaps beside it: what it shows was mapped,
// in ascending order, and no table is read that was given back.
#include <atomic>   // atomic
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <cstdlib>  // aligned_alloc, free
#include <cstring>  // memset
#include <thread>   // thread

#include <quire/format/riscv_gstage.hpp>  // riscv::sv39x4
#include <quire/policy/epoch.hpp>         // epoch_section
#include <quire/policy/table_cache.hpp>   // table_cache
#include <quire/table/page_table.hpp>     // page_table
#include <quire/views/gaps.hpp>           // gaps
#include <quire/views/mappings.hpp>       // mappings
#include <quire/views/tables.hpp>         // tables

#include "catch.hpp"
#include "support/scale.hpp"

namespace {

using namespace quire;
using format = riscv::sv39x4;

struct heap {
  result<table_address> allocate(std::uint64_t bytes) {
    void* const table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return errc::no_memory;
    std::memset(table, 0, bytes);
    return table_address{reinterpret_cast<std::uintptr_t>(table)};
  }
  void free(table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};
struct open : policies {
  using locking = quire::locking::concurrent<epoch_section>;
  table_cache<heap, direct_memory, std::uint64_t, true> tables;
  explicit open(heap* from) : tables(from, {}, table_unit_bytes<format>) {}
};

constexpr input_range guest = input_range::sized(input_address{0x8000'0000}, 8 << 21);
[[nodiscard]] constexpr output_address behind(input_address at) { return output_address{at.value + 0x1'0000'0000}; }

}  // namespace

TEST_CASE("views read beside threads that change the table") {
  heap memory;
  page_table<format, open> table{open{&memory}};
  REQUIRE(table.create());
  epoch_slot slots[2];
  epoch_reclaim domain{slots, 2};
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> changes{0};
  std::thread other([&] {
    epoch_section section{domain, 1};
    for (std::uint64_t round = 0; !over; ++round) {
      const auto block = input_range::sized(guest.first() + ((round % 8) << 21), 1 << 21);
      {
        auto session = table.concurrent(section);
        bool changed = false;
        if (round / 8 % 3 == 0) {
          changed = session
                        .map(block, behind(block.first()), {.allowed = read_write}, table.policies().tables,
                             {.largest_level = round % 2 == 0 ? 1 : 0})
                        .has_value();
        } else if (round / 8 % 3 == 1) {
          changed = session.split(block, 0, table.policies().tables).has_value();
        } else {
          changed = session.unmap(block).has_value();
        }
        if (changed) changes.fetch_add(1, std::memory_order_relaxed);
      }
      static_cast<void>(table.collect(section));
    }
    while (table.collect(section) != 0) {
    }
  });

  epoch_section section{domain, 0};
  std::size_t wrong = 0, seen = 0, passes = 0;
  while (passes < quire_test::scaled(2000) || seen == 0 || changes < 100) {
    ++passes;
    auto session = table.concurrent(section);
    input_address next = guest.first();
    for (const mapping one : session | views::mappings) {
      wrong += one.input >= next && one.output == behind(one.input) ? 0U : 1U;
      next = one.input + one.bytes;
      ++seen;
    }
    input_address gap_end{};
    for (const input_range gap : session | views::gaps(guest)) {
      wrong += gap.first() >= gap_end && gap.last() <= guest.last() ? 0U : 1U;
      gap_end = gap.last() + 1;
    }
    for (const views::found_table one : session | views::tables) wrong += one.level <= 2 ? 0U : 1U;
  }
  over = true;
  other.join();
  CHECK(wrong == 0);
  CHECK(seen > 0);
}
