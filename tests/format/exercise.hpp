// SPDX-License-Identifier: MIT
// A format as a user would add one: no hardware walks it, and nothing else in the library or the tests was made for it.
//
// Three levels of unequal width, 32-bit entries, leaves at every level. Addresses of 37 bits come out as 32:
//
//   36..29       | 28..19        | 18..12       | 11..0
//   8 bits: root | 10 bits: level 1 | 7 bits: level 0 | offset in a page of 4 KiB
//
//   31..12 | 11 10 |    9     |  8 7   | 6 | 5 |    4      | 3 | 2 | 1 0
//   frame  | held  | software | memory | D | A | may write | X | W | type: 1 table, 2 leaf
//
// Every leaf is readable. With type 0 the hardware sees nothing: `held` keeps the type of an entry that is locked, and
// says 3 for the lock of nothing; a marker has the software bit and its payload in the frame.
#pragma once

#include <cstdint>  // uint32_t, uint64_t, uint8_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire_test {

struct exercise {
  using word = std::uint32_t;
  static constexpr quire::geometry<3> shape{.page_bits = 12, .index_bits = {7, 10, 8}};
  static constexpr int table_shift = 12;  // the tables of 512 bytes and 1 KiB, too, begin a page
  static constexpr quire::format_facts facts{
      .has_dirty = true, .output_bits = 32, .software_bits = 1, .marker_bits = 20};

 private:
  static constexpr word type = 3, is_table = 1, is_leaf = 2;
  static constexpr word w = 1U << 2, x = 1U << 3, may_write = 1U << 4, a = 1U << 5, d = 1U << 6;
  static constexpr int memory_shift = 7, held_shift = 10;
  static constexpr word memory = 3U << memory_shift, software = 1U << 9, held = type << held_shift;
  static constexpr word frame = 0xffff'f000;
  static constexpr word all = 0xffff'ffff;
  static constexpr quire::entry_test<word> is_any{type, is_leaf};  // leaf

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept { return level >= 0 && level < 3 ? 1U : 0U; }

  [[nodiscard]] static constexpr quire::entry_kind kind_of(word entry, int level) noexcept {
    using quire::entry_kind;
    switch (entry & type) {
      case 0: break;
      case is_table: return level > 0 ? entry_kind::table : entry_kind::marker;
      case is_leaf: return entry_kind::leaf;
      default: return entry_kind::marker;
    }
    return entry == 0 ? entry_kind::absent : (entry & held) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr quire::table_address table_of(word entry, int) noexcept {
    return quire::table_address{entry & frame};
  }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr quire::output_address output_of(word entry, int) noexcept {
    return quire::output_address{entry & frame};
  }
  [[nodiscard]] static constexpr quire::attributes attributes_of(word entry, int) noexcept {
    quire::permissions allowed = quire::readable;
    if ((entry & w) != 0) allowed = allowed | quire::writable;
    if ((entry & x) != 0) allowed = allowed | quire::executable;
    const word type_of_memory = (entry & memory) >> memory_shift;
    return {.allowed = allowed,
            .may_write = (entry & may_write) != 0,
            .memory = static_cast<quire::memory_type>(type_of_memory < 3 ? type_of_memory : 2),
            .accessed = (entry & a) != 0,
            .dirty = (entry & d) != 0,
            .software = static_cast<std::uint8_t>((entry & software) != 0)};
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept { return marker_entry >> 12; }
  // Type 3, memory 3 and anything in `held` are reserved; a table has an address and nothing else.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & type) == 0) return true;
    if ((entry & type) == is_table) return level > 0 && (entry & ~(frame | type)) == 0;
    return (entry & type) == is_leaf && (entry & held) == 0 && (entry & memory) != memory &&
           output_of(entry, level).is_aligned(shape.leaf_bytes(level));
  }

  [[nodiscard]] static constexpr quire::result<word> leaf(quire::output_address output, const quire::attributes& wanted,
                                                          int level, int group = 0) noexcept {
    using quire::errc;
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!wanted.allowed.contains(quire::readable) || wanted.software > 1) return errc::unsupported_attribute;
    if (wanted.from != quire::privilege::any || wanted.global) return errc::unsupported_attribute;
    return static_cast<word>(output.value) | is_leaf | rights_of(wanted.allowed) | (wanted.may_write ? may_write : 0) |
           (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) | (wanted.software != 0 ? software : 0) |
           static_cast<word>(wanted.memory) << memory_shift;
  }
  [[nodiscard]] static constexpr word table(quire::table_address child, int) noexcept {
    return static_cast<word>(child.value) | is_table;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return static_cast<word>(payload << 12) | software;
  }
  static constexpr word locked = held;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~type) | (live & type) << held_shift; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & ~held) | (locked_entry & held) >> held_shift;
  }

  [[nodiscard]] static constexpr word step(int level, int) noexcept {
    return static_cast<word>(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr quire::entry_test<word> is_writable{type | w, is_leaf | w};
  static constexpr quire::entry_test<word> is_accessed{type | a, is_leaf | a};
  static constexpr quire::entry_test<word> is_dirty{type | d, is_leaf | d};
  static constexpr quire::entry_test<word> is_grantable{type | may_write, is_leaf | may_write};

  static constexpr quire::entry_change<word> make_writable{is_any, all, w | d | may_write};
  static constexpr quire::entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr quire::entry_change<word> set_accessed{is_any, all, a};
  static constexpr quire::entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr quire::entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr quire::result<quire::entry_change<word>> protect(quire::permissions allowed) noexcept {
    if (!allowed.contains(quire::readable)) return quire::errc::unsupported_attribute;
    return quire::entry_change<word>{is_any, ~(w | x | may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr quire::result<quire::entry_change<word>> relax(quire::permissions more) noexcept {
    return quire::entry_change<word>{is_any, all, rights_of(more) | (more.contains(quire::writable) ? d : 0)};
  }

  static constexpr word may_write_bit = may_write;
  static constexpr word quiet_bits = 0;

 private:
  [[nodiscard]] static constexpr word rights_of(quire::permissions allowed) noexcept {
    return (allowed.contains(quire::writable) ? w | may_write : 0) | (allowed.contains(quire::executable) ? x : 0);
  }
};

static_assert(quire::pte_format<exercise>);
static_assert(exercise::shape.input_bits() == 37 && quire::table_unit_bytes<exercise> == 4096);
static_assert(exercise::shape.leaf_bytes(1) == 0x8'0000 && exercise::shape.leaf_bytes(2) == 0x2000'0000);

}  // namespace quire_test
