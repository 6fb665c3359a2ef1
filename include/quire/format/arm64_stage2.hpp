// SPDX-License-Identifier: MIT
// arm64 stage 2 tables (VMSAv8-64): 4, 16 and 64 KiB granules, 32 to 52 bits of input address.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats" (Table
// D8-53), D8.4.2 "Stage 2 permissions", D8.6.5 and D8.6.6 (memory types). Where addresses lie is in
// arm64_descriptor.hpp, levels and block sizes in arm64_granule.hpp: the manual's level is 3 - ours.
//
//   58..55   | 54 53 | 52     | 51  | 47..12         | 10 | 9 8 | 7 6  | 5..2    | 1    | 0
//   software | XN    | contig | DBM | output address | AF | SH  | S2AP | MemAttr | type | valid
//
// Software bit 56 is "may become writable", 57 is the owner's. 55 and 58 stay 0: they have a meaning in a Realm's
// tables (NS) and with FEAT_THE (AssuredOnly).
//
// VTCR_EL2 must say the same as the type; arm64_vtcr.hpp computes it. A table entry is nothing but address, type and
// valid: stage 2 has no hierarchical permissions.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/arm64_descriptor.hpp>  // descriptor
#include <quire/format/concept.hpp>           // pte_format

namespace quire::arm64 {

struct stage2_options {
  bool forced_write_back = false;  // HCR_EL2.FWB: MemAttr overrides stage 1 instead of combining with it
  bool hardware_accessed = true;   // VTCR_EL2.HA: the hardware sets AF
  bool hardware_dirty = false;     // VTCR_EL2.HD: a write through a leaf with DBM sets S2AP[1]
  // Neighbours may form a group: 16 (4 KiB), 128 (16 KiB) or 32 (64 KiB) pages; 16, 32 or 32 of the smallest blocks.
  bool contiguous = false;
  bool contiguous_gigabytes = false;  // 16 blocks of 1 GiB as well
  bool execute_by_privilege = false;  // FEAT_XNX: EL0 and EL1 each have a right to execute
  // 48, or 52: FEAT_LPA for the 64 KiB granule, FEAT_LPA2 and VTCR_EL2.DS = 1 for the others. With that, shareability
  // comes from VTCR_EL2.SH0.
  int output_bits = 48;
  int levels = 0;  // 0: as few as concatenated root tables make do with
};

// Whether there can be such tables at all. unsupported_attribute: of two options, one needs another. beyond_output:
// output_bits. beyond_input: an IPA has 32 bits or more, and no more than output_bits. unsupported_level: levels.
[[nodiscard]] constexpr result<void> check_stage2(granule size, int ipa_bits, const stage2_options& options) noexcept {
  if (options.hardware_dirty && !options.hardware_accessed) return errc::unsupported_attribute;
  if (options.contiguous_gigabytes && !(options.contiguous && size == granule::k4)) return errc::unsupported_attribute;
  if (options.output_bits != 48 && options.output_bits != 52) return errc::beyond_output;
  if (ipa_bits < 32 || ipa_bits > options.output_bits) return errc::beyond_input;
  const granule_numbers numbers = numbers_of(size);
  const int levels = options.levels != 0 ? options.levels : numbers.levels(ipa_bits);
  if (!numbers.stage2_starts(ipa_bits, levels, options.output_bits)) return errc::unsupported_level;
  return {};
}

namespace detail {

[[nodiscard]] constexpr descriptor_layout stage2_layout(granule size, int ipa_bits,
                                                        const stage2_options& options) noexcept {
  return {.size = size,
          .input_bits = ipa_bits,
          .levels = options.levels != 0 ? options.levels : numbers_of(size).levels(ipa_bits),
          .output_bits = options.output_bits,
          .group_levels = !options.contiguous            ? 0
                          : options.contiguous_gigabytes ? 3
                                                         : 2};
}

}  // namespace detail

template <granule Granule, int IpaBits, stage2_options Options = stage2_options{}>
struct stage2 : detail::descriptor<detail::stage2_layout(Granule, IpaBits, Options)> {
  static_assert(Options.output_bits == 48 || Options.output_bits == 52, "an output address has 48 or 52 bits");
  static_assert(IpaBits >= 32 && IpaBits <= Options.output_bits,
                "an IPA has 32 to 48 bits; more needs 52 output_bits, FEAT_LPA or FEAT_LPA2");
  static_assert(check_stage2(Granule, IpaBits, Options).error().code != errc::unsupported_level,
                "no stage 2 walk can start at this level: a root has 2 entries to 16 tables");
  static_assert(Options.hardware_accessed || !Options.hardware_dirty, "VTCR_EL2.HD needs VTCR_EL2.HA");
  static_assert(check_stage2(Granule, IpaBits, Options).has_value(), "groups of 1 GiB: 4 KiB granule and contiguous");

