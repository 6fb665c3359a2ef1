// SPDX-License-Identifier: MIT
#include <quire/check/trace.hpp>

#include "catch.hpp"

using namespace quire::check;

namespace {

// Lets the threads run in the order of a list, then leaves.
class listed : public chooser {
 public:
  explicit listed(std::vector<unsigned> order) : order_(std::move(order)) {}
  unsigned choose(const trace& run) override {
    seen.push_back(run.possible());
    return run.steps() < order_.size() ? order_[run.steps()] : nobody;
  }
  std::vector<thread_set> seen;

 private:
  std::vector<unsigned> order_;
};

struct bench {
  explicit bench(std::vector<unsigned> order, std::size_t most_steps = 100)
      : who(std::move(order)), run(who, stacks, most_steps) {}
  trace::stacks stacks;
  listed who;
  trace run;
};

constexpr shared_object a{"a"}, b{"b"};
constexpr action on(action_kind kind, shared_object object) { return {{kind, object}}; }

}  // namespace

TEST_CASE("a fiber runs until it switches away, and on when it is switched to") {
  struct shared_state {
    context here;
    fiber other;
    int step = 0;
  } s;
  s.other.start(
      [](void* argument) noexcept {
        auto& state = *static_cast<shared_state*>(argument);
        for (;;) {
          ++state.step;
          switch_to(state.other, state.here);
        }
      },
      &s);
  CHECK(s.step == 0);
  for (int i = 1; i <= 3; ++i) {
    switch_to(s.here, s.other);
    CHECK(s.step == i);
  }
}

TEST_CASE("a fiber that was dropped in the middle of deep frames is used again") {
  struct shared_state {
    context here;
    fiber other{64 * 1024};
    int depth = 0;
    std::uint64_t sum = 0;

    [[gnu::noinline]] void dive(int frames) noexcept {
      volatile unsigned char weight[256] = {};
      weight[static_cast<unsigned>(frames) % 256] = 1;
      depth = frames;
      if (frames == 60) switch_to(other, here);
      else dive(frames + 1);
      sum += weight[static_cast<unsigned>(frames) % 256];
    }
  } s;
  for (int i = 0; i < 1000; ++i) {
    s.depth = 0;
    s.other.start([](void* argument) noexcept { static_cast<shared_state*>(argument)->dive(0); }, &s);
    switch_to(s.here, s.other);
    REQUIRE(s.depth == 60);
  }
  CHECK(s.sum == 0);
}

TEST_CASE("a thread runs alone from one announcement to the next") {
  bench t{{1, 0, 0, 1}};
  std::string text;
  for (const char* name : {"ab", "cd"})
    t.run.add(name, [&text, &t, name] {
      text += '(';
      t.run.write(a);
      text += name[0];
      t.run.write(a);
      text += name[1];
    });
  REQUIRE(t.run.run());
  CHECK(text == "((cabd");
  CHECK(t.run.steps() == 4);
  CHECK(t.run.current() == nobody);
}

TEST_CASE("what nobody's thread announces happens at once") {
  bench t{{0}};
  t.run.write(a);
  t.run.wait_until(a, [] { return false; });
  t.run.add("one", [&t] { t.run.write(a); });
  REQUIRE(t.run.run());
  t.run.write(a);
  CHECK(t.run.steps() == 1);
}

TEST_CASE("a thread without actions comes to its end before the first step") {
  bench t{{}};
  bool ran = false;
  t.run.add("idle", [&ran] { ran = true; });
  CHECK(t.run.run());
  CHECK(ran);
}

TEST_CASE("a thread that waits is not possible until what it waits for holds") {
  bench t{{0, 1}};
  int value = 0;
  t.run.add("writer", [&] {
    t.run.write(a);
    value = 1;
  });
  t.run.add("waiter", [&] {
    t.run.wait_until(a, [&value] { return value == 1; });
    value = 2;
  });
  REQUIRE(t.run.run());
  CHECK(value == 2);
  CHECK(t.who.seen == std::vector<thread_set>{only(0), only(1)});
}

