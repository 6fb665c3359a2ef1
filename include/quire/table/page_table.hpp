// SPDX-License-Identifier: MIT
// page_table<Format, Policies>: a root and the policies that act on its tables.
//
//   page_table<riscv::sv39x4, my_kernel> guest{my_kernel{...}};
//   if (!guest.create()) ...                       takes the root
//   auto session = guest.exclusive(lock);          every change happens in a session (session.hpp)
//   session.map(range, output, attributes)
//
// The lock lives outside. What the locking policy allows is what the session's type offers.
#pragma once

#include <cstdint>  // uint64_t
#include <utility>  // exchange, move

#include <quire/table/concurrent/session.hpp>  // concurrent_session
#include <quire/table/found_root.hpp>          // found_root
#include <quire/table/growing.hpp>             // grows_from
#include <quire/table/session.hpp>             // exclusive_session
#include <quire/table/shared_session.hpp>      // shared_session, section_session

namespace quire {

template <pte_format Format, class Policies>
class page_table {
  static_assert(has_memory<Policies, Format>, "Policies::memory must be a memory_policy for the format's word");
  static_assert(has_maintenance<Policies>, "Policies::maintenance must be a maintenance_policy");
  static_assert(has_tables<Policies>, "Policies::tables must be a root_source");
  static_assert(has_invalidation<Policies>, "Policies::invalidation must be an invalidation_policy");
  static_assert(has_reclaim<Policies>, "Policies::reclaim must be a reclaim_policy for Policies::tables");
  static_assert(has_yield<Policies>, "Policies::yield must be a yield_policy");
  static_assert(has_words<Policies>, "Policies::words must be a shared_words_policy");
  static_assert(has_locking<Policies>, "Policies::locking must be a locking_policy");
  static_assert(has_sound_dirty_orders<Policies>,
                "Policies::locking loses pages: without a lock a page must be made writable before it is marked, and "
                "the log cleared before the pages are protected");
  static_assert(has_reentrant_invalidation<Policies>,
                "Policies::invalidation is entered by several sessions at once under locking::concurrent: it must say "
                "that it may be (reentrant = true)");
  static_assert(has_update<Policies, Format>,
                "Policies::update must break before it makes where the format needs it, and must not where faults "
                "cannot be retried");
  static_assert(has_retried_faults<Policies, Format>,
                "Policies::locking is concurrent, which locks entries while it changes them: a device that meets one "
                "faults, and its faults cannot be retried");

 public:
  using format = Format;
  using policies_type = Policies;
  using locking = typename Policies::locking;

  constexpr explicit page_table(Policies p) noexcept : policies_(std::move(p)) {}
  page_table(const page_table&) = delete;
  page_table& operator=(const page_table&) = delete;
  constexpr page_table(page_table&& other) noexcept
      : policies_(std::move(other.policies_)), root_(std::exchange(other.root_, none)) {}
  // Grows: a root of a level more, whose entry 0 leads to the root of `lower`; that one becomes an ordinary table. All
  // that was mapped is mapped as before, and no translation need be invalidated. Requires: `lower` has a root, and
  // lower.policies().tables.reserve(1) has said yes, so that growing cannot fail. Caller must: keep everybody else off
  // the table, as for any move, and then tell the hardware the new root() and number of levels, both at once; until
  // then it walks the old root, which is good for what lay below.
  template <pte_format Lower>
    requires grows_from<Format, Lower>
  constexpr explicit page_table(page_table<Lower, Policies>&& lower) noexcept : policies_(std::move(lower.policies_)) {
    static_assert(roots_are_tables<std::remove_reference_t<decltype(Policies::tables)>>,
                  "the old root is to be given back as a table: Policies::tables must say roots_are_tables = true");
    const std::uint64_t old = std::exchange(lower.root_, none);
    QUIRE_EXPECTS((old & open) != 0);
    const auto root = policies_.tables.take(table_contents::zeroed);
    QUIRE_EXPECTS(root.has_value());  // reserved by the caller
    // Relaxed: nobody reaches the root before it is stored below.
    policies_.memory.template store<word>(*root, 0, Format::table(table_address{old - open}, Format::shape.root_level),
                                          order::relaxed);
    policies_.maintenance.table_filled(*root, root_table_bytes<Format>);
    policies_.words.store(root_, root->value | open, order::release);
  }
  page_table& operator=(page_table&&) = delete;
  // Frees what is left, without yielding. Caller must: be the only one left, hardware included.
  constexpr ~page_table() {
    while (!destroy(~std::size_t{0})) {
    }
  }

  // Takes an empty root: root_table_bytes<Format>, aligned to that. A session that is open does not find it. Errors:
  // no_memory.
  [[nodiscard]] constexpr result<void> create() noexcept {
    if (root_ != none) return {};
    const auto root = policies_.tables.take_root(root_table_bytes<Format>);
    if (!root) return root.error();
    QUIRE_EXPECTS(root->is_aligned(root_table_bytes<Format>));
    policies_.maintenance.table_filled(*root, root_table_bytes<Format>);
    policies_.words.store(root_, root->value | open, order::release);
    return {};
  }

