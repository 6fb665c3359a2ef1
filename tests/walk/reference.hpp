// SPDX-License-Identifier: MIT
// The walk in the plainest way, to compare the walker with: recursion over levels known at run time, one entry after
// the other, an address that only the entries move forward. And every set of flags there is.
//
// What happens to one entry:
//   1. It is read. Unless its level is skipped, a table brings PRE and anything else brings LEAF, if they are asked
//   for.
//   2. After a call it is read again: from here on it is what it is now.
//   3. An error ends the walk; so does busy, unless retries are to be passed over.
//   4. No table: the address moves to the next entry. That is all.
//   5. A table: its entries are walked, or the address moves past it when every level below is skipped.
//   6. Unless its level is skipped, POST, with the entry as of 2; then as 3.
#pragma once

#include <array>        // array
#include <cstddef>      // size_t
#include <cstdint>      // int8_t, uint64_t
#include <string>       // string, to_string
#include <type_traits>  // conditional_t
#include <utility>      // index_sequence
#include <vector>       // vector

#include <quire/walk/entry_visitor.hpp>  // each_entry
#include <quire/walk/walker.hpp>         // walk

#include "walk/trees.hpp"

namespace quire_test {

// ---- flags by number: leaf, pre, post, a bit per level that is skipped, and whether busy is passed over
struct wanted_calls {
  bool leaf;
  bool pre;
  bool post;
  unsigned skipped;
  bool passes_busy;
};

[[nodiscard]] constexpr unsigned flag_sets(int levels) noexcept { return 16U << levels; }
[[nodiscard]] constexpr wanted_calls wanted_by(unsigned number, int levels) noexcept {
  return {(number & 1U) != 0, (number & 2U) != 0, (number & 4U) != 0, (number >> 3U) & ((1U << levels) - 1),
          number >> (3 + levels) != 0};
}
[[nodiscard]] constexpr quire::walk_flags flags_by(unsigned number, int levels) noexcept {
  const wanted_calls wanted = wanted_by(number, levels);
  return {.leaf = wanted.leaf,
          .table_pre = wanted.pre,
          .table_post = wanted.post,
          .skipped = wanted.skipped,
          .retry = wanted.passes_busy ? quire::on_retry::go_on : quire::on_retry::stop};
}

// The walk with each of these sets of flags, by number; the first half of them stops at busy.
template <class Memory, class Visitor>
using walk_function = quire::error (*)(Memory&, quire::table_address, quire::input_range, Visitor&);
template <class F, class Memory, class Visitor, unsigned Sets = flag_sets(F::shape.levels)>
inline constexpr auto every_walk = []<std::size_t... N>(std::index_sequence<N...>) constexpr {
  return std::array<walk_function<Memory, Visitor>, sizeof...(N)>{
      [](Memory& memory, quire::table_address root, quire::input_range range, Visitor& visitor) {
        return quire::walk<flags_by(N, F::shape.levels), F>(memory, root, range, visitor);
      }...};
}(std::make_index_sequence<Sets>{});

// ---- the reference
template <class Tree>
class reference_walk {
  using format = typename Tree::format;
  using word = typename Tree::word;

 public:
  constexpr reference_walk(wanted_calls wanted, actor<Tree>& visitor) noexcept : wanted_(wanted), visitor_(visitor) {}

  constexpr quire::error operator()(quire::input_range range) noexcept {
    std::uint64_t inside = 1;
    for (int bits = span_bits(format::shape.levels); bits > 0; --bits) inside *= 2;
    above_ = range.first().value / inside * inside;
    address_ = range.first().value % inside;
    last_ = range.last().value % inside;
    return walk_table(visitor_.tree->root(), format::shape.levels - 1);
  }

