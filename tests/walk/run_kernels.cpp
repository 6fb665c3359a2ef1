// SPDX-License-Identifier: MIT
// The loops over owned words against the plainest loops there are: every size up to a few vectors, every start
// within a vector, both word sizes; at run time and in constant evaluation, where another branch is taken.
#include <quire/walk/run_kernels.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint32_t, uint64_t
#include <tuple>    // tuple

#include "catch.hpp"

namespace {

using quire::entry_change;
using quire::kernel::any_of;
using quire::kernel::apply;
using quire::kernel::fill;
using quire::kernel::find_nonzero;
using quire::kernel::flip;
using quire::kernel::flip_alike;
using quire::kernel::gather;
using quire::kernel::scan;

inline constexpr std::size_t most = 512 + 16;

// Words without a pattern; or alike in their low bits, as the entries of a table often are: all of them, or all but
// one.
enum class pattern { none, alike, all_but_one };

template <class Word>
struct buffer {
  Word words[most];

  constexpr explicit buffer(std::uint64_t seed, pattern how = pattern::none) : words{} {
    std::uint64_t dice = seed * 0x9e37'79b9'7f4a'7c15ULL | 1U;
    for (Word& word : words) {
      dice ^= dice << 13U;
      dice ^= dice >> 7U;
      dice ^= dice << 17U;
      word = static_cast<Word>(dice >> 16U);
      if (how != pattern::none) word = static_cast<Word>((word & ~Word{0xff}) | (seed & 0xff));
    }
    if (how == pattern::all_but_one) words[dice % 40] = static_cast<Word>(dice >> 16U);
  }
  friend constexpr bool operator==(const buffer&, const buffer&) = default;
};

template <class Word>
constexpr Word top_bit = static_cast<Word>(Word{1} << (sizeof(Word) * 8 - 1));

template <class Word>
constexpr bool fills(std::size_t start, std::size_t n, Word first, Word step) {
  buffer<Word> filled{start + 1}, expected = filled;
  Word value = first;
  for (std::size_t i = 0; i < n; ++i) {
    expected.words[start + i] = value;
    value = static_cast<Word>(value + step);
  }
  fill<Word>(filled.words + start, n, first, step);
  return filled == expected;  // the words around it, too
}

// The changes of formats: for all words, for words with a bit, for words without one; clearing, setting, both, nothing.
template <class Word>
inline constexpr entry_change<Word> changes[7] = {
    // clang 14 wants the number
    {{0, 0}, static_cast<Word>(~Word{4}), 0},
    {{0, 0}, static_cast<Word>(~Word{0}), top_bit<Word>},
    {{3, 3}, static_cast<Word>(~Word{8}), 16},
    {{5, 1}, static_cast<Word>(~top_bit<Word>), 0},
    {{7, 2}, static_cast<Word>(~Word{0}), 0},  // changes nothing
    {{0, 1}, 0, 0},                            // applies to nothing
    {{1, 1}, 0, static_cast<Word>(~Word{0})},
};

template <class Word>
constexpr bool gathers(std::size_t start, std::size_t n, const quire::entry_test<Word>& test,
                       const buffer<Word>& words) {
  Word every = static_cast<Word>(~Word{0}), any = 0;
  bool all = true, none = true;
  for (std::size_t i = start; i < start + n; ++i) {
    every = static_cast<Word>(every & words.words[i]);
    any = static_cast<Word>(any | words.words[i]);
    all = all && test(words.words[i]);
    none = none && !test(words.words[i]);
  }
  const auto bits = gather<Word>(words.words + start, n);
  if (bits.every != every || bits.any != any || n == 0) return bits.every == every && bits.any == any;
  return bits.all(test) == all && (!bits.none(test) || none) && (!bits.decides(test) || bits.none(test) == none);
}

template <class Word>
constexpr bool scans(std::size_t start, std::size_t n, const entry_change<Word>& change, Word quiet,
                     const buffer<Word>& words) {
  Word changed = 0, busy = 0;
  buffer<Word> expected = words, flipped = words;
  for (std::size_t i = start; i < start + n; ++i) {
    const Word before = words.words[i];
    if ((before & change.applies_to.mask) != change.applies_to.value) continue;
    expected.words[i] = static_cast<Word>((before & change.keep) | change.set);
    changed = static_cast<Word>(changed | (before ^ expected.words[i]));
    busy = static_cast<Word>(busy | (quiet & ~before));
  }
  const auto result = scan<Word>(words.words + start, n, change, quiet);
  // `all` may be said when it is so; nothing asks that it is.
  if (result.all) flip<Word>(flipped.words + start, n, result.changed);
  return result.changed == changed && result.busy == busy && (!result.all || flipped == expected);
}

template <class Word>
constexpr bool applies(std::size_t start, std::size_t n, const entry_change<Word>& change, buffer<Word> words) {
  buffer<Word> expected = words;
  for (std::size_t i = start; i < start + n; ++i)
    if ((expected.words[i] & change.applies_to.mask) == change.applies_to.value)
      expected.words[i] = static_cast<Word>((expected.words[i] & change.keep) | change.set);
  apply<Word>(words.words + start, n, change);
  return words == expected;
}

template <class Word>
constexpr bool flips(std::size_t start, std::size_t n, buffer<Word> words) {
  const Word bits = static_cast<Word>(0x81 | top_bit<Word>);
  buffer<Word> expected = words;
  for (std::size_t i = start; i < start + n; ++i) expected.words[i] = static_cast<Word>(expected.words[i] ^ bits);
  flip<Word>(words.words + start, n, bits);
  return words == expected;
}

// Of whole blocks: flips where each word answers yes, or says no and does nothing. Requires: a test that some word
// answers.
template <class Word>
bool flips_alike(std::size_t start, std::size_t n, const quire::entry_test<Word>& test, buffer<Word> words) {
  if (!quire::kernel::is_whole_blocks<Word>(n)) return true;
  const Word bits = static_cast<Word>(0x81 | top_bit<Word>);
  bool all = true;
  buffer<Word> expected = words;
  for (std::size_t i = start; i < start + n; ++i) {
    all = all && test(words.words[i]);
    expected.words[i] = static_cast<Word>(expected.words[i] ^ bits);
  }
  const buffer<Word> before = words;
  const bool done = flip_alike<Word>(words.words + start, n, test.mask, test.value, bits);
  return done == all && words == (done ? expected : before);
}

// Of whole blocks.
template <class Word>
bool finds_any(std::size_t start, std::size_t n, const buffer<Word>& words) {
  if (!quire::kernel::is_whole_blocks<Word>(n)) return true;
  Word any = 0;
  for (std::size_t i = start; i < start + n; ++i) any = static_cast<Word>(any | words.words[i]);
  return any_of<Word>(words.words + start, n) == any;
}

template <class Word>
bool all_right(std::size_t start, std::size_t n) {
  for (const Word step : {Word{0}, Word{1}, Word{0x1000}, static_cast<Word>(top_bit<Word> + 64)})
    if (!fills<Word>(start, n, static_cast<Word>(0x5a5a'f003'0000'10e7ULL), step)) return false;
  for (const pattern how : {pattern::none, pattern::alike, pattern::all_but_one})
    for (std::uint64_t seed = n; seed < n + (how == pattern::none ? 1 : 8); ++seed) {
      const buffer<Word> words{seed, how};
      if (!flips<Word>(start, n, words) || !finds_any<Word>(start, n, words)) return false;
      for (const entry_change<Word>& change : changes<Word>) {
        for (const Word quiet : {Word{0}, Word{0x40}, static_cast<Word>(0xc0 | top_bit<Word>)})
          if (!scans<Word>(start, n, change, quiet, words)) return false;
        if (!applies<Word>(start, n, change, words)) return false;
        if (!gathers<Word>(start, n, change.applies_to, words)) return false;
        if ((change.applies_to.value & ~change.applies_to.mask) == 0 &&
            !flips_alike<Word>(start, n, change.applies_to, words))
          return false;
      }
    }
  return true;
}

// Whatever stands before the words, and after the first that is not 0.
template <class Word>
constexpr bool finds_nonzero(std::size_t start, std::size_t n, std::size_t at) {
  buffer<Word> words{n, pattern::none};
  for (std::size_t i = 0; i < n; ++i)
    if (i <= at) words.words[start + i] = i == at ? top_bit<Word> : 0;
  const Word* const first = words.words + start;
  return find_nonzero<Word>(first, first + n) == first + at;
}

// Constant evaluation takes the plain loops; a few sizes will do, one evaluation each, for compilers count the steps.
template <class Word, std::size_t Start, std::size_t N>
inline constexpr bool right_when_constant =
    fills<Word>(Start, N, 7, 0x1000) && scans<Word>(Start, N, changes<Word>[2], 0x40, buffer<Word>{N}) &&
    applies<Word>(Start, N, changes<Word>[2], buffer<Word>{N, pattern::alike}) &&
    finds_nonzero<Word>(Start, N, N / 2) && finds_nonzero<Word>(Start, N, N);
static_assert(right_when_constant<std::uint64_t, 0, 0> && right_when_constant<std::uint32_t, 0, 0>);
static_assert(right_when_constant<std::uint64_t, 1, 1> && right_when_constant<std::uint32_t, 3, 7>);
static_assert(right_when_constant<std::uint64_t, 3, 70> && right_when_constant<std::uint32_t, 0, 512>);

// A word alone, or in the last or first lane of a vector, is seen.
template <class Word>
bool sees_one_word() {
  for (std::size_t n = 1; n <= 40; ++n)
    for (std::size_t at = 0; at < n; ++at) {
      Word words[40]{};
      words[at] = 1;
      const auto seen = scan<Word>(words, n, {{1, 1}, static_cast<Word>(~Word{1}), 0}, 2);
      if (seen.changed != 1 || seen.busy != 2) return false;
      if (scan<Word>(words, n, {{2, 2}, static_cast<Word>(~Word{1}), 0}, 2).changed != 0) return false;
    }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("the first word that is not 0 is found wherever it is", "", std::uint64_t, std::uint32_t) {
  for (const std::size_t n : {0U, 1U, 3U, 4U, 15U, 64U, 70U, 200U, 512U})
    for (std::size_t start = 0; start < 9; ++start)
      for (std::size_t at = 0; at <= n; ++at) {
        CAPTURE(start, n, at);
        REQUIRE(finds_nonzero<TestType>(start, n, at));
      }
}

TEMPLATE_TEST_CASE("fill, scan, apply and flip do what plain loops do", "", std::uint64_t, std::uint32_t) {
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t n = 0; n <= 70; ++n) {
      CAPTURE(start, n);
      REQUIRE(all_right<TestType>(start, n));
    }
    REQUIRE(all_right<TestType>(start, 512));
  }
  REQUIRE(sees_one_word<TestType>());
}
