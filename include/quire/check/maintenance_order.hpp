// SPDX-License-Identifier: MIT
// The order of maintenance calls against stores, links and invalidations (policy/maintenance.hpp), watched: where the
// calls are empty a mistake in it changes nothing, and it is on another machine that it hurts.
//
//   not_filled         a table is linked, and since the last store to it nobody called table_filled() for all of it.
//   not_published      an operation ended, and what it made valid was not followed by published().
//   not_ordered        an invalidation covers an entry stored since the last before_invalidation(); a local one, an
//                      entry stored since the last call of before_invalidation() or published().
//   code_not_visible   memory becomes executable through an entry that did not lead to it, and since the last operation
//                      ended nobody called code_visible() for it. With options().gained_code also where a leaf led to
//                      it and gains the right.
//
// A locked entry is what it was before. A barrier orders the stores of whoever executes it: each actor's calls count
// for its own stores, and a store over another's says that the other's was seen. Stores that no walk can tell apart
// (absent, markers, locked) and those that only clear or set accessed need no order.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <map>      // map
#include <string>   // string
#include <utility>  // pair
#include <vector>   // vector

#include <quire/check/arena.hpp>           // arena
#include <quire/check/byte_ranges.hpp>     // byte_ranges
#include <quire/check/naive_walk.hpp>      // visit_entries, table_place
#include <quire/check/report.hpp>          // report
#include <quire/format/concept.hpp>        // pte_format
#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::check {

struct maintenance_options {
  bool gained_code = false;  // a leaf that gains the right to execute needs code_visible(), too
};

template <pte_format F>
class maintenance_order {
 public:
  using word = typename F::word;

  maintenance_order(arena<word>& tables, report& findings)
      : arena_(&tables), memory_(tables.memory()), report_(&findings), filled_(tables.units()) {}

  [[nodiscard]] maintenance_options& options() noexcept { return options_; }
  // Who makes the stores and the calls that follow.
  void run_as(unsigned actor) { self_ = &actors_[actor]; }

  // ---- what is told by the table source
  void allocated(table_address table) {
    set_filled(table, 0);
    before_lock_.erase(before_lock_.lower_bound({table, 0}), before_lock_.lower_bound({table + 1, 0}));
  }
  void root_taken(table_address root) {
    root_gone();
    root_ = root;
    has_root_ = true;
    set_filled(root, 0);
  }
  // No CPU uses the table any more.
  void root_gone() {
    has_root_ = false;
    for (auto& [number, actor] : actors_) actor = {};
    before_lock_.clear();
    newly_visible_.clear();
  }

  // ---- what is told by the memory policy; `at`: the table's place before the store.
  void stored(table_address table, std::size_t index, word before, word after, const table_place& at) {
    if (!at.linked) return set_filled(table, 0);
    if (before == after) return;
    const entry_kind to = F::kind_of(after, at.level);
    const std::uint64_t first = input_of<F>(at.base, index, at.level), last = first + (bytes_of<F>(at.level) - 1);
    note(before, after, at.level, first, last);
    if (to == entry_kind::locked) {
      before_lock_.try_emplace({table, index}, before);
      return;
    }
    const bool was_valid = is_valid(before, at.level);
    if (const auto lock = before_lock_.find({table, index}); lock != before_lock_.end()) {
      before = lock->second;
      before_lock_.erase(lock);
    }
    if (to == entry_kind::leaf) {
      if (!was_valid) self_->unpublished.add(first, last);
      check_code(before, at.level, after, at.level, first);
    } else if (to == entry_kind::table) {
      linked(before, after, at.level, first, was_valid);
    }
  }

  // ---- what is told by the maintenance policy
  void table_filled(table_address table, std::uint64_t bytes) { set_filled(table, bytes); }
  void published() {
    self_->unpublished.clear();
    self_->unseen.clear();
  }
  void before_invalidation() {
    self_->unordered.clear();
    self_->unseen.clear();
  }
  void code_visible(output_address output, std::uint64_t bytes) {
    if (bytes == 0) return;
    newly_visible_.add(output.value, output.value + (bytes - 1));
  }

  // ---- what is told by the invalidation policy
  void added(const invalidation_request& request) { check_order(self_->unordered, request, "before_invalidation()"); }
  void local(const invalidation_request& request) { check_order(self_->unseen, request, "a barrier"); }

  // ---- when no operation is at work
  void end_of_operation() {
    for (auto& [number, actor] : actors_) {
      for (const byte_range& each : actor.unpublished)
        report_->add(rule::not_published, range_text(each.first, each.last) + " was made valid without published()");
      actor.unpublished.clear();
    }
    if (has_root_) check_filled(root_, F::shape.root_level);
    newly_visible_.clear();
  }

