// SPDX-License-Identifier: MIT
#include <quire/dirty/fault.hpp>

#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

using quire::block_recovery;

using formats = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>>;
using special_formats =
    std::tuple<riscv_hardware_ad, arm64_soft_af, arm64_dbm, arm64_contiguous, quire::tiny::plain, quire::tiny::grouped,
               quire::tiny::wide_root, quire::tiny::inverted_dbm, quire::tiny::narrow32, quire::tiny::napot_ad>;

constexpr quire::dirty_log_mode manual{.manual_protect = true, .initially_set = false};

}  // namespace

TEST_CASE("a fault says whether it is a write") {
  using quire::guest_fault;
  const input_address at{0x1000};
  CHECK(guest_fault{at, quire::writable}.is_write());
  CHECK(guest_fault{at, quire::read_write}.is_write());
  CHECK_FALSE(guest_fault{at, quire::readable}.is_write());
  CHECK_FALSE(guest_fault{at, quire::executable}.is_write());
  CHECK(guest_fault{at, quire::readable, true}.is_write());
}

QUIRE_TYPED_TEST("a guest touches what it likes", special_formats) {
  constexpr std::uint64_t pages = 16;
  for (const bool logging : {false, true})
    for (const int host_level : {0, 1, 7}) {
      rig<Format> r{pages, {.units = 64, .hardware = 50}};
      r.backing.largest = host_level;
      if (logging) r.enable(manual);
      for (int i = 0; i < 60; ++i) {
        const std::uint64_t page = r.machine.next_random() % pages;
        const auto how = r.machine.next_random() % 2 == 0 ? access_type::read : access_type::write;
        const unsigned cpu = static_cast<unsigned>(r.machine.next_random() % 2);
        REQUIRE(r.access(r.at(page), how, i % 3 == 0 ? r.slow : r.fast, cpu) <= 2);
        REQUIRE(r.found(r.at(page)).output == r.output_of(r.at(page)));
        if (logging && how == access_type::write) REQUIRE(r.dirty(page));
      }
      for (std::uint64_t page = 0; page < pages && logging; ++page) CHECK(r.writable(r.at(page)) == r.dirty(page));
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("pages are logged one by one and a read fault while logging leaves the page read-only",
                 special_formats) {
  rig<Format> r{16};
  r.backing.largest = 7;
  r.enable(manual);
  CHECK(r.read(5) == 1);
  CHECK(r.level(r.at(5)) == 0);
  CHECK_FALSE(r.writable(r.at(5)));
  CHECK(r.found(r.at(5)).attrs.may_write);
  CHECK(r.dirty_pages() == 0);
  r.forget_trace();
  CHECK(r.write(5) == 1);
  CHECK(r.lock.writes == 0);  // by the fast path
  CHECK(r.dirty(5));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("without logging the largest leaf that slot and host allow is mapped", formats) {
  constexpr std::uint64_t n = rig<Format>::per_block;
  SECTION("all aligned") {
    rig<Format> r{4 * n};
    CHECK(r.read(2 * n + 9) == 1);
    CHECK(r.level(r.at(2 * n)) == 1);
    CHECK(r.writable(r.at(2 * n)));
    CHECK(r.write(3 * n - 1) == 0);
    CHECK(r.ended() == "");
  }
  SECTION("a gigabyte") {
    rig<Format> r{rig<Format>::region / rig<Format>::page};
    CHECK(r.write(12345) == 1);
    CHECK(r.level(r.at(0)) == 2);
    CHECK(r.ended() == "");
  }
  SECTION("the host has pages") {
    rig<Format> r{4 * n};
    r.backing.largest = 0;
    CHECK(r.write(9) == 1);
    CHECK(r.level(r.at(9)) == 0);
    CHECK(r.ended() == "");
  }
  SECTION("the block would reach out of the slot") {
    rig<Format> r{2 * n, {}, n / 2};
    CHECK(r.write(0) == 1);
    CHECK(r.level(r.at(0)) == 0);
    CHECK(r.write(n) == 1);
    CHECK(r.level(r.at(n)) == 1);
    CHECK(r.write(2 * n - 1) == 1);
    CHECK(r.level(r.at(2 * n - 1)) == 0);
    CHECK(r.ended() == "");
  }
  SECTION("guest and host disagree inside the block") {
    auto slot = rig<Format>::slot_of(4 * n, 0);
    slot.host += rig<Format>::page;
    rig<Format> r{slot, {}};
    CHECK(r.write(9) == 1);
    CHECK(r.level(r.at(9)) == 0);
    CHECK(r.ended() == "");
  }
  SECTION("a neighbour in the block leads elsewhere") {
    rig<Format> r{4 * n};
    const output_address elsewhere{r.output_of(r.at(0)).value + 4 * r.region};
    {
      auto session = r.table.exclusive(r.lock);
      REQUIRE(session.map(r.pages(7, 1), elsewhere, r.usual()).has_value());
    }
    CHECK(r.write(9) == 1);
    CHECK(r.level(r.at(9)) == 0);
    CHECK(r.found(r.at(7)).output == elsewhere);
    CHECK(r.found(r.at(9)).output == r.output_of(r.at(9)));
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("the host's page and the slot's rights set the limit", formats) {
  SECTION("the host page is read-only") {
    for (const bool logging : {false, true}) {
      rig<Format> r{64};
      r.backing.largest = 0;
      r.backing.read_only.insert(r.at(5).value);
      if (logging) r.enable(manual);
      CHECK(r.read(5) == 1);
      CHECK_FALSE(r.writable(r.at(5)));
      CHECK_FALSE(r.found(r.at(5)).attrs.may_write);
      CHECK(r.fault(r.fast, r.at(5), access_type::write).error().code == errc::not_permitted);
      CHECK_FALSE(r.writable(r.at(5)));
      CHECK(r.dirty_pages() == 0);
      CHECK(r.ended() == "");
    }
  }
  SECTION("the slot grants no write") {
    for (const bool read_only : {false, true})
      for (const bool logging : {false, true}) {
        auto slot = rig<Format>::slot_of(64, 0);
        slot.rights = quire::read_execute;
        slot.read_only = read_only;
        rig<Format> r{slot, {}};
        if (logging) r.enable(manual);
        CHECK(r.read(5) == 1);
        CHECK(r.access(r.at(5), access_type::execute, r.fast) == 0);
        const auto done = r.fault(r.fast, r.at(5), access_type::write);
        if (read_only) CHECK(done.value_or({}).outcome == fault_outcome::not_memory);
        else CHECK(done.error().code == errc::not_permitted);
        CHECK(r.count(r.all()).writable == 0);
        CHECK_FALSE(r.found(r.at(5)).attrs.may_write);
        CHECK(r.dirty_pages() == 0);
        CHECK(r.ended() == "");
      }
  }
  SECTION("the slot grants no execution") {
    rig<Format> r{64};
    r.backing.largest = 0;
    CHECK(r.write(5) == 1);
    CHECK_FALSE(r.found(r.at(5)).attrs.allowed.contains(quire::executable));
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("no slot and nothing but emulation", formats) {
  rig<Format> r{64};
  const auto done = r.fast.handle({r.at(5), quire::readable}, nullptr, r.vcpu);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::not_memory);
  CHECK(r.lock.writes + r.lock.reads == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("what the host says is handed on", formats) {
  struct failing {
    quire::result<quire::host_page> resolve(const quire::memory_slot&, input_address, bool) { return errc::stopped; }
    int mapped_level(const quire::memory_slot&, input_address) { return 0; }
  } backing;
  rig<Format> r{64};
  quire::fault_handler<typename rig<Format>::table_type, probe_lock, failing, probe_sink> faults{
      r.table, r.lock, r.sequence, backing, quire::fault_path::fast};
  CHECK(faults.handle({r.at(5), quire::readable}, &r.log, r.vcpu).error().code == errc::stopped);
  CHECK(r.lock.writes == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("a fault with exactly the tables it declares", special_formats) {
  // Every state that a fault may find, and a stock that never grows.
  for (int state = 0; state < 4; ++state)
    for (const bool logging : {false, true})
      for (const bool moved : {false, true}) {
        rig<Format> r{16, {.units = 64}};
        r.backing.largest = 1;
        auto attrs = r.usual();
        if (state == 1) r.map(r.all(), 0, attrs);
        if (state == 2) r.map(r.all(), 7, attrs);
        if (state == 3) r.map(r.all(), 7, attrs, true);
        if (logging) r.enable(manual);
        if (moved && logging) r.backing.moved[r.at(5).value] = r.output_of(r.at(5)).value + 4 * r.region;
        REQUIRE(r.vcpu.top_up(2 * static_cast<std::size_t>(Format::shape.root_level)));
        r.machine.tables().fail_all_from(1);
        CHECK(r.fault(r.slow, r.at(5), access_type::write).error().code == errc::none);
        CHECK(r.writable(r.at(5)));
        r.machine.tables().fail_never();
        CHECK(r.ended() == "");
      }
}

QUIRE_TYPED_TEST("a mapping that is changing makes the guest try again", formats) {
  rig<Format> r{64};
  const auto change = r.sequence.begin(r.pages(0, 64));
  const auto done = r.fault(r.fast, r.at(5), access_type::read);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::retry);
  CHECK_FALSE(r.found(r.at(5)).mapped());
  r.sequence.end(change);
  CHECK(r.read(5) == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("an aged page comes back with one fault at most", special_formats) {
  for (const bool logging : {false, true})
    for (const auto how : {access_type::read, access_type::write})
      for (const bool fast : {true, false}) {
        rig<Format> r{16, {.units = 64}};
        r.map(r.all(), 7);
        if (logging) r.enable(manual);
        CHECK(r.access(r.at(5), how, fast ? r.fast : r.slow) <= 1);
        REQUIRE(r.table.exclusive(r.lock).test_and_clear_accessed(r.all()).has_value());
        CHECK(r.access(r.at(5), how, fast ? r.fast : r.slow) <= 1);
        CHECK(r.access(r.at(5), how, r.fast) == 0);
        CHECK(r.ended() == "");
      }
}

QUIRE_TYPED_TEST("a right that the leaf cannot have is an error and not an endless fault",
                 std::tuple<quire::arm64::stage2_4k<40>>) {
  auto slot = rig<Format>::slot_of(64, 0);
  slot.rights = quire::all_access;
  rig<Format> r{slot, {}};
  auto attrs = r.usual();
  attrs.memory = quire::memory_type::device;
  attrs.allowed = quire::readable;
  r.map(r.all(), 0, attrs);
  CHECK(r.fault(r.slow, r.at(5), access_type::write).error().code == errc::unsupported_attribute);
  CHECK_FALSE(r.writable(r.at(5)));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("a block is rebuilt only where its pages agree", formats) {
  constexpr std::uint64_t n = rig<Format>::per_block;
  const auto after_logging = [](auto&& change) {
    rig<Format> r{4 * n};
    r.backing.largest = 1;
    r.map(r.all(), 1);
    r.control.set_chunk_bytes(r.block);
    r.enable(manual);
    REQUIRE(r.log.disable(block_recovery::on_fault, r.backing).has_value());
    change(r);
    CHECK(r.write(n + 3) == 1);
    CHECK(r.write(n + 3) == 0);
    const int level = r.level(r.at(n + 3));
    CHECK(r.ended() == "");
    return level;
  };
  CHECK(after_logging([](auto&) {}) == 1);
  CHECK(after_logging([](auto& r) { r.backing.largest = 0; }) == 0);
  CHECK(after_logging([](auto& r) { REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(n + 100, 2)).has_value()); }) == 1);
  CHECK(after_logging([](auto& r) {
          auto session = r.table.exclusive(r.lock);
          REQUIRE(session.unmap(r.pages(n + 100, 1)).has_value());
          REQUIRE(session.map(r.pages(n + 100, 1), output_address{r.output_of(r.at(0)).value + 4 * r.region}, r.usual())
                      .has_value());
        }) == 0);
}
