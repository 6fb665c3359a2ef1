// SPDX-License-Identifier: MIT
// Dirty logging in read sections: it does what it does under a lock, and faults do not disturb one another.
#include "support/section_rig.hpp"

#include <set>          // set
#include <string>       // string
#include <string_view>  // string_view

#include "support/scale.hpp"

using namespace quire_test;

namespace {

using quire::block_recovery;
using quire::dirty_log_mode;

// Each is two guests and so twice the library; one of each kind.
using all_kinds = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>, riscv_hardware_ad, arm64_dbm,
                             arm64_contiguous, quire::tiny::wide_root, quire::tiny::napot_ad>;

struct random_numbers {
  std::uint64_t state;
  std::uint64_t operator()(std::uint64_t below) noexcept {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33U) % below;
  }
};

// The same guest twice.
template <class F>
struct two_guests {
  rig<F> locked;
  section_rig<F> lockless;
  std::string last;

  two_guests(std::uint64_t pages, std::uint64_t skip)
      : locked(pages, {.units = 600}, skip), lockless(pages, {.units = 1200}, skip) {}

  template <class Do>
  void both(std::string what, Do&& action) {
    last = std::move(what);
    action(locked);
    action(lockless);
  }

  void step(random_numbers& random) {
    const std::uint64_t pages = locked.slot.pages, page = random(pages);
    const auto each = [&](auto to_locked, auto to_lockless) {
      to_locked(locked);
      to_lockless(lockless);
    };
    switch (random(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        last = "write " + std::to_string(page);
        return each([&](auto& r) { r.access(r.at(page), access_type::write, r.fast); },
                    [&](auto& r) { r.access(r.at(page), access_type::write); });
      case 4:
        last = "read " + std::to_string(page);
        return each([&](auto& r) { r.access(r.at(page), access_type::read, r.fast); },
                    [&](auto& r) { r.access(r.at(page), access_type::read); });
      case 5: {
        const dirty_log_mode mode{.manual_protect = random(2) == 0, .initially_set = random(2) == 0};
        const bool eager = random(2) == 0;
        return both("enable", [&](auto& r) {
          r.control.set_enabled(eager);
          r.control.set_chunk_bytes(F::shape.leaf_bytes(1));
          if (!r.log.enabled()) code = quire::errc{r.log.enable(mode, r.splitter).error().code};
        });
      }
      case 6:
        return both("get", [&](auto& r) {
          std::vector<std::uint64_t> copy(r.words.size());
          code = r.log.get(copy.data(), r.splitter).error().code;
          copies[&r.words == &locked.words ? 0 : 1] = copy;
        });
      case 7: {
        const std::uint64_t mask = random(~std::uint64_t{0} >> 1U) << 20U ^ random(~std::uint64_t{0} >> 1U);
        return both("clear", [&](auto& r) {
          const std::vector<std::uint64_t> bits(r.words.size(), mask);
          code = r.log.clear(0, pages, bits.data(), r.splitter).error().code;
        });
      }
      case 8: {
        const block_recovery recoveries[] = {block_recovery::none, block_recovery::in_place, block_recovery::on_fault};
        const block_recovery recovery = recoveries[random(3)];
        return both("disable", [&](auto& r) { code = r.log.disable(recovery, r.backing).error().code; });
      }
      case 9: {
        const auto to = locked.at(page).value + (4 + random(2)) * rig<F>::region;
        last = "the host moves page " + std::to_string(page);
        const auto move = [&](auto& r, auto& guard) {
          auto session = r.table.session(guard);
          const auto change = r.sequence.begin(r.pages(page, 1));
          take_away(session, r.pages(page, 1), r.splitter);
          r.backing.moved[r.at(page).value] = to;
          r.sequence.end(change);
        };
        return each([&](auto& r) { move(r, r.lock); }, [&](auto& r) { move(r, r.sections[2]); });
      }
      case 10: {
        const int largest = static_cast<int>(random(3));
        return both("the host's mapping changes", [&](auto& r) { r.backing.largest = largest; });
      }
      default:
        last = "the host makes page " + std::to_string(page) + " read-only, or writable again";
        const bool read_only = random(3) == 0;
        const auto set = [&](auto& r, auto& guard) {
          auto session = r.table.session(guard);
          take_away(session, r.pages(page, 1), r.splitter);
          if (read_only) r.backing.read_only.insert(r.at(page).value);
          else r.backing.read_only.erase(r.at(page).value);
        };
        return each([&](auto& r) { set(r, r.lock); }, [&](auto& r) { set(r, r.sections[2]); });
    }
  }
  template <class Session, class Cache>
  static void take_away(Session& session, input_range range, Cache&) {
    // Whole leaves, as sections do.
    if constexpr (requires { session.unmap(range, quire::partial::whole); })
      static_cast<void>(session.unmap(range, quire::partial::whole));
    else static_cast<void>(session.unmap(range));
  }

  // What differs between the two.
  [[nodiscard]] std::string difference() {
    for (std::uint64_t i = 0; i < locked.slot.pages; ++i) {
      marked += locked.dirty(i) ? 1U : 0U;
      const std::string where = "page " + std::to_string(i) + ": ";
      const auto one = locked.found(locked.at(i)), other = lockless.found(lockless.at(i));
      if (locked.dirty(i) != lockless.dirty(i)) return where + "marked";
      if (one.mapped() != other.mapped()) return where + "mapped";
      if (!one.mapped()) continue;
      ++(one.entry.level == 0 ? in_pages : in_blocks);
      if (one.output != other.output) return where + "output";
      if (one.entry.level != other.entry.level) return where + "level";
      if (one.attrs.allowed != other.attrs.allowed) return where + "rights";
      if (one.attrs.may_write != other.attrs.may_write) return where + "may_write";
    }
    if (copies[0] != copies[1]) return "what get() gave";
    return locked.complaints() + lockless.complaints();
  }
  quire::errc code{};
  std::vector<std::uint64_t> copies[2];
  std::uint64_t marked = 0, in_pages = 0, in_blocks = 0;  // what was compared
};

}  // namespace

