// SPDX-License-Identifier: MIT
// VT-d second-stage entries against words put together by hand.
//
// Source: Intel Virtualization Technology for Directed I/O, Architecture Specification, "Second-Stage Paging Entries":
//   R 0x1, W 0x2, PS 0x80, A 0x100, D 0x200, SNP 0x800. Of the bits that are ignored 0x400 marks leaves, bit 52 is "may
//   write", 53 and 54 the owner's.
#include <quire/format/vtd_second_stage.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using three = vtd::second_stage<3>;
using no_ad = vtd::second_stage<4, vtd::second_stage_options{.accessed_dirty = false}>;
using snooping = vtd::second_stage<5, vtd::second_stage_options{.force_snoop = true, .caching_mode = true}>;

template <class Format = three>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level) {
  const auto entry = Format::leaf(output_address{output}, wanted, level);
  REQUIRE(entry.has_value());
  return *entry;
}
errc refusal(const attributes& wanted) { return three::leaf(output_address{0}, wanted, 0).error().code; }

static_assert(three::shape.input_bits() == 39 && no_ad::shape.input_bits() == 48 && snooping::shape.input_bits() == 57);
static_assert(three::address_width == 1 && snooping::address_width == 3);
static_assert(!three::facts.faults_retry && !three::facts.caches_invalid && snooping::facts.caches_invalid);
static_assert(!no_ad::facts.has_accessed && !no_ad::facts.has_dirty && three::facts.sets_dirty);

}  // namespace

TEST_CASE("VT-d second stage: pages and blocks") {
  CHECK(leaf(0x8020'3000, {.allowed = read_write}, 0) == 0x0010'0000'8020'3503);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x0010'0000'8020'3703);
  CHECK(leaf(0x8020'3000, {.allowed = readable}, 0) == 0x8020'3501);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .accessed = false}, 0) == 0x8020'3401);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .may_write = true, .software = 3}, 0) == 0x0070'0000'8020'3501);
  CHECK(leaf<no_ad>(0x8020'3000, {.allowed = readable}, 0) == 0x8020'3401);
  CHECK(leaf<snooping>(0x8020'3000, {.allowed = readable}, 0) == 0x8020'3d01);
  // 2 MiB, 1 GiB; the highest output address of 52 bits.
  CHECK(leaf(0x8020'0000, {.allowed = readable}, 1) == 0x8020'0581);
  CHECK(leaf(0x1'4000'0000, {.allowed = readable}, 2) == 0x1'4000'0581);
  CHECK(three::child(0x8020'0581, 1) == 0x8020'0501);
  CHECK(three::child(0x1'4000'0581, 2) == 0x1'4000'0581);
  CHECK(leaf(0xf'ffff'ffff'f000, {.allowed = readable}, 0) == 0x000f'ffff'ffff'f501);
}

TEST_CASE("VT-d second stage: what cannot be said is refused") {
  CHECK(refusal({.allowed = no_access}) == errc::unsupported_attribute);  // would be an empty entry
  CHECK(refusal({.allowed = writable}) == errc::unsupported_attribute);   // would be one once it is write-protected
  CHECK(refusal({.allowed = read_execute}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .memory = memory_type::device}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .memory = memory_type::non_cacheable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .global = true}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .software = 4}) == errc::unsupported_attribute);
  CHECK(no_ad::leaf(output_address{0}, {.allowed = readable, .accessed = false}, 0).error().code ==
        errc::unsupported_attribute);
  CHECK(vtd::second_stage<4>::leaf(output_address{0}, {.allowed = readable}, 3).error().code ==
        errc::unsupported_level);
  CHECK_FALSE(three::protect(no_access).has_value());
  CHECK_FALSE(three::relax(executable).has_value());
}

TEST_CASE("VT-d second stage: tables and what is neither") {
  CHECK(three::table(table_address{0x8000'1000}, 1) == 0x8000'1103);
  CHECK(no_ad::table(table_address{0x8000'1000}, 3) == 0x8000'1003);
  CHECK(three::kind_of(0x8000'1001, 1) == entry_kind::table);   // somebody else's, for reading alone
  CHECK(three::kind_of(0x8000'1000, 1) == entry_kind::marker);  // neither R nor W, and not empty
  CHECK(three::kind_of(0x8000'1002, 0) == entry_kind::leaf);
  CHECK(no_ad::kind_of(0x8000'0083, 3) == entry_kind::marker);  // PS is reserved in a PML4E
  CHECK_FALSE(no_ad::is_well_formed(0x8000'0083, 3));
  CHECK_FALSE(three::is_well_formed(0x8020'1081, 1));  // no 2 MiB
  CHECK_FALSE(three::is_well_formed(0x8020'3801, 0));  // SNP without snoop control
  CHECK(snooping::is_well_formed(0x8020'3801, 0));
  CHECK_FALSE(snooping::is_well_formed(0x8020'3803, 1));         // SNP in a table entry
  CHECK_FALSE(three::is_well_formed(0x4000'0000'8020'3001, 0));  // bit 62
  CHECK(three::marker(0xff'ffff'ffff) == 0x004f'ffff'ffff'f000);
  CHECK(three::lock(0x0010'0000'8020'3503) == 0x0290'0000'8020'3500);
}

TEST_CASE("VT-d second stage: what a table entry takes away") {
  // R and W count in every entry; what is no right of a device cannot be taken from it.
  CHECK(three::table_rights_of(0x8000'1003, 2) == all_access);
  CHECK(three::table_rights_of(0x8000'1001, 2) == read_execute);
  CHECK(three::table_rights_of(0x8000'1002, 1) == (writable | executable));
  CHECK(three::table_rights_of(0x8000'1103, 1) == all_access);  // ours
  CHECK(no_ad::table_rights_of(no_ad::table(table_address{0x8000'1000}, 3), 3) == all_access);
}

TEST_CASE("VT-d second stage: changes in bits") {
  CHECK(three::write_protect(0x0010'0000'8020'3703) == 0x0010'0000'8020'3701);  // D stays: it is another bit
  CHECK(three::make_clean(0x0010'0000'8020'3703) == 0x0010'0000'8020'3503);
  CHECK(three::make_writable(0x8020'3501) == 0x0010'0000'8020'3703);
  CHECK(three::clear_accessed(0x8020'3501) == 0x8020'3401);
  CHECK(no_ad::is_accessed(0x8020'3401));
  CHECK(no_ad::set_accessed(0x8020'3401) == 0x8020'3401);
  CHECK((*three::protect(readable))(0x0010'0000'8020'3703) == 0x8020'3701);
  CHECK((*three::relax(writable))(0x8020'3501) == 0x0010'0000'8020'3703);
  CHECK(three::quiet_bits == 0x300);
}
