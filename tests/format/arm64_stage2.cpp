// SPDX-License-Identifier: MIT
// arm64 stage 2 against descriptors put together by hand.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), Table D8-53 "Stage 2 VMSAv8-64 Block and Page
// descriptor fields":
//   valid 0x1, page 0x2, MemAttr 0x3c, S2AP read 0x40, write 0x80, SH inner 0x300, AF 0x400, DBM bit 51 (0x0008 << 48),
//   contiguous bit 52 (0x0010 << 48), XN[0] bit 53 (0x0020 << 48), XN[1] bit 54 (0x0040 << 48), software bits 56
//   (0x0100 << 48) and 57 (0x0200 << 48). 52-bit addresses: at 64 KiB the top four bits in 0xf000; at 4 and 16 KiB the
//   top two in 0x300, and no SH.
#include <quire/format/arm64_stage2.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include "catch.hpp"

namespace {

using namespace quire;
using arm64::stage2_4k;
using arm64::stage2_options;

using plain = stage2_4k<40>;
using forced = stage2_4k<40, stage2_options{.forced_write_back = true}>;
using dirty_bit = stage2_4k<40, stage2_options{.hardware_dirty = true}>;
using contiguous = stage2_4k<40, stage2_options{.contiguous = true}>;
using small_16k = arm64::stage2_16k<40>;
using small_64k = arm64::stage2_64k<48>;
using lpa = arm64::stage2_64k<52, stage2_options{.output_bits = 52}>;
using lpa2_4k = stage2_4k<52, stage2_options{.output_bits = 52, .levels = 5}>;
using lpa2_16k = arm64::stage2_16k<52, stage2_options{.contiguous = true, .output_bits = 52}>;
using by_privilege = stage2_4k<40, stage2_options{.execute_by_privilege = true}>;

template <class Format>
std::uint64_t leaf(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  const auto entry = Format::leaf(output_address{output}, wanted, level, group);
  REQUIRE(entry.has_value());
  return *entry;
}
template <class Format>
errc refusal(std::uint64_t output, const attributes& wanted, int level, int group = 0) {
  return Format::leaf(output_address{output}, wanted, level, group).error().code;
}

constexpr attributes rw{.allowed = read_write};
constexpr attributes rx{.allowed = read_execute};

}  // namespace

