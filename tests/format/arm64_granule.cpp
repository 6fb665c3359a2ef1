// SPDX-License-Identifier: MIT
// Start levels and root tables of every input size, against the manual's tables.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487): Tables D8-20 to D8-23, D8-30 to D8-32 and D8-39
// to D8-40 (stage 2, at the fewest levels, but two); D8-18, D8-28 and D8-37 (stage 1).
#include <quire/format/arm64_granule.hpp>

#include <cstddef>  // size_t
#include <utility>  // index_sequence

#include <quire/format/arm64_stage2.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::granule;
using arm64::stage2_options;

struct start {
  int level;  // in the manual's count
  std::size_t tables;
};

// For 32, 33, ... 52 bits.
constexpr start expected_4k[] = {{2, 4}, {2, 8}, {2, 16}, {1, 1}, {1, 1},  {1, 1}, {1, 1},
                                 {1, 1}, {1, 2}, {1, 4},  {1, 8}, {1, 16}, {0, 1}, {0, 1},
                                 {0, 1}, {0, 1}, {0, 1},  {0, 2}, {0, 4},  {0, 8}, {0, 16}};
constexpr start expected_16k[] = {{2, 1}, {2, 1},  {2, 1}, {2, 1}, {2, 1}, {2, 2},  {2, 4},
                                  {2, 8}, {2, 16}, {1, 1}, {1, 1}, {1, 1}, {1, 1},  {1, 1},
                                  {1, 1}, {1, 1},  {1, 2}, {1, 4}, {1, 8}, {1, 16}, {0, 1}};
constexpr start expected_64k[] = {{2, 1},  {2, 1}, {2, 1}, {2, 1}, {2, 1}, {2, 1}, {2, 1},
                                  {2, 1},  {2, 1}, {2, 1}, {2, 1}, {2, 2}, {2, 4}, {2, 8},
                                  {2, 16}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};

template <granule Granule, int IpaBits>
void check_one(start expected) {
  using format = arm64::stage2<Granule, IpaBits, stage2_options{.output_bits = (IpaBits > 48) ? 52 : 48}>;
  CAPTURE(IpaBits, static_cast<int>(Granule));
  CHECK(4 - format::shape.levels == expected.level);
  CHECK(root_table_bytes<format> == expected.tables << format::shape.page_bits);
  CHECK(format::shape.input_bits() == IpaBits);
  // Below the root, each table is a page.
  CHECK(table_unit_bytes<format> == format::shape.page_bytes());
}
template <granule Granule, std::size_t... I>
void check_all(const start (&expected)[sizeof...(I)], std::index_sequence<I...>) {
  (check_one<Granule, 32 + static_cast<int>(I)>(expected[I]), ...);
}

using every_size = std::make_index_sequence<21>;

}  // namespace

TEST_CASE("arm64 granules: stage 2 starts where the manual says") {
  check_all<granule::k4>(expected_4k, every_size{});
  check_all<granule::k16>(expected_16k, every_size{});
  check_all<granule::k64>(expected_64k, every_size{});
}

TEST_CASE("arm64 granules: start levels that the manual does not have") {
  const auto k4 = arm64::numbers_of(granule::k4), k16 = arm64::numbers_of(granule::k16),
             k64 = arm64::numbers_of(granule::k64);
  // Level -1: 49 to 52 bits, and only with 52-bit descriptors; never for 48, which would leave one entry.
  CHECK(k4.stage2_starts(52, 5, 52));
  CHECK(k4.stage2_starts(49, 5, 52));
  CHECK_FALSE(k4.stage2_starts(48, 5, 52));
  CHECK_FALSE(k4.stage2_starts(48, 5, 48));
  // A level more instead of concatenation.
  CHECK(k4.stage2_starts(40, 4, 48));
  CHECK(k4.stage2_starts(43, 4, 48));
  CHECK_FALSE(k4.stage2_starts(39, 4, 48));
  // 17 tables there are not.
  CHECK_FALSE(k4.stage2_starts(44, 3, 48));
  CHECK_FALSE(k4.stage2_starts(35, 2, 48));
  // 16 KiB: 48 bits must be two tables at level 1; level 0 is for 52-bit descriptors.
  CHECK_FALSE(k16.stage2_starts(48, 4, 48));
  CHECK(k16.stage2_starts(48, 4, 52));
  CHECK(k16.stage2_starts(52, 4, 52));
  CHECK_FALSE(k16.stage2_starts(52, 3, 52));
  // 64 KiB has no level 0.
  CHECK_FALSE(k64.stage2_starts(52, 4, 52));
  CHECK(k64.stage2_starts(43, 3, 48));
}

TEST_CASE("arm64 granules: levels of stage 1") {
  const auto levels = [](granule size, int bits) { return arm64::numbers_of(size).stage1_levels(bits); };
  CHECK(levels(granule::k4, 52) == 5);  // TxSZ 12
  CHECK(levels(granule::k4, 49) == 5);
  CHECK(levels(granule::k4, 48) == 4);  // 16
  CHECK(levels(granule::k4, 40) == 4);  // 24
  CHECK(levels(granule::k4, 39) == 3);  // 25
  CHECK(levels(granule::k4, 31) == 3);  // 33
  CHECK(levels(granule::k4, 30) == 2);  // 34
  CHECK(levels(granule::k4, 25) == 2);  // 39
  CHECK(levels(granule::k16, 48) == 4);
  CHECK(levels(granule::k16, 47) == 3);
  CHECK(levels(granule::k16, 37) == 3);
  CHECK(levels(granule::k16, 36) == 2);
  CHECK(levels(granule::k16, 26) == 2);
  CHECK(levels(granule::k64, 52) == 3);
  CHECK(levels(granule::k64, 43) == 3);
  CHECK(levels(granule::k64, 42) == 2);
  CHECK(levels(granule::k64, 30) == 2);
}
