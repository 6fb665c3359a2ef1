// SPDX-License-Identifier: MIT
// arm64 stage 1 tables (VMSAv8-64): the EL2 regime with its one privilege, and EL1&0 with two.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats" (Table
// D8-52), D8.4.1 "Stage 1 permissions", D8.6.1 and D8.6.2 (memory types, shareability). Where addresses lie is in
// arm64_descriptor.hpp, levels and block sizes in arm64_granule.hpp: the manual's level is 3 - ours.
//
//   58..55   | 54      | 53  | 52     | 51  | 47..12         | 11 | 10 | 9 8 | 7     | 6     | 4..2     | 1    | 0
//   software | UXN, XN | PXN | contig | DBM | output address | nG | AF | SH  | AP[2] | AP[1] | AttrIndx | type | valid
//
// AP[2] is "read-only"; with DBM and the hardware dirty bit it is "not written yet". AP[1] is "EL0, too": leaves with
// it are from `any`, leaves without from `supervisor`. There is no leaf that EL0 alone can read, nor one without a
// right to read. Software bit 56 is "may become writable", 57 is the owner's.
//
// The two privileges have an execute-never bit each, and what changes rights changes all leaves alike; so the leaves of
// one type are executable by one privilege alone (`executes`). The other's bit is always set: EL1 never runs what EL0
// can reach, and EL0 nothing of EL1's.
//
// Two halves: TTBR0 translates addresses from 0 up, TTBR1 those below 2^64. Both together are one space whose addresses
// repeat their top bit, and one table whose root is twice as wide: TTBR0 points to its first half, TTBR1 to the second
// (arm64_tcr.hpp). A kernel's own half is such a table with nothing in the lower one; a process's is a table of
// `lower`.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/arm64_descriptor.hpp>  // descriptor
#include <quire/format/concept.hpp>           // pte_format

