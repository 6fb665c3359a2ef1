// SPDX-License-Identifier: MIT
// Views of mappings show what for_each_mapping shows, on every format, over any range.
#include <quire/views/mappings.hpp>

#include <random>  // mt19937_64
#include <vector>  // vector

#include <quire/check/flat_model.hpp>  // flat_model
#include <quire/check/naive_walk.hpp>  // naive_walk

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"
#include "table/small.hpp"
#include "views/made_session.hpp"

namespace {

using namespace quire;
using quire_test::healthy, quire_test::made_guest;

template <class View>
std::vector<mapping> all_of(View&& view) {
  std::vector<mapping> found;
  for (const mapping& one : view) found.push_back(one);
  return found;
}
template <class Session>
std::vector<mapping> told(Session& session, input_range range) {
  std::vector<mapping> found;
  CHECK(session.for_each_mapping(range, [&](const mapping& one) { found.push_back(one); }));
  return found;
}
template <class Session>
std::vector<mapping> told(Session& session) {
  constexpr input_space space = input_space_of<typename Session::format>;
  std::vector<mapping> found = told(session, space.lower);
  if (space.upper.defect() != errc::none) return found;
  for (const mapping& one : told(session, space.upper)) found.push_back(one);
  return found;
}
std::vector<mapping> dirty_of(std::vector<mapping> all) {
  std::erase_if(all, [](const mapping& one) { return !one.attrs.dirty; });
  return all;
}

// Compares without a text of every mapping.
template <class A, class B>
bool same(const A& a, const B& b) {
  return a == b;
}

template <class F>
std::vector<mapping> leaves_of(healthy<F>& made) {
  check::naive_walk<F> walked;
  walked.read(made.memory(), made.root());
  std::vector<mapping> all;
  for (const auto& leaf : walked.leaves)
    all.push_back({leaf.first, leaf.output, leaf.bytes(), leaf.attrs, leaf.level, leaf.group});
  return all;
}

template <class F>
input_range random_range(std::mt19937_64& random) {
  constexpr input_space space = input_space_of<F>;
  const input_range half = space.upper.defect() == errc::none && random() % 2 == 0 ? space.upper : space.lower;
  const std::uint64_t last_page = (half.last() - half.first()) >> F::shape.page_bits;
  const auto any = [&] {
    // Near each other or far apart, whatever the size of the space.
    const std::uint64_t mask = ~std::uint64_t{0} >> (random() % 64);
    return last_page == ~std::uint64_t{0} ? random() & mask : (random() & mask) % (last_page + 1);
  };
  const std::uint64_t one = any(), other = any();
  const std::uint64_t first = one < other ? one : other, last = one < other ? other : one;
  return input_range::closed(half.first() + (first << F::shape.page_bits),
                             half.first() + (((last + 1) << F::shape.page_bits) - 1));
}

}  // namespace

QUIRE_TYPED_TEST("views show the mappings that for_each_mapping shows", quire_test::chosen_formats) {
  std::mt19937_64 random{1};
  std::size_t mappings = 0, dirty = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    healthy<Format> made{seed};
    made_guest<Format> guest{made};
    auto session = guest.exclusive();
    const std::vector<mapping> all = told(session);
    REQUIRE(same(all_of(session | views::mappings), all));
    REQUIRE(same(all_of(guest | views::mappings), all));
    REQUIRE(same(leaves_of(made), all));
    mappings += all.size();
    if constexpr (Format::facts.has_dirty) {
      REQUIRE(same(all_of(session | views::dirty_mappings), dirty_of(all)));
      dirty += dirty_of(all).size();
    }
    for (int ranges = 0; ranges < 20; ++ranges) {
      const input_range range = random_range<Format>(random);
      INFO("seed " << seed << ", " << range.first().value << " to " << range.last().value);
      REQUIRE(same(all_of(session | views::mappings(range)), told(session, range)));
      if constexpr (Format::facts.has_dirty)
        REQUIRE(same(all_of(session | views::dirty_mappings(range)), dirty_of(told(session, range))));
    }
  }
  CHECK(mappings > 0);
  CHECK((dirty > 0) == Format::facts.has_dirty);
}

