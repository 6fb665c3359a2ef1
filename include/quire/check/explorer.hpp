// SPDX-License-Identifier: MIT
// Runs a program of several threads (trace.hpp) in every order of its actions that can make a difference, and shows the
// first order in which something is wrong.
//
//   const auto found = check::explore(program);
//   REQUIRE(found.finding == "");   // otherwise: check::explain(program, check::shrink(program, found.schedule))
//   REQUIRE(found.exhaustive);
//
// Search: depth first, with replay: every run builds the program's world anew and repeats the choices up to the one
// that is changed. Two reductions, which leave out only orders that swap independent actions of one that is run:
//   dynamic partial-order reduction   an order is changed only where two actions raced; what is tried there are source
//                                     sets (Abdulla, Aronis, Jonsson, Sagonas: Source Sets, JACM 64(4), 2017);
//   sleep sets                        what was tried from a state is not tried again after independent actions.
// (The older rule of which threads to try, any one that leads to the race, loses orders beside sleep sets: the test of
// random programs shows it.) A thread that waits when a run ends counts as racing with whatever it waits for.
// Both keep every final state, every deadlock and every finding that depends on announced actions alone.
//
// With a bound on preemptions (a switch away from a thread that could go on) neither is sound: a run that is left out
// may stand for one within the bound, and need more preemptions itself. So a bound switches both off, and the result is
// exhaustive for this bound.
#pragma once

#include <algorithm>  // max, none_of
#include <array>      // array
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t
#include <limits>     // numeric_limits
#include <string>     // string
#include <utility>    // move, swap
#include <vector>     // vector

#include <quire/check/replay.hpp>  // program, run_once

namespace quire::check {

inline constexpr unsigned no_bound = ~0U;

struct explore_options {
  bool reduce = true;
  unsigned preemptions = no_bound;
  std::size_t most_traces = 1'000'000;
  std::size_t most_steps = usual_most_steps;  // of one run; more is a finding: threads that never come to an end
  bool stop_at_finding = true;
};

struct exploration {
  bool exhaustive = false;   // nothing is left to try; false after a run that a thread ended before its time
  std::size_t complete = 0;  // runs in which every thread came to its end
  std::size_t cut = 0;       // runs left on the way: the rest repeats another run
  std::size_t failing = 0;   // runs with a finding
  std::size_t steps = 0;     // of all runs
  std::size_t deepest = 0;   // steps of the longest run
  std::string finding;       // of the first failing run
  std::string schedule;      // likewise: for replay()

  [[nodiscard]] std::size_t traces() const noexcept { return complete + cut + failing; }
};

namespace detail {

// The search: what was chosen at each step of this run, and what else is to be tried there.
class depth_first : public chooser {
 public:
  explicit depth_first(const explore_options& options) noexcept
      : options_(options), reduce_(options.reduce && options.preemptions == no_bound) {}

