// SPDX-License-Identifier: MIT
// Dirty logging under the explorer: a slice of what ./dev explore does.
#include "explore/dirty_world.hpp"

#include "catch.hpp"

#include <algorithm>  // count
#include <cstdio>     // printf

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

TEST_CASE("the orders of marking, granting, clearing and protecting: without a lock one of four loses no page") {
  unsigned lossy = 0;
  for (const scenario& one : eight_orders()) {
    const explored_scenario found = explore_scenario(one, {.most_traces = 100'000});
    std::printf("%s: %s, %zu traces\n", one.name.c_str(), one.expected.empty() ? "safe" : "loses pages", found.traces);
    INFO(one.name << "\n" << found.wrong);
    CHECK(found.wrong.empty());
    CHECK(found.reached == how_far::exhaustive);
    lossy += one.expected.empty() ? 0U : 1U;
  }
  CHECK(lossy == 3);
}

TEST_CASE("an order that loses a page shrinks to a few turns, and can be played again") {
  for (const scenario& one : eight_orders()) {
    if (one.expected.empty()) continue;
    INFO(one.name);
    const check::exploration found = check::explore(one.body);
    const std::string small = check::shrink(one.body, found.schedule);
    CHECK(std::count(small.begin(), small.end(), ' ') + 1 <= 8);
    CHECK(check::replay(one.body, small).finding == found.finding);
    CHECK(check::explain(one.body, small).find("a write was lost") != std::string::npos);
  }
}

TEST_CASE("dirty logging in sections where software sets the bits") {
  explore_all(logging_scenarios<software_only, in_sections<software_only>>("software"));
}
TEST_CASE("dirty logging in sections where the hardware sets the bits") {
  explore_all(logging_scenarios<hardware_bits, in_sections<hardware_bits>>("hardware"));
}
TEST_CASE("dirty logging under a lock") {
  using F = hardware_bits;
  explore_all(logging_scenarios<F, with_a_lock<F, dirty_order::mark_then_grant, harvest_order::clear_then_protect>>(
      "hardware"));
}
