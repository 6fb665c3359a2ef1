// SPDX-License-Identifier: MIT
// The exclusive session: every operation of a table, for whoever holds its lock alone. (What the read side may do is in
// shared_session.hpp.) When it ends it completes the invalidations it owes and then unlocks: no change that takes
// something away outlives the lock unannounced.
//
// Every operation checks its input first; an error names the address and changes nothing. Operations that may take
// tables accept a source for them (a cache topped up outside the lock); without one they use Policies::tables.
#pragma once

#include <cstddef>  // nullptr_t
#include <utility>  // declval

#include <quire/table/annotate.hpp>         // annotate_range
#include <quire/table/change.hpp>           // change_range
#include <quire/table/collapse.hpp>         // collapse_range, prune_range
#include <quire/table/dirty.hpp>            // take_dirty
#include <quire/table/map_leaf.hpp>         // map_absent_leaf, map_call
#include <quire/table/reading_session.hpp>  // reading_session
#include <quire/table/replace.hpp>          // map_over
#include <quire/table/split.hpp>            // split_range
#include <quire/table/unmap.hpp>            // unmap_range

namespace quire {

template <class Table, class Lock>
class exclusive_session : public reading_session<Table> {
  using base = reading_session<Table>;
  using base::table_;
  using policies_type = typename Table::policies_type;
  using operation_type = operation<typename Table::format, policies_type>;
  using word = typename Table::format::word;

 public:
  using format = typename Table::format;

  QUIRE_INLINE constexpr exclusive_session(Table& table, Lock* lock, bool take) noexcept
      : base(table), lock_(lock), taken_(take), invalidations_(table.policies()) {
    if (taken_) lock_->lock();
    this->find_root();
  }
  exclusive_session(const exclusive_session&) = delete;
  exclusive_session& operator=(const exclusive_session&) = delete;
  QUIRE_INLINE constexpr ~exclusive_session() {
    complete();
    if (taken_) lock_->unlock();
  }

