// SPDX-License-Identifier: MIT
// RISC-V G-stage entries against words put together by hand.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv39" and "Sv32" entry layout, "Svnapot" (table "Page table
// entry encodings when pte.N=1"), "Svpbmt" (table "Encodings for PBMT field"), "Svrsw60t59b", and the hypervisor
// extension:
//   V 0x1, R 0x2, W 0x4, X 0x8, U 0x10, A 0x40, D 0x80, RSW 0x300, PPN at bit 10 (the address >> 2), PBMT NC bit 61,
//   IO bit 62, N bit 63. In RSW 0x100 is "may write" and 0x200 the owner's; bits 59 and 60 are two more of the owner's.
#include <quire/format/riscv_gstage.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using riscv::extensions;
using riscv::sv32x4;
using riscv::sv39x4;
using riscv::sv48x4;
using riscv::sv57x4;
using hardware_ad = riscv::gstage<3, extensions{.svadu = true}>;
using napot = riscv::gstage<3, extensions{.svnapot = true}>;
using software_bits = riscv::gstage<3, extensions{.svrsw60t59b = true}>;
using normal_only = riscv::gstage<3, extensions{.svpbmt = false}>;
using bounded_time = riscv::gstage<4, extensions{.svvptc = true}>;

template <class Format = sv39x4>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  const auto entry = Format::leaf(output_address{output}, wanted, level, group);
  REQUIRE(entry.has_value());
  return *entry;
}
template <class Format = sv39x4>
errc refusal(const attributes& wanted, std::uint64_t output = 0, int level = 0, int group = 0) {
  return Format::leaf(output_address{output}, wanted, level, group).error().code;
}
// In the four modes: index bits of level 0 and the root, as "Two-Stage Address Translation" has the fields of a GPA.
static_assert(sv32x4::shape.levels == 2 && sv32x4::shape.index_bits[0] == 10 && sv32x4::shape.index_bits[1] == 12);
static_assert(sv39x4::shape.levels == 3 && sv39x4::shape.index_bits[0] == 9 && sv39x4::shape.index_bits[2] == 11);
static_assert(sv48x4::shape.levels == 4 && sv48x4::shape.index_bits[0] == 9 && sv48x4::shape.index_bits[3] == 11);
static_assert(sv57x4::shape.levels == 5 && sv57x4::shape.index_bits[0] == 9 && sv57x4::shape.index_bits[4] == 11);
static_assert(sizeof(sv32x4::word) == 4 && sv32x4::facts.output_bits == 34 && sv57x4::facts.output_bits == 56);
static_assert(table_bytes<sv32x4>(0) == 4096 && table_bytes<sv32x4>(1) == 16384);
static_assert(!sv57x4::facts.sign_extended && !sv32x4::facts.sign_extended);

}  // namespace

