// SPDX-License-Identifier: MIT
#include <quire/check/explorer.hpp>

#include "catch.hpp"

#include <map>
#include <set>

#include <quire/check/explored.hpp>

using namespace quire::check;

namespace {

constexpr const char* names[] = {"first", "second", "third", "fourth"};
constexpr explore_options everything{.reduce = false};

// `threads` threads of `steps` actions each, all on one object or each on its own.
program grid(unsigned threads, unsigned steps, action_kind kind, bool one_object) {
  return [=](trace& run) -> std::string {
    for (unsigned i = 0; i < threads; ++i)
      run.add(names[i], [&run, steps, kind, object = one_object ? 0 : i] {
        for (unsigned k = 0; k < steps; ++k) run.announce({{kind, {"cell", object}}});
      });
    return run.run() ? "" : "cut";
  };
}

// Two threads add one to a counter, after `before` actions of no importance.
program two_increments(bool atomic, unsigned before = 0) {
  return [=](trace& run) -> std::string {
    unsigned value = 0;
    for (unsigned i = 0; i < 2; ++i)
      run.add(names[i], [&run, &value, atomic, before, i] {
        const shared_object counter{"counter"};
        for (unsigned k = 0; k < before; ++k) run.write({"own", i});
        for (;;) {
          run.read(counter);
          const unsigned seen = value;
          run.write(counter);
          if (atomic && value != seen) continue;  // a compare-exchange that failed
          value = seen + 1;
          break;
        }
      });
    if (!run.run()) return {};
    return value == 2 ? "" : "an update was lost";
  };
}

std::size_t switches_of(const std::string& text) {
  const schedule steps = schedule_of(text);
  std::size_t count = 0;
  for (std::size_t i = 1; i < steps.size(); ++i) count += steps[i] != steps[i - 1] ? 1U : 0U;
  return count;
}

}  // namespace

TEST_CASE("actions that cannot meet are run in one order, and without reduction in every order") {
  for (const auto& body : {grid(3, 3, action_kind::write, false), grid(3, 3, action_kind::read, true),
                           grid(3, 3, action_kind::lock_shared, true)}) {
    const auto reduced = explore(body);
    CHECK(reduced.exhaustive);
    CHECK(reduced.complete == 1);
    CHECK(reduced.cut == 0);
    CHECK(reduced.steps == 9);
    const auto all = explore(body, everything);
    CHECK(all.exhaustive);
    CHECK(all.complete == 1680);  // 9! / (3! 3! 3!)
    CHECK(all.deepest == 9);
  }
}

TEST_CASE("actions that all race are run in every order, once each") {
  struct known {
    unsigned threads;
    unsigned steps;
    std::size_t orders;
  };
  for (const known one : {known{2, 1, 2}, known{2, 4, 70}, known{2, 6, 924}, known{3, 2, 90}, known{3, 3, 1680},
                          known{4, 1, 24}, known{4, 2, 2520}})
    for (const bool reduce : {true, false}) {
      const auto found = explore(grid(one.threads, one.steps, action_kind::write, true), {.reduce = reduce});
      CHECK(found.exhaustive);
      CHECK(found.complete == one.orders);
      CHECK(found.cut + found.failing == 0);
      CHECK(found.deepest == one.threads * one.steps);
    }
}

TEST_CASE("a bound allows so many switches away from threads that could go on") {
  // Of the 70 orders of four and four: 2 with one change of thread, then 6, 18, 18, 18, 6, 2. One change is free.
  const std::size_t orders[] = {2, 8, 26, 44, 62, 68, 70, 70};
  for (unsigned bound = 0; bound < 8; ++bound) {
    const auto found = explore(grid(2, 4, action_kind::write, true), {.preemptions = bound});
    CHECK(found.exhaustive);
    CHECK(found.complete == orders[bound]);
    // No reduction: independent actions are ordered, too.
    CHECK(explore(grid(2, 4, action_kind::write, false), {.preemptions = bound}).complete == orders[bound]);
  }
  CHECK(explore(two_increments(false), {.preemptions = 0}).finding == "");
  CHECK(explore(two_increments(false), {.preemptions = 1}).finding == "an update was lost");
}

TEST_CASE("a waiting thread that is left for another costs no preemption") {
  const program body = [](trace& run) -> std::string {
    bool open = false;
    run.add("waiter", [&] {
      run.read({"own"});
      run.wait_until({"door"}, [&open] { return open; });
    });
    run.add("opener", [&] {
      run.write({"door"});
      open = true;
    });
    return run.run() ? "" : "cut";
  };
  const auto found = explore(body, {.preemptions = 0});
  CHECK(found.complete == 2);
  CHECK(found.failing == 0);
}

