// SPDX-License-Identifier: MIT
// What a leaf says besides where it leads, independent of any format's bits.
#pragma once

#include <bit>      // bit_cast
#include <cstdint>  // uint64_t, uint8_t

#include <quire/version.hpp>  // one copy of Quire

namespace quire {

// A set of rights.
struct permissions {
  std::uint8_t bits = 0;

  [[nodiscard]] constexpr bool contains(permissions other) const noexcept { return (bits & other.bits) == other.bits; }
  friend constexpr permissions operator|(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits | b.bits)};
  }
  friend constexpr permissions operator&(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits & b.bits)};
  }
  friend constexpr permissions operator-(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits & ~b.bits)};
  }
  friend constexpr bool operator==(permissions, permissions) noexcept = default;
};

inline constexpr permissions no_access{0};
inline constexpr permissions readable{1};
inline constexpr permissions writable{2};
inline constexpr permissions executable{4};
inline constexpr permissions read_write = readable | writable;
inline constexpr permissions read_execute = readable | executable;
inline constexpr permissions all_access = readable | writable | executable;

enum class memory_type : std::uint8_t { normal, non_cacheable, device };

// Whose accesses the rights are for: those of both privileges, or of one alone. What one of them has besides (an EL1
// that reads what EL0 may read, a supervisor with SUM set) is the manual's affair.
enum class privilege : std::uint8_t { any, user, supervisor };

// Whether everybody that `wanted` speaks of is among those that `have` speaks of.
[[nodiscard]] constexpr bool includes(privilege have, privilege wanted) noexcept {
  return have == privilege::any || have == wanted;
}

// `may_write` is the software bit "may become writable": the host page behind the leaf is writable, so a write fault
// may be answered by setting the write permission alone. A writable leaf always has it. `accessed` and `dirty` are
// the state of the leaf's own bits, where the format has them; a format without a dirty bit refuses `dirty`.
// `software` is for the owner of the table; how many of its low bits exist is the format's fact software_bits.
// `from` and `global` (translations of every address space) are refused by formats that do not know them.
// An accessed bit that a format lacks counts as set.
struct attributes {
  permissions allowed{};
  bool may_write = false;
  memory_type memory = memory_type::normal;
  bool accessed = true;
  bool dirty = false;
  std::uint8_t software = 0;
  privilege from = privilege::any;
  bool global = false;

  friend constexpr bool operator==(const attributes&, const attributes&) noexcept = default;
};

// Whether anything is wanted that most leaves have not: owner's bits, one privilege, every address space. One test, as
// it is asked for every leaf.
[[nodiscard]] constexpr bool is_special(const attributes& wanted) noexcept {
  constexpr auto any = std::bit_cast<std::uint64_t>(
      attributes{.accessed = false, .software = 0xff, .from = privilege{0xff}, .global = true});
  return (std::bit_cast<std::uint64_t>(wanted) & any) != 0;
}

}  // namespace quire
