// SPDX-License-Identifier: MIT
#include <quire/result.hpp>

#include <set>
#include <string>

#include "catch.hpp"

using namespace quire;

static_assert(std::is_trivially_destructible_v<result<int>> && std::is_trivially_copyable_v<result<int>>);
static_assert(result<int>{7}.has_value() && *result<int>{7} == 7);
static_assert(!result<int>{errc::busy} && result<int>{errc::busy}.value_or(3) == 3);
static_assert(result<void>{}.has_value() && !result<void>{errc::no_root}.has_value());
static_assert(result<int>{error{errc::unaligned, 2, 0x1001}}.error() == error{errc::unaligned, 2, 0x1001});

TEST_CASE("every error has its own name") {
  std::set<std::string> names;
  int n = 0;
  for (; n <= static_cast<int>(last_errc); ++n) names.insert(name_of(static_cast<errc>(n)));
  CHECK(names.size() == static_cast<std::size_t>(n));
  CHECK(names.count("unknown") == 0);
  CHECK(std::string{name_of(static_cast<errc>(n))} == "unknown");
  CHECK(std::string{name_of(errc::no_memory)} == "no_memory");
}

TEST_CASE("a result of nothing carries an error like any other") {
  const result<void> failed{error{errc::crosses_leaf, 1, 0x20'0000}};
  CHECK_FALSE(failed.has_value());
  CHECK(failed.error() == error{errc::crosses_leaf, 1, 0x20'0000});
  CHECK(result<void>{}.error().code == errc::none);
}

TEST_CASE("an error keeps where it happened") {
  const result<int> failed{error{errc::marked, 2, 0x1000}};
  CHECK(failed.error().level == 2);
  CHECK(failed.error().at == 0x1000);
  CHECK(failed.value_or(5) == 5);
}
