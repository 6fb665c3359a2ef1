// SPDX-License-Identifier: MIT
// AMD IOMMU host entries against words put together by hand.
//
// Source: AMD I/O Virtualization Technology (IOMMU) Specification, "I/O Page Tables for Host Translations" (entry
// formats, example page size encodings) and "Device Table Entry Format":
//   PR 0x1, A 0x20, D 0x40, NextLevel at bit 9, FC bit 60, IR bit 61, IW bit 62. Of the bits that are ignored 0x2 is
//   "may write", 0x4 and 0x8 the owner's, 0x10 marks leaves.
#include <quire/format/amd_iommu.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using amd::host_access_dirty;
using amd::iommu_options;
using three = amd::iommu<3>;
using six = amd::iommu<6>;
using no_ad = amd::iommu<4, iommu_options{.update = host_access_dirty::none}>;
using accessed_only = amd::iommu<4, iommu_options{.update = host_access_dirty::accessed, .caches_invalid = true}>;
using coherent = amd::iommu<4, iommu_options{.force_coherent = true}>;

template <class Format = three>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  const auto entry = Format::leaf(output_address{output}, wanted, level, group);
  REQUIRE(entry.has_value());
  return *entry;
}
errc refusal(const attributes& wanted) { return three::leaf(output_address{0}, wanted, 0).error().code; }

static_assert(three::shape.input_bits() == 39 && six::shape.input_bits() == 64 && six::shape.index_bits[5] == 7);
static_assert(six::shape.shift(5) == 57 && six::shape.table_last_offset(5) == ~std::uint64_t{0});
static_assert(three::group_sizes(0) == 0x1ff && three::group_sizes(2) == 0x1ff && three::group_sizes(3) == 0);
static_assert(six::group_sizes(3) == 0 && six::group_sizes(4) == 0 && six::group_sizes(5) == 0);
static_assert(!three::facts.faults_retry && three::facts.sets_accessed && three::facts.sets_dirty);
static_assert(!no_ad::facts.has_accessed && !no_ad::facts.has_dirty);
static_assert(accessed_only::facts.has_accessed && !accessed_only::facts.has_dirty &&
              accessed_only::facts.caches_invalid);

}  // namespace

