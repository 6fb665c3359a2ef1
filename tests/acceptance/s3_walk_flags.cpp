// SPDX-License-Identifier: MIT
// Skipped levels, seen from a visitor: what it is called for and what not, and what its answers do.
//
// Level 0 holds the pages here; on a 4 KiB granule the arm64 manual calls it level 3.
#include <quire/walk/walker.hpp>

#include <memory>  // make_unique
#include <string>  // string
#include <tuple>   // tuple
#include <vector>  // vector

#include <quire/walk/descend.hpp>  // descend

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/typed.hpp"
#include "walk/reference.hpp"

namespace {

using namespace quire;
using namespace quire_test;

using formats = std::tuple<riscv::sv39x4, riscv::sv48x4, arm64::stage2_4k<40>, arm64::stage2_4k<43>,
                           arm64::stage2_4k<48>, tiny::plain>;
template <class F>
using tree = small_tree<F, 96>;
template <class F>
inline constexpr int top = F::shape.root_level;
inline constexpr unsigned leaf_calls = 1, post_calls = 4, all_calls = 7;

// In each table entries 0, 1 and the last lead on; entry 2 is a leaf where there can be one; the rest is empty.
template <class F>
void grow(tree<F>& t, table_address table, int level, std::uint64_t offset) {
  const std::size_t last = F::shape.entries(level) - 1;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{2}, last}) {
    if (i > last) continue;
    const std::uint64_t at = offset + (std::uint64_t{i} << F::shape.shift(level));
    if (level == 0 || (i == 2 && i != last)) t.store(table, i, t.leaf_at(level, at));
    else if (t.load(table, i) == 0) {
      const table_address child = t.take();
      t.store(table, i, F::table(child, level));
      grow(t, child, level - 1, at);
    }
  }
}
template <class F>
std::unique_ptr<tree<F>> grown() {
  auto t = std::make_unique<tree<F>>();
  grow<F>(*t, t->root(), top<F>, 0);
  return t;
}

template <class F>
constexpr std::uint64_t page = F::shape.page_bytes();
// The first and the last byte of a range that begins at 0; in a space of two halves, of the lower one.
template <class F>
input_range lower(std::uint64_t first, std::uint64_t last) {
  return input_range::closed(input_address{first}, input_address{last});
}
template <class F>
constexpr std::uint64_t lower_last = F::shape.table_last_offset(top<F>) >> (F::facts.sign_extended ? 1 : 0);
// The last bytes of the whole input space.
template <class F>
input_range at_the_end(std::uint64_t bytes) {
  constexpr std::uint64_t last = F::facts.sign_extended ? ~std::uint64_t{0} : F::shape.table_last_offset(top<F>);
  return input_range::closed(input_address{last - (bytes - 1)}, input_address{last});
}
// Ranges that begin and end on, before and behind the edges of entries of each level.
template <class F>
std::vector<input_range> ranges() {
  std::vector<input_range> all{lower<F>(0, page<F> - 1), at_the_end<F>(page<F>), at_the_end<F>(3 * page<F>),
                               lower<F>(0, F::shape.leaf_bytes(1) - 1)};
  for (int level = 1; level <= top<F>; ++level) {
    const std::uint64_t edge = F::shape.leaf_bytes(level);
    all.push_back(lower<F>(edge - page<F>, edge + page<F> - 1));
    all.push_back(lower<F>(page<F>, edge - page<F> - 1 < page<F> ? 2 * page<F> - 1 : edge - page<F> - 1));
    all.push_back(lower<F>(edge / 2, edge - 1 + edge / 2));
  }
  return all;
}

// One walk with each set of flags that stops at busy; compared with the reference on the way.
template <class F>
class walks {
  using compare_type = comparison<tree<F>, entry_calls>;

 public:
  const trace& operator()(unsigned flags, input_range range) {
    constexpr auto& all =
        every_walk<F, typename tree<F>::memory_type, typename compare_type::adapter, flag_sets(F::shape.levels) / 2>;
    if (const std::string text = compare_->with(all[flags], wanted_by(flags, F::shape.levels), *tree_, range, {});
        !text.empty())
      FAIL(text << " with flags " << flags);
    return compare_->calls();
  }
  [[nodiscard]] error result() const { return compare_->result(); }

 private:
  std::unique_ptr<tree<F>> tree_ = grown<F>();
  std::unique_ptr<compare_type> compare_ = std::make_unique<compare_type>(65536);
};

constexpr unsigned skip(unsigned levels) { return levels << 3U; }
constexpr bool skips(unsigned flags, int level) { return (flags & (8U << level)) != 0; }

std::vector<call> only(const trace& calls, auto&& wanted) {
  std::vector<call> kept;
  for (const call& c : calls)
    if (wanted(c)) kept.push_back(c);
  return kept;
}
std::vector<call> all_of(const trace& calls) { return {calls.begin(), calls.end()}; }

}  // namespace

