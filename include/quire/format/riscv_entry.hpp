// SPDX-License-Identifier: MIT
// RISC-V page table entries: what G-stage and stage 1 have in common.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv32", "Sv39", "Sv48", "Sv57" (entry layout), "Svnapot",
// "Svpbmt", "Svrsw60t59b", "Svvptc", "Svadu". The manual numbers levels as we do: level 0 holds pages.
//
//   63 | 62 61 | 60 59 | 58..54   | 53..10 | 9 8 | 7 6 5 4 3 2 1 0      Sv39, Sv48, Sv57: 64 bits
//    N |  PBMT |  RSW  | reserved |  PPN   | RSW | D A G U X W R V
//                                 | 31..10 | 9 8 | 7 6 5 4 3 2 1 0      Sv32: 32 bits
//
// Bit 8 is "may become writable"; bit 9 is the owner's software bit, and with Svrsw60t59b bits 59 and 60 are two more.
// An entry with V clear is free for software: bit 9 with a payload in the PPN field is a marker; how an entry is locked
// is the stage's affair. R, W and X clear lead to a table, so no leaf is without rights, and "W without R is reserved".
#pragma once

#include <cstdint>      // uint32_t, uint64_t, uint8_t
#include <type_traits>  // conditional_t

#include <quire/format/concept.hpp>  // entry_change, format_facts

namespace quire::riscv {

// What a hart has, by the names of the manual.
struct extensions {
  bool svadu = false;        // the hardware sets A and D (menvcfg.ADUE, henvcfg.ADUE); without it, it faults (Svade)
  bool svnapot = false;      // 16 equal entries may form a group of 64 KiB
  bool svpbmt = true;        // memory types besides normal; entries of 32 bits have none in any case
  bool svrsw60t59b = false;  // bits 59 and 60 are for software
  bool svvptc = false;       // an entry that becomes valid is seen in bounded time: "not mapped" need not be forgotten
};

template <int Levels, extensions Extensions>
struct entry_layout {
  static_assert(Levels >= 2 && Levels <= 5, "Sv32 has 2 levels, Sv39 3, Sv48 4, Sv57 5");
  static_assert(Levels != 2 || !Extensions.svnapot, "Svnapot depends on Sv39");
  static_assert(Levels != 2 || !Extensions.svrsw60t59b, "Svrsw60t59b depends on Sv39");

  using word = std::conditional_t<Levels == 2, std::uint32_t, std::uint64_t>;
  static constexpr int table_shift = 12;

 protected:
  static constexpr bool narrow = Levels == 2, has_groups = Extensions.svnapot, hardware = Extensions.svadu;
  static constexpr bool has_types = Extensions.svpbmt && !narrow;

  [[nodiscard]] static constexpr word bit(int number) noexcept { return static_cast<word>(std::uint64_t{1} << number); }
  static constexpr word v = bit(0), r = bit(1), w = bit(2), x = bit(3), u = bit(4), g = bit(5), a = bit(6), d = bit(7);
  static constexpr word rights = r | w | x, all = static_cast<word>(~word{0});
  static constexpr word rsw0 = bit(8), rsw1 = bit(9);
  static constexpr int ppn_bits = narrow ? 22 : 44;  // "PPN": a physical address of 34 or 56 bits
  static constexpr word ppn = static_cast<word>(((std::uint64_t{1} << ppn_bits) - 1) << 10);
  static constexpr word rsw_high = Extensions.svrsw60t59b ? bit(59) | bit(60) : 0;
  static constexpr word pbmt_nc = has_types ? bit(61) : 0, pbmt_io = has_types ? bit(62) : 0;
  static constexpr word n = has_groups ? bit(63) : 0;
  static constexpr int group_bits = 4;  // "64 KiB contiguous region"
  static constexpr int software_bits = Extensions.svrsw60t59b ? 3 : 1;
  static constexpr unsigned most_software = (1U << software_bits) - 1;

