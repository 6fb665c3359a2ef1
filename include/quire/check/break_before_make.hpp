// SPDX-License-Identifier: MIT
// An automaton that watches every store to an entry and every invalidation, and knows what may follow what.
//
// It learns which tables are live, at which level and for which input addresses, from the root downwards as table
// entries are published and removed; stores to tables that are not linked yet are nobody's business. Rules:
//   - Where the format needs break-before-make, a valid entry does not become a valid entry of another output, size,
//     group or memory type; it becomes invalid, and valid again only when an invalidation that covers it was added
//     after the break and has completed.
//   - Otherwise such a change leaves an invalidation owed for the entry's range. So does, on every format, whatever
//     takes away: a translation, a right, a dirty bit; and a new translation where invalid entries are cached.
//     verify_nothing_owed() asks before a session lets go.
//   - A lock that is taken back before anything was invalidated was no break: what it hides is judged against what
//     stands there then, as a direct change.
//   - An invalidation pays for what it covers. A level hint must name the changed leaves; leaf_only does not pay for a
//     table entry that changed. Several requests may pay for one debt piece by piece.
//   - A table is published with release order, and complete: in place of a leaf it translates as the leaf did, with all
//     its attributes; accessed and dirty may have been set meanwhile. A leaf in place of a table that maps the same
//     output has kept accessed and dirty.
//   - An entry leads to a live table that is linked nowhere else; a table is freed when it is linked no more, and every
//     invalidation for its removal has completed.
#pragma once

#include <algorithm>  // max
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <string>     // string
#include <vector>     // vector

#include <quire/check/arena.hpp>               // arena
#include <quire/check/naive_walk.hpp>          // visit_entries, table_place
#include <quire/check/owed_invalidations.hpp>  // owed_invalidations
#include <quire/check/report.hpp>              // report
#include <quire/format/concept.hpp>            // pte_format
#include <quire/policy/invalidation.hpp>       // invalidation_request, invalidation_reason

namespace quire::check {

struct break_options {
  bool must_break = true;         // default: as the format needs, see break_before_make's constructor
  bool resized_may_wait = false;  // a split or collapse with equal translation may stay owed when a session ends
  bool same_translation = true;   // a table in place of a leaf translates as the leaf did: off where a map replaces
};

template <pte_format F>
[[nodiscard]] constexpr break_options options_for() noexcept {
  return {.must_break = F::facts.break_before_make};
}

template <pte_format F>
class break_before_make {
 public:
  using word = typename F::word;

  break_before_make(arena<word>& tables, report& findings, break_options options = options_for<F>())
      : arena_(&tables), memory_(tables.memory()), report_(&findings), options_(options), nodes_(tables.units()) {}

  [[nodiscard]] break_options& options() noexcept { return options_; }

  // ---- what is told by the table source
  void set_root(table_address root) {
    root_ = root;
    has_root_ = true;
    link(root, F::shape.root_level, 0);
  }
  // No CPU uses the table any more: nothing is live, nothing is owed.
  void clear_root() {
    for (node& one : nodes_) one = node{};
    owed_.clear();
    locked_.clear();
    collapsing_.clear();
    has_root_ = false;
  }
  void allocated(table_address table) {
    if (node* const one = find(table)) *one = node{};
  }
  void freed(table_address table) {
    node* const one = find(table);
    if (one == nullptr) return;
    settle_collapse(table);
    if (one->linked) report_->add(rule::wrong_link, "table " + hex(table.value) + " is freed and still linked");
    if (one->detached != 0)
      for (const debt& each : owed_)
        if (each.change == one->detached)
          return report_->add(rule::not_invalidated, "table " + hex(table.value) +
                                                         " is freed before the invalidation of " +
                                                         range_text(each.first, each.last) + " completed");
  }

  // ---- what is told by the memory policy
  void stored(table_address table, std::size_t index, word before, word after, order o) {
    node* const at = find(table);
    if (at == nullptr) return;
    if (!at->linked || before == after) return;
    const int level = at->level;
    change now{.table = table, .index = index, .level = level, .before = before, .after = after};
    now.from = F::kind_of(before, level);
    now.to = F::kind_of(after, level);
    now.first = input_of<F>(at->base, index, level);
    now.last = now.first + (bytes_of<F>(level) - 1);
    ++changes_;
    if (now.to == entry_kind::table && (o == order::relaxed || o == order::acquire))
      report_->add(rule::not_released, where(now) + " links a table without release order");
    const bool was_valid = is_valid(now.from), becomes_valid = is_valid(now.to);
    if (was_valid && becomes_valid) replaced(now);
    else if (was_valid) broken(now);
    else if (becomes_valid) made(now);
    else if (now.from == entry_kind::locked) forget_locked(now);
  }

