// SPDX-License-Identifier: MIT
// Intel extended page tables (EPT) with 4 or 5 levels.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "The Extended Page Table Mechanism
// (EPT)": formats of the entries, "EPT Misconfigurations", "EPT and Memory Typing", "Extended-Page-Table Pointer". The
// manual has names where we have numbers: EPT PTE is level 0, PDE (2 MiB) 1, PDPTE (1 GiB) 2, PML4E 3, PML5E 4.
//
//   63  | 62..52            | 51..12         | 11       | 10 | 9 8 | 7     | 6    | 5..3 | 2 1 0
//   SVE | software, VGP ... | output address | software | XU | D A | large | IPAT | type | X W R
//
// An entry is present if any of R, W, X is set, or XU with mode-based execute control. Software bit 11 marks leaves,
// which nothing but the level tells from table entries; 52 is "may become writable", 53 and 54 are the owner's. What is
// not present is free for software but for bit 63: bit 55 makes it `locked`, with R, W and X kept in 57..59 and XU in
// 60; without it bit 54 with a payload in the address field is a marker.
//
// With accessed and dirty flags enabled the guest's own table walks count as writes. Bit 63 keeps an EPT violation from
// becoming a #VE; an absent entry is 0 and has none: with the "EPT-violation #VE" control, annotate what must not raise
// one.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::intel {

struct ept_options {
  bool accessed_dirty = true;       // EPTP bit 6: the hardware sets A and D; without it there are none
  bool mode_based_execute = false;  // "mode-based execute control for EPT": X is the supervisor's, XU the user's
  bool execute_only = false;        // IA32_VMX_EPT_VPID_CAP bit 0: X without R is not a misconfiguration
  bool ignore_pat = false;          // IPAT in every leaf: the guest's PAT says nothing
  bool suppress_ve = false;         // bit 63 in every entry that is not absent
};

