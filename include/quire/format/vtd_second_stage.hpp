// SPDX-License-Identifier: MIT
// VT-d second-stage tables with 3, 4 or 5 levels.
//
// Source: Intel Virtualization Technology for Directed I/O, Architecture Specification, "Second-Stage Translation" and
// "Second-Stage Paging Entries". The manual has names where we have numbers: SS-PTE is level 0, SS-PDE (2 MiB) 1,
// SS-PDPTE (1 GiB) 2, SS-PML4E 3, SS-PML5E 4. (First-stage tables are those of x86_64.hpp.)
//
//   63       | 62 | 61 | 60..52   | 51..12         | 11  | 10       | 9 8 | 7  | 6..2 | 1 0
//   software |  0 |    | software | output address | SNP | software | D A | PS |  0   | W R
//
// There is no present bit: an entry with neither R nor W is not present, whatever else it says. Software bit 10 marks
// leaves, which nothing but the level tells from table entries; 52 is "may become writable", 53 and 54 are the owner's.
// What is not present is free for software: bit 55 makes it `locked`, with W kept in 57; without it bit 54 with a
// payload in the address field is a marker. W without R exists and is refused: write-protected it would be no leaf any
// more.
//
// Nothing can be executed, and memory types are the device's own (SNP aside).
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::vtd {

struct second_stage_options {
  bool accessed_dirty = true;  // SSADE of the PASID table entry: the hardware sets A and D; without it there are none
  bool force_snoop = false;    // SNP in every leaf; needs ECAP_REG.SC, without which the bit is reserved
  bool caching_mode = false;   // CAP_REG.CM: what is not present may be cached
};

template <int Levels, second_stage_options Options = second_stage_options{}>
struct second_stage {
  static_assert(Levels >= 3 && Levels <= 5, "3 levels translate 39 bits, 4 levels 48, 5 levels 57");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  // The AW field of a context entry or a PASID table entry.
  static constexpr unsigned address_width = Levels - 2;
  static constexpr format_facts facts{
      .caches_invalid = Options.caching_mode,
      .sets_accessed = Options.accessed_dirty,
      .sets_dirty = Options.accessed_dirty,
      .has_accessed = Options.accessed_dirty,
      .has_dirty = Options.accessed_dirty,
      .table_permissions = true,
      .faults_retry = false,  // a device does not come again
      .output_bits = 52,      // the architectural limit of the host address width
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word r = 1U << 0, w = 1U << 1, ps = 1U << 7, snp = 1U << 11;
  static constexpr word a = Options.accessed_dirty ? 1U << 8 : 0, d = Options.accessed_dirty ? 1U << 9 : 0;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word reserved = word{1} << 62;
  static constexpr word sw_leaf = 1U << 10, sw_may_write = word{1} << 52, sw_owner0 = word{1} << 53,
                        sw_owner1 = word{1} << 54, sw_locked = word{1} << 55;
  static constexpr int kept_shift = 56;  // of a locked entry's W; R is set in all that is locked
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {r | sw_leaf | bits, r | sw_leaf | bits};
  }

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // First a table as they are made here, by one comparison: it is what a descent asks for. PS is reserved where a level
  // has no blocks.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (r | w | ps)) == (r | w)) return entry_kind::table;
    if ((entry & (r | w)) != 0) {
      if (level == 0) return entry_kind::leaf;
      if ((entry & ps) == 0) return entry_kind::table;
      return level < leaf_levels ? entry_kind::leaf : entry_kind::marker;
    }
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & r) != 0) allowed = allowed | readable;
    if ((entry & w) != 0) allowed = allowed | writable;
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .accessed = !Options.accessed_dirty || (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0))};
  }
  // "Access Rights" of the second stage: R and W are wanted in every entry. There is no other right to be taken away.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return executable | ((entry & r) != 0 ? readable : no_access) | ((entry & w) != 0 ? writable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: bit 62; SNP in a table entry, and everywhere without snoop control; PS where a level has no blocks; the
  // address bits below a block.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & (r | w)) == 0) return true;
    if ((entry & reserved) != 0) return false;
    if (level > 0 && (entry & ps) == 0) return (entry & snp) == 0;
    return level < leaf_levels && (Options.force_snoop || (entry & snp) == 0) &&
           (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!can_have(wanted.allowed) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if (!Options.accessed_dirty && (!wanted.accessed || wanted.dirty)) return errc::unsupported_attribute;
    return word{output.value | sw_leaf | rights_of(wanted.allowed) | (Options.force_snoop ? snp : 0) |
                (level > 0 ? ps : 0) | (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) |
                (wanted.dirty ? d : 0) | ((wanted.software & 1U) != 0 ? sw_owner0 : 0) |
                ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // R and W are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept { return child.value | r | w | a; }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner1;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & ~(r | w)) | ((live & w) << kept_shift) | sw_locked;
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & ~((w << kept_shift) | sw_locked)) | ((locked_entry >> kept_shift) & w) | r;
  }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry & ~ps : leaf_entry;
  }

  static constexpr entry_test<word> is_writable = leaf_with(w);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = Options.accessed_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable = leaf_with(sw_may_write);

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, w | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!can_have(allowed)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(w | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (more.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0}, rights_of(more) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  [[nodiscard]] static constexpr bool can_have(permissions allowed) noexcept {
    return allowed.contains(readable) && !allowed.contains(executable);
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | sw_may_write : 0);
  }
};

static_assert(pte_format<second_stage<3>> && pte_format<second_stage<4>> && pte_format<second_stage<5>>);
static_assert(second_stage<3>::shape.input_bits() == 39 && second_stage<3>::address_width == 1);
static_assert(second_stage<4>::shape.input_bits() == 48 && second_stage<4>::address_width == 2);
static_assert(second_stage<5>::shape.input_bits() == 57 && second_stage<5>::address_width == 3);
static_assert(root_table_bytes<second_stage<3>> == 4096 && table_unit_bytes<second_stage<5>> == 4096);
static_assert(*second_stage<3>::leaf(output_address{0x8020'0000}, {.allowed = read_write, .dirty = true}, 1) ==
              0x0010'0000'8020'0783);
static_assert(!second_stage<3>::leaf(output_address{0}, {.allowed = no_access}, 0));

}  // namespace quire::vtd
