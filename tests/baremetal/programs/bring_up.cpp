// SPDX-License-Identifier: MIT
// The first program of every machine: whether the guest does what it is told, and whether what the tables say is what
// it meets. Nothing here is about the library's finer points.
#include "arch.hpp"
#include "frames.hpp"
#include "guest.hpp"
#include "policies.hpp"
#include "report.hpp"

namespace {

using namespace bare;
using quire::input_address;
using quire::input_range;
using quire::output_address;
using reason = guest_exit::reason;

using format = BARE_FORMAT;
using stage = second_stage<format>;
using table = quire::page_table<format, table_policies<format>>;

constexpr std::uint64_t page = format::shape.page_bytes(), block = format::shape.leaf_bytes(1);
constexpr unsigned id = 1;

// Where things are in the guest.
constexpr input_address area{0x1000'0000}, pages{0x1800'0000}, blocks{0x2000'0000};

std::uint64_t* word_at(std::uint64_t address) { return reinterpret_cast<std::uint64_t*>(address); }

std::uint64_t memory_of(std::uint64_t bytes) {
  const auto got = all_frames.allocate(bytes);
  check(got.has_value(), "there is memory", bytes);
  return got.value_or({}).value;
}

// What hardware that does not set them itself wants to find set.
quire::attributes leaf_for(quire::permissions allowed) {
  const bool writes = allowed.contains(quire::writable);
  return {.allowed = allowed, .may_write = writes, .dirty = writes && format::facts.has_dirty};
}

void map(table& t, input_address from, std::uint64_t to, std::uint64_t bytes, quire::permissions allowed,
         bool replace = false) {
  const auto done =
      t.exclusive().map(input_range::sized(from, bytes), output_address{to}, leaf_for(allowed), {.replace = replace});
  check(done.has_value(), "map", from.value);
}

void expect_done(const guest_exit& left, std::uint64_t answer, const char* what) {
  if (check(left.why == reason::done && left.answer == answer, what)) return;
  say_exit(left);
  end_line();
}
void expect_fault(const guest_exit& left, input_address at, quire::permissions access, const char* what) {
  if (check(left.why == reason::fault && left.address.align_down(page) == at.align_down(page) &&
                left.access == access && !left.of_guest_tables,
            what))
    return;
  say_exit(left);
  end_line();
}

void one_page(table& t, vcpu& guest) {
  const std::uint64_t memory = memory_of(page);
  *word_at(memory + 8) = 0x1234'5678'9abc'def0;
  map(t, pages, memory, page, quire::read_write);
  expect_done(guest.run({verb::load, pages.value + 8}), 0x1234'5678'9abc'def0, "load");
  expect_done(guest.run({verb::store, pages.value + 16, 77}), 0, "store");
  check(*word_at(memory + 16) == 77, "the host sees the store");
  expect_done(guest.run({verb::add, pages.value + 16, 3}), 77, "add gives what was");
  check(*word_at(memory + 16) == 80, "the host sees the sum");
  expect_fault(guest.run({verb::call, pages.value}), pages, quire::executable, "execute-never");
}

void absent_pages(table& t, vcpu& guest) {
  const std::uint64_t memory = memory_of(4 * page);
  const input_address first = pages + 8 * page;
  for (unsigned i = 0; i < 4; ++i) *word_at(memory + i * page) = 100 + i;
  write_function(reinterpret_cast<void*>(memory + 2 * page), 321);

  expect_fault(guest.run({verb::load, first.value}), first, quire::readable, "load of an absent page");
  map(t, first, memory, page, quire::readable);
  expect_done(guest.resume(), 100, "the load goes on");

  expect_fault(guest.run({verb::store, first.value + page, 5}), first + page, quire::writable,
               "store to an absent page");
  map(t, first + page, memory + page, page, quire::read_write);
  expect_done(guest.resume(), 0, "the store goes on");
  check(*word_at(memory + page) == 5, "it arrived");

  expect_fault(guest.run({verb::call, first.value + 2 * page}), first + 2 * page, quire::executable,
               "execution of an absent page");
  map(t, first + 2 * page, memory + 2 * page, page, quire::read_execute);
  expect_done(guest.resume(), 321, "the call goes on");

  expect_fault(guest.run({verb::store, first.value, 9}), first, quire::writable, "store to a read-only page");
  check(*word_at(memory) == 100, "it did not arrive");
  expect_done(guest.run({verb::load, first.value}), 100, "a command that was given up does no harm");
}

// Where the machine has as much memory as a block is large.
void one_block(table& t, vcpu& guest) {
  const std::uint64_t memory = memory_of(block), step = block / 64;
  map(t, blocks, memory, block, quire::read_write);
  const auto found = t.exclusive().lookup(blocks + page);
  check(found.has_value() && found->level == 1, "it is a block");
  expect_done(guest.run({verb::fill, blocks.value, 1000, 64, step}), 0, "fill");
  expect_done(guest.run({verb::sum, blocks.value, 0, 64, step}), 64 * 1000 + 63 * 32, "sum");
  check(*word_at(memory + 63 * step) == 1063, "the end of the block is where it belongs");
}

// The guest walks tables of its own, which it sees through a window.
void own_tables(table& t) {
  constexpr std::uint64_t window_bytes = 0x10'0000;
  constexpr input_address window{0x1c00'0000};
  constexpr std::uint64_t elsewhere = 0x4000'0000;  // where the guest's tables have what lies at `pages`
  const std::uint64_t memory = memory_of(window_bytes);
  map(t, window, memory, window_bytes, quire::read_write);

  guest_window seen{window, memory, window_bytes};
  quire::page_table<guest_stage, guest_table_policies> own{guest_table_policies{seen}};
  check(own.create().has_value(), "create the guest's own");
  const auto map_own = [&](std::uint64_t from, input_address to, std::uint64_t bytes, quire::permissions allowed) {
    auto leaf = leaf_for(allowed);
    leaf.from = quire::privilege::supervisor;
    leaf.dirty = leaf.dirty && guest_stage::facts.has_dirty;
    const auto done =
        own.exclusive().map(input_range::sized(input_address{from}, bytes), output_address{to.value}, leaf);
    check(done.has_value(), "map in the guest's own", from);
  };
  map_own(area.value, area, guest_area_bytes, quire::all_access);
  map_own(elsewhere, pages, page, quire::read_write);

  vcpu guest{area};
  guest.use_tables(input_address{own.root()->value});
  expect_done(guest.run({verb::load, elsewhere + 8}), 0x1234'5678'9abc'def0, "load through both stages");

  check(t.exclusive().unmap(input_range::sized(window, window_bytes)).has_value(), "unmap the guest's tables");
  const guest_exit left = guest.run({verb::store, elsewhere + 24, 55});
  if (!check(left.why == reason::fault && left.address.align_down(window_bytes) == window && left.of_guest_tables,
             "the guest's tables are missed")) {
    say_exit(left);
    end_line();
  }
  map(t, window, memory, window_bytes, quire::read_write);
  expect_done(guest.resume(), 0, "the guest's tables are there again");
}

struct other_guest {
  table& t;
  std::uint64_t counts = 0;
  guest_exit left{};
};

// On another CPU: says that it runs, then waits for the word of a page that is about to be replaced.
void wait_in_guest(void* with) {
  auto& mine = *static_cast<other_guest*>(with);
  stage::use(*mine.t.root(), id);
  vcpu guest{area + guest_area_bytes};
  mine.left = guest.run({verb::store, pages.value + page, 1});
  if (mine.left.why != reason::done) return;
  mine.left = guest.run({verb::spin, pages.value + 2 * page, 2, 1'000'000'000});
  // The page is absent for a moment.
  while (mine.left.why == reason::fault && mine.left.address.align_down(page) == pages + 2 * page)
    mine.left = guest.resume();
}

void count(void* with) {
  quire::atomic::fetch_add(static_cast<std::uint64_t*>(with), std::uint64_t{1}, quire::order::relaxed);
}

void two_cpus(table& t) {
  std::uint64_t counted = 0;
  for (unsigned round = 0; round < 100; ++round) {
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) start(cpu, count, &counted);
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) wait_for(cpu);
  }
  check(counted == 100 * (cpus() - 1), "each CPU did its work", counted);
  if (cpus() == 1) return;

  const std::uint64_t memory = memory_of(4 * page), second_area = memory_of(guest_area_bytes);
  for (std::uint64_t i = 0; i < guest_area_bytes; i += 8) *word_at(second_area + i) = *word_at(guest_area() + i);
  *word_at(memory + 2 * page) = 2;
  map(t, area + guest_area_bytes, second_area, guest_area_bytes, quire::all_access);
  map(t, pages + page, memory, 2 * page, quire::read_write);

  other_guest other{t};
  start(1, wait_in_guest, &other);
  while (quire::atomic::load(word_at(memory), quire::order::acquire) != 1) pause();
  for (unsigned i = 0; i < 100'000; ++i) pause();
  map(t, pages + 2 * page, memory + 2 * page, page, quire::read_write, true);
  wait_for(1);
  check(other.left.why == reason::done && other.left.answer > 0 && other.left.answer < 1'000'000'000,
        "a CPU in the guest sees the page that replaced another", other.left.answer);
}

}  // namespace

void bare::program() {
  const char* obstacle = stage::obstacle();
  if (obstacle != nullptr) skip(obstacle);
  {
    table t{table_policies<format>{id}};
    check(t.create().has_value(), "create");
    map(t, area, guest_area(), guest_area_bytes, quire::all_access);
    stage::use(*t.root(), id);
    vcpu guest{area};
    one_page(t, guest);
    absent_pages(t, guest);
    if constexpr (block <= 32U << 20U) one_block(t, guest);
    own_tables(t);
    two_cpus(t);
  }
  finish();
}
