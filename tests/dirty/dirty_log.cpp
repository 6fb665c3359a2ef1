// SPDX-License-Identifier: MIT
#include <quire/dirty/dirty_log.hpp>

#include "support/dirty_rig.hpp"

using namespace quire_test;

namespace {

using quire::block_recovery;
using quire::dirty_log_mode;

constexpr dirty_log_mode manual{.manual_protect = true, .initially_set = false};
constexpr dirty_log_mode automatic{.manual_protect = false, .initially_set = false};
constexpr dirty_log_mode all_set{.manual_protect = true, .initially_set = true};
constexpr std::uint64_t ones = ~std::uint64_t{0};

using model_formats = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>>;
// Groups that break; hardware that sets accessed and dirty; writable and dirty in one pair of bits.
using special_formats =
    std::tuple<riscv_hardware_ad, arm64_dbm, arm64_contiguous,
               quire::arm64::stage2_4k<48, quire::arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>,
               quire::tiny::inverted_dbm, quire::tiny::wide_root, quire::tiny::napot_ad, quire::tiny::grouped>;

bool bit(const std::vector<std::uint64_t>& words, std::uint64_t page) {
  return (words[page / 64] >> (page % 64) & 1U) != 0;
}

// What the log should say, page by page; and a page is writable exactly when it is marked.
template <class Format>
struct checked : rig<Format> {
  std::vector<bool> model;

  checked(std::uint64_t pages, std::uint64_t skip, unsigned yield_every = 0)
      : rig<Format>(pages, {.units = 16, .yield_every = yield_every}, skip), model(pages) {
    this->map(this->all(), 0);
  }
  [[nodiscard]] bool agree() {
    for (std::uint64_t i = 0; i < this->slot.pages; ++i)
      if (this->dirty(i) != model[i] || this->writable(this->at(i)) != model[i]) return false;
    return (this->slot.pages % 64 == 0) || this->words.back() >> (this->slot.pages % 64) == 0;
  }
  void write(std::uint64_t index) {
    if (!this->fault(this->fast, this->at(index), access_type::write)) this->watch.wrong("a write failed");
    model[index] = true;
  }
};

}  // namespace

