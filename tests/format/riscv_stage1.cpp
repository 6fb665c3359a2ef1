// SPDX-License-Identifier: MIT
// RISC-V stage 1 entries against words put together by hand.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv32" and "Sv39" entry layout, "Svnapot", "Svpbmt":
//   V 0x1, R 0x2, W 0x4, X 0x8, U 0x10, G 0x20, A 0x40, D 0x80, RSW 0x300, PPN at bit 10 (the address >> 2), PBMT NC
//   bit 61, IO bit 62, N bit 63. In RSW 0x100 is "may write" and 0x200 the owner's.
#include <quire/format/riscv_stage1.hpp>

#include <cstdint>  // uint64_t

#include <quire/table/range.hpp>  // is_translatable

#include "catch.hpp"

namespace {

using namespace quire;
using riscv::extensions;
using riscv::sv32;
using riscv::sv39;
using riscv::sv48;
using riscv::sv57;
using napot = riscv::stage1<4, extensions{.svadu = true, .svnapot = true}>;

template <class Format = sv39>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  const auto entry = Format::leaf(output_address{output}, wanted, level, group);
  REQUIRE(entry.has_value());
  return *entry;
}
template <class Format = sv39>
errc refusal(const attributes& wanted, std::uint64_t output = 0, int level = 0, int group = 0) {
  return Format::leaf(output_address{output}, wanted, level, group).error().code;
}

constexpr privilege user = privilege::user, supervisor = privilege::supervisor;

static_assert(sv32::shape.levels == 2 && sv39::shape.levels == 3 && sv48::shape.levels == 4 && sv57::shape.levels == 5);
static_assert(table_bytes<sv32>(0) == 4096 && table_bytes<sv32>(1) == 4096 && sizeof(sv32::word) == 4);
static_assert(sv32::shape.leaf_bytes(1) == 0x40'0000 && sv57::shape.leaf_bytes(4) == 0x1'0000'0000'0000);
static_assert(sv32::facts.output_bits == 34 && sv39::facts.output_bits == 56 && sv57::facts.output_bits == 56);
static_assert(!sv32::facts.sign_extended && sv39::facts.sign_extended && sv48::facts.sign_extended &&
              sv57::facts.sign_extended);

}  // namespace

