// SPDX-License-Identifier: MIT
// Sessions: what each kind offers, that no lock is let go while an invalidation is owed, the lock-drop contract, and a
// table's life from create() to destroy().
#include <quire/table/session.hpp>

#include <utility>  // move

#include "small.hpp"

namespace {

using namespace quire;
using namespace quire_test;
using plain = tiny::plain;

constexpr attributes guest{.allowed = read_write, .may_write = true};

// Counts, and lets nobody go who owes an invalidation.
template <class F>
struct counted_lock {
  check::machine<F>* machine;
  int writers = 0;
  int readers = 0;
  int taken = 0;
  int asserted = 0;
  bool contended = false;

  void lock() {
    REQUIRE(writers + readers == 0);
    ++writers;
    ++taken;
  }
  void unlock() {
    --writers;
    if (machine->has_root()) machine->automaton().verify_nothing_owed();
  }
  void lock_shared() {
    REQUIRE(writers == 0);
    ++readers;
  }
  void unlock_shared() { --readers; }
  void assert_held() { ++asserted; }
  [[nodiscard]] bool is_contended() const { return contended; }
};

template <class F>
using shared_policies = check::policies<F, locking::shared<counted_lock<F>>>;
template <class F>
using exclusive_policies = check::policies<F, locking::exclusive<counted_lock<F>>>;

template <class F, template <class> class Policies = shared_policies>
struct locked_table {
  explicit locked_table(check::machine_options options = {.units = 64})
      : machine(options), lock{&machine}, table(Policies<F>{machine}) {
    REQUIRE(table.create());
  }
  ~locked_table() { machine.stop(); }
  locked_table(const locked_table&) = delete;
  locked_table& operator=(const locked_table&) = delete;
  std::string findings() {
    machine.end_of_operation();
    return machine.findings().text();
  }
  check::machine<F> machine;
  counted_lock<F> lock;
  page_table<F, Policies<F>> table;
};

// ---- what does not compile
template <class Session>
concept can_map = requires(Session s, input_range r, output_address o) { s.map(r, o, attributes{}); };
template <class Session>
concept can_unmap = requires(Session s, input_range r) { s.unmap(r); };
template <class Session>
concept can_split = requires(Session s, input_range r) { s.split(r, 0); };
template <class Session>
concept can_write_protect = requires(Session s, input_range r) { s.write_protect(r); };
template <class Session>
concept can_look_up = requires(Session s, input_address a) { s.lookup(a); };
template <class Session>
concept can_relax = requires(Session s, input_address a) { s.relax(a, readable); };
template <class Table, class Lock>
concept has_shared = requires(Table t, Lock lock) { t.shared(lock); };
template <class Table, class Lock>
concept has_exclusive = requires(Table t, Lock lock) { t.exclusive(lock); };
template <class Table>
concept has_unlocked = requires(Table t) { t.exclusive(); };

using shared_table = page_table<plain, shared_policies<plain>>;
using exclusive_table = page_table<plain, exclusive_policies<plain>>;
using single_table = page_table<plain, check::policies<plain>>;
using write_side = exclusive_session<shared_table, counted_lock<plain>>;
using read_side = shared_session<shared_table, counted_lock<plain>>;

static_assert(can_map<write_side> && can_unmap<write_side> && can_split<write_side> && can_write_protect<write_side>);
static_assert(!can_map<read_side> && !can_unmap<read_side> && !can_split<read_side> && !can_write_protect<read_side>);
static_assert(can_look_up<read_side> && can_relax<read_side> && can_look_up<write_side>);
static_assert(has_shared<shared_table, counted_lock<plain>&> && !has_shared<exclusive_table, counted_lock<plain>&>);
static_assert(has_exclusive<exclusive_table, counted_lock<plain>&> && !has_exclusive<exclusive_table, no_lock&>);
static_assert(has_unlocked<single_table> && !has_unlocked<exclusive_table>);
static_assert(!std::is_copy_constructible_v<single_table> && std::is_move_constructible_v<single_table>);
static_assert(!std::is_copy_constructible_v<write_side>);

}  // namespace

TEST_CASE("a session takes the lock and lets go of it, or is told that it is held") {
  locked_table<plain, exclusive_policies> t;
  {
    auto session = t.table.exclusive(t.lock);
    CHECK(t.lock.writers == 1);
    REQUIRE(session.map(pages(0, 4), at(0), guest));
  }
  CHECK(t.lock.writers == 0);
  t.lock.lock();
  {
    auto session = t.table.exclusive(t.lock, already_held);
    CHECK(t.lock.asserted == 1);
    REQUIRE(session.unmap(pages(0, 4)));
  }
  CHECK(t.lock.writers == 1);
  t.lock.unlock();
  CHECK(t.lock.taken == 2);
  CHECK(t.findings().empty());
}