  // ---- what is told by the invalidation policy
  void added(const invalidation_request& request) { owed_.pay(request); }
  void completed() { owed_.complete(); }

  // ---- before a session lets go
  void verify_nothing_owed() {
    for (const debt& each : owed_) {
      if (each.kind == debt_kind::resized && options_.resized_may_wait) continue;
      if (each.kind == debt_kind::linked && !maps_anything(each)) continue;
      report_->add(rule::not_invalidated, std::string(each.added ? "not completed: " : "owed: ") + name_of(each.kind) +
                                              " at level " + std::to_string(each.level) + " " +
                                              range_text(each.first, each.last));
    }
    owed_.forgive([&](const debt& each) { return each.kind != debt_kind::resized || !options_.resized_may_wait; });
  }
  [[nodiscard]] std::size_t owed() const noexcept { return owed_.size(); }

  [[nodiscard]] table_place place_of(table_address table) const noexcept {
    const std::size_t unit = arena_->unit_of(table);
    return unit == arena_->none ? table_place{} : table_place{nodes_[unit]};
  }
  [[nodiscard]] bool is_linked(table_address table) const noexcept { return place_of(table).linked; }

 private:
  struct node : table_place {
    std::uint64_t detached = 0;  // the change that took it out of the tree
  };
  struct change {
    table_address table;
    std::size_t index;
    int level;
    word before;
    word after;
    entry_kind from{};
    entry_kind to{};
    std::uint64_t first{};
    std::uint64_t last{};
  };
  struct locked_entry {
    table_address table;
    std::size_t index;
    word before;
  };

  [[nodiscard]] static bool is_valid(entry_kind kind) noexcept {
    return kind == entry_kind::leaf || kind == entry_kind::table;
  }
  [[nodiscard]] static std::string where(const change& now) {
    return entry_text(now.table, now.index) + " level " + std::to_string(now.level) + " " +
           range_text(now.first, now.last) + ": " + hex(now.before) + " -> " + hex(now.after) + ":";
  }
  [[nodiscard]] node* find(table_address table) {
    const std::size_t unit = arena_->unit_of(table);
    return unit == arena_->none ? nullptr : &nodes_[unit];
  }
  // ---- the tree
  void link(table_address table, int level, std::uint64_t base) {
    node* const one = find(table);
    if (one == nullptr || arena_->state_of(table) != block_state::live)
      return report_->add(rule::wrong_link, "table " + hex(table.value) + " is linked and not in use");
    if (one->linked) return report_->add(rule::wrong_link, "table " + hex(table.value) + " is linked twice");
    *one = {{.linked = true, .level = level, .base = base}, 0};
    if (level == 0) return;
    for (std::size_t i = 0; i < F::shape.entries(level); ++i) {
      const word entry = memory_.template load<word>(table, i, order::relaxed);
      if (F::kind_of(entry, level) == entry_kind::table)
        link(F::table_of(entry, level), level - 1, input_of<F>(base, i, level));
    }
  }
  void unlink(table_address table, int level) {
    node* const one = find(table);
    if (one == nullptr || !one->linked) return;
    one->linked = false;
    one->detached = changes_;
    if (level == 0) return;
    for (std::size_t i = 0; i < F::shape.entries(level); ++i) {
      const word entry = memory_.template load<word>(table, i, order::relaxed);
      if (F::kind_of(entry, level) == entry_kind::table) unlink(F::table_of(entry, level), level - 1);
    }
  }

