// SPDX-License-Identifier: MIT
// hgatp and satp against values put together by hand.
//
// Source: The RISC-V Instruction Set Manual, Volume II, figures "RV64 Hypervisor guest address translation and
// protection register hgatp", "RV32 ..." and those of satp; tables of MODE: Sv32 1, Sv39 8, Sv48 9, Sv57 10, and the
// same for the x4 modes; VMIDMAX 7 or 14, ASIDMAX 9 or 16.
#include <quire/format/riscv_atp.hpp>

#include <cstdint>  // uint32_t, uint64_t
#include <vector>   // vector

#include "catch.hpp"

namespace {

using namespace quire;
using riscv::hgatp;
using riscv::satp;
using riscv::sv32;
using riscv::sv32x4;
using riscv::sv39;
using riscv::sv39x4;
using riscv::sv48;
using riscv::sv48x4;
using riscv::sv57;
using riscv::sv57x4;

struct my_table : sv39x4 {};
static_assert(riscv::gstage_format<sv39x4> && riscv::gstage_format<my_table> && !riscv::gstage_format<sv39>);
static_assert(riscv::gstage_format<riscv::gstage<3, riscv::extensions{.svnapot = true}>>);
static_assert(riscv::stage1_format<sv32> && !riscv::stage1_format<sv32x4>);

errc code(const auto& result) { return result.error().code; }

// The CSR of a hart that has some modes, as wide as Word.
template <class Word>
struct register_of_hart {
  std::vector<unsigned> modes;
  int mode_bit;
  bool ignores_whole_write;  // satp
  Word value = 0;

  Word operator()(Word written) {
    const auto mode = static_cast<unsigned>(written >> mode_bit);
    for (const unsigned each : modes)
      if (each == mode) return value = written;
    if (!ignores_whole_write) value = static_cast<Word>(written & ((Word{1} << mode_bit) - 1));  // reads back as Bare
    return value;
  }
};

}  // namespace

