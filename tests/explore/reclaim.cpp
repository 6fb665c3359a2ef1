// SPDX-License-Identifier: MIT
// Tables that are given back and used again, and tables that are destroyed, under the explorer.
#include "explore/world.hpp"

#include "catch.hpp"

#include "support/scale.hpp"

using namespace quire_test;

namespace {

void explore_all(const scenarios& all) {
  for (const scenario& one : all) {
    const explored_scenario found =
        explore_scenario(one, {.most_traces = scaled(5'000), .preemptions = 2, .most_bounded = 30'000});
    INFO(one.name << "\n" << found.wrong);
    CHECK(found.wrong.empty());
    CHECK(found.traces != 0);
  }
}

}  // namespace

TEST_CASE("tables are given back when nobody is inside them and their memory used again") {
  explore_all(reclaim_beside_everything());
}
TEST_CASE("a table is destroyed when every session has ended that found its root") {
  explore_all(destroy_beside_everything());
}