template <int Levels, ept_options Options = ept_options{}>
struct ept {
  static_assert(Levels == 4 || Levels == 5, "4 levels translate 48 bits, 5 levels 57");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .sets_accessed = Options.accessed_dirty,
      .sets_dirty = Options.accessed_dirty,
      .has_accessed = Options.accessed_dirty,
      .has_dirty = Options.accessed_dirty,
      .table_permissions = true,
      .executes_by_privilege = Options.mode_based_execute,
      .output_bits = 52,  // the architectural limit of MAXPHYADDR
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word r = 1U << 0, w = 1U << 1, x = 1U << 2, ipat = 1U << 6, large = 1U << 7;
  static constexpr word a = Options.accessed_dirty ? 1U << 8 : 0, d = Options.accessed_dirty ? 1U << 9 : 0;
  static constexpr word xu = Options.mode_based_execute ? 1U << 10 : 0;
  static constexpr int type_shift = 3;
  static constexpr word type = 7U << type_shift;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word sve = Options.suppress_ve ? word{1} << 63 : 0;
  static constexpr word sw_leaf = 1U << 11, sw_may_write = word{1} << 52, sw_owner0 = word{1} << 53,
                        sw_owner1 = word{1} << 54, sw_locked = word{1} << 55;
  static constexpr word present = r | w | x | xu;
  static constexpr int kept_shift = 57, kept_xu_shift = 50;  // of a locked entry's rights
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {sw_leaf | sw_locked | bits, sw_leaf | bits};
  }

 public:
  // The value of the EPTP field of a VMCS: tables of memory type write-back.
  [[nodiscard]] static constexpr std::uint64_t eptp(table_address root) noexcept {
    return root.value | (Options.accessed_dirty ? 1U << 6 : 0U) | (unsigned{Levels - 1} << 3) | write_back;
  }

  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // First a table as they are made here, by one comparison: it is what a descent asks for.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (r | w | x | large)) == (r | w | x)) return entry_kind::table;
    if ((entry & present) != 0) {
      if (level == 0) return entry_kind::leaf;
      if ((entry & large) == 0) return entry_kind::table;
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
    if ((entry & (x | xu)) != 0) allowed = allowed | executable;
    const word memory = (entry & type) >> type_shift;
    const word modes = entry & (x | xu);
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .memory = memory == write_back        ? memory_type::normal
                  : memory == write_combining ? memory_type::non_cacheable
                                              : memory_type::device,
        .accessed = !Options.accessed_dirty || (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0)),
        .from = modes == 0 || modes == (x | xu) ? privilege::any
                : modes == x                    ? privilege::supervisor
                                                : privilege::user};
  }
  // "EPT Translation Mechanism": an access takes its right in every entry. With mode-based execute control this is the
  // right to execute in either mode: `from` of a leaf speaks of the leaf alone.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return ((entry & r) != 0 ? readable : no_access) | ((entry & w) != 0 ? writable : no_access) |
           ((entry & (x | xu)) != 0 ? executable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // "EPT Misconfigurations": W without R; X or XU without R where the CPU lacks it; a reserved bit (6..3 of an entry
  // that leads to a table, 7 where a level has no blocks, the address bits below a block); memory types 2, 3 and 7.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & present) == 0) return true;
    if ((entry & r) == 0 && ((entry & w) != 0 || !Options.execute_only)) return false;
    if (level > 0 && (entry & large) == 0) return (entry & (type | ipat)) == 0;
    const word memory = (entry & type) >> type_shift;
    return level < leaf_levels && memory != 2 && memory != 3 && memory != 7 &&
           (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // What would be a misconfiguration is refused, and so is a leaf without rights: it would not be present.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!can_have(wanted.allowed) || wanted.software > 3 || wanted.global) return errc::unsupported_attribute;
    if (wanted.from != privilege::any && !(Options.mode_based_execute && wanted.allowed.contains(executable)))
      return errc::unsupported_attribute;
    if (!Options.accessed_dirty && (!wanted.accessed || wanted.dirty)) return errc::unsupported_attribute;
    return word{output.value | sw_leaf | sve | rights_of(wanted.allowed, wanted.from) |
                (type_of(wanted.memory) << type_shift) | (Options.ignore_pat ? ipat : 0) | (level > 0 ? large : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                ((wanted.software & 1U) != 0 ? sw_owner0 : 0) | ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // R, W, X and XU are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return child.value | present | a | sve;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner1 | sve;
  }
  static constexpr word locked = sw_locked | sve;
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & ~present) | ((live & (r | w | x)) << kept_shift) | ((live & xu) << kept_xu_shift) | sw_locked;
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & ~(kept | sw_locked)) | ((locked_entry >> kept_shift) & (r | w | x)) |
           ((locked_entry >> kept_xu_shift) & xu);
  }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry & ~large : leaf_entry;
  }

  static constexpr entry_test<word> is_writable = leaf_with(w);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = Options.accessed_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable = leaf_with(r | sw_may_write);  // W needs R

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, r | w | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!can_have(allowed)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(present | sw_may_write), rights_of(allowed, privilege::any)};
  }
  // A leaf without R, which takes the option, cannot have W alone.
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (Options.execute_only && !can_have(more)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0},
                              rights_of(more, privilege::any) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // "EPT and Memory Typing"; 4 and 5, which are not used here, read as device.
  static constexpr word write_back = 6, write_combining = 1, uncacheable = 0;
  static constexpr word kept = word{0xf} << kept_shift;

  [[nodiscard]] static constexpr word type_of(memory_type memory) noexcept {
    return memory == memory_type::normal          ? write_back
           : memory == memory_type::non_cacheable ? write_combining
                                                  : uncacheable;
  }
  [[nodiscard]] static constexpr bool can_have(permissions allowed) noexcept {
    if (allowed.contains(readable)) return true;
    return Options.execute_only && allowed == executable;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed, privilege from) noexcept {
    const word modes = (from != privilege::user ? x : 0) | (from != privilege::supervisor ? xu : 0);
    return (allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | sw_may_write : 0) |
           (allowed.contains(executable) ? modes : 0);
  }
};

static_assert(pte_format<ept<4>> && pte_format<ept<5>>);
static_assert(ept<4>::shape.input_bits() == 48 && ept<5>::shape.input_bits() == 57);
static_assert(root_table_bytes<ept<4>> == 4096 && table_unit_bytes<ept<5>> == 4096);
static_assert(*ept<4>::leaf(output_address{0x8020'0000}, {.allowed = read_write, .dirty = true}, 1) ==
              0x0010'0000'8020'0bb3);
static_assert(ept<4>::eptp(table_address{0x1000}) == 0x105e && ept<5>::eptp(table_address{0x1000}) == 0x1066);
static_assert(!ept<4>::leaf(output_address{0}, {.allowed = writable}, 0));

}  // namespace quire::intel
