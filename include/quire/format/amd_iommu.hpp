// SPDX-License-Identifier: MIT
// AMD IOMMU host (v1) tables with 1 to 6 levels. (Guest, or v2, tables are those of x86_64.hpp.)
//
// Source: AMD I/O Virtualization Technology (IOMMU) Specification, "I/O Page Tables for Host Translations" (entry
// formats, page size encodings, "Page Table Level Parameters") and "Device Table Entry Format". The manual counts
// levels from 1, so its level 1 is our level 0. I/O virtual addresses have 64 bits, of which level 6 indexes the upper
// 7; fewer levels translate fewer.
//
//   63      | 62 61 | 60 | 59 | 58..52   | 51..12         | 11..9     | 8 7     | 6 5 | 4..1     | 0
//   ignored | IW IR | FC | U  | reserved | output address | NextLevel | ignored | D A | software | PR
//
// NextLevel says what an entry leads to: the manual's number of the child's level, 0 for a leaf as large as the entry,
// 7 for one whose size the address tells: n ones from bit 12 up and then a zero are 2^(n+13) bytes. Such a leaf is a
// group of equal entries, and the hardware may set A and D in any of them. Every power of two from 4 KiB to 256 GiB is
// there. Larger leaves exist and are not used: 512 GiB does not work on any part, so none above could be split. A table
// entry may skip levels; here none does, and one that does is not well formed, as it leaves out what a walk counts on.
//
// Software bit 1 is "may become writable", 2 and 3 are the owner's, 4 marks leaves. An entry with PR clear is free for
// software: bit 63 makes it `locked`; without it bit 2 with a payload in the address field is a marker.
//
// Nothing can be executed, and there are no memory types (FC aside).
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::amd {

// DTE.HAD: what the hardware sets in the entries.
enum class host_access_dirty : std::uint8_t { none = 0, accessed = 1, accessed_and_dirty = 3 };

struct iommu_options {
  host_access_dirty update = host_access_dirty::accessed_and_dirty;
  bool force_coherent = false;  // FC in every leaf
  bool caches_invalid = false;  // NpCache of the capability header: what is not present may be cached
};

template <int Levels, iommu_options Options = iommu_options{}>
struct iommu {
  static_assert(Levels >= 1 && Levels <= 6, "DTE.Mode is 1 to 6");

 private:
  static constexpr bool has_accessed = Options.update != host_access_dirty::none;
  static constexpr bool has_dirty = Options.update == host_access_dirty::accessed_and_dirty;

 public:
  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = []() constexpr {
    auto g = uniform_geometry<Levels>(12, 9);
    if (Levels == 6) g.index_bits[Levels - 1] = 7;
    return g;
  }();
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .caches_invalid = Options.caches_invalid,
      .sets_accessed = has_accessed,
      .sets_dirty = has_dirty,
      .has_accessed = has_accessed,
      .has_dirty = has_dirty,
      .table_permissions = true,
      .faults_retry = false,  // a device does not come again
      .output_bits = 52,
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word pr = 1U << 0;
  static constexpr word a = has_accessed ? 1U << 5 : 0, d = has_dirty ? 1U << 6 : 0;
  static constexpr int next_shift = 9;
  static constexpr word next = 7U << next_shift, next_encoded = 7U << next_shift;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word reserved = word{0x7f} << 52;
  static constexpr word fc = word{1} << 60, ir = word{1} << 61, iw = word{1} << 62;
  static constexpr word sw_may_write = 1U << 1, sw_owner0 = 1U << 2, sw_owner1 = 1U << 3, sw_leaf = 1U << 4;
  static constexpr word sw_locked = word{1} << 63;
  static constexpr int leaf_levels = Levels < 3 ? Levels : 3, largest_group = 8;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {pr | sw_leaf | bits, pr | sw_leaf | bits};
  }

 public:
  // The first quadword of a device table entry that has a device translated by the table: V, TV, HAD, Mode, the root,
  // IR and IW. The domain is in the second. Whoever changes both root and Mode of a live one stores them together.
  [[nodiscard]] static constexpr std::uint64_t device_table_entry(table_address root) noexcept {
    return root.value | 3U | (static_cast<std::uint64_t>(Options.update) << 7) | (unsigned{Levels} << next_shift) | ir |
           iw;
  }

  // A group of 512 would be the whole table, which is a leaf of the level above.
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? (2U << largest_group) - 1 : 0U;
  }

  // The table first, by one comparison: it is what a descent asks for. What leads to any other level, or is a leaf of a
  // size that is not used, is none of ours.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (pr | next)) == link_to(level)) return entry_kind::table;
    if ((entry & pr) == 0)
      return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
    return holds_leaves(level) && has_leaf_size(entry, level) ? entry_kind::leaf : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    return (entry & next) == next_encoded ? encoded_group(entry, level) : 0;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & ir) != 0) allowed = allowed | readable;
    if ((entry & iw) != 0) allowed = allowed | writable;
    return {.allowed = allowed,
            .may_write = (entry & sw_may_write) != 0,
            .accessed = !has_accessed || (entry & a) != 0,
            .dirty = (entry & d) != 0,
            .software = static_cast<std::uint8_t>((entry & (sw_owner0 | sw_owner1)) >> 2)};
  }
  // IR and IW of all entries and of the device table entry are ANDed. There is no other right to be taken away.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return executable | ((entry & ir) != 0 ? readable : no_access) | ((entry & iw) != 0 ? writable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: bits 58..52. Besides, whatever kind_of() does not know: other levels and sizes; and a leaf of the entry's
  // own size whose address is not aligned to that.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & pr) == 0) return true;
    if ((entry & reserved) != 0) return false;
    const entry_kind kind = kind_of(entry, level);
    if (kind != entry_kind::leaf) return kind == entry_kind::table;
    return (entry & next) == next_encoded || (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // All four sets of IR and IW exist.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group < 0 || group > 31 || ((group_sizes(level) >> group) & 1U) == 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (wanted.allowed.contains(executable) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if ((!has_accessed && !wanted.accessed) || (!has_dirty && wanted.dirty)) return errc::unsupported_attribute;
    // As many ones as there are address bits in half the leaf.
    const word size = group == 0 ? 0 : next_encoded | (((shape.leaf_bytes(level) << (group - 1)) - 1) & oa);
    return word{output.value | pr | sw_leaf | size | rights_of(wanted.allowed) | (Options.force_coherent ? fc : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                (word{wanted.software} << 2)};
  }
  // IR and IW are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int level) noexcept {
    return child.value | link_to(level) | ir | iw | a;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner0;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~pr) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | pr; }

  [[nodiscard]] static constexpr word step(int level, int group) noexcept {
    return group != 0 ? 0 : shape.leaf_bytes(level);
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable = leaf_with(iw);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = has_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable{pr | sw_leaf | sw_may_write | next, pr | sw_leaf | sw_may_write};

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, iw | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~iw, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (allowed.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(ir | iw | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (more.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0}, rights_of(more) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // Of a level that there is.
  [[nodiscard]] static constexpr bool holds_leaves(int level) noexcept {
    return leaf_levels == Levels || level < leaf_levels;
  }
  // Our number of an entry's level is the manual's of its child's.
  [[nodiscard]] static constexpr word link_to(int level) noexcept {
    return pr | (static_cast<word>(level) << next_shift);
  }
  // log2 of the size that the address tells, in entries of `level`.
  [[nodiscard]] static constexpr int encoded_group(word entry, int level) noexcept {
    return __builtin_ctzll(~((entry & oa) >> 12)) + 13 - shape.shift(level);
  }
  [[nodiscard]] static constexpr bool has_leaf_size(word entry, int level) noexcept {
    if ((entry & next) != next_encoded) return (entry & next) == 0;
    const int group = encoded_group(entry, level);
    return group >= 0 && group <= largest_group;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? ir : 0) | (allowed.contains(writable) ? iw | sw_may_write : 0);
  }
};

static_assert(pte_format<iommu<1>> && pte_format<iommu<3>> && pte_format<iommu<6>>);
static_assert(iommu<1>::shape.input_bits() == 21 && iommu<3>::shape.input_bits() == 39);
static_assert(iommu<4>::shape.input_bits() == 48 && iommu<5>::shape.input_bits() == 57);
static_assert(iommu<6>::shape.input_bits() == 64 && iommu<6>::shape.entries(5) == 128);
static_assert(root_table_bytes<iommu<3>> == 4096 && root_table_bytes<iommu<6>> == 4096);
static_assert(*iommu<3>::leaf(output_address{0x8020'0000}, {.allowed = read_write}, 1) == 0x6000'0000'8020'0033);
static_assert(iommu<3>::table(table_address{0x8000'1000}, 2) == 0x6000'0000'8000'1421);
static_assert(iommu<3>::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1783);
static_assert(!iommu<3>::leaf(output_address{0}, {.allowed = executable}, 0));

}  // namespace quire::amd
