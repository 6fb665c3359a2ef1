// SPDX-License-Identifier: MIT
// The walker against a reference that recurses: every set of flags, on trees of all kinds, with visitors that change
// them. Visitors of entries here; visitors of runs in entry_visitor.cpp.
#include <quire/walk/walker.hpp>

#include <memory>   // make_unique
#include <string>   // string
#include <tuple>    // tuple
#include <utility>  // integer_sequence
#include <vector>   // vector

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"
#include "walk/reference.hpp"

namespace {

using namespace quire;
using namespace quire_test;

// Two, three and four levels; wide roots; 32-bit entries; input in two halves.
using walked_formats = std::tuple<tiny::plain, tiny::wide_root, tiny::narrow32, tiny::signed_input, tiny::deep>;

// Every set of flags on every tree and range of `most`, with a visitor that does as `part` says.
template <class F>
std::string first_difference(std::size_t most, const script& part) {
  using tree = small_tree<F>;
  const auto ranges = some_ranges<F>(static_cast<std::size_t>(scaled(most)));
  for (const tree_kind kind : every_tree) {
    const auto start = std::make_unique<tree>(kind);
    const auto compare = std::make_unique<comparison<tree, entry_calls>>();
    for (unsigned flags = 0; flags < flag_sets(F::shape.levels); ++flags)
      for (const input_range range : ranges)
        if (std::string text = (*compare)(*start, flags, range, part); !text.empty())
          return text + " in tree " + std::to_string(static_cast<int>(kind));
  }
  return {};
}

}  // namespace

// All 2080 ranges of `plain`; the others have more of them, or so few that it hardly matters.
QUIRE_TYPED_TEST("the calls are those of the reference", walked_formats) {
  REQUIRE(first_difference<Format>(2080, {.busy = 8}) == "");
}
QUIRE_TYPED_TEST("the calls are those of the reference when a visitor fails", walked_formats) {
  REQUIRE(first_difference<Format>(300, {.busy = 16, .fails = 16}) == "");
}
QUIRE_TYPED_TEST("entries are judged anew after each call", walked_formats) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    REQUIRE(first_difference<Format>(40, {.makes_tables = 48, .makes_leaves = 48, .seed = seed}) == "");
    REQUIRE(first_difference<Format>(
                40, {.busy = 32, .fails = 8, .makes_tables = 48, .makes_leaves = 48, .seed = seed}) == "");
  }
}

// Each call of each walk in turn changes the entry or not, and says one thing or another.
QUIRE_TYPED_TEST("one call changes the tree or fails", std::tuple<tiny::plain, tiny::wide_root, tiny::deep>) {
  using tree = small_tree<Format>;
  const auto ranges = some_ranges<Format>(static_cast<std::size_t>(scaled(8)));
  for (const tree_kind kind : {tree_kind::pages, tree_kind::blocks, tree_kind::mixed}) {
    const auto start = std::make_unique<tree>(kind);
    const auto compare = std::make_unique<comparison<tree, entry_calls>>();
    for (unsigned flags = 0; flags < flag_sets(Format::shape.levels); ++flags)
      for (const input_range range : ranges) {
        REQUIRE((*compare)(*start, flags, range, {}) == "");
        const std::vector<call> calls(compare->calls().begin(), compare->calls().end());
        const std::size_t stride = calls.size() / 16 + 1;  // a sample of the calls of a long walk
        for (std::size_t i = flags % stride; i < calls.size(); i += stride)
          for (const deed does : every_deed)
            for (const errc says : {errc::none, errc::busy, errc::no_memory})
              if (const std::string text = (*compare)(
                      *start, flags, range, {.has_special = true, .special = calls[i], .special_answer = {does, says}});
                  !text.empty())
                FAIL(text << " after " << text_of(calls[i]));
      }
  }
}

// ---- what is written in walker.hpp, said once more by hand

namespace {

constexpr unsigned leaf_only = 1, all_calls = 7;
constexpr unsigned skip(unsigned level) { return 8U << level; }

template <class F>
constexpr input_range everything =
    input_range::closed(input_address{0}, input_address{F::shape.table_last_offset(F::shape.root_level)});

// The order of the calls of one walk, a letter and a level each: L2 leaf, ( pre, ) post.
template <class F>
std::string calls_of(unsigned flags, const small_tree<F>& start, input_range range, const script& part = {}) {
  comparison<small_tree<F>, entry_calls> compare;
  REQUIRE(compare(start, flags, range, part) == "");
  std::string text;
  for (const call& c : compare.calls())
    text += (c.kind == call_kind::leaf ? "L" : c.kind == call_kind::pre ? "(" : ")") + std::to_string(c.level) + " ";
  return text;
}

// A tree of `plain` that leads to page 0, with nothing else.
small_tree<tiny::plain> one_path() {
  small_tree<tiny::plain> tree;
  const table_address middle = tree.take(), bottom = tree.take();
  tree.store(tree.root(), 0, tiny::plain::table(middle, 2));
  tree.store(middle, 0, tiny::plain::table(bottom, 1));
  tree.store(bottom, 0, tree.leaf_at(0, 0));
  return tree;
}
constexpr input_range first_page = input_range::sized(input_address{0}, 64);

}  // namespace

