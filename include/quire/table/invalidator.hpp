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
  // A copy to be given to a function out of line, and taken back: a session whose address is given away lives in memory
  // from its beginning, also where that function is never called. A batch is not copied.
  [[nodiscard]] QUIRE_INLINE constexpr decltype(auto) lend() noexcept {
    if constexpr (invalidation_in_batches<policy_type>) return static_cast<invalidator&>(*this);
    else return invalidator{to_, owed_};
  }
  QUIRE_INLINE constexpr void take_back(const invalidator& lent) noexcept { owed_ = lent.owed_; }

 private:
  constexpr invalidator(policy_type& to, bool owed) noexcept : to_{to}, owed_(owed) {}

  typename session_part<policy_type>::type to_;
  bool owed_ = false;
};

}  // namespace quire