  // ---- the three kinds of change
  void replaced(const change& now) {
    if (now.from == entry_kind::leaf && now.to == entry_kind::leaf) return leaf_changed(now);
    if (now.from == entry_kind::table && now.to == entry_kind::table) {
      if (F::table_of(now.before, now.level) == F::table_of(now.after, now.level)) return;
      forbid(now, "one table in place of another");
    } else {
      forbid(now, now.from == entry_kind::leaf ? "a table in place of a leaf" : "a leaf in place of a table");
    }
    if (now.from == entry_kind::table) {
      owe(now, debt_kind::unlinked);
      unlink(F::table_of(now.before, now.level), now.level - 1);
      if (now.to == entry_kind::leaf) collapsed(now);
    } else {
      owe(now, options_.same_translation ? debt_kind::resized : debt_kind::removed);
    }
    if (now.to == entry_kind::table) {
      if (now.from == entry_kind::leaf) check_split(now, now.before);
      link(F::table_of(now.after, now.level), now.level - 1, now.first);
    }
  }
  void leaf_changed(const change& now) {
    const int level = now.level;
    const attributes before = F::attributes_of(now.before, level), after = F::attributes_of(now.after, level);
    if (F::output_of(now.before, level) != F::output_of(now.after, level) || before.memory != after.memory) {
      forbid(now, "another output or memory type");
      owe(now, debt_kind::removed);
    } else if (F::group_of(now.before, level) != F::group_of(now.after, level)) {
      forbid(now, "another group");
      owe(now, debt_kind::resized);
    }
    if (!after.allowed.contains(before.allowed) || (F::facts.has_dirty && before.dirty && !after.dirty))
      owe(now, debt_kind::reduced);
  }
  void broken(const change& now) {
    owe(now, now.from == entry_kind::table ? debt_kind::unlinked : debt_kind::removed);
    if (now.to == entry_kind::locked) locked_.push_back({now.table, now.index, now.before});
    if (now.from == entry_kind::table) unlink(F::table_of(now.before, now.level), now.level - 1);
  }
  // Whether `now` ends a lock as if it had not been: the same table, or a leaf that leads to the same place.
  [[nodiscard]] bool takes_back(const change& now) {
    const locked_entry* const one = lock_of(now);
    if (one == nullptr || F::kind_of(one->before, now.level) != now.to) return false;
    const auto memory = [&](word entry) { return F::attributes_of(entry, now.level).memory; };
    const bool same = now.to == entry_kind::table
                          ? F::table_of(one->before, now.level) == F::table_of(now.after, now.level)
                          : F::output_of(one->before, now.level) == F::output_of(now.after, now.level) &&
                                F::group_of(one->before, now.level) == F::group_of(now.after, now.level) &&
                                memory(one->before) == memory(now.after);
    return same && owed_.withdraw(now.first, now.last, now.level);
  }
  void made(const change& now) {
    const bool kept = takes_back(now);
    if constexpr (F::facts.caches_invalid)
      owe(now, now.to == entry_kind::table ? debt_kind::linked : debt_kind::installed);
    if (kept) {
      change direct = now;
      direct.before = lock_of(now)->before;
      forget_locked(now);
      if (now.to == entry_kind::leaf) return leaf_changed(direct);
      return link(F::table_of(now.after, now.level), now.level - 1, now.first);
    }
    if (options_.must_break) {
      const auto [first, last] = span(now);
      for (const debt& each : owed_)
        if (takes_away(each.kind) && each.first <= last && first <= each.last) {
          report_->add(rule::broken_before_made, where(now) + " made before the invalidation of " +
                                                     range_text(each.first, each.last) +
                                                     (each.added ? " completed" : " was added"));
          break;
        }
    }
    if (const locked_entry* const one = lock_of(now)) {
      const bool resized = F::kind_of(one->before, now.level) != now.to;
      if (resized) now.to == entry_kind::table ? check_split(now, one->before) : check_collapse(now, one->before);
      forget_locked(now);
    }
    if (now.to == entry_kind::table) link(F::table_of(now.after, now.level), now.level - 1, now.first);
  }
  [[nodiscard]] locked_entry* lock_of(const change& now) {
    for (locked_entry& one : locked_)
      if (one.table == now.table && one.index == now.index) return &one;
    return nullptr;
  }
  void forget_locked(const change& now) {
    if (locked_entry* const one = lock_of(now)) {
      *one = locked_.back();
      locked_.pop_back();
    }
  }
  void forbid(const change& now, const char* what) {
    if (options_.must_break) report_->add(rule::broken_before_made, where(now) + " " + what);
  }

