// SPDX-License-Identifier: MIT
// The oracle of lost bits: a plain store must not overwrite an accessed or dirty bit that its author never saw.
//
// Where the hardware sets these bits, it does so at any moment: between a load and a plain store, too. The oracle
// remembers what software last saw of every entry; a plain store over a bit that was not there then has lost it. A
// read-modify-write shows its author what it replaced, and a compare-exchange fails.
#pragma once

#include <cstddef>  // size_t
#include <string>   // string
#include <vector>   // vector

#include <quire/check/arena.hpp>             // arena
#include <quire/check/report.hpp>            // report
#include <quire/format/concept.hpp>          // pte_format
#include <quire/policy/observed_memory.hpp>  // access_kind

namespace quire::check {

template <pte_format F>
class lost_bit {
 public:
  using word = typename F::word;
  static constexpr bool can_happen = F::facts.sets_accessed || F::facts.sets_dirty;

  lost_bit(arena<word>& tables, report& findings)
      : arena_(&tables),
        report_(&findings),
        per_unit_(static_cast<std::size_t>(tables.unit_bytes() / sizeof(word))),
        seen_(can_happen ? tables.units() * per_unit_ : 0) {}

  // While an operation discards, whose contract says that bits are lost.
  void discarding(bool on) noexcept { discarding_ = on; }

  // A compare-exchange that fails shows its author an entry that no observer is told of.
  void before(access_kind kind) noexcept {
    unseen_ = kind_ == access_kind::compare_exchange && !told_;
    kind_ = kind;
    told_ = false;
  }
  void loaded(table_address table, std::size_t index, word entry) noexcept {
    if constexpr (can_happen) see(table, index, entry);
  }
  // `live`: the hardware can reach the table.
  void stored(table_address table, std::size_t index, word before, word after, bool live) {
    if constexpr (can_happen) {
      told_ = true;
      if (live && kind_ == access_kind::store && !unseen_ && !discarding_) check(table, index, before);
      see(table, index, after);
    }
  }

 private:
  void see(table_address table, std::size_t index, word entry) noexcept {
    const std::size_t unit = arena_->unit_of(table);
    if (unit != arena_->none && unit * per_unit_ + index < seen_.size()) seen_[unit * per_unit_ + index] = entry;
  }
  void check(table_address table, std::size_t index, word before) {
    const std::size_t unit = arena_->unit_of(table);
    if (unit == arena_->none || unit * per_unit_ + index >= seen_.size()) return;
    const word seen = seen_[unit * per_unit_ + index];
    const bool accessed = F::facts.sets_accessed && F::is_accessed(before) && !F::is_accessed(seen);
    const bool dirty = F::facts.sets_dirty && F::is_dirty(before) && !F::is_dirty(seen);
    if (!accessed && !dirty) return;
    report_->add(rule::lost_bit, std::string(dirty ? "dirty" : "accessed") + " bit of " + entry_text(table, index) +
                                     ": a plain store replaced " + hex(before) + ", last seen as " + hex(seen));
  }

  arena<word>* arena_;
  report* report_;
  std::size_t per_unit_;
  std::vector<word> seen_;
  access_kind kind_ = access_kind::load;
  bool told_ = false;    // of the access at work
  bool unseen_ = false;  // the one before it failed
  bool discarding_ = false;
};

}  // namespace quire::check
