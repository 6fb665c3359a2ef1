// SPDX-License-Identifier: MIT
// RISC-V G-stage (second stage) tables: Sv32x4, Sv39x4, Sv48x4 and Sv57x4.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Two-Stage Address Translation" of the hypervisor extension;
// entries are those of riscv_entry.hpp. The root has 2 more index bits, so it takes 16 KiB and is aligned to that;
// guest-physical addresses have 34, 41, 50 or 59 bits.
//
// The G-stage checks each access as a user access: every leaf has U. "The G bit in all G-stage PTEs is currently not
// used": it makes an entry with V clear `locked`.
#pragma once

#include <cstdint>  // uint8_t

#include <quire/format/riscv_entry.hpp>  // entry_layout, extensions

namespace quire::riscv {

template <int Levels, extensions Extensions = extensions{}>
struct gstage : entry_layout<Levels, Extensions> {
 protected:
  using layout = entry_layout<Levels, Extensions>;
  using layout::v, layout::u, layout::g, layout::a, layout::d, layout::rights;

 public:
  using typename layout::word;
  static constexpr geometry<Levels> shape = layout::shape_with(2);
  static constexpr format_facts facts = layout::facts_with(false);

  // The table first, by one comparison of the low byte: it is what a descent asks for. D, A and U are reserved in a
  // non-leaf, and no table is written with G (but see foreign_gstage); so V without R, W, X and with one of those, or
  // at level 0, maps nothing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && static_cast<std::uint8_t>(entry) == v) return entry_kind::table;
    if ((entry & v) != 0) return (entry & rights) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & g) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    return layout::common_attributes_of(entry);
  }
  // A leaf without U faults always; G "must be ignored by hardware".
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    return layout::is_common_form(entry, level) && ((entry & v) == 0 || (entry & rights) == 0 || (entry & u) != 0);
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    return layout::leaf_for(output, wanted, level, group, [](const attributes& whose) -> result<word> {
      if (whose.from != privilege::any || whose.global) return errc::unsupported_attribute;
      return u;
    });
  }
  static constexpr word locked = g | d;  // no leaf has D alone, no table has D
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & static_cast<word>(~v)) | g; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & static_cast<word>(~g)) | v;
  }
};

// The same, to read tables that others made: a table entry with G leads to its table, as it does for the hardware. That
// costs an instruction a level where tables of one's own need none.
template <class Gstage>
struct foreign_gstage : Gstage {
  using typename Gstage::word;

  // One less takes V away and leaves the rest, or borrows from it.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    const word not_table = Gstage::v | Gstage::rights | Gstage::u | Gstage::a | Gstage::d;
    if (level > 0 && ((entry - 1) & not_table) == 0) return entry_kind::table;
    return Gstage::kind_of(entry, level);
  }
};

using sv32x4 = gstage<2>;
using sv39x4 = gstage<3>;
using sv48x4 = gstage<4>;
using sv57x4 = gstage<5>;

static_assert(pte_format<sv32x4> && pte_format<sv39x4> && pte_format<sv48x4> && pte_format<sv57x4>);
static_assert(pte_format<gstage<3, extensions{.svadu = true, .svnapot = true, .svrsw60t59b = true, .svvptc = true}>>);
static_assert(pte_format<foreign_gstage<sv39x4>>);
static_assert(sv32x4::shape.input_bits() == 34 && sv39x4::shape.input_bits() == 41 &&
              sv48x4::shape.input_bits() == 50 && sv57x4::shape.input_bits() == 59);
static_assert(root_table_bytes<sv32x4> == 16384 && root_table_bytes<sv39x4> == 16384 &&
              root_table_bytes<sv48x4> == 16384 && root_table_bytes<sv57x4> == 16384);
static_assert(table_unit_bytes<sv32x4> == 4096 && table_unit_bytes<sv39x4> == 4096);
static_assert(sv39x4::shape.leaf_bytes(1) == 0x20'0000 && sv39x4::shape.leaf_bytes(2) == 0x4000'0000);
static_assert(sv32x4::shape.leaf_bytes(1) == 0x40'0000);
static_assert(*sv39x4::leaf(output_address{0x8020'0000}, {.allowed = all_access, .may_write = true, .dirty = true},
                            1) == ((0x8020'0000ULL >> 2) | 0x1df));
static_assert(sv39x4::table(table_address{0x8000'1000}, 1) == 0x2000'0401);
static_assert(!sv39x4::leaf(output_address{0}, {.allowed = writable}, 0));

}  // namespace quire::riscv
