// SPDX-License-Identifier: MIT
// All policies of a table in one struct. Derive from it and hide what differs; name the derived struct, and symbols
// stay short:
//
//   struct my_kernel : quire::policies {
//     using locking = quire::locking::shared<my_rwlock>;
//     my_tables tables;
//     my_shootdown invalidation;
//   };
//   quire::page_table<quire::riscv::sv39x4, my_kernel> guest{my_kernel{...}};
//
// (Inside such a struct `locking` and `update` name its own members: write quire::locking::, quire::update::.)
#pragma once

#include <type_traits>  // remove_reference_t

#include <quire/policy/invalidation.hpp>  // invalidation_policy
#include <quire/policy/locking.hpp>       // locking_policy
#include <quire/policy/maintenance.hpp>   // maintenance_policy
#include <quire/policy/memory.hpp>        // memory_policy
#include <quire/policy/reclaim.hpp>       // reclaim_policy
#include <quire/policy/shared_words.hpp>  // shared_words_policy
#include <quire/policy/table_source.hpp>  // root_source
#include <quire/policy/update.hpp>        // update::policy
#include <quire/policy/yield.hpp>         // yield_policy

namespace quire {

struct policies {
  using locking = locking::none;
  using update = update::as_format_needs;
  [[no_unique_address]] direct_memory memory{};
  [[no_unique_address]] no_maintenance maintenance{};
  [[no_unique_address]] no_tables tables{};
  [[no_unique_address]] no_invalidation invalidation{};
  [[no_unique_address]] immediate_reclaim reclaim{};
  [[no_unique_address]] never_yield yield{};
  [[no_unique_address]] direct_words words{};
};

// One named concept per member, so that a mistake is reported by the name of what is missing.
template <class P, class Format>
concept has_memory = memory_policy<decltype(P::memory), typename Format::word>;
template <class P>
concept has_maintenance = maintenance_policy<decltype(P::maintenance)>;
// Both, though the second implies the first: what a table_source lacks is then said one step earlier.
template <class P>
concept has_tables = table_source<std::remove_reference_t<decltype(P::tables)>> &&
                     root_source<std::remove_reference_t<decltype(P::tables)>>;
// Spelled out, so that what a policy lacks is said one step earlier.
template <class P>
concept has_invalidation = invalidation_at_large<seen_by_session<std::remove_reference_t<decltype(P::invalidation)>>>;
template <class P>
concept has_reclaim =
    reclaim_policy<std::remove_reference_t<decltype(P::reclaim)>, std::remove_reference_t<decltype(P::tables)>>;
template <class P>
concept has_yield = yield_policy<std::remove_reference_t<decltype(P::yield)>>;
template <class P>
concept has_words = shared_words_policy<std::remove_reference_t<decltype(P::words)>>;
template <class P>
concept has_locking = locking_policy<typename P::locking>;
// Sessions that are at work at once are in the invalidation policy at once.
template <class P>
concept has_reentrant_invalidation =
    !concurrent_locking<typename P::locking> || is_reentrant<std::remove_reference_t<decltype(P::invalidation)>>;
template <class P>
concept has_sound_dirty_orders = sound_dirty_orders<typename P::locking>;
template <class P, class Format>
concept has_update = update::policy<typename P::update, Format> &&
                     (!Format::facts.break_before_make || update::breaks<typename P::update, Format>) &&
                     (Format::facts.faults_retry || !update::breaks<typename P::update, Format>);
// Sessions in sections lock the entries whose structure they change; until they are done the hardware faults there.
template <class P, class Format>
concept has_retried_faults = Format::facts.faults_retry || !concurrent_locking<typename P::locking>;

template <class P, class Format>
concept policies_for =
    has_memory<P, Format> && has_maintenance<P> && has_tables<P> && has_invalidation<P> && has_reclaim<P> &&
    has_yield<P> && has_words<P> && has_locking<P> && has_reentrant_invalidation<P> && has_sound_dirty_orders<P> &&
    has_update<P, Format> && has_retried_faults<P, Format>;

}  // namespace quire