 private:
  using base = detail::descriptor<detail::stage2_layout(Granule, IpaBits, Options)>;
  using base::contig, base::has_contiguous, base::sw_may_write, base::sw_owner, base::type, base::valid;

 public:
  using base::shape;
  using typename base::word;
  static constexpr granule granule_size = Granule;
  static constexpr stage2_options options = Options;
  static constexpr format_facts facts{
      .break_before_make = true,
      .caches_invalid = false,  // a translation that faults is not cached, AF = 0 included
      .sets_accessed = Options.hardware_accessed,
      .sets_dirty = Options.hardware_dirty,
      .has_dirty = Options.hardware_dirty,
      .executes_by_privilege = Options.execute_by_privilege,
      .output_bits = Options.output_bits,
      .linear_output_bits = base::in_place_bits,
      .software_bits = 1,
      .marker_bits = Options.output_bits - base::table_shift,
  };

 private:
  static constexpr int mem_attr_shift = 2;
  static constexpr word mem_attr = 0xfU << mem_attr_shift;
  static constexpr word not_device =
      4U << mem_attr_shift;  // set in both normal values of both encodings, not in device
  static constexpr word s2ap_read = 1U << 6, s2ap_write = 1U << 7;
  static constexpr word sh = 3U << 8;
  static constexpr word sh_inner = base::has_shareability ? 3U << 8 : 0;
  static constexpr word af = 1U << 10;
  static constexpr word dbm = word{1} << 51;
  // XN[1:0]: 00 for both, 01 for EL0, 11 for EL1, 10 for none. Without FEAT_XNX, XN[0] is reserved.
  static constexpr word xn = word{1} << 54, xn0 = word{1} << 53;
  static constexpr word execution = xn | (Options.execute_by_privilege ? xn0 : 0);
  static constexpr bool has_dirty = Options.hardware_dirty;
  // The bit that says "may be written". With the hardware dirty bit that is DBM, on every writable leaf, and S2AP[1]
  // says that it was; without, S2AP[1] itself.
  static constexpr word writes = has_dirty ? dbm : s2ap_write;