QUIRE_TYPED_TEST("in sections the log says what it says under a lock", all_kinds) {
  const std::uint64_t rounds = scaled(10);
  std::uint64_t marked = 0, in_pages = 0, in_blocks = 0;
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    random_numbers random{seed};
    const bool small = Format::shape.page_bytes() < 4096;
    two_guests<Format> g{small ? 16 : 2 * Format::shape.entries(0) + 70, small ? 0 : random(3) * 37};
    for (int step = 0; step < 60; ++step) {
      g.step(random);
      const std::string wrong = g.difference();
      INFO("seed " << seed << " step " << step << " " << g.last << ": " << wrong);
      REQUIRE(wrong.empty());
    }
    REQUIRE(g.locked.ended() == "");
    REQUIRE(g.lockless.ended() == "");
    marked += g.marked;
    in_pages += g.in_pages;
    in_blocks += g.in_blocks;
  }
  CHECK(marked != 0);
  CHECK(in_pages != 0);
  CHECK((in_blocks != 0 || (Format::group_sizes(1) == 0) || rounds < 10));
}

// ---- what a fault writes

namespace {

struct place {
  const char* what;
  std::uint64_t where;
  friend auto operator<=>(const place& a, const place& b) noexcept {
    const auto order = std::string_view{a.what} <=> std::string_view{b.what};
    return order != 0 ? order : a.where <=> b.where;
  }
};
// Who wrote what that another CPU can see, as the policies tell.
struct write_log {
  unsigned actor = 0;
  std::set<place> written[3];
  void wrote(const char* what, std::uint64_t where) { written[actor].insert({what, where}); }
  [[nodiscard]] std::size_t count(unsigned who, std::string_view what) const {
    std::size_t n = 0;
    for (const place& each : written[who]) n += what == each.what ? 1U : 0U;
    return n;
  }
};

struct recorded_words {
  write_log* to;
  template <class T>
  [[nodiscard]] T load(const T& from, quire::order o) const noexcept {
    return quire::direct_words::load(from, o);
  }
  template <class T>
  void store(T& at, T value, quire::order o) const noexcept {
    to->wrote("word", reinterpret_cast<std::uintptr_t>(&at));
    quire::direct_words::store(at, value, o);
  }
  template <class T>
  T fetch_add(T& at, T amount, quire::order o) const noexcept {
    to->wrote("word", reinterpret_cast<std::uintptr_t>(&at));
    return quire::direct_words::fetch_add(at, amount, o);
  }
  template <class T>
  [[nodiscard]] bool compare_exchange(T& at, T& expected, T desired, quire::order o) const noexcept {
    to->wrote("word", reinterpret_cast<std::uintptr_t>(&at));
    return quire::direct_words::compare_exchange(at, expected, desired, o);
  }
  static void fence(quire::order o) noexcept { quire::direct_words::fence(o); }
};
template <quire::pte_format F>
struct recording_observer : quire::check::machine<F>::observer {
  using word = typename F::word;
  write_log* to;
  recording_observer(quire::check::machine<F>& machine, write_log* log)
      : quire::check::machine<F>::observer(&machine), to(log) {}
  void stored(table_address table, std::size_t index, word before, word after, quire::order o) noexcept {
    to->wrote("entry", table.value + index * sizeof(word));
    quire::check::machine<F>::observer::stored(table, index, before, after, o);
  }
};
struct recorded_sink {
  write_log* to;
  quire::dirty_bitmap bitmap;
  void mark(std::uint64_t page) noexcept {
    to->wrote("log", page / 64);
    bitmap.mark(page);
  }
  [[nodiscard]] std::uint64_t peek(std::size_t word) const noexcept { return bitmap.peek(word); }
  [[nodiscard]] std::uint64_t take(std::size_t word, std::uint64_t bits) noexcept { return bitmap.take(word, bits); }
  void set_all() noexcept { bitmap.set_all(); }
  void clear_all() noexcept { bitmap.clear_all(); }
  [[nodiscard]] std::uint64_t pages() const noexcept { return bitmap.pages(); }
};
using recorded_section = quire::basic_epoch_section<recorded_words>;
template <quire::pte_format F>
struct recorded_policies : quire::check::policies<F, quire::locking::concurrent<recorded_section>> {
  using base = quire::check::policies<F, quire::locking::concurrent<recorded_section>>;
  quire::observed_memory<quire::array_memory<typename F::word>, recording_observer<F>> memory;
  recorded_words words;
  recorded_policies(quire::check::machine<F>& machine, recording_observer<F>& observer, write_log* log)
      : base(machine), memory(machine.memory(), &observer), words{log} {}
};

// Two vCPUs (actors 0 and 1) and the owner of the log (2).
template <quire::pte_format F>
struct recorded_guest {
  using word = typename F::word;
  using table_type = quire::page_table<F, recorded_policies<F>>;
  using log_type = quire::dirty_log<table_type, recorded_section, recorded_sink>;
  using handler = quire::fault_handler<table_type, recorded_section, rig_backing, recorded_sink>;
  using cache = quire::table_cache<quire::check::arena<word>, quire::array_memory<word>, word>;
  static constexpr std::uint64_t pages = 4 * F::shape.entries(0);

