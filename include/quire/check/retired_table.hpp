// SPDX-License-Identifier: MIT
// The oracle of retired tables: nobody touches a table that was given back, and none is given back while somebody who
// touched it is still inside a read section.
//
// The address alone does not tell: the arena hands the block out again at once. So the oracle compares generations: a
// section that saw generation 3 of a block and could now meet generation 4 is the ABA case, and it is told when the
// block is freed, which is the mistake.
#pragma once

#include <algorithm>  // find, remove_if
#include <cstddef>    // size_t
#include <string>     // to_string
#include <vector>     // vector

#include <quire/check/arena.hpp>   // arena
#include <quire/check/report.hpp>  // report

namespace quire::check {

template <class Word>
class retired_table {
 public:
  retired_table(arena<Word>& tables, report& findings) : arena_(&tables), report_(&findings) {}

  // ---- memory accesses; `stores` tells the two apart. A table that is retired and not given back yet may be read, and
  // its second word may be written by the reclaimer's own list, which does not come this way.
  void accessed(table_address table, std::size_t index, bool stores) {
    const block_state state = arena_->state_of(table);
    if (state == block_state::free || (state == block_state::retired && stores)) tell(table, index, stores, state);
    else if (!sections_.empty()) saw(table);
  }

  // ---- read sections, by the actor that is inside; `run_as` says who makes the accesses that follow.
  void enter(unsigned actor) {
    sections_.push_back({actor, {}});
    running_ = actor;
  }
  void leave(unsigned actor) {
    for (std::size_t i = sections_.size(); i-- != 0;)
      if (sections_[i].actor == actor) {
        sections_.erase(sections_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
  }
  void run_as(unsigned actor) noexcept { running_ = actor; }

  // The block is about to be given back, by the actor that is running: of its own it knows what it holds.
  void freed(table_address table) {
    for (const section& one : sections_) {
      if (one.actor == running_) continue;
      for (const sighting& each : one.seen)
        if (each.table == table && each.generation == arena_->generation_of(table))
          report_->add(rule::retired_in_use,
                       "table " + hex(table.value) + " generation " + std::to_string(each.generation) +
                           " is given back inside the read section of actor " + std::to_string(one.actor));
    }
  }

 private:
  struct sighting {
    table_address table;
    std::uint32_t generation;

    friend bool operator==(const sighting&, const sighting&) = default;
  };
  struct section {
    unsigned actor;
    std::vector<sighting> seen;
  };

  void saw(table_address table) {
    for (section& one : sections_) {
      if (one.actor != running_) continue;
      const sighting now{table, arena_->generation_of(table)};
      if (std::find(one.seen.begin(), one.seen.end(), now) == one.seen.end()) one.seen.push_back(now);
    }
  }
  void tell(table_address table, std::size_t index, bool stores, block_state state) {
    report_->add(rule::retired_access,
                 std::string(stores ? "store to " : "load from ") + entry_text(table, index) +
                     (state == block_state::free ? ", free since generation " : ", retired, generation ") +
                     std::to_string(arena_->generation_of(table)));
  }

  arena<Word>* arena_;
  report* report_;
  std::vector<section> sections_;
  unsigned running_ = ~0U;
};

}  // namespace quire::check
