// SPDX-License-Identifier: MIT
// arm64 stage 1 against descriptors put together by hand.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), Table D8-52 "Stage 1 VMSAv8-64 Block and Page
// descriptor fields":
//   valid 0x1, page 0x2, AttrIndx 0x1c, AP[1] 0x40, AP[2] 0x80, SH inner 0x300, AF 0x400, nG 0x800, DBM bit 51 (0x0008
//   << 48), contiguous bit 52 (0x0010 << 48), PXN bit 53 (0x0020 << 48), UXN or XN bit 54 (0x0040 << 48), software bits
//   56 (0x0100 << 48) and 57 (0x0200 << 48).
#include <quire/format/arm64_stage1.hpp>

#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::el2_options;
using arm64::granule;
using arm64::halves;
using arm64::regime;
using arm64::stage1;
using arm64::stage1_options;

using process = stage1<granule::k4, 48>;
using kernel = stage1<granule::k4, 48,
                      stage1_options{.input = halves::both, .executes = privilege::supervisor, .contiguous = true}>;
using el2 = stage1<granule::k4, 48, el2_options>;
using dirty_bit = stage1<granule::k4, 39, stage1_options{.hardware_dirty = true}>;

template <class Format>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  const auto entry = Format::leaf(output_address{output}, wanted, level, group);
  REQUIRE(entry.has_value());
  return *entry;
}
template <class Format>
errc refusal(std::uint64_t output, const attributes& wanted, int level) {
  return Format::leaf(output_address{output}, wanted, level).error().code;
}

constexpr attributes rw{.allowed = read_write};
constexpr attributes rx{.allowed = read_execute};

}  // namespace