TEST_CASE("arm64 stage 2: pages and blocks") {
  // 1 + 2 + MemAttr 0xf << 2 = 0x3c + S2AP 0xc0 + SH 0x300 + AF 0x400 = 0x7ff; XN and "may write" above.
  CHECK(leaf<plain>(0x8020'3000, rw, 0) == 0x0140'0000'8020'37ff);
  // Read-only and executable: S2AP 0x40, no XN.
  CHECK(leaf<plain>(0x8020'3000, rx, 0) == 0x0000'0000'8020'377f);
  // Blocks have bit 1 clear. 2 MiB at the manual's level 2, 1 GiB at its level 1.
  CHECK(leaf<plain>(0x8020'0000, {.allowed = all_access}, 1) == 0x0100'0000'8020'07fd);
  CHECK(leaf<plain>(0x1'4000'0000, rw, 2) == 0x0140'0001'4000'07fd);
  // No access at all is a valid descriptor: S2AP 0, XN.
  CHECK(leaf<plain>(0x8020'3000, {}, 0) == 0x0040'0000'8020'373f);
  // Not accessed: AF clear. Read-only, but may become writable.
  CHECK(leaf<plain>(0x8020'3000, {.allowed = readable, .may_write = true, .accessed = false}, 0) ==
        0x0140'0000'8020'337f);
  // Write-only: S2AP 0x80. The owner's software bit.
  CHECK(leaf<plain>(0x8020'3000, {.allowed = writable}, 0) == 0x0140'0000'8020'37bf);
  CHECK(leaf<plain>(0x8020'3000, {.allowed = readable, .software = 1}, 0) == 0x0240'0000'8020'377f);
  // The highest output address of 48 bits.
  CHECK(leaf<plain>(0xffff'ffff'f000, rx, 0) == 0x0000'ffff'ffff'f77f);
}

TEST_CASE("arm64 stage 2: memory types, with and without forced write-back") {
  const attributes non_cacheable{.allowed = read_write, .memory = memory_type::non_cacheable};
  const attributes device{.allowed = read_write, .memory = memory_type::device};
  CHECK(leaf<plain>(0x9000'0000, non_cacheable, 0) == 0x0140'0000'9000'07d7);  // 0x5 << 2
  CHECK(leaf<plain>(0x0900'0000, device, 0) == 0x0140'0000'0900'07c7);         // 0x1 << 2
  CHECK(leaf<forced>(0x9000'0000, rw, 0) == 0x0140'0000'9000'07db);            // 0x6 << 2
  CHECK(leaf<forced>(0x9000'0000, non_cacheable, 0) == 0x0140'0000'9000'07d7);
  CHECK(leaf<forced>(0x0900'0000, device, 0) == 0x0140'0000'0900'07c7);
}

TEST_CASE("arm64 stage 2: device memory is never executable") {
  const attributes device{.allowed = readable, .memory = memory_type::device};
  attributes bad = device;
  bad.allowed = read_execute;
  CHECK(refusal<plain>(0x0900'0000, bad, 0) == errc::unsupported_attribute);

  // Neither by a change: it does not apply to a device leaf, and does to the others.
  const auto entry = leaf<plain>(0x0900'0000, device, 0);
  CHECK_FALSE(plain::protect(read_execute)->applies_to(entry));
  CHECK_FALSE(plain::relax(executable)->applies_to(entry));
  CHECK(plain::protect(no_access)->applies_to(entry));
  for (const memory_type memory : {memory_type::normal, memory_type::non_cacheable}) {
    const attributes normal{.allowed = readable, .memory = memory};
    CHECK(plain::relax(executable)->applies_to(leaf<plain>(0, normal, 0)));
    CHECK(forced::relax(executable)->applies_to(leaf<forced>(0, normal, 0)));
  }
}

TEST_CASE("arm64 stage 2: tables and what is neither") {
  CHECK(plain::table(table_address{0x8000'1000}, 1) == 0x8000'1003);
  CHECK(plain::table(table_address{0xffff'ffff'f000}, 2) == 0xffff'ffff'f003);

  // Type 0 is a block at levels 1 and 2, reserved at level 0 and, without FEAT_LPA2, where a block had 512 GiB.
  using four_levels = stage2_4k<48>;
  const std::uint64_t block = 0x0140'0000'0000'07fd;
  CHECK(four_levels::kind_of(block, 0) == entry_kind::marker);
  CHECK(four_levels::kind_of(block, 1) == entry_kind::leaf);
  CHECK(four_levels::kind_of(block, 2) == entry_kind::leaf);
  CHECK(four_levels::kind_of(block, 3) == entry_kind::marker);
  CHECK(four_levels::kind_of(block | 2, 0) == entry_kind::leaf);
  CHECK(four_levels::kind_of(block | 2, 3) == entry_kind::table);
  CHECK(refusal<four_levels>(0, rw, 3) == errc::unsupported_level);

  // Software's own: bit 0 clear.
  CHECK(plain::marker(0xf'ffff'ffff) == 0xffff'ffff'f002);
  CHECK(plain::locked == 0x0400'0000'0000'0000);
  CHECK(plain::lock(0x8020'37ff) == 0x0400'0000'8020'37fe);
}

TEST_CASE("arm64 stage 2: the hardware dirty bit") {
  const std::uint64_t clean = 0x0148'0000'8020'377f;    // DBM, S2AP[1] clear: a write sets it
  const std::uint64_t written = 0x0148'0000'8020'37ff;  // DBM, S2AP[1]
  const std::uint64_t read_only = 0x0140'0000'8020'377f;
  CHECK(leaf<dirty_bit>(0x8020'3000, rw, 0) == clean);
  CHECK(leaf<dirty_bit>(0x8020'3000, {.allowed = read_write, .dirty = true}, 0) == written);
  CHECK(leaf<dirty_bit>(0x8020'3000, {.allowed = readable, .may_write = true}, 0) == read_only);
  // S2AP[1] without DBM would be writable for good.
  CHECK(refusal<dirty_bit>(0, {.allowed = readable, .dirty = true}, 0) == errc::unsupported_attribute);
  CHECK(refusal<plain>(0, {.allowed = read_write, .dirty = true}, 0) == errc::unsupported_attribute);

  CHECK(dirty_bit::write_protect(clean) == read_only);
  CHECK(dirty_bit::write_protect(written) == read_only);
  CHECK(dirty_bit::make_clean(written) == clean);
  CHECK(dirty_bit::make_writable(read_only) == written);
  CHECK((*dirty_bit::protect(read_write))(written) == written);
  CHECK((*dirty_bit::protect(read_write))(read_only) == clean);
  CHECK((*dirty_bit::protect(readable))(written) == 0x0040'0000'8020'377f);
  // A leaf of somebody else's: S2AP[1] without DBM.
  const auto untracked = dirty_bit::attributes_of(0x0140'0000'8020'37ff, 0);
  CHECK(untracked.allowed == read_write);
  CHECK(untracked.dirty);
  CHECK(dirty_bit::attributes_of(clean, 0).allowed == read_write);
  CHECK_FALSE(dirty_bit::attributes_of(clean, 0).dirty);
  CHECK(dirty_bit::attributes_of(read_only, 0).allowed == readable);
  CHECK_FALSE(dirty_bit::attributes_of(read_only, 0).dirty);
  CHECK(dirty_bit::quiet_bits == 0x480);
  CHECK(plain::quiet_bits == 0x400);
}

TEST_CASE("arm64 stage 2: contiguous groups") {
  // 16 pages and 16 blocks of 2 MiB; each entry holds its own address.
  CHECK(leaf<contiguous>(0x8021'0000, rw, 0, 4) == 0x0150'0000'8021'07ff);
  CHECK(leaf<contiguous>(0x8021'0000, rw, 0, 4) + 5 * contiguous::step(0, 4) == 0x0150'0000'8021'57ff);
  CHECK(leaf<contiguous>(0x8200'0000, rw, 1, 4) == 0x0150'0000'8200'07fd);
  CHECK(leaf<contiguous>(0x8200'0000, rw, 1, 4) + contiguous::step(1, 4) == 0x0150'0000'8220'07fd);
  CHECK(contiguous::output_of(0x0150'0000'8021'57ff, 0) == output_address{0x8021'0000});
  CHECK(contiguous::output_of(0x0150'0000'83e0'07fd, 1) == output_address{0x8200'0000});

  CHECK(refusal<contiguous>(0x8021'1000, rw, 0, 4) == errc::unaligned);
  CHECK(refusal<contiguous>(0, rw, 2, 4) == errc::unsupported_level);
  CHECK(refusal<plain>(0, rw, 0, 4) == errc::unsupported_level);
}

TEST_CASE("arm64 stage 2: changes in bits") {
  const std::uint64_t entry = 0x0140'0000'8020'37ff;
  CHECK(plain::write_protect(entry) == 0x0140'0000'8020'377f);
  CHECK(plain::clear_accessed(entry) == 0x0140'0000'8020'33ff);
  CHECK((*plain::protect(read_execute))(entry) == 0x0000'0000'8020'377f);
  CHECK((*plain::relax(executable))(entry) == 0x0100'0000'8020'37ff);
  CHECK(plain::make_writable(0x0000'0000'8020'377f) == 0x0100'0000'8020'37ff);
  CHECK(plain::child(0x0140'0000'8020'07fd, 1) == 0x0140'0000'8020'07ff);  // block of 2 MiB -> page
  CHECK(plain::child(0x0140'0001'4000'07fd, 2) == 0x0140'0001'4000'07fd);  // 1 GiB -> 2 MiB
}

TEST_CASE("arm64 stage 2: 16 and 64 KiB granules") {
  CHECK(leaf<small_16k>(0x8020'4000, rw, 0) == 0x0140'0000'8020'47ff);
  CHECK(leaf<small_16k>(0x8200'0000, {.allowed = all_access}, 1) == 0x0100'0000'8200'07fd);  // 32 MiB
  CHECK(leaf<small_64k>(0x8021'0000, rw, 0) == 0x0140'0000'8021'07ff);
  CHECK(leaf<small_64k>(0xa000'0000, rx, 1) == 0x0000'0000'a000'077d);  // 512 MiB
  CHECK(small_64k::table(table_address{0xffff'ffff'0000}, 1) == 0xffff'ffff'0003);
  CHECK(refusal<small_16k>(0x8020'1000, rw, 0) == errc::unaligned);
  CHECK(refusal<small_64k>(0x8020'4000, rw, 0) == errc::unaligned);
  // 64 GiB and 4 TiB are for 52-bit descriptors.
  CHECK(refusal<arm64::stage2_16k<47>>(0, rw, 2) == errc::unsupported_level);
  CHECK(refusal<small_64k>(0, rw, 2) == errc::unsupported_level);
  CHECK(refusal<small_64k>(0x1'0000'0000'0000, rw, 0) == errc::beyond_output);
}

TEST_CASE("arm64 stage 2: 52 bits at 64 KiB") {
  CHECK(leaf<lpa>(0xa'8000'0021'0000, rw, 0) == 0x0140'8000'0021'a7ff);
  CHECK(leaf<lpa>(0xc'0400'0000'0000, rw, 2) == 0x0140'0400'0000'c7fd);  // 4 TiB
  CHECK(lpa::table(table_address{0xf'ffff'ffff'0000}, 1) == 0x0000'ffff'ffff'f003);
  CHECK(lpa::table_of(0x0000'ffff'ffff'f003, 1) == table_address{0xf'ffff'ffff'0000});
  CHECK(lpa::output_of(0x0140'8000'0021'a7ff, 0) == output_address{0xa'8000'0021'0000});
  CHECK(refusal<lpa>(0x10'0000'0000'0000, rw, 0) == errc::beyond_output);
  CHECK(lpa::marker(0xf'ffff'ffff) == 0x000f'ffff'ffff'0002);
}

TEST_CASE("arm64 stage 2: 52 bits at 4 and 16 KiB") {
  CHECK(leaf<lpa2_4k>(0x8020'3000, rw, 0) == 0x0140'0000'8020'34ff);
  CHECK(leaf<lpa2_4k>(0xf'ffff'ffff'f000, rx, 0) == 0x0003'ffff'ffff'f77f);
  CHECK(leaf<lpa2_4k>(0x8'0080'0000'0000, rw, 3) == 0x0140'0080'0000'06fd);  // 512 GiB
  CHECK(refusal<lpa2_4k>(0, rw, 4) == errc::unsupported_level);              // level -1 holds tables alone
  CHECK(lpa2_4k::table(table_address{0xc'0000'0000'1000}, 4) == 0x0000'0000'0000'1303);
  CHECK(leaf<lpa2_16k>(0x6'0010'0000'0000, rw, 2) == 0x0142'0010'0000'05fd);  // 64 GiB
  CHECK(lpa2_16k::output_of(0x0142'0010'0000'05fd, 2) == output_address{0x6'0010'0000'0000});
  // Shareability is VTCR_EL2's: no value of bits 9:8 is reserved.
  CHECK(lpa2_4k::is_well_formed(0x0140'0000'8020'35ff, 0));
}

TEST_CASE("arm64 stage 2: groups of the other granules, and of 1 GiB") {
  using grouped_16k = arm64::stage2_16k<47, stage2_options{.contiguous = true}>;
  using grouped_64k = arm64::stage2_64k<48, stage2_options{.contiguous = true}>;
  using gigabytes = stage2_4k<40, stage2_options{.contiguous = true, .contiguous_gigabytes = true}>;
  CHECK(grouped_16k::group_sizes(0) == (1U | 1U << 7));
  CHECK(grouped_16k::group_sizes(1) == (1U | 1U << 5));
  CHECK(grouped_64k::group_sizes(0) == (1U | 1U << 5));
  CHECK(grouped_64k::group_sizes(1) == (1U | 1U << 5));
  CHECK(gigabytes::group_sizes(2) == (1U | 1U << 4));
  // 512 GiB, 64 GiB and 4 TiB have no Contiguous bit.
  CHECK(lpa2_16k::group_sizes(2) == 1U);
  // A root of 8 entries of 512 MiB has no room for a group of 32, one of 16 entries of 1 GiB for 16.
  CHECK(arm64::stage2_64k<32, stage2_options{.contiguous = true}>::group_sizes(1) == 1U);
  CHECK(stage2_4k<34, stage2_options{.contiguous = true, .contiguous_gigabytes = true, .levels = 3}>::group_sizes(2) ==
        1U);

  CHECK(leaf<grouped_16k>(0x8020'0000, rw, 0, 7) == 0x0150'0000'8020'07ff);    // 2 MiB of pages
  CHECK(leaf<grouped_16k>(0x8000'0000, rw, 1, 5) == 0x0150'0000'8000'07fd);    // 1 GiB
  CHECK(leaf<grouped_64k>(0x4'0000'0000, rw, 1, 5) == 0x0150'0004'0000'07fd);  // 16 GiB
  CHECK(leaf<gigabytes>(0x4'0000'0000, rw, 2, 4) == 0x0150'0004'0000'07fd);    // 16 GiB
  CHECK(gigabytes::output_of(0x0150'0007'c000'07fd, 2) == output_address{0x4'0000'0000});
  CHECK(refusal<gigabytes>(0x2'0000'0000, rw, 2, 4) == errc::unaligned);
}

TEST_CASE("arm64 stage 2: execution by privilege") {
  const attributes user{.allowed = read_execute, .from = privilege::user};
  const attributes supervisor{.allowed = read_execute, .from = privilege::supervisor};
  const std::uint64_t both = 0x0000'0000'8020'377f, el0 = 0x0020'0000'8020'377f, el1 = 0x0060'0000'8020'377f,
                      none = 0x0040'0000'8020'377f;
  CHECK(leaf<by_privilege>(0x8020'3000, rx, 0) == both);
  CHECK(leaf<by_privilege>(0x8020'3000, user, 0) == el0);
  CHECK(leaf<by_privilege>(0x8020'3000, supervisor, 0) == el1);
  CHECK(leaf<by_privilege>(0x8020'3000, {.allowed = readable}, 0) == none);
  CHECK(by_privilege::attributes_of(el0, 0).from == privilege::user);
  CHECK(by_privilege::attributes_of(el1, 0).from == privilege::supervisor);
  CHECK(by_privilege::attributes_of(none, 0).from == privilege::any);
  // Whoever grants the right grants it to both; whoever takes it takes all.
  for (const std::uint64_t entry : {both, el0, el1, none}) {
    CHECK((*by_privilege::relax(executable))(entry) == both);
    CHECK((*by_privilege::protect(readable))(entry) == none);
  }
  CHECK((*by_privilege::relax(readable))(el0) == el0);
  CHECK(refusal<by_privilege>(0, {.allowed = readable, .from = privilege::user}, 0) == errc::unsupported_attribute);
  CHECK(refusal<plain>(0, user, 0) == errc::unsupported_attribute);
  // Without the feature, XN[0] is ignored.
  CHECK(plain::attributes_of(el1, 0).allowed == readable);
  CHECK(plain::attributes_of(el0, 0).allowed == read_execute);
}

TEST_CASE("arm64 stage 2: what the manual leaves open or faults is not well formed") {
  const std::uint64_t page = 0x0140'0000'8020'37ff;
  const auto with_mem_attr = [&](std::uint64_t value) { return (page & ~0x3cULL) | value << 2U; };
  for (std::uint64_t value = 0; value < 16; ++value) {
    CAPTURE(value);
    CHECK(plain::is_well_formed(with_mem_attr(value), 0) == (value != 4 && value != 8 && value != 12));
    const bool reserved = value == 4 || value == 12 || (value >= 8 && value < 12) || value == 13;
    CHECK(forced::is_well_formed(with_mem_attr(value), 0) == !reserved);
  }
  // SH 01 of cacheable memory; device and non-cacheable memory is outer shareable whatever it says.
  CHECK_FALSE(plain::is_well_formed((page & ~0x300ULL) | 0x100, 0));
  CHECK(plain::is_well_formed((with_mem_attr(1) & ~0x300ULL) | 0x100, 0));
  CHECK(plain::is_well_formed((with_mem_attr(5) & ~0x300ULL) | 0x100, 0));
  // Address bits below a block, nT among them.
  CHECK_FALSE(plain::is_well_formed(0x0140'0000'8020'17fd, 1));
  CHECK_FALSE(plain::is_well_formed(0x0140'0000'8021'07fd, 1));
  CHECK(plain::is_well_formed(0x0140'0000'8020'07fd, 1));
  CHECK_FALSE(lpa::is_well_formed(0x0140'0400'2000'c7fd, 2));
  CHECK(lpa::is_well_formed(0x0140'0400'0000'c7fd, 2));
  // Bits 15:12 at 64 KiB are address bits 51:48 on a CPU with FEAT_LPA, beyond a type with 48 of them.
  CHECK_FALSE(small_64k::is_well_formed(0x0140'0000'8021'17ff, 0));
  CHECK_FALSE(small_64k::is_well_formed(0x0000'0000'8021'1003, 1));
  CHECK(small_64k::is_well_formed(0x0000'0000'8021'0003, 1));
  // Type 0 at level 0, or where the level has no blocks, is taken for invalid; other bits are ignored.
  CHECK(plain::is_well_formed(0x0140'0000'8020'37fd, 0));
  CHECK(stage2_4k<48>::is_well_formed(0x0140'0000'8020'37fd, 3));
  CHECK(plain::is_well_formed(page | 0xf8a4'0000'0000'0800, 0));
  CHECK(plain::is_well_formed(0xfffc'0000'8000'1fff, 1));
}

TEST_CASE("arm64 stage 2: types that there cannot be are named") {
  using arm64::check_stage2;
  using arm64::granule;
  const auto said = [](granule size, int bits, const stage2_options& options) {
    return check_stage2(size, bits, options).error().code;
  };
  CHECK(said(granule::k4, 40, {}) == errc::none);
  CHECK(said(granule::k4, 31, {}) == errc::beyond_input);
  CHECK(said(granule::k4, 49, {}) == errc::beyond_input);
  CHECK(said(granule::k64, 52, {}) == errc::beyond_input);
  CHECK(said(granule::k64, 52, {.output_bits = 52}) == errc::none);
  CHECK(said(granule::k4, 53, {.output_bits = 52}) == errc::beyond_input);
  CHECK(said(granule::k4, 40, {.output_bits = 50}) == errc::beyond_output);
  CHECK(said(granule::k4, 40, {.levels = 2}) == errc::unsupported_level);
  CHECK(said(granule::k4, 40, {.levels = 4}) == errc::none);
  CHECK(said(granule::k4, 40, {.levels = 5}) == errc::unsupported_level);
  CHECK(said(granule::k16, 48, {.levels = 4}) == errc::unsupported_level);
  CHECK(said(granule::k64, 33, {.levels = 1}) == errc::none);  // 16 tables of pages: Table D8-41
  CHECK(said(granule::k64, 34, {.levels = 1}) == errc::unsupported_level);
  CHECK(said(granule::k16, 32, {.levels = 1}) == errc::unsupported_level);
  CHECK(said(granule::k16, 48, {.output_bits = 52, .levels = 4}) == errc::none);
  CHECK(said(granule::k4, 40, {.hardware_accessed = false, .hardware_dirty = true}) == errc::unsupported_attribute);
  CHECK(said(granule::k4, 40, {.contiguous_gigabytes = true}) == errc::unsupported_attribute);
  CHECK(said(granule::k16, 40, {.contiguous = true, .contiguous_gigabytes = true}) == errc::unsupported_attribute);
}

TEST_CASE("arm64 stage 2: a start level that was asked for") {
  using no_concatenation = stage2_4k<40, stage2_options{.levels = 4}>;
  CHECK(no_concatenation::shape.levels == 4);
  CHECK(no_concatenation::shape.entries(3) == 2);
  CHECK(root_table_bytes<no_concatenation> == 4096);
  CHECK(no_concatenation::shape.input_bits() == 40);
  CHECK(lpa2_4k::shape.levels == 5);
  CHECK(lpa2_4k::shape.entries(4) == 16);
  CHECK(lpa2_4k::shape.input_bits() == 52);
}