TEST_CASE("how a run ends") {
  SECTION("left") {
    bench t{{0}};
    t.run.add("one", [&t] {
      t.run.write(a);
      t.run.write(b);
    });
    CHECK_FALSE(t.run.run());
    CHECK(t.run.end() == trace_end::left);
    CHECK(t.run.finding() == "");
  }
  SECTION("deadlock") {
    bench t{{0}};
    t.run.add("one", [&t] {
      t.run.write(a);
      t.run.wait_until(b, [] { return false; });
    });
    CHECK_FALSE(t.run.run());
    CHECK(t.run.end() == trace_end::deadlock);
    CHECK(t.run.finding() == "deadlock: [one: wait b 0x0]");
  }
  SECTION("no progress") {
    bench t{std::vector<unsigned>(50, 0), 10};
    t.run.add("spinner", [&t] {
      for (;;) t.run.read(a);
    });
    CHECK_FALSE(t.run.run());
    CHECK(t.run.end() == trace_end::no_progress);
    CHECK(t.run.finding() == "no progress: [spinner: read a 0x0]");
    CHECK(t.run.steps() == 10);
  }
  SECTION("failed in a thread: at once") {
    bench t{{1, 0, 1}};
    t.run.add("other", [&t] { t.run.write(a); });
    t.run.add("failing", [&t] {
      t.run.write(a);
      t.run.fail("bad");
      t.run.write(a);
    });
    CHECK_FALSE(t.run.run());
    CHECK(t.run.end() == trace_end::failed);
    CHECK(t.run.finding() == "bad");
    CHECK(t.run.steps() == 1);
  }
  SECTION("failed before the first action") {
    bench t{{0, 1}};
    t.run.add("failing", [&t] { t.run.fail("bad"); });
    t.run.add("other", [&t] { t.run.write(a); });
    CHECK_FALSE(t.run.run());
    CHECK(t.run.finding() == "bad");
    CHECK(t.run.steps() == 0);
  }
}

TEST_CASE("which actions can be swapped") {
  using enum action_kind;
  const auto same = [](action_kind left, action_kind right) { return between(on(left, a), on(right, a)); };
  CHECK(same(read, read) == relation::independent);
  CHECK(same(read, wait) == relation::independent);
  CHECK(same(read, write) == relation::racing);
  CHECK(same(write, write) == relation::racing);
  CHECK(same(wait, write) == relation::racing);
  CHECK(same(nothing, write) == relation::independent);
  // Two holders at once, or one who waits for the other: only what was possible at the same time races.
  CHECK(same(lock, lock) == relation::racing);
  CHECK(same(lock, lock_shared) == relation::racing);
  CHECK(same(lock_shared, lock_shared) == relation::independent);
  CHECK(same(unlock_shared, lock_shared) == relation::independent);
  CHECK(same(unlock_shared, unlock_shared) == relation::independent);
  CHECK(same(unlock, lock) == relation::ordered);
  CHECK(same(unlock, lock_shared) == relation::ordered);
  CHECK(same(unlock_shared, lock) == relation::ordered);
  // Somebody who looks at a lock without taking it.
  for (const auto kind : {lock, lock_shared, unlock, unlock_shared}) CHECK(same(read, kind) == relation::racing);

  CHECK(between(on(write, a), on(write, b)) == relation::independent);
  CHECK(between(on(write, {"a", 1}), on(write, {"a", 2})) == relation::independent);
  CHECK(between(on(write, {"a", 1, 3}), on(write, {"a", 3})) == relation::racing);
  CHECK(between(on(write, {"a", 1, 3}), on(write, {"a", 4})) == relation::independent);
  const action both{{read, a}, {write, b}};
  CHECK(between(both, on(read, a)) == relation::independent);
  CHECK(between(both, on(read, b)) == relation::racing);
  CHECK(between(on(unlock, a), action{{lock, a}, {write, b}}) == relation::ordered);
  CHECK(between(action{{unlock, a}, {write, b}}, action{{lock, a}, {write, b}}) == relation::racing);
  CHECK(text_of(both) == "read a 0x0, write b 0x0");
  CHECK(text_of(on(wait, {"c", 16, 31})) == "wait c 0x10..0x1f");
}
