// SPDX-License-Identifier: MIT
// Update policy: how a valid entry becomes a valid entry of another size or address.
//
//   direct              one store; the invalidation may come later.
//   break_before_make   entry -> locked, invalidate and wait, then the new entry. Up to `batch` entries of a table are
//                       broken together, so that one invalidation serves them all.
// A format that needs break-before-make refuses `direct` at compile time; a format that does not may still ask for it.
// A format whose faults cannot be retried (a device's) refuses break_before_make on a live table.
#pragma once

#include <concepts>  // convertible_to

#include <quire/version.hpp>  // one copy of Quire

namespace quire::update {

struct direct {
  static constexpr bool breaks = false;
  static constexpr int batch = 1;
};

template <int Batch = 8>
struct break_before_make {
  static_assert(Batch >= 1 && Batch <= 64, "the new entries wait on the stack");
  static constexpr bool breaks = true;
  static constexpr int batch = Batch;
};

// The weakest policy that the format allows.
struct as_format_needs {
  static constexpr int batch = 8;
};

template <class U, class Format>
concept policy = requires {
  { U::batch } -> std::convertible_to<int>;
};

// Whether table changes of `Format` under `U` break before they make.
template <class U, class Format>
inline constexpr bool breaks = Format::facts.break_before_make;
template <class Format>
inline constexpr bool breaks<direct, Format> = false;
template <int Batch, class Format>
inline constexpr bool breaks<break_before_make<Batch>, Format> = true;

}  // namespace quire::update