TEST_CASE("arm64 stage 1: a process's pages and blocks") {
  // 3 + AP[1] 0x40 + SH 0x300 + AF 0x400 + nG 0x800 = 0xf43; PXN always.
  CHECK(leaf<process>(0x8020'3000, rw, 0) == 0x0160'0000'8020'3f43);
  CHECK(leaf<process>(0x8020'3000, rx, 0) == 0x0020'0000'8020'3fc3);
  CHECK(leaf<process>(0x8020'3000, {.allowed = all_access}, 0) == 0x0120'0000'8020'3f43);
  CHECK(leaf<process>(0x8020'3000, {.allowed = readable}, 0) == 0x0060'0000'8020'3fc3);
  CHECK(leaf<process>(0x8020'3000, {.allowed = readable, .may_write = true, .accessed = false, .software = 1}, 0) ==
        0x0360'0000'8020'3bc3);
  CHECK(leaf<process>(0x8020'0000, rw, 1) == 0x0160'0000'8020'0f41);    // 2 MiB
  CHECK(leaf<process>(0x1'4000'0000, rw, 2) == 0x0160'0001'4000'0f41);  // 1 GiB
  CHECK(leaf<process>(0xffff'ffff'f000, rx, 0) == 0x0020'ffff'ffff'ffc3);
  // EL1 alone, for every address space, and not executable: what a process's table has of the kernel.
  CHECK(leaf<process>(0x8020'3000, {.allowed = read_write, .from = privilege::supervisor, .global = true}, 0) ==
        0x0160'0000'8020'3703);
}

TEST_CASE("arm64 stage 1: a kernel's pages") {
  const attributes text{.allowed = read_execute, .from = privilege::supervisor, .global = true};
  const attributes data{.allowed = read_write, .from = privilege::supervisor, .global = true};
  CHECK(leaf<kernel>(0x8020'3000, text, 0) == 0x0040'0000'8020'3783);
  CHECK(leaf<kernel>(0x8020'3000, data, 0) == 0x0160'0000'8020'3703);
  CHECK(leaf<kernel>(0x8021'0000, data, 0, 4) == 0x0170'0000'8021'0703);  // contiguous
  CHECK(kernel::attributes_of(0x0040'0000'8020'3783, 0) == text);
  CHECK(kernel::attributes_of(0x0160'0000'8020'3703, 0).from == privilege::supervisor);
  // A process's text becomes no kernel text by a change of rights, and the other way round.
  CHECK_FALSE(kernel::protect(read_execute)->applies_to(leaf<kernel>(0, rw, 0)));
  CHECK(kernel::protect(read_execute)->applies_to(leaf<kernel>(0, data, 0)));
  CHECK_FALSE(process::relax(executable)->applies_to(leaf<process>(0, data, 0)));
  CHECK(process::relax(executable)->applies_to(leaf<process>(0, rw, 0)));
  CHECK(refusal<kernel>(0, rx, 0) == errc::unsupported_attribute);
  CHECK(refusal<process>(0, text, 0) == errc::unsupported_attribute);
}

TEST_CASE("arm64 stage 1: EL2 has one privilege") {
  // AP[1] is RES1, nG and PXN are RES0.
  CHECK(leaf<el2>(0x8020'3000, rw, 0) == 0x0140'0000'8020'3743);
  CHECK(leaf<el2>(0x8020'3000, rx, 0) == 0x0000'0000'8020'37c3);
  CHECK(leaf<el2>(0x8020'0000, {.allowed = all_access}, 1) == 0x0100'0000'8020'0741);
  CHECK(refusal<el2>(0, {.allowed = readable, .from = privilege::supervisor}, 0) == errc::unsupported_attribute);
  CHECK(refusal<el2>(0, {.allowed = readable, .global = true}, 0) == errc::unsupported_attribute);
  CHECK_FALSE(el2::attributes_of(0x0140'0000'8020'3743, 0).global);
}

TEST_CASE("arm64 stage 1: what it cannot say") {
  CHECK(refusal<process>(0, {}, 0) == errc::unsupported_attribute);  // no access at all
  CHECK(refusal<process>(0, {.allowed = writable}, 0) == errc::unsupported_attribute);
  CHECK(refusal<process>(0, {.allowed = readable, .from = privilege::user}, 0) == errc::unsupported_attribute);
  CHECK(refusal<process>(0, {.allowed = read_write, .dirty = true}, 0) == errc::unsupported_attribute);
  CHECK(refusal<process>(0, {.allowed = readable, .software = 2}, 0) == errc::unsupported_attribute);
  CHECK(refusal<process>(0, {.allowed = read_execute, .memory = memory_type::device}, 0) ==
        errc::unsupported_attribute);
  CHECK_FALSE(process::protect(writable).has_value());
  CHECK_FALSE(process::protect(no_access).has_value());
  CHECK(refusal<process>(0x8020'0800, rw, 0) == errc::unaligned);
  CHECK(refusal<process>(0, rw, 3) == errc::unsupported_level);
}

TEST_CASE("arm64 stage 1: memory types by their index") {
  // Linux's indices, for one: 0 normal, 2 non-cacheable, 4 Device-nGnRE.
  using linux_like = stage1<granule::k4, 48, stage1_options{.non_cacheable = 2, .device = 4}>;
  const attributes non_cacheable{.allowed = read_write, .memory = memory_type::non_cacheable};
  const attributes device{.allowed = read_write, .memory = memory_type::device};
  CHECK(leaf<linux_like>(0x9000'0000, non_cacheable, 0) == 0x0160'0000'9000'0f4b);
  CHECK(leaf<linux_like>(0x0900'0000, device, 0) == 0x0160'0000'0900'0f53);
  CHECK(leaf<process>(0x9000'0000, non_cacheable, 0) == 0x0160'0000'9000'0f47);
  CHECK(leaf<process>(0x0900'0000, device, 0) == 0x0160'0000'0900'0f4b);
  CHECK_FALSE(linux_like::relax(executable)->applies_to(leaf<linux_like>(0, device, 0)));
  CHECK(linux_like::relax(executable)->applies_to(leaf<linux_like>(0, non_cacheable, 0)));
  CHECK_FALSE(process::protect(read_execute)->applies_to(leaf<process>(0, device, 0)));
}

TEST_CASE("arm64 stage 1: the hardware dirty bit is inverted") {
  const std::uint64_t clean = 0x0168'0000'8020'3fc3;    // DBM, AP[2]: a write clears it
  const std::uint64_t written = 0x0168'0000'8020'3f43;  // DBM, AP[2] clear
  const std::uint64_t read_only = 0x0160'0000'8020'3fc3;
  CHECK(leaf<dirty_bit>(0x8020'3000, rw, 0) == clean);
  CHECK(leaf<dirty_bit>(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == written);
  CHECK(leaf<dirty_bit>(0x8020'3000, {.allowed = readable, .may_write = true}, 0) == read_only);
  CHECK(dirty_bit::is_dirty(written));
  CHECK_FALSE(dirty_bit::is_dirty(clean));
  CHECK(dirty_bit::write_protect(clean) == read_only);
  CHECK(dirty_bit::write_protect(written) == read_only);
  CHECK(dirty_bit::make_clean(written) == clean);
  CHECK(dirty_bit::make_writable(read_only) == written);
  CHECK((*dirty_bit::protect(read_write))(written) == written);
  CHECK((*dirty_bit::protect(read_write))(read_only) == clean);
  CHECK((*dirty_bit::protect(readable))(written) == 0x0060'0000'8020'3fc3);
  CHECK((*dirty_bit::relax(writable))(read_only) == written);
  // A leaf of somebody else's: AP[2] clear without DBM.
  const auto untracked = dirty_bit::attributes_of(0x0160'0000'8020'3f43, 0);
  CHECK(untracked.allowed == read_write);
  CHECK(untracked.dirty);
  CHECK(dirty_bit::attributes_of(clean, 0).allowed == read_write);
  CHECK_FALSE(dirty_bit::attributes_of(clean, 0).dirty);
  CHECK(dirty_bit::attributes_of(read_only, 0).allowed == readable);
  CHECK_FALSE(dirty_bit::attributes_of(read_only, 0).dirty);
  // Without it, AP[2] clear is the right to write.
  CHECK(process::write_protect(0x0160'0000'8020'3f43) == read_only);
  CHECK(process::make_writable(read_only) == 0x0160'0000'8020'3f43);
  CHECK(process::quiet_bits == 0x400);
}

TEST_CASE("arm64 stage 1: tables grant everything") {
  // APTable, XNTable, UXNTable and PXNTable (bits 62:59) are 0; bit 7 is ignored.
  CHECK(process::table(table_address{0x8000'1000}, 1) == 0x8000'1083);
  CHECK(process::kind_of(0x8000'1083, 1) == entry_kind::table);
  CHECK(process::table_of(0x8000'1083, 1) == table_address{0x8000'1000});
  CHECK(process::facts.table_permissions);
  CHECK_FALSE(process::is_writable(0x8000'1083));
}

TEST_CASE("arm64 stage 1: what a table entry takes away") {
  // APTable[1] bit 62 (0x4000 << 48), APTable[0] 61 (0x2000), UXNTable or XNTable 60 (0x1000), PXNTable 59 (0x0800).
  const std::uint64_t table = 0x8000'1003;
  CHECK(process::table_rights_of(table, 1) == all_access);
  CHECK(process::table_rights_of(0x4000'0000'0000'0000 | table, 1) == read_execute);
  CHECK(process::table_rights_of(0x1000'0000'0000'0000 | table, 3) == read_write);
  CHECK(process::table_rights_of(0x5000'0000'0000'0000 | table, 3) == readable);
  CHECK(process::table_rights_of(0x0800'0000'0000'0000 | table, 1) == all_access);  // EL1 never executes what is EL0's
  CHECK(kernel::table_rights_of(0x0800'0000'0000'0000 | table, 1) == read_write);
  CHECK(kernel::table_rights_of(0x1000'0000'0000'0000 | table, 1) == all_access);
  CHECK(el2::table_rights_of(0x1000'0000'0000'0000 | table, 2) == read_write);
  CHECK(el2::table_rights_of(0x4000'0000'0000'0000 | table, 2) == read_execute);
  CHECK(dirty_bit::table_rights_of(0x4000'0000'0000'0000 | table, 2) == read_execute);
  // APTable[0]: whom they are for, and not which; NSTable, and the ignored bit 7 of ours: nothing.
  CHECK(process::table_rights_of(0x2000'0000'0000'0000 | table, 1) == all_access);
  CHECK(process::table_rights_of(0x8000'0000'0000'0000 | table, 1) == all_access);
  CHECK(process::table_rights_of(0x8000'1083, 1) == all_access);
}

TEST_CASE("arm64 stage 1: other granules, and 52 bits") {
  using k16 = stage1<granule::k16, 47, el2_options>;
  using k64 = stage1<granule::k64, 52, stage1_options{.translates = regime::el2, .output_bits = 52}>;
  using lpa2 = stage1<granule::k4, 52, stage1_options{.translates = regime::el2, .output_bits = 52}>;
  CHECK(leaf<k16>(0x8200'0000, rw, 1) == 0x0140'0000'8200'0741);
  CHECK(leaf<k64>(0xa'8000'0021'0000, rw, 0) == 0x0140'8000'0021'a743);
  CHECK(leaf<lpa2>(0xf'ffff'ffff'f000, rx, 0) == 0x0003'ffff'ffff'f7c3);
  CHECK(leaf<lpa2>(0x8020'3000, rw, 0) == 0x0140'0000'8020'3443);  // no SH
  CHECK(lpa2::shape.levels == 5);
  CHECK(lpa2::table(table_address{0xc'0000'0000'1000}, 4) == 0x0000'0000'0000'1383);
}

TEST_CASE("arm64 stage 1: what the manual leaves open or faults is not well formed") {
  const std::uint64_t page = 0x0160'0000'8020'3f43;
  CHECK(process::is_well_formed(page, 0));
  CHECK_FALSE(process::is_well_formed((page & ~0x300ULL) | 0x100, 0));
  CHECK(process::is_well_formed((page & ~0x300ULL) | 0x108, 0));  // device memory has no shareability
  CHECK_FALSE(process::is_well_formed(0x0160'0000'8021'0f41, 1));
  CHECK(process::is_well_formed(page | 0xf884'0000'0000'0020, 0));
  CHECK(process::is_well_formed(0xf800'0000'8000'1003, 1));  // rights are taken away, that is all
  CHECK(process::is_well_formed(page & ~2ULL, 0));           // invalid
  CHECK_FALSE(stage1<granule::k64, 48>::is_well_formed(0x0160'0000'8021'1f43, 0));
}

TEST_CASE("arm64 stage 1: two halves are one root of twice the size") {
  CHECK(kernel::facts.sign_extended);
  CHECK(kernel::shape.input_bits() == 49);
  CHECK(kernel::shape.levels == process::shape.levels);
  CHECK(root_table_bytes<kernel> == 2 * root_table_bytes<process>);
  // The first address of the upper half, 2^64 - 2^48, has the first entry of the second half.
  CHECK(kernel::shape.index(0xffff'0000'0000'0000, 3) == 512);
  CHECK(kernel::shape.index(0xffff'ffff'ffff'f000, 3) == 1023);
  CHECK(kernel::shape.index(0x0000'7fff'ffff'f000, 3) == 255);
}

TEST_CASE("arm64 stage 1: types that there cannot be are named") {
  const auto said = [](granule size, int bits, const stage1_options& options) {
    return arm64::check_stage1(size, bits, options).error().code;
  };
  CHECK(said(granule::k4, 48, {}) == errc::none);
  CHECK(said(granule::k4, 25, {}) == errc::none);  // TxSZ 39
  CHECK(said(granule::k4, 24, {}) == errc::beyond_input);
  CHECK(said(granule::k4, 49, {}) == errc::beyond_input);
  CHECK(said(granule::k4, 52, {.output_bits = 52}) == errc::none);
  CHECK(said(granule::k64, 52, {}) == errc::none);                                    // FEAT_LVA without FEAT_LPA
  CHECK(said(granule::k64, 29, {}) == errc::none);                                    // pages alone
  CHECK(said(granule::k16, 48, {.input = halves::both}) == errc::unsupported_level);  // two halves of 16 bytes
  CHECK(said(granule::k4, 48, {.output_bits = 51}) == errc::beyond_output);
  CHECK(said(granule::k4, 48, {.executes = privilege::any}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 48, {.translates = regime::el2, .input = halves::both}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 48, {.device = 8}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 48, {.device = 0}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 48, {.non_cacheable = 0}) == errc::unsupported_attribute);
  // 1 and 2 differ in both bits, and 3 from each in one.
  CHECK(said(granule::k4, 48, {.normal = 1, .non_cacheable = 2, .device = 3}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 48, {.hardware_accessed = false, .hardware_dirty = true}) == errc::unsupported_attribute);
}
