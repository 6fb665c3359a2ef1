// SPDX-License-Identifier: MIT
// RISC-V stage 1 tables, of a supervisor or of a guest's supervisor (VS-stage): Sv32, Sv39, Sv48 and Sv57.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv32", "Sv39", "Sv48", "Sv57"; entries are those of
// riscv_entry.hpp. Virtual addresses of Sv39 and above repeat their top bit; those of Sv32 are all of 32 bits.
//
// U says whose a leaf is: set, the user's; clear, the supervisor's. Nobody else may use it, but for the supervisor's
// loads and stores while sstatus.SUM is set; so privilege::any cannot be encoded, and whoever maps says for whom. G is
// attributes::global. In a table entry it makes everything below global, whatever the leaves say: such a table is
// walked, and none is written.
//
// An entry with V clear is `locked` if one of R, W, X is set: a leaf keeps its own, and a table gets W, which no leaf
// has alone ("W without R is reserved").
#pragma once

#include <quire/format/riscv_entry.hpp>  // entry_layout, extensions

namespace quire::riscv {

template <int Levels, extensions Extensions = extensions{}>
struct stage1 : entry_layout<Levels, Extensions> {
 private:
  using layout = entry_layout<Levels, Extensions>;
  using layout::v, layout::w, layout::u, layout::g, layout::a, layout::d, layout::rights;

 public:
  using typename layout::word;
  static constexpr geometry<Levels> shape = layout::shape_with(0);
  static constexpr format_facts facts = layout::facts_with(Levels != 2);

  // The table first, it is what a descent asks for: one less takes V away and leaves the other bits, or borrows from
  // them. D, A and U are reserved in a non-leaf; so V without R, W, X and with one of those, or at level 0, maps
  // nothing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && ((entry - 1) & (v | rights | u | a | d)) == 0) return entry_kind::table;
    if ((entry & v) != 0) return (entry & rights) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & rights) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    attributes seen = layout::common_attributes_of(entry);
    seen.from = (entry & u) != 0 ? privilege::user : privilege::supervisor;
    seen.global = (entry & g) != 0;
    return seen;
  }
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    return layout::is_common_form(entry, level);
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    return layout::leaf_for(output, wanted, level, group, [](const attributes& whose) -> result<word> {
      if (whose.from == privilege::any) return errc::unsupported_attribute;
      return (whose.from == privilege::user ? u : 0) | (whose.global ? g : 0);
    });
  }
  static constexpr word locked = w | d;  // no table has D
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & static_cast<word>(~v)) | ((live & rights) == 0 ? w : 0);
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & static_cast<word>((locked_entry & rights) == w ? ~w : ~word{0})) | v;
  }
};

using sv32 = stage1<2>;
using sv39 = stage1<3>;
using sv48 = stage1<4>;
using sv57 = stage1<5>;

static_assert(pte_format<sv32> && pte_format<sv39> && pte_format<sv48> && pte_format<sv57>);
static_assert(sv32::shape.input_bits() == 32 && sv39::shape.input_bits() == 39 && sv48::shape.input_bits() == 48 &&
              sv57::shape.input_bits() == 57);
static_assert(root_table_bytes<sv32> == 4096 && root_table_bytes<sv39> == 4096 && root_table_bytes<sv57> == 4096);
static_assert(!sv32::facts.sign_extended && sv39::facts.sign_extended);
static_assert(*sv39::leaf(output_address{0x8020'0000},
                          {.allowed = read_execute, .from = privilege::supervisor, .global = true},
                          1) == ((0x8020'0000ULL >> 2) | 0x6b));
static_assert(!sv39::leaf(output_address{0}, {.allowed = read_execute}, 0));

}  // namespace quire::riscv
