// SPDX-License-Identifier: MIT
// EPT entries against words put together by hand.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "The Extended Page Table Mechanism
// (EPT)": formats of the entries, "EPT Misconfigurations", "EPT and Memory Typing":
//   R 0x1, W 0x2, X 0x4, memory type at bit 3 (UC 0, WC 1, WB 6), IPAT 0x40, large 0x80, A 0x100, D 0x200, XU 0x400,
//   suppress #VE bit 63. Of the bits that are ignored 0x800 marks leaves, bit 52 is "may write", 53 and 54 the owner's.
#include <quire/format/intel_ept.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using ept = intel::ept<4>;
using no_ad = intel::ept<4, intel::ept_options{.accessed_dirty = false}>;
using by_mode = intel::ept<4, intel::ept_options{.mode_based_execute = true}>;
using execute_only = intel::ept<4, intel::ept_options{.execute_only = true}>;
using everything =
    intel::ept<5, intel::ept_options{
                      .mode_based_execute = true, .execute_only = true, .ignore_pat = true, .suppress_ve = true}>;

template <class Format = ept>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level) {
  const auto entry = Format::leaf(output_address{output}, wanted, level);
  REQUIRE(entry.has_value());
  return *entry;
}
template <class Format = ept>
errc refusal(const attributes& wanted) {
  return Format::leaf(output_address{0}, wanted, 0).error().code;
}

static_assert(ept::shape.input_bits() == 48 && everything::shape.input_bits() == 57 && ept::shape.shift(3) == 39);
static_assert(ept::facts.sets_accessed && ept::facts.sets_dirty && !ept::facts.executes_by_privilege);
static_assert(!no_ad::facts.has_accessed && !no_ad::facts.has_dirty && no_ad::quiet_bits == 0);
static_assert(by_mode::facts.executes_by_privilege);

}  // namespace

