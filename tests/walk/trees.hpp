// SPDX-License-Identifier: MIT
// What the tests of the walker walk, and who they send: trees by value, a scripted visitor, and the trace it leaves.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/format/concept.hpp>       // pte_format
#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/walk/walker.hpp>          // run_stop

namespace quire_test {

// ---- trees

enum class tree_kind { empty, pages, blocks, mixed, holes };
inline constexpr tree_kind every_tree[] = {tree_kind::empty, tree_kind::pages, tree_kind::blocks, tree_kind::mixed,
                                           tree_kind::holes};

// Tables of a tree in which every entry above level 0 is a table, without the root.
template <quire::pte_format F>
inline constexpr std::size_t tables_of_full_tree = []() constexpr {
  std::size_t tables = 0, here = 1;
  for (int level = F::shape.root_level; level > 0; --level) tables += here *= F::shape.entries(level);
  return tables;
}();

// Tables in an array, by value: two walks can start from equal trees, and what they leave can be compared.
template <quire::pte_format F, std::size_t Tables = 2 * tables_of_full_tree<F>>
class small_tree {
 public:
  using format = F;
  using word = typename F::word;
  using memory_type = quire::array_memory<word>;
  static constexpr std::uint64_t base = 0x10'0000;

  constexpr small_tree() = default;
  constexpr explicit small_tree(tree_kind kind, std::uint64_t seed = 1) {
    std::uint64_t dice = seed * 0x9e37'79b9'7f4a'7c15ULL | 1U;
    build(root(), F::shape.root_level, 0, kind, dice);
  }

  [[nodiscard]] constexpr memory_type memory() noexcept { return {words_.data(), words_.size(), base}; }
  [[nodiscard]] constexpr quire::table_address root() const noexcept { return quire::table_address{base}; }

  [[nodiscard]] constexpr word load(quire::table_address table, std::size_t i) const noexcept {
    return words_[word_of(table) + i];
  }
  constexpr void store(quire::table_address table, std::size_t i, word entry) noexcept {
    words_[word_of(table) + i] = entry;
  }
  // An empty table.
  constexpr quire::table_address take() noexcept {
    const quire::table_address table{base + used_ * unit_bytes};
    ++used_;
    return table;
  }
  // A leaf for the input offset, where the level has leaves; otherwise nothing.
  [[nodiscard]] static constexpr word leaf_at(int level, std::uint64_t offset) noexcept {
    if ((F::group_sizes(level) & 1U) == 0) return 0;
    const quire::output_address output =
        quire::output_address{offset ^ F::shape.leaf_bytes(0)}.align_down(F::shape.leaf_bytes(level));
    return *F::leaf(output, {.allowed = quire::read_write, .may_write = true}, level);
  }
  // The entry of a fresh table that stands at `level`, full of leaves where there can be any.
  constexpr word table_at(int level, std::uint64_t offset) noexcept {
    const quire::table_address table = take();
    for (std::size_t i = 0; i < F::shape.entries(level - 1); ++i)
      store(table, i, leaf_at(level - 1, offset + (std::uint64_t{i} << F::shape.shift(level - 1))));
    return F::table(table, level);
  }

  friend constexpr bool operator==(const small_tree&, const small_tree&) = default;

 private:
  static constexpr std::uint64_t unit_bytes = quire::table_unit_bytes<F>;
  static constexpr std::size_t root_units = (quire::root_table_bytes<F> + unit_bytes - 1) / unit_bytes;

  [[nodiscard]] static constexpr std::size_t word_of(quire::table_address table) noexcept {
    return static_cast<std::size_t>((table.value - base) / sizeof(word));
  }
  constexpr void build(quire::table_address table, int level, std::uint64_t offset, tree_kind kind,
                       std::uint64_t& dice) noexcept {
    if (kind == tree_kind::empty) return;
    for (std::size_t i = 0; i < F::shape.entries(level); ++i) {
      const std::uint64_t at = offset + (std::uint64_t{i} << F::shape.shift(level));
      dice ^= dice << 13U;
      dice ^= dice >> 7U;
      dice ^= dice << 17U;
      const std::uint64_t thrown = dice >> 32U;
      const bool has_leaves = (F::group_sizes(level) & 1U) != 0;
      bool goes_down = level > 0;
      if (kind == tree_kind::blocks) goes_down = !has_leaves;
      if (kind == tree_kind::mixed) goes_down = level > 0 && thrown % 2 == 0;
      if (kind == tree_kind::holes) goes_down = level > 0 && thrown % 3 != 0;
      if (goes_down) {
        const quire::table_address child = take();
        store(table, i, F::table(child, level));
        if (kind != tree_kind::holes || thrown % 5 != 0) build(child, level - 1, at, kind, dice);
      } else if (kind == tree_kind::mixed && thrown % 8 >= 5) {
        store(table, i, thrown % 8 == 5 ? F::marker(3) : thrown % 8 == 6 ? F::locked : word{0});
      } else if (kind != tree_kind::holes || (level == 0 && thrown % 4 == 0)) {
        store(table, i, leaf_at(level, at));
      }
    }
  }

  std::array<word, (root_units + Tables) * (unit_bytes / sizeof(word))> words_{};
  std::size_t used_ = root_units;
};

// ---- traces

enum class call_kind : unsigned char { leaf, pre, post };

// One callback: everything that it was told.
struct call {
  call_kind kind = call_kind::leaf;
  int level = 0;
  std::uint64_t table = 0;
  std::size_t index = 0;
  std::uint64_t address = 0;
  std::uint64_t entry = 0;