  recorded_guest()
      : slot(rig<F>::slot_of(pages, 0)),
        machine(rig<F>::with_window({.units = 64}, slot)),
        observer(machine, &writes),
        lock(watch),
        domain(slots, 3, recorded_words{&writes}),
        sections{{domain, 0}, {domain, 1}, {domain, 2}},
        table(recorded_policies<F>{machine, observer, &writes}),
        sequence(recorded_words{&writes}),
        backing(watch, lock),
        bits(quire::bitmap_words(pages)),
        log(table, sections[2], slot, recorded_sink{&writes, quire::dirty_bitmap{bits.data(), pages}}, control),
        handlers{{table, sections[0], sequence, backing, quire::fault_path::fast},
                 {table, sections[1], sequence, backing, quire::fault_path::fast}} {
    backing.displacement = 2 * rig<F>::region;
    backing.page_mask = F::shape.page_bytes() - 1;
    for (int i = 0; i < 3; ++i) {
      stocks.emplace_back(&machine.tables(), machine.memory(), quire::table_unit_bytes<F>);
      REQUIRE(stocks.back().top_up(8));
    }
    REQUIRE(table.create());
  }
  ~recorded_guest() { machine.stop(); }
  recorded_guest(const recorded_guest&) = delete;
  recorded_guest& operator=(const recorded_guest&) = delete;