TEST_CASE("EPT: pages and blocks") {
  CHECK(leaf(0x8020'3000, {.allowed = all_access}, 0) == 0x0010'0000'8020'3937);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x0010'0000'8020'3b33);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute}, 0) == 0x8020'3935);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .accessed = false}, 0) == 0x8020'3831);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .may_write = true, .software = 3}, 0) == 0x0070'0000'8020'3931);
  CHECK(leaf<no_ad>(0x8020'3000, {.allowed = read_execute}, 0) == 0x8020'3835);
  // 2 MiB, 1 GiB.
  CHECK(leaf(0x8020'0000, {.allowed = read_execute}, 1) == 0x8020'09b5);
  CHECK(leaf(0x1'4000'0000, {.allowed = read_execute}, 2) == 0x1'4000'09b5);
  CHECK(ept::child(0x8020'09b5, 1) == 0x8020'0935);
  CHECK(ept::child(0x1'4000'09b5, 2) == 0x1'4000'09b5);
  // The highest output address of 52 bits.
  CHECK(leaf(0xf'ffff'ffff'f000, {.allowed = readable}, 0) == 0x000f'ffff'ffff'f931);
}

TEST_CASE("EPT: memory types") {
  CHECK(leaf(0x1000, {.allowed = readable, .memory = memory_type::non_cacheable}, 0) == 0x1909);  // WC
  CHECK(leaf(0x1000, {.allowed = readable, .memory = memory_type::device}, 0) == 0x1901);         // UC
  CHECK(leaf<everything>(0x1000, {.allowed = readable}, 0) == 0x8000'0000'0000'1971);             // IPAT, no #VE
  CHECK(ept::attributes_of(0x1921, 0).memory == memory_type::device);                             // WT: not used here
}

TEST_CASE("EPT: execution by mode") {
  CHECK(leaf<by_mode>(0x1000, {.allowed = read_execute}, 0) == 0x1d35);
  CHECK(leaf<by_mode>(0x1000, {.allowed = read_execute, .from = privilege::supervisor}, 0) == 0x1935);
  CHECK(leaf<by_mode>(0x1000, {.allowed = read_execute, .from = privilege::user}, 0) == 0x1d31);
  CHECK((*by_mode::protect(read_execute))(0x1d31) == 0x1d35);  // whoever grants it grants it to both
  CHECK((*by_mode::protect(readable))(0x1d35) == 0x1931);
  CHECK((*by_mode::relax(executable))(0x1931) == 0x1d35);
  CHECK(refusal<by_mode>({.allowed = readable, .from = privilege::user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = read_execute, .from = privilege::supervisor}) == errc::unsupported_attribute);
  // XU alone is present with the control, and not without it.
  CHECK(by_mode::kind_of(0x1c30, 0) == entry_kind::leaf);
  CHECK(ept::kind_of(0x1c30, 0) == entry_kind::marker);
}

TEST_CASE("EPT: misconfigurations are refused") {
  CHECK(refusal({.allowed = writable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = writable | executable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = executable}) == errc::unsupported_attribute);
  CHECK(leaf<execute_only>(0x1000, {.allowed = executable}, 0) == 0x1934);
  CHECK(refusal<execute_only>({.allowed = writable | executable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = no_access}) == errc::unsupported_attribute);  // would not be present
  CHECK(refusal({.allowed = readable, .global = true}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .software = 4}) == errc::unsupported_attribute);
  CHECK(refusal<no_ad>({.allowed = readable, .accessed = false}) == errc::unsupported_attribute);
  CHECK(refusal<no_ad>({.allowed = read_write, .dirty = true}) == errc::unsupported_attribute);
  CHECK_FALSE(ept::protect(executable).has_value());
  CHECK_FALSE(execute_only::relax(writable).has_value());
}

TEST_CASE("EPT: misconfigurations are told") {
  CHECK(ept::is_well_formed(0x1931, 0));
  CHECK_FALSE(ept::is_well_formed(0x1932, 0));  // W without R
  CHECK_FALSE(ept::is_well_formed(0x1936, 0));  // W and X without R
  CHECK_FALSE(ept::is_well_formed(0x1934, 0));  // X without R
  CHECK(execute_only::is_well_formed(0x1934, 0));
  CHECK_FALSE(by_mode::is_well_formed(0x1c30, 0));  // XU without R
  for (const std::uint64_t type : {2U, 3U, 7U}) CHECK_FALSE(ept::is_well_formed(0x1901 | type << 3U, 0));
  for (const std::uint64_t type : {0U, 1U, 4U, 5U, 6U}) CHECK(ept::is_well_formed(0x1901 | type << 3U, 0));
  CHECK_FALSE(ept::is_well_formed(0x20'1081, 1));  // no 2 MiB
  CHECK_FALSE(ept::is_well_formed(0x87, 3));       // bit 7 of a PML4E
  CHECK(ept::kind_of(0x87, 3) == entry_kind::marker);
  CHECK_FALSE(ept::is_well_formed(0x100f, 1));  // bits 6..3 of an entry that leads to a table
  CHECK(ept::is_well_formed(0x1007, 1));
}

TEST_CASE("EPT: tables, markers and locks") {
  CHECK(ept::table(table_address{0x8000'1000}, 1) == 0x8000'1107);
  CHECK(no_ad::table(table_address{0x8000'1000}, 1) == 0x8000'1007);
  CHECK(everything::table(table_address{0x8000'1000}, 4) == 0x8000'0000'8000'1507);
  CHECK(ept::kind_of(0x8000'1001, 2) == entry_kind::table);  // somebody else's, with fewer rights
  CHECK(ept::marker(0xff'ffff'ffff) == 0x004f'ffff'ffff'f000);
  CHECK(everything::marker(1) == 0x8040'0000'0000'1000);
  // R, W, X move to 57..59 and XU to 60; what is left is not present.
  CHECK(ept::lock(0x0010'0000'8020'3937) == 0x0e90'0000'8020'3930);
  CHECK(by_mode::lock(0x1d31) == 0x1280'0000'0000'1930);
  CHECK(ept::eptp(table_address{0x8000'1000}) == 0x8000'105e);  // WB, walk length 4, A and D
  CHECK(no_ad::eptp(table_address{0x8000'1000}) == 0x8000'101e);
  CHECK(everything::eptp(table_address{0x8000'1000}) == 0x8000'1066);  // walk length 5
}

TEST_CASE("EPT: what a table entry takes away") {
  // "EPT Translation Mechanism": R, W and X, and XU with mode-based execute control, count in every entry.
  CHECK(ept::table_rights_of(0x8000'1007, 3) == all_access);
  CHECK(ept::table_rights_of(0x8000'1005, 3) == read_execute);
  CHECK(ept::table_rights_of(0x8000'1003, 1) == read_write);
  CHECK(ept::table_rights_of(0x8000'1001, 1) == readable);
  CHECK(execute_only::table_rights_of(0x8000'1004, 1) == executable);
  CHECK(ept::table_rights_of(0x8000'1401, 1) == readable);          // bit 10 is ignored without the control
  CHECK(by_mode::table_rights_of(0x8000'1401, 1) == read_execute);  // the user
  CHECK(by_mode::table_rights_of(0x8000'1005, 1) == read_execute);  // the supervisor
  CHECK(by_mode::table_rights_of(0x8000'1003, 1) == read_write);    // neither
  CHECK(ept::table_rights_of(0x8000'1107, 1) == all_access);        // ours
  CHECK(by_mode::table_rights_of(by_mode::table(table_address{0x8000'1000}, 3), 3) == all_access);
}

TEST_CASE("EPT: changes in bits") {
  CHECK(ept::write_protect(0x0010'0000'8020'3b33) == 0x0010'0000'8020'3b31);  // D stays: it is another bit
  CHECK(ept::make_clean(0x0010'0000'8020'3b33) == 0x0010'0000'8020'3933);
  CHECK(ept::make_writable(0x8020'3931) == 0x0010'0000'8020'3b33);
  CHECK(execute_only::make_writable(0x1934) == 0x0010'0000'0000'1b37);  // R comes along
  CHECK(ept::clear_accessed(0x8020'3931) == 0x8020'3831);
  CHECK(no_ad::clear_accessed(0x8020'3831) == 0x8020'3831);  // nothing to clear, and nothing to set
  CHECK(no_ad::set_accessed(0x8020'3831) == 0x8020'3831);
  CHECK(no_ad::is_accessed(0x8020'3831));
  CHECK_FALSE(no_ad::is_accessed(0x8000'1007));  // a table
  CHECK((*ept::protect(read_execute))(0x0010'0000'8020'3b33) == 0x8020'3b35);
  CHECK(ept::quiet_bits == 0x300);
}
