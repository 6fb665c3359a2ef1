// SPDX-License-Identifier: MIT
// A descent finds what the walk over the one page finds.
#include <quire/walk/descend.hpp>

#include <memory>  // make_unique
#include <tuple>   // tuple

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/typed.hpp"
#include "walk/trees.hpp"

namespace {

using namespace quire;
using namespace quire_test;

// Keeps the entry that is no table, of a walk over one page.
template <class F>
struct keeps_leaf {
  typename small_tree<F>::memory_type* memory;
  found_entry<F> found{};
  int calls = 0;

  template <class Run>
  constexpr auto leaves(Run run) noexcept {
    using stop = run_stop<typename F::word>;
    const auto entry = memory->template load<typename F::word>(run.table, run.first, order::relaxed);
    if (F::kind_of(entry, Run::level) == entry_kind::table) return stop::at_table(run.first, entry);
    found = {run.table, run.first, entry, Run::level};
    ++calls;
    return stop::done();
  }
};

template <class F>
constexpr bool equal(const found_entry<F>& a, const found_entry<F>& b) {
  return a.table == b.table && a.index == b.index && a.entry == b.entry && a.level == b.level;
}

// The address that page number n of the input space begins with; sign-extended where the format does so.
template <class F>
constexpr input_address page_address(std::uint64_t n) {
  constexpr int bits = F::shape.input_bits();
  const std::uint64_t offset = n << F::shape.page_bits;
  return input_address{F::facts.sign_extended && offset >> (bits - 1) != 0 ? offset | ~std::uint64_t{0} << (bits - 1)
                                                                           : offset};
}

template <class F, int Floor>
constexpr bool stops_at_floor(small_tree<F>& tree, input_address at) {
  auto memory = tree.memory();
  const auto whole = descend<F>(memory, tree.root(), at);
  const auto found = descend<F, order::relaxed, Floor>(memory, tree.root(), at);
  if (whole.level >= Floor) return equal<F>(found, whole);
  return found.level == Floor && F::kind_of(found.entry, Floor) == entry_kind::table &&
         found.index == F::shape.index(at.value, Floor);
}

template <class F>
constexpr bool finds_what_the_walk_finds(small_tree<F>& tree, input_address page) {
  auto memory = tree.memory();
  keeps_leaf<F> keeps{&memory};
  const error result = walk < walk_flag::leaf | walk_flag::stop_on_retry,
              F > (memory, tree.root(), input_range::sized(page, F::shape.page_bytes()), keeps);
  const bool found =
      equal<F>(descend<F>(memory, tree.root(), page), keeps.found) &&
      equal<F>(descend<F, order::relaxed>(memory, tree.root(), page + (F::shape.page_bytes() - 1)), keeps.found);
  return result == error{} && keeps.calls == 1 && found && stops_at_floor<F, 0>(tree, page) &&
         stops_at_floor<F, 1>(tree, page) && stops_at_floor<F, F::shape.root_level>(tree, page);
}

template <class F>
constexpr bool finds_every_page(tree_kind kind, std::uint64_t seed) {
  small_tree<F> tree{kind, seed};
  for (std::uint64_t n = 0; n < std::uint64_t{1} << (F::shape.input_bits() - F::shape.page_bits); ++n)
    if (!finds_what_the_walk_finds(tree, page_address<F>(n))) return false;
  return true;
}

static_assert(finds_every_page<tiny::signed_input>(tree_kind::mixed, 1));
static_assert(finds_every_page<tiny::deep>(tree_kind::mixed, 2));
static_assert(finds_every_page<tiny::plain>(tree_kind::holes, 3));

}  // namespace

QUIRE_TYPED_TEST("a descent finds what the walk finds", quire_test::tiny_formats) {
  for (const tree_kind kind : every_tree)
    for (std::uint64_t seed = 1; seed <= 8; ++seed) CHECK(finds_every_page<Format>(kind, seed));
}