QUIRE_TYPED_TEST("S3-3 POST comes for every table whose entries were skipped", formats) {
  walks<Format> walk_with;
  for (const input_range range : ranges<Format>()) {
    const auto posts = [](const call& c) { return c.kind == call_kind::post; };
    const auto expected = only(walk_with(leaf_calls | post_calls, range), posts);
    CHECK(!expected.empty());
    CHECK(only(walk_with(leaf_calls | post_calls | skip(1), range), posts) == expected);
    CHECK(only(walk_with(post_calls | skip(1), range), posts) == expected);
  }
  // PRE of the parent, its child left out, POST of the parent: nothing in between.
  const auto calls = all_of(walk_with(all_calls | skip(1), lower<Format>(0, 2 * page<Format> - 1)));
  REQUIRE(calls.size() == 2 * static_cast<std::size_t>(top<Format>));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const bool down = i < calls.size() / 2;
    CHECK(calls[i].kind == (down ? call_kind::pre : call_kind::post));
    CHECK(calls[i].level == (down ? top<Format> - static_cast<int>(i) : static_cast<int>(i) - top<Format> + 1));
  }
}

QUIRE_TYPED_TEST("S3-4 no flag brings a skipped level back", formats) {
  walks<Format> walk_with;
  for (const input_range range : ranges<Format>())
    for (unsigned flags = 0; flags < flag_sets(Format::shape.levels) / 2; ++flags)
      for (const call& c : walk_with(flags, range)) {
        if (skips(flags, c.level)) FAIL(text_of(c) << " with flags " << flags);
        if ((flags & (1U << static_cast<unsigned>(c.kind))) == 0) FAIL(text_of(c) << " with flags " << flags);
      }
}

QUIRE_TYPED_TEST("S3-5 deeper levels are reached through a skipped one", formats) {
  walks<Format> walk_with;
  constexpr unsigned every_level = (1U << Format::shape.levels) - 1;
  for (const input_range range : ranges<Format>()) {
    const auto unskipped = all_of(walk_with(all_calls, range));
    for (unsigned levels = 0; levels <= every_level; ++levels) {
      std::vector<call> expected;
      for (const call& c : unskipped)
        if (!skips(skip(levels), c.level)) expected.push_back(c);
      if (all_of(walk_with(all_calls | skip(levels), range)) != expected) FAIL("skipping levels " << levels);
      CHECK(walk_with.result() == error{});
    }
    CHECK(walk_with(all_calls | skip(every_level), range).size() == 0);
    // The start level alone, and a level that has no entries.
    CHECK(walk_with(all_calls | skip(1U << top<Format>), range).size() != 0);
  }
  static_assert(!(walk_flag::leaf | walk_flag::skip_level<top<Format> + 1>).skips(top<Format>));
}

QUIRE_TYPED_TEST("S3-7 ranges that begin or end in a table that is left out", formats) {
  walks<Format> walk_with;
  constexpr std::uint64_t block = Format::shape.leaf_bytes(1);
  constexpr std::uint64_t entries = Format::shape.entries(0);
  // Whatever pages of the first two tables of pages the range takes, the entries above them are the same.
  const auto whole = all_of(walk_with(all_calls | skip(1), lower<Format>(0, 2 * block - 1)));
  for (std::uint64_t first = 0; first < entries; first += entries / 2 + 1)
    for (std::uint64_t last = 0; last < entries; last += entries / 2 + 1)
      CHECK(all_of(walk_with(all_calls | skip(1),
                             lower<Format>(first * page<Format>, block + (last + 1) * page<Format> - 1))) == whole);
  // The end of the input space: the last entry of a root that may be several tables wide, and of each table below it.
  for (const std::uint64_t pages : {std::uint64_t{1}, std::uint64_t{2}, entries}) {
    const auto calls = all_of(walk_with(all_calls | skip(1), at_the_end<Format>(pages * page<Format>)));
    REQUIRE(calls.size() == 2 * static_cast<std::size_t>(top<Format>));
    for (const call& c : calls) CHECK(c.index == Format::shape.entries(c.level) - 1);
    CHECK(walk_with.result() == error{});
  }
}

// ---- S3-8