  [[nodiscard]] static constexpr geometry<Levels> shape_with(int more_root_bits) noexcept {
    auto shape = uniform_geometry<Levels>(12, narrow ? 10 : 9);
    shape.index_bits[Levels - 1] += more_root_bits;
    return shape;
  }
  [[nodiscard]] static constexpr format_facts facts_with(bool sign_extended) noexcept {
    return {
        .caches_invalid = !Extensions.svvptc,  // "implementations may cache invalid entries"
        .sets_accessed = hardware,
        .sets_dirty = hardware,
        .has_dirty = true,
        .sign_extended = sign_extended,
        .output_bits = ppn_bits + 12,
        .software_bits = software_bits,
        .marker_bits = ppn_bits,
    };
  }
  static constexpr geometry<Levels> pages = shape_with(0);  // how wide the root is does not matter to a leaf

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= Levels) return 0;
    return 1U | (has_groups && level == 0 ? 1U << group_bits : 0U);
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{std::uint64_t{entry & ppn} << 2};
  }
  [[nodiscard]] static constexpr int group_of([[maybe_unused]] word entry, [[maybe_unused]] int level) noexcept {
    if constexpr (!has_groups) return 0;
    else return level == 0 && (entry & n) != 0 ? group_bits : 0;
  }
  // In a group the low bits of PPN say how large it is.
  [[nodiscard]] static constexpr output_address output_of(word entry, [[maybe_unused]] int level) noexcept {
    const output_address output{std::uint64_t{entry & ppn} << 2};
    if constexpr (has_groups)
      if (group_of(entry, level) != 0) return output.align_down(pages.leaf_bytes(0) << group_bits);
    return output;
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & ppn) >> 10;
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return static_cast<word>(child.value >> 2) | v;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return (static_cast<word>(payload << 10) & ppn) | rsw1;
  }
  [[nodiscard]] static constexpr word step(int level, [[maybe_unused]] int group) noexcept {
    if constexpr (has_groups)
      if (group != 0) return 0;
    return word{1} << (pages.shift(level) - 2);
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable{v | w, v | w};
  static constexpr entry_test<word> is_accessed{v | a, v | a};
  static constexpr entry_test<word> is_dirty{v | d, v | d};
  static constexpr entry_test<word> is_grantable{v | r | rsw0 | n, v | r | rsw0};  // W needs R

  // Svade hardware traps a store to a clean leaf, so whoever grants W sets D with it.
  static constexpr entry_change<word> make_writable{{v, v}, all, r | w | d | rsw0};
  static constexpr entry_change<word> write_protect{is_writable, static_cast<word>(~w), 0};
  static constexpr entry_change<word> set_accessed{{v, v}, all, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, static_cast<word>(~a), 0};
  static constexpr entry_change<word> make_clean{is_dirty, static_cast<word>(~d), 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    const auto wanted = rights_of(allowed);
    if (!wanted) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, static_cast<word>(~(rights | rsw0)), *wanted};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions allowed) noexcept {
    const auto wanted = rights_of(allowed);
    if (!wanted) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, all, *wanted | (allowed.contains(writable) ? d : 0)};
  }
  static constexpr word may_write_bit = rsw0;
  static constexpr word quiet_bits = hardware ? a | d : 0;

 protected:
  // Everything but whose the leaf is.
  [[nodiscard]] QUIRE_INLINE static constexpr attributes common_attributes_of(word entry) noexcept {
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
            .software = software_of(entry)};
  }
  // `owner_of` gives the bits that say whose the leaf is, or an error.
  template <class OwnerOf>
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf_for(output_address output, const attributes& wanted,
                                                                    int level, int group, OwnerOf owner_of) noexcept {
    if (level < 0 || level >= Levels || !is_group_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(pages.leaf_bytes(level) << (has_groups ? group : 0))) return errc::unaligned;
    if (output.value >> (ppn_bits + 12) != 0) return errc::beyond_output;
    const result<word> allowed = rights_of(wanted.allowed);
    if (!allowed || wanted.software > most_software) return errc::unsupported_attribute;
    if (!has_types && wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    const result<word> owner = owner_of(wanted);
    if (!owner) return owner;
    return static_cast<word>(static_cast<word>(output.value >> 2) | v | *owner | *allowed |
                             (wanted.may_write ? rsw0 : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                             software_for(wanted.software) | (has_groups && group != 0 ? n | napot_pattern : 0) |
                             (wanted.memory == memory_type::device          ? pbmt_io
                              : wanted.memory == memory_type::non_cacheable ? pbmt_nc
                                                                            : 0));
  }
  // Reserved: bits 58..54 and those of the extensions that are not there, PBMT 3, W without R, N above level 0 or with
  // another pattern, PPN below the superpage; in a non-leaf D, A, U, N and PBMT. What G says there is the stage's.
  [[nodiscard]] static constexpr bool is_common_form(word entry, int level) noexcept {
    if ((entry & v) == 0) return true;
    if ((entry & static_cast<word>(~(ppn | low_bits | rsw_high | pbmt_nc | pbmt_io | n))) != 0) return false;
    if ((entry & rights) == 0) return level > 0 && (entry & (u | a | d | n | pbmt_nc | pbmt_io)) == 0;
    if ((entry & (r | w)) == w) return false;
    if (has_types && (entry & (pbmt_nc | pbmt_io)) == (pbmt_nc | pbmt_io)) return false;
    if ((entry & n) != 0) return level == 0 && (entry & napot_pattern_bits) == napot_pattern;
    return output_of(entry, level).is_aligned(pages.leaf_bytes(level));
  }

 private:
  static constexpr word low_bits = 0x3ff;  // RSW to V
  // "x xxxx 1000" in PPN[0]
  static constexpr word napot_pattern = bit(10 + group_bits - 1), napot_pattern_bits = bit(10 + group_bits) - bit(10);

  [[nodiscard]] static constexpr bool is_group_size(int level, int group) noexcept {
    return group == 0 || (has_groups && level == 0 && group == group_bits);
  }
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> rights_of(permissions allowed) noexcept {
    if (allowed == no_access) return errc::unsupported_attribute;
    if (allowed.contains(writable) && !allowed.contains(readable)) return errc::unsupported_attribute;
    return static_cast<word>((allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | rsw0 : 0) |
                             (allowed.contains(executable) ? x : 0));
  }
  [[nodiscard]] QUIRE_INLINE static constexpr std::uint8_t software_of(word entry) noexcept {
    const auto low = static_cast<std::uint8_t>((entry & rsw1) != 0);
    if constexpr (rsw_high == 0) return low;
    else return static_cast<std::uint8_t>(low | ((entry & rsw_high) >> 59) << 1);
  }
  [[nodiscard]] QUIRE_INLINE static constexpr word software_for(std::uint8_t software) noexcept {
    const word low = (software & 1U) != 0 ? rsw1 : 0;
    if constexpr (rsw_high == 0) return low;
    else return low | word{static_cast<unsigned>(software) >> 1U} << 59;
  }
};

}  // namespace quire::riscv
