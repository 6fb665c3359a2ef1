// SPDX-License-Identifier: MIT
// The tables that are shown are those that a plain walk reaches, in its order, on every format.
#include <quire/views/tables.hpp>

#include <random>  // mt19937_64
#include <vector>  // vector

#include <range/v3/range/concepts.hpp>  // forward_range

#include <quire/check/naive_walk.hpp>  // visit_entries

#include "catch.hpp"
#include "support/typed.hpp"
#include "views/made_session.hpp"

namespace {

using namespace quire;
using quire_test::healthy, quire_test::made_guest, quire_test::made_tables;
using views::found_table;

template <class View>
std::vector<found_table> all_of(View&& view) {
  std::vector<found_table> found;
  for (const found_table& one : view) found.push_back(one);
  return found;
}

// Parents first; those that translate a part of the range. The root's range is what it is in the lower half.
template <class F>
std::vector<found_table> reached(healthy<F>& made, input_range range) {
  const auto memory = made.memory();
  std::vector<found_table> all{{made.root(), F::shape.root_level, input_space_of<F>.lower}};
  check::visit_entries<F>(memory, made.root(), [&](const check::visited_entry<F>& entry) {
    if (entry.kind != entry_kind::table) return;
    const auto input = input_range::closed(input_address{entry.first}, input_address{entry.last});
    if (input.overlaps(range)) all.push_back({F::table_of(entry.word, entry.level), entry.level - 1, input});
  });
  return all;
}

}  // namespace

QUIRE_TYPED_TEST("tables come parents first, in ascending order", quire_test::chosen_formats) {
  constexpr input_space space = input_space_of<Format>;
  std::mt19937_64 random{5};
  std::size_t tables = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    healthy<Format> made{seed};
    made_guest<Format> guest{made};
    auto session = guest.exclusive();
    const auto everything = input_range::closed(input_address{0}, input_address{~std::uint64_t{0}});
    const auto all = all_of(session | views::tables);
    CHECK((all == reached(made, everything)));
    CHECK(all.size() == check::count_tables<Format>(made.memory(), made.root()));
    tables += all.size();
    for (int ranges = 0; ranges < 10; ++ranges) {
      const std::uint64_t page = Format::shape.page_bytes();
      const std::uint64_t one = random() & space.lower.last().value & ~(page - 1);
      const std::uint64_t other = random() & space.lower.last().value & ~(page - 1);
      const auto range = input_range::closed(input_address{one < other ? one : other},
                                             input_address{(one < other ? other : one) + (page - 1)});
      CHECK((all_of(session | views::tables(range)) == reached(made, range)));
    }
  }
  CHECK(tables > 10);
}

TEST_CASE("the root of two halves is that of the half that is asked for") {
  using format = tiny::signed_input;
  made_tables<format> made{1};
  made_guest<format> guest{made};
  constexpr input_space space = input_space_of<format>;
  constexpr int top = format::shape.root_level;
  CHECK(all_of(guest | views::tables) == std::vector{found_table{made.root(), top, space.lower}});
  CHECK(all_of(guest | views::tables(space.upper)) == std::vector{found_table{made.root(), top, space.upper}});

  made.put(made.root(), format::shape.entries(top) - 1, format::table(made.table(0), top));
  const auto all = all_of(guest | views::tables);
  REQUIRE(all.size() == 2);
  CHECK(all[1].input.last() == space.upper.last());
}

TEST_CASE("tables of level 0 are not read") {
  using format = tiny::plain;
  made_tables<format> made{2};
  made_guest<format> guest{made};
  made.put(made.root(), 1, format::table(made.table(0), 2));
  made.put(made.table(0), 2, format::table(table_address{0xdead'0000}, 1));  // would be out of the words
  const auto all = all_of(guest | views::tables);
  REQUIRE(all.size() == 3);
  CHECK(all[2].table == table_address{0xdead'0000});
  CHECK(all[2].level == 0);
  STATIC_REQUIRE(ranges::forward_range<decltype(guest | views::tables)>);
  STATIC_REQUIRE(ranges::borrowed_range<decltype(guest | views::tables)>);
}
