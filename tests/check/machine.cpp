// SPDX-License-Identifier: MIT
#include <quire/check/machine.hpp>

#include "catch.hpp"

#include <quire/format/arm64_stage2.hpp>
#include <quire/format/riscv_gstage.hpp>

#include "check/hand.hpp"

using namespace quire_test;

namespace {
using with_runs = check::policies<direct, quire::locking::none, quire::update::as_format_needs, true>;
static_assert(quire::policies_for<check::policies<direct>, direct>);
static_assert(quire::policies_for<check::policies<breaking>, breaking>);
static_assert(quire::policies_for<with_runs, direct>);
static_assert(!quire::run_memory<decltype(check::policies<direct>::memory), direct::word>);
static_assert(quire::run_memory<decltype(with_runs::memory), direct::word> ==
              quire::run_memory<quire::direct_memory, direct::word>);
}  // namespace

TEMPLATE_TEST_CASE("every format fits into the machine", "", quire::riscv::sv39x4, quire::riscv::sv48x4,
                   (quire::riscv::gstage<3, quire::riscv::extensions{.svadu = true}>), quire::arm64::stage2_4k<40>,
                   quire::arm64::stage2_4k<32>, quire::tiny::wide_root, quire::tiny::narrow32, quire::tiny::napot,
                   quire::tiny::deep, quire::tiny::inverted_dbm, quire::tiny::signed_input) {
  check::machine<TestType> machine{{.units = 64}};
  check::policies<TestType> policies{machine};
  const auto root = policies.tables.take_root(quire::root_table_bytes<TestType>);
  REQUIRE(root.has_value());
  CHECK(root->is_aligned(quire::root_table_bytes<TestType>));
  policies.maintenance.table_filled(*root, quire::root_table_bytes<TestType>);
  REQUIRE(policies.tables.reserve(4));
  machine.options().hardware = 1024;
  for (int i = 0; i < 100; ++i) machine.run_hardware();
  for (unsigned cpu = 0; cpu < 2; ++cpu)
    for (auto how : {access_type::read, access_type::write, access_type::execute})
      CHECK(machine.mmu().translate(cpu, 0, how).why == fault::not_mapped);
  machine.end_of_operation();
  policies.tables.give_back_root(*root, quire::root_table_bytes<TestType>);
  machine.end_of_operation();
  CHECK(machine.findings().text() == "");
}

TEST_CASE("policies may be moved, and act on the same machine") {
  hand<direct> h;
  auto moved = std::move(h.policies);
  moved.memory.store<std::uint64_t>(h.pages, 0, h.leaf(0x400, 0), order::release);
  CHECK(h.access(0).ok());
}

TEST_CASE("the census knows where every table is") {
  hand<direct> h;
  CHECK(h.ended().text() == "");
  SECTION("in stock") {
    CHECK(h.policies.tables.reserve(5));
    CHECK(h.ended().text() == "");
  }
  SECTION("taken and lost") {
    h.table();
    CHECK(h.ended().only(rule::census));
  }
  SECTION("unlinked and lost") {
    h.store(h.blocks, 0, 0);
    h.flush(0, block - 1);
    CHECK(h.ended().only(rule::census));
  }
  SECTION("waiting for a grace period") {
    h.machine.options().defer_reclaim = true;
    h.store(h.blocks, 0, 0);
    h.flush(0, block - 1);
    h.retire(h.pages);
    CHECK(h.ended().text() == "");
    h.machine.collect();
    CHECK(h.ended().text() == "");
  }
}

TEST_CASE("allocations fail as they are told, and a reservation fails with them") {
  hand<direct> h;
  h.machine.stock().drain();
  h.machine.tables().fail_at(2);
  CHECK_FALSE(h.policies.tables.reserve(2));
  CHECK(h.machine.stock().stock() == 1);
  CHECK(h.policies.tables.reserve(2));
  CHECK(h.ended().text() == "");
}