 private:
  // log2 of the bytes that one entry of `level` translates
  [[nodiscard]] static constexpr int span_bits(int level) noexcept {
    return level == 0 ? format::shape.page_bits : span_bits(level - 1) + format::shape.index_bits[level - 1];
  }
  constexpr quire::error walk_table(quire::table_address table, int level) noexcept {
    const std::size_t entries = std::size_t{1} << format::shape.index_bits[level];
    for (std::size_t i = static_cast<std::size_t>(address_ >> span_bits(level)) % entries; i < entries; ++i) {
      if (address_ > last_) return {};
      const quire::error result = walk_entry(table, i, level);
      if (result.code != quire::errc::none) return result;
    }
    return {};
  }
  constexpr quire::error walk_entry(quire::table_address table, std::size_t i, int level) noexcept {
    const std::uint64_t granule = std::uint64_t{1} << span_bits(level);
    const std::uint64_t begin = address_ - address_ % granule;
    const auto is_table = [&](word entry) { return format::kind_of(entry, level) == quire::entry_kind::table; };
    const auto ends = [&](quire::errc code) {
      return code != quire::errc::none && !(code == quire::errc::busy && wanted_.passes_busy);
    };
    const auto tell = [&](call_kind kind, word entry) {
      return visitor_({kind, level, table.value, i, above_ + begin, entry});
    };
    const auto failure = [&](quire::errc code) {
      return quire::error{code, static_cast<std::int8_t>(level), above_ + begin};
    };
    const bool skipped = (wanted_.skipped & (1U << level)) != 0;

    word entry = visitor_.tree->load(table, i);
    quire::errc said = quire::errc::none;
    if (!skipped && is_table(entry) && wanted_.pre) said = tell(call_kind::pre, entry);
    else if (!skipped && !is_table(entry) && wanted_.leaf) said = tell(call_kind::leaf, entry);
    entry = visitor_.tree->load(table, i);
    if (ends(said)) return failure(said);
    if (!is_table(entry)) {
      address_ = begin + granule;
      return {};
    }
    const unsigned below = (1U << level) - 1;
    if ((wanted_.skipped & below) == below) address_ = begin + granule;
    else {
      const quire::error inside = walk_table(format::table_of(entry, level), level - 1);
      if (inside.code != quire::errc::none) return inside;
    }
    if (!skipped && wanted_.post) {
      said = tell(call_kind::post, entry);
      if (ends(said)) return failure(said);
    }
    return {};
  }

  wanted_calls wanted_;
  actor<Tree>& visitor_;
  std::uint64_t above_ = 0;  // the address bits above the geometry
  std::uint64_t address_ = 0;
  std::uint64_t last_ = 0;
};

// ---- ranges

// Every range of whole pages, or where there are more than `most`: those that touch the edges of tables, and random
// ones.
template <class F>
std::vector<quire::input_range> some_ranges(std::size_t most) {
  constexpr int page_bits = F::shape.page_bits;
  constexpr int input_bits = F::shape.input_bits();
  constexpr std::uint64_t halves = F::facts.sign_extended ? 2 : 1;
  constexpr std::uint64_t pages = (std::uint64_t{1} << (input_bits - page_bits)) / halves;
  std::vector<quire::input_range> ranges;
  const auto add = [&](std::uint64_t half, std::uint64_t first, std::uint64_t last) {
    const std::uint64_t begin = half == 0 ? 0 : ~std::uint64_t{0} << (input_bits - 1);
    ranges.push_back(quire::input_range::closed(quire::input_address{begin + (first << page_bits)},
                                                quire::input_address{begin + ((last + 1) << page_bits) - 1}));
  };
  if (pages * (pages + 1) / 2 * halves <= most) {
    for (std::uint64_t half = 0; half < halves; ++half)
      for (std::uint64_t first = 0; first < pages; ++first)
        for (std::uint64_t last = first; last < pages; ++last) add(half, first, last);
    return ranges;
  }
  std::uint64_t dice = 0x2545'f491'4f6c'dd1dULL;
  const auto thrown = [&](std::uint64_t n) {
    dice ^= dice << 13U;
    dice ^= dice >> 7U;
    dice ^= dice << 17U;
    return (dice >> 11U) % n;
  };
  // A page at, right before or right after the edge of an entry of some level.
  const auto page = [&]() {
    const int level = static_cast<int>(thrown(static_cast<std::uint64_t>(F::shape.levels)));
    const std::uint64_t size = std::uint64_t{1} << (F::shape.shift(level) - page_bits);
    const std::uint64_t edge = thrown(pages / size + 1) * size + thrown(3);
    return edge == 0 ? 0 : edge > pages ? pages - 1 : edge - 1;
  };
  for (std::uint64_t half = 0; half < halves; ++half) {
    add(half, 0, pages - 1);
    add(half, 0, 0);
    add(half, pages - 1, pages - 1);
  }
  while (ranges.size() < most) {
    const std::uint64_t a = page(), b = page();
    add(thrown(halves), a < b ? a : b, a < b ? b : a);
  }
  return ranges;
}

// ---- comparing

inline std::string text_of(const call& c) {
  static constexpr const char* names[] = {"leaf", "pre", "post"};
  return std::string(names[static_cast<int>(c.kind)]) + "(level " + std::to_string(c.level) + ", index " +
         std::to_string(c.index) + ", address " + std::to_string(c.address) + ", entry " + std::to_string(c.entry) +
         ")";
}
inline std::string text_of(const quire::error& e) {
  return std::string(name_of(e.code)) + " at level " + std::to_string(e.level) + ", address " + std::to_string(e.at);
}

// The first difference, or nothing.
inline std::string difference(const trace& walked, const trace& expected) {
  if (walked == expected) return {};
  if (walked.overflowed() || expected.overflowed()) return "the test's buffer is too small";
  for (std::size_t i = 0; i < walked.size() && i < expected.size(); ++i)
    if (!(walked[i] == expected[i]))
      return "call " + std::to_string(i) + " was " + text_of(walked[i]) + ", not " + text_of(expected[i]);
  return std::to_string(walked.size()) + " calls, not " + std::to_string(expected.size());
}

// Walks two equal trees, with the walker and by reference; says what differs: trace, result, or the tree left behind.
// `Visitor`: entry_calls or run_calls of actor<Tree>.
template <class Tree, template <class> class Calls>
class comparison {
  using format = typename Tree::format;
  using memory_type = typename Tree::memory_type;
  using visitor = Calls<actor<Tree>>;
  static constexpr bool runs = std::is_same_v<visitor, run_calls<actor<Tree>>>;