TEST_CASE("the order of the calls on one path") {
  const auto tree = one_path();
  CHECK(calls_of<tiny::plain>(all_calls, tree, first_page) == "(2 (1 L0 )1 )2 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(0), tree, first_page) == "(2 (1 )1 )2 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(1), tree, first_page) == "(2 L0 )2 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(2), tree, first_page) == "(1 L0 )1 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(0) | skip(1), tree, first_page) == "(2 )2 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(0) | skip(1) | skip(2), tree, first_page).empty());
  CHECK(calls_of<tiny::plain>(0, tree, first_page).empty());
  CHECK(calls_of<tiny::plain>(leaf_only, tree, input_range::sized(input_address{0}, 256 * 2)) == "L0 L0 L0 L0 L1 ");
}

TEST_CASE("a table that a leaf call makes brings its entries and POST but no PRE") {
  const small_tree<tiny::plain> empty;
  const script makes{.has_special = true, .special = {.level = 2}, .special_answer = {deed::make_table, errc::none}};
  CHECK(calls_of<tiny::plain>(all_calls, empty, first_page, makes) == "L2 L1 )2 ");
  CHECK(calls_of<tiny::plain>(all_calls | skip(0) | skip(1), empty, first_page, makes) == "L2 )2 ");
  CHECK(calls_of<tiny::plain>(leaf_only | skip(1), empty, first_page, makes) == "L2 ");
}

TEST_CASE("a table that PRE turns into a leaf brings nothing more") {
  const script folds{.has_special = true,
                     .special = {.kind = call_kind::pre, .level = 1},
                     .special_answer = {deed::make_leaf, errc::none}};
  CHECK(calls_of<tiny::plain>(all_calls, one_path(), first_page, folds) == "(2 (1 )2 ");
}

TEST_CASE("the last entry of the input space") {
  using format = tiny::plain;
  const auto last = input_range::closed(input_address{format::shape.table_last_offset(2) - 63},
                                        input_address{format::shape.table_last_offset(2)});
  CHECK(calls_of<format>(all_calls, small_tree<format>{tree_kind::pages}, last) == "(2 (1 L0 )1 )2 ");
  using halves = tiny::signed_input;
  const auto top = input_range::closed(input_address{~std::uint64_t{63}}, input_address{~std::uint64_t{0}});
  CHECK(calls_of<halves>(all_calls, small_tree<halves>{tree_kind::pages}, top) == "(1 L0 )1 ");
}

TEST_CASE("addresses of the upper half keep their sign") {
  using format = tiny::deep;
  static_assert(format::facts.sign_extended && format::shape.input_bits() == 10);
  const auto half = input_range::closed(input_address{~std::uint64_t{0x1ff}}, input_address{~std::uint64_t{0}});
  comparison<small_tree<format>, entry_calls> compare;
  REQUIRE(compare(small_tree<format>{tree_kind::pages}, leaf_only, half, {}) == "");
  REQUIRE(compare.calls().size() == 8);
  for (std::size_t i = 0; i < 8; ++i) CHECK(compare.calls()[i].address == ~std::uint64_t{0x1ff} + 64 * i);
}

// ---- what is read

namespace {

// Counts loads by order.
class counting_memory : public array_memory<std::uint64_t> {
 public:
  struct counts {
    std::size_t relaxed = 0;
    std::size_t others = 0;
  };
  counting_memory(array_memory<std::uint64_t> base, counts& to) : array_memory(base), counts_(&to) {}

  template <class Word>
  [[nodiscard]] Word load(table_address table, std::size_t i, order o) const noexcept {
    ++(o == order::relaxed ? counts_->relaxed : counts_->others);
    return array_memory::load<Word>(table, i, o);
  }

 private:
  counts* counts_;
};

// Does nothing at all; the run ends at the first table, as ever.
struct no_one {
  small_tree<tiny::plain>* tree;

