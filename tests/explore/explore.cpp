// SPDX-License-Identifier: MIT
// Explores every scenario, as far as the budget goes, on all processors; or plays one schedule of one scenario again.
#include <CLI/CLI.hpp>
#include <atomic>  // atomic
#include <chrono>  // steady_clock
#include <cstdio>  // printf
#include <mutex>   // mutex
#include <thread>  // thread
#include <vector>  // vector

#include "explore/every_scenario.hpp"  // every_scenario

using namespace quire_test;

namespace {

struct settings {
  exploration_budget budget{.most_traces = 20'000, .most_bounded = 2'000'000};
  unsigned jobs = std::thread::hardware_concurrency();
  std::string filter;
  std::string replay;
  std::string schedule;
  std::size_t at_least = 0;
  bool list = false;
};

int play_again(const scenarios& all, const settings& chosen) {
  for (const scenario& one : all) {
    if (one.name != chosen.replay) continue;
    std::fputs(check::explain(one.body, chosen.schedule).c_str(), stdout);
    return check::replay(one.body, chosen.schedule).finding.empty() ? 0 : 1;
  }
  std::fprintf(stderr, "no scenario '%s': see --list\n", chosen.replay.c_str());
  return 2;
}

int explore_all(const scenarios& all, const settings& chosen) {
  const auto begun = std::chrono::steady_clock::now();
  exploration_figures sum{.most_preemptions = chosen.budget.preemptions};
  std::size_t wrong = 0;
  std::mutex one_at_a_time;
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) {
      const explored_scenario found = explore_scenario(all[i], chosen.budget);
      const std::lock_guard<std::mutex> guard{one_at_a_time};
      sum.add(all[i], found);
      if (found.reached != how_far::exhaustive)
        std::printf("%s %u preemptions: %s\n", found.reached == how_far::bounded ? "within" : "the first orders with",
                    found.preemptions, all[i].name.c_str());
      if (found.wrong.empty()) continue;
      ++wrong;
      std::printf("WRONG %s\n%s", all[i].name.c_str(), found.wrong.c_str());
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < chosen.jobs; ++i) workers.emplace_back(work);
  for (std::thread& each : workers) each.join();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
  std::printf(
      "explored: %zu scenarios, %zu exhaustively, %zu within %u preemptions, %zu of three operations within fewer, %zu "
      "in part; %zu complete traces after reduction, %zu in all; %zu wrong; %.0f s\n",
      sum.scenarios, sum.count(how_far::exhaustive), sum.count(how_far::bounded) - sum.fewer, chosen.budget.preemptions,
      sum.fewer, sum.count(how_far::unfinished), sum.complete, sum.traces, wrong, passed.count());
  return wrong == 0 && sum.scenarios != 0 && sum.complete >= chosen.at_least ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App app{"Runs the library's own code in every order of its accesses that can make a difference."};
  app.add_option("--traces", chosen.budget.most_traces, "of a scenario, before the bound on preemptions is tried");
  app.add_option("--preemptions", chosen.budget.preemptions, "the bound where there are more");
  app.add_option("--bounded-traces", chosen.budget.most_bounded, "within the bound");
  app.add_option("--jobs", chosen.jobs, "threads")->check(CLI::Range(1U, 64U));
  app.add_option("--filter", chosen.filter, "scenarios with this in their name");
  app.add_option("--replay", chosen.replay, "this scenario alone");
  app.add_option("--schedule", chosen.schedule, "as a finding shows it, for --replay");
  app.add_option("--at-least", chosen.at_least, "complete traces, or it is a failure");
  app.add_flag("--list", chosen.list, "the names of the scenarios");
  CLI11_PARSE(app, argc, argv);

  scenarios all;
  for (scenario& one : every_scenario())
    if (one.name.find(chosen.filter) != std::string::npos) all.push_back(std::move(one));
  if (chosen.list) {
    for (const scenario& one : all) std::printf("%s\n", one.name.c_str());
    return 0;
  }
  return chosen.replay.empty() ? explore_all(all, chosen) : play_again(all, chosen);
}
