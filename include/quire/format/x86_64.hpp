// SPDX-License-Identifier: MIT
// x86-64 page tables with 4 or 5 levels.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "4-Level Paging and 5-Level Paging"
// (formats of the entries), "Page Attribute Table"; AMD64 Architecture Programmer's Manual, Volume 2, "Long-Mode Page
// Translation". The manuals have names where we have numbers: PTE is level 0, PDE (2 MiB) 1, PDPTE (1 GiB) 2, PML4E 3,
// PML5E 4.
//
//   63 | 62..59 | 58..52   | 51..12         | 11..9    | 8 | 7  | 6 5 | 4   3   | 2  1  0
//   NX | key    | software | output address | software | G | PS | D A | PCD PWT | US RW P
//
// Bit 7 of a page is PAT, which in a block is bit 12. Software bit 9 is "may become writable", 11 and 52 are the
// owner's, 53 marks the table entries that are made here: the hardware sets A in them, too, and at level 0 nothing else
// tells them from a page. 54..58 stay 0 while an entry is present, and so do the protection key, which CR4.PKE gives a
// meaning, and 10, which VT-d does. An entry with P clear is free for software: bit 58 makes it `locked`; without it
// bit 11 with a payload in the address field is a marker. (On parts with L1TF a payload is an address that is
// speculated through.)
//
// Every leaf can be read. With CET shadow stacks a leaf that is dirty and not writable is a shadow stack page: make it
// clean first, or keep CR4.CET clear.
//
// The first stage of VT-d has the same entries ("First-Stage Paging Entries"): long_mode with faults_retry = false, as
// a device does not come again. What AMD-Vi calls guest (v2) tables, too.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::x86 {

// Which entries of the PAT say what the memory types mean; the defaults are those of the PAT at power-up, which has no
// write combining: non_cacheable is UC-. A type that is not among them reads as device.
struct long_mode_options {
  std::uint8_t write_back = 0;
  std::uint8_t non_cacheable = 2;
  std::uint8_t device = 3;
  bool faults_retry = true;
};

