// SPDX-License-Identifier: MIT
// Where the operations of one session announce what they changed, and what it is a proof of that they did.
#pragma once

#include <type_traits>  // conditional_t, remove_reference_t

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
  static constexpr bool in_batches = invalidation_in_batches<policy_type>;

 public:
  QUIRE_INLINE constexpr explicit invalidator(P& policies) noexcept : invalidator(policies.invalidation, false) {}
  invalidator(const invalidator&) = delete;
  invalidator& operator=(const invalidator&) = delete;

  // For a function that is not inlined: a copy where that says all, so that an invalidator which nobody points to need
  // not be in memory. take_back() before anything else is done with the one it is of.
  [[nodiscard]] QUIRE_INLINE constexpr decltype(auto) lend() noexcept {
    if constexpr (in_batches) return static_cast<invalidator&>(*this);
    else return invalidator{*part_, owed_};
  }
  QUIRE_INLINE constexpr void take_back(const invalidator& lent) noexcept { owed_ = lent.owed_; }
  // The same for a session that has nothing else to keep over the call: takes where to announce from the copy as well,
  // so that no register need be saved for it.
  QUIRE_INLINE constexpr void go_on_as(const invalidator& lent) noexcept {
    if constexpr (!in_batches) part_ = lent.part_;
    take_back(lent);
  }

  // Whoever calls has told maintenance.before_invalidation() since the change.
  QUIRE_INLINE constexpr void add(const invalidation_request& request) noexcept {
    owed_ = true;
    part().add(request);
  }
  QUIRE_INLINE constexpr invalidated complete() noexcept {
    if (owed_) {
      owed_ = false;
      part().complete();
    }
    return {};
  }

 private:
  QUIRE_INLINE constexpr invalidator(policy_type& to, bool owed) noexcept : part_{kept(to)}, owed_(owed) {}

  using part_type = typename session_part<policy_type>::type;
  using kept_type = std::conditional_t<in_batches, part_type, std::remove_reference_t<part_type>*>;

  [[nodiscard]] QUIRE_INLINE static constexpr kept_type kept(policy_type& to) noexcept {
    if constexpr (in_batches) return {to};
    else return &to;
  }
  [[nodiscard]] QUIRE_INLINE constexpr auto& part() noexcept {
    if constexpr (in_batches) return part_;
    else return *part_;
  }

  kept_type part_;
  bool owed_ = false;
};

}  // namespace quire
