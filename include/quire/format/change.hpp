// SPDX-License-Identifier: MIT
// Changes of an entry as bit masks: polarity is the format's business, so that one loop serves every format.
#pragma once

#include <quire/version.hpp>  // one copy of Quire

namespace quire {

// A question about an entry: do the bits of `mask` read `value`?
template <class Word>
struct entry_test {
  Word mask;
  Word value;

  [[nodiscard]] constexpr bool operator()(Word entry) const noexcept { return (entry & mask) == value; }
  friend constexpr bool operator==(const entry_test&, const entry_test&) noexcept = default;
};

// A change of the entries that answer `applies_to` with yes; it keeps every bit it was not asked to touch.
template <class Word>
struct entry_change {
  entry_test<Word> applies_to;
  Word keep;  // and-mask
  Word set;   // or-mask

  // Requires: applies_to(entry).
  [[nodiscard]] constexpr Word made(Word entry) const noexcept { return static_cast<Word>((entry & keep) | set); }
  [[nodiscard]] constexpr Word operator()(Word entry) const noexcept { return applies_to(entry) ? made(entry) : entry; }
  // The bits that it turns over, where they are the same in every entry that it applies to; 0 where they are not.
  [[nodiscard]] constexpr Word flips() const noexcept {
    if (((~keep | set) & ~applies_to.mask) != 0) return 0;
    return static_cast<Word>((applies_to.value & ~(keep | set)) | (applies_to.mask & ~applies_to.value & set));
  }
};

}  // namespace quire
