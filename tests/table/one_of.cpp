// SPDX-License-Identifier: MIT
#include <quire/table/one_of.hpp>

#include <cstddef>      // size_t
#include <memory>       // make_unique, unique_ptr
#include <type_traits>  // is_copy_constructible_v
#include <utility>      // move

#include <quire/format/tiny.hpp>           // tiny::plain
#include <quire/table/constant_table.hpp>  // table_image, image_policies
#include <quire/table/page_table.hpp>      // page_table

#include "catch.hpp"

namespace {

using namespace quire;

// Counts who lives.
template <std::size_t Size>
struct counted {
  int* alive;
  unsigned char padding[Size]{};

  explicit counted(int* to) noexcept : alive(to) { ++*alive; }
  counted(counted&& other) noexcept : alive(other.alive) { ++*alive; }
  ~counted() { --*alive; }
};
struct alignas(64) wide {
  const void* at;
  explicit wide(int*) noexcept : at(this) {}
};

using three = one_of<counted<1>, counted<100>, wide>;
static_assert(!std::is_copy_constructible_v<three> && !std::is_move_assignable_v<three>);
static_assert(std::is_nothrow_move_constructible_v<three> && alignof(three) == 64);

// Tables of two and of four levels, as they are chosen at boot.
template <class F>
using image = table_image<F, 0x1000, 8>;
template <class F>
struct owner {  // of the words, and of the table in them
  using format = F;
  std::unique_ptr<image<F>> words = std::make_unique<image<F>>();
  page_table<F, image_policies<image<F>>> table{image_policies<image<F>>{*words}};
};
using guest = one_of<owner<tiny::cached_invalid>, owner<tiny::plain>, owner<tiny::pages_only>>;

}  // namespace

TEST_CASE("one alternative lives, is visited, moves and ends") {
  int alive = 0;
  for (std::size_t which = 0; which < three::size; ++which) {
    three chosen{which, &alive};
    CHECK(chosen.which() == which);
    CHECK(alive == (which < 2 ? 1 : 0));
    const auto bytes = [](const auto& one) { return sizeof one; };
    CHECK(chosen.visit(bytes) == (which == 0 ? sizeof(counted<1>) : which == 1 ? sizeof(counted<100>) : sizeof(wide)));
    {
      const three moved{std::move(chosen)};
      CHECK(moved.which() == which);
      CHECK(alive == (which < 2 ? 2 : 0));
      CHECK(moved.visit(bytes) == chosen.visit(bytes));
    }
    CHECK(alive == (which < 2 ? 1 : 0));
  }
  CHECK(alive == 0);
}

TEST_CASE("a visitor may give a reference, or nothing") {
  int alive = 0;
  one_of<counted<1>, counted<2>> chosen{1, &alive};
  int& seen = chosen.visit([](auto& one) -> int& { return *one.alive; });
  CHECK(&seen == &alive);
  chosen.visit([](auto& one) { *one.alive += 10; });
  CHECK(alive == 11);
  alive = 1;
}

TEST_CASE("the format that is wanted is found by number, or named as missing") {
  const auto with_levels = [](int levels) {
    return find_format<guest>([&]<class F>() { return F::shape.levels == levels; });
  };
  CHECK(*with_levels(2) == 0);
  CHECK(*with_levels(3) == 1);
  CHECK(*with_levels(4) == 2);
  CHECK(with_levels(5).error().code == errc::unsupported_level);
}

TEST_CASE("tables of the chosen depth are mapped and looked up, before and after a move") {
  for (std::size_t which = 0; which < guest::size; ++which) {
    guest chosen{which};
    const bool mapped = chosen.visit([](auto& owner) {
      if (!owner.table.create()) return false;
      auto session = owner.table.exclusive();
      return session.map(input_range::sized(input_address{0}, 0x40), output_address{0x80}, {.allowed = readable})
          .has_value();
    });
    CHECK(mapped);
    guest moved{std::move(chosen)};
    CHECK(moved.visit([](auto& owner) { return owner.table.exclusive().translate(input_address{3}).value().value; }) ==
          0x83);
  }
}
