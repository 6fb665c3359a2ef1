// SPDX-License-Identifier: MIT
// The session of locking::concurrent: every operation of a table inside a read section, beside any other session.
//
// Each leaf and each table changes at once or not at all; a range may be changed in part when another session works on
// it, and the result says how far it came. When the session ends it completes the invalidations it owes, leaves the
// section, and retires the tables it unlinked.
//
// Progress. Operations of one leaf (make_writable, relax, test_and_clear_accessed, lookup) never wait: at an entry that
// another owns they say busy, and their caller tries again. Operations of a range wait for such an entry
// (section.pause() in between) for as long as its owner takes for one invalidation; nobody waits in a circle
// (operation.hpp). Sessions on disjoint ranges write no common word but a table entry above both of them, when it is
// absent.
//
// Caller must: be able to take part in an invalidation while it waits (an interprocessor interrupt, say).
#pragma once

#include <cstddef>  // nullptr_t
#include <utility>  // exchange

#include <quire/table/change.hpp>               // nothing_reported
#include <quire/table/concurrent/annotate.hpp>  // annotate_concurrently
#include <quire/table/concurrent/change.hpp>    // change_concurrently
#include <quire/table/concurrent/collapse.hpp>  // collapse_concurrently
#include <quire/table/concurrent/map.hpp>       // map_concurrently
#include <quire/table/concurrent/split.hpp>     // split_concurrently
#include <quire/table/concurrent/unmap.hpp>     // unmap_concurrently
#include <quire/table/map_leaf.hpp>             // map_absent_leaf
#include <quire/table/page_session.hpp>         // page_session

namespace quire {

template <class Table, class Section>
class concurrent_session : public page_session<Table, true> {
  using base = page_session<Table, true>;
  using base::table_;
  using policies_type = typename Table::policies_type;
  using operation_type = concurrent_operation<typename Table::format, policies_type>;
  using word = typename Table::format::word;

 public:
  using format = typename Table::format;

  constexpr concurrent_session(Table& table, Section& section, reduction_count& reductions) noexcept
      : base(table),
        section_(section),
        invalidations_(table.policies()),
        debt_{.reductions = {table.policies().words, reductions}} {
    section_.enter();
    this->find_root();
  }
  concurrent_session(const concurrent_session&) = delete;
  concurrent_session& operator=(const concurrent_session&) = delete;
  QUIRE_INLINE constexpr ~concurrent_session() {
    complete();
    section_.leave();
    retire_unlinked();
  }

  // Maps `range` to the addresses from `output` on. Over an existing mapping: the same output and memory type with at
  // least these rights is success and writes nothing; missing rights are added; anything else is already_mapped.
  // Errors: map_concurrently.
  template <table_source Source>
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          Source& source, map_options options = {}) noexcept {
    if (map_absent_leaf<format, order::acquire>(table_->policies(), this->reach(), invalidations_, range, output,
                                                wanted, options.largest_level, detail::install_beside_others<format>{}))
        [[likely]]
      return {};
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> same = debt_;  // a mapping unlinks no table and takes no right away
    const map_options asked = options;
    unguarded guard;
    const auto done =
        map_any(*table_, this->reach(), section_, lent, same, range, output, wanted, source, asked, guard);
    invalidations_.take_back(lent);
    return done;
  }
  // The same for a fault: `guard()` says whether what the caller knows of the host's mapping is out of date, under the
  // protocol of map.hpp; then `stopped`.
  template <table_source Source, class Guard>
  constexpr result<void> map_guarded(input_range range, output_address output, const attributes& wanted, Source& source,
                                     map_options options, Guard&& guard) noexcept {
    return map_any(*table_, this->reach(), section_, invalidations_, debt_, range, output, wanted, source, options,
                   guard);
  }

  // Takes whole leaves and markers away that overlap the range, and says what was there; report(removed_leaf) for each
  // leaf entry if given.
  template <removal_report Report = std::nullptr_t>
  constexpr result<unmap_result> unmap(input_range range, Report&& report = nullptr) noexcept {
    return with(range, [&](operation_type& op) -> result<unmap_result> {
      const unmap_result found = unmap_concurrently(op, section_, range, report);
      op.finish();
      return found;
    });
  }

  // As unmap, and says nothing. Unlike the discard of a session that is alone it reads the tables that go: whoever is
  // inside one must fail at its next entry.
  constexpr result<void> discard(input_range range) noexcept {
    const auto found = unmap(range);
    if (!found) return found.error();
    return {};
  }
  // Writes a marker with `payload` (facts.marker_bits bits) over every page of a range in which nothing is mapped;
  // unmap takes it away. Errors: unsupported_attribute for a payload that does not fit; with the first page that is not
  // annotated already_mapped, marked, no_memory.
  template <table_source Source>
  constexpr result<void> annotate(input_range range, std::uint64_t payload, Source& source) noexcept {
    if (payload >> format::facts.marker_bits != 0) return error{errc::unsupported_attribute, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<void> {
      return annotate_concurrently(op, section_, source, range, payload);
    });
  }

