// SPDX-License-Identifier: MIT
// x86-64 entries against words put together by hand.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "4-Level Paging and 5-Level Paging",
// formats of a PTE and of PDEs and PDPTEs that map pages, and "Page Attribute Table":
//   P 0x1, R/W 0x2, U/S 0x4, PWT 0x8, PCD 0x10, A 0x20, D 0x40, PS 0x80 (PAT of a page), G 0x100, PAT of a block
//   0x1000, XD bit 63. Of the bits that are ignored 0x200 is "may write", 0x800 and bit 52 the owner's, bit 53 marks
//   tables.
#include <quire/format/x86_64.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using four = x86::long_mode<4>;
using five = x86::long_mode<5>;
// A PAT as Linux sets it up: 1 is WC. And one with the upper half in use.
using with_wc = x86::long_mode<4, x86::long_mode_options{.non_cacheable = 1}>;
using upper_half = x86::long_mode<4, x86::long_mode_options{.write_back = 6, .non_cacheable = 5, .device = 4}>;

template <class Format = four>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level) {
  const auto entry = Format::leaf(output_address{output}, wanted, level);
  REQUIRE(entry.has_value());
  return *entry;
}
errc refusal(const attributes& wanted) { return four::leaf(output_address{0}, wanted, 0).error().code; }

static_assert(four::shape.levels == 4 && four::shape.shift(3) == 39 && five::shape.shift(4) == 48);
static_assert(four::shape.leaf_bytes(0) == 4096 && four::shape.entries(3) == 512 && five::shape.entries(4) == 512);
static_assert(four::facts.sign_extended && four::facts.table_permissions && four::facts.faults_retry);
static_assert(!x86::long_mode<4, x86::long_mode_options{.faults_retry = false}>::facts.faults_retry);

}  // namespace

