// SPDX-License-Identifier: MIT
// arm64 stage 2 tables (VMSAv8-64), 4 KiB granule.
//
// Source: Arm Architecture Reference Manual for A-profile, "The AArch64 Virtual Memory System Architecture", stage 2
// descriptor formats. The manual counts levels down to the pages: its level is 3 - ours, so its level 3 page is our
// level 0, its level 2 block (2 MiB) our level 1, its level 1 block (1 GiB) our level 2.
//
//   58..55   | 54 | 52     | 51  | 47..12         | 10 | 9 8 | 7 6  | 5..2    | 1    | 0
//   software | XN | contig | DBM | output address | AF | SH  | S2AP | MemAttr | type | valid
//
// Software bit 56 is "may become writable", 57 is the owner's. 55 and 58 stay 0: they have a meaning in a Realm's
// tables (NS) and with FEAT_THE (AssuredOnly). An entry with bit 0 clear is free for software: bit 1 with a payload in
// the address field is a marker, bit 2 alone is `locked`.
//
// VTCR_EL2 must say the same as the type: SL0 the start level (3 - shape.root_level), T0SZ 64 - IpaBits, HA and HD the
// options. A table entry is nothing but address, type and valid: stage 2 has no hierarchical permissions.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::arm64 {

enum class granule : std::uint8_t { k4, k16, k64 };

struct stage2_options {
  bool forced_write_back = false;  // HCR_EL2.FWB: MemAttr overrides stage 1 instead of combining with it
  bool hardware_accessed = true;   // VTCR_EL2.HA: the hardware sets AF
  bool hardware_dirty = false;     // VTCR_EL2.HD: a write through a leaf with DBM sets S2AP[1]
  bool contiguous = false;         // 16 neighbours may form a group: 64 KiB of pages, 32 MiB of 2 MiB blocks
};

// A granule in numbers. Where KVM and the architecture differ, the smaller set: no 512 GiB, no 16 GiB group.
struct granule_numbers {
  int page_bits;
  int leaf_levels;    // levels 0 .. leaf_levels - 1 hold leaves
  int group_bits[2];  // log2 of the entries of a contiguous group, at level 0 and 1

  [[nodiscard]] constexpr int index_bits() const noexcept { return page_bits - 3; }  // of 8-byte entries in a page
  // "Concatenated translation tables": up to 16 root tables, so 4 bits need no level of their own.
  [[nodiscard]] constexpr int levels(int ipa_bits) const noexcept {
    const int wanted = (ipa_bits - 8) / index_bits();
    return wanted < 2 ? 2 : wanted;
  }
};

[[nodiscard]] constexpr granule_numbers numbers_of(granule size) noexcept {
  switch (size) {
    case granule::k16: return {.page_bits = 14, .leaf_levels = 2, .group_bits = {7, 5}};
    case granule::k64: return {.page_bits = 16, .leaf_levels = 2, .group_bits = {5, 5}};
    case granule::k4: break;
  }
  return {.page_bits = 12, .leaf_levels = 3, .group_bits = {4, 4}};
}

template <granule Granule, int IpaBits, stage2_options Options = stage2_options{}>
struct stage2 {
  static_assert(Granule == granule::k4, "only the 4 KiB granule is supported so far");
  static_assert(IpaBits >= 32 && IpaBits <= 48, "an IPA has 32 to 48 bits; more needs FEAT_LPA2");
  static_assert(Options.hardware_accessed || !Options.hardware_dirty, "VTCR_EL2.HD needs VTCR_EL2.HA");

 private:
  static constexpr granule_numbers size = numbers_of(Granule);
  static constexpr int levels = size.levels(IpaBits);

 public:
  using word = std::uint64_t;
  static constexpr geometry<levels> shape = []() constexpr {
    geometry<levels> g{.page_bits = size.page_bits, .index_bits = {}};
    for (int level = 0; level < levels - 1; ++level) g.index_bits[level] = size.index_bits();
    g.index_bits[levels - 1] = IpaBits - g.shift(levels - 1);
    return g;
  }();
  static constexpr int table_shift = size.page_bits;
  static constexpr format_facts facts{
      .break_before_make = true,
      .caches_invalid = false,  // a translation that faults is not cached, AF = 0 included
      .sets_accessed = Options.hardware_accessed,
      .sets_dirty = Options.hardware_dirty,
      .has_dirty = Options.hardware_dirty,
      .output_bits = 48,
      .software_bits = 1,
      .marker_bits = 48 - size.page_bits,
  };