  template <class Run>
  run_stop<std::uint64_t> leaves(Run run) {
    if constexpr (!Run::passes_tables)
      for (std::size_t i = run.first; i <= run.last; ++i)
        if (const auto entry = tree->load(run.table, i); tiny::plain::kind_of(entry, Run::level) == entry_kind::table)
          return run_stop<std::uint64_t>::at_table(i, entry);
    return run_stop<std::uint64_t>::done();
  }
  template <class Position>
  errc table_pre(const Position&) {
    return errc::none;
  }
  template <class Position>
  errc table_post(const Position&) {
    return errc::none;
  }
};

template <walk_flags Flags>
counting_memory::counts loads_of() {
  small_tree<tiny::plain> tree{tree_kind::pages};
  counting_memory::counts counts;
  counting_memory memory{tree.memory(), counts};
  const error result = walk < Flags | walk_flag::stop_on_retry,
              tiny::plain > (memory, tree.root(), everything<tiny::plain>, no_one{&tree});
  CHECK(result == error{});
  return counts;
}

}  // namespace

// 64 pages in 16 tables, these in 4, these in the root.
TEST_CASE("tables that nobody asked for are not read") {
  using namespace walk_flag;
  CHECK(loads_of<walk_flags{}>().relaxed == 0);
  CHECK(loads_of<leaf>().relaxed == 0);  // the visitor reads, the walker does not
  CHECK(loads_of<table_post>().relaxed == 4 + 16);
  CHECK(loads_of<table_pre>().relaxed == 2 * (4 + 16));  // and again after each call
  CHECK(loads_of<table_pre | table_post>().relaxed == 2 * (4 + 16));
  CHECK(loads_of<table_post | skip_level<1>>().relaxed == 4);
  CHECK(loads_of<table_post | skip_level<1> | skip_level<2>>().relaxed == 0);
  CHECK(loads_of<leaf | skip_level<1> | skip_level<2>>().relaxed == 4 + 16);
  CHECK(loads_of<leaf | skip_level<0> | skip_level<1> | skip_level<2>>().relaxed == 0);
}

TEST_CASE("beside other software, entries are read with acquire order") {
  using namespace walk_flag;
  CHECK(loads_of<table_pre | table_post>().others == 0);
  CHECK(loads_of<table_pre | table_post | shared>().relaxed == 0);
  CHECK(loads_of<table_pre | table_post | shared>().others == 2 * (4 + 16));
}

// ---- in constant evaluation

namespace {

template <class F, unsigned Flags>
constexpr bool constant_walk_agrees(tree_kind kind, input_range range, const script& part) {
  call walked_calls[64]{}, expected_calls[64]{};
  trace walked{walked_calls, 64}, expected{expected_calls, 64};
  small_tree<F> tree{kind}, copy = tree;
  actor<small_tree<F>> who{&tree, &walked, part}, judge{&copy, &expected, part};
  auto memory = tree.memory();
  entry_calls<actor<small_tree<F>>> calls{{&who}};
  const error got = walk<flags_by(Flags, F::shape.levels), F>(memory, tree.root(), range, each_entry{memory, calls});
  const error wanted = reference_walk<small_tree<F>>{wanted_by(Flags, F::shape.levels), judge}(range);
  return walked == expected && got == wanted && tree == copy && walked.size() <= 64;
}

// One evaluation for each set of flags: compilers count the steps.
template <class F, unsigned Flags>
inline constexpr bool constant_walks_agree =
    constant_walk_agrees<F, Flags>(tree_kind::mixed, input_range::sized(input_address{64}, 448), {.busy = 16}) &&
    constant_walk_agrees<F, Flags>(tree_kind::pages, input_range::sized(input_address{192}, 320),
                                   {.busy = 16, .fails = 4, .makes_tables = 64, .makes_leaves = 64});
template <class F, unsigned... Flags>
consteval bool all_constant_walks_agree(std::integer_sequence<unsigned, Flags...>) {
  return (constant_walks_agree<F, Flags> && ...);
}

static_assert(all_constant_walks_agree<tiny::plain>(std::make_integer_sequence<unsigned, flag_sets(3)>{}));
static_assert(constant_walk_agrees<tiny::signed_input, 7>(
    tree_kind::pages, input_range::closed(input_address{~std::uint64_t{127}}, input_address{~std::uint64_t{0}}), {}));
static_assert(constant_walk_agrees<tiny::deep, 7 + 8 * 2>(tree_kind::mixed, input_range::sized(input_address{0}, 512),
                                                          {.makes_tables = 64}));

}  // namespace
