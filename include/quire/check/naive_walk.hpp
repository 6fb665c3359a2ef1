// SPDX-License-Identifier: MIT
// Reading a table in the plainest way: recursion at run time, one entry after the other. The oracles trust it because
// there is nothing in it; it shares no code with the walker that the operations use.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <utility>  // pair
#include <vector>   // vector

#include <quire/format/concept.hpp>  // pte_format
#include <quire/policy/memory.hpp>   // memory_policy

namespace quire::check {

// Geometry at a level that is only known at run time: looked up, not summed.
template <pte_format F>
inline constexpr auto shifts = []() constexpr {
  std::array<int, static_cast<std::size_t>(F::shape.levels)> all{};
  for (int level = 0; level < F::shape.levels; ++level) all[static_cast<std::size_t>(level)] = F::shape.shift(level);
  return all;
}();
template <pte_format F>
[[nodiscard]] constexpr int shift_of(int level) noexcept {
  return shifts<F>[static_cast<std::size_t>(level)];
}
template <pte_format F>
[[nodiscard]] constexpr std::uint64_t bytes_of(int level) noexcept {
  return std::uint64_t{1} << shift_of<F>(level);
}
template <pte_format F>
[[nodiscard]] constexpr std::size_t index_of(std::uint64_t input, int level) noexcept {
  return static_cast<std::size_t>(input >> shift_of<F>(level)) & (F::shape.entries(level) - 1);
}

// The first byte that entry `index` of a table of `level` translates, where the table's own first byte is `base`.
// Two-halved input spaces repeat the top bit.
template <pte_format F>
[[nodiscard]] constexpr std::uint64_t input_of(std::uint64_t base, std::size_t index, int level) noexcept {
  const std::uint64_t input = base + (std::uint64_t{index} << shift_of<F>(level));
  if constexpr (F::facts.sign_extended && F::shape.input_bits() < 64) {
    const std::uint64_t top = std::uint64_t{1} << (F::shape.input_bits() - 1);
    if ((input & top) != 0) return input | ~((top << 1U) - 1U);
  }
  return input;
}

// Where in the tree a table is linked, if it is.
struct table_place {
  bool linked = false;
  int level = 0;
  std::uint64_t base = 0;  // the first byte it translates
};

// One entry as a walk meets it.
template <pte_format F>
struct visited_entry {
  table_address table;
  std::size_t index;
  int level;
  std::uint64_t first;  // the first and the last byte it translates
  std::uint64_t last;
  typename F::word word;
  entry_kind kind;
};

// Calls visit(visited_entry) for every entry below `table`, parents before children.
template <pte_format F, class Memory, class Visit>
void visit_entries(const Memory& memory, table_address table, int level, std::uint64_t base, Visit&& visit) {
  for (std::size_t i = 0; i < F::shape.entries(level); ++i) {
    const auto word = memory.template load<typename F::word>(table, i, order::acquire);
    const std::uint64_t first = input_of<F>(base, i, level);
    const entry_kind kind = F::kind_of(word, level);
    visit(visited_entry<F>{table, i, level, first, first + (bytes_of<F>(level) - 1), word, kind});
    if (kind == entry_kind::table) visit_entries<F>(memory, F::table_of(word, level), level - 1, first, visit);
  }
}
template <pte_format F, class Memory, class Visit>
void visit_entries(const Memory& memory, table_address root, Visit&& visit) {
  visit_entries<F>(memory, root, F::shape.root_level, 0, visit);
}

// What an input address leads to, and the entry that says so.
template <pte_format F>
struct translation {
  entry_kind kind = entry_kind::absent;  // leaf, absent, marker or locked
  output_address output{};               // of the address asked for
  attributes attrs{};                    // of that entry alone, also where it is one of a group
  visited_entry<F> entry{};