TEST_CASE("the invalidations of a session complete once, before the lock is let go") {
  locked_table<plain> t;
  REQUIRE(t.table.exclusive(t.lock).map(pages(0, 8), at(0), guest, {.largest_level = 0}));
  t.machine.record().clear();
  {
    auto session = t.table.exclusive(t.lock);
    REQUIRE(session.write_protect(pages(0, 2)));
    REQUIRE(session.unmap(pages(4, 2)));
    CHECK(t.machine.record().completions == 0);
  }
  CHECK(t.machine.record().requests_added == 2);
  CHECK(t.machine.record().completions == 1);
  CHECK(t.findings().empty());
}

TEST_CASE("letting go completes, unlocks, pauses, refills, locks, and says whether the root is there") {
  locked_table<plain> t({.units = 64, .yield_every = 1});
  auto session = t.table.exclusive(t.lock);
  REQUIRE(session.map(pages(0, 8), at(0), guest));
  REQUIRE(session.write_protect(pages(0, 8)));
  t.machine.record().clear();
  int refills = 0;
  const bool alive = session.let_go(false, [&]() {
    ++refills;
    CHECK(t.lock.writers == 0);
    CHECK(t.machine.record().completions == 1);
    CHECK(t.machine.record().pauses == 1);
  });
  CHECK(alive);
  CHECK(refills == 1);
  CHECK(t.lock.writers == 1);
  CHECK(t.findings().empty());
}

TEST_CASE("nobody lets go unless asked; a contended lock asks") {
  locked_table<plain> t;
  auto session = t.table.exclusive(t.lock);
  int refills = 0;
  const auto refill = [&]() { ++refills; };
  CHECK(session.let_go(false, refill));
  CHECK(refills == 0);
  t.lock.contended = true;
  CHECK(session.let_go(false, refill));
  CHECK(refills == 1);
  t.lock.contended = false;
  CHECK(session.let_go(true, refill));
  CHECK(refills == 2);
}

TEST_CASE("a split in chunks yields at every step and ends where one piece ends") {
  locked_table<plain> t({.units = 64, .hardware = 300, .yield_every = 1});
  REQUIRE(t.table.exclusive(t.lock).map(pages(0, 64), at(0), guest));
  {
    auto session = t.table.exclusive(t.lock);
    for (std::uint64_t i = 0; i < 64; i += 4) {
      REQUIRE(session.split(pages(i, 4)));
      REQUIRE(session.let_go(false, []() {}));
    }
  }
  for (std::uint64_t i = 0; i < 64; ++i) CHECK(t.table.exclusive(t.lock).lookup(input_address{i * page})->level == 0);
  CHECK(t.machine.record().pauses == 16);
  CHECK(t.findings().empty());
}

TEST_CASE("a table that was destroyed while the lock was dropped has no root afterwards") {
  locked_table<plain> t;
  auto session = t.table.exclusive(t.lock);
  REQUIRE(session.map(pages(0, 8), at(0), guest));
  CHECK_FALSE(session.let_go(true, [&]() {
    t.machine.stop();
    CHECK(t.table.destroy(100));
  }));
  CHECK(session.map(pages(0, 8), at(0), guest).error().code == errc::no_root);
  CHECK(session.unmap(pages(0, 8)).error().code == errc::no_root);
  CHECK(session.lookup(input_address{0}).error().code == errc::no_root);
  CHECK(session.split(pages(0, 8)).error().code == errc::no_root);
  CHECK(session.annotate(pages(0, 1), 1).error().code == errc::no_root);
  CHECK(session.for_each_mapping(pages(0, 1), [](const mapping&) {}).error().code == errc::no_root);
}

