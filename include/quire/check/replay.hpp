// SPDX-License-Identifier: MIT
// One schedule of a program of several threads (trace.hpp): following it again, making it smaller, showing it.
//
//   const std::string small = check::shrink(program, found.schedule);  // explorer.hpp finds them
//   std::cerr << check::explain(program, small);
#pragma once

#include <cstddef>     // size_t
#include <functional>  // function
#include <string>      // string
#include <utility>     // move, swap
#include <vector>      // vector

#include <quire/check/trace.hpp>  // trace, chooser

namespace quire::check {

// Builds its world, adds its threads, runs them, and says what is wrong ("": nothing). What it says after a run that
// was not complete is ignored.
using program = std::function<std::string(trace&)>;

// Of one run; more is a finding: threads that never come to an end.
inline constexpr std::size_t usual_most_steps = 10'000;

// Which thread took each step. As text: "0*3 1 0" is three steps of thread 0, one of thread 1, one of thread 0.
using schedule = std::vector<unsigned>;

[[nodiscard]] inline std::string text_of(const schedule& steps) {
  std::string text;
  for (std::size_t i = 0, n = 0; i < steps.size(); i += n) {
    for (n = 1; i + n < steps.size() && steps[i + n] == steps[i];) ++n;
    text += (i == 0 ? "" : " ") + std::to_string(steps[i]) + (n == 1 ? "" : "*" + std::to_string(n));
  }
  return text;
}
// Of text that is no schedule: as much as is one.
[[nodiscard]] inline schedule schedule_of(const std::string& text) {
  schedule steps;
  std::size_t at = 0;
  const auto number = [&] {
    std::size_t value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
      value = value * 10 + static_cast<std::size_t>(text[at] - '0');
    return value;
  };
  for (; at < text.size(); ++at) {
    const auto thread = static_cast<unsigned>(number());
    std::size_t times = 1;
    if (at < text.size() && text[at] == '*') {
      ++at;
      times = number();
    }
    steps.insert(steps.end(), times, thread);
    if (at < text.size() && text[at] != ' ') break;
  }
  return steps;
}

namespace detail {

// See replay().
class follower : public chooser {
 public:
  explicit follower(const schedule& wanted) noexcept : wanted_(wanted) {}

  unsigned choose(const trace& run) override {
    unsigned next = nobody;
    while (at_ < wanted_.size() && next == nobody)
      if (has(run.possible(), wanted_[at_++])) next = wanted_[at_ - 1];
    if (next == nobody)
      next = !taken.empty() && has(run.possible(), taken.back()) ? taken.back() : lowest(run.possible());
    if (!taken.empty() && next != taken.back()) ++switches;
    taken.push_back(next);
    actions += std::string(run.name(next)) + ": " + text_of(run.next(next)) + "\n";
    return next;
  }

  schedule taken;
  std::size_t switches = 0;
  std::string actions;

 private:
  const schedule& wanted_;
  std::size_t at_ = 0;
};

// What shrink() tries.
[[nodiscard]] inline std::vector<schedule> smaller(const schedule& steps) {
  struct piece {
    unsigned thread;
    std::size_t steps;
  };
  std::vector<piece> pieces;
  for (const unsigned thread : steps)
    if (pieces.empty() || pieces.back().thread != thread) pieces.push_back({thread, 1});
    else ++pieces.back().steps;
  std::vector<schedule> all;
  const auto add = [&](const std::vector<piece>& changed) {
    schedule one;
    for (const piece& p : changed) one.insert(one.end(), p.steps, p.thread);
    all.push_back(std::move(one));
  };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    auto without = pieces;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    add(without);
    for (std::size_t k = i + 1; k < pieces.size(); ++k) {
      if (pieces[k].thread != pieces[i].thread) continue;
      auto joined = pieces;
      joined[i].steps += joined[k].steps;
      joined.erase(joined.begin() + static_cast<std::ptrdiff_t>(k));
      add(joined);
      break;
    }
    if (i + 1 == pieces.size()) continue;
    auto exchanged = pieces;
    std::swap(exchanged[i], exchanged[i + 1]);
    add(exchanged);
  }
  return all;
}

struct outcome {
  std::string finding;
  trace_end end;
  std::size_t steps;
};
[[nodiscard]] inline outcome run_once(const program& body, chooser& who, trace::stacks& stacks,
                                      std::size_t most_steps) {
  trace run{who, stacks, most_steps};
  std::string said = body(run);
  if (!run.finding().empty()) said = run.finding();
  else if (run.end() != trace_end::complete) said.clear();
  return {std::move(said), run.end(), run.steps()};
}

}  // namespace detail

struct replayed {
  std::string finding;
  std::string schedule;      // as it was followed, to the end of the run
  std::size_t switches = 0;  // from one thread to another
  std::string actions;       // one line a step: thread, action, object
};

// Follows a schedule as far as it goes: a step of a thread that cannot go on is left out, and when there are no more,
// the thread at work goes on for as long as it can, then the first one that can. So a schedule of explore() is followed
// exactly, and any text is a schedule.
[[nodiscard]] inline replayed replay(const program& body, const std::string& text,
                                     std::size_t most_steps = usual_most_steps) {
  const schedule wanted = schedule_of(text);
  detail::follower who{wanted};
  trace::stacks stacks;
  detail::outcome run = detail::run_once(body, who, stacks, most_steps);
  return {std::move(run.finding), text_of(who.taken), who.switches, std::move(who.actions)};
}

// A schedule that also ends in a finding, with as few switches as small changes of this one lead to: pieces left out,
// joined with the next piece of the same thread, or exchanged with their neighbour. The finding may be another one. A
// schedule that ends in none is given back.
[[nodiscard]] inline std::string shrink(const program& body, const std::string& text) {
  replayed best = replay(body, text);
  if (best.finding.empty()) return text;
  for (bool better = true; better;) {
    better = false;
    for (const schedule& candidate : detail::smaller(schedule_of(best.schedule))) {
      replayed other = replay(body, text_of(candidate));
      if (other.finding.empty() || other.switches > best.switches) continue;
      if (other.switches == best.switches && other.schedule.size() >= best.schedule.size()) continue;
      best = std::move(other);
      better = true;
      break;
    }
  }
  return best.schedule;
}

// What happens in a schedule, for a person.
[[nodiscard]] inline std::string explain(const program& body, const std::string& text) {
  const replayed run = replay(body, text);
  return "schedule " + run.schedule + "\n" + run.actions + (run.finding.empty() ? "nothing was found" : run.finding) +
         "\n";
}

}  // namespace quire::check
