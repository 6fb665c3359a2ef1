// SPDX-License-Identifier: MIT
// RISC-V G-stage entries against words put together by hand.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv39" entry layout, "Svpbmt", and the hypervisor extension:
//   V 0x1, R 0x2, W 0x4, X 0x8, U 0x10, A 0x40, D 0x80, RSW 0x300, PPN at bit 10 (the address >> 2), PBMT NC bit 61,
//   IO bit 62. In RSW 0x100 is "may write" and 0x200 the owner's.
#include <quire/format/riscv_gstage.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using riscv::sv39x4;
using riscv::sv48x4;
using hardware_ad = riscv::gstage<3, riscv::ad_update::hardware>;

template <class Format = sv39x4>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level) {
  const auto entry = Format::leaf(output_address{output}, wanted, level);
  REQUIRE(entry.has_value());
  return *entry;
}
errc refusal(const attributes& wanted) { return sv39x4::leaf(output_address{0}, wanted, 0).error().code; }

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
  // The highest output address of 56 bits.
  CHECK(leaf(0xff'ffff'ffff'f000, {.allowed = readable}, 0) == 0x003f'ffff'ffff'fc53);
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
