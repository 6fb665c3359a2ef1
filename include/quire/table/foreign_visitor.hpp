// SPDX-License-Identifier: MIT
// The visitor that walks foreign tables (foreign.hpp says what is promised).
//
// The walker is the library's own. It never reads an entry here, which is what makes "once" hold: with leaf calls it
// takes each entry from the visitor, and with table_post calls it has no shortcut through the upper levels.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <utility>  // exchange

#include <quire/policy/foreign_memory.hpp>  // foreign_memory
#include <quire/table/foreign_finding.hpp>  // foreign_finding, foreign_bounds
#include <quire/table/lookup.hpp>           // mapping, mapping_of

namespace quire {

// `effective`: the rights of the leaf less those that table entries on the way take away. attrs.allowed is what the
// leaf says by itself, as everywhere.
struct foreign_mapping : mapping {
  permissions effective;
};

namespace detail {

template <pte_format Format>
[[nodiscard]] constexpr permissions rights_below(typename Format::word entry, int level) noexcept {
  if constexpr (Format::facts.table_permissions) return Format::table_rights_of(entry, level);
  else return all_access;
}

// What the walker asks when it reads: nothing, here.
struct read_by_the_visitor {
  template <class Word>
  [[nodiscard]] static constexpr Word load(table_address, std::size_t, order) noexcept {
    return 0;
  }
};

// `Receiver`: foreign_walk() in foreign.hpp says what it has. One that is to be told a little at a time (by a cursor)
// has pauses() as well, asked after each entry.
template <pte_format Format, class Memory, class Receiver>
class foreign_visitor {
  using word = typename Format::word;
  using stop = run_stop<word>;
  static_assert(states_table_rights<Format>,
                "table entries of this format carry rights: Format::table_rights_of must say which they leave");
  static_assert(foreign_memory<Memory, word>, "memory must be a foreign_memory for the format's word");
  static constexpr int top = Format::shape.root_level;
  static constexpr std::uint64_t last_of_format =
      Format::facts.output_bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << Format::facts.output_bits) - 1;

  // The table of a level that the walk is in.
  struct place {
    table_address table{};
    permissions rights = all_access;  // what the entries above it leave
    bool begun = false;
    bool in_hole = false;   // the last entry was unreadable
    std::size_t first = 0;  // the first entry that is wanted
    entry_span torn{1, 0};  // the last group that was told to be torn
    bool kept = false;      // the next entry was read when the walk was put down
    word entry = 0;
  };

 public:
  constexpr foreign_visitor(Memory& memory, table_address root, const foreign_bounds& bounds,
                            Receiver& receiver) noexcept
      : memory_(memory), receiver_(receiver), budget_(bounds.budget), last_output_(bounds.last_output.value) {
    if (last_output_ > last_of_format) last_output_ = last_of_format;
    way_[top].table = root;
  }

  template <class Run>
  constexpr stop leaves(Run run) {
    constexpr int level = Run::level;
    place& here = way_[level];
    if (!here.begun) {
      here.begun = true;
      here.first = run.first;
    }
    word entry = here.entry;
    // A neighbour that turned out not to be of the group was read already.
    bool in_hand = std::exchange(here.kept, false);
    for (std::size_t i = run.first; i <= run.last; ++i) {
      if (!in_hand && !read(run, i, entry)) {
        if (over_) return ends_at(run, i);
        if (is_to_pause()) return stop::failed(i, errc::stopped);
        continue;
      }
      in_hand = false;
      const entry_kind kind = Format::kind_of(entry, level);
      if (!Format::is_well_formed(entry, level)) {
        const bool misplaced = kind != entry_kind::leaf && kind != entry_kind::table && is_of_another_level(entry);
        if (!tell(misplaced ? foreign_defect::misplaced : foreign_defect::malformed, run, i, entry))
          return ends_at(run, i);
      } else if (kind == entry_kind::table) {
        if (enters(run, i, entry)) return stop::at_table(i, entry);
        if (over_) return ends_at(run, i);
      } else if (kind == entry_kind::leaf) {
        const std::size_t at = i;
        if (!leaf(run, i, entry, in_hand)) return ends_at(run, at);
        if (in_hand) --i;
      } else receiver_.unmapped(entry, level, run.address(i));
      if (is_to_pause()) {
        here.kept = in_hand;
        here.entry = entry;
        return stop::failed(i, errc::stopped);
      }
    }
    return stop::done();
  }
  template <class Position>
  constexpr errc table_post(const Position&) noexcept {
    return errc::none;
  }

  [[nodiscard]] constexpr const foreign_summary& summary() const noexcept { return summary_; }

 private:
  template <class Run>
  constexpr stop ends_at(const Run& run, std::size_t i) {
    if (!summary_.complete) {
      summary_.unvisited = run.address(i);
      static_cast<void>(tell(foreign_defect::out_of_budget, run, i, 0));
    }
    return stop::failed(i, errc::stopped);
  }

  // Whether the walk is put down behind an entry, to be taken up again.
  [[nodiscard]] constexpr bool is_to_pause() const noexcept {
    if constexpr (requires { receiver_.pauses(); }) return receiver_.pauses();
    else return false;
  }

