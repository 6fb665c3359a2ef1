// SPDX-License-Identifier: MIT
// The loops over owned words: fill, gather, scan, apply and flip. Vector code lives here and nowhere else.
//
// GNU vector extensions, because plain loops vectorise on one compiler or the other, never on both. Constant evaluation
// takes the plain loop.
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // is_constant_evaluated
#include <utility>      // index_sequence

#include <quire/contract.hpp>       // QUIRE_INLINE
#include <quire/format/change.hpp>  // entry_change

namespace quire::kernel {

// The words of a vector register: a vector that is larger is a pair of them at best, and a piece of the stack where
// many are in use or, as kernels have it with -mgeneral-regs-only, none may be used.
template <class Word>
inline constexpr std::size_t lanes =
#if defined __AVX2__
    32 / sizeof(Word);
#elif defined __SSE2__ || defined __ARM_NEON || defined __riscv_vector
    16 / sizeof(Word);
#else
    1;
#endif

// Words are owned as an array of Word; the vector type may alias them and asks no more alignment than they have.
template <class Word>
struct vector {
  using type [[gnu::vector_size(lanes<Word> * sizeof(Word)), gnu::may_alias, gnu::aligned(sizeof(Word))]] = Word;
};
template <class Word>
using vector_of = typename vector<Word>::type;

// The same word, but one that the compiler takes for unknown: it stays in a register, and nothing is worked out
// for it beforehand.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr Word in_register(Word word) noexcept {
  if (!std::is_constant_evaluated()) asm("" : "+r"(word));
  return word;
}

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
    const auto fill_block = [&]() QUIRE_INLINE_LAMBDA {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words);
      at[0] = v0;
      at[1] = v1;
      at[2] = v2;
      at[3] = v3;
      v0 += block;
      v1 += block;
      v2 += block;
      v3 += block;
      words += 4 * l;
    };
    // Unknown: of a whole table the compiler would write out every store.
    for (std::size_t pairs = in_register(n / (8 * l)); pairs != 0; --pairs) {
      fill_block();
      fill_block();
    }
    if (n % (8 * l) >= 4 * l) fill_block();
    first = static_cast<Word>(first + (n / (4 * l)) * block);
    n %= 4 * l;
  }
  for (std::size_t i = 0; i < n; ++i) words[i] = static_cast<Word>(first + i * step);
}

// The first of several words that is not 0, or their end.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr const Word* find_nonzero(const Word* words, const Word* end) noexcept {
  if (!std::is_constant_evaluated()) {
    const auto skip = [&]<std::size_t Vectors>(std::integral_constant<std::size_t, Vectors>) {
      constexpr std::size_t block = Vectors * lanes<Word>;
      for (auto blocks = static_cast<std::size_t>(end - words) / block; blocks != 0; --blocks, words += block) {
        const vector_of<Word>* const at = reinterpret_cast<const vector_of<Word>*>(words);
        vector_of<Word> any{};
        for (std::size_t v = 0; v < Vectors; ++v) any |= at[v];
        Word bits = 0;
        for (std::size_t lane = 0; lane < lanes<Word>; ++lane) bits = static_cast<Word>(bits | any[lane]);
        if (bits != 0) break;
      }
    };
    skip(std::integral_constant<std::size_t, 16>{});
    skip(std::integral_constant<std::size_t, 4>{});
    skip(std::integral_constant<std::size_t, 1>{});
  }
  while (words != end && *words == 0) ++words;
  return words;
}

// The bits that every one, and that any one, of several words has: all that need be known of words that are alike.
template <class Word>
struct gathered_bits {
  Word every = static_cast<Word>(~Word{0});
  Word any = 0;

  constexpr void add(Word word) noexcept {
    every = static_cast<Word>(every & word);
    any = static_cast<Word>(any | word);
  }
  // Whether all words answer yes; whether, for certain, none does.
  [[nodiscard]] constexpr bool all(const entry_test<Word>& test) const noexcept {
    return (every & test.mask) == test.value && (any & test.mask) == test.value;
  }
  [[nodiscard]] constexpr bool none(const entry_test<Word>& test) const noexcept {
    return ((test.value & ~(any & test.mask)) | (test.mask & ~test.value & every)) != 0;
  }
  // Whether some word answers yes if not none(): the words differ in no two of the bits asked for.
  [[nodiscard]] constexpr bool decides(const entry_test<Word>& test) const noexcept {
    const Word differing = static_cast<Word>(any & ~every & test.mask);
    return (differing & (differing - 1)) == 0 || none(test);
  }
};

template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr gathered_bits<Word> gather(const Word* words, std::size_t n) noexcept {
  gathered_bits<Word> bits;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    vector_of<Word> every = ~vector_of<Word>{}, any{};
    for (std::size_t blocks = n / (4 * l); blocks != 0; --blocks, words += 4 * l) {
      const vector_of<Word>* const at = reinterpret_cast<const vector_of<Word>*>(words);
      const vector_of<Word> v0 = at[0], v1 = at[1], v2 = at[2], v3 = at[3];
      every &= v0 & v1 & v2 & v3;
      any |= v0 | v1 | v2 | v3;
    }
    for (std::size_t lane = 0; lane < l; ++lane) {
      bits.every = static_cast<Word>(bits.every & every[lane]);
      bits.any = static_cast<Word>(bits.any | any[lane]);
    }
    n %= 4 * l;
  }
  for (std::size_t i = 0; i < n; ++i) bits.add(words[i]);
  return bits;
}

// What a change would do to a run.
template <class Word>
struct scan_result {
  Word changed;  // the bits that would change in any word
  Word busy;     // of the words it applies to, the bits of `quiet` that are missing in any: the hardware may be writing
                 // there
  bool all = false;  // it is known to change these bits of every word: flip(changed) does the same
};

