// SPDX-License-Identifier: MIT
// Yield policy: whether a long operation should let go of its lock for a moment.
//
//   should_yield()   asked at bounded steps, under the lock.
//   pause()          called with the lock dropped: reschedule, top caches up.
// What happens around it is in one place, table/session.hpp.
#pragma once

#include <concepts>  // same_as

#include <quire/version.hpp>  // one copy of Quire

namespace quire {

template <class Y>
concept yield_policy = requires(Y& y) {
  { y.should_yield() } -> std::same_as<bool>;
  { y.pause() } -> std::same_as<void>;
};

struct never_yield {
  [[nodiscard]] constexpr bool should_yield() noexcept { return false; }
  constexpr void pause() noexcept {}
};

// Yields at every n-th question; n == 1 exercises every yield point there is.
class yield_every {
 public:
  constexpr explicit yield_every(unsigned n) noexcept : n_(n) {}
  [[nodiscard]] constexpr bool should_yield() noexcept { return ++asked_ % n_ == 0; }
  constexpr void pause() noexcept { ++yields_; }
  [[nodiscard]] constexpr unsigned yields() const noexcept { return yields_; }

 private:
  unsigned n_;
  unsigned asked_ = 0;
  unsigned yields_ = 0;
};

static_assert(yield_policy<never_yield> && yield_policy<yield_every> && !yield_policy<int>);

}  // namespace quire