TEST_CASE("the search stops where it is told") {
  const auto body = grid(3, 3, action_kind::write, true);
  const auto stopped = explore(body, {.most_traces = 100});
  CHECK_FALSE(stopped.exhaustive);
  CHECK(stopped.traces() == 100);
  CHECK(explore(body, {.most_traces = 1680}).exhaustive);
  CHECK_FALSE(explore(body, {.most_traces = 1679}).exhaustive);

  const auto first = explore(two_increments(false));
  CHECK(first.failing == 1);
  CHECK_FALSE(first.exhaustive);
  const auto all = explore(two_increments(false), {.stop_at_finding = false});
  CHECK(all.exhaustive);
  CHECK(all.failing == 2);  // both read first; then one or the other writes first
  CHECK(all.complete == 2);
  CHECK(all.finding == first.finding);
  CHECK(all.schedule == first.schedule);
}

TEST_CASE("an update is lost with a load and a store, and not with a compare-exchange") {
  for (const bool reduce : {true, false}) {
    CHECK(explore(two_increments(false), {.reduce = reduce}).finding == "an update was lost");
    const auto atomic = explore(two_increments(true), {.reduce = reduce});
    CHECK(atomic.finding == "");
    CHECK(atomic.exhaustive);
  }
}

TEST_CASE("locks taken in two orders deadlock, in one order never") {
  const auto nested = [](bool same_order) -> program {
    return [=](trace& run) -> std::string {
      explored_rw_lock one{run, 1}, two{run, 2};
      for (unsigned i = 0; i < 2; ++i)
        run.add(names[i], [&, i] {
          explored_rw_lock& outer = i == 0 || same_order ? one : two;
          explored_rw_lock& inner = &outer == &one ? two : one;
          outer.lock();
          inner.lock();
          inner.unlock();
          outer.unlock();
        });
      return run.run() ? "" : "cut";
    };
  };
  for (const bool reduce : {true, false}) {
    CHECK(explore(nested(false), {.reduce = reduce}).finding ==
          "deadlock: [first: lock lock 0x2] [second: lock lock 0x1]");
    const auto fine = explore(nested(true), {.reduce = reduce});
    CHECK(fine.finding == "");
    CHECK(fine.exhaustive);
    CHECK(fine.complete == 2);
  }
}

TEST_CASE("a lock excludes, readers share, and neither side is preferred") {
  bool readers_met = false;
  bool writer_first = false;
  const program body = [&](trace& run) -> std::string {
    explored_rw_lock lock{run};
    int writers = 0;
    int readers = 0;
    run.add("writer", [&] {
      lock.lock();
      lock.assert_held();
      run.write({"inside"});
      ++writers;
      if (readers != 0) run.fail("a reader beside the writer");
      run.write({"inside"});
      --writers;
      lock.unlock();
    });
    for (unsigned i = 1; i < 3; ++i)
      run.add(names[i], [&] {
        lock.lock_shared();
        run.write({"inside"});
        if (writers != 0) run.fail("the writer beside a reader");
        ++readers;
        readers_met = readers_met || readers == 2;
        writer_first = writer_first || run.unfinished() == 6;
        run.write({"inside"});
        --readers;
        lock.unlock_shared();
      });
    return run.run() ? "" : "cut";
  };
  for (const bool reduce : {true, false}) {
    readers_met = writer_first = false;
    const auto found = explore(body, {.reduce = reduce});
    CHECK(found.finding == "");
    CHECK(found.exhaustive);
    CHECK(readers_met);
    CHECK(writer_first);
  }
}

TEST_CASE("a lock that is not held cannot be given up") {
  for (const bool shared : {true, false})
    CHECK(explore([=](trace& run) -> std::string {
            explored_rw_lock lock{run};
            run.add("one", [&] { shared ? lock.unlock_shared() : lock.unlock(); });
            return run.run() ? "" : "cut";
          }).finding != "");
}

TEST_CASE("a message is waited for, and one that is lost is a deadlock") {
  const auto mailbox = [](bool tells) -> program {
    return [=](trace& run) -> std::string {
      int data = 0;
      bool full = false;
      run.add("sender", [&] {
        run.write({"data"});
        data = 42;
        if (!tells) return;
        run.write({"flag"});
        full = true;
      });
      run.add("receiver", [&] {
        run.wait_until({"flag"}, [&full] { return full; });
        run.read({"data"});
        if (data != 42) run.fail("nothing is there");
      });
      return run.run() ? "" : "cut";
    };
  };
  const auto fine = explore(mailbox(true));
  CHECK(fine.finding == "");
  CHECK(fine.complete == 1);
  CHECK(explore(mailbox(false)).finding == "deadlock: [receiver: wait flag 0x0]");
}

