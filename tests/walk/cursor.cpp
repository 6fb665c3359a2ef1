// SPDX-License-Identifier: MIT
// A walk that is put down behind every entry, or before it, meets the entries that a walk meets.
#include <quire/walk/cursor.hpp>

#include <cstdint>  // uint64_t
#include <vector>   // vector

#include <quire/table/range.hpp>  // input_space_of

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/typed.hpp"
#include "walk/trees.hpp"

namespace {

using namespace quire;
using quire_test::small_tree, quire_test::tree_kind;

struct met {
  table_address table;
  std::size_t index;
  int level;
  input_address address;
  friend bool operator==(const met&, const met&) = default;
};

// Writes down every entry that is no table. `pause`: puts the walk down behind each; `before`: also before each.
template <class F>
struct writes_down {
  using stop = run_stop<typename F::word>;
  small_tree<F>* tree;
  std::vector<met>* all;
  bool pause = false;
  bool before = false;
  bool paused_before = false;

  template <class Run>
  stop leaves(Run run) {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const auto entry = tree->load(run.table, i);
      if (F::kind_of(entry, Run::level) == entry_kind::table) return stop::at_table(i, entry);
      paused_before = before && !paused_before;
      if (paused_before) return stop::retry(i);
      all->push_back({run.table, i, Run::level, run.address(i)});
      if (pause) return stop::failed(i, errc::stopped);
    }
    return stop::done();
  }
};

template <class F>
std::vector<met> by_walk(small_tree<F>& tree, input_range range) {
  std::vector<met> all;
  auto memory = tree.memory();
  const error ended =
      walk<(walk_flag::leaf | walk_flag::stop_on_retry), F>(memory, tree.root(), range, writes_down<F>{&tree, &all});
  CHECK(ended.code == errc::none);
  return all;
}
template <class F>
std::vector<met> by_cursor(small_tree<F>& tree, input_range range, bool pause, bool before) {
  std::vector<met> all;
  writes_down<F> visitor{&tree, &all, pause, before};
  cursor<F> place{tree.root(), range};
  std::size_t stops = 0, retries = 0;
  for (errc said = place.resume(visitor); said != errc::none; said = place.resume(visitor)) {
    if (said == errc::busy) ++retries;
    else ++stops;
    if (said == errc::stopped && place.level() != all.back().level) return {};
  }
  CHECK(stops == (pause ? all.size() : 0));
  CHECK(retries == (before ? all.size() : 0));
  CHECK(place.resume(visitor) == errc::none);  // arrived, and stays so
  return all;
}

}  // namespace

QUIRE_TYPED_TEST("a cursor meets what a walk meets", quire_test::chosen_of<quire_test::tiny_formats>) {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  for (const tree_kind kind : quire_test::every_tree) {
    small_tree<Format> tree{kind, 7};
    for (const input_range half : {input_space_of<Format>.lower, input_space_of<Format>.upper}) {
      if (half.defect() != errc::none) continue;
      const std::uint64_t pages = (half.last() - half.first()) / page + 1, step = pages / 12 + 1;
      for (std::uint64_t first = 0; first < pages; first += step)
        for (std::uint64_t last = first; last < pages; last += step) {
          const auto range =
              input_range::closed(half.first() + first * page, half.first() + (last * page + (page - 1)));
          const std::vector<met> wanted = by_walk(tree, range);
          CHECK((by_cursor(tree, range, false, false) == wanted));
          CHECK((by_cursor(tree, range, true, false) == wanted));
          CHECK((by_cursor(tree, range, true, true) == wanted));
        }
    }
  }
}

TEST_CASE("a copy of a cursor is a walk of its own, and one that was made of nothing has arrived") {
  using format = tiny::plain;
  small_tree<format> tree{tree_kind::mixed, 3};
  const input_range range = input_space_of<format>.lower;
  std::vector<met> first, second;
  writes_down<format> visitor{&tree, &first, true};
  cursor<format> place{tree.root(), range};
  for (int i = 0; i < 3; ++i) REQUIRE(place.resume(visitor) == errc::stopped);
  cursor<format> copy = place;
  second = first;
  while (place.resume(visitor) != errc::none) {
  }
  writes_down<format> other{&tree, &second, true};
  while (copy.resume(other) != errc::none) {
  }
  CHECK((first == second));
  CHECK((first == by_walk(tree, range)));

  cursor<format> nothing;
  CHECK(nothing.resume(visitor) == errc::none);
}