  // No session that begins from here on finds the root: its operations say no_root. One that is open goes on with the
  // root that it found. How a table of locking::concurrent
  // goes while others use it: close(); wait until the sections that are open now have been left (a grace period of the
  // user's RCU, epoch_reclaim::wait_for_sections); take the root from every CPU; destroy(). Idempotent.
  constexpr void close() noexcept {
    // Release: what the caller did to the table is seen by whoever waits for the sections.
    if ((root_ & open) != 0) policies_.words.store(root_, root_ ^ (open | closed), order::release);
  }

  // Gives back at most `most` tables, then says whether all are gone, the root too. Idempotent; resumable; the table
  // translates less and less meanwhile. Caller must: have taken the root from every CPU, invalidated its translations,
  // and be sure that no software walker and no session is left and that none begins (close()).
  constexpr bool destroy(std::size_t most) noexcept {
    if (root_ == none) return true;
    const table_address root{root_ & ~(open | closed)};
    if (!destroy_below<Format::shape.root_level>(root, most)) return false;
    policies_.words.store(root_, none, order::relaxed);
    policies_.tables.give_back_root(root, root_table_bytes<Format>);
    return true;
  }

  // Where the hardware finds the root; no_root before create() and after close() or destroy(). Relaxed: whoever may ask
  // was told of the table after create(), and a section that is entered after close() was waited for sees it by the
  // fence in enter().
  [[nodiscard]] QUIRE_INLINE constexpr result<table_address> root() const noexcept { return find_root().get(); }
  // The same for a session, which asks more of it.
  [[nodiscard]] QUIRE_INLINE constexpr found_root<Format> find_root() const noexcept {
    return found_root<Format>{policies_.words.load(root_, order::relaxed)};
  }
  [[nodiscard]] constexpr Policies& policies() noexcept { return policies_; }

  // ---- sessions; the forms with a lock take it, or are told that it is held (and then neither take nor release it).
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive() noexcept
    requires lock_of<void, locking>
  {
    return exclusive_session<page_table, no_lock>{*this, nullptr, false};
  }
  template <lockable Lock>
    requires lock_of<Lock, locking>
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive(Lock& lock) noexcept {
    return exclusive_session<page_table, Lock>{*this, &lock, true};
  }
  template <lockable Lock>
    requires lock_of<Lock, locking>
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive(Lock& lock, already_held_t) noexcept {
    if constexpr (requires { lock.assert_held(); }) lock.assert_held();
    return exclusive_session<page_table, Lock>{*this, &lock, false};
  }
  template <shared_lockable Lock>
    requires(locking::has_read_side && lock_of<Lock, locking>)
  [[nodiscard]] constexpr auto shared(Lock& lock) noexcept {
    return shared_session<page_table, Lock>{*this, lock};
  }
  template <read_section Section>
    requires section_of<Section, locking>
  [[nodiscard]] constexpr auto concurrent(Section& section) noexcept {
    return concurrent_session<page_table, Section>{*this, section, reductions_};
  }
  // Whatever the locking policy: the session that may change everything, and the one that may change single pages.
  // `guard` is the lock, or the section.
  template <class Guard>
  [[nodiscard]] QUIRE_INLINE constexpr auto session(Guard& guard) noexcept {
    if constexpr (concurrent_locking<locking>) return concurrent(guard);
    else return exclusive(guard);
  }
  template <class Guard>
    requires(locking::has_read_side || concurrent_locking<locking>)
  [[nodiscard]] constexpr auto one_page_session(Guard& guard) noexcept {
    if constexpr (concurrent_locking<locking>) return section_session<page_table, Guard>{*this, guard};
    else return shared(guard);
  }
  // Gives back the tables that sessions of this section unlinked and that nobody can be inside any more; gives how many
  // still wait. For sections that have a collect(), as epoch_section.
  template <read_section Section>
    requires section_of<Section, locking>
  std::size_t collect(Section& section) noexcept {
    return section.collect(table_links<Format, decltype(policies_.memory)>{policies_.memory}, policies_.tables);
  }

 private:
  template <pte_format F, class P>
  friend class page_table;
  using word = typename Format::word;

  template <int Level>
  constexpr bool destroy_below(table_address table, std::size_t& most) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        const word entry = policies_.memory.template load<word>(table, i, order::relaxed);
        if (Format::kind_of(entry, Level) != entry_kind::table) continue;
        const table_address child = Format::table_of(entry, Level);
        if (!destroy_below<Level - 1>(child, most) || most == 0) return false;
        --most;
        // Cleared before it is freed, so that a later call does not walk into it.
        policies_.memory.template store<word>(table, i, word{0}, order::relaxed);
        policies_.tables.give_back(child);
      }
    }
    return true;
  }

  // The root's address with one of these in its low bits, where it has none; or nothing.
  static constexpr std::uint64_t none = 0, open = found_root<Format>::open, closed = 2;

  Policies policies_;
  std::uint64_t root_ = none;
  struct nothing {};
  [[no_unique_address]] std::conditional_t<concurrent_locking<locking>, reduction_count, nothing> reductions_{};
};

static_assert(policies_for<policies, format_archetype>);

}  // namespace quire
