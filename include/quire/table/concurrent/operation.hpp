// SPDX-License-Identifier: MIT
// What one operation in a read section carries along, and how it comes to own an entry.
//
// Who may write what. Several operations are at work at once, and the hardware sets accessed and dirty at any moment.
//   - Rights are added and taken, and accessed and dirty changed, by a compare-exchange of one leaf.
//   - Everything else (installing under a check, splitting, collapsing, unmapping, any change of a group) first locks
//     the entry: a compare-exchange from what was read to locked. A locked entry is written by nobody but its owner,
//     not even the hardware; the owner invalidates where an old translation may still be cached, then stores what is to
//     be.
//   - A table that is unlinked has all its entries locked first, and they stay so: whoever still is inside it fails at
//     its next compare-exchange, and starts from the root again.
// Order. An operation waits for a locked entry only while it owns no entry of that table or of one above it: it walks
// on from the root (concurrent_walk). So nobody waits in a circle, and an owner waits for nothing but invalidations.
// Faults do not wait at all: they are told `busy`.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/policy/epoch.hpp>     // table_list
#include <quire/table/entry.hpp>      // entry_span
#include <quire/table/operation.hpp>  // operation
#include <quire/walk/walker.hpp>      // walk

namespace quire {

// Where a table that was unlinked keeps the next one of its list: in its first entry, which reads as locked to whoever
// is still inside.
template <pte_format Format, class Memory>
class table_links {
  using word = typename Format::word;

 public:
  constexpr explicit table_links(Memory& memory) noexcept : memory_(&memory) {}
  constexpr void set(table_address table, table_address next) noexcept {
    memory_->template store<word>(table, 0, Format::lock(Format::table(next, 1)), order::relaxed);
  }
  [[nodiscard]] constexpr table_address next(table_address table) noexcept {
    return Format::table_of(Format::unlock(memory_->template load<word>(table, 0, order::relaxed)), 1);
  }

 private:
  Memory* memory_;
};

// What the sessions of one table share: how many of them have taken rights away that a cache may still hold. Written
// before the first such compare-exchange of a session and after its invalidations are complete, never by a fault.
struct reduction_count {
  std::uint64_t sessions = 0;
};

// Whether a session is one of those.
template <shared_words_policy Words>
class reducing {
 public:
  constexpr reducing(Words& words, reduction_count& all) noexcept : words_(&words), all_(&all) {}

  bool counted = false;

  // Before the first compare-exchange, for the reason `why`, that may take something away without a lock. Relaxed: the
  // compare-exchange that follows releases it to whoever finds the entry changed.
  QUIRE_INLINE constexpr void begin(invalidation_reason why) noexcept {
    if (why != invalidation_reason::reduced || counted) return;
    counted = true;
    words_->fetch_add(all_->sessions, std::uint64_t{1}, order::relaxed);
  }
  // Once the invalidations are complete. Release: whoever finds this session no longer counted finds them so.
  QUIRE_INLINE constexpr void end() noexcept {
    if (!counted) return;
    counted = false;
    words_->fetch_add(all_->sessions, ~std::uint64_t{0}, order::release);
  }
  // Whether another session has taken something away that a cache may still hold. Asked after an entry was found
  // changed. The fence: a compare-exchange that failed has read it relaxed. Acquire: a session that is no longer
  // counted has completed its invalidation.
  [[nodiscard]] constexpr bool others() const noexcept {
    words_->fence(order::acquire);
    return words_->load(all_->sessions, order::acquire) != (counted ? 1 : 0);
  }
  // Whether this session has to invalidate, for such another, what it found as a change with the reason `why` would
  // leave it.
  [[nodiscard]] QUIRE_INLINE constexpr bool joins(invalidation_reason why) noexcept {
    if (why != invalidation_reason::reduced || !others()) return false;
    begin(why);
    return true;
  }

