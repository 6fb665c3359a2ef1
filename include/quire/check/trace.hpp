// SPDX-License-Identifier: MIT
// One run of several threads, each a fiber, in an order that somebody else chooses.
//
// A thread announces every action on something that is shared, and goes on when it is its turn: from one announcement
// to the next it runs alone. So what is not announced is not interleaved, and no mistake in it is found.
//
//   std::string program(check::trace& run) {
//     int value = 0;
//     const check::shared_object counter{"counter"};
//     run.add("first", [&] { run.read(counter); const int seen = value; run.write(counter); value = seen + 1; });
//     ...
//     if (!run.run()) return {};  // not this time: the explorer knows why
//     return value == 2 ? "" : "an update was lost";
//   }
//
// Requires of a thread: it does the same each time for the same order of actions; it depends on nothing shared but what
// it announced; it does not throw; and it owns nothing while it announces (a trace that ends early drops it there, no
// destructor runs). What was announced by nobody's thread (before run(), after it) happens at once.
//
// The memory is sequentially consistent: an action takes effect where it stands. Store buffers and the reordering of
// relaxed accesses are not modelled; memory orders are checked by other means.
#pragma once

#include <array>       // array
#include <cstddef>     // size_t
#include <cstdint>     // uint32_t, uint64_t
#include <cstring>     // strcmp
#include <functional>  // function
#include <memory>      // unique_ptr
#include <string>      // string
#include <utility>     // move
#include <vector>      // vector

#include <quire/check/fiber.hpp>   // fiber, switch_to
#include <quire/check/report.hpp>  // hex

namespace quire::check {

// What actions are on: a range of a numbered kind of thing. Never an address of the program's own memory, which differs
// from run to run.
struct shared_object {
  const char* name;
  std::uint64_t first = 0;
  std::uint64_t last = first;
};

enum class action_kind : unsigned char {
  nothing,
  read,
  write,  // or read and write at once
  wait,   // a read that is not possible until something holds
  lock,
  lock_shared,
  unlock,
  unlock_shared,
};

struct shared_access {
  action_kind kind = action_kind::nothing;
  shared_object object{""};
};

// What happens at once: one access, or two.
struct action {
  shared_access one{};
  shared_access two{};
};

enum class relation : unsigned char {
  independent,  // in either order they do the same, and neither allows or forbids the other
  ordered,      // their order matters, and only one of them was possible: an unlock, and the lock that waits for it
  racing,       // either could have come first
};

[[nodiscard]] inline relation between(const shared_access& a, const shared_access& b) noexcept {
  using enum action_kind;
  if (a.kind == nothing || b.kind == nothing) return relation::independent;
  if (a.object.last < b.object.first || b.object.last < a.object.first) return relation::independent;
  if (a.object.name != b.object.name && std::strcmp(a.object.name, b.object.name) != 0) return relation::independent;
  const auto both = [&](auto among) { return among(a.kind) && among(b.kind); };
  if (both([](action_kind k) { return k == read || k == wait; })) return relation::independent;
  if (both([](action_kind k) { return k == lock_shared || k == unlock_shared; })) return relation::independent;
  const bool releases = a.kind == unlock || a.kind == unlock_shared || b.kind == unlock || b.kind == unlock_shared;
  return releases && both([](action_kind k) { return k >= lock; }) ? relation::ordered : relation::racing;
}
[[nodiscard]] inline relation between(const action& a, const action& b) noexcept {
  relation strongest = relation::independent;
  for (const shared_access* left : {&a.one, &a.two})
    for (const shared_access* right : {&b.one, &b.two})
      if (const relation one = between(*left, *right); one > strongest) strongest = one;
  return strongest;
}

[[nodiscard]] inline std::string text_of(const action& what) {
  static constexpr std::array names{"nothing", "read",        "write",  "wait",
                                    "lock",    "lock_shared", "unlock", "unlock_shared"};
  std::string text;
  for (const shared_access* one : {&what.one, &what.two}) {
    if (one->kind == action_kind::nothing) continue;
    if (!text.empty()) text += ", ";
    text +=
        std::string(names[static_cast<std::size_t>(one->kind)]) + " " + one->object.name + " " + hex(one->object.first);
    if (one->object.last != one->object.first) text += ".." + hex(one->object.last);
  }
  return text;
}

// A set of threads.
using thread_set = std::uint32_t;
[[nodiscard]] constexpr thread_set only(unsigned thread) noexcept { return thread_set{1} << thread; }
[[nodiscard]] constexpr bool has(thread_set set, unsigned thread) noexcept { return (set >> thread & 1U) != 0; }
[[nodiscard]] constexpr unsigned lowest(thread_set set) noexcept { return static_cast<unsigned>(__builtin_ctz(set)); }

inline constexpr unsigned most_threads = 8;
inline constexpr unsigned nobody = ~0U;

class trace;

// Who decides.
class chooser {
 public:
  chooser() = default;
  chooser(const chooser&) = delete;
  chooser& operator=(const chooser&) = delete;
  virtual ~chooser() = default;

  // The thread of run.possible() that goes on, or nobody: the rest of this run is of no interest.
  virtual unsigned choose(const trace& run) = 0;
  // Threads are left, and none of them can go on.
  virtual void stuck(const trace&) {}
};

enum class trace_end : unsigned char { complete, left, deadlock, no_progress, failed };

class trace {
 public:
  // Stacks outlive the run that used them.
  using stacks = std::vector<std::unique_ptr<fiber>>;