TEST_CASE("what the policies are told is recorded") {
  hand<direct> h;
  h.machine.record().clear();
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.add(0, 63, 0, true);
  h.policies.invalidation.local({input_address{64}, input_address{127}, 0, true, invalidation_reason::relaxed});
  h.complete();
  h.policies.maintenance.published();
  const check::recorder& told = h.machine.record();
  REQUIRE(told.requests.size() == 2);
  CHECK(told.requests[0].first == input_address{0});
  CHECK(told.requests[1].reason == invalidation_reason::relaxed);
  CHECK(told.requests_added == 1);
  CHECK(told.requests_local == 1);
  CHECK(told.completions == 1);
  CHECK(told.stores == 1);
  CHECK(told.maintenance ==
        std::vector{check::maintenance_event::before_invalidation, check::maintenance_event::published});
}

TEST_CASE("an operation yields when it is told to, and may owe nothing then") {
  hand<direct> h{{.yield_every = 3}};
  CHECK_FALSE(h.policies.yield.should_yield());
  CHECK_FALSE(h.policies.yield.should_yield());
  CHECK(h.policies.yield.should_yield());
  h.store(h.pages, 0, h.leaf(0x400, 0));
  h.policies.yield.pause();
  CHECK(h.findings().text() == "");
  h.store(h.pages, 0, 0);
  h.policies.yield.pause();
  CHECK(h.findings().only(rule::not_invalidated));
}

TEST_CASE("the hardware runs between the accesses of an operation") {
  hand<direct> h{{.hardware = 1024}};
  std::uint64_t stores = 0;
  for (int round = 0; round < 300; ++round) {
    for (std::size_t i = 0; i < 4; ++i) h.store(h.blocks, 1 + i % 3, h.leaf((1 + i % 3) * block, 1));
    for (std::size_t i = 1; i < 4; ++i) static_cast<void>(h.exchange(h.blocks, i, 0));
    h.flush(block, 4 * block - 1, 1, true);
    h.machine.end_of_operation();
  }
  for (std::size_t i = 0; i < 64; ++i) stores += h.machine.stores_at(i);
  CHECK(stores > 0);
  CHECK(h.findings().count(rule::stale_translation) == 0);
}

TEST_CASE("the hardware finds a missing invalidation by itself") {
  hand<direct> h{{.hardware = 512}};
  for (int round = 0; round < 100; ++round) {
    h.store(h.blocks, 1, h.leaf(block, 1));
    static_cast<void>(h.exchange(h.blocks, 1, 0));
    h.machine.end_of_operation();
  }
  CHECK(h.findings().count(rule::stale_translation) != 0);
}

TEST_CASE("hardware runs are repeated by their seed") {
  const auto run = [](std::uint64_t seed) {
    hand<direct> h{{.hardware = 512, .seed = seed}};
    h.store(h.blocks, 1, h.leaf(block, 1));
    for (int i = 0; i < 200; ++i) static_cast<void>(h.load(h.blocks, 1));
    std::vector<std::uint32_t> stores;
    for (std::size_t i = 0; i < 64; ++i) stores.push_back(h.machine.stores_at(i));
    return stores;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

#ifndef QUIRE_NO_RUN_CAPABILITY
TEST_CASE("with the run capability whole runs of a table are seen") {
  check::machine<direct> machine{{.automaton = false}};
  with_runs policies{machine};
  REQUIRE(policies.tables.take_root(quire::root_table_bytes<direct>).has_value());
  REQUIRE(policies.tables.reserve(1));
  const table_address gone = *policies.tables.take(quire::table_contents::any);
  direct::word* const words = policies.memory.own<direct::word>(gone, 0, 4);
  words[3] = 7;
  policies.memory.written<direct::word>(gone, 0, 4);
  CHECK(policies.memory.load<direct::word>(gone, 3, order::relaxed) == 7);
  policies.tables.give_back(gone);
  machine.end_of_operation();
  CHECK(machine.findings().text() == "");
  static_cast<void>(policies.memory.own<direct::word>(gone, 0, 4));
  CHECK(machine.findings().only(rule::retired_access));
}
#endif