  // ---- debts
  struct bytes {
    std::uint64_t first;
    std::uint64_t last;
  };
  // What a change of the entry may concern: the whole group that it is, or was, part of.
  [[nodiscard]] static bytes span(const change& now) noexcept {
    if constexpr (!has_groups<F>) return {now.first, now.last};
    int group = 0;
    if (now.from == entry_kind::leaf) group = F::group_of(now.before, now.level);
    if (now.to == entry_kind::leaf) group = std::max(group, F::group_of(now.after, now.level));
    const std::uint64_t mask = (bytes_of<F>(now.level) << group) - 1;
    return {now.first & ~mask, now.last | mask};
  }
  void owe(const change& now, debt_kind kind) {
    const auto [first, last] = span(now);
    owed_.owe({first, last, changes_, now.level, kind});
  }
  [[nodiscard]] bool maps_anything(const debt& each) const {
    if (!has_root_) return false;
    bool found = false;
    visit_entries<F>(memory_, root_, [&](const visited_entry<F>& entry) {
      found = found || (entry.kind == entry_kind::leaf && entry.first <= each.last && each.first <= entry.last);
    });
    return found;
  }

  // ---- contents
  void check_split(const change& now, word leaf) {
    if (!options_.same_translation) return;
    const attributes whole = F::attributes_of(leaf, now.level);
    const table_address child = F::table_of(now.after, now.level);
    if (arena_->state_of(child) != block_state::live) return;  // link() tells
    bool told = false;
    visit_entries<F>(memory_, child, now.level - 1, now.first, [&](const visited_entry<F>& entry) {
      if (entry.kind == entry_kind::table || told) return;
      if (entry.kind == entry_kind::leaf && same_output(entry, now.level, leaf)) {
        attributes part = F::attributes_of(entry.word, entry.level);
        const bool kept = (part.accessed || !whole.accessed) && (part.dirty || !whole.dirty);
        part.accessed = whole.accessed;
        part.dirty = whole.dirty;
        if (kept && part == whole) return;
      }
      told = true;
      report_->add(rule::incomplete_table, where(now) + " " + entry_text(entry.table, entry.index) +
                                               " does not translate as the leaf " + hex(leaf));
    });
  }
  // While the old table may still be walked, the hardware may set bits in it: they are collected until it is freed.
  void collapsed(const change& now) {
    if constexpr (F::facts.sets_accessed || F::facts.sets_dirty) collapsing_.push_back(now);
    else check_collapse(now, now.before);
  }
  void settle_collapse(table_address child) {
    for (std::size_t i = 0; i < collapsing_.size(); ++i) {
      change now = collapsing_[i];
      if (F::table_of(now.before, now.level) != child) continue;
      collapsing_[i] = collapsing_.back();
      collapsing_.pop_back();
      now.after = memory_.template load<word>(now.table, now.index, order::relaxed);
      now.to = F::kind_of(now.after, now.level);
      return check_collapse(now, now.before);
    }
  }
  void check_collapse(const change& now, word table_entry) {
    if (now.to != entry_kind::leaf) return;
    const table_address child = F::table_of(table_entry, now.level);
    if (arena_->state_of(child) == block_state::free) return;
    const attributes whole = F::attributes_of(now.after, now.level);
    bool told = false;
    visit_entries<F>(memory_, child, now.level - 1, now.first, [&](const visited_entry<F>& entry) {
      if (entry.kind != entry_kind::leaf || told || !same_output(entry, now.level, now.after)) return;
      const attributes part = F::attributes_of(entry.word, entry.level);
      if ((whole.accessed || !part.accessed) && (whole.dirty || !part.dirty)) return;
      told = true;
      report_->add(rule::lost_bit, where(now) + " " + entry_text(entry.table, entry.index) + " was " + hex(entry.word));
    });
  }
  [[nodiscard]] static bool same_output(const visited_entry<F>& entry, int level, word leaf) noexcept {
    return F::output_of(entry.word, entry.level) + offset_in_leaf<F>(entry.word, entry.level, entry.first) ==
           F::output_of(leaf, level) + offset_in_leaf<F>(leaf, level, entry.first);
  }

  arena<word>* arena_;
  array_memory<word> memory_;
  report* report_;
  break_options options_;
  std::vector<node> nodes_;
  owed_invalidations owed_;
  std::vector<locked_entry> locked_;
  std::vector<change> collapsing_;
  table_address root_{};
  bool has_root_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace quire::check