 private:
  // The input addresses of entries that an actor stored.
  struct stores {
    byte_ranges unseen;       // since published() or before_invalidation()
    byte_ranges unordered;    // since before_invalidation()
    byte_ranges unpublished;  // made valid since published()
  };

  void set_filled(table_address table, std::uint64_t bytes) {
    const std::size_t unit = arena_->unit_of(table);
    if (unit != arena_->none) filled_[unit] = bytes;
  }
  [[nodiscard]] static bool is_valid(word entry, int level) noexcept {
    const entry_kind kind = F::kind_of(entry, level);
    return kind == entry_kind::leaf || kind == entry_kind::table;
  }
  [[nodiscard]] static bool is_executable(word leaf, int level) noexcept {
    return F::attributes_of(leaf, level).allowed.contains(executable);
  }

  // A store that an invalidation may have to come after.
  void note(word before, word after, int level, std::uint64_t first, std::uint64_t last) {
    for (auto& [number, each] : actors_) {
      each.unseen.remove(first, last);
      each.unordered.remove(first, last);
    }
    if (!is_valid(before, level) && !is_valid(after, level)) return;
    if (F::set_accessed(before) == F::set_accessed(after)) return;
    self_->unseen.add(first, last);
    self_->unordered.add(first, last);
  }

  // What is reported is told once; so below.
  void check_order(byte_ranges& stored, const invalidation_request& request, const char* call) {
    const byte_range* const late = stored.overlapping(request.first.value, request.last.value);
    if (late == nullptr) return;
    report_->add(rule::not_ordered, "invalidation of " + range_text(request.first.value, request.last.value) +
                                        " without " + call + " since the store to " +
                                        range_text(late->first, late->last));
    stored.clear();
  }
  // An entry leads to a table now: that, and all below it, can be reached.
  void linked(word before, word after, int level, std::uint64_t base, bool was_valid) {
    const table_address table = F::table_of(after, level);
    const bool same = F::kind_of(before, level) == entry_kind::table && F::table_of(before, level) == table;
    if (same && was_valid) return;
    if (arena_->state_of(table) != block_state::live) return;  // another oracle's finding
    bool maps = false;
    if (!same) check_filled(table, level - 1);
    visit_entries<F>(memory_, table, level - 1, base, [&](const visited_entry<F>& each) {
      if (each.kind == entry_kind::table && !same) check_filled(F::table_of(each.word, each.level), each.level - 1);
      if (each.kind != entry_kind::leaf) return;
      maps = true;
      check_code(before, level, each.word, each.level, each.first);
    });
    if (maps) self_->unpublished.add(base, base + (bytes_of<F>(level) - 1));
  }
  void check_filled(table_address table, int level) {
    const std::size_t unit = arena_->unit_of(table);
    const std::uint64_t needed = level == F::shape.root_level ? root_table_bytes<F> : table_bytes<F>(level);
    if (unit == arena_->none || filled_[unit] >= needed) return;
    report_->add(rule::not_filled, "table " + hex(table.value) + " is in use without table_filled()");
    filled_[unit] = needed;
  }
  // `leaf` can be reached at `at`, where `before` stood.
  void check_code(word before, int level_before, word leaf, int level, std::uint64_t at) {
    if (!is_executable(leaf, level)) return;
    const std::uint64_t first = output_at(leaf, level, at), last = first + (bytes_of<F>(level) - 1);
    switch (F::kind_of(before, level_before)) {
      case entry_kind::table: return;  // what was below it was asked about
      case entry_kind::leaf:
        if (output_at(before, level_before, at) != first) break;
        if (is_executable(before, level_before) || !options_.gained_code) return;
        break;
      default: break;
    }
    if (newly_visible_.covers(first, last)) return;
    report_->add(rule::code_not_visible,
                 range_text(first, last) + " becomes executable at " + hex(at) + " without code_visible()");
  }
  [[nodiscard]] static std::uint64_t output_at(word leaf, int level, std::uint64_t at) noexcept {
    return F::output_of(leaf, level).value + offset_in_leaf<F>(leaf, level, at);
  }

  arena<word>* arena_;
  array_memory<word> memory_;
  report* report_;
  maintenance_options options_;
  std::vector<std::uint64_t> filled_;  // by unit: how many bytes of the table are complete
  std::map<std::pair<table_address, std::size_t>, word> before_lock_;
  std::map<unsigned, stores> actors_;
  stores* self_ = &actors_[0];
  byte_ranges newly_visible_;  // output addresses that code_visible() was called for since the last operation ended
  table_address root_{};
  bool has_root_ = false;
};

}  // namespace quire::check
