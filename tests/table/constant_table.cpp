// SPDX-License-Identifier: MIT
// Tables that the compiler built: bit for bit what the same operations make at run time.
#include <quire/table/constant_table.hpp>

#include <algorithm>    // equal
#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <memory>       // make_unique
#include <type_traits>  // is_trivially_copyable_v

#include <quire/format/arm64_stage2.hpp>  // arm64::stage2_4k
#include <quire/format/riscv_gstage.hpp>  // riscv::gstage
#include <quire/format/tiny.hpp>          // tiny::grouped

#include "catch.hpp"

namespace {

using namespace quire;

constexpr std::uint64_t base = 0x8020'0000;

// Leaves of several sizes, rights that differ, a hole, a marker.
template <class F>
struct boot_map {
  static constexpr std::uint64_t page = F::shape.page_bytes(), block = F::shape.leaf_bytes(1);

  template <class Session>
  constexpr result<void> operator()(Session& session) const {
    const input_address first{4 * block};
    const auto done = session.map(input_range::sized(first, 2 * block + 3 * page), output_address{first.value},
                                  {.allowed = read_write});
    if (!done) return done;
    const auto tightened = session.protect(input_range::sized(first, page), readable);
    if (!tightened) return tightened.error();
    const auto gone = session.unmap(input_range::sized(first + 2 * block, page));
    if (!gone) return gone.error();
    return session.annotate(input_range::sized(first + 3 * block, page), 1);
  }
};

template <class F, std::size_t Tables>
constexpr auto built = constant_table<F, base, Tables>(boot_map<F>{});

template <class F, std::size_t Tables>
void check_against_run_time() {
  using image = table_image<F, base, Tables>;
  const auto words = std::make_unique<image>();
  page_table<F, image_policies<image>> table{image_policies<image>{*words}};
  REQUIRE(table.create());
  auto session = table.exclusive();
  REQUIRE(boot_map<F>{}(session));
  CHECK(std::equal(words->words, words->words + image::count, built<F, Tables>.words));
  CHECK(table.policies().tables.left() == 0);  // so every table takes part
  CHECK(*table.root() == built<F, Tables>.root());
}

using contiguous = arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>;

// The object is the tables and nothing else.
constexpr const auto& gstage = built<riscv::sv39x4, 4>;
static_assert(std::is_trivially_copyable_v<table_image<riscv::sv39x4, base, 4>> && alignof(decltype(gstage)) == 16384);
static_assert(sizeof(gstage) == 2 * 16384 && gstage.root() == table_address{base});
static_assert(gstage.words[0] == riscv::sv39x4::table(gstage.table(0), 2));

// And can be asked at once.
static_assert(gstage.lookup(input_address{0x80'0fff})->attrs.allowed == readable);
static_assert(gstage.lookup(input_address{0x80'1000})->attrs.allowed == read_write);
static_assert(gstage.lookup(input_address{0xa0'0000})->bytes == 0x20'0000);
static_assert(gstage.lookup(input_address{0xc0'0000}).error().code == errc::not_mapped);
static_assert(gstage.lookup(input_address{0xe0'0000}).error().code == errc::marked);

}  // namespace

TEST_CASE("a table built in constant evaluation is bit for bit the one built at run time") {
  check_against_run_time<riscv::sv39x4, 4>();
  check_against_run_time<riscv::sv48x4, 5>();
  check_against_run_time<arm64::stage2_4k<40>, 4>();
  check_against_run_time<contiguous, 4>();
  check_against_run_time<tiny::plain, 4>();
  check_against_run_time<tiny::grouped, 4>();
  check_against_run_time<tiny::pages_only, 6>();
}