TEST_CASE("RISC-V stage 1: whose a leaf is") {
  // 0x8020'3000 >> 2 = 0x2008'0c00.
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .from = user}, 0) == 0x2008'0d57);
  CHECK(leaf(0x8020'3000, {.allowed = read_write, .from = supervisor}, 0) == 0x2008'0d47);
  CHECK(leaf(0x8020'3000, {.allowed = read_execute, .from = supervisor, .global = true}, 0) == 0x2008'0c6b);
  CHECK(leaf(0x8020'3000, {.allowed = executable, .accessed = false, .from = user, .global = true}, 0) == 0x2008'0c39);
  CHECK(sv39::attributes_of(0x2008'0c53, 0).from == user);
  CHECK(sv39::attributes_of(0x2008'0c43, 0).from == supervisor);
  CHECK(sv39::attributes_of(0x2008'0c63, 0).global);
  CHECK_FALSE(sv39::attributes_of(0x2008'0c43, 0).global);
  // A user page is not the supervisor's: no bit says "both".
  CHECK(refusal({.allowed = read_write}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = privilege::any, .global = true}) == errc::unsupported_attribute);
}

TEST_CASE("RISC-V stage 1: blocks, memory types, groups") {
  const attributes rw{.allowed = read_write, .dirty = true, .from = supervisor};
  CHECK(leaf(0x8020'0000, rw, 1) == 0x2008'01c7);
  CHECK(leaf(0x1'4000'0000, rw, 2) == 0x5000'01c7);
  CHECK(leaf<sv48>(0x80'0000'0000, rw, 3) == 0x20'0000'01c7);
  CHECK(leaf<sv57>(0x1'0000'0000'0000, rw, 4) == 0x4000'0000'01c7);
  CHECK(leaf<sv32>(0x3'ffff'f000, rw, 0) == 0xffff'fdc7);
  CHECK(leaf<sv32>(0x3'ffc0'0000, rw, 1) == 0xfff0'01c7);
  CHECK(leaf(0x9000'0000, {.allowed = read_write, .memory = memory_type::non_cacheable, .from = user}, 0) ==
        0x2000'0000'2400'0157);
  CHECK(leaf(0x1000'0000, {.allowed = read_write, .memory = memory_type::device, .from = supervisor}, 0) ==
        0x4000'0000'0400'0147);
  CHECK(refusal<sv32>({.allowed = readable, .memory = memory_type::device, .from = user}) ==
        errc::unsupported_attribute);
  // 0x8021'0000 >> 2 = 0x2008'4000; PPN[3:0] = 1000 is bit 13.
  CHECK(leaf<napot>(0x8021'0000, {.allowed = readable, .from = user}, 0, 4) == 0x8000'0000'2008'6053);
  CHECK(napot::output_of(0x8000'0000'2008'6053, 0) == output_address{0x8021'0000});
  CHECK(refusal<sv39>({.allowed = readable, .from = user}, 0, 0, 4) == errc::unsupported_level);
}

TEST_CASE("RISC-V stage 1: what is reserved is refused") {
  CHECK(refusal({.allowed = writable, .from = user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = no_access, .from = user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .software = 2, .from = user}) == errc::unsupported_attribute);
  CHECK(refusal({.allowed = readable, .from = user}, 0x1000, 1) == errc::unaligned);
  CHECK(refusal({.allowed = readable, .from = user}, std::uint64_t{1} << 56) == errc::beyond_output);
  CHECK(refusal<sv32>({.allowed = readable, .from = user}, std::uint64_t{1} << 34) == errc::beyond_output);
  CHECK(refusal({.allowed = readable, .from = user}, 0, 3) == errc::unsupported_level);
  CHECK_FALSE(sv39::relax(writable).has_value());
}

TEST_CASE("RISC-V stage 1: tables, G in them, and what is neither") {
  CHECK(sv39::table(table_address{0x8000'1000}, 1) == 0x2000'0401);
  CHECK(sv39::kind_of(0x2000'0401, 1) == entry_kind::table);
  CHECK(sv39::kind_of(0x2000'0421, 2) == entry_kind::table);  // "all mappings in the subsequent levels are global"
  CHECK(sv39::kind_of(0x2000'0721, 2) == entry_kind::table);  // RSW is software's
  CHECK(sv39::kind_of(0x2000'0401, 0) == entry_kind::marker);
  for (const std::uint64_t reserved : {0x10U, 0x40U, 0x80U}) {
    CHECK(sv39::kind_of(0x2000'0401 | reserved, 1) == entry_kind::marker);
    CHECK_FALSE(sv39::is_well_formed(0x2000'0401 | reserved, 1));
  }
  CHECK(sv39::kind_of(0x2000'0400, 1) == entry_kind::marker);
  CHECK(sv39::kind_of(0x2008'0c43, 1) == entry_kind::leaf);
  CHECK(sv32::kind_of(0xffff'fc21, 1) == entry_kind::table);
  CHECK(sv32::kind_of(0xffff'fc01, 0) == entry_kind::marker);
}

TEST_CASE("RISC-V stage 1: locked entries keep G") {
  // A leaf keeps R, W or X; a table is given W.
  CHECK(sv39::lock(0x2008'0c6b) == 0x2008'0c6a);
  CHECK(sv39::unlock(0x2008'0c6a) == 0x2008'0c6b);
  CHECK(sv39::lock(0x2000'0421) == 0x2000'0424);
  CHECK(sv39::unlock(0x2000'0424) == 0x2000'0421);
  for (const std::uint64_t entry :
       {std::uint64_t{0x2008'0c6a}, std::uint64_t{0x2000'0424}, std::uint64_t{sv39::locked}})
    CHECK(sv39::kind_of(entry, 1) == entry_kind::locked);
  CHECK(sv39::kind_of(sv39::marker(0xfff'ffff'ffff), 1) == entry_kind::marker);
  CHECK(sv39::marker(0xfff'ffff'ffff) == 0x003f'ffff'ffff'fe00);
  CHECK(sv32::marker(0x3f'ffff) == 0xffff'fe00);
}

TEST_CASE("RISC-V stage 1: what the hardware takes for malformed") {
  CHECK(sv39::is_well_formed(0x2008'0c43, 0));        // no U is well formed here
  CHECK(sv39::is_well_formed(0x2008'0c63, 0));        // so is G
  CHECK(sv39::is_well_formed(0x2000'0421, 1));        // in a table, too
  CHECK_FALSE(sv39::is_well_formed(0x2000'0401, 0));  // a table at level 0
  CHECK_FALSE(sv39::is_well_formed(0x2008'0c45, 0));  // W without R
  CHECK_FALSE(sv39::is_well_formed(0x2008'0c43, 1));  // "misaligned superpage"
  CHECK(sv32::is_well_formed(0x2010'0043, 1));
  CHECK_FALSE(sv32::is_well_formed(0x2018'0043 | 0x400, 1));
  CHECK_FALSE(sv39::is_well_formed(0x6000'0000'2008'0c43, 0));  // PBMT 3
  CHECK_FALSE(sv39::is_well_formed(0x8000'0000'2008'6043, 0));  // N without Svnapot
  CHECK(napot::is_well_formed(0x8000'0000'2008'6043, 0));
  CHECK_FALSE(napot::is_well_formed(0x8000'0000'2008'4043, 0));
  CHECK(sv39::is_well_formed(~std::uint64_t{1}, 0));  // V clear
}

TEST_CASE("RISC-V stage 1: changes keep U and G") {
  CHECK(sv39::write_protect(0x2008'0df7) == 0x2008'0df3);
  CHECK(sv39::make_writable(0x2008'0d63) == 0x2008'0de7);
  CHECK(sv39::clear_accessed(0x2008'0df7) == 0x2008'0db7);
  CHECK((*sv39::protect(read_execute))(0x2008'0df7) == 0x2008'0cfb);
  CHECK((*sv39::relax(executable))(0x2008'0d63) == 0x2008'0d6b);
  CHECK(sv39::quiet_bits == 0);
  CHECK(napot::quiet_bits == 0xc0);
}

TEST_CASE("RISC-V stage 1: two halves of virtual addresses, but for Sv32") {
  const auto ok = []<class F>(std::uint64_t address) { return is_translatable<F>(input_address{address}); };
  CHECK(ok.operator()<sv39>(0x0000'003f'ffff'ffff));
  CHECK_FALSE(ok.operator()<sv39>(0x0000'0040'0000'0000));
  CHECK_FALSE(ok.operator()<sv39>(0xffff'ffbf'ffff'ffff));
  CHECK(ok.operator()<sv39>(0xffff'ffc0'0000'0000));
  CHECK(ok.operator()<sv48>(0xffff'8000'0000'0000));
  CHECK_FALSE(ok.operator()<sv48>(0x0000'8000'0000'0000));
  CHECK(ok.operator()<sv57>(0xff00'0000'0000'0000));
  CHECK_FALSE(ok.operator()<sv57>(0x0100'0000'0000'0000));
  CHECK(ok.operator()<sv32>(0x7fff'ffff));
  CHECK(ok.operator()<sv32>(0x8000'0000));
  CHECK(ok.operator()<sv32>(0xffff'ffff));
  CHECK_FALSE(ok.operator()<sv32>(0x1'0000'0000));
}