// Most tables are alike all over: then the bits that every word has and the bits that any word has are the answer, and
// no word need be asked by itself.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr scan_result<Word> scan(const Word* words, std::size_t n,
                                                            const entry_change<Word>& change, Word quiet) noexcept {
  const Word mask = change.applies_to.mask, value = change.applies_to.value;
  const Word cleared = static_cast<Word>(~(change.keep | change.set));
  Word ones = 0, zeros = 0;  // bits that some word to which the change applies has, and lacks
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    if (n >= 4 * l) {
      const gathered_bits<Word> bits = gather(words, n);
      if (bits.all(change.applies_to)) {
        const Word changed = static_cast<Word>((bits.any & cleared) | (~bits.every & change.set));
        return {changed, static_cast<Word>(~bits.every & quiet), ((bits.every ^ bits.any) & changed) == 0};
      }
      if (bits.none(change.applies_to)) return {0, 0};
    }
    vector_of<Word> some_ones{}, some_zeros{};
    for (const std::size_t whole = n - n % l; i < whole; i += l) {
      const auto v = *reinterpret_cast<const vector_of<Word>*>(words + i);
      const auto applies = reinterpret_cast<vector_of<Word>>((v & mask) == value);
      some_ones |= v & applies;
      some_zeros |= ~v & applies;
    }
    for (std::size_t lane = 0; lane < l; ++lane) {
      ones = static_cast<Word>(ones | some_ones[lane]);
      zeros = static_cast<Word>(zeros | some_zeros[lane]);
    }
  }
  for (; i < n; ++i) {
    if (!change.applies_to(words[i])) continue;
    ones = static_cast<Word>(ones | words[i]);
    zeros = static_cast<Word>(zeros | ~words[i]);
  }
  return {static_cast<Word>((ones & cleared) | (zeros & change.set)), static_cast<Word>(zeros & quiet)};
}

// words[i] ^= bits
template <class Word>
QUIRE_INLINE constexpr void flip(Word* words, std::size_t n, Word bits) noexcept {
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    for (std::size_t blocks = n / (4 * l); blocks != 0; --blocks, i += 4 * l) {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words + i);
      at[0] ^= bits;
      at[1] ^= bits;
      at[2] ^= bits;
      at[3] ^= bits;
    }
  }
  for (; i < n; ++i) words[i] = static_cast<Word>(words[i] ^ bits);
}

// The bits that any lane has: one half and the other, `Step` lanes apart, and so on.
template <class Word, std::size_t Step, std::size_t... Lane>
[[nodiscard]] QUIRE_INLINE Word any_lane(const vector_of<Word>& v, std::index_sequence<Lane...> all) noexcept {
  if constexpr (Step == 0) return v[0];
  else return any_lane<Word, Step / 2>(v | __builtin_shufflevector(v, v, ((Lane + Step) % sizeof...(Lane))...), all);
}

// Whether any_of() and flip_alike() know an answer: for whole blocks of four vectors.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr bool is_whole_blocks(std::size_t n) noexcept {
  return !std::is_constant_evaluated() && n % (4 * lanes<Word>) == 0 && n != 0;
}

// The bits that any word has. Requires: is_whole_blocks(n).
template <class Word>
[[nodiscard]] QUIRE_INLINE Word any_of(const Word* words, std::size_t n) noexcept {
  constexpr std::size_t l = lanes<Word>;
  const vector_of<Word>* at = reinterpret_cast<const vector_of<Word>*>(words);
  vector_of<Word> v0{}, v1{}, v2{}, v3{};
  std::size_t blocks = n / (4 * l);
  do {
    v0 |= at[0];
    v1 |= at[1];
    v2 |= at[2];
    v3 |= at[3];
    at += 4;
  } while (--blocks != 0);
  return any_lane<Word, l / 2>((v0 | v1) | (v2 | v3), std::make_index_sequence<l>{});
}

// words[i] ^= bits if every word reads `value` in the bits of `mask`; gives whether. Requires: is_whole_blocks(n);
// `value` has no bit that `mask` lacks.
template <class Word>
[[nodiscard]] QUIRE_INLINE bool flip_alike(Word* words, std::size_t n, Word mask, Word value, Word bits) noexcept {
  constexpr std::size_t l = lanes<Word>;
  vector_of<Word>* at = reinterpret_cast<vector_of<Word>*>(words);
  vector_of<Word> unlike{};
  std::size_t blocks = n / (4 * l);
  do {
    unlike |= at[0] ^ value;
    unlike |= at[1] ^ value;
    unlike |= at[2] ^ value;
    unlike |= at[3] ^ value;
    at += 4;
  } while (--blocks != 0);
  if ((any_lane<Word, l / 2>(unlike, std::make_index_sequence<l>{}) & mask) != 0) return false;
  blocks = n / (4 * l);
  do {
    at -= 4;
    at[0] ^= bits;
    at[1] ^= bits;
    at[2] ^= bits;
    at[3] ^= bits;
  } while (--blocks != 0);
  return true;
}

template <class Word>
QUIRE_INLINE constexpr void apply(Word* words, std::size_t n, const entry_change<Word>& change) noexcept {
  const Word mask = change.applies_to.mask, value = change.applies_to.value, keep = change.keep, set = change.set;
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    for (const std::size_t whole = n - n % l; i < whole; i += l) {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words + i);
      const auto v = *at;
      const auto applies = reinterpret_cast<vector_of<Word>>((v & mask) == value);
      *at = (((v & keep) | set) & applies) | (v & ~applies);
    }
  }
  for (; i < n; ++i) words[i] = change(words[i]);
}

}  // namespace quire::kernel