  // Maps `range` to the addresses from `output` on. Over an existing mapping: the same output and memory type with at
  // least these rights is success and changes nothing; missing rights are added; anything else is already_mapped unless
  // options.replace: then it is taken away as unmap does, report(removed_leaf) for each leaf entry if given, forgotten
  // by every cache, and the new mapping made. All or nothing. Errors: map.hpp.
  template <table_source Source, removal_report Report = std::nullptr_t>
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          Source& source, map_options options = {},
                                          Report&& report = nullptr) noexcept {
    if (!options.replace && map_absent_leaf<format, order::relaxed>(
                                table_->policies(), this->reach(), invalidations_, range, output, wanted,
                                options.largest_level, detail::install_alone<format, policies_type>{invalidations_}))
        [[likely]]
      return {};
    map_call<Table, Source> call{*table_, this->reach(), range.first(), range.last() - range.first(), output,
                                 wanted,  source,        options,       invalidations_.lend()};
    const auto done = map_any<Source, Report>(call, static_cast<Report&&>(report));
    invalidations_.go_on_as(call.invalidations);
    return done;
  }
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          map_options options = {}) noexcept {
    return map(range, output, wanted, table_->policies().tables, options);
  }

  // Takes mappings and annotations away and says what was there; report(removed_leaf) for each leaf entry if given.
  // Tables that become unused because the range covers them are freed after the invalidation. Errors, before anything
  // is changed: crosses_leaf, no_memory.
  template <table_source Source, removal_report Report>
  constexpr result<unmap_result> unmap(input_range range, partial part, Source& source, Report&& report) noexcept {
    return with(range, [&](operation_type& op) -> result<unmap_result> {
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled.error();
      const unmap_result found = unmap_range(op, range, report);
      op.finish();
      return found;
    });
  }
  template <table_source Source>
  constexpr result<unmap_result> unmap(input_range range, partial part, Source& source) noexcept {
    return unmap(range, part, source, nullptr);
  }
  constexpr result<unmap_result> unmap(input_range range, partial part = partial::split) noexcept {
    return unmap(range, part, table_->policies().tables, nullptr);
  }

  // As unmap, without looking: accessed and dirty are lost, whole tables are detached unread.
  template <table_source Source>
  constexpr result<void> discard(input_range range, partial part, Source& source) noexcept {
    return with(range, [&](operation_type& op) -> result<void> {
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled;
      discard_range(op, range);
      op.finish();
      return {};
    });
  }
  constexpr result<void> discard(input_range range, partial part = partial::split) noexcept {
    return discard(range, part, table_->policies().tables);
  }

  // Gives every leaf in the range exactly these rights; holes stay holes. Taking the write permission away takes
  // may_write with it. Gives whether anything changed. Errors, before anything is changed: unsupported_attribute,
  // crosses_leaf, no_memory. `report` as for write_protect.
  template <table_source Source, class Report = const nothing_reported>
  constexpr result<bool> protect(input_range range, permissions rights, partial part, Source& source,
                                 Report& report = ignore) noexcept {
    static_assert(!protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
                  "with this format protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    const auto change = format::protect(rights);
    if (!change) return error{change.error().code, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<bool> {
      if (change->applies_to != format::set_accessed.applies_to) {  // not every leaf can have these rights
        if (const error found = find_misfit(op, range, *change); found.code != errc::none) return found;
      }
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled.error();
      return change_everywhere(op, every_page{range}, *change, invalidation_reason::reduced, report);
    });
  }
  constexpr result<bool> protect(input_range range, permissions rights, partial part = partial::split) noexcept {
    return protect(range, rights, part, table_->policies().tables);
  }

  // Takes the write permission from every leaf that overlaps the range, whole leaves, and leaves may_write alone. Never
  // allocates. Gives whether anything changed. report(address, bytes): leaves whose dirty state this took along.
  template <class Report = const nothing_reported>
  constexpr result<bool> write_protect(input_range range, Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(range, report));
  }
  // The same for the pages of a mask: bit b is the page b pages after `first`. A block with a page in the mask is
  // protected whole.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<bool> write_protect(input_address first, std::uint64_t mask,
                                                    Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(first, mask, report));
  }
  // The same for whoever splits next: says as well whether there is nothing to split, if it is known.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_range range,
                                                                       Report& report = ignore) noexcept {
    return write_protecting(every_page{range}, report);
  }
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_address first, std::uint64_t mask,
                                                                       Report& report = ignore) noexcept {
    if (mask == 0) return change_outcome{.any = false, .is_split = true};
    return write_protecting(masked_pages<format>{first, mask}, report);
  }

  // Gives the write permission back to every leaf in the range that has may_write: the end of tracking. Gives whether
  // anything changed.
  constexpr result<bool> restore_write(input_range range) noexcept {
    return any_of(changing<restore_write_change<format>>(every_page{range}, invalidation_reason::relaxed, ignore));
  }

  // Adds rights to the whole leaf that translates `address`; with the write permission also may_write, so the caller
  // must know that the page behind it may be written. Success when they are there already. Errors: not_mapped, marked,
  // busy, unsupported_attribute.
  constexpr result<void> relax(input_address address, permissions rights) noexcept {
    const auto change = format::relax(rights);
    if (!change) return error{change.error().code, -1, address.value};
    const input_range page = page_of<format>(address);
    return with(page, [&](operation_type& op) -> result<void> {
      const auto found = this->lookup(address);
      if (!found) return found.error();
      if (change_everywhere(op, every_page{page}, *change, invalidation_reason::relaxed, ignore)) return {};
      if (!found->attrs.allowed.contains(rights))  // no leaf of this kind can have them: execution of device memory
        return error{errc::unsupported_attribute, static_cast<std::int8_t>(found->level), address.value};
      table_->policies().invalidation.local(
          {found->input, found->input + (found->bytes - 1), found->level, true, invalidation_reason::relaxed});
      return {};
    });
  }

  // Sets the accessed bit of every leaf that overlaps the range: the answer to a fault of hardware that does not set it
  // itself. Gives whether any was clear.
  constexpr result<bool> set_accessed(input_range range) noexcept {
    const nothing_reported none;
    return any_of(changing<format::set_accessed>(every_page{range}, invalidation_reason::relaxed, none));
  }
  // Clears the accessed bit of every leaf that overlaps the range; gives whether any was set.
  constexpr result<bool> test_and_clear_accessed(input_range range) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    const nothing_reported none;
    return any_of(changing<format::clear_accessed>(every_page{range}, invalidation_reason::reduced, none));
  }
  // Calls report(address, bytes) for every leaf entry (a group: all of it) that is dirty, and makes it clean if
  // `clear`.
  template <class Report>
  constexpr result<bool> read_and_clear_dirty(input_range range, Report&& report, bool clear = true) noexcept {
    static_assert(format::facts.has_dirty, "this format has no dirty bit: track writes by write_protect()");
    return with(range, [&](operation_type& op) -> result<bool> {
      const bool any = take_dirty(op, range, report, clear);
      op.finish();
      return any;
    });
  }

  // Splits every leaf above `target` that overlaps the range, and breaks groups down to it. Runs out of memory quietly:
  // all that was split stays split, the result says where it stopped. `Skip`: split_skips, or {} to look at every
  // entry.
  template <walk_flags Skip = split_skips<typename Table::format>, table_source Source>
  QUIRE_INLINE constexpr result<split_result> split(input_range range, int target, Source& source) noexcept {
    static_assert((Skip.skipped & ~split_skips<format>.skipped) == 0,
                  "a split may skip only the levels of split_skips: leaves of others would stay as they are");
    if (target < 0 || target > format::shape.root_level || (format::group_sizes(target) & 1U) == 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(target), range.first().value};
    if constexpr (Skip.skips(0) && format::shape.root_level > 0) {
      const auto root = this->reach();
      if (root.exists() && is_sound<format>(range) && is_within_leaf<format, 1>(range)) [[likely]] {
        auto& memory = table_->policies().memory;
        const auto here = descend_to_run<format, 1, true>(memory, root.table(), range.first(), range.last());
        if (here.found) [[likely]] {
          const word entry = memory.template load<word>(here.run.table, here.run.first, order::relaxed);
          if (format::kind_of(entry, 1) == entry_kind::table) [[likely]]
            return split_result{};  // one table of pages has it all
          decltype(auto) invalidations = invalidations_.lend();
          const auto done = split_found(*table_, invalidations, root.table().value, here.run.table.value, entry, range,
                                        target, source);
          invalidations_.go_on_as(invalidations);
          return done;
        }
      }
    }
    decltype(auto) invalidations = invalidations_.lend();
    const auto done = split_by_walk<Skip>(*table_, this->reach(), invalidations, range, target, source);
    invalidations_.go_on_as(invalidations);
    return done;
  }
  constexpr result<split_result> split(input_range range, int target = 0) noexcept {
    return split(range, target, table_->policies().tables);
  }

  // Makes one leaf, of at most `largest_level`, of every table wholly inside the range whose leaves continue one
  // another with equal attributes; accessed and dirty become the OR. Caller must: know that the memory behind it is one
  // piece and that nobody tracks it by pages.
  constexpr result<collapse_result> collapse(input_range range, int largest_level = 7) noexcept {
    return with(range, [&](operation_type& op) -> result<collapse_result> {
      const collapse_result made = collapse_range(op, range, largest_level);
      op.finish();
      return made;
    });
  }
  // Frees tables in the range that have no entries. Gives how many.
  constexpr result<std::size_t> prune(input_range range) noexcept {
    return with(range, [&](operation_type& op) -> result<std::size_t> {
      const std::size_t freed = prune_range(op, range);
      op.finish();
      return freed;
    });
  }

  // Writes a marker with `payload` (facts.marker_bits bits) over a range in which nothing is mapped; unmap takes it
  // away. All or nothing. Errors: already_mapped, marked, no_memory; unsupported_attribute for a payload that does not
  // fit.
  template <table_source Source>
  constexpr result<void> annotate(input_range range, std::uint64_t payload, Source& source) noexcept {
    if (payload >> format::facts.marker_bits != 0) return error{errc::unsupported_attribute, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<void> { return annotate_range(op, source, range, payload); });
  }
  constexpr result<void> annotate(input_range range, std::uint64_t payload) noexcept {
    return annotate(range, payload, table_->policies().tables);
  }

  // Sees every invalidation through that this session owes.
  QUIRE_INLINE constexpr void complete() noexcept { static_cast<void>(invalidations_.complete()); }

  // The lock-drop contract. When the yield policy or a contended lock asks for it, or `now`: complete the
  // invalidations, unlock, pause, refill() (top caches up; may sleep), lock. Gives whether the table still has its
  // root; a caller that goes on starts from it, and must have made progress since it last asked.
  template <class Refill>
  constexpr bool let_go(bool now, Refill&& refill) noexcept {
    auto& yield = table_->policies().yield;
    bool asked = now || yield.should_yield();
    if constexpr (requires(Lock& l) { l.is_contended(); }) asked = asked || (lock_ != nullptr && lock_->is_contended());
    if (asked) {
      complete();
      if (lock_ != nullptr) lock_->unlock();
      yield.pause();
      refill();
      if (lock_ != nullptr) lock_->lock();
      this->find_root();
    }
    return this->root().has_value();
  }

  [[nodiscard]] constexpr Table& table() noexcept { return *table_; }

 private:
  static constexpr nothing_reported ignore{};

  // Runs `body` on an operation, once the root is there and the range makes sense.
  template <class Body>
  static constexpr auto with(Table& table, found_root<format> found, invalidator<policies_type>& invalidations,
                             input_range range, Body&& body) noexcept
      -> decltype(body(std::declval<operation_type&>())) {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations};
    return body(op);
  }
  template <class Body>
  constexpr auto with(input_range range, Body&& body) noexcept -> decltype(body(std::declval<operation_type&>())) {
    return with(*table_, this->reach(), invalidations_, range, static_cast<Body&&>(body));
  }
  // One change and nothing else. Most are of a few pages, which one table has; whatever else there may be to do or to
  // complain of is for the walk.
  template <const auto& Change, class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> changing(const Pages& pages, invalidation_reason why,
                                                         Report& report) noexcept {
    policies_type& policies = table_->policies();
    if (const auto root = this->reach(); root.exists() && pages.template is_sound<format>()) [[likely]] {
      const auto here = descend_to_run<format, 0, true>(policies.memory, root.table(), pages.first(), pages.last());
      if (here.found) [[likely]] {
        const changed_entries done =
            change_pages(policies.memory, here.run, pages.of_window(here.run), constant_change<Change>{}, report);
        if (done.any) announce_changes(policies, invalidations_, request_for(changed_in(here.run, done.span), why));
        return change_outcome{.any = done.any, .is_split = split_skips<format>.skips(0)};
      }
    }
    const auto done = change_by_walk(*table_, pages, Change, report);
    if (!done) return done.error();
    if (done->any) announce_changes(policies, invalidations_, request_for(*done, why));
    return change_outcome{.any = done->any, .is_split = false};
  }
  template <class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> write_protecting(const Pages& pages, Report& report) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    return changing<format::write_protect>(pages, invalidation_reason::reduced, report);
  }
  // Of the session it knows nothing, so that what the session is need not be in memory.
  template <class Pages, class Report>
  [[nodiscard, gnu::noinline]] static constexpr result<changed_leaves> change_by_walk(Table& table, Pages pages,
                                                                                      const entry_change<word>& change,
                                                                                      Report& report) noexcept {
    const auto root = table.root();  // the lock keeps it what it was
    if (!root) return root.error();
    if (const error bad = check_range<format>(pages.range()); bad.code != errc::none) return bad;
    return change_range<format>(table.policies().memory, *root, pages, change, report);
  }
  template <class Pages, class Report>
  static constexpr bool change_everywhere(operation_type& op, const Pages& pages, const entry_change<word>& change,
                                          invalidation_reason why, Report& report) noexcept {
    const changed_leaves done = change_range<format>(op.policies.memory, op.root, pages, change, report);
    if (done.any) op.changed(done.first, done.last, done.level, why);
    op.finish();
    return done.any;
  }
  // The range is one entry of level 1 of the table at `at`, or a part of it. (Addresses as numbers: for an argument
  // that is a class the compiler has it in memory from where it is known.)
  template <class Source>
  [[nodiscard, gnu::noinline]] static constexpr split_result split_found(Table& table,
                                                                         invalidator<policies_type>& invalidations,
                                                                         std::uint64_t root, std::uint64_t at,
                                                                         word entry, input_range range, int target,
                                                                         Source& source) noexcept {
    operation_type op{table.policies(), table_address{root}, invalidations};
    const split_result done = split_entry(op, source, table_address{at}, entry, range, target);
    op.finish();
    return done;
  }
  template <walk_flags Skip, class Source>
  [[nodiscard, gnu::noinline]] static constexpr result<split_result> split_by_walk(
      Table& table, found_root<format> root, invalidator<policies_type>& invalidations, input_range range, int target,
      Source& source) noexcept {
    return with(table, root, invalidations, range, [&](operation_type& op) -> result<split_result> {
      const split_result done = split_range<Skip>(op, source, range, target);
      op.finish();
      return done;
    });
  }
  // All that map() may have to do; out of line, so that what most faults need is little code where they need it.
  template <class Source, class Report>
  QUIRE_COLD static constexpr result<void> map_any(map_call<Table, Source>& call, Report report) noexcept {
    const auto range = call.range();
    return with(call.table, call.root, call.invalidations, range, [&](operation_type& op) -> result<void> {
      return map_over(op, call.invalidations, call.source, range, call.output, call.wanted, call.options, report);
    });
  }

  Lock* lock_;
  bool taken_;
  invalidator<policies_type> invalidations_;
};

}  // namespace quire