 public:
  // S2AP[1] without DBM, which leaf() never makes, is a right to write that leaves no trace: as good as written to.
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & s2ap_read) != 0) allowed = allowed | readable;
    if ((entry & (writes | s2ap_write)) != 0) allowed = allowed | writable;
    if ((entry & execution) != xn) allowed = allowed | executable;
    const word memory = entry & mem_attr;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = memory == mem_attr_of(memory_type::normal)          ? memory_type::normal
                      : memory == mem_attr_of(memory_type::non_cacheable) ? memory_type::non_cacheable
                                                                          : memory_type::device,
            .accessed = (entry & af) != 0,
            .dirty = has_dirty && (entry & s2ap_write) != 0,
            .software = static_cast<std::uint8_t>((entry & sw_owner) != 0),
            .from = !Options.execute_by_privilege || (entry & xn0) == 0 ? privilege::any
                    : (entry & xn) == 0                                 ? privilege::user
                                                                        : privilege::supervisor};
  }
  // Reserved: values of MemAttr and SH (of cacheable memory alone), and addresses. The rest of the bits without a
  // meaning is ignored, and what is no table, block or page is taken for invalid (Tables D8-48 and D8-53).
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    const entry_kind kind = base::kind_of(entry, level);
    if ((entry & valid) == 0 || kind == entry_kind::marker) return true;
    if (!base::has_legal_address(entry, level, kind)) return false;
    if (kind == entry_kind::table) return true;
    const word memory = (entry & mem_attr) >> mem_attr_shift;
    return !is_reserved(memory) && (!base::has_shareability || !is_cacheable(memory) || (entry & sh) != word{1} << 8);
  }

  // All eight sets of rights exist, but instruction fetch from device memory is unpredictable and refused. A dirty leaf
  // that is not writable does not exist: S2AP[1] alone would be a write permission.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (!base::is_leaf_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    word special = 0;
    if (is_special(wanted)) {
      if (wanted.software > 1 || wanted.global) return errc::unsupported_attribute;
      if (wanted.from != privilege::any && !(Options.execute_by_privilege && wanted.allowed.contains(executable)))
        return errc::unsupported_attribute;
      special = execution_of(wanted.from) | (wanted.software != 0 ? sw_owner : 0);
    }
    if (wanted.memory == memory_type::device && wanted.allowed.contains(executable)) return errc::unsupported_attribute;
    if (wanted.dirty && !(has_dirty && wanted.allowed.contains(writable))) return errc::unsupported_attribute;
    return word{base::field_of(output.value) | valid | (level == 0 ? type : 0) | mem_attr_of(wanted.memory) | sh_inner |
                rights_of(wanted.allowed) | special | (wanted.may_write ? sw_may_write : 0) |
                (wanted.accessed ? af : 0) | (wanted.dirty ? s2ap_write : 0) | (group != 0 ? contig : 0)};
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return base::field_of(child.value) | type | valid;
  }

  static constexpr entry_test<word> is_writable{valid | writes, valid | writes};
  static constexpr entry_test<word> is_accessed{valid | af, valid | af};
  static constexpr entry_test<word> is_dirty =
      has_dirty ? entry_test<word>{valid | dbm | s2ap_write, valid | dbm | s2ap_write} : entry_test<word>{0, 1};

  static constexpr entry_test<word> is_grantable{valid | type | sw_may_write | (has_contiguous ? contig : 0),
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
    return entry_change<word>{may_have(allowed), ~(s2ap_read | gone | execution | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return entry_change<word>{may_have(more), more.contains(executable) ? ~execution : ~word{0},
                              (rights_of(more) & ~xn) | (more.contains(writable) ? s2ap_write : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = (Options.hardware_accessed ? af : 0) | (has_dirty ? s2ap_write : 0);

 private:
  // Tables D8-96 (without) and D8-101 (with forced write-back).
  [[nodiscard]] static constexpr word mem_attr_of(memory_type memory) noexcept {
    constexpr word normal = Options.forced_write_back ? 6 : 0xf;
    return (memory == memory_type::device ? 1 : memory == memory_type::non_cacheable ? 5 : normal) << mem_attr_shift;
  }
  // Reserved on a CPU without FEAT_MTE_PERM (0100 without, 10xx and 1101 with forced write-back) or on every one.
  [[nodiscard]] static constexpr bool is_reserved(word memory) noexcept {
    if constexpr (Options.forced_write_back) return (memory & 7U) == 4 || (memory & 0xcU) == 8 || memory == 0xd;
    else return memory == 4 || memory == 8 || memory == 0xc;
  }
  [[nodiscard]] static constexpr bool is_cacheable(word memory) noexcept { return memory > 5; }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? s2ap_read : 0) | (allowed.contains(writable) ? writes | sw_may_write : 0) |
           (allowed.contains(executable) ? 0 : xn);
  }
  [[nodiscard]] static constexpr word execution_of(privilege from) noexcept {
    if constexpr (Options.execute_by_privilege)
      return from == privilege::user ? xn0 : from == privilege::supervisor ? xn | xn0 : 0;
    else return 0;
  }
  [[nodiscard]] static constexpr entry_test<word> may_have(permissions allowed) noexcept {
    const word mask = allowed.contains(executable) ? valid | not_device : valid;
    return {mask, mask};
  }
};

template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_4k = stage2<granule::k4, IpaBits, Options>;
template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_16k = stage2<granule::k16, IpaBits, Options>;
template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_64k = stage2<granule::k64, IpaBits, Options>;

static_assert(pte_format<stage2_4k<40>> &&
              pte_format<stage2_4k<48, stage2_options{.hardware_dirty = true, .contiguous = true}>>);
static_assert(pte_format<stage2_16k<40>> && pte_format<stage2_64k<52, stage2_options{.output_bits = 52}>>);
// IPA bits -> levels and concatenated root tables.
static_assert(stage2_4k<32>::shape.levels == 2 && root_table_bytes<stage2_4k<32>> == 4 * 4096);
static_assert(stage2_4k<40>::shape.levels == 3 && root_table_bytes<stage2_4k<40>> == 2 * 4096);
static_assert(stage2_4k<44>::shape.levels == 4 && root_table_bytes<stage2_4k<44>> == 4096);
static_assert(stage2_16k<40>::shape.levels == 2 && root_table_bytes<stage2_16k<40>> == 16 * 16384);
static_assert(stage2_64k<46>::shape.levels == 2 && root_table_bytes<stage2_64k<46>> == 16 * 65536);
static_assert(*stage2_4k<40>::leaf(output_address{0x8020'0000}, {.allowed = all_access}, 1) == 0x0100'0000'8020'07fd);
static_assert(stage2_4k<40>::table(table_address{0x8000'1000}, 1) == 0x8000'1003);

}  // namespace quire::arm64
