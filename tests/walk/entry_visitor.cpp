// SPDX-License-Identifier: MIT
// A visitor of runs and the adapter for visitors of entries make the same calls: both are compared with the reference.
// (With more formats and more ranges, the adapter in walker.cpp.)
#include <quire/walk/entry_visitor.hpp>

#include <memory>  // make_unique
#include <string>  // string
#include <tuple>   // tuple
#include <vector>  // vector

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"
#include "walk/reference.hpp"

namespace {

using namespace quire;
using namespace quire_test;

}  // namespace

// As good as comparing with the adapter, which makes the reference's calls too: walker.cpp.
QUIRE_TYPED_TEST("runs bring the calls of single entries", std::tuple<tiny::plain, tiny::wide_root, tiny::deep>) {
  using tree = small_tree<Format>;
  const auto ranges = some_ranges<Format>(static_cast<std::size_t>(scaled(300)));
  for (const script& part : {script{}, script{.busy = 16}, script{.busy = 8, .fails = 8},
                             script{.busy = 16, .makes_tables = 64, .makes_leaves = 32},
                             script{.fails = 4, .makes_tables = 64, .makes_leaves = 64, .seed = 7}})
    for (const tree_kind kind : every_tree) {
      const auto start = std::make_unique<tree>(kind);
      const auto compare = std::make_unique<comparison<tree, run_calls>>();
      for (unsigned flags = 0; flags < flag_sets(Format::shape.levels); ++flags)
        for (const input_range range : ranges)
          if (const std::string text = (*compare)(*start, flags, range, part); !text.empty()) FAIL(text);
    }
}

// And once without the reference between them.
TEST_CASE("a run visitor and the adapter side by side") {
  using tree = small_tree<tiny::signed_input>;
  for (const script& part : {script{}, script{.busy = 64, .makes_tables = 64, .makes_leaves = 64}})
    for (const tree_kind kind : every_tree) {
      const tree start{kind};
      comparison<tree, entry_calls> entries;
      comparison<tree, run_calls> runs;
      for (unsigned flags = 0; flags < flag_sets(2); ++flags)
        for (const input_range range : some_ranges<tiny::signed_input>(100)) {
          CHECK(entries(start, flags, range, part) == "");
          CHECK(runs(start, flags, range, part) == "");
          CHECK(difference(runs.calls(), entries.calls()) == "");
          CHECK(entries.result() == runs.result());
        }
    }
}

// ---- the adapter by itself, with runs made by hand

namespace {

using format = tiny::plain;
using tree_type = small_tree<format>;
using stop_type = run_stop<std::uint64_t>;

struct outcome {
  stop_type stop;
  std::vector<call> calls;
};

// A root with a leaf, a table, nothing and a leaf; the adapter is given [first, last].
template <bool PassesTables, bool Shared = false>
outcome adapt(std::size_t first, std::size_t last, const script& part = {}) {
  tree_type tree;
  tree.store(tree.root(), 0, tree.leaf_at(1, 0));
  tree.store(tree.root(), 1, tree.table_at(1, 256));
  tree.store(tree.root(), 3, tree.leaf_at(1, 768));
  call buffer[8]{};
  trace log{buffer, 8};
  actor<tree_type> who{&tree, &log, part};
  entry_calls<actor<tree_type>> calls{{&who}};
  auto memory = tree.memory();
  each_entry<tree_type::memory_type, entry_calls<actor<tree_type>>, Shared> adapter{memory, calls};
  const stop_type stop = adapter.leaves(entry_run<format, 1, PassesTables>{tree.root(), 0x1000, first, last});
  return {stop, {log.begin(), log.end()}};
}

script answers(std::size_t index, deed does, errc says) {
  return {
      .has_special = true, .special = {.level = 1, .address = 0x1000 + 256 * index}, .special_answer = {does, says}};
}

}  // namespace

TEST_CASE("a run ends at a table unless tables are passed") {
  const outcome stopped = adapt<false>(0, 3);
  CHECK(stopped.stop.why == stop_reason::at_table);
  CHECK(stopped.stop.index == 1);
  CHECK(format::kind_of(stopped.stop.entry, 1) == entry_kind::table);
  REQUIRE(stopped.calls.size() == 1);
  CHECK(stopped.calls[0] == call{call_kind::leaf, 1, tree_type::base, 0, 0x1000, tree_type::leaf_at(1, 0)});

  const outcome passed = adapt<true>(0, 3);
  CHECK(passed.stop.why == stop_reason::done);
  REQUIRE(passed.calls.size() == 3);
  CHECK(passed.calls[1].index == 2);
  CHECK(passed.calls[1].entry == 0);
  CHECK(passed.calls[2].address == 0x1000 + 768);

  CHECK(adapt<false>(2, 3).stop.why == stop_reason::done);
  CHECK(adapt<false>(2, 2).calls.size() == 1);
  CHECK(adapt<false, true>(0, 3).stop.why == stop_reason::at_table);
}

TEST_CASE("a run ends at the entry that became a table, or whose visitor said so") {
  const outcome made = adapt<false>(2, 3, answers(2, deed::make_table, errc::none));
  CHECK(made.stop.why == stop_reason::made_table);
  CHECK(made.stop.index == 2);
  CHECK(format::kind_of(made.stop.entry, 1) == entry_kind::table);
  CHECK(made.calls.size() == 1);
  CHECK(adapt<true>(2, 3, answers(2, deed::make_table, errc::none)).calls.size() == 2);

  for (const deed does : every_deed) {
    const outcome retried = adapt<false>(2, 3, answers(2, does, errc::busy));
    CHECK(retried.stop.why == stop_reason::retry);
    CHECK(retried.stop.index == 2);
    const outcome failed = adapt<false>(2, 3, answers(2, does, errc::no_memory));
    CHECK(failed.stop.why == stop_reason::failed);
    CHECK(failed.stop.code == errc::no_memory);
    CHECK(failed.stop.index == 2);
    CHECK(failed.calls.size() == 1);
  }
}