  [[nodiscard]] bool mapped() const noexcept { return kind == entry_kind::leaf; }
};

// The bytes from the start of the leaf to `input`, the leaf's group included.
template <pte_format F>
[[nodiscard]] constexpr std::uint64_t offset_in_leaf(typename F::word leaf, int level, std::uint64_t input) noexcept {
  const std::uint64_t bytes = bytes_of<F>(level) << F::group_of(leaf, level);
  return input & (bytes - 1);
}

template <pte_format F, class Memory>
[[nodiscard]] translation<F> translate(const Memory& memory, table_address root, std::uint64_t input) {
  table_address table = root;
  std::uint64_t base = 0;
  for (int level = F::shape.root_level;; --level) {
    const std::size_t index = index_of<F>(input, level);
    const auto word = memory.template load<typename F::word>(table, index, order::acquire);
    const entry_kind kind = F::kind_of(word, level);
    base = input_of<F>(base, index, level);
    if (kind == entry_kind::table) {
      table = F::table_of(word, level);
      continue;
    }
    translation<F> found{.kind = kind,
                         .entry = {table, index, level, base, base + (bytes_of<F>(level) - 1), word, kind}};
    if (kind == entry_kind::leaf) {
      found.output = F::output_of(word, level) + offset_in_leaf<F>(word, level, input);
      found.attrs = F::attributes_of(word, level);
    }
    return found;
  }
}

// One leaf; a group is one leaf, with accessed and dirty over all its entries.
template <pte_format F>
struct found_leaf {
  input_address first;
  output_address output;
  attributes attrs;
  int level;
  int group;
  table_address table;
  std::size_t index;

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_of<F>(level) << group; }
};
template <pte_format F>
struct found_marker {
  input_address first;
  int level;
  typename F::word word;
};

// Everything that is reachable.
template <pte_format F>
struct naive_walk {
  std::vector<std::pair<table_address, int>> tables;  // with their level; the root first
  std::vector<found_leaf<F>> leaves;                  // in input order
  std::vector<found_marker<F>> markers;               // `locked` entries too
  std::size_t torn_groups = 0;                        // groups that are incomplete or whose entries disagree

  // Reads again, into the storage that is there.
  template <class Memory>
  void read(const Memory& memory, table_address root) {
    tables.clear();
    leaves.clear();
    markers.clear();
    torn_groups = 0;
    missing_ = 0;
    tables.emplace_back(root, F::shape.root_level);
    visit_entries<F>(memory, root, [&](const visited_entry<F>& entry) { add(entry); });
    if (missing_ != 0) ++torn_groups;
  }

 private:
  void add(const visited_entry<F>& entry) {
    if (missing_ != 0) {
      if (entry.kind == entry_kind::leaf && continues(leaves.back(), entry)) {
        const attributes attrs = F::attributes_of(entry.word, entry.level);
        leaves.back().attrs.accessed |= attrs.accessed;
        leaves.back().attrs.dirty |= attrs.dirty;
        --missing_;
        return;
      }
      ++torn_groups;
      missing_ = 0;
    }
    if (entry.kind == entry_kind::table) tables.emplace_back(F::table_of(entry.word, entry.level), entry.level - 1);
    else if (entry.kind == entry_kind::leaf) add_leaf(entry);
    else if (entry.kind != entry_kind::absent) markers.push_back({input_address{entry.first}, entry.level, entry.word});
  }
  void add_leaf(const visited_entry<F>& entry) {
    const int group = F::group_of(entry.word, entry.level);
    const std::size_t in_group = entry.index & ((std::size_t{1} << group) - 1);
    if (in_group == 0) missing_ = (std::size_t{1} << group) - 1;
    else ++torn_groups;
    leaves.push_back({input_address{entry.first}, F::output_of(entry.word, entry.level),
                      F::attributes_of(entry.word, entry.level), entry.level, group, entry.table, entry.index});
  }
  [[nodiscard]] static bool continues(const found_leaf<F>& leaf, const visited_entry<F>& entry) {
    attributes attrs = F::attributes_of(entry.word, entry.level);
    attrs.accessed = leaf.attrs.accessed;
    attrs.dirty = leaf.attrs.dirty;
    return leaf.table == entry.table && leaf.group == F::group_of(entry.word, entry.level) &&
           leaf.output == F::output_of(entry.word, entry.level) && leaf.attrs == attrs;
  }

  std::size_t missing_ = 0;  // entries that the last leaf's group still needs
};

// The tables that are reachable, the root included.
template <pte_format F, class Memory>
[[nodiscard]] std::size_t count_tables(const Memory& memory, table_address root) {
  std::size_t count = 1;
  visit_entries<F>(memory, root,
                   [&](const visited_entry<F>& entry) { count += entry.kind == entry_kind::table ? 1U : 0U; });
  return count;
}

}  // namespace quire::check
