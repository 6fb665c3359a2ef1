// SPDX-License-Identifier: MIT
// The loops over owned words: fill, scan and apply. Vector code lives here and nowhere else.
//
// GNU vector extensions, because plain loops vectorise on one compiler or the other, never on both; where vectors are
// switched off they lower to scalar code. Constant evaluation takes the plain loop.
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // is_constant_evaluated

#include <quire/contract.hpp>       // QUIRE_INLINE
#include <quire/format/change.hpp>  // entry_change

namespace quire::kernel {

template <class Word>
inline constexpr std::size_t lanes = 32 / sizeof(Word);

// Words are owned as an array of Word; the vector type may alias them and asks no more alignment than they have.
template <class Word>
struct vector {
  using type [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(sizeof(Word))]] = Word;
};
template <class Word>
using vector_of = typename vector<Word>::type;

// words[i] = first + i * step
template <class Word>
QUIRE_INLINE constexpr void fill(Word* words, std::size_t n, Word first, Word step) noexcept {
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    const Word stride = static_cast<Word>(l * step);
    vector_of<Word> v0{};
    for (std::size_t lane = 0; lane < l; ++lane) v0[lane] = static_cast<Word>(first + lane * step);
    vector_of<Word> v1 = v0 + stride, v2 = v1 + stride, v3 = v2 + stride;
    const Word block = static_cast<Word>(4 * l * step);
    for (std::size_t blocks = n / (4 * l); blocks != 0; --blocks) {
      auto* at = reinterpret_cast<vector_of<Word>*>(words);
      at[0] = v0;
      at[1] = v1;
      at[2] = v2;
      at[3] = v3;
      v0 += block;
      v1 += block;
      v2 += block;
      v3 += block;
      words += 4 * l;
    }
    first = static_cast<Word>(first + (n / (4 * l)) * block);
    n %= 4 * l;
  }
  for (std::size_t i = 0; i < n; ++i) words[i] = static_cast<Word>(first + i * step);
}

// What a change would do to a run.
template <class Word>
struct scan_result {
  Word changed;  // the bits that would change in any word
  Word busy;     // of those words, the bits of `quiet` that are missing in any: the hardware may be writing there
};

template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr scan_result<Word> scan(const Word* words, std::size_t n, const entry_change<Word>& change,
                                                            Word quiet) noexcept {
  scan_result<Word> result{0, 0};
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    vector_of<Word> changed{}, busy{};
    for (; i + l <= n; i += l) {
      const auto v = *reinterpret_cast<const vector_of<Word>*>(words + i);
      const auto applies = reinterpret_cast<vector_of<Word>>((v & change.applies_to.mask) == change.applies_to.value);
      const auto after = (v & change.keep) | change.set;
      changed |= (v ^ after) & applies;
      if (quiet != 0) busy |= ~v & quiet & applies;
    }
    for (std::size_t lane = 0; lane < l; ++lane) {
      result.changed = static_cast<Word>(result.changed | changed[lane]);
      result.busy = static_cast<Word>(result.busy | busy[lane]);
    }
  }
  for (; i < n; ++i) {
    if (!change.applies_to(words[i])) continue;
    result.changed = static_cast<Word>(result.changed | (words[i] ^ change(words[i])));
    result.busy = static_cast<Word>(result.busy | (~words[i] & quiet));
  }
  return result;
}

template <class Word>
QUIRE_INLINE constexpr void apply(Word* words, std::size_t n, const entry_change<Word>& change) noexcept {
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    for (; i + l <= n; i += l) {
      auto* at = reinterpret_cast<vector_of<Word>*>(words + i);
      const auto v = *at;
      const auto applies = reinterpret_cast<vector_of<Word>>((v & change.applies_to.mask) == change.applies_to.value);
      *at = (((v & change.keep) | change.set) & applies) | (v & ~applies);
    }
  }
  for (; i < n; ++i) words[i] = change(words[i]);
}

}  // namespace quire::kernel
