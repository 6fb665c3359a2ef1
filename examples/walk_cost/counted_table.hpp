// SPDX-License-Identifier: MIT
// A real table over which every entry that is read or written counts, for the level that it is of.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <vector>   // vector

#include <quire/check/arena.hpp>             // arena
#include <quire/policy/observed_memory.hpp>  // observed_memory
#include <quire/policy/table_cache.hpp>      // table_cache
#include <quire/table/page_table.hpp>        // page_table

#include "cost.hpp"
#include "layout.hpp"

namespace walk_cost {

// Counts by table: of which level that is shows only once it is linked, or as long as it is.
class access_counter : public quire::memory_observer {
 public:
  access_counter(std::uint64_t base, std::uint64_t unit_bytes, std::size_t units)
      : counts(units), base_(base), unit_bytes_(unit_bytes) {}

  std::vector<entry_count> counts;

  void loaded(quire::table_address table, std::size_t, std::uint64_t) { ++of(table).read; }
  void stored(quire::table_address table, std::size_t, std::uint64_t, std::uint64_t, quire::order) {
    ++of(table).written;
  }

 private:
  entry_count& of(quire::table_address table) {
    return counts[static_cast<std::size_t>((table.value - base_) / unit_bytes_)];
  }

  std::uint64_t base_;
  std::uint64_t unit_bytes_;
};

struct invalidation_counter {
  std::uint64_t* requests;
  void add(const quire::invalidation_request&) { ++*requests; }
  void local(const quire::invalidation_request&) { ++*requests; }
  void complete() {}
};

// `most_tables` below the root. With break-before-make where the format needs it.
template <quire::pte_format Format>
class counted_table {
  using word = typename Format::word;
  using arena_type = quire::check::arena<word>;
  using plain_memory = quire::array_memory<word>;

  struct kernel : quire::policies {
    quire::observed_memory<plain_memory, access_counter> memory;
    quire::table_cache<arena_type, plain_memory, word, true> tables;
    invalidation_counter invalidation;
    explicit kernel(counted_table& of)
        : memory(of.arena_.memory(), &of.counter_),
          tables(&of.arena_, of.arena_.memory(), unit),
          invalidation{&of.invalidations_} {}
  };

 public:
  explicit counted_table(std::uint64_t most_tables)
      : arena_(most_tables + 2 * (quire::root_table_bytes<Format> / unit + 1), unit, findings_, base),
        counter_(base, unit, arena_.units()),
        table_(kernel{*this}) {}
  counted_table(const counted_table&) = delete;
  counted_table& operator=(const counted_table&) = delete;

  [[nodiscard]] bool create() { return table_.create().has_value(); }
  [[nodiscard]] const quire::check::report& findings() const { return findings_; }
  // Of tables, the root's included.
  [[nodiscard]] std::uint64_t bytes() const { return arena_.live_bytes(); }
  [[nodiscard]] table_count tables() {
    note_levels();
    table_count count;
    for (const int level : levels_)
      if (level >= 0) ++count.levels[static_cast<std::size_t>(level)];
    return count;
  }
  // What operation(session) does.
  template <class Operation>
  cost measure(Operation&& operation) {
    note_levels();
    counter_.counts.assign(counter_.counts.size(), {});
    invalidations_ = 0;
    const std::uint64_t before = arena_.live_blocks();
    {
      auto session = table_.exclusive();
      operation(session);
    }
    const std::uint64_t now = arena_.live_blocks();
    cost c{.tables = now > before ? now - before : before - now, .invalidations = invalidations_, .calls = 1};
    const auto were = levels_;
    note_levels();
    for (std::size_t i = 0; i < counter_.counts.size(); ++i) {
      if (counter_.counts[i] == entry_count{}) continue;
      const int level = levels_[i] >= 0 ? levels_[i] : were[i];
      if (level < 0) ++unplaced;
      else c.at(level) += counter_.counts[i];
    }
    return c;
  }

  std::uint64_t unplaced = 0;  // tables that were read or written and never linked

 private:
  static constexpr std::uint64_t unit = quire::table_unit_bytes<Format>;
  static constexpr std::uint64_t base = quire::root_table_bytes<Format> > unit ? quire::root_table_bytes<Format> : unit;

  void note_levels() {
    levels_.assign(arena_.units(), -1);
    if (const auto root = table_.root()) note<Format::shape.root_level>(*root);
  }
  template <int Level>
  void note(quire::table_address table) {
    levels_[arena_.unit_of(table)] = Level;
    if constexpr (Level > 0) {
      const plain_memory memory = arena_.memory();
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        const word entry = memory.template load<word>(table, i, quire::order::relaxed);
        if (Format::kind_of(entry, Level) == quire::entry_kind::table) note<Level - 1>(Format::table_of(entry, Level));
      }
    }
  }

  quire::check::report findings_;
  arena_type arena_;
  access_counter counter_;
  std::uint64_t invalidations_ = 0;
  std::vector<int> levels_{};
  quire::page_table<Format, kernel> table_;
};

}  // namespace walk_cost