 public:
  using adapter = std::conditional_t<runs, visitor, quire::each_entry<memory_type, visitor>>;

  explicit comparison(std::size_t capacity = 4096)
      : walked_calls_(capacity),
        expected_calls_(capacity),
        walked_(walked_calls_.data(), capacity),
        expected_(expected_calls_.data(), capacity) {}

  // With the flags of this number.
  [[nodiscard]] std::string operator()(const Tree& start, unsigned flags, quire::input_range range,
                                       const script& part) {
    std::string text = with(every_walk<format, memory_type, adapter>[flags], wanted_by(flags, format::shape.levels),
                            start, range, part);
    if (!text.empty()) text += " [flags " + std::to_string(flags) + "]";
    return text;
  }
  // With a walk that the test names. `start` must stay as it is for as long as this object lives.
  [[nodiscard]] std::string with(walk_function<memory_type, adapter> walk_it, wanted_calls wanted, const Tree& start,
                                 quire::input_range range, const script& part) {
    const bool changes = part.makes_tables != 0 || part.makes_leaves != 0 ||
                         (part.has_special && part.special_answer.does != deed::nothing);
    // Trees are only copied where they may come to differ.
    if (changes || !fresh_ || from_ != &start) {
      walked_tree_ = start;
      expected_tree_ = start;
      from_ = &start;
      fresh_ = !changes;
    }
    walked_.clear();
    actor<Tree> who{&walked_tree_, &walked_, part};
    memory_type memory = walked_tree_.memory();
    visitor calls{{&who}};
    if constexpr (runs) result_ = walk_it(memory, walked_tree_.root(), range, calls);
    else {
      adapter entries{memory, calls};
      result_ = walk_it(memory, walked_tree_.root(), range, entries);
    }
    expected_.clear();
    actor<Tree> judge{&expected_tree_, &expected_, part};
    const quire::error expected = reference_walk<Tree>{wanted, judge}(range);

    std::string text = difference(walked_, expected_);
    if (text.empty() && result_ != expected) text = text_of(result_) + ", not " + text_of(expected);
    if (text.empty() && changes && !(walked_tree_ == expected_tree_)) text = "the trees differ";
    if (!text.empty())
      text += " [range " + std::to_string(range.first().value) + " to " + std::to_string(range.last().value) + "]";
    return text;
  }
  [[nodiscard]] quire::error result() const noexcept { return result_; }
  [[nodiscard]] const trace& calls() const noexcept { return walked_; }

 private:
  std::vector<call> walked_calls_;
  std::vector<call> expected_calls_;
  trace walked_;
  trace expected_;
  quire::error result_{};
  Tree walked_tree_{};
  Tree expected_tree_{};
  const Tree* from_ = nullptr;
  bool fresh_ = false;
};

}  // namespace quire_test