QUIRE_TYPED_TEST("views begin and end anywhere", quire_test::chosen_of<quire_test::tiny_formats>) {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  for (std::uint64_t seed = 1; seed <= quire_test::scaled(4); ++seed) {
    healthy<Format> made{seed};
    made_guest<Format> guest{made};
    auto session = guest.exclusive();
    std::size_t differing = 0;
    for (const input_range half : {input_space_of<Format>.lower, input_space_of<Format>.upper}) {
      if (half.defect() != errc::none) continue;
      const std::uint64_t pages = (half.last() - half.first()) / page + 1;
      const std::uint64_t step = pages > 128 ? 3 : 1;
      for (std::uint64_t first = 0; first < pages; first += step)
        for (std::uint64_t last = first; last < pages; last += step) {
          const auto range =
              input_range::closed(half.first() + first * page, half.first() + (last * page + (page - 1)));
          const std::vector<mapping> wanted = told(session, range);
          differing += same(all_of(session | views::mappings(range)), wanted) ? 0U : 1U;
        }
    }
    CHECK(differing == 0);
  }
}

namespace {

// The flat model after the same operations, leaf by leaf.
template <class F>
std::vector<mapping> leaves_of(const check::flat_model<F>& model) {
  std::vector<mapping> all;
  for (std::size_t page = 0; page < model.size();) {
    const auto& one = model[page];
    const std::size_t count = one.kind == entry_kind::leaf ? model.leaf_of(page).count : 1;
    if (one.kind == entry_kind::leaf)
      all.push_back({model.address_of(page), output_address{one.output}, count * F::shape.page_bytes(), one.attrs,
                     one.level, one.group});
    page += count;
  }
  return all;
}

using modelled_formats =
    std::tuple<tiny::plain, tiny::wide_root, tiny::grouped, tiny::napot_sizes, tiny::dbm, tiny::deep, tiny::bbm>;

}  // namespace

QUIRE_TYPED_TEST("views show what the flat model has after any operations", quire_test::chosen_of<modelled_formats>) {
  constexpr std::uint64_t page = quire_test::page;
  constexpr std::uint64_t space = input_space_of<Format>.lower.last().value / page + 1;
  constexpr std::uint64_t window = space < 64 ? space : 64;
  std::mt19937_64 random{3};
  std::size_t mappings = 0;
  for (std::uint64_t round = 0; round < quire_test::scaled(20); ++round) {
    quire_test::bare_stand<Format> stand({.pages = window, .tables = 160});
    REQUIRE(stand.table.create());
    check::flat_model<Format> model{input_address{0}, window};
    auto session = stand.session();
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t first = random() % window, count = 1 + random() % (window - first);
      const auto range = quire_test::pages(first, count);
      switch (random() % 4) {
        case 0:
        case 1: {
          const attributes wanted{.allowed = random() % 2 == 0 ? readable : read_write, .may_write = true};
          const output_address output{(random() % 2 == 0 ? first : random() % window) * page};
          const auto done = session.map(range, output, wanted, {.replace = true});
          const auto modelled = model.map(first, count, output, wanted, Format::shape.root_level, true);
          REQUIRE(done.has_value() == modelled.has_value());
          break;
        }
        case 2: {
          const bool done = session.unmap(range).has_value();
          REQUIRE(done == model.unmap(first, count).has_value());
          break;
        }
        default:
          REQUIRE(session.split(range));
          static_cast<void>(model.split(first, count, 0));
          break;
      }
      const std::vector<mapping> wanted = leaves_of(model);
      mappings += wanted.size();
      REQUIRE(same(all_of(session | views::mappings), wanted));
    }
  }
  CHECK(mappings > 0);
}