namespace quire::arm64 {

// EL3 is like EL2; EL2&0 (HCR_EL2.E2H) is like EL1&0.
enum class regime : std::uint8_t { el2, el1_0 };
enum class halves : std::uint8_t { lower, both };

struct stage1_options {
  regime translates = regime::el1_0;
  halves input = halves::lower;          // EL2 has no other
  privilege executes = privilege::user;  // EL1&0: user or supervisor
  std::uint8_t normal = 0;               // indices of the memory types in MAIR_ELx
  std::uint8_t non_cacheable = 1;
  std::uint8_t device = 2;
  bool hardware_accessed = true;      // TCR_ELx.HA: the hardware sets AF
  bool hardware_dirty = false;        // TCR_ELx.HD: a write through a leaf with DBM clears AP[2]
  bool contiguous = false;            // groups, as in stage 2
  bool contiguous_gigabytes = false;  // 16 blocks of 1 GiB as well
  // 48, or 52: FEAT_LPA for the 64 KiB granule, FEAT_LPA2 and TCR_ELx.DS = 1 for the others. With that, shareability
  // comes from TCR_ELx.SH0 and SH1.
  int output_bits = 48;
};

// Whether there can be such tables; input_bits is 64 - TxSZ, of one half. unsupported_attribute: of two options, one
// needs another, or the memory types cannot be told apart. beyond_output: output_bits. beyond_input: 25 to 48 bits; 52
// with FEAT_LVA at 64 KiB, or 52 output_bits. unsupported_level: a root too small to be halved.
[[nodiscard]] constexpr result<void> check_stage1(granule size, int input_bits,
                                                  const stage1_options& options) noexcept {
  const bool el2 = options.translates == regime::el2;
  if (options.hardware_dirty && !options.hardware_accessed) return errc::unsupported_attribute;
  if (options.contiguous_gigabytes && !(options.contiguous && size == granule::k4)) return errc::unsupported_attribute;
  if (el2 ? options.input == halves::both : options.executes == privilege::any) return errc::unsupported_attribute;
  if (options.normal > 7 || options.non_cacheable > 7 || options.device > 7) return errc::unsupported_attribute;
  // One bit of the index says that it is not device memory.
  if ((~(options.normal ^ options.non_cacheable) & (options.normal ^ options.device) & 7) == 0 ||
      options.normal == options.non_cacheable)
    return errc::unsupported_attribute;
  if (options.output_bits != 48 && options.output_bits != 52) return errc::beyond_output;
  if (input_bits < 25 || input_bits > (size == granule::k64 ? 52 : options.output_bits)) return errc::beyond_input;
  const granule_numbers numbers = numbers_of(size);
  const int levels = numbers.stage1_levels(input_bits);
  // A table of fewer than 8 entries still takes 64 bytes (R_KBLCR).
  if (options.input == halves::both && numbers.root_bits(input_bits, levels) < 3) return errc::unsupported_level;
  return {};
}

namespace detail {

[[nodiscard]] constexpr descriptor_layout stage1_layout(granule size, int input_bits,
                                                        const stage1_options& options) noexcept {
  return {.size = size,
          .input_bits = input_bits + (options.input == halves::both ? 1 : 0),
          .levels = numbers_of(size).stage1_levels(input_bits),
          .output_bits = options.output_bits,
          .group_levels = !options.contiguous            ? 0
                          : options.contiguous_gigabytes ? 3
                                                         : 2};
}

}  // namespace detail

template <granule Granule, int InputBits, stage1_options Options = stage1_options{}>
struct stage1 : detail::descriptor<detail::stage1_layout(Granule, InputBits, Options)> {
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::beyond_input,
                "an input address has 25 to 48 bits; more needs FEAT_LVA (64 KiB granule) or 52 output_bits");
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::beyond_output,
                "an output address has 48 or 52 bits");
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::unsupported_level,
                "a root of fewer than 8 entries cannot be halved");
  static_assert(Options.hardware_accessed || !Options.hardware_dirty, "TCR_ELx.HD needs TCR_ELx.HA");
  static_assert(
      check_stage1(Granule, InputBits, Options).has_value(),
      "halves and executes are for EL1&0, groups of 1 GiB for 4 KiB and contiguous, MAIR indices below 8, and "
      "one bit of them alike in the normal types and different in device");

 private:
  using base = detail::descriptor<detail::stage1_layout(Granule, InputBits, Options)>;
  using base::contig, base::has_contiguous, base::sw_may_write, base::sw_owner, base::type, base::valid;

 public:
  using base::shape;
  using typename base::word;
  static constexpr granule granule_size = Granule;
  static constexpr int half_bits = InputBits;
  static constexpr stage1_options options = Options;
  static constexpr format_facts facts{
      .break_before_make = true,
      .caches_invalid = false,  // a translation that faults is not cached, AF = 0 included
      .sets_accessed = Options.hardware_accessed,
      .sets_dirty = Options.hardware_dirty,
      .has_dirty = Options.hardware_dirty,
      .table_permissions = true,  // APTable, XNTable
      .sign_extended = Options.input == halves::both,
      .output_bits = Options.output_bits,
      .linear_output_bits = base::in_place_bits,
      .software_bits = 1,
      .marker_bits = Options.output_bits - base::table_shift,
  };

 private:
  static constexpr bool two_privileges = Options.translates == regime::el1_0;
  static constexpr bool has_dirty = Options.hardware_dirty;
  static constexpr int attr_shift = 2;
  static constexpr word attr = 7U << attr_shift;
  static constexpr word ap1 = 1U << 6, read_only = 1U << 7;
  static constexpr word sh = 3U << 8;
  static constexpr word sh_inner = base::has_shareability ? 3U << 8 : 0;
  static constexpr word af = 1U << 10, not_global = 1U << 11;
  static constexpr word dbm = word{1} << 51, pxn = word{1} << 53, uxn = word{1} << 54;
  static constexpr word pxn_table = word{1} << 59, uxn_table = word{1} << 60, read_only_table = word{1} << 62;
  static constexpr word no_leaf_has = word{1} << 63;
  // The execute-never bit that is the leaf's, and the one that is always set.
  static constexpr bool runs_el1 = two_privileges && Options.executes == privilege::supervisor;
  static constexpr word xn = runs_el1 ? pxn : uxn;
  static constexpr word never = !two_privileges ? 0 : runs_el1 ? uxn : pxn;
  // The bit of the index that tells normal memory, cacheable or not, from device memory, and how it reads there.
  static constexpr word telling = []() constexpr {
    const unsigned bits = ~(Options.normal ^ Options.non_cacheable) & (Options.normal ^ Options.device) & 7U;
    return word{bits & (~bits + 1)} << attr_shift;
  }();

 public:
  // AP[2] clear without DBM, which leaf() never makes, is a right to write that leaves no trace: as good as written to.
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    const word index = (entry & attr) >> attr_shift;
    permissions allowed = readable;
    if ((has_dirty && (entry & dbm) != 0) || (entry & read_only) == 0) allowed = allowed | writable;
    if ((entry & xn) == 0) allowed = allowed | executable;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = index == Options.normal          ? memory_type::normal
                      : index == Options.non_cacheable ? memory_type::non_cacheable
                                                       : memory_type::device,
            .accessed = (entry & af) != 0,
            .dirty = has_dirty && (entry & read_only) == 0,
            .software = static_cast<std::uint8_t>((entry & sw_owner) != 0),
            .from = !two_privileges || (entry & ap1) != 0 ? privilege::any : privilege::supervisor,
            .global = two_privileges && (entry & not_global) == 0};
  }
  // D8.4.1 on hierarchical permissions: APTable[1] takes writing away, XNTable (EL2), UXNTable or PXNTable (of those
  // whom `executes` names) execution; nothing takes away reading. APTable[0] is no right but whom the rights are for:
  // with it a table leaves all of them to EL1 alone, whatever `from` of a leaf below it says. (TCR_ELx.HPD would have
  // the hardware ignore all four.)
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return readable | ((entry & read_only_table) == 0 ? writable : no_access) |
           ((entry & (runs_el1 ? pxn_table : uxn_table)) == 0 ? executable : no_access);
  }
  // Reserved: a value of SH (of cacheable memory alone), and addresses. The rest of the bits without a meaning is
  // ignored, and what is no table, block or page is taken for invalid (Tables D8-48 and D8-52).
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    const entry_kind kind = base::kind_of(entry, level);
    if ((entry & valid) == 0 || kind == entry_kind::marker) return true;
    if (!base::has_legal_address(entry, level, kind)) return false;
    const bool cacheable = (entry & attr) >> attr_shift == Options.normal;
    return kind == entry_kind::table || !base::has_shareability || !cacheable || (entry & sh) != word{1} << 8;
  }

  // Instruction fetch from device memory is unpredictable and refused. A dirty leaf that is not writable does not
  // exist: AP[2] clear alone would be a write permission.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (!base::is_leaf_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (wanted.software > 1 || !wanted.allowed.contains(readable)) return errc::unsupported_attribute;
    if (!two_privileges && (wanted.from != privilege::any || wanted.global)) return errc::unsupported_attribute;
    if (wanted.from == privilege::user) return errc::unsupported_attribute;
    const word reach = wanted.from == privilege::supervisor ? 0 : ap1;
    if (wanted.allowed.contains(executable) &&
        (wanted.memory == memory_type::device || (two_privileges && (reach == 0) != runs_el1)))
      return errc::unsupported_attribute;
    const bool writes = wanted.allowed.contains(writable);
    if (wanted.dirty && !(has_dirty && writes)) return errc::unsupported_attribute;
    return word{base::field_of(output.value) | valid | (level == 0 ? type : 0) | attr_of(wanted.memory) | reach |
                (has_dirty && !wanted.dirty ? read_only : 0) | rights_of(wanted.allowed) | never | sh_inner |
                (wanted.accessed ? af : 0) | (two_privileges && !wanted.global ? not_global : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.software != 0 ? sw_owner : 0) |
                (group != 0 ? contig : 0)};
  }
  // Grants every right: APTable, XNTable, UXNTable and PXNTable are 0. AP[2] is ignored in a table; set, it lets no
  // table answer that it is writable.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return base::field_of(child.value) | read_only | type | valid;
  }

  static constexpr entry_test<word> is_writable =
      has_dirty ? entry_test<word>{valid | dbm, valid | dbm} : entry_test<word>{valid | read_only, valid};
  static constexpr entry_test<word> is_accessed{valid | af, valid | af};
  static constexpr entry_test<word> is_dirty =
      has_dirty ? entry_test<word>{valid | dbm | read_only, valid | dbm} : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable{valid | type | sw_may_write | (has_contiguous ? contig : 0),
                                                 valid | type | sw_may_write};

  // With DBM, AP[2] goes along: the write that faulted is about to happen. Protecting takes both, so ask is_dirty of
  // the old entry first.
  static constexpr entry_change<word> make_writable{{valid, valid}, ~read_only, (has_dirty ? dbm : 0) | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, has_dirty ? ~dbm : ~word{0}, read_only};
  static constexpr entry_change<word> set_accessed{{valid, valid}, ~word{0}, af};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~af, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~word{0}, has_dirty ? read_only : 0};

  // Neither applies to a leaf that cannot be executed, if the right to execute is among the rights.
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!allowed.contains(readable)) return errc::unsupported_attribute;
    const word gone = (has_dirty ? dbm : read_only) | xn | sw_may_write;
    return entry_change<word>{may_have(allowed), ~gone,
                              rights_of(allowed) | (allowed.contains(writable) ? 0 : read_only)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    const word gone = (more.contains(writable) ? read_only : 0) | (more.contains(executable) ? xn : 0);
    return entry_change<word>{may_have(more), ~gone,
                              more.contains(writable) ? (has_dirty ? dbm : 0) | sw_may_write : 0};
  }

  static constexpr word may_write_bit = sw_may_write;
  // "Written" is a clear bit, so no set bit tells that a leaf is dirty.
  static constexpr word quiet_bits = (Options.hardware_accessed ? af : 0) | (has_dirty ? no_leaf_has : 0);

 private:
  [[nodiscard]] static constexpr word attr_of(memory_type memory) noexcept {
    return word{memory == memory_type::device          ? Options.device
                : memory == memory_type::non_cacheable ? Options.non_cacheable
                                                       : Options.normal}
           << attr_shift;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    const word writes = has_dirty ? dbm | sw_may_write : sw_may_write;
    return (allowed.contains(writable) ? writes : has_dirty ? 0 : read_only) | (allowed.contains(executable) ? 0 : xn);
  }
  [[nodiscard]] static constexpr entry_test<word> may_have(permissions allowed) noexcept {
    if (!allowed.contains(executable)) return {valid, valid};
    const word normal = word{Options.normal} << attr_shift;
    return {valid | telling | (two_privileges ? ap1 : 0),
            valid | (normal & telling) | (two_privileges && !runs_el1 ? ap1 : 0)};
  }
};

inline constexpr stage1_options el2_options{.translates = regime::el2};

static_assert(pte_format<stage1<granule::k4, 48>> && pte_format<stage1<granule::k64, 48, el2_options>>);
static_assert(stage1<granule::k4, 39>::shape.levels == 3 && root_table_bytes<stage1<granule::k4, 39>> == 4096);
static_assert(root_table_bytes<stage1<granule::k4, 48, stage1_options{.input = halves::both}>> == 2 * 4096);
// A page of EL2: read-write, AttrIndx 0, AP[1] (RES1), inner shareable, AF, XN.
static_assert(*stage1<granule::k4, 48, el2_options>::leaf(output_address{0x8020'3000}, {.allowed = read_write}, 0) ==
              0x0140'0000'8020'3743);

}  // namespace quire::arm64
