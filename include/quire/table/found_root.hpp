// SPDX-License-Identifier: MIT
// The root of a table as a session finds it when it begins, and again when it has let go in between. Whoever takes the
// table away meanwhile waits for the session: by its lock, or for the sections that were open at close().
#pragma once

#include <cstdint>  // uint64_t

#include <quire/result.hpp>       // result
#include <quire/table/range.hpp>  // is_translatable

namespace quire {

template <pte_format Format>
class found_root {
 public:
  static constexpr std::uint64_t open = 1;  // beside the root's address, in a bit of it that is 0: there is a root

  constexpr found_root() = default;  // there is none
  // Without a branch, so that who asks only one of these questions pays for no other.
  QUIRE_INLINE constexpr explicit found_root(std::uint64_t word) noexcept
      : word_(word), entries_((word & open) * Format::shape.entries(Format::shape.root_level)) {}

  [[nodiscard]] QUIRE_INLINE constexpr bool exists() const noexcept { return (word_ & open) != 0; }
  // Whether there is a root and `address` lies in its geometry: one comparison, of the index that a descent needs next.
  [[nodiscard]] QUIRE_INLINE constexpr bool reaches(input_address address) const noexcept {
    if constexpr (Format::facts.sign_extended) return exists() && is_translatable<Format>(address);
    else return address.value >> Format::shape.shift(Format::shape.root_level) < entries_;
  }
  // Errors, where it does not: no_root, beyond_input.
  [[nodiscard]] QUIRE_COLD constexpr error why_not(input_address address) const noexcept {
    if (!exists()) return {errc::no_root};
    return {errc::beyond_input, -1, address.value};
  }
  // Requires: exists().
  [[nodiscard]] QUIRE_INLINE constexpr table_address table() const noexcept { return table_address{word_ - open}; }
  // Errors: no_root.
  [[nodiscard]] QUIRE_INLINE constexpr result<table_address> get() const noexcept {
    if (!exists()) [[unlikely]]
      return errc::no_root;
    return table();
  }

 private:
  std::uint64_t word_ = 0;
  std::uint64_t entries_ = 0;  // none where there is no root: then nothing is in reach
};

}  // namespace quire