  trace(chooser& who, stacks& pool, std::size_t most_steps) noexcept
      : who_(who), pool_(pool), most_steps_(most_steps) {}
  trace(const trace&) = delete;
  trace& operator=(const trace&) = delete;

  // ---- before the run. Gives the thread's number; the names are kept by address.
  unsigned add(const char* name, std::function<void()> body) {
    QUIRE_EXPECTS(threads_.size() < most_threads);
    threads_.push_back({this, name, std::move(body)});
    return static_cast<unsigned>(threads_.size() - 1);
  }
  // Runs the threads. True when all of them came to their end: only then the outcome says anything.
  [[nodiscard]] bool run() {
    while (pool_.size() < threads_.size()) pool_.push_back(std::make_unique<fiber>());
    for (current_ = 0; current_ < threads_.size(); ++current_) {
      pool_[current_]->start(&enter, &threads_[current_]);
      switch_to(outside_, *pool_[current_]);
    }
    started_ = true;
    current_ = end_ == trace_end::failed ? nobody : pick();
    if (current_ != nobody) switch_to(outside_, *pool_[current_]);
    current_ = nobody;
    return end_ == trace_end::complete;
  }

  // ---- in the threads
  void announce(const action& next) noexcept { pass(next, nullptr, nullptr); }
  void read(const shared_object& object) noexcept { announce({{action_kind::read, object}}); }
  void write(const shared_object& object) noexcept { announce({{action_kind::write, object}}); }
  // Goes on when holds(), which may depend on nothing but the object. Instead of a loop that spins.
  template <class Holds>
  void wait_until(const shared_object& object, const Holds& holds) noexcept {
    block({{action_kind::wait, object}}, holds);
  }
  // The same for any action, which then happens at once.
  template <class Holds>
  void block(const action& next, const Holds& holds) noexcept {
    pass(next, [](const void* what) { return (*static_cast<const Holds*>(what))(); }, &holds);
  }
  // Something is wrong: in a thread, the run ends here.
  void fail(std::string text) noexcept {
    if (end_ != trace_end::failed) finding_ = std::move(text);
    end_ = trace_end::failed;
    if (current_ == nobody) return;
    switch_to(*pool_[current_], outside_);
  }
  // The thread at work; nobody: none is.
  [[nodiscard]] unsigned current() const noexcept { return current_; }

  // ---- for choosers
  [[nodiscard]] unsigned threads() const noexcept { return static_cast<unsigned>(threads_.size()); }
  [[nodiscard]] thread_set possible() const noexcept { return possible_; }
  [[nodiscard]] thread_set unfinished() const noexcept { return unfinished_; }
  [[nodiscard]] const action& next(unsigned thread) const noexcept { return threads_[thread].next; }
  [[nodiscard]] const char* name(unsigned thread) const noexcept { return threads_[thread].name; }
  [[nodiscard]] std::size_t steps() const noexcept { return steps_; }
  [[nodiscard]] trace_end end() const noexcept { return end_; }
  [[nodiscard]] const std::string& finding() const noexcept { return finding_; }

 private:
  using predicate = bool (*)(const void*);
  struct worker {
    trace* run;
    const char* name;
    std::function<void()> body;
    action next{};
    predicate holds = nullptr;
    const void* what = nullptr;
    bool finished = false;
  };

  static void enter(void* argument) noexcept {
    worker& self = *static_cast<worker*>(argument);
    self.body();
    self.finished = true;
    self.next = {};
    self.run->go_on();
  }
  void pass(const action& next, predicate holds, const void* what) noexcept {
    if (current_ == nobody) return;
    worker& self = threads_[current_];
    self.next = next;
    self.holds = holds;
    self.what = what;
    go_on();
  }
  // On the stack of the thread that must wait for its turn: a thread that goes on needs no switch.
  void go_on() noexcept {
    const unsigned self = current_;
    const unsigned next = started_ ? pick() : nobody;
    if (next == self) return;
    if (started_) current_ = next;
    switch_to(*pool_[self], next == nobody ? outside_ : *pool_[next]);
  }
  [[nodiscard]] unsigned pick() {
    unfinished_ = possible_ = 0;
    for (unsigned i = 0; i < threads_.size(); ++i) {
      if (threads_[i].finished) continue;
      unfinished_ |= only(i);
      if (threads_[i].holds == nullptr || threads_[i].holds(threads_[i].what)) possible_ |= only(i);
    }
    if (unfinished_ == 0) return stop(trace_end::complete, {});
    if (possible_ == 0) {
      who_.stuck(*this);
      return stop(trace_end::deadlock, "deadlock:" + pending());
    }
    if (steps_ == most_steps_) return stop(trace_end::no_progress, "no progress:" + pending());
    const unsigned next = who_.choose(*this);
    if (next == nobody) return stop(trace_end::left, {});
    ++steps_;
    return next;
  }
  unsigned stop(trace_end why, std::string finding) {
    end_ = why;
    finding_ = std::move(finding);
    return nobody;
  }
  [[nodiscard]] std::string pending() const {
    std::string text;
    for (const worker& one : threads_)
      if (!one.finished) text += std::string(" [") + one.name + ": " + text_of(one.next) + "]";
    return text;
  }

  chooser& who_;
  stacks& pool_;
  std::size_t most_steps_;
  context outside_;
  std::vector<worker> threads_;
  unsigned current_ = nobody;
  bool started_ = false;
  thread_set possible_ = 0;
  thread_set unfinished_ = 0;
  std::size_t steps_ = 0;
  trace_end end_ = trace_end::left;
  std::string finding_;
};

}  // namespace quire::check