TEST_CASE("hgatp by hand") {
  // 0x8000'4000 >> 12 = 0x8'0004; VMID 0x2005 << 44.
  CHECK(*hgatp<sv39x4>(table_address{0x8000'4000}, 0) == 0x8000'0000'0008'0004);
  CHECK(*hgatp<sv39x4>(table_address{0x8000'4000}, 0x2005) == 0x8200'5000'0008'0004);
  CHECK(*hgatp<sv48x4>(table_address{0x8000'4000}, 1) == 0x9000'1000'0008'0004);
  CHECK(*hgatp<sv57x4>(table_address{0xff'ffff'ffff'c000}, 0x3fff) == 0xa3ff'ffff'ffff'fffc);
  CHECK(*hgatp<sv32x4>(table_address{0x8000'4000}, 0x7f) == 0x9fc8'0004);
  CHECK(*hgatp<sv32x4>(table_address{0x3'ffff'c000}, 0) == 0x803f'fffc);
  CHECK(*hgatp<my_table>(table_address{0x8000'4000}, 1) == 0x8000'1000'0008'0004);
}

TEST_CASE("satp by hand") {
  CHECK(*satp<sv39>(table_address{0x8000'1000}, 0) == 0x8000'0000'0008'0001);
  CHECK(*satp<sv39>(table_address{0x8000'1000}, 0xffff) == 0x8fff'f000'0008'0001);
  CHECK(*satp<sv48>(table_address{0x8000'1000}, 2) == 0x9000'2000'0008'0001);
  CHECK(*satp<sv57>(table_address{0xff'ffff'ffff'f000}, 0) == 0xa000'0fff'ffff'ffff);
  CHECK(*satp<sv32>(table_address{0x8000'1000}, 0x1ff) == 0xffc8'0001);
  CHECK(*satp<sv32>(table_address{0x3'ffff'f000}, 1) == 0x807f'ffff);
}

TEST_CASE("what these registers cannot hold has a name") {
  CHECK(code(hgatp<sv39x4>(table_address{0x8000'1000}, 0)) == errc::unaligned);  // 16 KiB
  CHECK(code(hgatp<sv32x4>(table_address{0x8000'2000}, 0)) == errc::unaligned);
  CHECK(code(satp<sv39>(table_address{0x8000'0800}, 0)) == errc::unaligned);
  CHECK(code(hgatp<sv39x4>(table_address{std::uint64_t{1} << 56}, 0)) == errc::beyond_output);
  CHECK(code(satp<sv32>(table_address{std::uint64_t{1} << 34}, 0)) == errc::beyond_output);
  CHECK(code(hgatp<sv39x4>(table_address{0}, 0x4000)) == errc::beyond_identifier);
  CHECK(code(hgatp<sv32x4>(table_address{0}, 0x80)) == errc::beyond_identifier);
  CHECK(code(satp<sv39>(table_address{0}, 0x1'0000)) == errc::beyond_identifier);
  CHECK(code(satp<sv32>(table_address{0}, 0x200)) == errc::beyond_identifier);
  // A hart may have fewer bits, or none: two guests would share them.
  CHECK(hgatp<sv39x4>(table_address{0}, 0x7f, 7).has_value());
  CHECK(code(hgatp<sv39x4>(table_address{0}, 0x80, 7)) == errc::beyond_identifier);
  CHECK(code(satp<sv39>(table_address{0}, 1, 0)) == errc::beyond_identifier);
  CHECK(code(hgatp<sv39x4>(table_address{0}, 0x4000, 32)) == errc::beyond_identifier);
  CHECK(hgatp<sv39x4>(table_address{0}, 0x80).error() == error{errc::none, -1, 0});
  CHECK(hgatp<sv39x4>(table_address{0}, 0x4000).error() == error{errc::beyond_identifier, -1, 0x4000});
}

TEST_CASE("a hart says which of a list of formats it has") {
  register_of_hart<std::uint64_t> some{.modes = {0, 8, 9}, .mode_bit = 60, .ignores_whole_write = false};
  CHECK(riscv::formats_of_hart<sv57x4, sv48x4, sv39x4>(some) == 0b110);
  CHECK(riscv::formats_of_hart<sv39x4, riscv::gstage<4, riscv::extensions{.svnapot = true}>>(some) == 0b11);
  CHECK(riscv::formats_of_hart<sv57x4>(some) == 0);

  // The write that has no effect leaves what was there: another MODE than was asked for.
  register_of_hart<std::uint64_t> first{.modes = {0, 8, 10}, .mode_bit = 60, .ignores_whole_write = true};
  CHECK(riscv::formats_of_hart<sv39, sv48, sv57>(first) == 0b101);
  register_of_hart<std::uint32_t> narrow{.modes = {0, 1}, .mode_bit = 31, .ignores_whole_write = true};
  CHECK(riscv::formats_of_hart<sv32>(narrow) == 1);
  register_of_hart<std::uint32_t> bare{.modes = {0}, .mode_bit = 31, .ignores_whole_write = false};
  CHECK(riscv::formats_of_hart<sv32x4>(bare) == 0);
}

TEST_CASE("a hart says how many VMID or ASID bits it has") {
  CHECK(riscv::every_identifier_bit<sv39x4> == 0x83ff'f000'0000'0000);
  CHECK(riscv::every_identifier_bit<sv39> == 0x8fff'f000'0000'0000);
  CHECK(riscv::every_identifier_bit<sv32x4> == 0x9fc0'0000);
  CHECK(riscv::every_identifier_bit<sv32> == 0xffc0'0000);
  CHECK(riscv::identifier_bits<sv39x4>(0x83ff'f000'0000'0000) == 14);
  CHECK(riscv::identifier_bits<sv39x4>(0x8000'7000'0000'0000) == 3);
  CHECK(riscv::identifier_bits<sv39x4>(0x8000'0000'0000'0000) == 0);
  CHECK(riscv::identifier_bits<sv32>(0xffc0'0000) == 9);
  CHECK(riscv::identifier_bits<sv32x4>(0x8040'0000) == 1);
}
