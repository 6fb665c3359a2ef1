// SPDX-License-Identifier: MIT
// RISC-V G-stage (second stage) tables: Sv39x4 and Sv48x4.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv39" (entry layout) and "Two-Stage Address Translation" of
// the hypervisor extension. The manual numbers levels as we do: level 0 holds pages. The root has 2 more index bits, so
// it takes 16 KiB and is aligned to that; guest-physical addresses have 41 or 50 bits.
//
//   63 | 62 61 | 60..54   | 53..10 | 9 8 | 7 6 5 4 3 2 1 0
//    N |  PBMT | reserved |  PPN   | RSW | D A G U X W R V
//
// RSW bit 8 is "may become writable"; bit 9 is the owner's software bit. An entry with V clear is free for software: G,
// which a G-stage entry does not use, makes it `locked`; without it, bit 9 with a payload in the PPN field is a marker.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::riscv {

// Who sets the accessed and dirty bits: software, on a fault (Svade), or the hardware (Svadu, menvcfg.ADUE).
enum class ad_update : bool { software, hardware };

template <int Levels, ad_update AD = ad_update::software>
struct gstage {
  static_assert(Levels == 3 || Levels == 4, "Sv39x4 has 3 levels, Sv48x4 has 4");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = []() constexpr {
    geometry<Levels> g{.page_bits = 12, .index_bits = {}};
    for (int level = 0; level < Levels; ++level) g.index_bits[level] = level == Levels - 1 ? 11 : 9;
    return g;
  }();
  static constexpr int table_shift = 12;

 private:
  static constexpr word v = 1U << 0, r = 1U << 1, w = 1U << 2, x = 1U << 3, u = 1U << 4, g = 1U << 5, a = 1U << 6,
                        d = 1U << 7;
  static constexpr word rsw0 = 1U << 8, rsw1 = 1U << 9;
  static constexpr int ppn_bits = 44;  // "PPN": a 56-bit physical address
  static constexpr word ppn = ((word{1} << ppn_bits) - 1) << 10;
  static constexpr word pbmt_nc = word{1} << 61, pbmt_io = word{1} << 62;  // Svpbmt
  static constexpr bool hardware = AD == ad_update::hardware;

