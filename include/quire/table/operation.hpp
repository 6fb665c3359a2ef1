// SPDX-License-Identifier: MIT
// What one operation of an exclusive holder carries along: the policies, the root, what must be invalidated, and the
// tables it unlinked.
#pragma once

#include <quire/policy/policies.hpp>    // policies
#include <quire/table/detached.hpp>     // detached_tables
#include <quire/table/invalidator.hpp>  // invalidator, invalidated
#include <quire/table/range.hpp>        // check_range

namespace quire {

// The leaves that changed, from the first byte to the last; level -1: of several levels. A value of its own, so that it
// can stay in registers.
struct changed_leaves {
  input_address first{};
  input_address last{};
  int level = -1;
  bool any = false;

  constexpr void add(const changed_leaves& more) noexcept {
    if (!more.any) return;
    if (!any) {
      *this = more;
      return;
    }
    if (more.first < first) first = more.first;
    if (last < more.last) last = more.last;
    if (more.level != level) level = -1;
  }
};

[[nodiscard]] constexpr invalidation_request request_for(const changed_leaves& leaves,
                                                         invalidation_reason why) noexcept {
  return {leaves.first, leaves.last, leaves.level, true, why};
}

// Tells the caches, at the next completion, what was changed before.
template <class P>
QUIRE_INLINE constexpr void announce_changes(P& policies, invalidator<P>& invalidations,
                                             const invalidation_request& request) noexcept {
  policies.maintenance.published();
  policies.maintenance.before_invalidation();
  invalidations.add(request);
}

// The end of what made entries of `range` valid that were invalid, and did nothing else.
template <pte_format Format, class P>
QUIRE_INLINE constexpr void announce_install(P& policies, invalidator<P>& session, input_range range) noexcept {
  policies.maintenance.published();
  if constexpr (Format::facts.caches_invalid) {
    policies.maintenance.before_invalidation();
    session.add({range.first(), range.last(), -1, true, invalidation_reason::installed});
  }
}

template <pte_format Format, class P>
class operation {
 public:
  using format = Format;
  using word = typename Format::word;
  using memory_type = decltype(P::memory);
  static constexpr bool breaks = update::breaks<typename P::update, Format>;
  static constexpr int batch = breaks ? P::update::batch : 1;

  constexpr operation(P& p, table_address r, invalidator<P>& session) noexcept
      : policies(p), root(r), invalidations_(session) {}
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  // Leaves of `level` between `first` and `last` (bytes, inclusive) changed.
  constexpr void changed(input_address first, input_address last, int level, invalidation_reason why) noexcept {
    if (!pending_) {
      request_ = {first, last, level, true, why};
      pending_ = true;
      return;
    }
    if (first < request_.first) request_.first = first;
    if (request_.last < last) request_.last = last;
    if (request_.level != level) request_.level = -1;
    if (request_.reason < why) request_.reason = why;
  }
  // The table entry of `level` that translates [first, last] was taken away or replaced.
  constexpr void changed_table(input_address first, input_address last, invalidation_reason why) noexcept {
    changed(first, last, -1, why);
    request_.leaf_only = false;
  }
  template <int Level>
  constexpr void detach(table_address table) noexcept {
    detached_.template push<Level>(policies.memory, table);
  }
  [[nodiscard]] constexpr bool any_change() const noexcept { return pending_; }

  // Breaks: the entries of one table between `first` and `last` have gone to `locked` (or absent) and must be forgotten
  // by every cache before anything else is stored there.
  constexpr invalidated invalidate_now(input_address first, input_address last, int level, bool leaf_only) noexcept {
    policies.maintenance.before_invalidation();
    invalidations_.add({first, last, level, leaf_only, invalidation_reason::removed});
    return invalidations_.complete();
  }

  // The end of every operation: hands the pending invalidation over (the session completes it before it unlocks), and,
  // when tables were unlinked, sees it through and retires them.
  constexpr void finish() noexcept {
    if (!pending_) return;
    pending_ = false;
    announce_changes(policies, invalidations_, request_);
    if (!detached_.empty())
      detached_.release(invalidations_.complete(), policies.memory, policies.reclaim, policies.tables);
  }
  // An invalid entry became valid.
  constexpr void installed() noexcept { installed_ = true; }
  // The end of an operation that made valid what was invalid, unless it was all there already.
  constexpr void finish_install(input_range range) noexcept {
    if (pending_) {
      if (Format::facts.caches_invalid && installed_)
        changed(range.first(), range.last(), -1, invalidation_reason::installed);
      finish();
    } else if (installed_) announce_install<Format>(policies, invalidations_, range);
  }

  P& policies;
  table_address root;

 private:
  invalidator<P>& invalidations_;
  invalidation_request request_{};
  bool pending_ = false;
  bool installed_ = false;
  detached_tables<Format> detached_{};
};

}  // namespace quire
