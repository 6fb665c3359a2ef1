// SPDX-License-Identifier: MIT
// S1: a fault on a block while the log is on splits it, along the way to the faulting address and no further.
#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

using quire::access_kind;
using quire::block_recovery;
using quire::entry_kind;

template <class Format>
inline constexpr std::uint64_t region_pages = rig<Format>::region / rig<Format>::page;
template <class Format>
inline constexpr std::uint64_t block_pages = rig<Format>::per_block;

// One leaf of 1 GiB (or whatever the format has at level 2), protected for the log.
template <class Format>
struct one_region : rig<Format> {
  explicit one_region(quire::check::machine_options options = {}) : rig<Format>(region_pages<Format>, options) {
    this->map(this->all(), rig<Format>::top_level);
    if (this->count(this->all()).leaves[2] != 1) this->watch.wrong("no leaf of level 2 was made");
    this->enable();
    this->forget_trace();
  }
};

}  // namespace

QUIRE_TYPED_TEST("S1-1 only the path to the faulting address is split", dirty_formats) {
  one_region<Format> r;
  const auto before = r.count(r.all());
  const std::uint64_t at = 3 * block_pages<Format> + 17;
  REQUIRE(r.fault(r.fast, r.at(at) + 8, access_type::write).has_value());
  const auto after = r.count(r.all());
  CHECK(after.tables == before.tables + 2);
  CHECK(r.watch.count(what::table_taken) == 2);
  CHECK(after.leaves[2] == 0);
  CHECK(after.leaves[1] == Format::shape.entries(1) - 1);
  CHECK(after.leaves[0] == Format::shape.entries(0));
  CHECK(r.level(r.at(at)) == 0);
  CHECK(r.level(r.at(at - block_pages<Format>)) == 1);
  CHECK(r.level(r.at(at + block_pages<Format>)) == 1);
  CHECK(r.write(at) == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S1-2 children keep every attribute and only one page becomes writable", dirty_formats) {
  for (const bool accessed : {true, false})
    for (const auto memory :
         {quire::memory_type::normal, quire::memory_type::non_cacheable, quire::memory_type::device}) {
      rig<Format> r{region_pages<Format>};
      attributes wanted = r.usual();
      if (memory != quire::memory_type::device) wanted.allowed = quire::all_access;
      wanted.memory = memory;
      wanted.accessed = accessed;
      wanted.software = 1;
      r.map(r.all(), 2, wanted);
      r.enable();
      const attributes parent = r.found(r.at(0)).attrs;
      REQUIRE_FALSE(parent.allowed.contains(quire::writable));
      REQUIRE(r.fault(r.fast, r.at(5), access_type::write).has_value());
      std::size_t others = 0, wrong = 0;
      quire::check::visit_entries<Format>(r.machine.memory(), r.machine.root(), [&](const auto& e) {
        if (e.kind != entry_kind::leaf || e.first == r.at(5).value) return;
        ++others;
        wrong += Format::attributes_of(e.word, e.level) != parent ? 1U : 0U;
        wrong += Format::output_of(e.word, e.level) != r.output_of(input_address{e.first}) ? 1U : 0U;
      });
      CHECK(others == Format::shape.entries(0) + Format::shape.entries(1) - 2);
      CHECK(wrong == 0);
      const auto faulting = r.found(r.at(5));
      CHECK(faulting.attrs.allowed == (parent.allowed | quire::writable));
      CHECK(faulting.attrs.memory == memory);
      CHECK(faulting.attrs.software == 1);
      CHECK(faulting.attrs.may_write);
      CHECK(faulting.output == r.output_of(r.at(5)));
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("S1-3 after logging only the leaf of the faulting address changes", dirty_formats) {
  for (const bool aligned : {true, false})
    for (const std::uint64_t inside :
         {std::uint64_t{1}, std::uint64_t{17}, block_pages<Format> - 1, std::uint64_t{0}}) {
      rig<Format> r{4 * block_pages<Format>};
      r.map(r.all(), 1);
      r.control.set_chunk_bytes(r.block);
      r.enable();
      REQUIRE(r.count(r.all()).leaves[1] == 0);
      REQUIRE(r.log.disable(block_recovery::none, r.backing).has_value());
      r.forget_trace();
      const std::uint64_t page = block_pages<Format> + inside;
      const auto tables = r.count(r.all()).tables;
      // A lookup of the block's first page would leave the faulting one as it is, for ever.
      CHECK(r.access(r.at(page) + (aligned ? 0 : 40), access_type::write, r.fast) == 1);
      CHECK(r.machine.record().stores == 1);
      CHECK(r.count(r.all()).tables == tables);
      CHECK(r.count(r.all()).writable == 1);
      CHECK(r.writable(r.at(page)));
      CHECK(r.level(r.at(page)) == 0);
      CHECK(r.dirty_pages() == 0);
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("S1-4 the same leaf at the wanted level is a protection update only", dirty_formats) {
  rig<Format> r{4 * block_pages<Format>};
  auto attrs = r.usual();
  attrs.allowed = quire::readable;
  attrs.dirty = false;
  r.map(r.all(), 1, attrs);
  r.enable({.manual_protect = true, .initially_set = true});
  REQUIRE(r.log.disable(block_recovery::none, r.backing).has_value());
  r.forget_trace();
  // Not logged: the block as a whole, found by an address far inside it.
  CHECK(r.access(r.at(block_pages<Format> + 9), access_type::write, r.fast) == 1);
  CHECK(r.machine.record().stores == 1);
  CHECK(r.watch.count(what::table_taken) == 0);
  CHECK(r.count(r.all()).leaves[1] == 4);
  CHECK(r.count(r.all()).writable == 1);
  // Again, by another CPU that missed it: nothing is written, nothing goes to all.
  r.forget_trace();
  REQUIRE(r.fault(r.slow, r.at(block_pages<Format> + 9), access_type::write).has_value());
  CHECK(r.machine.record().stores == 0);
  CHECK(r.machine.record().requests_added == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S1-5 another output takes the normal way", dirty_formats) {
  rig<Format> r{4 * block_pages<Format>};
  r.map(r.all(), 0);
  r.enable();
  const output_address elsewhere{r.output_of(r.at(0)).value + 4 * r.region};
  SECTION("a page") {
    r.backing.moved[r.at(5).value] = elsewhere.value;
    REQUIRE(r.fault(r.slow, r.at(5), access_type::write).has_value());
    CHECK(r.found(r.at(5)).output == elsewhere);
    CHECK(r.writable(r.at(5)));
    CHECK(r.found(r.at(6)).output == r.output_of(r.at(6)));
    CHECK_FALSE(r.writable(r.at(6)));
  }
  SECTION("a block in place of its pages: the table is freed after the invalidation of all it translated") {
    REQUIRE(r.log.disable(block_recovery::none, r.backing).has_value());
    r.backing.displacement += 4 * r.region;
    r.backing.largest = 1;
    const auto tables = r.count(r.all()).tables;
    for (std::uint64_t page = 0; page < 8; ++page) r.read(page);  // fills the caches of the CPUs
    r.forget_trace();
    CHECK(r.fault(r.slow, r.at(5), access_type::write).error().code == errc::none);
    CHECK(r.count(r.all()).tables == tables - 1);
    CHECK(r.level(r.at(5)) == 1);
    CHECK(r.found(r.at(5)).output == r.output_of(r.at(5)));
    bool whole = false;
    for (const auto& one : r.machine.record().requests)
      whole = whole ||
              (one.first <= r.at(0) && r.at(block_pages<Format>) - 1 <= one.last && !one.leaf_only && one.level < 0);
    CHECK(whole);
    CHECK(r.machine.record().completions >= 1);
  }
  SECTION("a page out of a block") {
    REQUIRE(r.table.exclusive(r.lock).unmap(r.all()).has_value());
    auto attrs = r.usual();
    attrs.allowed = quire::readable;
    attrs.dirty = false;
    r.map(r.all(), 1, attrs);
    r.backing.moved[r.at(5).value] = elsewhere.value;
    REQUIRE(r.fault(r.slow, r.at(5), access_type::write).has_value());
    CHECK(r.found(r.at(5)).output == elsewhere);
    CHECK(r.found(r.at(6)).output == r.output_of(r.at(6)));
    CHECK(r.level(r.at(6)) == 0);
    CHECK(r.count(r.all()).leaves[1] == 3);
    CHECK(r.count(r.all()).writable == 1);
  }
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S1-6 the whole old leaf is invalidated before the fault returns", dirty_formats) {
  for (const int from : {2, 1}) {
    rig<Format> r{region_pages<Format>};
    r.map(from == 2 ? r.all() : r.pages(0, 2 * block_pages<Format>), from);
    r.enable();
    const std::uint64_t size = Format::shape.leaf_bytes(from);
    // The CPUs know the block in all its parts.
    for (unsigned cpu = 0; cpu < 2; ++cpu)
      for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{5}, block_pages<Format> - 1}) r.read(page, cpu);
    r.forget_trace();
    REQUIRE(r.fault(r.fast, r.at(5), access_type::write).has_value());
    bool covered = false;
    for (const auto& one : r.machine.record().requests)
      covered =
          covered || (one.first <= r.at(0) && r.at(0) + (size - 1) <= one.last && (one.level == from || one.level < 0));
    CHECK(covered);
    CHECK_FALSE(r.watch.owed);
    const auto& trace = r.watch.trace;
    std::size_t last_added = 0, last_completed = 0, last_unlocked = 0;
    for (std::size_t i = 0; i < trace.size(); ++i) {
      if (trace[i].kind == what::added) last_added = i;
      if (trace[i].kind == what::completed) last_completed = i;
      if (trace[i].kind == what::unlocked) last_unlocked = i;
    }
    CHECK(last_added < last_completed);
    CHECK(last_completed < last_unlocked);
    CHECK(r.write(5, 0) == 0);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S1-7 a hardware walk sees the block or the whole table", dirty_formats) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    one_region<Format> r{{.seed = seed, .mmu = {.most_cached = 64}}};
    const input_address at = r.at(5);
    std::uint64_t looked = 0;
    // Before every access of the operation a CPU without caches walks to pages of the block.
    r.watch.before_access = [&](access_kind) {
      if (++looked % 5 != seed % 5) return;
      for (const std::uint64_t page :
           {std::uint64_t{0}, std::uint64_t{5}, block_pages<Format> - 1, 2 * block_pages<Format> + seed}) {
        const auto seen = r.found(r.at(page));
        if (seen.mapped() ? seen.output != r.output_of(r.at(page))
                          : (is_direct<Format> || seen.kind != entry_kind::locked))
          r.watch.wrong("a walker saw neither the block nor the whole table");
      }
    };
    r.machine.options().hardware = 64;
    REQUIRE(r.fault(r.fast, at, access_type::write).has_value());
    r.machine.options().hardware = 0;
    r.watch.before_access = nullptr;
    CHECK(looked > Format::shape.entries(0));
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S1-8 without tables the fault fails and everything still translates", dirty_formats) {
  SECTION("the fault says so") {
    for (const std::uint64_t tables : {0U, 1U}) {
      one_region<Format> r;
      r.machine.tables().fail_all_from(tables + 1);
      const auto done = r.fault(r.fast, r.at(5), access_type::write);
      CHECK(done.error().code == errc::no_memory);
      CHECK(r.count(r.all()).writable == 0);
      for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{5}, region_pages<Format> - 1}) {
        CHECK(r.found(r.at(page)).output == r.output_of(r.at(page)));
        CHECK(r.read(page) == 0);
      }
      CHECK(r.level(r.at(5)) == (tables == 0 ? 2 : 1));
      r.machine.tables().fail_never();
      CHECK(r.write(5) == 1);
      CHECK(r.level(r.at(5)) == 0);
      CHECK(r.ended() == "");
    }
  }
  SECTION("the operation says how far it came") {
    one_region<Format> r;
    quire::no_tables none;
    {
      auto session = r.table.exclusive(r.lock);
      const auto dry = session.split(r.pages(5, 1), 0, none);
      REQUIRE(dry.has_value());
      CHECK(dry->out_of_memory);
      CHECK(dry->leaves == 0);
      CHECK(r.level(r.at(5)) == 2);
      for (const int target : {2, Format::shape.root_level}) {
        if ((Format::group_sizes(target) & 1U) == 0) continue;
        const auto done = session.split(r.pages(5, 1), target, none);
        REQUIRE(done.has_value());
        CHECK(done->leaves == 0);
        CHECK_FALSE(done->out_of_memory);
      }
      REQUIRE(session.unmap(r.all(), quire::partial::error).has_value());
      const auto empty = session.split(r.pages(5, 1), 0, none);
      REQUIRE(empty.has_value());
      CHECK(empty->leaves == 0);
      CHECK_FALSE(empty->out_of_memory);
    }
    CHECK(r.machine.record().stores == 1);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S1-9 protecting part of a block protects the whole of it", dirty_formats) {
  rig<Format> r{8 * block_pages<Format>};
  // Blocks at 0, 2 and 3; the rest are holes.
  r.map(r.pages(0, block_pages<Format>), 1);
  r.map(r.pages(2 * block_pages<Format>, 2 * block_pages<Format>), 1);
  for (std::uint64_t b : {0U, 2U, 3U}) REQUIRE(r.write(b * block_pages<Format>) == 0);
  const auto protect = [&](std::uint64_t first, std::uint64_t count) {
    struct drop {
      void operator()(input_address, std::uint64_t) const {}
    } ignored;
    const auto done = r.table.exclusive(r.lock).write_protect(r.pages(first, count), ignored);
    return done.has_value() && *done;
  };
  const auto writable = [&](std::uint64_t b) { return r.writable(r.at(b * block_pages<Format>)); };
  SECTION("the end of one") {
    CHECK(protect(block_pages<Format> - 1, 1));
    CHECK_FALSE(writable(0));
    CHECK(writable(2));
    CHECK(r.access(r.at(3), access_type::read, r.fast) == 0);
    CHECK(r.machine.mmu().translate(0, r.at(3), access_type::write).why == quire::check::fault::permission);
  }
  SECTION("a start inside a hole does not miss the block after it") {
    CHECK(protect(block_pages<Format> + 3, block_pages<Format>));
    CHECK(writable(0));
    CHECK_FALSE(writable(2));
    CHECK(writable(3));
  }
  SECTION("the start of one") {
    CHECK(protect(2 * block_pages<Format> + 1, block_pages<Format>));
    CHECK_FALSE(writable(2));
    CHECK_FALSE(writable(3));
  }
  SECTION("only holes") {
    r.forget_trace();
    CHECK_FALSE(protect(4 * block_pages<Format> + 1, 3 * block_pages<Format>));
    CHECK(r.machine.record().stores == 0);
  }
  CHECK(r.level(r.at(0)) == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S1-10 the read side leaves a block alone and the write side splits it", dirty_formats) {
  one_region<Format> r;
  const auto entry = r.entry(r.at(5));
  CHECK(r.table.shared(r.lock).make_writable(r.at(5), [&] { r.watch.wrong("marked"); }) ==
        quire::write_grant::not_page);
  CHECK(r.table.shared(r.lock).relax(r.at(5), quire::readable).error().code == errc::unsupported_level);
  CHECK(r.table.shared(r.lock).test_and_clear_accessed(r.at(5)).error().code == errc::unsupported_level);
  CHECK(r.entry(r.at(5)) == entry);
  CHECK(r.machine.record().stores == 0);
  const auto done = r.fault(r.fast, r.at(5), access_type::write);
  REQUIRE(done.has_value());
  CHECK(done->outcome == fault_outcome::fixed);
  CHECK(done->splits == 2);
  CHECK(r.ended() == "");
}

#ifdef QUIRE_FEW_FORMATS
using grouped_formats = std::tuple<arm64_contiguous>;
#else
using grouped_formats = std::tuple<arm64_contiguous, quire::tiny::grouped, quire::tiny::napot_ad>;
#endif

QUIRE_TYPED_TEST("S1-10 the read side leaves a group alone and the write side breaks it", grouped_formats) {
  rig<Format> r{32};
  r.map(r.all(), 0, r.usual(), true);
  const int group = Format::group_of(r.entry(r.at(0)), 0);
  REQUIRE(group != 0);
  const std::uint64_t size = std::uint64_t{1} << group;
  r.enable();
  const std::uint64_t page = size + 1;
  const auto entry = r.entry(r.at(page));
  r.forget_trace();
  CHECK(r.table.shared(r.lock).make_writable(r.at(page), [&] { r.watch.wrong("marked"); }) ==
        quire::write_grant::not_page);
  CHECK(r.entry(r.at(page)) == entry);
  CHECK(r.machine.record().stores == 0);
  for (unsigned cpu = 0; cpu < 2; ++cpu) CHECK(r.read(page, cpu) == 0);
  REQUIRE(r.fault(r.fast, r.at(page), access_type::write).has_value());
  for (std::uint64_t i = 0; i < 32; ++i) {
    CHECK(Format::group_of(r.entry(r.at(i)), 0) == (i / size == page / size ? 0 : group));
    CHECK(r.writable(r.at(i)) == (i == page));
    CHECK(r.found(r.at(i)).output == r.output_of(r.at(i)));
  }
  CHECK(r.dirty_pages() == 1);
  CHECK(r.ended() == "");
}
