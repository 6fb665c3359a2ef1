// SPDX-License-Identifier: MIT
// Invalidation policy: telling the translation caches. An instance speaks for one table (its VMID, ASID or domain).
//
//   add(request)   issue it now or keep it; the caches need not have obeyed when it returns.
//   complete()     everything added so far is issued and obeyed by every CPU that could hold a translation.
//   local(request) rights were added: obeyed by the calling CPU when it returns. The one call that a session makes for
//                  a single page, so several CPUs may be in it at once, beside anything else.
// An operation adds what it changed, one request where it can, and none when nothing changed. A session completes
// before it lets go of its lock, and an operation that hands memory back, or breaks before it makes, completes by
// itself.
//
// A policy that keeps requests until complete() may keep them in the session: with a type `batch` each session has one,
// and the calls are add(batch, request) and complete(batch). Sessions of locking::concurrent are in add() and
// complete() at once; a policy for them says that this is right: reentrant = true.
#pragma once

#include <concepts>     // same_as
#include <type_traits>  // remove_reference_t

#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire {

template <class I>
concept invalidation_at_large = requires(I& i, const invalidation_request& request) {
  { i.add(request) } -> std::same_as<void>;
  { i.local(request) } -> std::same_as<void>;
  { i.complete() } -> std::same_as<void>;
};
template <class I>
concept invalidation_in_batches = requires { typename I::batch; };

// Such a policy with the batch of one session.
template <invalidation_in_batches I>
struct with_batch {
  using batch_type = typename I::batch;
  I& policy;
  batch_type batch{};

  constexpr void add(const invalidation_request& request) noexcept
    requires requires(I& i, batch_type& b) { i.add(b, request); }
  {
    policy.add(batch, request);
  }
  constexpr void local(const invalidation_request& request) noexcept
    requires requires(I& i) { i.local(request); }
  {
    policy.local(request);
  }
  constexpr void complete() noexcept
    requires requires(I& i, batch_type& b) { i.complete(b); }
  {
    policy.complete(batch);
  }
};

// What a session has of a policy: the policy, or it and a batch.
template <class I>
struct session_part {
  using type = I&;
};
template <invalidation_in_batches I>
struct session_part<I> {
  using type = with_batch<I>;
};

template <class I>
using seen_by_session = std::remove_reference_t<typename session_part<I>::type>;

template <class I>
concept invalidation_policy = invalidation_at_large<seen_by_session<I>>;

// Whether sessions may be in add() and complete() at once.
template <class I>
inline constexpr bool is_reentrant = false;
template <class I>
  requires requires { I::reentrant; }
inline constexpr bool is_reentrant<I> = I::reentrant;

// For tables that no hardware walks.
struct no_invalidation {
  static constexpr bool reentrant = true;
  constexpr void add(const invalidation_request&) noexcept {}
  constexpr void local(const invalidation_request&) noexcept {}
  constexpr void complete() noexcept {}
};

// Merges everything into one covering request that goes to `Backend` on complete(). Backend: an invalidation policy
// without batches of its own.
template <invalidation_at_large Backend>
class batching_invalidation {
 public:
  static constexpr bool reentrant = is_reentrant<Backend>;

  class batch {
   public:
    [[nodiscard]] constexpr bool pending() const noexcept { return pending_; }

   private:
    friend batching_invalidation;
    invalidation_request merged_{};
    bool pending_ = false;
  };

  constexpr batching_invalidation() = default;
  constexpr explicit batching_invalidation(Backend backend) noexcept : backend_(backend) {}

  constexpr void add(batch& b, const invalidation_request& request) noexcept {
    if (!b.pending_) {
      b.merged_ = request;
      b.pending_ = true;
      return;
    }
    invalidation_request& merged = b.merged_;
    if (request.first < merged.first) merged.first = request.first;
    if (merged.last < request.last) merged.last = request.last;
    if (request.level != merged.level) merged.level = -1;
    merged.leaf_only = merged.leaf_only && request.leaf_only;
    if (merged.reason < request.reason) merged.reason = request.reason;
  }
  constexpr void complete(batch& b) noexcept {
    if (!b.pending_) return;
    backend_.add(b.merged_);
    backend_.complete();
    b.pending_ = false;
  }
  constexpr void local(const invalidation_request& request) noexcept { backend_.local(request); }
  [[nodiscard]] constexpr Backend& backend() noexcept { return backend_; }

 private:
  [[no_unique_address]] Backend backend_{};
};

static_assert(invalidation_policy<no_invalidation> && invalidation_policy<batching_invalidation<no_invalidation>>);
static_assert(!invalidation_policy<int>);

}  // namespace quire