 private:
  Words* words_;
  reduction_count* all_;
};

// What a session keeps from one operation to the next, besides the invalidations that it owes.
template <class P>
struct concurrent_debt {
  reducing<std::remove_reference_t<decltype(P::words)>> reductions;
  table_list unlinked{};
};

template <pte_format Format, class P>
class concurrent_operation : public operation<Format, P> {
  using base = operation<Format, P>;

 public:
  using format = Format;
  using word = typename Format::word;
  using base::policies;

  constexpr concurrent_operation(P& p, table_address r, invalidator<P>& session, concurrent_debt<P>& debt) noexcept
      : base(p, r, session), reductions(debt.reductions), unlinked_(debt.unlinked) {}

  // Makes this operation the owner of entry `i` if it still reads `seen`, a leaf or a table; else `seen` becomes what
  // it reads. Acquire: what the last writer of the entry did is over. Release: what this operation did before is not
  // late.
  [[nodiscard]] constexpr bool lock(table_address table, std::size_t i, word& seen) noexcept {
    return policies.memory.template compare_exchange<word>(table, i, seen, Format::lock(seen), order::acq_rel);
  }
  // The same for an absent entry.
  [[nodiscard]] constexpr bool lock_absent(table_address table, std::size_t i, word& seen) noexcept {
    seen = 0;
    return policies.memory.template compare_exchange<word>(table, i, seen, Format::locked, order::acq_rel);
  }
  // What a leaf or table that this operation has locked said: `locked` keeps it.
  [[nodiscard]] constexpr word owned(table_address table, std::size_t i) noexcept {
    return Format::unlock(policies.memory.template load<word>(table, i, order::relaxed));
  }
  // Ends the ownership. Release: what the entry leads to, and the invalidation, come first.
  constexpr void store(table_address table, std::size_t i, word now) noexcept {
    policies.memory.template store<word>(table, i, now, order::release);
  }

  // A table all of whose entries are locked, and into which neither an entry nor the hardware leads any more.
  constexpr void unlinked(invalidated, table_address table) noexcept {
    table_links<Format, decltype(P::memory)> links{policies.memory};
    unlinked_.push(links, table);
  }

  reducing<std::remove_reference_t<decltype(P::words)>>& reductions;

 private:
  table_list& unlinked_;
};

// Locks a whole group, its first entry before the rest: while that is locked no software touches the others, and only
// the hardware is to be raced with. False: the group is another's, or no longer there.
template <int Level, class Operation>
[[nodiscard]] constexpr bool lock_group(Operation& op, table_address table, entry_span span) noexcept {
  using format = typename Operation::format;
  using word = typename Operation::word;
  const auto still = [&](word entry) {
    if (format::kind_of(entry, Level) != entry_kind::leaf) return false;
    const entry_span now = group_span<format>(entry, Level, span.first);
    return now.first == span.first && now.last == span.last;
  };
  word seen = op.policies.memory.template load<word>(table, span.first, order::acquire);
  do
    if (!still(seen)) return false;
  while (!op.lock(table, span.first, seen));
  for (std::size_t k = span.first + 1; k <= span.last; ++k) {
    word member = op.policies.memory.template load<word>(table, k, order::relaxed);
    while (!op.lock(table, k, member)) {
    }
  }
  return true;
}

// Walks the range, from the root again wherever an entry is locked. The visitor owns nothing when it says retry.
template <walk_flags Flags, class Operation, class Section, class Visitor>
constexpr error concurrent_walk(Operation& op, Section& section, input_range range, Visitor& visitor) noexcept {
  using format = typename Operation::format;
  for (input_range rest = range;;) {
    const error said = walk<(Flags | walk_flag::shared | walk_flag::stop_on_retry), format>(op.policies.memory, op.root,
                                                                                            rest, visitor);
    if (said.code != errc::busy) return said;
    section.pause();
    // The locked entry may begin before the range.
    if (rest.first() < input_address{said.at}) rest = input_range::closed(input_address{said.at}, range.last());
  }
}

}  // namespace quire