QUIRE_TYPED_TEST("slots of every size at every offset against a list of truths", model_formats) {
  std::uint64_t dice = 1;
  const auto random = [&dice] { return (dice = dice * 6364136223846793005U + 1442695040888963407U) >> 20U; };
  for (std::uint64_t pages = 1; pages <= 130; ++pages)
    for (std::uint64_t skip = pages % 3; skip <= 130; skip += 3) {
      checked<Format> r{pages, 512 - 65 + skip};  // across the edge of a block
      r.enable(manual);
      REQUIRE(r.agree());
      for (int i = 0; i < 6; ++i) r.write(random() % pages);
      REQUIRE(r.agree());
      std::vector<std::uint64_t> log(r.words.size(), ones);
      REQUIRE(r.log.get(log.data(), r.splitter).has_value());
      REQUIRE(log == r.words);
      // Some of them, from some word on; the bits past the end of the slot are asked for as well.
      const std::uint64_t first = random() % quire::bitmap_words(pages) * 64;
      const std::uint64_t count =
          (random() & 1U) != 0 || pages - first < 64 ? pages - first : (pages - first) / 64 * 64;
      std::vector<std::uint64_t> mask;
      for (std::uint64_t w = 0; w < quire::bitmap_words(count); ++w)
        mask.push_back(random() | random() << 32U | (random() % 2 == 0 ? ones : 0));
      r.clear(first, count, mask.data());
      for (std::uint64_t page = first; page < first + count; ++page)
        if (bit(mask, page - first)) r.model[page] = false;
      REQUIRE(r.agree());
      REQUIRE(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("words that are set whole are harvested like the others, and together", model_formats) {
  std::uint64_t dice = 7;
  const auto random = [&dice] { return (dice = dice * 6364136223846793005U + 1442695040888963407U) >> 20U; };
  for (const std::uint64_t pages : {64U, 128U, 200U, 512U, 700U, 1280U})
    for (const dirty_log_mode mode : {manual, automatic, all_set})
      for (int round = 0; round < 4; ++round) {
        checked<Format> r{pages, 512 - 65 + random() % 130, round % 2 == 0 ? 0U : 1U};
        r.enable(mode);
        if (mode.initially_set) r.model.assign(pages, true);
        else
          for (std::uint64_t page = 0; page < pages; page += 64)
            if (const std::uint64_t some = random() % 4; some != 0)
              for (std::uint64_t i = page; i < pages && i < page + 64; ++i)
                if (some != 1 || i != page + 17) r.write(i);
        REQUIRE(r.agree());
        // Whoever gets the lock sees no writable page whose mark is gone.
        const auto ask = r.lock.before_unlock;
        r.lock.before_unlock = [&] {
          if (ask) ask();
          for (std::uint64_t page = 0; page < pages; ++page)
            if (r.writable(r.at(page)) && !r.dirty(page)) return r.watch.wrong("a page is writable and not marked");
        };
        std::vector<std::uint64_t> log(r.words.size(), 0x5555);
        const std::vector<std::uint64_t> before = r.words;
        REQUIRE(r.log.get(log.data(), r.splitter).has_value());
        REQUIRE(log == before);
        if (mode.manual_protect) {
          std::vector<std::uint64_t> mask(log.size(), ones);
          for (std::uint64_t& word : mask)
            if (random() % 5 == 0) word = random() | random() << 32U;
          r.clear(0, pages, mask.data());
          for (std::uint64_t page = 0; page < pages; ++page)
            if (bit(mask, page)) r.model[page] = false;
        } else {
          r.model.assign(pages, false);
        }
        REQUIRE(r.agree());
        r.lock.before_unlock = ask;
        REQUIRE(r.ended() == "");
      }
}

QUIRE_TYPED_TEST("eight words that are set whole owe one invalidation", model_formats) {
  rig<Format> r{1024};
  r.map(r.all(), 0);
  r.enable(manual);
  for (std::uint64_t page = 0; page < r.slot.pages; ++page) r.write(page);
  const std::vector<std::uint64_t> mask(r.words.size(), ones);
  r.forget_trace();
  const auto work = r.log.clear(0, r.slot.pages, mask.data(), r.splitter);
  REQUIRE(work.has_value());
  CHECK(work->words_taken == 16);
  CHECK(r.watch.count(what::taken) == 16);
  CHECK(r.watch.count(what::protected_) == r.slot.pages);
  CHECK(r.watch.count(what::completed) <= 2);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("what lies around the slot is left alone", model_formats) {
  for (const std::uint64_t pages : {1U, 63U, 64U, 65U, 100U, 128U, 130U}) {
    rig<Format> r{pages, {.units = 12}, 200};
    const std::uint64_t around = 70;
    r.map(input_range::sized(r.slot.first - around * r.page, (pages + 2 * around) * r.page), 0);
    const auto outside_is_writable = [&] {
      for (std::uint64_t i = 1; i <= around; ++i)
        if (!r.writable(r.slot.first - i * r.page) || !r.writable(r.at(pages - 1 + i))) return false;
      return true;
    };
    r.enable(manual);
    CHECK(outside_is_writable());
    CHECK(r.count(r.all()).writable == 0);
    for (std::uint64_t page = 0; page < pages; ++page) r.write(page);
    const std::vector<std::uint64_t> mask(r.words.size(), ones);
    r.clear(0, pages, mask.data());
    CHECK(outside_is_writable());
    CHECK(r.count(r.all()).writable == 0);
    CHECK(r.dirty_pages() == 0);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("the modes differ in who protects again", model_formats) {
  std::vector<std::uint64_t> log(2), again(2);
  SECTION("by hand: get copies") {
    rig<Format> r{100};
    r.map(r.all(), 0);
    r.enable(manual);
    r.write(70);
    for (int i = 0; i < 2; ++i) {
      REQUIRE(r.log.get(log.data(), r.splitter).has_value());
      CHECK(log == std::vector<std::uint64_t>{0, 64});
      CHECK(r.writable(r.at(70)));
    }
    CHECK(r.ended() == "");
  }
  SECTION("by itself: get takes and protects") {
    rig<Format> r{100};
    r.map(r.all(), 0);
    r.enable(automatic);
    r.write(70);
    const auto work = r.log.get(log.data(), r.splitter);
    REQUIRE(work.has_value());
    CHECK(work->words_taken == 1);
    CHECK(log == std::vector<std::uint64_t>{0, 64});
    CHECK_FALSE(r.writable(r.at(70)));
    REQUIRE(r.log.get(again.data(), r.splitter).has_value());
    CHECK(again == std::vector<std::uint64_t>{0, 0});
    CHECK(r.write(70) == 1);
    CHECK(r.log.clear(0, 100, log.data(), r.splitter).error().code == errc::unsupported_attribute);
    CHECK(r.dirty(70));
    CHECK(r.ended() == "");
  }
  SECTION("initially set: everything is reported until it was cleared") {
    rig<Format> r{100};
    r.map(r.all(), 0);
    r.enable(all_set);
    REQUIRE(r.log.get(log.data(), r.splitter).has_value());
    CHECK(log == std::vector<std::uint64_t>{ones, (std::uint64_t{1} << 36U) - 1});
    CHECK(r.count(r.all()).writable == 100);
    const std::uint64_t mask[2] = {1, 0};
    r.clear(0, 100, mask);
    CHECK(r.count(r.all()).writable == 99);
    CHECK(r.dirty_pages() == 99);
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("errors have names and change nothing", model_formats) {
  rig<Format> r{200};
  std::vector<std::uint64_t> log(4, 7);
  const std::uint64_t mask[4] = {ones, ones, ones, ones};
  const auto clear = [&](std::uint64_t first, std::uint64_t pages) {
    return r.log.clear(first, pages, mask, r.splitter).error().code;
  };
  r.map(r.all(), 0);
  CHECK(r.log.get(log.data(), r.splitter).error().code == errc::not_mapped);
  CHECK(clear(0, 200) == errc::not_mapped);
  CHECK(r.log.disable(block_recovery::in_place, r.backing).error().code == errc::not_mapped);
  CHECK(r.log.enable({.manual_protect = false, .initially_set = true}, r.splitter).error().code ==
        errc::unsupported_attribute);
  CHECK_FALSE(r.log.enabled());
  CHECK(r.count(r.all()).writable == 200);
  r.enable(manual);
  r.write(150);
  for (const std::uint64_t first : {1U, 63U, 65U, 199U}) CHECK(clear(first, 200 - first) == errc::unaligned);
  for (const std::uint64_t pages : {1U, 63U, 65U, 199U}) CHECK(clear(0, pages) == errc::unaligned);
  CHECK(clear(0, 201) == errc::beyond_input);
  CHECK(clear(201, 0) == errc::beyond_input);
  CHECK(clear(64, ones) == errc::beyond_input);
  CHECK(clear(ones - 63, 64) == errc::beyond_input);
  CHECK(r.dirty(150));
  CHECK(r.writable(r.at(150)));
  CHECK(clear(0, 0) == errc::none);
  CHECK(clear(192, 8) == errc::none);
  CHECK(clear(0, 128) == errc::none);
  CHECK(r.dirty(150));
  CHECK(clear(128, 72) == errc::none);
  CHECK(r.dirty_pages() == 0);
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("without a root there is nothing to log", model_formats) {
  rig<Format> r{64};
  r.machine.stop();
  REQUIRE(r.table.destroy(ones));
  CHECK(r.log.enable(manual, r.splitter).error().code == errc::no_root);
  CHECK_FALSE(r.log.enabled());
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("a harvest of a table that was destroyed takes no mark", model_formats) {
  for (const dirty_log_mode mode : {manual, automatic}) {
    rig<Format> r{128};
    r.enable(mode);
    r.log.mark(r.at(5));
    r.log.mark(r.at(70));
    r.machine.stop();
    REQUIRE(r.table.destroy(ones));
    std::vector<std::uint64_t> words(2, ones);
    if (mode.manual_protect) CHECK(r.log.clear(0, 128, words.data(), r.splitter).error().code == errc::no_root);
    else CHECK(r.log.get(words.data(), r.splitter).error().code == errc::no_root);
    CHECK(r.dirty(5));
    CHECK(r.dirty(70));
    CHECK(r.dirty_pages() == 2);
  }
}

QUIRE_TYPED_TEST("a slot that the format cannot translate", model_formats) {
  const auto slot_at = [](std::uint64_t first, std::uint64_t pages) {
    return quire::memory_slot{.first = input_address{first}, .pages = pages};
  };
  const std::uint64_t end = std::uint64_t{1} << Format::shape.input_bits();
  const auto enabling = [](const quire::memory_slot& slot) {
    rig<Format> r{slot, {.window_pages = 1}};
    const errc code = r.log.enable(manual, r.splitter).error().code;
    CHECK(r.log.enabled() == (code == errc::none));
    return code;
  };
  CHECK(enabling(slot_at(end - 4096, 1)) == errc::none);
  CHECK(enabling(slot_at(end - 4096, 2)) == errc::beyond_input);
  CHECK(enabling(slot_at(end, 1)) == errc::beyond_input);
  CHECK(enabling(slot_at(512, 1)) == errc::unaligned);
  CHECK(enabling(slot_at(4096, 0)) == errc::empty_range);
}

QUIRE_TYPED_TEST("enabling again starts afresh", model_formats) {
  rig<Format> r{64};
  r.map(r.all(), 0);
  r.enable(manual);
  r.write(3);
  REQUIRE(r.log.disable(block_recovery::none, r.backing).has_value());
  CHECK(r.write(4) == 1);
  CHECK_FALSE(r.dirty(4));
  r.enable(manual);
  CHECK(r.dirty_pages() == 0);
  CHECK(r.count(r.all()).writable == 0);
  CHECK(r.write(4) == 1);
  CHECK(r.dirty(4));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("a callback is told and what it brings back is protected", model_formats) {
  rig<Format> r{100};
  r.map(r.all(), 0);
  std::vector<std::uint64_t> told;
  const auto tell = [&told](std::uint64_t page) { told.push_back(page); };
  using sink = quire::dirty_callback<decltype(tell)>;
  using log_type = quire::dirty_log<typename rig<Format>::table_type, probe_lock, sink>;
  static_assert(!requires(log_type& l, std::uint64_t* w, rig_cache<Format>& c) { l.get(w, c); });
  log_type log{r.table, r.lock, r.slot, sink{tell}, r.control};
  quire::fault_handler<typename rig<Format>::table_type, probe_lock, rig_backing, sink> faults{
      r.table, r.lock, r.sequence, r.backing, quire::fault_path::fast};
  REQUIRE(log.enable(manual, r.splitter).has_value());
  for (const std::uint64_t page : {7U, 99U, 7U})
    REQUIRE(faults.handle({r.at(page), quire::writable}, &log, r.vcpu).has_value());
  CHECK(told == std::vector<std::uint64_t>{7, 99, 7});
  const std::uint64_t mask[2] = {1U << 7U, 0};
  REQUIRE(log.clear(0, 100, mask, r.splitter).has_value());
  CHECK_FALSE(r.writable(r.at(7)));
  CHECK(r.writable(r.at(99)));
  CHECK(r.ended() == "");
}

QUIRE_TYPED_TEST("every yield point of every call", model_formats) {
  for (const auto mode : {manual, automatic, all_set}) {
    rig<Format> r{3 * 512, {.hardware = 8, .yield_every = 1}};
    r.map(r.pages(0, 512), 1);
    r.map(r.pages(512, 512), 0);
    r.map(r.pages(1024, 512), 1);
    r.control.set_chunk_bytes(r.page * 64);
    // While the lock is dropped, the guest writes.
    std::uint64_t next = 0;
    r.watch.on_pause = [&] {
      next = (next + 331) % r.slot.pages;
      if (!r.fault(r.fast, r.at(next), access_type::write)) r.watch.wrong("a write failed");
    };
    r.enable(mode);
    std::vector<std::uint64_t> log(r.words.size());
    REQUIRE(r.log.get(log.data(), r.splitter).has_value());
    if (mode.manual_protect) r.clear(0, r.slot.pages, log.data());
    for (std::uint64_t page = 0; page < r.slot.pages; ++page) {
      CHECK(r.found(r.at(page)).output == r.output_of(r.at(page)));
      if (r.writable(r.at(page)) && !r.dirty(page)) FAIL("page " << page);
    }
    CHECK(r.count(r.all()).leaves[0] == r.slot.pages);
    const auto work = r.log.disable(block_recovery::in_place, r.backing);
    REQUIRE(work.has_value());
    r.watch.on_pause = nullptr;
    CHECK(r.ended() == "");
  }
}

QUIRE_TYPED_TEST("with groups and hardware bits nothing that is written is lost", special_formats) {
  constexpr int bits = Format::shape.input_bits() - Format::shape.page_bits - (Format::facts.sign_extended ? 1 : 0);
  constexpr std::uint64_t pages = bits < 7 ? std::uint64_t{1} << bits : 128;
  for (const auto mode : {manual, automatic, all_set})
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      rig<Format> r{pages, {.units = 64, .hardware = 200, .seed = seed}};
      auto attrs = r.usual();
      attrs.dirty = false;
      r.map(r.all(), 1, attrs, true);
      r.control.set_chunk_bytes(seed % 2 == 0 ? 0 : r.block);
      r.enable(mode);
      std::vector<std::uint32_t> copied(pages);
      for (std::uint64_t page = 0; page < pages; ++page) copied[page] = r.machine.stores_at(page);
      for (int round = 0; round < 60; ++round) {
        for (int i = 0; i < 3; ++i)
          static_cast<void>(r.access(r.at(r.machine.next_random() % pages), access_type::write, r.fast));
        for (int i = 0; i < 12; ++i) r.machine.run_hardware();
        std::vector<std::uint64_t> log(r.words.size());
        REQUIRE(r.log.get(log.data(), r.splitter).has_value());
        if (mode.manual_protect) r.clear(0, pages, log.data());
        for (std::uint64_t page = 0; page < pages; ++page) {
          if (bit(log, page)) copied[page] = r.machine.stores_at(page);
          if (r.machine.stores_at(page) != copied[page] && !r.dirty(page))
            FAIL("seed " << seed << " round " << round << ": page " << page);
        }
      }
      REQUIRE(r.log.disable(block_recovery::in_place, r.backing).has_value());
      CHECK(r.ended() == "");
    }
}

QUIRE_TYPED_TEST("after logging blocks return with their bits", special_formats) {
  rig<Format> r{4 * rig<Format>::per_block, {.units = 64}};
  r.map(r.all(), 1);
  r.control.set_chunk_bytes(r.block);
  r.enable(manual);
  for (std::uint64_t page = 0; page < r.slot.pages; page += 3) CHECK(r.write(page) <= 1);
  r.backing.largest = 1;
  const auto before = r.count(r.all());
  const auto work = r.log.disable(block_recovery::in_place, r.backing);
  REQUIRE(work.has_value());
  const auto after = r.count(r.all());
  if ((Format::group_sizes(1) & 1U) != 0) {
    CHECK(work->blocks_recovered == 4);
    CHECK(after.leaves[0] == 0);
    CHECK(after.tables == before.tables - 4);
  } else {
    CHECK(work->blocks_recovered == 0);
    CHECK(after.leaves[0] == before.leaves[0]);
  }
  for (std::uint64_t page = 0; page < r.slot.pages; ++page) {
    CHECK(r.writable(r.at(page)));
    CHECK(r.write(page) == 0);
  }
  CHECK(r.ended() == "");
}