 private:
  static constexpr word valid = 1U << 0, type = 1U << 1;
  static constexpr int mem_attr_shift = 2;
  static constexpr word mem_attr = 0xfU << mem_attr_shift;
  static constexpr word not_device =
      4U << mem_attr_shift;  // set in both normal values of both encodings, not in device
  static constexpr word s2ap_read = 1U << 6, s2ap_write = 1U << 7;
  static constexpr word sh_inner = 3U << 8;
  static constexpr word af = 1U << 10;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~((word{1} << size.page_bits) - 1);
  static constexpr word dbm = word{1} << 51, contig = word{1} << 52, xn = word{1} << 54;
  static constexpr word sw_may_write = word{1} << 56, sw_owner = word{1} << 57, sw_locked = word{1} << 58;
  static constexpr bool has_dirty = Options.hardware_dirty;
  // The bit that says "may be written". With the hardware dirty bit that is DBM, on every writable leaf, and S2AP[1]
  // says that it was; without, S2AP[1] itself.
  static constexpr word writes = has_dirty ? dbm : s2ap_write;

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= levels || level >= size.leaf_levels) return 0;
    return 1U | (Options.contiguous && level < 2 ? 1U << size.group_bits[level] : 0U);
  }

  // Type 0 is a block; at level 0, and where the level has no blocks, it is reserved and faults. The table first, it is
  // what a descent asks for: adding 1 clears both bits exactly when both are set, one instruction less than comparing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (((entry + 1) & (valid | type)) == 0) return level == 0 ? entry_kind::leaf : entry_kind::table;
    if ((entry & valid) != 0) return level != 0 && group_sizes(level) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    return Options.contiguous && level < 2 && (entry & contig) != 0 ? size.group_bits[level] : 0;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & s2ap_read) != 0) allowed = allowed | readable;
    if ((entry & writes) != 0) allowed = allowed | writable;
    if ((entry & xn) == 0) allowed = allowed | executable;
    const word memory = entry & mem_attr;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = memory == mem_attr_of(memory_type::normal)          ? memory_type::normal
                      : memory == mem_attr_of(memory_type::non_cacheable) ? memory_type::non_cacheable
                                                                          : memory_type::device,
            .accessed = (entry & af) != 0,
            .dirty = is_dirty(entry),
            .software = static_cast<std::uint8_t>((entry & sw_owner) != 0)};
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> size.page_bits;
  }
  // Reserved: type 0 where the level has no blocks, the address bits below a block.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & valid) == 0) return true;
    if ((entry & type) != 0 && level > 0) return true;
    return (level > 0 ? group_sizes(level) != 0 : (entry & type) != 0) &&
           (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // All eight sets of rights exist, but instruction fetch from device memory is unpredictable and refused. A dirty leaf
  // that is not writable does not exist: S2AP[1] alone would be a write permission.
  [[nodiscard]] static constexpr result<word> leaf(output_address output, const attributes& wanted, int level,
                                                   int group = 0) noexcept {
    if (group < 0 || group > 31 || ((group_sizes(level) >> group) & 1U) == 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (wanted.software > 1) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if (wanted.memory == memory_type::device && wanted.allowed.contains(executable)) return errc::unsupported_attribute;
    if (wanted.dirty && !(has_dirty && wanted.allowed.contains(writable))) return errc::unsupported_attribute;
    return word{output.value | valid | (level == 0 ? type : 0) | mem_attr_of(wanted.memory) | sh_inner |
                rights_of(wanted.allowed) | (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? af : 0) |
                (wanted.dirty ? s2ap_write : 0) | (wanted.software != 0 ? sw_owner : 0) | (group != 0 ? contig : 0)};
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept { return child.value | type | valid; }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << size.page_bits) & oa) | type;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~valid) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | valid; }

  // Each entry of a contiguous group holds its own output address.
  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry | type : leaf_entry;
  }

  static constexpr entry_test<word> is_writable{valid | writes, valid | writes};
  static constexpr entry_test<word> is_accessed{valid | af, valid | af};
  static constexpr entry_test<word> is_dirty =
      has_dirty ? entry_test<word>{valid | dbm | s2ap_write, valid | dbm | s2ap_write} : entry_test<word>{0, 1};

  static constexpr entry_test<word> is_grantable{valid | type | sw_may_write | (Options.contiguous ? contig : 0),
                                                 valid | type | sw_may_write};

  // With DBM, S2AP[1] comes along: the write that faulted is about to happen. Protecting takes both, so ask is_dirty
  // of the old entry first.
  static constexpr entry_change<word> make_writable{{valid, valid}, ~word{0}, writes | s2ap_write | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~(writes | s2ap_write), 0};
  static constexpr entry_change<word> set_accessed{{valid, valid}, ~word{0}, af};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~af, 0};
  static constexpr entry_change<word> make_clean{is_dirty, has_dirty ? ~s2ap_write : ~word{0}, 0};

  // Neither applies to a device leaf if the right to execute is among the rights.
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    const word gone = allowed.contains(writable) ? writes : writes | s2ap_write;
    return entry_change<word>{may_have(allowed), ~(s2ap_read | gone | xn | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return entry_change<word>{may_have(more), more.contains(executable) ? ~xn : ~word{0},
                              (rights_of(more) & ~xn) | (more.contains(writable) ? s2ap_write : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = (Options.hardware_accessed ? af : 0) | (has_dirty ? s2ap_write : 0);

 private:
  // "Stage 2 memory type and Cacheability attributes", without and with FEAT_S2FWB.
  [[nodiscard]] static constexpr word mem_attr_of(memory_type memory) noexcept {
    constexpr word normal = Options.forced_write_back ? 6 : 0xf;
    return (memory == memory_type::device ? 1 : memory == memory_type::non_cacheable ? 5 : normal) << mem_attr_shift;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? s2ap_read : 0) | (allowed.contains(writable) ? writes | sw_may_write : 0) |
           (allowed.contains(executable) ? 0 : xn);
  }
  [[nodiscard]] static constexpr entry_test<word> may_have(permissions allowed) noexcept {
    const word mask = allowed.contains(executable) ? valid | not_device : valid;
    return {mask, mask};
  }
};

template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_4k = stage2<granule::k4, IpaBits, Options>;

static_assert(pte_format<stage2_4k<40>> &&
              pte_format<stage2_4k<48, stage2_options{.hardware_dirty = true, .contiguous = true}>>);
// IPA bits -> levels and concatenated root tables.
static_assert(stage2_4k<32>::shape.levels == 2 && root_table_bytes<stage2_4k<32>> == 4 * 4096);
static_assert(stage2_4k<34>::shape.levels == 2 && root_table_bytes<stage2_4k<34>> == 16 * 4096);
static_assert(stage2_4k<35>::shape.levels == 3 && root_table_bytes<stage2_4k<35>> == 4096);
static_assert(stage2_4k<40>::shape.levels == 3 && root_table_bytes<stage2_4k<40>> == 2 * 4096);
static_assert(stage2_4k<43>::shape.levels == 3 && root_table_bytes<stage2_4k<43>> == 16 * 4096);
static_assert(stage2_4k<44>::shape.levels == 4 && root_table_bytes<stage2_4k<44>> == 4096);
static_assert(stage2_4k<48>::shape.levels == 4 && root_table_bytes<stage2_4k<48>> == 4096);
static_assert(numbers_of(granule::k16).levels(40) == 2 && numbers_of(granule::k16).levels(41) == 3);
static_assert(numbers_of(granule::k64).levels(46) == 2 && numbers_of(granule::k64).levels(47) == 3);
static_assert(*stage2_4k<40>::leaf(output_address{0x8020'0000}, {.allowed = all_access}, 1) == 0x0100'0000'8020'07fd);
static_assert(stage2_4k<40>::table(table_address{0x8000'1000}, 1) == 0x8000'1003);

}  // namespace quire::arm64
