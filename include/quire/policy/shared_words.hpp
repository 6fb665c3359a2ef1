// SPDX-License-Identifier: MIT
// Shared words: the counters and flags that sessions share besides the entries of a table. How many sessions have taken
// rights away, the epoch, whether a log is on, whether the host's mapping is changing.
//
// Every access to one goes through this policy, so that a test can see and schedule it. Requires: load, store,
// fetch_add, compare_exchange (strong; on failure `expected` becomes what was read) of an unsigned word or a bool, each
// a single atomic access with the order given; fence.
#pragma once

#include <concepts>     // same_as
#include <cstdint>      // uint64_t
#include <type_traits>  // is_constant_evaluated

#include <quire/atomic.hpp>  // atomic::load

namespace quire {

template <class S>
concept shared_words_policy = requires(const S& s, const std::uint64_t& seen, std::uint64_t& word, order o) {
  { s.load(seen, o) } -> std::same_as<std::uint64_t>;
  { s.store(word, seen, o) } -> std::same_as<void>;
  { s.fetch_add(word, seen, o) } -> std::same_as<std::uint64_t>;
  { s.compare_exchange(word, word, seen, o) } -> std::same_as<bool>;
  { s.fence(o) } -> std::same_as<void>;
};

struct direct_words {
  template <class T>
  [[nodiscard]] QUIRE_INLINE static constexpr T load(const T& from, order o) noexcept {
    if (std::is_constant_evaluated()) return from;
    return atomic::load(&from, o);
  }
  template <class T>
  QUIRE_INLINE static constexpr void store(T& to, T value, order o) noexcept {
    if (std::is_constant_evaluated()) to = value;
    else atomic::store(&to, value, o);
  }
  template <class T>
  QUIRE_INLINE static constexpr T fetch_add(T& at, T amount, order o) noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_add(&at, amount, o);
    const T before = at;
    at = static_cast<T>(at + amount);
    return before;
  }
  template <class T>
  [[nodiscard]] QUIRE_INLINE static constexpr bool compare_exchange(T& at, T& expected, T desired, order o) noexcept {
    if (!std::is_constant_evaluated()) return atomic::compare_exchange(&at, expected, desired, o);
    const bool done = at == expected;
    if (done) at = desired;
    else expected = at;
    return done;
  }
  QUIRE_INLINE static constexpr void fence(order o) noexcept { atomic::fence(o); }
};

static_assert(shared_words_policy<direct_words> && !shared_words_policy<int>);

}  // namespace quire