TEST_CASE("x86-64: pages and blocks") {
  CHECK(leaf(0x8020'3000, {.allowed = all_access}, 0) == 0x8020'3227);
  CHECK(leaf(0x8020'3000, {.allowed = read_write}, 0) == 0x8000'0000'8020'3227);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x8000'0000'8020'3267);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute}, 0) == 0x8020'3025);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .accessed = false}, 0) == 0x8000'0000'8020'3005);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute, .from = privilege::supervisor, .global = true}, 0) == 0x8020'3121);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute, .may_write = true, .software = 3}, 0) == 0x0010'0000'8020'3a25);
  // 2 MiB, 1 GiB.
  CHECK(leaf(0x8020'0000, {.allowed = all_access, .dirty = true}, 1) == 0x8020'02e7);
  CHECK(leaf(0x1'4000'0000, {.allowed = read_execute}, 2) == 0x1'4000'00a5);
  CHECK(leaf<five>(0x1'4000'0000, {.allowed = read_execute}, 2) == 0x1'4000'00a5);
  // The highest output address of 52 bits.
  CHECK(leaf(0xf'ffff'ffff'f000, {.allowed = read_execute}, 0) == 0x000f'ffff'ffff'f025);
}

TEST_CASE("x86-64: memory types through the PAT") {
  // At power-up entry 2 (PCD) is UC-, 3 (PCD and PWT) is UC.
  CHECK(leaf(0x1000, {.allowed = read_execute, .memory = memory_type::non_cacheable}, 0) == 0x1035);
  CHECK(leaf(0x1000, {.allowed = read_execute, .memory = memory_type::device}, 0) == 0x103d);
  CHECK(leaf<with_wc>(0x1000, {.allowed = read_execute, .memory = memory_type::non_cacheable}, 0) == 0x102d);
  // PAT is bit 7 of a page and bit 12 of a block; 6 is PAT and PCD, 5 PAT and PWT.
  CHECK(leaf<upper_half>(0x1000, {.allowed = read_execute}, 0) == 0x10b5);
  CHECK(leaf<upper_half>(0x20'0000, {.allowed = read_execute}, 1) == 0x20'10b5);
  CHECK(leaf<upper_half>(0x4000'0000, {.allowed = read_execute, .memory = memory_type::non_cacheable}, 2) ==
        0x4000'10ad);
  CHECK(upper_half::output_of(0x20'10b5, 1) == output_address{0x20'0000});
  CHECK(upper_half::child(0x20'10b5, 1) == 0x20'00b5);      // a page: PAT where PS was
  CHECK(upper_half::child(0x4000'10b5, 2) == 0x4000'10b5);  // a block: as it is
  CHECK(four::child(0x8020'02e7, 1) == 0x8020'0267);
  CHECK(four::attributes_of(0x10a5, 0).memory == memory_type::device);  // entry 4, of which nobody said anything
}

TEST_CASE("x86-64: what cannot be said is refused") {
  CHECK(refusal({.allowed = executable}) == errc::unsupported_attribute);  // P is also the right to read
  CHECK(refusal({.allowed = writable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = no_access}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .software = 4}) == errc::unsupported_attribute);
  CHECK(four::leaf(output_address{0}, {.allowed = readable}, 3).error().code == errc::unsupported_level);
  CHECK(four::leaf(output_address{0x1000}, {.allowed = readable}, 1).error().code == errc::unaligned);
  CHECK_FALSE(four::protect(executable).has_value());
  CHECK(four::relax(executable).has_value());  // the leaf can be read already
}

TEST_CASE("x86-64: tables and what is neither") {
  CHECK(four::table(table_address{0x8000'1000}, 1) == 0x0020'0000'8000'1027);  // P, RW, US, A and the mark
  CHECK(four::table_of(0x0020'0000'8000'1027, 3) == table_address{0x8000'1000});
  CHECK(four::kind_of(0x8000'1007, 3) == entry_kind::table);  // somebody else's, without the mark
  CHECK(four::kind_of(0x8000'1007, 0) == entry_kind::leaf);
  CHECK(four::kind_of(0x8000'0087, 3) == entry_kind::marker);  // PS is reserved in a PML4E
  CHECK_FALSE(four::is_well_formed(0x8000'0087, 3));
  CHECK(four::is_well_formed(0x8020'1087, 1));        // PAT
  CHECK_FALSE(four::is_well_formed(0x8020'2087, 1));  // no 2 MiB
  CHECK_FALSE(four::is_well_formed(0x4020'0087, 2));  // no 1 GiB
  CHECK(four::is_well_formed(0x3, 0));                // of the supervisor
  CHECK((four::marker(0xff'ffff'ffff) & 1) == 0);
  CHECK(four::marker(0xff'ffff'ffff) == 0x000f'ffff'ffff'f800);
  CHECK(four::lock(0x8020'02e7) == 0x0400'0000'8020'02e6);
}

TEST_CASE("x86-64: what a table entry takes away") {
  // "Determination of Access Rights": RW and XD count in every entry.
  CHECK(four::table_rights_of(0x8000'1003, 3) == all_access);
  CHECK(four::table_rights_of(0x8000'1001, 3) == read_execute);
  CHECK(four::table_rights_of(0x8000'0000'8000'1003, 1) == read_write);
  CHECK(four::table_rights_of(0x8000'0000'8000'1001, 1) == readable);
  CHECK(four::table_rights_of(0x8000'1007, 2) == all_access);            // US: whom they are for, and not which
  CHECK(four::table_rights_of(0x8000'1063, 2) == all_access);            // A and D
  CHECK(four::table_rights_of(0x0020'0000'8000'1027, 1) == all_access);  // ours
  CHECK(five::table_rights_of(five::table(table_address{0x8000'1000}, 4), 4) == all_access);
}

TEST_CASE("x86-64: changes in bits") {
  CHECK(four::write_protect(0x8020'0267) == 0x8020'0265);  // D stays: it is another bit
  CHECK(four::make_clean(0x8020'0267) == 0x8020'0227);
  CHECK(four::make_writable(0x8000'0000'8020'0025) == 0x8000'0000'8020'0267);
  CHECK(four::clear_accessed(0x8020'0267) == 0x8020'0247);
  CHECK((*four::protect(readable))(0x8020'0267) == 0x8000'0000'8020'0065);
  CHECK((*four::relax(executable))(0x8000'0000'8020'0025) == 0x8020'0025);
  CHECK(four::quiet_bits == 0x60);
}
