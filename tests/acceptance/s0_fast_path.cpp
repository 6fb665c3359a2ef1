// SPDX-License-Identifier: MIT
// S0: a write fault on a page that is read-only for the log's sake is answered under the read lock.
#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

using quire::access_kind;
using quire::order;
using quire::write_grant;

// Pages, logged: every one of them read-only.
template <class Format>
struct logged : rig<Format> {
  explicit logged(std::uint64_t pages = 128, quire::check::machine_options options = {},
                  const attributes& wanted = rig<Format>::usual())
      : rig<Format>(pages, options) {
    this->map(this->all(), 0, wanted);
    this->enable();
    this->forget_trace();
  }
};

// The formats whose hardware writes entries, and one of each kind that does not.
#ifdef QUIRE_FEW_FORMATS
using update_formats = std::tuple<riscv_hardware_ad, quire::arm64::stage2_4k<40>>;
#else
using update_formats =
    std::tuple<quire::riscv::sv39x4, riscv_hardware_ad, quire::arm64::stage2_4k<40>, arm64_soft_af, arm64_dbm>;
#endif

}  // namespace

QUIRE_TYPED_TEST("S0-1 a write fault takes the read side only and no table", dirty_formats) {
  logged<Format> r{128, {.hardware = 100}};
  const std::uint64_t tables = r.allocated();
  const auto done = r.fault(r.fast, r.at(70), access_type::write);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::fixed_fast);
  CHECK(r.lock.writes == 0);
  CHECK(r.lock.reads == 1);
  CHECK(r.allocated() == tables);
  CHECK(r.watch.count(what::topped_up) == 0);
  CHECK(r.backing.resolved == 0);
  CHECK(r.writable(r.at(70)));
  CHECK(r.dirty(70));
  CHECK(r.dirty_pages() == 1);
  CHECK(r.count(r.all()).writable == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-2 a page is marked before it becomes writable", dirty_formats) {
  for (const bool fast : {true, false}) {
    logged<Format> r;
    std::uint64_t at_work = 0;
    r.watch.on_mark = [&](std::uint64_t page) {
      if (r.writable(r.at(page)) && !r.dirty(page)) r.watch.wrong("marked after it became writable");
    };
    r.watch.on_grant = [&] {
      if (!r.dirty(at_work)) r.watch.wrong("writable, and the log does not say so");
    };
    // Whoever samples at any access: entry first, then the bitmap.
    r.watch.before_access = [&](access_kind) {
      for (std::uint64_t page = 0; page < 128; page += 7)
        if (r.writable(r.at(page)) && !r.dirty(page))
          r.watch.wrong("a collector saw a writable page that is not marked");
    };
    for (const std::uint64_t page : {0U, 7U, 63U, 64U, 127U, 7U}) {
      at_work = page;
      REQUIRE(r.fault(fast ? r.fast : r.slow, r.at(page), access_type::write).has_value());
    }
    r.watch.before_access = nullptr;
    CHECK(r.dirty_pages() == 5);
    CHECK(r.watch.first(what::marked) < r.watch.first(what::granted));
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S0-3 the page is writable and dirty at once so there is one fault a round", dirty_formats) {
  logged<Format> r;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t page = 0; page < 128; ++page) {
      const auto before = r.found(r.at(page)).attrs;
      CHECK(r.write(page, static_cast<unsigned>(page & 1U)) == 1);
      const auto after = r.found(r.at(page)).attrs;
      CHECK(after.allowed.contains(quire::writable));
      CHECK(after.dirty == Format::facts.has_dirty);
      CHECK(after.accessed == before.accessed);
      CHECK(r.write(page, static_cast<unsigned>(page & 1U)) == 0);
    }
    CHECK(r.dirty_pages() == 128);
    r.harvest();
    CHECK(r.count(r.all()).writable == 0);
    CHECK(r.dirty_pages() == 0);
    if constexpr (Format::facts.has_dirty)
      REQUIRE(r.table.exclusive(r.lock).read_and_clear_dirty(r.all(), [](input_address, std::uint64_t) {}).has_value());
  }
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-3 a page that was aged takes one fault more at most",
                 std::tuple<quire::riscv::sv39x4, arm64_soft_af>) {
  logged<Format> r;
  for (const bool also_written : {false, true})
    for (const bool fast : {true, false})
      for (const auto how : {access_type::write, access_type::read}) {
        if (also_written) CHECK(r.write(3) <= 1);
        else r.harvest();
        REQUIRE(r.table.exclusive(r.lock).test_and_clear_accessed(r.pages(3, 1)).has_value());
        CHECK(r.access(r.at(3), how, fast ? r.fast : r.slow) == 1);
        CHECK(r.found(r.at(3)).attrs.accessed);
      }
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-4 whatever is not that one case is left to the slow path untouched", dirty_formats) {
  logged<Format> r{2 * rig<Format>::per_block};
  // When the write side is taken, the fast path has done nothing.
  const auto untouched = [&](input_address address, access_type how, errc slow_says, fault_outcome outcome,
                             unsigned reads) {
    const auto entry = r.entry(address);
    const auto words = r.words;
    r.forget_trace();
    bool asked = false;
    r.lock.before_lock = [&] {
      asked = true;
      if (r.entry(address) != entry) r.watch.wrong("the fast path changed the entry");
      if (r.words != words) r.watch.wrong("the fast path marked a page");
      if (r.machine.record().stores != 0) r.watch.wrong("the fast path stored");
    };
    const auto done = r.fault(r.fast, address, how);
    r.lock.before_lock = nullptr;
    CHECK(done.error().code == slow_says);
    if (done) CHECK(done->outcome == outcome);
    CHECK(r.lock.reads == reads);
    CHECK(asked == (outcome != fault_outcome::not_memory));
  };
  SECTION("a read fault") {
    untouched(r.at(5), access_type::read, errc::none, fault_outcome::fixed, 0);
    CHECK_FALSE(r.writable(r.at(5)));
    CHECK(r.dirty_pages() == 0);
  }
  SECTION("logging is off") {
    REQUIRE(r.log.disable(quire::block_recovery::none, r.backing).has_value());
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::fixed, 0);
    CHECK(r.dirty_pages() == 0);
  }
  SECTION("logging ends between the question and the lock") {
    r.lock.before_lock_shared = [&] {
      r.lock.before_lock_shared = nullptr;
      REQUIRE(r.log.disable(quire::block_recovery::none, r.backing).has_value());
      r.forget_trace();
    };
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::fixed, 1);
    CHECK(r.dirty_pages() == 0);
  }
  SECTION("nothing is mapped") {
    REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(5, 1)).has_value());
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::fixed, 1);
    CHECK(r.dirty(5));
  }
  SECTION("a block") {
    REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(0, r.per_block)).has_value());
    auto attrs = r.usual();
    attrs.allowed = quire::readable;
    attrs.dirty = false;
    r.map(r.pages(0, r.per_block), 1, attrs);
    REQUIRE(r.level(r.at(5)) == 1);
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::fixed, 1);
    CHECK(r.level(r.at(5)) == 0);
    CHECK(r.count(r.all()).writable == 1);
  }
  SECTION("an annotation") {
    REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(5, 1)).has_value());
    REQUIRE(r.table.exclusive(r.lock).annotate(r.pages(5, 1), 3).has_value());
    untouched(r.at(5), access_type::write, errc::marked, fault_outcome::fixed, 1);
  }
  SECTION("the host is changing this page's mapping") {
    const auto change = r.sequence.begin(r.pages(4, 2));
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::retry, 1);
    CHECK_FALSE(r.writable(r.at(5)));
    CHECK(r.dirty_pages() == 0);
    r.sequence.end(change);
    CHECK(r.write(5) == 1);
  }
  SECTION("the host is changing another page's mapping: no obstacle") {
    const auto change = r.sequence.begin(r.pages(6, 2));
    const auto done = r.fault(r.fast, r.at(5), access_type::write);
    REQUIRE(done.has_value());
    CHECK(done->outcome == fault_outcome::fixed_fast);
    CHECK(r.lock.writes == 0);
    r.sequence.end(change);
  }
  SECTION("the host changed a mapping between the sample and the lock") {
    r.lock.before_lock_shared = [&] {
      r.lock.before_lock_shared = nullptr;
      r.sequence.end(r.sequence.begin(r.pages(100, 1)));
    };
    untouched(r.at(5), access_type::write, errc::none, fault_outcome::fixed, 1);
  }
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-4 a write to a read-only slot is nothing for the table", dirty_formats) {
  auto slot = rig<Format>::slot_of(128, 0);
  slot.read_only = true;
  rig<Format> r{slot, {}};
  auto attrs = r.usual();
  attrs.allowed = quire::readable;
  attrs.may_write = attrs.dirty = false;
  r.map(r.all(), 0, attrs);
  r.enable();
  r.forget_trace();
  const auto done = r.fault(r.fast, r.at(5), access_type::write);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::not_memory);
  CHECK(r.lock.reads + r.lock.writes == 0);
  CHECK(r.machine.record().stores == 0);
  CHECK(r.dirty_pages() == 0);
  CHECK(r.read(5) == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-5 an exchange that expects another entry changes nothing", dirty_formats) {
  logged<Format> r;
  auto memory = r.machine.memory();
  const auto there = r.found(r.at(5)).entry;
  using word = typename Format::word;
  const word seen = there.word;
  for (int bit = 0; bit < 64; ++bit) {
    const word other = seen ^ (word{1} << bit);
    memory.template store<word>(there.table, there.index, other, order::release);
    word expected = seen;
    CHECK_FALSE(memory.template compare_exchange<word>(there.table, there.index, expected, Format::make_writable(seen),
                                                       order::release));
    CHECK(expected == other);
    CHECK(r.entry(r.at(5)) == other);
  }
  memory.template store<word>(there.table, there.index, seen, order::release);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-5 a grant invalidates its page once and remotely never", dirty_formats) {
  logged<Format> r;
  const auto grant = [&](std::uint64_t page) {
    r.forget_trace();
    return r.table.shared(r.lock).make_writable(r.at(page) + 5, [&] { r.log.mark(r.at(page)); });
  };
  CHECK(grant(9) == write_grant::granted);
  CHECK(r.machine.record().stores == 1);
  REQUIRE(r.machine.record().requests.size() == 1);
  const auto& told = r.machine.record().requests[0];
  CHECK(told.first == r.at(9));
  CHECK(told.last == r.at(10) - 1);
  CHECK(told.level == 0);
  CHECK(told.leaf_only);
  CHECK(r.machine.record().requests_local == 1);
  CHECK(r.machine.record().requests_added + r.machine.record().completions == 0);
  // Nothing is written again; what this CPU alone may have cached is dropped, or it would fault for ever.
  CHECK(grant(9) == write_grant::already);
  CHECK(r.machine.record().stores == 0);
  CHECK(r.machine.record().requests_added + r.machine.record().completions == 0);
  CHECK(r.machine.record().requests_local <= 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-5 an accessed bit that appears meanwhile is kept by going round again", update_formats) {
  logged<Format> r;
  const auto plain = r.entry(r.at(5));
  if (Format::facts.sets_accessed) r.poke(r.at(5), Format::clear_accessed(plain));
  int tries = 0;
  r.watch.before_access = [&](access_kind kind) {
    if (kind != access_kind::compare_exchange) return;
    if (++tries == 1 && Format::facts.sets_accessed) r.poke(r.at(5), plain);
  };
  CHECK(r.table.shared(r.lock).make_writable(r.at(5), [&] { r.log.mark(r.at(5)); }) == write_grant::granted);
  r.watch.before_access = nullptr;
  CHECK(tries == (Format::facts.sets_accessed ? 2 : 1));
  CHECK(r.found(r.at(5)).attrs.accessed);
  CHECK(r.writable(r.at(5)));
  CHECK(r.watch.count(what::marked) == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-7 an entry that is gone at the exchange is not written", dirty_formats) {
  using word = typename Format::word;
  for (const word now : {word{0}, word{Format::locked}, Format::marker(7)}) {
    logged<Format> r;
    const word was = r.entry(r.at(5));
    const auto there = r.found(r.at(5)).entry;
    r.watch.before_access = [&](access_kind kind) {
      if (kind == access_kind::compare_exchange)
        r.machine.memory().template store<word>(there.table, there.index, now, order::release);
    };
    const write_grant expected = now == word{Format::locked} ? write_grant::busy : write_grant::not_mapped;
    CHECK(r.table.shared(r.lock).make_writable(r.at(5), [&] { r.log.mark(r.at(5)); }) == expected);
    r.watch.before_access = nullptr;
    CHECK(r.machine.memory().template load<word>(there.table, there.index, order::acquire) == now);
    CHECK(r.machine.record().stores == 0);
    r.machine.memory().template store<word>(there.table, there.index, was, order::release);
    CHECK(r.ended() == "");
  }
}

namespace {
template <class S>
concept has_structure =
    requires(S& s, input_range range) { s.unmap(range); } || requires(S& s, input_range range) { s.split(range); } ||
    requires(S& s, input_range range) { s.map(range, output_address{0}, attributes{}); } ||
    requires(S& s, input_range range) { s.write_protect(range); } ||
    requires(S& s, input_range range) { s.protect(range, quire::readable); } ||
    requires(S& s, input_range range) { s.collapse(range); } || requires(S& s, input_range range) { s.prune(range); } ||
    requires(S& s, input_range range) { s.discard(range); };
}  // namespace

QUIRE_TYPED_TEST("S0-8 structure and protection need the write side", dirty_formats) {
  logged<Format> r;
  using shared = decltype(r.table.shared(r.lock));
  using exclusive = decltype(r.table.exclusive(r.lock));
  static_assert(!has_structure<shared> && has_structure<exclusive>);
  {
    auto session = r.table.exclusive(r.lock);
    CHECK(r.lock.held_for_writing());
    REQUIRE(session.unmap(r.pages(0, 1)).has_value());
    REQUIRE(session.write_protect(r.all()).has_value());
    REQUIRE(session.split(r.all()).has_value());
  }
  {
    const auto session = r.table.shared(r.lock);
    CHECK_FALSE(r.lock.held_for_writing());
  }
  r.forget_trace();
  r.harvest();
  REQUIRE(r.log.disable(quire::block_recovery::none, r.backing).has_value());
  CHECK(r.lock.writes == 3);
  CHECK(r.lock.reads == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-8 the slow path keeps an accessed bit that the hardware sets meanwhile", update_formats) {
  logged<Format> r;
  const auto plain = r.entry(r.at(5));
  const auto aged = Format::clear_accessed(plain);
  if (Format::facts.sets_accessed) r.poke(r.at(5), aged);
  // Before every access that might write: a hardware walk sets the bit.
  r.watch.before_access = [&](access_kind kind) {
    if (kind == access_kind::load || !Format::facts.sets_accessed) return;
    const auto now = r.entry(r.at(5));
    if (now == aged) r.poke(r.at(5), plain);
  };
  REQUIRE(r.fault(r.slow, r.at(5), access_type::write).has_value());
  r.watch.before_access = nullptr;
  CHECK(r.found(r.at(5)).attrs.accessed);
  CHECK(r.writable(r.at(5)));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-9 a page that is read-only for the host's sake stays read-only", dirty_formats) {
  auto attrs = rig<Format>::usual();
  attrs.allowed = quire::readable;
  attrs.may_write = attrs.dirty = false;
  logged<Format> r{128, {}, attrs};
  r.backing.read_only.insert(r.at(5).value);
  const auto entry = r.entry(r.at(5));
  CHECK(r.table.shared(r.lock).make_writable(r.at(5), [&] { r.log.mark(r.at(5)); }) == write_grant::not_permitted);
  const auto done = r.fault(r.fast, r.at(5), access_type::write);
  CHECK(done.error().code == errc::not_permitted);
  CHECK(r.entry(r.at(5)) == entry);
  CHECK(r.dirty_pages() == 0);
  // Read faults do not make it so either, mapped or not.
  REQUIRE(r.fault(r.fast, r.at(5), access_type::read).has_value());
  REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(5, 1)).has_value());
  REQUIRE(r.fault(r.fast, r.at(5), access_type::read).has_value());
  CHECK_FALSE(r.writable(r.at(5)));
  CHECK_FALSE(r.found(r.at(5)).attrs.may_write);
  CHECK(r.table.shared(r.lock).make_writable(r.at(5), [] {}) == write_grant::not_permitted);
  // The host gives the page its own copy: the slow path finds out.
  r.backing.read_only.clear();
  CHECK(r.write(5) == 1);
  CHECK(r.dirty(5));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-9 write protection keeps the way back and protect does not", dirty_formats) {
  logged<Format> r;
  CHECK(r.found(r.at(5)).attrs.may_write);
  CHECK_FALSE(r.writable(r.at(5)));
  struct drop {
    void operator()(input_address, std::uint64_t) const {}
  } ignored;
  {
    auto session = r.table.exclusive(r.lock);
    REQUIRE(session.protect(r.pages(5, 1), quire::readable, quire::partial::split, r.table.policies().tables, ignored)
                .has_value());
  }
  CHECK_FALSE(r.found(r.at(5)).attrs.may_write);
  CHECK(r.table.shared(r.lock).make_writable(r.at(5), [] {}) == write_grant::not_permitted);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-9 a permission update keeps memory type and software bits", dirty_formats) {
  for (const auto memory : {quire::memory_type::normal, quire::memory_type::non_cacheable, quire::memory_type::device})
    for (const bool fast : {true, false}) {
      auto attrs = rig<Format>::usual();
      attrs.memory = memory;
      attrs.software = 1;
      logged<Format> r{128, {}, attrs};
      const auto before = r.found(r.at(5)).attrs;
      CHECK(r.access(r.at(5), access_type::write, fast ? r.fast : r.slow) == 1);
      auto after = r.found(r.at(5)).attrs;
      CHECK(after.allowed == (before.allowed | quire::writable));
      after.allowed = before.allowed;
      after.dirty = before.dirty;
      CHECK(after == before);
      CHECK(r.ended() == "");
    }
}

// The interleavings of a single thread; with real threads in s0_threads.cpp.
QUIRE_TYPED_TEST("S0-10 no write is lost between harvests with hardware in between", dirty_formats) {
  constexpr std::uint64_t pages = 128;
  logged<Format> r{pages, {.hardware = 400}};
  std::vector<std::uint32_t> reported(pages);
  for (std::uint64_t page = 0; page < pages; ++page) reported[page] = r.machine.stores_at(page);
  std::uint64_t written = 0;
  for (int round = 0; round < 400; ++round) {
    for (int i = 0; i < 4; ++i)
      static_cast<void>(r.write(r.machine.next_random() % pages, static_cast<unsigned>(i & 1)));
    for (int i = 0; i < 16; ++i) r.machine.run_hardware();
    std::vector<std::uint64_t> taken(2);
    REQUIRE(r.log.get(taken.data(), r.splitter).has_value());
    for (auto& word : taken) word &= r.machine.next_random() | r.machine.next_random();
    r.clear(0, pages, taken.data());
    for (std::uint64_t page = 0; page < pages; ++page) {
      // What a copy of the page would now contain.
      if ((taken[page / 64] >> (page % 64) & 1U) != 0) reported[page] = r.machine.stores_at(page);
      if (r.machine.stores_at(page) != reported[page] && !r.dirty(page))
        FAIL("round " << round << ": a store to page " << page << " is lost");
      written += r.machine.stores_at(page);
    }
    for (std::uint64_t page = 0; page < pages; ++page)
      if (r.writable(r.at(page)) && !r.dirty(page)) FAIL("page " << page << " is writable and not marked");
  }
  CHECK(written != 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-11 the fast path costs at most half of the slow path", dirty_formats) {
  struct cost {
    std::size_t accesses, calls, locks;
  };
  const auto measure = [](bool fast) {
    logged<Format> r;
    CHECK(r.write(5) == 1);  // the first fault is not counted
    r.harvest();
    r.forget_trace();
    REQUIRE(r.fault(fast ? r.fast : r.slow, r.at(5), access_type::write).has_value());
    const auto& told = r.machine.record();
    const cost spent{told.loads + told.stores,
                     told.maintenance.size() + told.requests_added + told.completions + r.backing.resolved +
                         r.watch.count(what::topped_up),
                     r.lock.writes};
    CHECK(told.stores == 1);
    CHECK(r.watch.count(what::marked) == 1);
    if (fast) CHECK(told.loads == static_cast<std::size_t>(Format::shape.levels));
    CHECK(r.ended() == "");
    return spent;
  };
  const cost fast = measure(true), slow = measure(false);
  CAPTURE(fast.accesses, slow.accesses, fast.calls, slow.calls);
  CHECK(fast.accesses * 2 <= slow.accesses);
  CHECK(fast.calls * 2 <= slow.calls);
  CHECK(fast.locks == 0);
  CHECK(slow.locks == 1);
}

QUIRE_TYPED_TEST("S0-12 a range handler holds the write side and says so", dirty_formats) {
  logged<Format> r;
  CHECK(r.write(5) == 1);
  r.forget_trace();
  r.lock.lock();
  {
    auto session = r.table.exclusive(r.lock, quire::already_held);
    CHECK(r.lock.asserted == 1);
    REQUIRE(session.test_and_clear_accessed(r.pages(5, 1)).has_value());
    REQUIRE(session.lookup(r.at(5)).has_value());  // test-age: looks and changes nothing
    const auto change = r.sequence.begin(r.pages(5, 1));
    const auto gone = session.unmap(r.pages(5, 1));
    REQUIRE(gone.has_value());
    CHECK(gone->entries == 1);
    r.sequence.end(change);
  }
  CHECK(r.lock.writes == 1);
  CHECK(r.lock.held_for_writing());
  CHECK_FALSE(r.watch.owed);
  r.lock.unlock();
  CHECK(r.complaints() == "");
  {
    const auto session = r.table.exclusive(r.lock, quire::already_held);
    CHECK(r.watch.text() == "the write side is not held\n");
  }
}

QUIRE_TYPED_TEST("S0-12 the sequence is sampled before the host is asked", dirty_formats) {
  logged<Format> r;
  REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(5, 1)).has_value());
  r.backing.on_resolve = [&] { r.sequence.end(r.sequence.begin(r.pages(5, 1))); };
  const auto done = r.fault(r.fast, r.at(5), access_type::write);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::retry);
  CHECK_FALSE(r.found(r.at(5)).mapped());
  r.backing.on_resolve = nullptr;
  CHECK(r.write(5) == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S0-13 a write of the guest's own table walk is a write", dirty_formats) {
  logged<Format> r;
  for (const auto how : {access_type::read, access_type::execute, access_type::write}) {
    const auto page = 10 + static_cast<std::uint64_t>(how);
    const auto done = r.fault(r.fast, r.at(page), how, true);
    REQUIRE(done.has_value());
    CHECK(done->outcome == fault_outcome::fixed_fast);
    CHECK(r.writable(r.at(page)));
    CHECK(r.dirty(page));
  }
  // And by the slow path, where nothing was mapped.
  REQUIRE(r.table.exclusive(r.lock).unmap(r.pages(5, 1)).has_value());
  REQUIRE(r.fault(r.fast, r.at(5), access_type::read, true).has_value());
  CHECK(r.writable(r.at(5)));
  CHECK(r.dirty_pages() == 4);
  CHECK(r.ended() == "");
}
