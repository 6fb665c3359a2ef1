// SPDX-License-Identifier: MIT
// Invalidation policy: telling the translation caches. An instance speaks for one table (its VMID, ASID or domain).
//
//   add(request)   issue it now or keep it; the caches need not have obeyed when it returns.
//   complete()     everything added so far is issued and obeyed by every CPU that could hold a translation.
//   local(request) rights were added: obeyed by the calling CPU when it returns. The one call that the read side makes,
//   so
//                  several CPUs may be in it at once, beside anything else.
// An operation adds what it changed, one request where it can, and none when nothing changed. A session completes
// before it lets go of its lock, and an operation that hands memory back, or breaks before it makes, completes by
// itself.
#pragma once

#include <concepts>  // same_as

#include <quire/address.hpp>  // input_address

namespace quire {

enum class invalidation_reason : unsigned char {
  installed,  // invalid -> valid; only where the format caches invalid entries
  relaxed,    // rights were added: the CPU that faults needs it, others may take one spurious fault
  reduced,    // rights, accessed or dirty were taken away
  resized,    // same translation in leaves of another size; only before something relies on the new size
  removed,    // the translation is gone, and what it led to may be given away
};

struct invalidation_request {
  input_address first;  // the first and the last byte whose translations changed
  input_address last;
  int level;       // of the leaves that changed; -1: unknown or mixed
  bool leaf_only;  // no table entry changed: caches of the upper levels may be kept
  invalidation_reason reason;

  friend constexpr bool operator==(const invalidation_request&, const invalidation_request&) = default;
};

template <class I>
concept invalidation_policy = requires(I& i, const invalidation_request& request) {
  { i.add(request) } -> std::same_as<void>;
  { i.local(request) } -> std::same_as<void>;
  { i.complete() } -> std::same_as<void>;
};

// For tables that no hardware walks.
struct no_invalidation {
  constexpr void add(const invalidation_request&) noexcept {}
  constexpr void local(const invalidation_request&) noexcept {}
  constexpr void complete() noexcept {}
};

// Merges everything into one covering request that goes to `Backend` on complete(). Backend: an invalidation policy.
template <invalidation_policy Backend>
class batching_invalidation {
 public:
  constexpr batching_invalidation() = default;
  constexpr explicit batching_invalidation(Backend backend) noexcept : backend_(backend) {}

  constexpr void add(const invalidation_request& request) noexcept {
    if (!pending_) {
      merged_ = request;
      pending_ = true;
      return;
    }
    if (request.first < merged_.first) merged_.first = request.first;
    if (merged_.last < request.last) merged_.last = request.last;
    if (request.level != merged_.level) merged_.level = -1;
    merged_.leaf_only = merged_.leaf_only && request.leaf_only;
    if (merged_.reason < request.reason) merged_.reason = request.reason;
  }
  constexpr void complete() noexcept {
    if (!pending_) return;
    backend_.add(merged_);
    backend_.complete();
    pending_ = false;
  }
  constexpr void local(const invalidation_request& request) noexcept { backend_.local(request); }
  [[nodiscard]] constexpr bool pending() const noexcept { return pending_; }
  [[nodiscard]] constexpr Backend& backend() noexcept { return backend_; }

 private:
  [[no_unique_address]] Backend backend_{};
  invalidation_request merged_{};
  bool pending_ = false;
};

static_assert(invalidation_policy<no_invalidation> && invalidation_policy<batching_invalidation<no_invalidation>>);
static_assert(!invalidation_policy<int>);

}  // namespace quire
