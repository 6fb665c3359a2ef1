// SPDX-License-Identifier: MIT
// Locking policy: who may be at work on a table at the same time. The lock itself lives outside the table.
//
//   none                 one thread, or constant evaluation.
//   exclusive<Mutex>     one holder at a time; nobody else touches entries, but the hardware may (accessed, dirty).
//   shared<RwMutex>      the read side may add rights to, or age, one existing page leaf: compare-exchange on that
//                        entry and nothing else. Everything structural, every protection and every harvest is the write
//                        side.
//   concurrent<Section>  everything, by several at once, each in a read section: by compare-exchange, an entry locked
//                        where a cache may hold what it said, tables given back after all sections that may be inside
//                        them (table/concurrent/).
//
// Requires of Mutex: lock(), unlock(). Of RwMutex: also lock_shared(), unlock_shared(). Optional: is_contended(), asked
// by long operations at their yield points; assert_held(), called where a caller says that it already holds the lock.
//
// Requires of Section: enter(), leave(); pause(), called while a range operation waits for another's entry; and
// retire(links, source, table) for a table that is unlinked and forgotten by every cache: source.give_back(table) once
// all sections entered before have been left (epoch.hpp is one without an OS; `links` keeps lists of such tables).
//
// Two orders of dirty logging are a property of the policy: `dirty`, in which a fault marks a page and makes it
// writable, and `harvest`, in which the log is cleared and the pages are protected again. Of the four combinations each
// is right where `harvest_excludes_faults`, and the stock policies mark first there, so that who sees the write
// permission sees the mark. Without a lock between them one alone loses no page: make writable, then mark; clear, then
// protect. What is written before the mark is reported by the next harvest, so the last one must come when no fault is
// on its way. page_table refuses the other three (sound_dirty_orders).
//
// reader_order is what a session loads entries with. Relaxed under a lock: a table that a reader may find was published
// before the lock changed hands, or by the reader itself. Acquire without.
#pragma once

#include <concepts>     // convertible_to
#include <type_traits>  // is_same_v

#include <quire/atomic.hpp>  // order

namespace quire {

template <class L>
concept lockable = requires(L& lock) {
  lock.lock();
  lock.unlock();
};
template <class L>
concept shared_lockable = lockable<L> && requires(L& lock) {
  lock.lock_shared();
  lock.unlock_shared();
};

template <class S>
concept read_section = requires(S& section) {
  section.enter();
  section.leave();
  section.pause();
};

enum class dirty_order : bool { mark_then_grant, grant_then_mark };
enum class harvest_order : bool { clear_then_protect, protect_then_clear };

namespace locking {

// What the policies with a lock have in common.
struct under_a_lock {
  static constexpr bool harvest_excludes_faults = true;
  static constexpr dirty_order dirty = dirty_order::mark_then_grant;
  static constexpr harvest_order harvest = harvest_order::clear_then_protect;
  static constexpr order reader_order = order::relaxed;
};

struct none : under_a_lock {
  using mutex = void;
  static constexpr bool has_read_side = false;
};

template <lockable Mutex>
struct exclusive : under_a_lock {
  using mutex = Mutex;
  static constexpr bool has_read_side = false;
};

template <shared_lockable RwMutex>
struct shared : under_a_lock {
  using mutex = RwMutex;
  static constexpr bool has_read_side = true;
};

template <read_section Section>
struct concurrent {
  using mutex = concurrent;  // nothing to lock
  using section = Section;
  static constexpr bool has_read_side = false;
  static constexpr bool harvest_excludes_faults = false;
  static constexpr dirty_order dirty = dirty_order::grant_then_mark;
  static constexpr harvest_order harvest = harvest_order::clear_then_protect;
  static constexpr order reader_order = order::acquire;
};

}  // namespace locking

template <class L>
concept locking_policy = requires {
  typename L::mutex;
  { L::has_read_side } -> std::convertible_to<bool>;
  { L::harvest_excludes_faults } -> std::convertible_to<bool>;
  { L::dirty } -> std::convertible_to<dirty_order>;
  { L::harvest } -> std::convertible_to<harvest_order>;
  { L::reader_order } -> std::convertible_to<order>;
};

// Whether no page is lost from the log. `loses_pages_on_purpose` is for a test that shows what the orders guard
// against.
template <class L>
concept sound_dirty_orders =
    L::harvest_excludes_faults ||
    (L::dirty == dirty_order::grant_then_mark && L::harvest == harvest_order::clear_then_protect) ||
    requires { typename L::loses_pages_on_purpose; };

template <class L>
concept concurrent_locking = locking_policy<L> && requires { typename L::section; };

// Whether the policy's read sections are of this type.
template <class S, class L>
concept section_of = concurrent_locking<L> && std::is_same_v<S, typename L::section>;

// Whether `Lock` is what the policy locks; void where it locks nothing.
template <class Lock, class L>
concept lock_of = std::is_same_v<Lock, typename L::mutex>;

// The lock of locking::none.
struct no_lock {
  constexpr void lock() noexcept {}
  constexpr void unlock() noexcept {}
};

// Says that the caller holds the lock already and keeps it.
struct already_held_t {};
inline constexpr already_held_t already_held{};

static_assert(locking_policy<locking::none> && sound_dirty_orders<locking::none> && !locking_policy<int>);

}  // namespace quire
