// SPDX-License-Identifier: MIT
// Tables in an array of words: for constant evaluation, tests and simulators. A table's address is its byte offset in
// the array plus a base that the user chooses (not 0, so that no table lies at address 0).
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // is_constant_evaluated

#include <quire/contract.hpp>       // QUIRE_EXPECTS
#include <quire/policy/memory.hpp>  // memory_policy

namespace quire {

// Memory policy over words that the user owns. In constant evaluation accesses are plain, at run time atomic.
template <class Word>
class array_memory {
 public:
  constexpr array_memory(Word* words, std::size_t count, std::uint64_t base) noexcept
      : words_(words), count_(count), base_(base) {}

  template <class W>
  [[nodiscard]] constexpr W load(table_address t, std::size_t i, order o) const noexcept {
    if (std::is_constant_evaluated()) return *at<W>(t, i);
    return atomic::load(at<W>(t, i), o);
  }
  template <class W>
  constexpr void store(table_address t, std::size_t i, W w, order o) const noexcept {
    if (std::is_constant_evaluated()) *at<W>(t, i) = w;
    else atomic::store(at<W>(t, i), w, o);
  }
  template <class W>
  constexpr W exchange(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::exchange(at<W>(t, i), w, o);
    const W old = *at<W>(t, i);
    *at<W>(t, i) = w;
    return old;
  }
  template <class W>
  [[nodiscard]] constexpr bool compare_exchange(table_address t, std::size_t i, W& e, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::compare_exchange(at<W>(t, i), e, w, o);
    const W old = *at<W>(t, i);
    if (old == e) *at<W>(t, i) = w;
    const bool done = old == e;
    e = old;
    return done;
  }
  template <class W>
  constexpr W fetch_and(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_and(at<W>(t, i), w, o);
    return exchange<W>(t, i, static_cast<W>(*at<W>(t, i) & w), o);
  }
  template <class W>
  constexpr W fetch_or(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_or(at<W>(t, i), w, o);
    return exchange<W>(t, i, static_cast<W>(*at<W>(t, i) | w), o);
  }
  template <class W>
  [[nodiscard]] constexpr W* own(table_address t, std::size_t first, std::size_t) const noexcept {
    return at<W>(t, first);
  }
  template <class W>
  constexpr void written(table_address, std::size_t, std::size_t) const noexcept {}

 private:
  template <class W>
  [[nodiscard]] constexpr W* at(table_address t, std::size_t i) const noexcept {
    static_assert(sizeof(W) == sizeof(Word));
    const std::size_t word = static_cast<std::size_t>((t.value - base_) / sizeof(Word)) + i;
    QUIRE_EXPECTS(t.value >= base_ && word < count_);
    return words_ + word;
  }

  Word* words_;
  std::size_t count_;
  std::uint64_t base_;
};

static_assert(memory_policy<array_memory<std::uint64_t>, std::uint64_t>);

}  // namespace quire