TEST_CASE("a loop that spins is no end") {
  const auto found = explore(
      [](trace& run) -> std::string {
        bool done = false;
        run.add("spinner", [&] {
          do run.read({"flag"});
          while (!done);
        });
        run.add("other", [&] {
          run.write({"flag"});
          done = true;
        });
        return run.run() ? "" : "cut";
      },
      {.most_steps = 50});
  CHECK(found.finding == "no progress: [spinner: read flag 0x0] [other: write flag 0x0]");
}

TEST_CASE("a program that does something else each time is refused") {
  int times = 0;
  const auto found = explore([&times](trace& run) -> std::string {
    ++times;
    for (unsigned i = 0; i < 2; ++i)
      run.add(names[i], [&run, i, odd = times % 2 != 0] {
        if (i == 1 && odd) run.wait_until({"cell"}, [] { return true; });
        for (unsigned k = 0; k < (odd ? 2U : 1U); ++k) run.write({"cell"});
      });
    return run.run() ? "" : "cut";
  });
  CHECK(found.finding == "the program does not do the same in the same order");
  CHECK(found.failing == 1);
}

TEST_CASE("schedules are text") {
  CHECK(text_of(schedule{}) == "");
  CHECK(text_of(schedule{0, 0, 0, 1, 0}) == "0*3 1 0");
  CHECK(schedule_of("0*3 1 0") == schedule{0, 0, 0, 1, 0});
  CHECK(schedule_of("12*2") == schedule{12, 12});
  CHECK(schedule_of("") == schedule{});
}

TEST_CASE("a schedule is followed to the same finding") {
  for (const bool reduce : {true, false})
    for (const unsigned before : {0U, 3U}) {
      const auto body = two_increments(false, before);
      const auto found = explore(body, {.reduce = reduce});
      const auto again = replay(body, found.schedule);
      CHECK(again.finding == "an update was lost");
      CHECK(again.schedule == found.schedule);
      CHECK(again.switches == switches_of(found.schedule));
    }
  // Without one, thread after thread; with one that does not fit, what fits of it.
  CHECK(replay(two_increments(false), "").finding == "");
  CHECK(replay(two_increments(false), "").schedule == "0*2 1*2");
  CHECK(replay(two_increments(false), "1*9 5 0").schedule == "1*2 0*2");
}

TEST_CASE("a schedule shrinks to the switches that the mistake takes") {
  const auto body = two_increments(false, 4);
  std::string wild;
  for (int i = 0; i < 6; ++i) wild += "0 1 ";
  REQUIRE(replay(body, wild).finding != "");
  REQUIRE(replay(body, wild).switches == 11);
  const std::string small = shrink(body, wild);
  CHECK(switches_of(small) == 2);
  CHECK(replay(body, small).finding == "an update was lost");
  CHECK(replay(body, small).schedule == small);
  // What ends in no finding is given back as it is.
  CHECK(shrink(body, "0*6 1*6") == "0*6 1*6");
  CHECK(shrink(two_increments(true), "0 1 0 1") == "0 1 0 1");
  CHECK(explain(two_increments(false), "0 1*2 0") ==
        "schedule 0 1*2 0\nfirst: read counter 0x0\nsecond: read counter 0x0\nsecond: write counter 0x0\n"
        "first: write counter 0x0\nan update was lost\n");
}

// ---- small programs by chance: what is found with reduction is what is found without
namespace {

struct random_program {
  enum class what : unsigned char { read, write, update, exchange, wait, locked_update, shared_read };
  struct step {
    what does;
    unsigned on;
  };
  std::vector<std::vector<step>> threads;
  unsigned objects;

  explicit random_program(std::uint64_t seed) {
    std::uint64_t state = seed * 0x9e37'79b9'7f4a'7c15ULL + 1;
    const auto below = [&state](unsigned n) {
      state ^= state << 13U;
      state ^= state >> 7U;
      state ^= state << 17U;
      return static_cast<unsigned>((state >> 20U) % n);
    };
    objects = 2 + below(2);
    threads.resize(2 + below(2));
    unsigned left = threads.size() == 2 ? 5 : 3;  // actions a thread
    for (auto& steps : threads) {
      for (unsigned used = 0; used < left;) {
        const step one{static_cast<what>(below(7)), below(objects)};
        used += one.does >= what::locked_update ? 3 : 1;
        steps.push_back(one);
      }
    }
  }

  // Everything that a run leaves behind: values, what each thread saw, who is stuck, and the order of what races.
  struct seen {
    std::set<std::string> states;
    std::set<std::string> orders;
  };