TEST_CASE("RISC-V G-stage: pages and blocks") {
  // 0x8020'3000 >> 2 = 0x2008'0c00. V R W U A = 0x57, "may write" 0x100.
  CHECK(leaf(0x8020'3000, {.allowed = read_write}, 0) == 0x2008'0d57);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == 0x2008'0dd7);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute}, 0) == 0x2008'0c5b);
  CHECK(leaf(0x8020'3000, {.allowed = executable}, 0) == 0x2008'0c59);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .accessed = false}, 0) == 0x2008'0c13);
  CHECK(leaf(0x8020'3000, {.allowed = readable, .may_write = true, .software = 1}, 0) == 0x2008'0f53);
  // 2 MiB, 1 GiB, 512 GiB.
  CHECK(leaf(0x8020'0000, {.allowed = all_access, .dirty = true}, 1) == 0x2008'01df);
  CHECK(leaf(0x1'4000'0000, {.allowed = read_write}, 2) == 0x5000'0157);
  CHECK(leaf<sv48x4>(0x80'0000'0000, {.allowed = read_write}, 3) == 0x20'0000'0157);
  // 256 TiB.
  CHECK(leaf<sv57x4>(0x1'0000'0000'0000, {.allowed = read_write}, 4) == 0x4000'0000'0157);
  // The highest output address of 56 bits.
  CHECK(leaf(0xff'ffff'ffff'f000, {.allowed = readable}, 0) == 0x003f'ffff'ffff'fc53);
}

TEST_CASE("RISC-V G-stage: Sv32x4 has entries of 32 bits") {
  CHECK(leaf<sv32x4>(0x8020'3000, {.allowed = read_write}, 0) == 0x2008'0d57);
  CHECK(leaf<sv32x4>(0x8040'0000, {.allowed = read_execute}, 1) == 0x2010'005b);               // 4 MiB
  CHECK(leaf<sv32x4>(0x3'ffff'f000, {.allowed = readable, .software = 1}, 0) == 0xffff'fe53);  // the highest of 34 bits
  CHECK(sv32x4::output_of(0xffff'fe53, 0) == output_address{0x3'ffff'f000});
  CHECK(sv32x4::table(table_address{0x3'ffff'f000}, 1) == 0xffff'fc01);
  CHECK(sv32x4::table_of(0xffff'fc01, 1) == table_address{0x3'ffff'f000});
  CHECK(sv32x4::marker(0x3f'ffff) == 0xffff'fe00);
  CHECK(sv32x4::step(0, 0) == 0x400);
  CHECK(sv32x4::step(1, 0) == 0x10'0000);
  CHECK(refusal<sv32x4>({.allowed = readable}, 0x4'0000'0000) == errc::beyond_output);
  CHECK(refusal<sv32x4>({.allowed = readable}, 0x20'0000, 1) == errc::unaligned);
  CHECK(refusal<sv32x4>({.allowed = readable, .memory = memory_type::device}) == errc::unsupported_attribute);
}

TEST_CASE("RISC-V G-stage: groups of 64 KiB") {
  // 0x8021'0000 >> 2 = 0x2008'4000; PPN[3:0] = 1000 is bit 13.
  const std::uint64_t group = 0x8000'0000'2008'6157;
  CHECK(leaf<napot>(0x8021'0000, {.allowed = read_write}, 0, 4) == group);
  CHECK(napot::step(0, 4) == 0);
  CHECK(napot::group_of(group, 0) == 4);
  CHECK(napot::output_of(group, 0) == output_address{0x8021'0000});
  CHECK(leaf<napot>(0x8021'0000, {.allowed = read_write}, 0) == 0x2008'4157);
  CHECK(napot::group_of(0x2008'6157, 0) == 0);  // a page at 0x8021'8000
  CHECK_FALSE(napot::is_grantable(group));
  CHECK(napot::is_grantable(0x2008'6153));

  CHECK(refusal<napot>({.allowed = read_write}, 0x8021'8000, 0, 4) == errc::unaligned);
  CHECK(refusal<napot>({.allowed = read_write}, 0, 1, 4) == errc::unsupported_level);
  CHECK(refusal<napot>({.allowed = read_write}, 0, 0, 3) == errc::unsupported_level);
  CHECK(refusal<sv39x4>({.allowed = read_write}, 0, 0, 4) == errc::unsupported_level);

  CHECK(napot::is_well_formed(group, 0));
  CHECK_FALSE(napot::is_well_formed(group, 1));              // "i >= 1 ... Reserved"
  CHECK_FALSE(napot::is_well_formed(group ^ 0x2000, 0));     // PPN[3:0] = 0000
  for (const std::uint64_t low : {0x400U, 0x800U, 0x1000U})  // 1001, 1010, 1100
    CHECK_FALSE(napot::is_well_formed(group | low, 0));
  CHECK_FALSE(napot::is_well_formed(0x8000'0000'2000'0401, 1));  // N in a non-leaf
  CHECK_FALSE(sv39x4::is_well_formed(group, 0));                 // no Svnapot
}

TEST_CASE("RISC-V G-stage: what extensions add") {
  // Bits 59 and 60 belong to the owner.
  CHECK(leaf<software_bits>(0x8020'3000, {.allowed = readable, .software = 7}, 0) == 0x1800'0000'2008'0e53);
  CHECK(leaf<software_bits>(0x8020'3000, {.allowed = readable, .software = 2}, 0) == 0x0800'0000'2008'0c53);
  CHECK(software_bits::attributes_of(0x1000'0000'2008'0c53, 0).software == 4);
  CHECK(refusal<software_bits>({.allowed = readable, .software = 8}) == errc::unsupported_attribute);
  CHECK(software_bits::is_well_formed(0x1800'0000'2008'0e53, 0));
  CHECK(software_bits::is_well_formed(0x1800'0000'2000'0401, 1));
  CHECK_FALSE(software_bits::is_well_formed(0x0400'0000'2008'0c53, 0));  // bit 58
  CHECK_FALSE(sv39x4::is_well_formed(0x0800'0000'2008'0c53, 0));

  CHECK(refusal<normal_only>({.allowed = readable, .memory = memory_type::non_cacheable}) ==
        errc::unsupported_attribute);
  CHECK(refusal<normal_only>({.allowed = readable, .memory = memory_type::device}) == errc::unsupported_attribute);
  CHECK(leaf<normal_only>(0x8020'3000, {.allowed = readable}, 0) == 0x2008'0c53);
  CHECK_FALSE(normal_only::is_well_formed(0x2000'0000'2008'0c53, 0));

  CHECK(sv48x4::facts.caches_invalid);
  CHECK_FALSE(bounded_time::facts.caches_invalid);
  CHECK(hardware_ad::facts.sets_dirty);
}

TEST_CASE("RISC-V G-stage: what the hardware takes for malformed") {
  const std::uint64_t page = 0x2008'0c53;  // V R U A
  CHECK(sv39x4::is_well_formed(page, 0));
  CHECK(sv39x4::is_well_formed(0, 0));
  CHECK(sv39x4::is_well_formed(~std::uint64_t{1}, 0));           // V clear: all other bits are software's
  CHECK_FALSE(sv39x4::is_well_formed(page & ~0x10ULL, 0));       // no U: every access is a user access
  CHECK_FALSE(sv39x4::is_well_formed((page & ~2ULL) | 4, 0));    // W without R
  CHECK_FALSE(sv39x4::is_well_formed((page & ~2ULL) | 0xc, 0));  // W and X without R
  for (int bit = 54; bit <= 60; ++bit) CHECK_FALSE(sv39x4::is_well_formed(page | std::uint64_t{1} << bit, 0));
  CHECK_FALSE(sv39x4::is_well_formed(page | 0x6000'0000'0000'0000, 0));  // PBMT 3
  CHECK(sv39x4::is_well_formed(page | 0x2000'0000'0000'0000, 0));
  CHECK(sv39x4::is_well_formed(0x2008'0053, 1));        // 2 MiB at 0x8020'0000
  CHECK_FALSE(sv39x4::is_well_formed(0x2008'0453, 1));  // "misaligned superpage"
  CHECK_FALSE(sv39x4::is_well_formed(0x2008'0053, 2));
  const std::uint64_t table = 0x2000'0401;
  CHECK(sv39x4::is_well_formed(table, 1));
  CHECK(sv39x4::is_well_formed(table | 0x20, 1));  // G "must be ignored by hardware"
  CHECK_FALSE(sv39x4::is_well_formed(table, 0));
  for (const std::uint64_t reserved : {std::uint64_t{0x10}, std::uint64_t{0x40}, std::uint64_t{0x80},
                                       std::uint64_t{1} << 61, std::uint64_t{1} << 62, std::uint64_t{1} << 63})
    CHECK_FALSE(sv39x4::is_well_formed(table | reserved, 1));
}

TEST_CASE("RISC-V G-stage: tables of others may have G in them") {
  using foreign = riscv::foreign_gstage<sv39x4>;
  CHECK(foreign::kind_of(0x2000'0421, 1) == entry_kind::table);
  CHECK(foreign::table_of(0x2000'0421, 1) == table_address{0x8000'1000});
  CHECK(foreign::kind_of(0x2000'0401, 2) == entry_kind::table);
  CHECK(foreign::kind_of(0x2000'0421, 0) == entry_kind::marker);
  for (const std::uint64_t reserved : {0x10U, 0x40U, 0x80U})
    CHECK(foreign::kind_of(0x2000'0421 | reserved, 1) == entry_kind::marker);
  CHECK(foreign::kind_of(0x2008'0c73, 1) == entry_kind::leaf);
  CHECK(foreign::kind_of(0, 1) == entry_kind::absent);
  CHECK(foreign::kind_of(foreign::locked, 1) == entry_kind::locked);
  CHECK(foreign::kind_of(foreign::marker(1), 1) == entry_kind::marker);
}

TEST_CASE("RISC-V G-stage: memory types") {
  CHECK(leaf(0x9000'0000, {.allowed = read_write, .memory = memory_type::non_cacheable}, 0) == 0x2000'0000'2400'0157);
  CHECK(leaf(0x1000'0000, {.allowed = read_write, .memory = memory_type::device}, 0) == 0x4000'0000'0400'0157);
}

TEST_CASE("RISC-V G-stage: what is reserved is refused") {
  CHECK(refusal({.allowed = writable}) == errc::unsupported_attribute);               // W without R
  CHECK(refusal({.allowed = writable | executable}) == errc::unsupported_attribute);  // likewise
  CHECK(refusal({.allowed = no_access}) == errc::unsupported_attribute);              // would be a table
  CHECK(refusal({.allowed = readable, .software = 2}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .global = true}) == errc::unsupported_attribute);
  CHECK_FALSE(sv39x4::protect(no_access).has_value());
  CHECK_FALSE(sv39x4::relax(writable).has_value());
}

TEST_CASE("RISC-V G-stage: tables and what is neither") {
  CHECK(sv39x4::table(table_address{0x8000'1000}, 1) == 0x2000'0401);
  CHECK(sv39x4::table(table_address{0xff'ffff'ffff'f000}, 2) == 0x003f'ffff'ffff'fc01);
  CHECK(sv39x4::kind_of(0x2000'0401, 1) == entry_kind::table);
  CHECK(sv39x4::kind_of(0x2000'0401, 0) == entry_kind::marker);      // at level 0 it faults
  for (const std::uint64_t reserved : {0x10U, 0x20U, 0x40U, 0x80U})  // U, A, D fault; no table of ours has G
    CHECK(sv39x4::kind_of(0x2000'0401 | reserved, 1) == entry_kind::marker);
  CHECK(sv39x4::kind_of(0x2000'0401 | 0x300, 1) == entry_kind::table);  // RSW is free in a pointer, too
  CHECK(sv39x4::marker(0xfff'ffff'ffff) == 0x003f'ffff'ffff'fe00);
  CHECK((sv39x4::locked & 1U) == 0);
}

TEST_CASE("RISC-V G-stage: changes in bits") {
  CHECK(sv39x4::write_protect(0x2008'0dd7) == 0x2008'0dd3);  // D stays: it is another bit
  CHECK(sv39x4::make_clean(0x2008'0dd7) == 0x2008'0d57);
  CHECK(sv39x4::make_writable(0x2008'0d53) == 0x2008'0dd7);  // D as well, or Svade traps once more
  CHECK(sv39x4::make_writable(0x2008'0c59) == 0x2008'0ddf);  // execute-only: R comes along
  CHECK(sv39x4::clear_accessed(0x2008'0dd7) == 0x2008'0d97);
  CHECK((*sv39x4::protect(read_execute))(0x2008'0dd7) == 0x2008'0cdb);
  CHECK((*sv39x4::relax(executable))(0x2008'0dd7) == 0x2008'0ddf);
  CHECK(sv39x4::quiet_bits == 0);
  CHECK(hardware_ad::quiet_bits == 0xc0);
}