  friend constexpr bool operator==(const call&, const call&) = default;
};

// Callbacks in the order in which they came. The buffer is the test's.
class trace {
 public:
  constexpr trace(call* buffer, std::size_t capacity) noexcept : calls_(buffer), capacity_(capacity) {}

  constexpr void add(const call& one) noexcept {
    if (size_ < capacity_) calls_[size_] = one;
    ++size_;
  }
  constexpr void clear() noexcept { size_ = 0; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool overflowed() const noexcept { return size_ > capacity_; }
  [[nodiscard]] constexpr const call& operator[](std::size_t i) const noexcept { return calls_[i]; }
  [[nodiscard]] constexpr const call* begin() const noexcept { return calls_; }
  [[nodiscard]] constexpr const call* end() const noexcept { return calls_ + size_; }

  friend constexpr bool operator==(const trace& a, const trace& b) noexcept {
    if (a.size_ != b.size_ || a.overflowed()) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (!(a.calls_[i] == b.calls_[i])) return false;
    return true;
  }

 private:
  call* calls_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

// ---- the visitor

enum class deed : unsigned char { nothing, make_table, make_leaf };
inline constexpr deed every_deed[] = {deed::nothing, deed::make_table, deed::make_leaf};

// What a visitor does when it is called, and what it answers.
struct answer {
  deed does = deed::nothing;
  quire::errc says = quire::errc::none;
};

// A visitor's behaviour depends on the call alone, so that it is the same in every walk that makes the same calls.
struct script {
  // Of 256 calls so many; drawn from the call and the seed.
  unsigned busy = 0;
  unsigned fails = 0;
  unsigned makes_tables = 0;
  unsigned makes_leaves = 0;
  std::uint64_t seed = 0;
  // One call that has an answer of its own.
  bool has_special = false;
  call special{};
  answer special_answer{};

  [[nodiscard]] constexpr answer of(const call& c) const noexcept {
    if (has_special && c.kind == special.kind && c.level == special.level && c.address == special.address)
      return special_answer;
    std::uint64_t dice =
        (c.address + static_cast<std::uint64_t>(c.level) * 3 + static_cast<std::uint64_t>(c.kind) + seed) *
        0x9e37'79b9'7f4a'7c15ULL;
    dice ^= dice >> 29U;
    const auto draw = [&](unsigned shift, unsigned share) { return ((dice >> shift) & 255U) < share; };
    return {draw(0, makes_tables)   ? deed::make_table
            : draw(8, makes_leaves) ? deed::make_leaf
                                    : deed::nothing,
            draw(16, busy)    ? quire::errc::busy
            : draw(24, fails) ? quire::errc::no_memory
                              : quire::errc::none};
  }
};

// Writes down each call and plays its part.
template <class Tree>
struct actor {
  using format = typename Tree::format;
  using word = typename Tree::word;

  Tree* tree;
  trace* log;
  script part{};

  [[gnu::noinline]] constexpr quire::errc operator()(const call& c) noexcept {
    log->add(c);
    const answer now = part.of(c);
    constexpr std::uint64_t inside = format::shape.table_last_offset(format::shape.root_level);
    const quire::table_address table{c.table};
    if (now.does == deed::make_table && c.level > 0)
      tree->store(table, c.index, tree->table_at(c.level, c.address & inside));
    if (now.does == deed::make_leaf) tree->store(table, c.index, Tree::leaf_at(c.level, c.address & inside));
    return now.says;
  }

  // A visitor of runs: looks how far the run goes before it works through it.
  [[gnu::noinline]] constexpr quire::run_stop<word> run(int level, bool passes_tables, quire::table_address table,
                                                        std::uint64_t base, std::size_t first,
                                                        std::size_t last) noexcept {
    using stop = quire::run_stop<word>;
    const auto is_table = [&](std::size_t i) {
      return format::kind_of(tree->load(table, i), level) == quire::entry_kind::table;
    };
    for (std::size_t i = first; i <= last; ++i) {
      std::size_t end = i;
      while (end <= last && !is_table(end)) ++end;
      for (; i < end; ++i) {
        const std::uint64_t address = base + (std::uint64_t{i} << format::shape.shift(level));
        const quire::errc said = (*this)({call_kind::leaf, level, table.value, i, address, tree->load(table, i)});
        if (said == quire::errc::busy) return stop::retry(i);
        if (said != quire::errc::none) return stop::failed(i, said);
        if (!passes_tables && is_table(i)) return stop::made_table(i, tree->load(table, i));
      }
      if (i <= last && !passes_tables) return stop::at_table(i, tree->load(table, i));
    }
    return stop::done();
  }
};

template <class Actor>
struct table_calls {
  Actor* to;

  template <class Position>
  constexpr quire::errc table_pre(const Position& p) noexcept {
    return (*to)({call_kind::pre, Position::level, p.table.value, p.index, p.address.value, p.entry});
  }
  template <class Position>
  constexpr quire::errc table_post(const Position& p) noexcept {
    return (*to)({call_kind::post, Position::level, p.table.value, p.index, p.address.value, p.entry});
  }
};

// The actor as a visitor of entries, and as a visitor of runs.
template <class Actor>
struct entry_calls : table_calls<Actor> {
  template <class Position>
  constexpr quire::errc leaf(const Position& p) noexcept {
    return (*this->to)({call_kind::leaf, Position::level, p.table.value, p.index, p.address.value, p.entry});
  }
};
template <class Actor>
struct run_calls : table_calls<Actor> {
  template <class Run>
  constexpr auto leaves(Run run) noexcept {
    return this->to->run(Run::level, Run::passes_tables, run.table, run.base, run.first, run.last);
  }
};

}  // namespace quire_test