  // Gives every leaf that overlaps the range exactly these rights, whole leaves. Taking the write permission away takes
  // may_write with it. Gives whether anything changed. Errors: unsupported_attribute. A leaf that cannot have these
  // rights (execution of device memory) stays as it is.
  template <class Report = const nothing_reported>
  constexpr result<bool> protect(input_range range, permissions rights, Report& report = ignore) noexcept {
    static_assert(!protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
                  "with this format protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    const auto change = format::protect(rights);
    if (!change) return error{change.error().code, -1, range.first().value};
    return any_of(changing(every_page{range}, *change, invalidation_reason::reduced, report));
  }
  // Takes the write permission from every leaf that overlaps the range, whole leaves, and leaves may_write alone. When
  // complete() has returned no CPU can write there without a new fault, also where another session protected first.
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
  // The same for whoever splits next: says as well whether there was nothing to split, if it is known.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_range range,
                                                                       Report& report = ignore) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    return changing(every_page{range}, format::write_protect, invalidation_reason::reduced, report);
  }
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_address first, std::uint64_t mask,
                                                                       Report& report = ignore) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    if (mask == 0) return change_outcome{.any = false, .is_split = true};
    return changing(masked_pages<format>{first, mask}, format::write_protect, invalidation_reason::reduced, report);
  }
  // Gives the write permission back to every leaf in the range that has may_write.
  constexpr result<bool> restore_write(input_range range) noexcept {
    return any_of(changing(every_page{range}, restore_write_change<format>, invalidation_reason::relaxed, ignore));
  }
  // Sets the accessed bit of every leaf that overlaps the range.
  constexpr result<bool> set_accessed(input_range range) noexcept {
    return any_of(changing(every_page{range}, format::set_accessed, invalidation_reason::relaxed, ignore));
  }
  using base::test_and_clear_accessed;  // of one page
  // Clears the accessed bit of every leaf that overlaps the range; gives whether any was set.
  constexpr result<bool> test_and_clear_accessed(input_range range) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    return any_of(changing(every_page{range}, format::clear_accessed, invalidation_reason::reduced, ignore));
  }
  // Calls report(address, bytes) for every dirty leaf (a group: all of it), and makes it clean if `clear`.
  template <class Report>
  constexpr result<bool> read_and_clear_dirty(input_range range, Report&& report, bool clear = true) noexcept {
    static_assert(format::facts.has_dirty, "this format has no dirty bit: track writes by write_protect()");
    if (!clear) {
      bool any = false;
      const auto read = this->for_each_mapping(range, [&](const mapping& leaf) {
        if (!leaf.attrs.dirty) return;
        any = true;
        report(leaf.input, leaf.bytes);
      });
      if (!read) return read.error();
      return any;
    }
    return any_of(changing(every_page{range}, format::make_clean, invalidation_reason::reduced, report));
  }

  // Splits every leaf above `target` that overlaps the range, and breaks groups down to it.
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
        // Acquire: other sessions publish tables meanwhile.
        const auto here =
            descend_to_run<format, 1, true, order::acquire>(memory, root.table(), range.first(), range.last());
        if (here.found && format::kind_of(memory.template load<word>(here.run.table, here.run.first, order::acquire),
                                          1) == entry_kind::table) [[likely]]
          return split_result{};  // one table of pages has it all
      }
    }
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> debt = debt_;
    const auto given = split_by_walk<Skip>(*table_, this->reach(), section_, lent, debt, range, target, source);
    invalidations_.take_back(lent);
    debt_ = debt;
    return given;
  }
  // Makes one leaf, of at most `largest_level`, of every table wholly inside the range whose leaves continue one
  // another with equal attributes. Caller must: know that the memory behind it is one piece and that nobody tracks it
  // by pages.
  constexpr result<collapse_result> collapse(input_range range, int largest_level = 7) noexcept {
    return with(range, [&](operation_type& op) -> result<collapse_result> {
      const collapse_result made = collapse_concurrently(op, section_, range, largest_level);
      op.finish();
      return made;
    });
  }
  // Frees tables in the range that have no entries. Gives how many.
  constexpr result<std::size_t> prune(input_range range) noexcept {
    return with(range, [&](operation_type& op) -> result<std::size_t> {
      const std::size_t freed = prune_concurrently(op, section_, range);
      op.finish();
      return freed;
    });
  }

  // Sees every invalidation through that this session owes.
  QUIRE_INLINE constexpr void complete() noexcept {
    static_cast<void>(invalidations_.complete());
    debt_.reductions.end();
  }
  // Lets go of the section for a moment: what was retired may be given back, and nothing that was read before is to be
  // relied on. Gives whether the table still has its root.
  template <class Refill>
  constexpr bool let_go(bool now, Refill&& refill) noexcept {
    auto& yield = table_->policies().yield;
    if (now || yield.should_yield()) {
      complete();
      section_.leave();
      retire_unlinked();
      yield.pause();
      refill();
      section_.enter();
      this->find_root();
    }
    return this->root().has_value();
  }

  [[nodiscard]] constexpr Table& table() noexcept { return *table_; }

 private:
  static constexpr nothing_reported ignore{};

  template <class Body>
  QUIRE_INLINE constexpr auto with(input_range range, Body&& body) noexcept
      -> decltype(body(std::declval<operation_type&>())) {
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table_->policies(), *root, invalidations_, debt_};
    return body(op);
  }
  // Without the session, which would live in memory for its sake.
  template <class Source, class Guard>
  QUIRE_COLD static constexpr result<void> map_any(Table& table, found_root<format> found, Section& section,
                                                   invalidator<policies_type>& invalidations,
                                                   concurrent_debt<policies_type>& debt, input_range range,
                                                   output_address output, const attributes& wanted, Source& source,
                                                   map_options options, Guard& guard) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const auto done = map_concurrently(op, section, source, range, output, wanted, options, guard);
    op.finish_install(range);
    return done;
  }
  // One change and nothing else. Most are of a few pages, which one table has, and nobody works on them; whatever else
  // there may be to do or to complain of is for the walk.
  template <class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> changing(const Pages& pages, const entry_change<word>& change,
                                                         invalidation_reason why, Report& report) noexcept {
    policies_type& policies = table_->policies();
    found_run<entry_run<format, 0, true>> here{};
    page_changes done{};
    if (const auto root = this->reach(); !has_groups<format> && root.exists() && pages.template is_sound<format>())
        [[likely]] {
      here =
          descend_to_run<format, 0, true, order::acquire>(policies.memory, root.table(), pages.first(), pages.last());
      if (here.found) [[likely]] {
        done = change_pages_concurrently(policies.memory, here.run, pages.of_window(here.run), change, report,
                                         debt_.reductions, why);
        debt_.reductions.counted = done.counted;
        if (!done.stopped) [[likely]] {
          changed_leaves changed = changed_in(here.run, done);
          if (done.found_as_wanted && debt_.reductions.joins(why)) [[unlikely]]
            changed = {pages.range().first(), pages.range().last(), -1, true};
          if (changed.any) announce_changes(policies, invalidations_, request_for(changed, why));
          return change_outcome{.any = done.any(), .is_split = split_skips<format>.skips(0)};
        }
      }
    }
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> debt = debt_;
    const auto any =
        changing_by_walk(*table_, this->reach(), section_, lent, debt, pages, change, why, report,
                         change_progress{here.run.address(done.at), changed_in(here.run, done), done.found_as_wanted});
    invalidations_.take_back(lent);
    debt_ = debt;
    if (!any) return any.error();
    return change_outcome{.any = *any, .is_split = false};
  }
  template <class Pages, class Report>
  QUIRE_COLD static constexpr result<bool> changing_by_walk(Table& table, found_root<format> found, Section& section,
                                                            invalidator<policies_type>& invalidations,
                                                            concurrent_debt<policies_type>& debt, Pages pages,
                                                            const entry_change<word>& change, invalidation_reason why,
                                                            Report& report, change_progress so_far) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(pages.range()); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const bool any = change_concurrently(op, section, pages, change, why, report, so_far);
    op.finish();
    return any;
  }
  template <walk_flags Skip, class Source>
  [[gnu::noinline]] static constexpr result<split_result> split_by_walk(
      Table& table, found_root<format> found, Section& section, invalidator<policies_type>& invalidations,
      concurrent_debt<policies_type>& debt, input_range range, int target, Source& source) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const split_result done = split_concurrently<Skip>(op, section, source, range, target);
    op.finish();
    return done;
  }
  QUIRE_INLINE constexpr void retire_unlinked() noexcept {
    if (debt_.unlinked.count == 0) [[likely]]
      return;
    retire(table_->policies(), section_, std::exchange(debt_.unlinked, {}));
  }
  // Without the session, which would live in memory for its sake.
  QUIRE_COLD static constexpr void retire(policies_type& policies, Section& section, table_list unlinked) noexcept {
    table_links<format, std::remove_reference_t<decltype(policies.memory)>> links{policies.memory};
    while (unlinked.count != 0) section.retire(links, policies.tables, unlinked.pop(links));
  }

  Section& section_;
  invalidator<policies_type> invalidations_;
  concurrent_debt<policies_type> debt_;
};

}  // namespace quire