  [[nodiscard]] program body(seen& into) const {
    return [this, &into](trace& run) -> std::string {
      std::array<unsigned, 3> values{};
      std::array<unsigned, 4> saw{};
      std::vector<std::pair<unsigned, action>> done;
      const std::vector<std::unique_ptr<explored_rw_lock>> locks = make_locks(run);
      for (unsigned self = 0; self < threads.size(); ++self)
        run.add(names[self], [&, self] {
          const auto note = [&](action_kind kind, unsigned on, const char* name = "value") {
            done.push_back({self, {{kind, {name, on}}}});
          };
          for (const step& one : threads[self]) {
            const unsigned on = one.on;
            const unsigned other = (on + 1) % objects;
            const shared_object object{"value", on};
            switch (one.does) {
              case what::read:
                run.read(object);
                note(action_kind::read, on);
                saw[self] = saw[self] * 7 + values[on];
                break;
              case what::write:
                run.write(object);
                note(action_kind::write, on);
                values[on] = self + 1;
                break;
              case what::update:
                run.write(object);
                note(action_kind::write, on);
                values[on] = values[on] * 5 + self + 1;
                break;
              case what::exchange:
                run.announce({{action_kind::write, object}, {action_kind::write, {"value", other}}});
                done.push_back({self, {{action_kind::write, object}, {action_kind::write, {"value", other}}}});
                std::swap(values[on], values[other]);
                ++values[on];
                break;
              case what::wait:
                run.wait_until(object, [&values, on] { return values[on] % 3 != 0; });
                note(action_kind::wait, on);
                break;
              case what::locked_update:
                locks[on]->lock();
                note(action_kind::lock, on, "lock");
                run.write(object);
                note(action_kind::write, on);
                values[on] = values[on] * 3 + self;
                locks[on]->unlock();
                note(action_kind::unlock, on, "lock");
                break;
              case what::shared_read:
                locks[on]->lock_shared();
                note(action_kind::lock_shared, on, "lock");
                run.read(object);
                note(action_kind::read, on);
                saw[self] = saw[self] * 7 + values[on];
                locks[on]->unlock_shared();
                note(action_kind::unlock_shared, on, "lock");
                break;
            }
          }
        });
      static_cast<void>(run.run());
      if (run.end() == trace_end::left) return {};
      std::string state = run.finding();
      for (const unsigned value : values) state += " " + std::to_string(value);
      for (const unsigned value : saw) state += " " + std::to_string(value);
      into.states.insert(state);
      into.orders.insert(order_of(done) + run.finding());
      return {};
    };
  }

 private:
  [[nodiscard]] static std::vector<std::unique_ptr<explored_rw_lock>> make_locks(trace& run) {
    std::vector<std::unique_ptr<explored_rw_lock>> locks;
    for (unsigned i = 0; i < 3; ++i) locks.push_back(std::make_unique<explored_rw_lock>(run, i));
    return locks;
  }
  // Two runs that differ only in the order of independent actions give the same text.
  [[nodiscard]] static std::string order_of(const std::vector<std::pair<unsigned, action>>& done) {
    std::set<std::string> pairs;
    std::vector<std::string> label;
    std::map<unsigned, unsigned> count;
    for (const auto& one : done) label.push_back(std::to_string(one.first) + "." + std::to_string(count[one.first]++));
    for (std::size_t k = 0; k < done.size(); ++k)
      for (std::size_t i = 0; i < k; ++i)
        if (between(done[i].second, done[k].second) != relation::independent) pairs.insert(label[i] + "<" + label[k]);
    std::string text;
    for (const std::string& one : pairs) text += one + " ";
    return text;
  }
};

}  // namespace

TEST_CASE("reduction keeps every final state, and runs each order of racing actions once") {
  std::size_t runs_reduced = 0;
  std::size_t runs_all = 0;
  std::size_t deadlocks = 0;
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    const random_program one{seed};
    random_program::seen reduced, all;
    const auto with = explore(one.body(reduced), {.stop_at_finding = false});
    const auto without = explore(one.body(all), {.reduce = false, .stop_at_finding = false});
    INFO("seed " << seed);
    REQUIRE(with.exhaustive);
    REQUIRE(without.exhaustive);
    REQUIRE(reduced.states == all.states);
    REQUIRE(reduced.orders == all.orders);
    REQUIRE(with.complete + with.failing == all.orders.size());
    runs_reduced += with.traces();
    runs_all += without.traces();
    deadlocks += with.failing != 0 ? 1 : 0;
  }
  CHECK(deadlocks > 20);
  CHECK(runs_reduced * 50 < runs_all);
}