  void begin() noexcept {
    last_.fill(none);
    repeatable_ = true;
  }
  unsigned choose(const trace& run) override {
    const std::size_t step = run.steps();
    if (step == nodes_.size()) nodes_.push_back(fresh(run));
    node& here = nodes_[step];
    if (here.possible != run.possible()) {
      repeatable_ = false;
      return nobody;
    }
    if (here.chosen == nobody) {
      const thread_set open = here.to_try & ~here.tried & ~here.asleep;
      if (open == 0) {
        nodes_.pop_back();
        stuck(run);
        return nobody;
      }
      // The thread that was at work, if it may go on: the first run has few switches.
      const unsigned before = step == 0 ? nobody : nodes_[step - 1].chosen;
      here.chosen = before != nobody && has(open, before) ? before : lowest(open);
      if (reduce_) here.to_try = only(here.chosen);
      here.tried |= only(here.chosen);
    }
    if (step + 1 == nodes_.size()) enter(run, here);
    last_[here.chosen] = step;
    return here.chosen;
  }
  // What threads wait for does not come in this run; before something else happened it may have been there.
  void stuck(const trace& run) override {
    for (unsigned i = 0; reduce_ && i < run.threads(); ++i)
      if (has(run.unfinished() & ~run.possible(), i)) reverse_races(i, run);
  }
  // Turns to the next order to be tried; false: there is none.
  [[nodiscard]] bool advance() {
    for (; !nodes_.empty(); nodes_.pop_back()) {
      node& here = nodes_.back();
      const thread_set open = here.to_try & ~here.tried & ~here.asleep;
      if (open == 0) continue;
      here.chosen = lowest(open);
      here.tried |= only(here.chosen);
      return true;
    }
    return false;
  }
  // Whether a run of so many steps did what the one before it did, up to the choice that was changed.
  [[nodiscard]] bool repeated(std::size_t steps) const noexcept { return repeatable_ && steps == nodes_.size(); }
  [[nodiscard]] schedule taken() const {
    schedule steps;
    for (const node& one : nodes_) steps.push_back(one.chosen);
    return steps;
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  // How many of each thread's steps happened before, this one included.
  using clock = std::array<std::uint32_t, most_threads>;

  struct node {
    thread_set possible = 0;
    thread_set to_try = 0;
    thread_set tried = 0;
    thread_set asleep = 0;  // whose next action was tried before, and only independent ones came between
    unsigned chosen = nobody;
    unsigned preemptions = 0;  // up to here, of those that were chosen
    action done{};
    clock seen{};
  };

  [[nodiscard]] node fresh(const trace& run) const {
    node here{.possible = run.possible(), .to_try = run.possible()};
    if (nodes_.empty()) return here;
    const node& before = nodes_.back();
    if (reduce_) {
      const thread_set candidates = (before.asleep | before.tried) & ~only(before.chosen);
      for (unsigned i = 0; i < run.threads(); ++i)
        if (has(candidates, i) && between(run.next(i), before.done) == relation::independent) here.asleep |= only(i);
    } else if (before.preemptions >= options_.preemptions && has(here.possible, before.chosen)) {
      here.to_try = only(before.chosen);
    }
    return here;
  }
  // The chosen action is about to happen.
  void enter(const trace& run, node& here) {
    const std::size_t step = run.steps();
    const unsigned self = here.chosen;
    here.done = run.next(self);
    if (step != 0) {
      const node& before = nodes_[step - 1];
      here.preemptions = before.preemptions + (self != before.chosen && has(here.possible, before.chosen) ? 1 : 0);
    }
    if (!reduce_) return;
    reverse_races(self, run);
    here.seen = seen_by(self);
    for (std::size_t i = 0; i < step; ++i)
      if (!came_before(i, here.seen) && between(here.done, nodes_[i].done) != relation::independent)
        for (unsigned k = 0; k < most_threads; ++k) here.seen[k] = std::max(here.seen[k], nodes_[i].seen[k]);
    ++here.seen[self];
  }
  [[nodiscard]] clock seen_by(unsigned thread) const noexcept {
    return last_[thread] == none ? clock{} : nodes_[last_[thread]].seen;
  }
  // Whether what was done at a step happened before an action with this clock, or is that action.
  [[nodiscard]] bool came_before(std::size_t step, const clock& seen) const noexcept {
    const unsigned owner = nodes_[step].chosen;
    return nodes_[step].seen[owner] <= seen[owner];
  }
  // The thread's next action, and every earlier one that it races with: the other order is to be tried.
  void reverse_races(unsigned self, const trace& run) {
    const clock seen = seen_by(self);
    for (std::size_t i = 0; i < run.steps(); ++i)
      if (!came_before(i, seen) && between(run.next(self), nodes_[i].done) == relation::racing) reverse(i, self, run);
  }
  // To come before what was done at `step`, the thread's next action takes with it what has happened since and does not
  // depend on that step. Any of these that depends on none of the others can be the first.
  void reverse(std::size_t step, unsigned self, const trace& run) {
    node& there = nodes_[step];
    thread_set present = 0;
    thread_set first = 0;
    bool self_is_free = true;
    std::vector<std::size_t> taken_along;
    for (std::size_t i = step + 1; i < run.steps(); ++i) {
      if (came_before(step, nodes_[i].seen)) continue;
      const unsigned owner = nodes_[i].chosen;
      const auto leads_here = [&](std::size_t k) { return came_before(k, nodes_[i].seen); };
      if (!has(present, owner) && std::none_of(taken_along.begin(), taken_along.end(), leads_here))
        first |= only(owner);
      present |= only(owner);
      taken_along.push_back(i);
      self_is_free = self_is_free && between(run.next(self), nodes_[i].done) == relation::independent;
    }
    if (self_is_free && !has(present, self)) {
      // It waited there already, and nothing that was taken along ends that.
      if (!has(there.possible, self)) return;
      first |= only(self);
    }
    if ((first & (there.to_try | there.asleep)) == 0)
      there.to_try |= has(first, self) ? only(self) : only(lowest(first));
  }

  const explore_options& options_;
  bool reduce_;
  bool repeatable_ = true;
  std::vector<node> nodes_;
  std::array<std::size_t, most_threads> last_{};  // each thread's last step of this run
};

}  // namespace detail

[[nodiscard]] inline exploration explore(const program& body, const explore_options& options = {}) {
  exploration result;
  detail::depth_first search{options};
  trace::stacks stacks;
  bool whole = true;
  do {
    if (result.traces() == options.most_traces) return result;
    search.begin();
    detail::outcome run = detail::run_once(body, search, stacks, options.most_steps);
    result.steps += run.steps;
    result.deepest = std::max(result.deepest, run.steps);
    const bool repeated = search.repeated(run.steps);
    if (!repeated) run.finding = "the program does not do the same in the same order";
    // What would have come after is unknown, and what it raced with.
    if (options.reduce && (run.end == trace_end::failed || run.end == trace_end::no_progress)) whole = false;
    if (run.finding.empty()) {
      ++(run.end == trace_end::complete ? result.complete : result.cut);
      continue;
    }
    if (++result.failing == 1) {
      result.finding = std::move(run.finding);
      result.schedule = text_of(search.taken());
    }
    if (options.stop_at_finding || !repeated) return result;
  } while (search.advance());
  result.exhaustive = whole;
  return result;
}

}  // namespace quire::check
