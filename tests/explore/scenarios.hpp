// SPDX-License-Identifier: MIT
// Scenarios for the explorer, and how far each is explored.
//
// A scenario is explored in every order that can make a difference, as long as that stays within its budget; where it
// does not, in every order with at most so many preemptions. What is said of it is which of the two it was.
#pragma once

#include <quire/check/explorer.hpp>  // explore
#include <quire/check/replay.hpp>    // explain, shrink

#include <algorithm>  // min
#include <cstddef>    // size_t
#include <string>     // string
#include <utility>    // move
#include <vector>     // vector

namespace quire_test {

struct scenario {
  std::string name;
  quire::check::program body;
  std::string expected{};      // part of what must be found; empty: nothing may be
  unsigned preemptions = ~0U;  // at most so many, where the budget allows more
};
using scenarios = std::vector<scenario>;

inline void add_all(scenarios& to, scenarios&& more) {
  for (scenario& one : more) to.push_back(std::move(one));
}

struct exploration_budget {
  std::size_t most_traces = 20'000;    // of one scenario, in every order that makes a difference
  unsigned preemptions = 3;            // where those are too many
  std::size_t most_bounded = 400'000;  // traces of that kind
};

enum class how_far : unsigned char { exhaustive, bounded, unfinished };

struct explored_scenario {
  how_far reached = how_far::exhaustive;
  unsigned preemptions = 0;  // the bound, where there was one
  std::size_t complete = 0;  // traces after reduction
  std::size_t traces = 0;    // with those left on the way, and those within the bound
  std::string wrong;         // what was found, or not found, against expectation
};

[[nodiscard]] inline explored_scenario explore_scenario(const scenario& one, const exploration_budget& budget) {
  using namespace quire::check;
  explored_scenario result;
  exploration found = explore(one.body, {.most_traces = budget.most_traces});
  result.complete = found.complete;
  result.traces = found.traces();
  if (!found.exhaustive && found.finding.empty()) {
    result.preemptions = std::min(budget.preemptions, one.preemptions);
    found = explore(one.body, {.preemptions = result.preemptions, .most_traces = budget.most_bounded});
    result.traces += found.traces();
    result.reached = found.exhaustive ? how_far::bounded : how_far::unfinished;
  }
  if (one.expected.empty() && !found.finding.empty()) {
    const std::string schedule = shrink(one.body, found.schedule);
    result.wrong = found.finding + "\n" + explain(one.body, schedule) + "again: ./dev explore --replay '" + one.name +
                   "' --schedule '" + schedule + "'\n";
  } else if (found.finding.find(one.expected) == std::string::npos) {
    result.wrong = "not found: " + one.expected + (found.finding.empty() ? "" : ", but: " + found.finding) + "\n";
  }
  return result;
}

struct exploration_figures {
  unsigned most_preemptions = 0;  // of the budget
  std::size_t scenarios = 0;
  std::size_t reached[3]{};  // by how_far
  std::size_t fewer = 0;     // within a bound below the budget's
  std::size_t complete = 0;
  std::size_t traces = 0;
  std::vector<std::string> not_exhaustive{};

  void add(const scenario& one, const explored_scenario& found) {
    ++scenarios;
    ++reached[static_cast<std::size_t>(found.reached)];
    if (found.reached == how_far::bounded && found.preemptions < most_preemptions) ++fewer;
    complete += found.complete;
    traces += found.traces;
    if (found.reached != how_far::exhaustive) not_exhaustive.push_back(one.name);
  }
  [[nodiscard]] std::size_t count(how_far how) const { return reached[static_cast<std::size_t>(how)]; }
};

}  // namespace quire_test
