// SPDX-License-Identifier: MIT
#include <quire/dirty/eager_split.hpp>

#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

// With blocks; with one more level; groups; rights in tables; hardware that writes; break before make.
using formats = std::tuple<quire::tiny::plain, quire::tiny::grouped, quire::tiny::inverted, quire::tiny::hardware_ad,
                           quire::tiny::dbm, quire::tiny::inverted_dbm, quire::tiny::wide_root>;

// Pages: 32, or what the format has.
template <class Format>
constexpr std::uint64_t window = []() constexpr {
  const int bits = Format::shape.input_bits() - Format::shape.page_bits - (Format::facts.sign_extended ? 1 : 0);
  return bits < 5 ? std::uint64_t{1} << bits : 32U;
}();

// Blocks and pages side by side, holes between them.
template <class Format>
void furnish(rig<Format>& r) {
  const std::uint64_t n = r.per_block;
  r.map(r.pages(0, 2 * n), 1, r.usual(), true);
  r.map(r.pages(3 * n, n), 0, r.usual(), true);
  r.map(r.pages(4 * n, window<Format> - 4 * n), 7, r.usual(), true);
}
template <class Format>
std::vector<std::uint64_t> outputs(rig<Format>& r) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t page = 0; page < window<Format>; ++page) {
    const auto found = r.found(r.at(page));
    all.push_back(found.mapped() ? found.output.value : ~std::uint64_t{0});
  }
  return all;
}
template <class Format>
quire::eager_split_result split(rig<Format>& r, input_range range, std::uint64_t chunk) {
  auto session = r.table.exclusive(r.lock);
  return quire::split_eagerly<quire::split_skips<Format>>(session, r.splitter, range, chunk);
}
// How many pages of [first, last] are not single leaves of level 0.
template <class Format>
std::uint64_t large(rig<Format>& r, std::uint64_t first, std::uint64_t count) {
  std::uint64_t n = 0;
  for (std::uint64_t page = first; page < first + count; ++page) {
    const auto e = r.found(r.at(page)).entry;
    n += e.kind == quire::entry_kind::leaf && (e.level != 0 || Format::group_of(e.word, 0) != 0) ? 1U : 0U;
  }
  return n;
}

}  // namespace

QUIRE_TYPED_TEST("any range in any chunks becomes pages and nothing else changes", formats) {
  using r_type = rig<Format>;
  for (const std::uint64_t chunk : {r_type::page, r_type::block, r_type::region, 4 * r_type::region})
    for (std::uint64_t first = 0; first < window<Format>; first += 1 + first / 7)
      for (std::uint64_t count = 1; first + count <= window<Format>; count += 1 + count / 5) {
        rig<Format> r{window<Format>, {.units = 64, .hardware = 8, .yield_every = static_cast<unsigned>(count & 1U)}};
        furnish(r);
        const auto before = outputs(r);
        const auto done = split(r, r.pages(first, count), chunk);
        REQUIRE(done.missed == 0);
        REQUIRE(large(r, first, count) == 0);
        REQUIRE(outputs(r) == before);
        // Again: there is nothing left to do.
        const std::size_t taken = r.watch.count(what::table_taken);
        REQUIRE(split(r, r.pages(first, count), chunk).leaves == 0);
        REQUIRE(r.watch.count(what::table_taken) == taken);
        REQUIRE(r.ended() == "");
      }
}

QUIRE_TYPED_TEST("blocks that the range does not touch stay blocks", formats) {
  rig<Format> r{window<Format>};
  const std::uint64_t n = r.per_block;
  r.map(r.all(), 1);
  const std::size_t blocks = r.count(r.all()).leaves[1];
  REQUIRE(blocks != 0);
  const auto done = split(r, r.pages(n - 1, 2), r.block);
  CHECK(done.leaves == 2);
  CHECK(r.count(r.all()).leaves[1] == blocks - 2);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("out of memory anywhere it says what it missed", formats) {
  for (std::uint64_t k = 1; k < 16; ++k)
    for (const unsigned yields : {0U, 1U}) {
      rig<Format> r{window<Format>, {.units = 64, .yield_every = yields}};
      furnish(r);
      const auto before = outputs(r);
      r.machine.tables().fail_all_from(k);
      const auto done = split(r, r.all(), r.block);
      REQUIRE(done.missed % r.page == 0);
      const std::uint64_t missed = done.missed / r.page;
      REQUIRE(missed <= window<Format>);
      REQUIRE(large(r, 0, window<Format> - missed) == 0);
      REQUIRE((missed == 0 || large(r, window<Format> - missed, missed) != 0));
      REQUIRE(outputs(r) == before);
      r.machine.tables().fail_never();
      REQUIRE(split(r, r.all(), r.block).missed == 0);
      REQUIRE(large(r, 0, window<Format>) == 0);
      REQUIRE(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("one failed allocation is no reason to stop when there is a stock", formats) {
  rig<Format> r{window<Format>};
  furnish(r);
  REQUIRE(r.splitter.top_up(24));
  r.machine.tables().fail_all_from(1);
  CHECK(split(r, r.all(), r.page).missed == 0);
  CHECK(large(r, 0, window<Format>) == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("the root goes while the lock is dropped", formats) {
  for (unsigned when = 1; when < 12; ++when) {
    rig<Format> r{window<Format>, {.units = 64, .yield_every = 1}};
    furnish(r);
    unsigned pauses = 0;
    r.watch.on_pause = [&] {
      if (++pauses != when) return;
      r.machine.stop();
      if (!r.table.destroy(~std::size_t{0})) r.watch.wrong("not destroyed");
    };
    const auto done = split(r, r.all(), r.page);
    CHECK(done.missed != 0);
    CHECK(pauses == when);
    CHECK(done.drops == when);
    CHECK(r.ended() == "");
  }
}

TEST_CASE("the switch") {
  quire::eager_split_control off;
  CHECK(off.chunk() == 0);
  off.set_chunk_bytes(4096);
  CHECK(off.chunk() == 4096);
  off.set_enabled(false);
  CHECK(off.chunk() == 0);
  off.set_enabled(true);
  CHECK(off.chunk() == 4096);
  constexpr quire::eager_split_control on{true, 0x20'0000};
  CHECK(on.chunk() == 0x20'0000);
}
