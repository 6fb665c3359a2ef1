// SPDX-License-Identifier: MIT
// What can be read through, which ranges that makes, and what a view shows of a table that changes.
#include <quire/views/source.hpp>

#include <vector>  // vector

#include <range/v3/range/concepts.hpp>  // input_range, borrowed_range
#include <range/v3/view/filter.hpp>     // filter
#include <range/v3/view/take.hpp>       // take

#include <quire/views/gaps.hpp>      // gaps
#include <quire/views/mappings.hpp>  // mappings
#include <quire/views/tables.hpp>    // tables

#include "catch.hpp"
#include "table/small.hpp"
#include "views/made_session.hpp"

namespace {

using namespace quire;
using quire_test::at, quire_test::made_tables, quire_test::page, quire_test::pages;
using format = tiny::plain;

struct rw_lock {
  int writers = 0, readers = 0;
  void lock() { ++writers; }
  void unlock() { --writers; }
  void lock_shared() { ++readers; }
  void unlock_shared() { --readers; }
};
struct two_sides : quire_test::made_policies<format> {
  using locking = quire::locking::shared<rw_lock>;
  using made_policies::made_policies;
};
struct everybody : quire_test::made_policies<format> {
  using locking = quire::locking::concurrent<epoch_section>;
  using made_policies::made_policies;
};

template <class Source>
using mappings_of = decltype(std::declval<Source&>() | views::mappings);
template <class Source>
using gaps_of = decltype(std::declval<Source&>() | views::gaps);
template <class Source>
using tables_of = decltype(std::declval<Source&>() | views::tables);

template <class View>
constexpr bool is_a_view =
    ranges::view_<View> && ranges::borrowed_range<View> && ranges::input_range<View> && !ranges::common_range<View> &&
    !ranges::bidirectional_range<View> && !ranges::sized_range<View>;
template <class Source, bool Forward>
constexpr bool has_views =
    is_a_view<mappings_of<Source>> && is_a_view<gaps_of<Source>> && is_a_view<tables_of<Source>> &&
    ranges::forward_range<mappings_of<Source>> == Forward && ranges::forward_range<gaps_of<Source>> == Forward &&
    ranges::forward_range<tables_of<Source>> == Forward;

template <class Table, class Lock>
using exclusive_of = decltype(std::declval<Table&>().exclusive(std::declval<Lock&>()));
template <class Table, class Lock>
using one_page_of = decltype(std::declval<Table&>().one_page_session(std::declval<Lock&>()));

using free_table = quire_test::made_guest<format>;
using locked_table = page_table<format, two_sides>;
using open_table = page_table<format, everybody>;
static_assert(has_views<free_table, true> && has_views<decltype(std::declval<free_table&>().exclusive()), true>);
static_assert(has_views<exclusive_of<locked_table, rw_lock>, true> &&
              has_views<one_page_of<locked_table, rw_lock>, true>);
static_assert(has_views<decltype(std::declval<open_table&>().concurrent(std::declval<epoch_section&>())), false> &&
              has_views<one_page_of<open_table, epoch_section>, false>);

// A table that is locked is read in a session, and a session has a name.
template <class Source>
concept can_be_read = requires(Source&& source) { static_cast<Source&&>(source) | views::mappings; };
template <class Source>
concept can_be_read_in_part = requires(Source&& source) { static_cast<Source&&>(source) | views::gaps(input_range{}); };
static_assert(can_be_read<free_table&> && can_be_read_in_part<exclusive_of<locked_table, rw_lock>&>);
static_assert(!can_be_read<locked_table&> && !can_be_read<open_table&> && !can_be_read_in_part<locked_table&>);
static_assert(!can_be_read<free_table> && !can_be_read<exclusive_of<locked_table, rw_lock>> &&
              !can_be_read_in_part<exclusive_of<locked_table, rw_lock>> && !can_be_read<int&>);

struct stand : quire_test::bare_stand<format> {
  stand() : quire_test::bare_stand<format>({.pages = 64, .tables = 160}) { REQUIRE(this->table.create()); }
};

template <class View>
std::vector<std::uint64_t> page_numbers(View&& view) {
  std::vector<std::uint64_t> all;
  for (const mapping& one : view) all.push_back(one.input.value / page);
  return all;
}

}  // namespace

