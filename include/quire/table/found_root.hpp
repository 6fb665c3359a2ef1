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
  constexpr found_root() = default;  // there is none
  QUIRE_INLINE constexpr explicit found_root(result<table_address> table) noexcept {
    if (!table) [[unlikely]]
      return;
    table_ = *table;
    entries_ = Format::shape.entries(Format::shape.root_level);
  }

  // Whether there is a root and `address` lies in its geometry: one comparison, of the index that a descent needs next.
  [[nodiscard]] QUIRE_INLINE constexpr bool reaches(input_address address) const noexcept {
    if constexpr (Format::facts.sign_extended) return entries_ != 0 && is_translatable<Format>(address);
    else return address.value >> Format::shape.shift(Format::shape.root_level) < entries_;
  }
  // Errors, where it does not: no_root, beyond_input.
  [[nodiscard]] QUIRE_COLD constexpr error why_not(input_address address) const noexcept {
    if (entries_ == 0) return {errc::no_root};
    return {errc::beyond_input, -1, address.value};
  }
  // Requires: reaches() said yes.
  [[nodiscard]] QUIRE_INLINE constexpr table_address table() const noexcept { return table_; }
  // Errors: no_root.
  [[nodiscard]] QUIRE_INLINE constexpr result<table_address> get() const noexcept {
    if (entries_ == 0) [[unlikely]]
      return errc::no_root;
    return table_;
  }

 private:
  table_address table_{};
  std::uint64_t entries_ = 0;  // none where there is no root: then nothing is in reach
};

}  // namespace quire
