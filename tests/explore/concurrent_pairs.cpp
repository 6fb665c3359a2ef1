// SPDX-License-Identifier: MIT
// locking::concurrent under the explorer: a slice of what ./dev explore does. What must hold after each run: no oracle
// has anything to say; each page is as one of the sequences of the operations leaves it; no entry is left locked; no
// table is missing or left over.
#include "explore/world.hpp"

#include "catch.hpp"

#include <cstdio>  // printf

#include "support/scale.hpp"

namespace {

using namespace quire_test;

void explore_all(const scenarios& all, const exploration_budget& budget) {
  exploration_figures sum;
  for (const scenario& one : all) {
    const explored_scenario found = explore_scenario(one, budget);
    sum.add(one, found);
    INFO(one.name << "\n" << found.wrong);
    CHECK(found.wrong.empty());
  }
  std::printf("%zu scenarios, %zu exhaustive, %zu complete traces of %zu\n", sum.scenarios,
              sum.count(how_far::exhaustive), sum.complete, sum.traces);
  CHECK(sum.complete != 0);
}

}  // namespace

TEST_CASE("pairs of operations where software alone writes entries") {
  explore_all(every_pair<software_only>("software", false), {.most_traces = scaled(5'000), .most_bounded = 1});
}
TEST_CASE("pairs of operations beside a CPU that sets accessed and dirty") {
  explore_all(every_pair<hardware_bits>("hardware", true), {.most_traces = scaled(1'000), .most_bounded = 1});
}
// Each undid the lock of the other in turn, for ever: neither had asked whether the rest of the group was free.
TEST_CASE("two who map a group that is half there both come to an end") {
  scenarios maps;
  for (scenario& one : group_pairs())
    if (one.name.find("from every other") != std::string::npos &&
        one.name.find("map_block 0..1, map_") != std::string::npos)
      maps.push_back(std::move(one));
  CHECK(maps.size() >= 3);
  explore_all(maps, {.most_traces = 20'000, .most_bounded = 1});
}