  // Gives whether to go on.
  template <class Run>
  constexpr bool tell(foreign_defect what, const Run& run, std::size_t i, word entry) {
    ++summary_.findings;
    if (!receiver_.found({what, Run::level, run.address(i), run.table, i, entry})) over_ = true;
    return !over_;
  }

  // One entry, once. No: it cannot be had, or the walk is over.
  template <class Run>
  constexpr bool read(const Run& run, std::size_t i, word& entry) {
    if (summary_.entries == budget_) {
      summary_.complete = false;
      over_ = true;
      return false;
    }
    ++summary_.entries;
    const auto loaded = memory_.template load<word>(run.table, i);
    bool& in_hole = way_[Run::level].in_hole;
    if (!loaded && !in_hole) static_cast<void>(tell(foreign_defect::unreadable, run, i, 0));
    in_hole = !loaded;
    if (loaded) {
      entry = *loaded;
      if constexpr (requires { receiver_.seen(run.table, i, entry, Run::level, run.address(i)); })
        receiver_.seen(run.table, i, entry, Run::level, run.address(i));
    }
    return loaded && !over_;
  }

  [[nodiscard]] static constexpr bool is_of_another_level(word entry) noexcept {
    for (int level = 0; level <= top; ++level) {
      const entry_kind kind = Format::kind_of(entry, level);
      if (kind == entry_kind::leaf || kind == entry_kind::table) return true;
    }
    return false;
  }

  // Whether the table may be walked; no if that is a finding.
  template <class Run>
  constexpr bool enters(const Run& run, std::size_t i, word entry) {
    constexpr int level = Run::level;
    if constexpr (level > 0) {
      const std::uint64_t child = Format::table_of(entry, level).value;
      constexpr std::uint64_t bytes = table_bytes<Format>(level - 1);
      if (child > last_output_ || last_output_ - child < bytes - 1) {
        static_cast<void>(tell(foreign_defect::beyond_output, run, i, entry));
        return false;
      }
      for (int above = level; above <= top; ++above) {
        const std::uint64_t ancestor = way_[above].table.value;
        if (child - ancestor < table_bytes<Format>(above) || ancestor - child < bytes) {
          static_cast<void>(tell(foreign_defect::cycle, run, i, entry));
          return false;
        }
      }
      way_[level - 1] = {table_address{child}, way_[level].rights & rights_below<Format>(entry, level)};
      if constexpr (requires { receiver_.entered(entry, level, run.address(i)); })
        receiver_.entered(entry, level, run.address(i));
    }
    return true;
  }

  // A leaf and, where it is one of a group, the others: afterwards `i` is the last entry that was dealt with, or with
  // `in_hand` the one that `entry` was read from. Gives whether to go on.
  template <class Run>
  constexpr bool leaf(const Run& run, std::size_t& i, word& entry, bool& in_hand) {
    constexpr int level = Run::level;
    place& here = way_[level];
    const std::size_t at = i;
    const entry_span group = group_span<Format>(entry, level, at);
    if (group.first == here.torn.first && group.last == here.torn.last) return true;
    foreign_mapping found{mapping_of<Format>(entry, level, run.address(at)), no_access};
    const word head = entry;
    if (group.first != group.last) {
      bool whole = at == group.first || at == here.first;
      for (std::size_t member = at == here.first ? group.first : at + 1; whole && member <= group.last; ++member) {
        if (member == at) continue;
        word other = 0;
        whole = read(run, member, other);
        if (over_) return false;
        if (member > at) i = member;
        if (!whole) break;
        whole = agree(head, at, other, member, level);
        if (!whole && member > at) {
          entry = other;
          in_hand = true;
        }
        found.attrs.accessed = found.attrs.accessed || Format::is_accessed(other);
        found.attrs.dirty = found.attrs.dirty || (Format::facts.has_dirty && Format::is_dirty(other));
      }
      if (!whole) {
        here.torn = group;
        return tell(foreign_defect::torn_group, run, at, head);
      }
    }
    if (found.output.value > last_output_ || last_output_ - found.output.value < found.bytes - 1)
      return tell(foreign_defect::beyond_output, run, at, head);
    found.effective = found.attrs.allowed & here.rights;
    over_ = !receiver_.mapped(found);
    return !over_;
  }

  // Whether two entries make one leaf: but for accessed and dirty they are as many steps apart as they stand apart, and
  // lead to the same group.
  [[nodiscard]] static constexpr bool agree(word head, std::size_t at, word other, std::size_t member,
                                            int level) noexcept {
    const word step = Format::step(level, Format::group_of(head, level));
    const word expected = static_cast<word>(aged(head) + (static_cast<word>(member) - static_cast<word>(at)) * step);
    return aged(other) == expected && Format::output_of(other, level) == Format::output_of(head, level);
  }
  [[nodiscard]] static constexpr word aged(word entry) noexcept {
    return Format::make_clean(Format::clear_accessed(entry));
  }

  Memory& memory_;
  Receiver& receiver_;
  std::uint64_t budget_;
  std::uint64_t last_output_;
  foreign_summary summary_{};
  bool over_ = false;
  place way_[Format::shape.levels]{};
};

}  // namespace detail

}  // namespace quire
