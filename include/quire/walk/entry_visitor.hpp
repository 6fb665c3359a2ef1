// SPDX-License-Identifier: MIT
// A visitor of single entries, for those who do not want runs: leaf(position) for every entry that is not a table,
// table_pre(position) and table_post(position) as in walker.hpp, all giving an errc.
#pragma once

#include <cstddef>  // size_t

#include <quire/walk/walker.hpp>  // entry_run, run_stop

namespace quire {

// Adapts a visitor of entries to a visitor of runs. After each call the entry is read again, so a leaf() that made a
// table is seen to have made one. `Shared` as the walk's flag.
template <class Memory, class EntryVisitor, bool Shared = false>
class each_entry {
 public:
  constexpr each_entry(Memory& memory, EntryVisitor& visitor) noexcept : memory_(memory), visitor_(visitor) {}

  template <class Run>
  constexpr auto leaves(Run run) {
    using format = typename Run::format;
    using word = typename format::word;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = load<word>(run.table, i);
      if (format::kind_of(entry, Run::level) == entry_kind::table) {
        if constexpr (Run::passes_tables) continue;
        else return run_stop<word>::at_table(i, entry);
      }
      const errc said = visitor_.leaf(entry_position<format, Run::level>{run.table, i, run.address(i), entry});
      if (said == errc::busy) return run_stop<word>::retry(i);
      if (said != errc::none) return run_stop<word>::failed(i, said);
      if constexpr (Run::level > 0 && !Run::passes_tables) {
        const word now = load<word>(run.table, i);
        if (format::kind_of(now, Run::level) == entry_kind::table) return run_stop<word>::made_table(i, now);
      }
    }
    return run_stop<word>::done();
  }
  template <class Position>
  constexpr errc table_pre(const Position& position) {
    return visitor_.table_pre(position);
  }
  template <class Position>
  constexpr errc table_post(const Position& position) {
    return visitor_.table_post(position);
  }

 private:
  template <class Word>
  [[nodiscard]] constexpr Word load(table_address table, std::size_t i) {
    return memory_.template load<Word>(table, i, Shared ? order::acquire : order::relaxed);
  }

  Memory& memory_;
  EntryVisitor& visitor_;
};

}  // namespace quire