TEST_CASE("AMD IOMMU: leaves of a level's own size") {
  CHECK(leaf(0x8020'3000, {.allowed = read_write}, 0) == 0x6000'0000'8020'3033);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x6000'0000'8020'3073);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .accessed = false}, 0) == 0x2000'0000'8020'3011);
  CHECK(leaf(0x8020'3000, {.allowed = writable}, 0) == 0x4000'0000'8020'3033);
  CHECK(leaf(0x8020'3000, {.allowed = no_access}, 0) == 0x8020'3031);  // present, and every access faults
  CHECK(leaf(0x8020'3000, {.allowed = readable, .may_write = true, .software = 3}, 0) == 0x2000'0000'8020'303f);
  CHECK(leaf<no_ad>(0x8020'3000, {.allowed = read_write}, 0) == 0x6000'0000'8020'3013);
  CHECK(leaf<coherent>(0x8020'3000, {.allowed = read_write}, 0) == 0x7000'0000'8020'3033);
  CHECK(leaf(0x8020'0000, {.allowed = readable}, 1) == 0x2000'0000'8020'0031);
  CHECK(leaf(0x1'4000'0000, {.allowed = readable}, 2) == 0x2000'0001'4000'0031);
  CHECK(leaf(0xf'ffff'ffff'f000, {.allowed = readable}, 0) == 0x200f'ffff'ffff'f031);
}

TEST_CASE("AMD IOMMU: sizes that the address tells") {
  // NextLevel 7. 8 KiB is no one and a zero in bit 12, 16 KiB one one, 1 MiB seven.
  CHECK(leaf(0x8020'2000, {.allowed = readable}, 0, 1) == 0x2000'0000'8020'2e31);
  CHECK(leaf(0x8020'4000, {.allowed = readable}, 0, 2) == 0x2000'0000'8020'5e31);
  CHECK(leaf(0x8020'0000, {.allowed = readable}, 0, 8) == 0x2000'0000'8027'fe31);
  CHECK(leaf(0x8040'0000, {.allowed = readable}, 1, 1) == 0x2000'0000'805f'fe31);     // 4 MiB: bits 12..20
  CHECK(leaf(0x1'8000'0000, {.allowed = readable}, 2, 1) == 0x2000'0001'bfff'fe31);   // 2 GiB: bits 12..29
  CHECK(leaf(0x40'0000'0000, {.allowed = readable}, 2, 8) == 0x2000'005f'ffff'fe31);  // 256 GiB: bits 12..36
  CHECK(three::group_of(0x2000'0000'8027'fe31, 0) == 8);
  CHECK(three::output_of(0x2000'0000'8027'fe31, 0) == output_address{0x8020'0000});
  CHECK(three::group_of(0x2000'005f'ffff'fe31, 2) == 8);
  CHECK(three::output_of(0x2000'005f'ffff'fe31, 2) == output_address{0x40'0000'0000});
  CHECK(three::step(0, 3) == 0);  // all entries alike
  CHECK(three::step(0, 0) == 0x1000);
  // 2 MiB told by the address is a single leaf of level 1, and too large for level 0.
  CHECK(three::kind_of(0x2000'0000'802f'fe31, 1) == entry_kind::leaf);
  CHECK(three::group_of(0x2000'0000'802f'fe31, 1) == 0);
  CHECK(three::kind_of(0x2000'0000'802f'fe31, 0) == entry_kind::marker);
  CHECK_FALSE(three::is_well_formed(0x2000'0000'802f'fe31, 0));
  // 8 KiB is too small for level 1.
  CHECK(three::kind_of(0x2000'0000'8020'2e31, 1) == entry_kind::marker);
}

TEST_CASE("AMD IOMMU: no leaf of 512 GiB or more") {
  CHECK(six::leaf(output_address{0}, {.allowed = readable}, 3).error().code == errc::unsupported_level);
  CHECK(six::leaf(output_address{0}, {.allowed = readable}, 4).error().code == errc::unsupported_level);
  CHECK(six::leaf(output_address{0}, {.allowed = readable}, 2, 9).error().code == errc::unsupported_level);
  CHECK(six::kind_of(0x2000'0000'0000'0031, 3) == entry_kind::marker);
  CHECK_FALSE(six::is_well_formed(0x2000'0000'0000'0031, 3));
}

TEST_CASE("AMD IOMMU: what cannot be said is refused") {
  CHECK(refusal({.allowed = read_execute}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .memory = memory_type::device}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .memory = memory_type::non_cacheable}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::supervisor}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .global = true}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .software = 4}) == errc::unsupported_attribute);
  CHECK(no_ad::leaf(output_address{0}, {.allowed = readable, .accessed = false}, 0).error().code ==
        errc::unsupported_attribute);
  CHECK(accessed_only::leaf(output_address{0}, {.allowed = read_write, .dirty = true}, 0).error().code ==
        errc::unsupported_attribute);
  CHECK(three::leaf(output_address{0x1000}, {.allowed = readable}, 0, 1).error().code == errc::unaligned);
  CHECK_FALSE(three::protect(executable).has_value());
  CHECK_FALSE(three::relax(read_execute).has_value());
}

TEST_CASE("AMD IOMMU: tables name the level that they lead to") {
  CHECK(three::table(table_address{0x8000'1000}, 1) == 0x6000'0000'8000'1221);
  CHECK(three::table(table_address{0x8000'1000}, 2) == 0x6000'0000'8000'1421);
  CHECK(six::table(table_address{0x8000'1000}, 5) == 0x6000'0000'8000'1a21);
  CHECK(no_ad::table(table_address{0x8000'1000}, 3) == 0x6000'0000'8000'1601);
  CHECK(three::kind_of(0x6000'0000'8000'1221, 1) == entry_kind::table);
  // Level 2 to level 0: legal, and nothing that is made or followed here.
  CHECK(three::kind_of(0x6000'0000'8000'1221, 2) == entry_kind::marker);
  CHECK_FALSE(three::is_well_formed(0x6000'0000'8000'1221, 2));
  CHECK(three::kind_of(0x6000'0000'8000'1221, 0) == entry_kind::marker);
  CHECK_FALSE(three::is_well_formed(0x6010'0000'8000'1221, 1));  // reserved bit 52
  CHECK_FALSE(three::is_well_formed(0x2000'0000'8020'1031, 1));  // no 2 MiB
  CHECK(three::marker(0xff'ffff'ffff) == 0x000f'ffff'ffff'f004);
  CHECK(three::lock(0x6000'0000'8020'3033) == 0xe000'0000'8020'3032);
}

TEST_CASE("AMD IOMMU: what a table entry takes away") {
  // IR and IW count in every entry; what is no right of a device cannot be taken from it.
  CHECK(three::table_rights_of(0x6000'0000'8000'1201, 1) == all_access);
  CHECK(three::table_rights_of(0x2000'0000'8000'1201, 1) == read_execute);
  CHECK(three::table_rights_of(0x4000'0000'8000'1401, 2) == (writable | executable));
  CHECK(three::table_rights_of(0x8000'1401, 2) == executable);
  CHECK(three::table_rights_of(0x6000'0000'8000'1221, 1) == all_access);  // ours
}

TEST_CASE("AMD IOMMU: the device table entry") {
  // V, TV, Mode at bit 9, HAD at bit 7, IR and IW.
  CHECK(three::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1783);
  CHECK(six::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1d83);
  CHECK(no_ad::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1803);
  CHECK(accessed_only::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1883);
}

TEST_CASE("AMD IOMMU: changes in bits") {
  CHECK(three::write_protect(0x6000'0000'8020'3073) == 0x2000'0000'8020'3073);  // D stays: it is another bit
  CHECK(three::make_clean(0x6000'0000'8020'3073) == 0x6000'0000'8020'3033);
  CHECK(three::make_writable(0x2000'0000'8020'3031) == 0x6000'0000'8020'3073);
  CHECK(three::clear_accessed(0x2000'0000'8020'3031) == 0x2000'0000'8020'3011);
  CHECK(no_ad::is_accessed(0x2000'0000'8020'3011));
  CHECK(no_ad::set_accessed(0x2000'0000'8020'3011) == 0x2000'0000'8020'3011);
  CHECK((*three::protect(readable))(0x6000'0000'8020'3073) == 0x2000'0000'8020'3071);
  CHECK((*three::relax(writable))(0x2000'0000'8020'3031) == 0x6000'0000'8020'3073);
  CHECK(three::is_grantable(0x2000'0000'8020'3033));
  CHECK_FALSE(three::is_grantable(0x2000'0000'8020'2e33));  // a group
  CHECK(three::quiet_bits == 0x60);
}
