// SPDX-License-Identifier: MIT
// arm64 stage 2 against descriptors put together by hand.
//
// Source: Arm Architecture Reference Manual for A-profile, "Stage 2 Block and Page descriptor" fields:
//   valid 0x1, page 0x2, MemAttr 0x3c, S2AP read 0x40, write 0x80, SH inner 0x300, AF 0x400, DBM bit 51 (0x0008 << 48),
//   contiguous bit 52 (0x0010 << 48), XN bit 54 (0x0040 << 48), software bits 56 (0x0100 << 48) and 57 (0x0200 << 48).
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

TEST_CASE("arm64 stage 2: start level and concatenated root tables") {
  // IPA bits -> levels, root tables of 512 entries, as the manual's tables of initial lookup levels have it.
  const auto check = []<int IpaBits>(int levels, std::size_t tables) {
    using format = stage2_4k<IpaBits>;
    CAPTURE(IpaBits);
    CHECK(format::shape.levels == levels);
    CHECK(format::shape.input_bits() == IpaBits);
    CHECK(root_table_bytes<format> == tables * 4096);
  };
  check.operator()<32>(2, 4);
  check.operator()<33>(2, 8);
  check.operator()<34>(2, 16);
  check.operator()<35>(3, 1);
  check.operator()<36>(3, 1);
  check.operator()<39>(3, 1);
  check.operator()<40>(3, 2);
  check.operator()<41>(3, 4);
  check.operator()<42>(3, 8);
  check.operator()<43>(3, 16);
  check.operator()<44>(4, 1);
  check.operator()<48>(4, 1);
}