namespace {

enum class change { leaf, table, leaf_to_table, table_to_leaf };

template <class F>
struct answered {
  error result;
  std::vector<call> calls;
};

// Walks the first four entries of the first table of level 1: two tables, a leaf, nothing. The call for one of them has
// an answer of its own.
template <class F, bool GoOn>
answered<F> walk_answered(const tree<F>& start, call at, answer says) {
  using compare_type = comparison<tree<F>, entry_calls>;
  constexpr unsigned flags = all_calls + (GoOn ? flag_sets(F::shape.levels) / 2 : 0);
  compare_type compare(65536);
  const auto walk_it = [](typename tree<F>::memory_type& memory, table_address root, input_range range,
                          typename compare_type::adapter& visitor) {
    return walk<flags_by(flags, F::shape.levels), F>(memory, root, range, visitor);
  };
  const std::uint64_t last = 4 * F::shape.leaf_bytes(1) - 1;
  const std::string text = compare.with(walk_it, wanted_by(flags, F::shape.levels), start,
                                        lower<F>(0, last < lower_last<F> ? last : lower_last<F>),
                                        {.has_special = true, .special = at, .special_answer = says});
  REQUIRE(text == "");
  return {compare.result(), {compare.calls().begin(), compare.calls().end()}};
}

template <class F, bool GoOn>
void check_answers(change what) {
  const auto start = grown<F>();
  const bool on_table = what == change::table || what == change::table_to_leaf;
  const deed does = what == change::leaf_to_table   ? deed::make_table
                    : what == change::table_to_leaf ? deed::make_leaf
                                                    : deed::nothing;
  // Entry 1 of the first table of level 1 is a table; entry 2, or where there is none entry 1 made empty, is not.
  const std::size_t index = on_table || F::shape.entries(1) < 4 ? 1 : 2;
  const std::uint64_t address = index * F::shape.leaf_bytes(1);
  if (!on_table && index == 1) {
    auto memory = start->memory();
    const auto found = descend<F, order::relaxed, 1>(memory, start->root(), input_address{address});
    start->store(found.table, found.index, 0);
  }
  const call at{.kind = on_table ? call_kind::pre : call_kind::leaf, .level = 1, .address = address};
  const auto is_special = [&](const call& c) { return c.kind == at.kind && c.level == 1 && c.address == address; };
  const auto calls_for_it = [&](const std::vector<call>& calls, call_kind kind, int level) {
    std::size_t n = 0;
    for (const call& c : calls)
      if (c.kind == kind && c.level == level && c.address >= address && c.address < address + F::shape.leaf_bytes(1))
        ++n;
    return n;
  };

  const auto plain = walk_answered<F, GoOn>(*start, at, {does, errc::none});
  CHECK(plain.result == error{});
  const bool table_now = what == change::table || what == change::leaf_to_table;
  CHECK(calls_for_it(plain.calls, call_kind::leaf, 0) == (table_now ? F::shape.entries(0) : 0));
  CHECK(calls_for_it(plain.calls, call_kind::post, 1) == (table_now ? 1 : 0));
  CHECK(calls_for_it(plain.calls, call_kind::pre, 1) == (on_table ? 1 : 0));

  for (const errc says : {errc::busy, errc::no_memory}) {
    const auto told = walk_answered<F, GoOn>(*start, at, {does, says});
    if (GoOn && says == errc::busy) {
      // Passed over: the walk goes on as if nothing had been said, and is a success.
      CHECK(told.result == error{});
      CHECK(told.calls == plain.calls);
    } else {
      CHECK(told.result == error{says, 1, address});
      REQUIRE(!told.calls.empty());
      CHECK(is_special(told.calls.back()));  // nothing after it, no POST of the tables above
      REQUIRE(told.calls.size() <= plain.calls.size());
      CHECK(std::vector<call>(plain.calls.begin(),
                              plain.calls.begin() + static_cast<std::ptrdiff_t>(told.calls.size())) == told.calls);
    }
  }
}

}  // namespace

QUIRE_TYPED_TEST("S3-8 what a visitor answers is what the walk returns", formats) {
  for (const change what : {change::leaf, change::table, change::leaf_to_table, change::table_to_leaf}) {
    CAPTURE(static_cast<int>(what));
    check_answers<Format, false>(what);
    check_answers<Format, true>(what);
  }
}

// The same for POST: busy is passed over or not, and the tables above get theirs or not.
QUIRE_TYPED_TEST("S3-8 an answer to POST", formats) {
  const auto start = grown<Format>();
  const call at{.kind = call_kind::post, .level = 1, .address = 0};
  const auto plain = walk_answered<Format, false>(*start, at, {deed::nothing, errc::none});
  for (const errc says : {errc::busy, errc::no_memory}) {
    const auto stopped = walk_answered<Format, false>(*start, at, {deed::nothing, says});
    CHECK(stopped.result == error{says, 1, 0});
    REQUIRE(!stopped.calls.empty());
    CHECK((stopped.calls.back().kind == call_kind::post && stopped.calls.back().address == 0));
    const auto going = walk_answered<Format, true>(*start, at, {deed::nothing, says});
    CHECK(going.result == (says == errc::busy ? error{} : error{says, 1, 0}));
    CHECK(going.calls == (says == errc::busy ? plain.calls : stopped.calls));
  }
}
