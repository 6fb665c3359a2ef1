// SPDX-License-Identifier: MIT
// AMD nested paging entries against words put together by hand.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Nested Paging" and "Long-Mode Page Translation":
//   P 0x1, R/W 0x2, U/S 0x4, PWT 0x8, PCD 0x10, A 0x20, D 0x40, PS 0x80, NX bit 63. 0x200 is "may write", 0x800 and bit
//   52 the owner's, bit 53 marks tables.
#include <quire/format/amd_npt.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using npt = amd::npt<4>;

std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level) {
  const auto entry = npt::leaf(output_address{output}, wanted, level);
  REQUIRE(entry.has_value());
  return *entry;
}
errc refusal(const attributes& wanted) { return npt::leaf(output_address{0}, wanted, 0).error().code; }

static_assert(npt::shape.input_bits() == 48 && amd::npt<5>::shape.input_bits() == 57);
static_assert(!npt::facts.sign_extended && npt::facts.faults_retry && npt::facts.sets_dirty);

}  // namespace

TEST_CASE("AMD nested paging: a user's pages and blocks") {
  CHECK(leaf(0x8020'3000, {.allowed = all_access}, 0) == 0x8020'3227);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x8000'0000'8020'3267);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute, .accessed = false}, 0) == 0x8020'3005);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute, .may_write = true, .software = 1}, 0) == 0x8020'3a25);
  CHECK(leaf(0x8020'0000, {.allowed = all_access}, 1) == 0x8020'02a7);
  CHECK(leaf(0x1'4000'0000, {.allowed = all_access, .dirty = true}, 2) == 0x1'4000'02e7);
  CHECK(leaf(0xf'ffff'ffe0'0000, {.allowed = read_execute}, 1) == (0xf'ffff'ffe0'0000 | 0xa5));
  CHECK(leaf(0x1000'0000, {.allowed = read_write, .memory = memory_type::device}, 0) == 0x8000'0000'1000'023f);
  CHECK(leaf(0x1000'0000, {.allowed = read_write, .memory = memory_type::non_cacheable}, 0) == 0x8000'0000'1000'0237);
  CHECK(npt::table(table_address{0x8000'1000}, 3) == 0x0020'0000'8000'1027);
}

TEST_CASE("AMD nested paging: whom an entry is for cannot be said") {
  CHECK(refusal({.allowed = readable, .from = privilege::supervisor}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .global = true}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = executable}) == errc::unsupported_attribute);
  CHECK(npt::attributes_of(0x125, 0).global == false);
  CHECK(npt::attributes_of(0x121, 0).from == privilege::any);
}

TEST_CASE("AMD nested paging: what a table entry takes away") {
  CHECK(npt::table_rights_of(0x8000'1007, 3) == all_access);
  CHECK(npt::table_rights_of(0x8000'1005, 3) == read_execute);          // without RW
  CHECK(npt::table_rights_of(0x8000'0000'8000'1007, 1) == read_write);  // NX
  CHECK(npt::table_rights_of(0x0020'0000'8000'1027, 3) == all_access);  // ours
}

TEST_CASE("AMD nested paging: every level must be a user's") {
  CHECK(npt::is_well_formed(0x8020'3005, 0));
  CHECK_FALSE(npt::is_well_formed(0x8020'3001, 0));
  CHECK_FALSE(npt::is_well_formed(0x8020'3003, 2));
  CHECK(npt::is_well_formed(0x8020'3002, 0));  // not present
}