  void map(int level) {
    writes.actor = 2;
    auto session = table.concurrent(sections[2]);
    const auto range = slot.template range<F>();
    REQUIRE(session.map(range, output_address{range.first().value + backing.displacement}, rig<F>::usual(), stocks[2],
                        {.largest_level = level, .groups = false}));
  }
  void enable() {
    writes.actor = 2;
    REQUIRE(log.enable({}, stocks[2]));
  }
  // A fault of each vCPU; what they wrote.
  void fault(std::uint64_t one, std::uint64_t other) {
    for (auto& each : writes.written) each.clear();
    const std::uint64_t faulting[] = {one, other};
    for (unsigned i = 0; i < 2; ++i) {
      writes.actor = i;
      const auto done =
          handlers[i].handle({slot.first + faulting[i] * F::shape.page_bytes(), quire::writable}, &log, stocks[i]);
      REQUIRE(done);
      REQUIRE((done->outcome == fault_outcome::fixed || done->outcome == fault_outcome::fixed_fast));
    }
  }
  [[nodiscard]] bool disjoint() const {
    for (const place& each : writes.written[0])
      if (writes.written[1].count(each) != 0) return false;
    return true;
  }

  write_log writes;
  quire::memory_slot slot;
  probe watch;
  quire::check::machine<F> machine;
  recording_observer<F> observer;
  probe_lock lock;
  quire::epoch_slot slots[3];
  quire::basic_epoch_reclaim<recorded_words> domain;
  recorded_section sections[3];
  table_type table;
  typename handler::sequence_type sequence;
  rig_backing backing;
  quire::eager_split_control control;
  std::vector<std::uint64_t> bits;
  log_type log;
  handler handlers[2];
  std::vector<cache> stocks;
};

}  // namespace

// The one word besides is the vCPU's own: it says that it is in a section.
QUIRE_TYPED_TEST("a fault writes its own entry and its word of the log and nothing that another writes",
                 dirty_formats) {
  constexpr std::uint64_t per_block = Format::shape.entries(0);
  recorded_guest<Format> g;
  SECTION("the fast path in one table") {
    g.map(0);
    g.enable();
    g.fault(5, 70);
    CHECK(g.disjoint());
    for (unsigned i = 0; i < 2; ++i) {
      CHECK(g.writes.count(i, "entry") == 1);
      CHECK(g.writes.count(i, "log") == 1);
      CHECK(g.writes.count(i, "word") == 1);
      CHECK(g.writes.written[i].size() == 3);
    }
  }
  SECTION("pages that are mapped in one table") {
    g.map(0);
    {
      g.writes.actor = 2;
      auto session = g.table.concurrent(g.sections[2]);
      REQUIRE(session.unmap(input_range::sized(g.slot.first + 5 * Format::shape.page_bytes(), 1U << 12U)));
      REQUIRE(session.unmap(input_range::sized(g.slot.first + 70 * Format::shape.page_bytes(), 1U << 12U)));
    }
    g.enable();
    g.fault(5, 70);
    CHECK(g.disjoint());
    for (unsigned i = 0; i < 2; ++i) {
      CHECK(g.writes.count(i, "entry") == 1);
      CHECK(g.writes.count(i, "word") == 1);
    }
  }
  SECTION("tables that are made under one table") {
    g.map(0);
    {
      g.writes.actor = 2;
      auto session = g.table.concurrent(g.sections[2]);
      REQUIRE(session.unmap(input_range::sized(g.slot.first, per_block << 12U)));
      REQUIRE(session.unmap(input_range::sized(g.slot.first + (per_block << 12U), per_block << 12U)));
    }
    g.enable();
    g.fault(5, per_block + 5);
    CHECK(g.disjoint());
    for (unsigned i = 0; i < 2; ++i) CHECK(g.writes.count(i, "entry") == 2);
  }
  SECTION("blocks that are split") {
    g.map(1);
    g.enable();
    g.fault(5, per_block + 5);
    CHECK(g.disjoint());
    for (unsigned i = 0; i < 2; ++i) CHECK(g.writes.count(i, "log") == 1);
  }
}