namespace detail {

// What paging of a CPU's own and nested paging (amd_npt.hpp) have in common: all but whom an entry is for.
template <int Levels, long_mode_options Options, bool Nested>
struct long_mode_tables {
  static_assert(Levels == 4 || Levels == 5, "4 levels translate 48 bits, 5 levels 57");
  static_assert(Options.write_back < 8 && Options.non_cacheable < 8 && Options.device < 8, "the PAT has 8 entries");
  static_assert(Options.write_back != Options.non_cacheable && Options.write_back != Options.device &&
                    Options.non_cacheable != Options.device,
                "each memory type needs an entry of the PAT for itself");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .sets_accessed = true,
      .sets_dirty = true,
      .has_dirty = true,
      .table_permissions = true,
      .faults_retry = Options.faults_retry,
      .sign_extended = !Nested,
      .output_bits = 52,  // the architectural limit of MAXPHYADDR
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word p = 1U << 0, rw = 1U << 1, us = 1U << 2, pwt = 1U << 3, pcd = 1U << 4, a = 1U << 5, d = 1U << 6,
                        ps = 1U << 7, g = 1U << 8;
  static constexpr word pat_of_page = 1U << 7, pat_of_block = 1U << 12;
  static constexpr word nx = word{1} << 63;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word sw_may_write = 1U << 9, sw_owner0 = 1U << 11, sw_owner1 = word{1} << 52;
  static constexpr word sw_table = word{1} << 53, sw_nothing = word{1} << 57, sw_locked = word{1} << 58;
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {p | sw_table | bits, p | bits};
  }

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // The table first, by one comparison: it is what a descent asks for. PS is reserved where a level has no blocks, and
  // the access faults.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (p | ps)) == p) return entry_kind::table;
    if ((entry & p) != 0) return level < leaf_levels ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int level) noexcept {
    permissions allowed = readable;
    if ((entry & rw) != 0) allowed = allowed | writable;
    if ((entry & nx) == 0) allowed = allowed | executable;
    const bool high = (entry & (level == 0 ? pat_of_page : pat_of_block)) != 0;
    const unsigned index = ((entry & pwt) != 0 ? 1U : 0U) | ((entry & pcd) != 0 ? 2U : 0U) | (high ? 4U : 0U);
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .memory = index == Options.write_back      ? memory_type::normal
                  : index == Options.non_cacheable ? memory_type::non_cacheable
                                                   : memory_type::device,
        .accessed = (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0)),
        .from = Nested || (entry & us) != 0 ? privilege::any : privilege::supervisor,
        .global = !Nested && (entry & g) != 0};
  }
  // "Determination of Access Rights": writing takes RW, and fetching takes NX clear, in every entry. US is no right but
  // whom the rights are for: without it a table leaves all of them to the supervisor alone, whatever `from` of a leaf
  // below it says.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return readable | ((entry & rw) != 0 ? writable : no_access) | ((entry & nx) == 0 ? executable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: PS where the level has no blocks, the address bits below a block but for PAT. A nested walk is a user's,
  // so US must be set at every level.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & p) == 0) return true;
    if (Nested && (entry & us) == 0) return false;
    if (level == 0 || (entry & ps) == 0) return true;
    return level < leaf_levels && (entry & oa & ~pat_of_block & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // Nothing can be written or executed that cannot be read, and nothing is for the user alone.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!wanted.allowed.contains(readable) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.from == privilege::user) return errc::unsupported_attribute;
    if (Nested && (wanted.from != privilege::any || wanted.global)) return errc::unsupported_attribute;
    return word{output.value | p | rights_of(wanted.allowed) | memory_bits(wanted.memory, level) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.from == privilege::any ? us : 0) |
                (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) | (level > 0 ? ps : 0) | (wanted.global ? g : 0) |
                ((wanted.software & 1U) != 0 ? sw_owner0 : 0) | ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // US and RW are ANDed on the way down and NX is ORed: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return child.value | p | rw | us | a | sw_table;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner0;
  }
  static constexpr word locked = sw_locked | sw_nothing;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~p) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | p; }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  // A page has PAT where a block has PS.
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    if (level > 1) return leaf_entry;
    return (leaf_entry & ~(ps | pat_of_block)) | ((leaf_entry & pat_of_block) != 0 ? pat_of_page : 0);
  }

  static constexpr entry_test<word> is_writable = leaf_with(rw);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = leaf_with(d);
  static constexpr entry_test<word> is_grantable = leaf_with(sw_may_write);

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, rw | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~rw, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!allowed.contains(readable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(rw | nx | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return entry_change<word>{leaf_with(0), more.contains(executable) ? ~nx : ~word{0},
                              more.contains(writable) ? rw | d | sw_may_write : 0};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // Bits 2..0 of the index of the PAT are PAT, PCD and PWT.
  [[nodiscard]] static constexpr word memory_bits(memory_type memory, int level) noexcept {
    const unsigned index = memory == memory_type::normal          ? Options.write_back
                           : memory == memory_type::non_cacheable ? Options.non_cacheable
                                                                  : Options.device;
    return ((index & 1U) != 0 ? pwt : 0) | ((index & 2U) != 0 ? pcd : 0) |
           ((index & 4U) == 0 ? 0
            : level == 0      ? pat_of_page
                              : pat_of_block);
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(writable) ? rw | sw_may_write : 0) | (allowed.contains(executable) ? 0 : nx);
  }
};

}  // namespace detail

template <int Levels, long_mode_options Options = long_mode_options{}>
struct long_mode : detail::long_mode_tables<Levels, Options, false> {};

static_assert(pte_format<long_mode<4>> && pte_format<long_mode<5>>);
static_assert(long_mode<4>::shape.input_bits() == 48 && long_mode<5>::shape.input_bits() == 57);
static_assert(root_table_bytes<long_mode<4>> == 4096 && table_unit_bytes<long_mode<5>> == 4096);
static_assert(long_mode<4>::shape.leaf_bytes(1) == 0x20'0000 && long_mode<4>::shape.leaf_bytes(2) == 0x4000'0000);
static_assert(*long_mode<4>::leaf(output_address{0x8020'0000}, {.allowed = all_access, .dirty = true}, 1) ==
              0x8020'02e7);
static_assert(!long_mode<4>::leaf(output_address{0}, {.allowed = executable}, 0));

}  // namespace quire::x86