 public:
  static constexpr format_facts facts{
      .caches_invalid = true,  // "implementations may cache invalid entries" without Svvptc
      .sets_accessed = hardware,
      .sets_dirty = hardware,
      .has_dirty = true,
      .output_bits = 56,
      .software_bits = 1,
      .marker_bits = ppn_bits,
  };

  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < Levels ? 1U : 0U;
  }

  // The table first, by one comparison of the low byte: it is what a descent asks for. D, A and U are reserved in a
  // non-leaf, and no table is written with G; so V without R, W, X and with one of those, or at level 0, maps nothing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && static_cast<std::uint8_t>(entry) == v) return entry_kind::table;
    if ((entry & v) != 0) return (entry & (r | w | x)) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & g) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{(entry & ppn) << 2};
  }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int) noexcept {
    return output_address{(entry & ppn) << 2};
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & r) != 0) allowed = allowed | readable;
    if ((entry & w) != 0) allowed = allowed | writable;
    if ((entry & x) != 0) allowed = allowed | executable;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = (entry & pbmt_io) != 0   ? memory_type::device
                      : (entry & pbmt_nc) != 0 ? memory_type::non_cacheable
                                               : memory_type::normal,
            .accessed = (entry & a) != 0,
            .dirty = (entry & d) != 0,
            .software = static_cast<std::uint8_t>((entry & rsw1) != 0)};
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & ppn) >> 10;
  }
  // Reserved: bits 60..54 and N, PBMT 3, W without R, anything but V and PPN in a non-leaf, PPN below the superpage. A
  // leaf without U faults always.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & v) == 0) return true;
    if ((entry & ~(ppn | pbmt_nc | pbmt_io | word{0x3ff})) != 0) return false;
    if ((entry & (r | w | x)) == 0) return level > 0 && (entry & (u | a | d | pbmt_nc | pbmt_io)) == 0;
    const bool has_type = (entry & (pbmt_nc | pbmt_io)) != (pbmt_nc | pbmt_io);
    return has_type && (entry & u) != 0 && (entry & (r | w)) != w &&
           output_of(entry, level).is_aligned(shape.leaf_bytes(level));
  }

  // "W without R is reserved"; a leaf has at least one of R, W, X, so a leaf without rights cannot be encoded. Every
  // G-stage leaf has U: the G-stage checks each access as a user access.
  [[nodiscard]] static constexpr result<word> leaf(output_address output, const attributes& wanted, int level,
                                                   int group = 0) noexcept {
    if (level < 0 || level >= Levels || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    const auto rights = rights_of(wanted.allowed);
    if (!rights || wanted.software > 1) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    return word{(output.value >> 2) | v | u | *rights | (wanted.may_write ? rsw0 : 0) | (wanted.accessed ? a : 0) |
                (wanted.dirty ? d : 0) | (wanted.software != 0 ? rsw1 : 0) |
                (wanted.memory == memory_type::device          ? pbmt_io
                 : wanted.memory == memory_type::non_cacheable ? pbmt_nc
                                                               : 0)};
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept { return (child.value >> 2) | v; }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept { return ((payload << 10) & ppn) | rsw1; }
  static constexpr word locked = g | d;  // no leaf has D alone, no table has D
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~v) | g; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~g) | v; }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return word{1} << (shape.shift(level) - 2); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable{v | w, v | w};
  static constexpr entry_test<word> is_accessed{v | a, v | a};
  static constexpr entry_test<word> is_dirty{v | d, v | d};
  static constexpr entry_test<word> is_grantable{v | r | rsw0, v | r | rsw0};  // W needs R

  // Svade hardware traps a store to a clean leaf, so whoever grants W sets D with it.
  static constexpr entry_change<word> make_writable{{v, v}, ~word{0}, r | w | d | rsw0};
  static constexpr entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr entry_change<word> set_accessed{{v, v}, ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    const auto rights = rights_of(allowed);
    if (!rights) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, ~(r | w | x | rsw0), *rights};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions allowed) noexcept {
    const auto rights = rights_of(allowed);
    if (!rights) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, ~word{0}, *rights | (allowed.contains(writable) ? d : 0)};
  }
  static constexpr word may_write_bit = rsw0;
  static constexpr word quiet_bits = hardware ? a | d : 0;

 private:
  [[nodiscard]] static constexpr result<word> rights_of(permissions allowed) noexcept {
    if (allowed == no_access) return errc::unsupported_attribute;
    if (allowed.contains(writable) && !allowed.contains(readable)) return errc::unsupported_attribute;
    return word{(allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | rsw0 : 0) |
                (allowed.contains(executable) ? x : 0)};
  }
};

using sv39x4 = gstage<3>;
using sv48x4 = gstage<4>;

static_assert(pte_format<sv39x4> && pte_format<sv48x4> && pte_format<gstage<3, ad_update::hardware>>);
static_assert(sv39x4::shape.input_bits() == 41 && sv48x4::shape.input_bits() == 50);
static_assert(root_table_bytes<sv39x4> == 16384 && root_table_bytes<sv48x4> == 16384 &&
              table_unit_bytes<sv39x4> == 4096);
static_assert(sv39x4::shape.leaf_bytes(1) == 0x20'0000 && sv39x4::shape.leaf_bytes(2) == 0x4000'0000);
static_assert(*sv39x4::leaf(output_address{0x8020'0000}, {.allowed = all_access, .may_write = true, .dirty = true},
                            1) == ((0x8020'0000ULL >> 2) | 0x1df));
static_assert(sv39x4::table(table_address{0x8000'1000}, 1) == 0x2000'0401);
static_assert(!sv39x4::leaf(output_address{0}, {.allowed = writable}, 0));

}  // namespace quire::riscv
