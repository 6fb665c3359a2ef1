// SPDX-License-Identifier: MIT
// S2: blocks become pages when logging begins, or piece by piece as the log is cleared, not in the guest's faults.
#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

using quire::block_recovery;

template <class Format>
inline constexpr std::uint64_t block_pages = rig<Format>::per_block;
template <class Format>
inline constexpr std::uint64_t region_pages = rig<Format>::region / rig<Format>::page;

constexpr quire::dirty_log_mode manual{.manual_protect = true, .initially_set = false};
constexpr quire::dirty_log_mode automatic{.manual_protect = false, .initially_set = false};
constexpr quire::dirty_log_mode all_set{.manual_protect = true, .initially_set = true};

// `blocks` blocks, eager splitting on.
template <class Format>
struct blocks : rig<Format> {
  explicit blocks(std::uint64_t n, quire::check::machine_options options = {})
      : rig<Format>(n * block_pages<Format>, options) {
    this->map(this->all(), 1);
    this->control.set_chunk_bytes(this->block);
    this->forget_trace();
  }
  [[nodiscard]] bool only_read_only_pages() {
    const auto now = this->count(this->all());
    return now.writable == 0 && now.leaves[1] + now.leaves[2] + now.leaves[3] == 0 && now.leaves[0] == this->slot.pages;
  }
};

constexpr std::uint64_t ones = ~std::uint64_t{0};

}  // namespace

QUIRE_TYPED_TEST("S2-1 enabling leaves only read-only pages and later calls split nothing", dirty_formats) {
  for (const auto mode : {manual, automatic}) {
    blocks<Format> r{4, {.hardware = 4, .yield_every = 2}};
    const auto work = r.enable(mode);
    CHECK(r.only_read_only_pages());
    CHECK(work.split.leaves == 4);
    CHECK(work.split.missed == 0);
    const std::uint64_t tables = r.allocated();
    for (std::uint64_t page = 0; page < r.slot.pages; page += 19) CHECK(r.write(page) == 1);
    CHECK(r.allocated() == tables);
    std::vector<std::uint64_t> log(r.words.size());
    REQUIRE(r.log.get(log.data(), r.splitter).has_value());
    for (std::uint64_t page = 0; page < r.slot.pages; ++page)
      CHECK((log[page / 64] >> (page % 64) & 1U) == (page % 19 == 0 ? 1U : 0U));
    if (mode.manual_protect) r.clear(0, r.slot.pages, log.data());
    CHECK(r.only_read_only_pages());
    CHECK(r.dirty_pages() == 0);
    r.splitter.drain();
    CHECK(r.ended() == "");
    CHECK(r.watch.count(what::table_taken) == 4);
  }
}

