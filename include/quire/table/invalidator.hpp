// SPDX-License-Identifier: MIT
// Where the operations of one session announce what they changed, and what it is a proof of that they did.
#pragma once

#include <type_traits>  // remove_reference_t

#include <quire/policy/policies.hpp>  // policies

namespace quire {

// Says that every invalidation that its session had added is complete. Tables are retired for one of these only: no
// walker of the hardware and no translation cache leads into them any more.
class invalidated {
 private:
  template <class P>
  friend class invalidator;
  constexpr invalidated() noexcept = default;
};

// What a session knows of the invalidation policy: what it has added, and whether that is complete.
template <class P>
class invalidator {
  using policy_type = std::remove_reference_t<decltype(P::invalidation)>;

 public:
  QUIRE_INLINE constexpr explicit invalidator(P& policies) noexcept : to_{policies.invalidation} {}
  invalidator(const invalidator&) = delete;
  invalidator& operator=(const invalidator&) = delete;

  // For a function that is not inlined: a copy where that says all, so that an invalidator which nobody points to need
  // not be in memory. take_back() before anything else is done with the one it is of.
  [[nodiscard]] QUIRE_INLINE constexpr decltype(auto) lend() noexcept {
    if constexpr (invalidation_in_batches<policy_type>) return static_cast<invalidator&>(*this);
    else return invalidator{to_, owed_};
  }
  QUIRE_INLINE constexpr void take_back(const invalidator& lent) noexcept { owed_ = lent.owed_; }

  // Whoever calls has told maintenance.before_invalidation() since the change.
  QUIRE_INLINE constexpr void add(const invalidation_request& request) noexcept {
    owed_ = true;
    to_.add(request);
  }
  QUIRE_INLINE constexpr invalidated complete() noexcept {
    if (owed_) {
      owed_ = false;
      to_.complete();
    }
    return {};
  }

 private:
  QUIRE_INLINE constexpr invalidator(policy_type& to, bool owed) noexcept : to_{to}, owed_(owed) {}

  typename session_part<policy_type>::type to_;
  bool owed_ = false;
};

}  // namespace quire