TEST_CASE("views compose, and iterators outlive them") {
  stand guest;
  auto session = guest.session();
  REQUIRE(session.map(pages(1, 3), at(1), {.allowed = readable}));
  REQUIRE(session.map(pages(8, 4), at(8), {.allowed = read_write}));
  auto small = session | views::mappings | ranges::views::filter([](const mapping& one) { return one.level == 0; });
  CHECK(page_numbers(small) == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(page_numbers(session | views::mappings(pages(2, 7)) | ranges::views::take(2)) ==
        std::vector<std::uint64_t>{2, 3});
  auto begin = (session | views::mappings).begin();
  ++begin;
  CHECK((*begin).input == input_address{2 * page});
  // Forward: a copy goes the same way by itself.
  auto other = begin;
  ++other;
  CHECK(other != begin);
  ++begin;
  CHECK(other == begin);
  CHECK(*other == *begin);
}

TEST_CASE("a range that no operation would take makes a view that is empty and says why") {
  stand guest;
  auto session = guest.session();
  REQUIRE(session.map(pages(0, 64), at(0), {.allowed = readable}));
  const auto why = [&](input_range range) {
    const auto view = session | views::mappings(range);
    CHECK(page_numbers(view).empty());
    CHECK((session | views::tables(range)).error() == view.error());
    CHECK((session | views::gaps(range)).error() == view.error());
    return view.error().code;
  };
  CHECK(why({}) == errc::empty_range);
  CHECK(why(input_range::sized(input_address{1}, page)) == errc::unaligned);
  CHECK(why(pages(60, 10)) == errc::beyond_input);
  CHECK(why(input_range::half_open(input_address{page}, input_address{0})) == errc::range_overflow);
  CHECK((session | views::mappings).error().code == errc::none);

  // Default-made, and of a table that is gone.
  CHECK(page_numbers(mappings_of<free_table>{}).empty());
  CHECK(mappings_of<free_table>{}.error().code == errc::no_root);
  made_tables<format> made{0};
  free_table gone{made};
  gone.close();
  CHECK((gone | views::mappings).error().code == errc::no_root);
  CHECK(page_numbers(gone | views::mappings).empty());
}

TEST_CASE("changes before the iterator are seen, changes behind it are not") {
  stand guest;
  auto session = guest.session();
  REQUIRE(session.map(pages(0, 16), at(0), {.allowed = read_write, .may_write = true}, {.largest_level = 0}));
  auto view = session | views::mappings;
  auto it = view.begin();
  const mapping kept = *it;
  REQUIRE(session.write_protect(pages(0, 1)));
  CHECK(*it == kept);  // as it was read
  REQUIRE(session.write_protect(pages(1, 1)));
  REQUIRE(session.unmap(pages(2, 1)));
  ++it;
  CHECK((*it).input == input_address{page});
  CHECK_FALSE((*it).attrs.allowed.contains(writable));
  ++it;
  CHECK((*it).input == input_address{3 * page});
  REQUIRE(session.map(pages(2, 1), at(2), {.allowed = read_write, .may_write = true}, {.largest_level = 0}));
  ++it;
  CHECK((*it).input == input_address{4 * page});
  CHECK_FALSE((*view.begin()).attrs.allowed.contains(writable));  // another pass reads anew
}

TEST_CASE("of a block that is split under the iterator no part is shown, of one before it all are") {
  stand guest;
  auto session = guest.session();
  REQUIRE(session.map(pages(0, 12), at(0), {.allowed = readable}));  // three blocks
  auto view = session | views::mappings;
  auto it = view.begin();
  CHECK((*it).bytes == 4 * page);
  REQUIRE(session.split(pages(0, 8)));
  CHECK((*it).bytes == 4 * page);
  std::vector<std::uint64_t> rest;
  for (++it; it != view.end(); ++it) rest.push_back((*it).input.value / page);
  CHECK(rest == std::vector<std::uint64_t>{4, 5, 6, 7, 8});
}

TEST_CASE("the read side sees what others age and relax beside it") {
  made_tables<format> made{2};
  locked_table guest{two_sides{made}};
  REQUIRE(guest.create());
  made.put(made.root(), 0, format::table(made.table(0), 2));
  made.put(made.table(0), 0, format::table(made.table(1), 1));
  for (std::size_t i = 0; i < 4; ++i)
    made.put(made.table(1), i, *format::leaf(at(i), {.allowed = readable, .may_write = true}, 0));
  rw_lock lock;
  auto session = guest.shared(lock);
  auto beside = guest.shared(lock);
  auto view = session | views::mappings;
  auto it = view.begin();
  CHECK(beside.make_writable(input_address{0}, [] {}) == write_grant::granted);
  CHECK(beside.make_writable(input_address{page}, [] {}) == write_grant::granted);
  CHECK_FALSE((*it).attrs.allowed.contains(writable));
  ++it;
  CHECK((*it).attrs.allowed.contains(writable));
  CHECK(lock.readers == 2);
}

TEST_CASE("a section sees what others change before it, and locked leaves as not mapped") {
  made_tables<format> made{2};
  epoch_slot slots[2];
  epoch_reclaim domain{slots, 2};
  epoch_section mine{domain, 0}, other{domain, 1};
  open_table guest{everybody{made}};
  REQUIRE(guest.create());
  made.put(made.root(), 0, format::table(made.table(0), 2));
  made.put(made.table(0), 0, format::table(made.table(1), 1));
  for (std::size_t i = 0; i < 4; ++i) made.put(made.table(1), i, *format::leaf(at(i), {.allowed = readable}, 0));
  auto session = guest.concurrent(mine);
  auto view = session | views::mappings;
  auto it = view.begin();
  {
    auto beside = guest.concurrent(other);
    REQUIRE(beside.unmap(pages(1, 1)));
  }
  made.put(made.table(1), 2, format::lock(*format::leaf(at(2), {.allowed = readable}, 0)));
  ++it;
  CHECK((*it).input == input_address{3 * page});
  ++it;
  CHECK(it == view.end());
  CHECK((*(session | views::gaps).begin()) == pages(1, 2));
}