TEST_CASE("the read side may make a page writable, relax it and age it, and marks before it grants") {
  locked_table<plain> t;
  REQUIRE(t.table.exclusive(t.lock).map(pages(0, 2), at(0), guest));
  REQUIRE(t.table.exclusive(t.lock).map(pages(4, 4), at(4), guest));
  REQUIRE(t.table.exclusive(t.lock).map(pages(2, 1), at(2), {.allowed = readable}));
  REQUIRE(t.table.exclusive(t.lock).write_protect(pages(0, 64)));
  auto session = t.table.shared(t.lock);
  CHECK(t.lock.readers == 1);
  int marks = 0;
  const auto mark = [&]() {
    ++marks;
    CHECK_FALSE(session.lookup(input_address{page})->attrs.allowed.contains(writable));
  };
  CHECK(session.make_writable(input_address{page}, mark) == write_grant::granted);
  CHECK(marks == 1);
  CHECK(session.lookup(input_address{page})->attrs.dirty);
  CHECK(session.make_writable(input_address{page}, []() {}) == write_grant::already);
  CHECK(session.make_writable(input_address{2 * page}, mark) == write_grant::not_permitted);
  CHECK(session.make_writable(input_address{4 * page}, mark) == write_grant::not_page);
  CHECK(session.make_writable(input_address{9 * page}, mark) == write_grant::not_mapped);
  CHECK(session.make_writable(input_address{64 * page}, mark) == write_grant::not_mapped);
  CHECK(marks == 1);

  CHECK(session.relax(input_address{0}, executable));
  CHECK(session.relax(input_address{2 * page}, writable).error().code == errc::not_permitted);
  CHECK(session.relax(input_address{4 * page}, executable).error().code == errc::unsupported_level);
  CHECK(session.relax(input_address{9 * page}, executable).error().code == errc::not_mapped);
  CHECK(session.relax(input_address{64 * page}, executable).error().code == errc::beyond_input);
  CHECK(session.test_and_clear_accessed(input_address{0}).value());
  CHECK_FALSE(session.test_and_clear_accessed(input_address{0}).value());
  CHECK(session.test_and_clear_accessed(input_address{64 * page}).error().code == errc::beyond_input);
}

TEST_CASE("a callback may end a visit") {
  locked_table<plain> t;
  auto session = t.table.exclusive(t.lock);
  REQUIRE(session.map(pages(0, 12), at(0), guest));
  int seen = 0;
  const auto done = session.for_each_mapping(pages(0, 16), [&](const mapping&) { return ++seen < 2; });
  CHECK(done.error().code == errc::stopped);
  CHECK(done.error().at == 4 * page);
  CHECK(seen == 2);
}

TEST_CASE("a table is created once, destroyed in chunks and movable in between") {
  check::machine<plain> machine({.units = 64});
  page_table<plain, check::policies<plain>> first{check::policies<plain>{machine}};
  CHECK(first.root().error().code == errc::no_root);
  CHECK(first.exclusive().lookup(input_address{0}).error().code == errc::no_root);
  REQUIRE(first.create());
  const auto root = first.root().value();
  REQUIRE(first.create());
  CHECK(first.root().value() == root);
  REQUIRE(first.exclusive().map(pages(0, 64), at(0), guest, {.largest_level = 0}));
  auto second = std::move(first);
  CHECK(second.root().value() == root);
  machine.stop();
  CHECK(machine.tables().live_blocks() - machine.stock().stock() == 1 + 4 + 16);
  CHECK_FALSE(second.destroy(7));
  CHECK(machine.tables().live_blocks() - machine.stock().stock() == 1 + 4 + 16 - 7);
  CHECK_FALSE(second.destroy(0));
  while (!second.destroy(1)) {
  }
  CHECK(second.destroy(1));
  CHECK(machine.tables().live_blocks() == machine.stock().stock());
  CHECK(machine.findings().text() == "");
}

TEST_CASE("a table without memory for a root stays without one") {
  check::machine<plain> machine({.units = 64});
  machine.tables().fail_at(1);
  page_table<plain, check::policies<plain>> table{check::policies<plain>{machine}};
  CHECK(table.create().error().code == errc::no_memory);
  CHECK(table.root().error().code == errc::no_root);
  CHECK(table.destroy(1));
  REQUIRE(table.create());
}

TEST_CASE("retired tables wait for the end of the grace period") {
  check::machine<plain> machine({.units = 64, .defer_reclaim = true});
  page_table<plain, check::policies<plain>> table{check::policies<plain>{machine}};
  REQUIRE(table.create());
  REQUIRE(table.exclusive().map(pages(0, 16), at(0), guest, {.largest_level = 0}));
  REQUIRE(table.exclusive().unmap(pages(0, 16)));
  CHECK(machine.waiting() == 5);
  machine.end_of_operation();
  machine.collect();
  CHECK(machine.waiting() == 0);
  machine.end_of_operation();
  CHECK(machine.findings().text() == "");
  machine.stop();
}

TEST_CASE("break-before-make may be asked for where the format does not need it") {
  using asked = check::policies<plain, locking::none, update::break_before_make<4>>;
  check::machine<plain> machine({.units = 64, .hardware = 200});
  machine.automaton().options().must_break = true;
  page_table<plain, asked> table{asked{machine}};
  REQUIRE(table.create());
  REQUIRE(table.exclusive().map(pages(0, 32), at(0), guest));
  machine.record().clear();
  REQUIRE(table.exclusive().split(pages(0, 32)));
  CHECK(machine.record().requests_added == 2);  // two tables of four blocks
  REQUIRE(table.exclusive().collapse(pages(0, 32)));
  REQUIRE(table.exclusive().unmap(pages(1, 3)));
  machine.end_of_operation();
  CHECK(machine.findings().text() == "");
  machine.stop();
}