QUIRE_TYPED_TEST("S2-1 a leaf of 1 GiB becomes pages in chunks of any size", dirty_formats) {
  for (const std::uint64_t chunk : {rig<Format>::block, rig<Format>::region}) {
    rig<Format> r{region_pages<Format>, {.units = 600}};
    r.map(r.all(), 2);
    REQUIRE(r.count(r.all()).leaves[2] == 1);
    const auto before = r.count(r.all()).tables;
    r.control.set_chunk_bytes(chunk);
    const auto work = r.enable(manual);
    const auto now = r.count(r.all());
    CHECK(now.leaves[0] == region_pages<Format>);
    CHECK(now.writable == 0);
    CHECK(now.tables == before + 1 + Format::shape.entries(1));
    CHECK(work.split.tables == 1 + Format::shape.entries(1));
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S2-2 initially set enabling does nothing and clearing splits what it clears", dirty_formats) {
  blocks<Format> r{4, {.hardware = 4}};
  r.enable(all_set);
  CHECK(r.machine.record().stores == 0);
  CHECK(r.dirty_pages() == r.slot.pages);
  CHECK(r.count(r.all()).leaves[1] == 4);
  CHECK(r.count(r.all()).writable == 4);
  const std::uint64_t mask[2] = {ones, 1};
  const auto work = r.clear(block_pages<Format> - 64, 128, mask);
  CHECK(work.words_taken == 2);
  CHECK(work.split.leaves == 2);
  CHECK(r.level(r.at(0)) == 0);
  CHECK(r.level(r.at(block_pages<Format>)) == 0);
  CHECK(r.level(r.at(2 * block_pages<Format>)) == 1);
  CHECK(r.level(r.at(3 * block_pages<Format>)) == 1);
  CHECK(r.dirty_pages() == r.slot.pages - 65);
  for (std::uint64_t page = 0; page < r.slot.pages; ++page)
    if (!r.dirty(page) && r.writable(r.at(page))) FAIL("page " << page);
  // A word without bits that are set splits nothing.
  const std::uint64_t none[1] = {0};
  r.clear(3 * block_pages<Format>, 64, none);
  CHECK(r.level(r.at(3 * block_pages<Format>)) == 1);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-3 switched off nothing is split eagerly and faults still split", dirty_formats) {
  SECTION("at enable") {
    for (const bool by_chunk : {true, false}) {
      blocks<Format> r{2};
      if (by_chunk) r.control.set_chunk_bytes(0);
      else r.control.set_enabled(false);
      const auto work = r.enable(manual);
      CHECK(work.split.leaves + work.split.tables + work.split.missed == 0);
      CHECK(r.count(r.all()).leaves[1] == 2);
      CHECK(r.count(r.all()).writable == 0);
      CHECK(r.write(5) == 1);
      CHECK(r.level(r.at(5)) == 0);
      CHECK(r.level(r.at(block_pages<Format>)) == 1);
      CHECK(r.ended() == "");
    }
  }
  SECTION("the next call heeds the switch") {
    blocks<Format> r{3};
    r.enable(all_set);
    const std::uint64_t one[1] = {1};
    const auto level_after_clear = [&](std::uint64_t b) {
      r.clear(b * block_pages<Format>, 64, one);
      return r.level(r.at(b * block_pages<Format>));
    };
    r.control.set_enabled(false);
    CHECK(level_after_clear(0) == 1);
    CHECK_FALSE(r.writable(r.at(0)));
    r.control.set_enabled(true);
    CHECK(level_after_clear(1) == 0);
    r.control.set_chunk_bytes(0);
    CHECK(level_after_clear(2) == 1);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S2-4 an unaligned start splits the block it lies in", dirty_formats) {
  constexpr std::uint64_t half = block_pages<Format> / 2;
  SECTION("the operation") {
    blocks<Format> r{3};
    const auto done = r.table.exclusive(r.lock).split(r.pages(half, 2 * half));
    REQUIRE(done.has_value());
    CHECK(done->leaves == 2);
    CHECK(r.level(r.at(0)) == 0);
    CHECK(r.level(r.at(3 * half)) == 0);
    CHECK(r.level(r.at(4 * half)) == 1);
    CHECK(r.ended() == "");
  }
  SECTION("a slot that begins and ends inside blocks") {
    for (const std::uint64_t chunk : {rig<Format>::page, rig<Format>::block, 4 * rig<Format>::block}) {
      auto slot = rig<Format>::slot_of(2 * half, half);
      rig<Format> r{slot, {}};
      const input_address start = slot.first - half * r.page;
      r.map(input_range::sized(start, 3 * r.block), 1);
      r.control.set_chunk_bytes(chunk);
      const auto work = r.enable(manual);
      CHECK(work.split.leaves == 2);
      const auto in_slot = r.count(r.all());
      CHECK(in_slot.leaves[0] == r.slot.pages);
      CHECK(in_slot.writable == 0);
      CHECK(r.level(start + 2 * r.block) == 1);
      CHECK(r.writable(start + 2 * r.block));
      CHECK(r.ended() == "");
    }
  }
  SECTION("a clear that begins inside a block") {
    blocks<Format> r{3};
    r.enable(all_set);
    const std::uint64_t mask[2] = {ones, ones};
    r.clear(2 * half - 64, 128, mask);
    CHECK(r.level(r.at(0)) == 0);
    CHECK(r.level(r.at(2 * half)) == 0);
    CHECK(r.level(r.at(4 * half)) == 1);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S2-5 the lock is never dropped with an owed invalidation", dirty_formats) {
  enum class reason { asked, contended, low };
  for (const auto why : {reason::asked, reason::contended, reason::low})
    for (const auto mode : {manual, all_set}) {
      blocks<Format> r{4, {.hardware = 4, .yield_every = why == reason::asked ? 1U : 0U}};
      if (why == reason::contended) r.lock.contended = [] { return true; };
      if (why != reason::low) REQUIRE(r.splitter.top_up(16));
      r.forget_trace();
      r.enable(mode);
      // The CPUs know every block before it changes.
      for (std::uint64_t page = 0; page < r.slot.pages; page += 61)
        r.machine.mmu().translate(0, r.at(page), access_type::write);
      if (mode.initially_set) {
        std::vector<std::uint64_t> mask(r.words.size(), ones);
        r.clear(0, r.slot.pages, mask.data());
      }
      // unlocked-with-debt is noted by the lock itself, and the automaton and the CPUs' caches are asked there too.
      CHECK(r.watch.count(what::paused) >= 1);
      std::size_t owed = 0;
      for (const auto& one : r.watch.trace) {
        if (one.kind == what::added) ++owed;
        if (one.kind == what::completed) owed = 0;
        if (one.kind == what::unlocked || one.kind == what::paused || one.kind == what::topped_up) CHECK(owed == 0);
      }
      CHECK(r.only_read_only_pages());
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("S2-6 a root that is removed while the lock is dropped ends the loop", dirty_formats) {
  for (unsigned when = 1; when <= 4; ++when) {
    SECTION("while enabling " + std::to_string(when)) {
      blocks<Format> r{6, {.yield_every = 1}};
      unsigned pauses = 0;
      r.watch.on_pause = [&] {
        if (++pauses != when) return;
        r.machine.stop();
        if (!r.table.destroy(ones)) r.watch.wrong("not destroyed");
      };
      const auto done = r.log.enable(manual, r.splitter);
      CHECK((!done || done->split.missed != 0));
      CHECK(pauses >= when);
      CHECK(pauses <= when + 1);
      CHECK_FALSE(r.lock.held());
      CHECK(r.ended() == "");
    }
    SECTION("while clearing " + std::to_string(when)) {
      blocks<Format> r{6, {.yield_every = 1}};
      r.enable(all_set);
      unsigned pauses = 0;
      r.watch.on_pause = [&] {
        if (++pauses != when) return;
        r.machine.stop();
        if (!r.table.destroy(ones)) r.watch.wrong("not destroyed");
      };
      const std::vector<std::uint64_t> mask(r.words.size(), ones);
      CHECK(r.log.clear(0, r.slot.pages, mask.data(), r.splitter).error().code == errc::no_root);
      CHECK(pauses >= when);
      CHECK(pauses <= when + 1);
      CHECK(r.ended() == "");
    }
  }
}

QUIRE_TYPED_TEST("S2-6 the loop wants the write side and gives it back held", dirty_formats) {
  blocks<Format> r{4, {.yield_every = 1}};
  r.lock.lock();
  {
    auto session = r.table.exclusive(r.lock, quire::already_held);
    CHECK(r.lock.asserted == 1);
    const auto done = quire::split_eagerly<quire::split_skips<Format>>(session, r.splitter, r.all(), r.block);
    CHECK(done.leaves == 4);
    CHECK(done.missed == 0);
    CHECK(r.lock.held_for_writing());
  }
  CHECK(r.lock.held_for_writing());
  CHECK(r.lock.writes > 1);
  r.lock.unlock();
  CHECK(r.complaints() == "");
  {
    const auto session = r.table.exclusive(r.lock, quire::already_held);
    CHECK(r.watch.text() == "the write side is not held\n");
  }
}

QUIRE_TYPED_TEST("S2-7 the splitter has a cache of its own and fills it outside the lock", dirty_formats) {
  blocks<Format> r{4};
  const std::size_t need = quire::tables_for_chunk<Format>(r.block);
  CHECK(need >= 2);
  const std::uint64_t tables = r.allocated();
  r.enable(manual);
  CHECK(r.splitter.most_asked == need);
  CHECK(r.vcpu.most_asked == 0);
  CHECK(r.vcpu.stock() == 0);
  // What is left over goes back when the cache is drained, and nothing is leaked with the slot.
  CHECK(r.splitter.stock() + r.watch.count(what::table_taken) == r.allocated() - tables);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-7 the need of a chunk is exact", dirty_formats) {
  constexpr std::uint64_t page = rig<Format>::page, block = rig<Format>::block, region = rig<Format>::region;
  constexpr std::size_t above = Format::shape.levels > 3 && Format::group_sizes(3) != 0 ? 1 : 0;
  CHECK(quire::tables_for_chunk<Format>(block) == 2 + above);
  CHECK(quire::tables_for_chunk<Format>(region) == 513 + above);
  CHECK(quire::tables_for_chunk<Format>(2 * region) == 1026 + above);
  CHECK(quire::tables_for_chunk<Format>(page) == 2 + above);
  for (const std::uint64_t good : {std::uint64_t{0}, page, block, region, 2 * block})
    CHECK(quire::is_chunk_size<Format>(good));
  for (const std::uint64_t bad : {page / 2, page + 1, 3 * page, block + page, region - 1})
    CHECK_FALSE(quire::is_chunk_size<Format>(bad));
}

QUIRE_TYPED_TEST("S2-7 out of memory it stops quietly and faults split the rest", dirty_formats) {
  for (const unsigned tables : {0U, 1U, 2U, 3U, 5U}) {
    blocks<Format> r{4, {.yield_every = tables & 1U}};
    r.machine.tables().fail_all_from(tables + 1);
    const auto done = r.log.enable(manual, r.splitter);
    REQUIRE(done.has_value());
    CHECK(r.log.enabled());
    const std::uint64_t split = tables < 4 ? tables : 4;
    CHECK(done->split.leaves == split);
    CHECK(done->split.missed == (4 - split) * r.block);
    CHECK(r.count(r.all()).writable == 0);
    r.machine.tables().fail_never();
    for (std::uint64_t b = 0; b < 4; ++b) CHECK(r.write(b * block_pages<Format> + 7) == 1);
    CHECK(r.count(r.all()).leaves[0] == r.slot.pages);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("S2-7 a small chunk of a large leaf makes the middle first", dirty_formats) {
  rig<Format> r{region_pages<Format>, {.units = 600, .yield_every = 1}};
  r.map(r.all(), 2);
  r.control.set_chunk_bytes(r.block);
  std::vector<std::size_t> split;  // tables of pages at each pause
  r.watch.on_pause = [&] {
    if (split.size() >= 6) return;
    split.push_back(r.count(r.all()).leaves[0] / block_pages<Format>);
    const auto now = r.count(r.all());
    if (split.back() != 0 && now.leaves[1] != Format::shape.entries(1) - split.back())
      r.watch.wrong("more was split than the chunk");
  };
  r.enable(manual);
  r.watch.on_pause = nullptr;
  REQUIRE(split.size() == 6);
  for (std::size_t i = 1; i < split.size(); ++i) CHECK(split[i] <= split[i - 1] + 1);
  CHECK(split.back() >= 4);
  CHECK(r.count(r.all()).leaves[0] == region_pages<Format>);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-8 any number of leaves is one invalidation and none if nothing changes", dirty_formats) {
  struct drop {
    void operator()(input_address, std::uint64_t) const {}
  } ignored;
  rig<Format> r{256};
  r.map(r.all(), 0);
  for (std::uint64_t page = 0; page < 256; page += 5) CHECK(r.write(page) == 0);
  const auto cost = [&](auto&& change) {
    r.forget_trace();
    {
      auto session = r.table.exclusive(r.lock);
      change(session);
    }
    CHECK(r.machine.record().requests_added == r.machine.record().completions);
    return r.machine.record().completions;
  };
  CHECK(cost([&](auto& s) { REQUIRE(s.write_protect(r.all(), ignored).has_value()); }) == 1);
  CHECK(cost([&](auto& s) { REQUIRE(s.write_protect(r.all(), ignored).has_value()); }) == 0);
  CHECK(cost([&](auto& s) { REQUIRE(s.write_protect(r.at(0), ones, ignored).has_value()); }) == 0);
  CHECK(cost([&](auto& s) { REQUIRE(s.restore_write(r.all()).has_value()); }) == 1);
  CHECK(cost([&](auto& s) { REQUIRE(s.write_protect(r.at(64), 0x8001'0000'0000'0001, ignored).has_value()); }) == 1);
  CHECK(cost([&](auto& s) { REQUIRE(s.test_and_clear_accessed(r.all()).has_value()); }) == 1);
  CHECK(cost([&](auto& s) { REQUIRE(s.unmap(r.all()).has_value()); }) == 1);
  CHECK(cost([&](auto& s) { REQUIRE(s.unmap(r.all()).has_value()); }) == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-8 a clear invalidates once before it returns", dirty_formats) {
  rig<Format> r{512};
  r.map(r.all(), 0);
  r.enable(manual);
  for (std::uint64_t page = 0; page < 512; page += 3) CHECK(r.write(page) == 1);
  std::vector<std::uint64_t> log(r.words.size());
  REQUIRE(r.log.get(log.data(), r.splitter).has_value());
  r.forget_trace();
  r.clear(0, 512, log.data());
  CHECK(r.machine.record().completions == 1);
  CHECK_FALSE(r.watch.owed);
  CHECK(r.watch.count(what::unlocked) == 1);
  for (std::uint64_t page = 0; page < 512; page += 3) CHECK(r.write(page) == 1);
  r.harvest();
  r.forget_trace();
  r.clear(0, 512, log.data());
  CHECK(r.machine.record().completions + r.machine.record().requests_added == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-9 a mask protects exactly its pages and whole blocks", dirty_formats) {
  struct drop {
    void operator()(input_address, std::uint64_t) const {}
  } ignored;
  constexpr std::uint64_t n = block_pages<Format>;
  const std::uint64_t masks[] = {
      1, ones, 0x8000'0000'0000'0000, 0x8000'0000'0000'0001, 0xaaaa'aaaa'aaaa'aaaa, 0x00ff'0000'ff00'00f0, 0};
  for (const std::uint64_t mask : masks)
    for (const std::uint64_t first : {std::uint64_t{0}, n - 32, n - 1, n - 64, n, 2 * n - 5}) {
      rig<Format> r{4 * n};
      // Pages, a block, pages, nothing.
      r.map(r.pages(0, n), 0);
      r.map(r.pages(n, n), 1);
      r.map(r.pages(2 * n, n), 0);
      r.forget_trace();
      {
        auto session = r.table.exclusive(r.lock);
        const auto any = session.write_protect(r.at(first), mask, ignored);
        REQUIRE(any.has_value());
        CHECK(*any == (mask != 0));
      }
      const auto masked = [&](std::uint64_t page) {
        return page >= first && page - first < 64 && (mask >> (page - first) & 1U) != 0;
      };
      bool block = false;
      std::size_t pages = 0, wrong = 0;
      for (std::uint64_t page = n; page < 2 * n; ++page) block = block || masked(page);
      for (std::uint64_t page = 0; page < 3 * n; ++page) {
        const bool inside = page >= n && page < 2 * n;
        wrong += r.writable(r.at(page)) == (inside ? block : masked(page)) ? 1U : 0U;
        pages += !inside && masked(page) ? 1U : 0U;
      }
      CHECK(wrong == 0);
      CHECK(r.machine.record().stores == pages + (block ? 1U : 0U));
      CHECK(r.machine.record().completions == (mask != 0 ? 1U : 0U));
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("S2-11 logging off keeps the pages and gives the right back on demand", dirty_formats) {
  blocks<Format> r{4};
  r.enable(manual);
  REQUIRE(r.log.disable(block_recovery::none, r.backing).has_value());
  CHECK(r.only_read_only_pages());
  for (std::uint64_t page = 0; page < 8; ++page) CHECK(r.write(page * 100) == 1);
  const auto now = r.count(r.all());
  CHECK(now.writable == 8);
  CHECK(now.leaves[0] == r.slot.pages);
  CHECK(r.dirty_pages() == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-11 logging off makes blocks in place", dirty_formats) {
  blocks<Format> r{4, {.hardware = 8}};
  const auto before = r.count(r.all()).tables;
  r.enable(manual);
  for (std::uint64_t page = 0; page < r.slot.pages; page += 41) CHECK(r.write(page) == 1);
  r.backing.largest = 1;
  r.forget_trace();
  const auto work = r.log.disable(block_recovery::in_place, r.backing);
  REQUIRE(work.has_value());
  CHECK(work->blocks_recovered == 4);
  const auto now = r.count(r.all());
  CHECK(now.leaves[1] == 4);
  CHECK(now.leaves[0] == 0);
  CHECK(now.writable == 4);
  CHECK(now.tables == before);
  // One invalidation serves them all, unless each has to be broken before it is made.
  CHECK(r.watch.count(what::completed) <= (is_direct<Format> ? 1U : 5U));
  for (std::uint64_t page = 0; page < r.slot.pages; page += 41) CHECK(r.write(page) == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-11 blocks come back only where slot and host allow", dirty_formats) {
  auto slot = rig<Format>::slot_of(3 * block_pages<Format>, block_pages<Format> / 2);
  rig<Format> r{slot, {}};
  // What lies around the slot continues it.
  r.map(input_range::sized(slot.first - r.block / 2, 4 * r.block), 0);
  r.backing.largest = 1;
  r.enable(manual);
  SECTION("blocks that reach out of the slot stay pages") {
    const auto work = r.log.disable(block_recovery::in_place, r.backing);
    REQUIRE(work.has_value());
    CHECK(work->blocks_recovered == 2);
    const auto now = r.count(r.all());
    CHECK(now.leaves[1] == 2);
    CHECK(now.leaves[0] == block_pages<Format>);
    CHECK(now.writable == now.leaves[0] + now.leaves[1]);
  }
  SECTION("the host has pages only") {
    r.backing.largest = 0;
    const auto work = r.log.disable(block_recovery::in_place, r.backing);
    REQUIRE(work.has_value());
    CHECK(work->blocks_recovered == 0);
    CHECK(r.count(r.all()).leaves[0] == slot.pages);
    CHECK(r.count(r.all()).writable == slot.pages);
  }
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-11 logging off lets the faults make blocks", dirty_formats) {
  blocks<Format> r{4};
  const auto before = r.count(r.all()).tables;
  r.enable(manual);
  r.backing.largest = 1;
  REQUIRE(r.log.disable(block_recovery::on_fault, r.backing).has_value());
  CHECK(r.only_read_only_pages());
  r.forget_trace();
  const auto done = r.fault(r.fast, r.at(block_pages<Format> + 33), access_type::write);
  REQUIRE(done.has_value());
  CHECK(done->made_block);
  CHECK(r.level(r.at(block_pages<Format>)) == 1);
  CHECK(r.writable(r.at(block_pages<Format>)));
  CHECK(r.found(r.at(block_pages<Format> + 33)).output == r.output_of(r.at(block_pages<Format> + 33)));
  CHECK(r.count(r.all()).leaves[1] == 1);
  CHECK(r.write(block_pages<Format> + 34) == 0);
  for (std::uint64_t b = 0; b < 4; ++b) CHECK(r.write(b * block_pages<Format>) <= 1);
  CHECK(r.count(r.all()).leaves[1] == 4);
  CHECK(r.count(r.all()).tables == before);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("S2-12 pages are protected before anything else once their word is cleared", dirty_formats) {
  for (const auto mode : {all_set, automatic, manual}) {
    blocks<Format> r{2, {.yield_every = 1}};
    r.enable(mode);
    for (std::uint64_t page = 0; page < r.slot.pages; page += 2) r.write(page);
    // Whoever gets the lock sees no writable page whose mark is gone.
    const auto ask = r.lock.before_unlock;
    r.lock.before_unlock = [&] {
      ask();
      for (std::uint64_t page = 0; page < r.slot.pages; ++page)
        if (r.writable(r.at(page)) && !r.dirty(page)) return r.watch.wrong("a page is writable and not marked");
    };
    r.forget_trace();
    std::vector<std::uint64_t> log(r.words.size());
    REQUIRE(r.log.get(log.data(), r.splitter).has_value());
    if (mode.manual_protect) r.clear(0, r.slot.pages, log.data());
    const auto& trace = r.watch.trace;
    std::size_t taken = 0;
    for (std::size_t i = 0; i < trace.size(); ++i) {
      if (trace[i].kind != what::taken) continue;
      ++taken;
      // Words that are set whole go together; and a block's other words find it protected.
      for (; mode.initially_set && i + 1 < trace.size() && trace[i + 1].kind == what::taken; ++i) ++taken;
      bool protects = mode.initially_set;
      for (++i; i < trace.size(); ++i) {
        if (trace[i].kind == what::protected_) protects = true;
        else if (trace[i].kind != what::added) break;
      }
      CHECK(protects);
      REQUIRE(i < trace.size());
      CHECK(trace[i].kind != what::taken);
      --i;
    }
    CHECK(taken == r.words.size());
    r.lock.before_unlock = ask;
    CHECK(r.ended() == "");
  }
}
