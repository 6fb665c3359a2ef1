// SPDX-License-Identifier: MIT
// Concurrent sessions, one at a time: they must do what exclusive sessions do, under the same oracles. (What they do
// beside one another is in concurrent_threads.cpp.)
#include <quire/table/concurrent/session.hpp>

#include <cstdint>  // uint64_t
#include <string>   // string, to_string
#include <tuple>    // tuple, tuple_cat
#include <vector>   // vector

#include <quire/format/arm64_stage2.hpp>  // arm64::stage2_16k
#include <quire/format/riscv_stage1.hpp>  // riscv::sv39
#include <quire/policy/epoch.hpp>         // epoch_section

#include "small.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;
using namespace quire_test;

// A watched table of concurrent sessions beside a plain one of exclusive sessions that serves as the model.
template <class F>
struct pair_of_tables {
  using section_type = epoch_section;
  using watched_policies = check::policies<F, locking::concurrent<section_type>>;
  static constexpr std::uint64_t page = F::shape.page_bytes();
  // Of a space in two halves, the lower one.
  static constexpr int page_count_bits = F::shape.input_bits() - F::shape.page_bits - (F::facts.sign_extended ? 1 : 0);
  static constexpr std::uint64_t pages = page_count_bits < 5 ? std::uint64_t{1} << page_count_bits : 32;

  explicit pair_of_tables(unsigned hardware, std::uint64_t seed)
      : machine({.units = 2048, .cpus = 2, .hardware = hardware, .seed = seed, .window = {}, .window_pages = pages}),
        table(watched_policies{machine}),
        model({.tables = 512}) {
    REQUIRE(table.create());
    REQUIRE(model.table.create());
  }
  ~pair_of_tables() { machine.stop(); }

  [[nodiscard]] static input_range range(std::uint64_t first, std::uint64_t count) {
    return input_range::sized(input_address{first * page}, count * page);
  }

  // Leaves in order, as far as software alone decides about them; empty where the two tables agree.
  std::string difference() {
    std::vector<mapping> here, there;
    const auto whole = range(0, pages);
    const auto keep = [](std::vector<mapping>& all) {
      return [&all](mapping one) {
        one.attrs.accessed = one.attrs.dirty = false;
        all.push_back(one);
      };
    };
    if (!table.concurrent(section).for_each_mapping(whole, keep(here))) return "not walked";
    if (!model.session().for_each_mapping(whole, keep(there))) return "model not walked";
    if (here.size() != there.size())
      return std::to_string(here.size()) + " leaves and not " + std::to_string(there.size());
    for (std::size_t i = 0; i < here.size(); ++i)
      if (here[i] != there[i]) return "leaf " + std::to_string(i) + " at " + std::to_string(here[i].input.value);
    return {};
  }
  // Everything that must hold between operations, retired tables given back.
  std::string wrong() {
    for (int i = 0; i < 4; ++i) table.collect(section);
    machine.end_of_operation();
    std::string found = machine.findings().text();
    return found.empty() ? difference() : found;
  }

  check::machine<F> machine;
  page_table<F, watched_policies> table;
  bare_stand<F> model;
  epoch_slot slots[2];
  epoch_reclaim domain{slots, 2};
  section_type section{domain, 0};
  std::string last;  // operation, for messages
};

struct drop {
  void operator()(input_address, std::uint64_t) const noexcept {}
};
constexpr drop dropped{};

// One random operation on both tables. Where the exclusive one refuses, the other is not asked: it may do a part.
template <class F>
std::string play(pair_of_tables<F>& both, std::uint64_t& dice) {
  const auto random = [&dice](std::uint64_t below) {
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    return (dice >> 33U) % below;
  };
  using stand = pair_of_tables<F>;
  const std::uint64_t first = random(stand::pages);
  const std::uint64_t count = 1 + random(stand::pages - first);
  const input_range range = stand::range(first, count);
  const int level = static_cast<int>(random(3));
  static constexpr permissions rights[] = {readable, read_write, read_execute, all_access};
  const permissions allowed = rights[random(4)];
  auto session = both.table.concurrent(both.section);
  auto model = both.model.session();
  auto& source = both.table.policies().tables;
  const std::uint64_t verb = random(10);
  both.last = "verb " + std::to_string(verb) + " pages " + std::to_string(first) + " + " + std::to_string(count) +
              " level " + std::to_string(level);
  switch (verb) {
    case 0:
    case 1: {
      const output_address output{(first + (random(4) == 0 ? 1 : 0)) * stand::page};
      const attributes wanted{.allowed = allowed, .may_write = true, .from = ordinary_privilege<F>};
      const map_options options{.largest_level = level, .groups = random(2) == 0};
      const auto expected = model.map(range, output, wanted, options);
      if (!expected) return {};
      const auto done = session.map(range, output, wanted, source, options);
      return done ? "" : std::string("map: ") + name_of(done.error().code);
    }
    case 2: {
      static_cast<void>(model.unmap(range, partial::whole));
      return session.unmap(range) ? "" : "unmap";
    }
    case 3: {
      const auto expected = model.protect(range, allowed, partial::whole, both.model.table.policies().tables, dropped);
      if (!expected) return {};
      const auto done = session.protect(range, allowed, dropped);
      return done && *done == *expected ? "" : "protect";
    }
    case 4: {
      const auto expected = model.write_protect(range, dropped);
      const auto done = session.write_protect(range, dropped);
      return done && *done == *expected ? "" : "write_protect";
    }
    case 5: {
      static_cast<void>(model.restore_write(range));  // whether it changed anything depends on what was dirty
      return session.restore_write(range) ? "" : "restore_write";
    }
    case 6: {
      if ((F::group_sizes(level) & 1U) == 0 || level > F::shape.root_level) return {};
      const auto expected = model.split(range, level);
      const auto done = session.split(range, level, source);
      return done && done->leaves == expected->leaves && done->tables == expected->tables ? "" : "split";
    }
    case 7: {
      const auto expected = model.collapse(range, level);
      const auto done = session.collapse(range, level);
      return done && done->leaves == expected->leaves ? "" : "collapse";
    }
    case 8: {
      const auto expected = model.prune(range);
      const auto done = session.prune(range);
      return done && expected ? "" : "prune";
    }
    default: {
      const input_address at{first * stand::page};
      const auto found = session.lookup(at);
      if (found && found->level == 0 && found->group == 0 && found->attrs.may_write) {
        int marks = 0;
        const auto given = session.make_writable(at, [&marks] { ++marks; });
        if (given != write_grant::granted && given != write_grant::already) return "make_writable";
        if ((given == write_grant::granted) != (marks == 1)) return "marks";
        if (!model.relax(at, writable | readable)) return "model relax";
        if (!session.relax(at, writable | readable)) return "relax";
      }
      if constexpr (F::facts.has_accessed) return session.test_and_clear_accessed(range) ? "" : "age";
      else return {};
    }
  }
}

// All locking there is on every tiny format; of the real ones, one with everything and one with nothing.
using kinds = decltype(std::tuple_cat(
    tiny_formats{},
    std::tuple<riscv::sv48x4,
               arm64::stage2_4k<48, arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>>{}));

}  // namespace

QUIRE_TYPED_TEST("concurrent sessions do what exclusive sessions do", kinds) {
  const std::uint64_t sequences = scaled(Format::shape.page_bytes() < 4096 ? 120 : 12);
  for (std::uint64_t seed = 1; seed <= sequences; ++seed) {
    pair_of_tables<Format> both{seed % 3 == 0 ? 0U : 150U, seed};
    std::uint64_t dice = seed * 77;
    for (int step = 0; step < 60; ++step) {
      std::string wrong = play(both, dice);
      if (wrong.empty()) wrong = both.wrong();
      INFO("seed " << seed << " step " << step << " " << both.last << ": " << wrong);
      REQUIRE(wrong.empty());
    }
  }
}

TEST_CASE("a concurrent map is not content with a leaf that is there for other accesses") {
  pair_of_tables<riscv::sv39> one{0, 1};
  const attributes kernel{.allowed = read_write, .may_write = true, .from = privilege::supervisor};
  attributes user = kernel;
  user.from = privilege::user;
  auto session = one.table.concurrent(one.section);
  auto& source = one.table.policies().tables;
  REQUIRE(session.map(one.range(1, 1), output_address{0x8000'1000}, kernel, source));
  CHECK(session.map(one.range(1, 1), output_address{0x8000'1000}, kernel, source));
  CHECK(session.map(one.range(1, 1), output_address{0x8000'1000}, user, source).error().code == errc::already_mapped);
}

namespace {

// Two sessions of one table at once, in one thread.
template <class F>
struct two_sections : pair_of_tables<F> {
  two_sections() : pair_of_tables<F>(0, 1) {}
  epoch_section other{this->domain, 1};

  void map(std::uint64_t first, std::uint64_t count, int level, attributes wanted) {
    REQUIRE(this->table.concurrent(this->section)
                .map(this->range(first, count), output_address{first * F::shape.page_bytes()}, wanted,
                     this->table.policies().tables, {.largest_level = level, .groups = false}));
  }
  [[nodiscard]] std::size_t in_use() { return this->machine.tables().live_blocks() - this->machine.stock().stock(); }
};
using blocks = std::tuple<tiny::plain, tiny::hardware_ad, riscv::sv39x4, arm64::stage2_4k<40>>;

}  // namespace

struct no_caches {
  static constexpr bool reentrant = true;
  void add(const invalidation_request&) const noexcept {}
  void local(const invalidation_request&) const noexcept {}
  void complete() const noexcept {}
};
template <class F>
struct sections_on_words : quire::policies {
  using locking = quire::locking::concurrent<epoch_section>;
  array_memory<typename F::word> memory;
  bare_tables<F> tables;
  no_caches invalidation;

  explicit sections_on_words(bare_world<F>& world)
      : memory(world.words.data(), world.words.size(), bare_world<F>::base), tables{&world} {}
};

// 128 pages: twice as many entries as are locked at a time.
TEST_CASE("a group larger than a batch is unmapped whole in a section") {
  using format = arm64::stage2_16k<47, arm64::stage2_options{.contiguous = true}>;
  constexpr std::uint64_t granule = format::shape.page_bytes(), group = 128 * granule;
  bare_world<format> world{16};
  page_table<format, sections_on_words<format>> table{sections_on_words<format>{world}};
  REQUIRE(table.create());
  epoch_slot slots[1];
  epoch_reclaim domain{slots, 1};
  epoch_section section{domain, 0};
  auto session = table.concurrent(section);
  const auto both = input_range::sized(input_address{0}, 2 * group);
  const auto map = [&] {
    return session.map(both, output_address{0}, {.allowed = read_write}, table.policies().tables).has_value();
  };
  REQUIRE(map());
  REQUIRE(session.lookup(input_address{0})->group == 7);

  const auto gone = session.unmap(input_range::sized(input_address{70 * granule}, granule));
  REQUIRE(gone);
  CHECK(gone->entries == 128);
  CHECK(gone->covered == input_range::sized(input_address{0}, group));
  for (std::uint64_t at = 0; at < group; at += granule)
    CHECK(session.lookup(input_address{at}).error().code == errc::not_mapped);
  CHECK(session.lookup(input_address{group})->group == 7);
  CHECK(map());
  CHECK(session.lookup(input_address{group - granule})->group == 7);
}

QUIRE_TYPED_TEST("protected already is not invalidated already", blocks) {
  two_sections<Format> t;
  t.map(0, 4, 0, {.allowed = read_write, .may_write = true});
  const auto whole = t.range(0, 4);
  const auto asked = [&t] { return t.machine.record().requests_added; };
  {
    auto first = t.table.concurrent(t.section);
    REQUIRE(*first.write_protect(whole, dropped));
    const std::size_t before = asked();
    {
      // The first has not completed: a CPU may still write, and this session must not say that none can.
      auto second = t.table.concurrent(t.other);
      CHECK_FALSE(*second.write_protect(whole, dropped));
      CHECK(asked() == before + 1);
    }
    CHECK(t.machine.record().completions != 0);
  }
  const std::size_t before = asked();
  CHECK_FALSE(*t.table.concurrent(t.section).write_protect(whole, dropped));
  CHECK(asked() == before);
  t.machine.end_of_operation();
  CHECK(t.machine.findings().text() == "");
}

// All of its operations, those that are answered at once as well as those that walk: a change that is made must be
// announced, so none may find out in between that there is no root.
QUIRE_TYPED_TEST("a session that is open when its table is closed goes on with its root", blocks) {
  using stand = pair_of_tables<Format>;
  stand both{0, 1};
  const attributes wanted{.allowed = read_write, .may_write = true, .from = ordinary_privilege<Format>};
  auto& source = both.table.policies().tables;
  epoch_section other{both.domain, 1};
  {
    auto before = both.table.concurrent(both.section);
    REQUIRE(before.map(stand::range(0, 4), output_address{0}, wanted, source, {.largest_level = 0}));
    both.table.close();

    CHECK(before.write_protect(stand::range(0, 2), dropped).value());
    CHECK(before.protect(stand::range(2, 1), readable, dropped).value());
    CHECK(before.split(stand::range(0, 4), 0, source));
    CHECK(before.map(stand::range(4, 1), output_address{4 * stand::page}, wanted, source));
    CHECK(before.unmap(stand::range(3, 1)).value().entries == 1);
    CHECK(before.lookup(input_address{0}));
    CHECK(before.make_writable(input_address{0}, [] {}) == write_grant::granted);

    auto after = both.table.concurrent(other);
    CHECK(after.write_protect(stand::range(0, 2), dropped).error().code == errc::no_root);
    CHECK(after.map(stand::range(0, 1), output_address{0}, wanted, source).error().code == errc::no_root);
    CHECK(after.unmap(stand::range(0, 1)).error().code == errc::no_root);
    CHECK(after.lookup(input_address{0}).error().code == errc::no_root);
  }
  both.machine.end_of_operation();
  CHECK(both.machine.findings().text() == "");
}

QUIRE_TYPED_TEST("a table that a section may be inside is not given back", blocks) {
  two_sections<Format> t;
  const std::uint64_t pages = Format::shape.entries(0);
  if (pages > t.pages) return;  // the model's window is smaller than a table
  t.map(0, pages, 0, {.allowed = read_write, .may_write = true});
  const std::size_t before = t.in_use();
  {
    auto reader = t.table.concurrent(t.other);
    REQUIRE(reader.lookup(input_address{0}));
    REQUIRE(t.table.concurrent(t.section).unmap(t.range(0, pages)));
    for (int i = 0; i < 5; ++i) CHECK(t.table.collect(t.section) != 0);
    CHECK(t.in_use() == before);
    CHECK(reader.lookup(input_address{0}).error().code == errc::not_mapped);
  }
  for (int i = 0; i < 4; ++i) t.table.collect(t.section);
  CHECK(t.in_use() == before - 1);
  CHECK(t.machine.findings().text() == "");
}

QUIRE_TYPED_TEST("a guard that says no leaves nothing behind", blocks) {
  two_sections<Format> t;
  const auto where = t.range(0, 1);
  const output_address there{0};
  int asked = 0;
  {
    auto session = t.table.concurrent(t.section);
    auto& source = t.table.policies().tables;
    const attributes wanted{.allowed = read_write, .may_write = true};
    const auto refused = session.map_guarded(where, there, wanted, source, {.largest_level = 0}, [&asked] {
      ++asked;
      return true;
    });
    CHECK(refused.error().code == errc::stopped);
    CHECK(session.lookup(where.first()).error().code == errc::not_mapped);
    CHECK(asked == 1);
    // Whoever invalidates the range meets the lock, or is seen by the guard.
    bool owned = true;
    REQUIRE(session.map_guarded(where, there, wanted, source, {.largest_level = 0}, [&] {
      const auto found = descend<Format>(t.table.policies().memory, *t.table.root(), where.first());
      owned = owned && Format::kind_of(found.entry, found.level) == entry_kind::locked;
      ++asked;
      return false;
    }));
    CHECK(asked > 1);
    CHECK(owned);
    CHECK(session.lookup(where.first())->output == there);
    // More rights are asked for under the same guard.
    REQUIRE(session.write_protect(where, dropped));
    CHECK(session.map_guarded(where, there, wanted, source, {.largest_level = 0}, [] { return true; }).error().code ==
          errc::stopped);
    CHECK_FALSE(session.lookup(where.first())->attrs.allowed.contains(writable));
  }
  CHECK(t.machine.findings().text() == "");
}

QUIRE_TYPED_TEST("a guard that says no on the way leaves what was mapped before", blocks) {
  two_sections<Format> t;
  int asked = 0;
  {
    auto session = t.table.concurrent(t.section);
    const auto refused =
        session.map_guarded(t.range(0, 3), output_address{0}, {.allowed = read_write, .may_write = true},
                            t.table.policies().tables, {.largest_level = 0, .groups = false},
                            [&] { return session.lookup(t.range(1, 1).first()).has_value() && ++asked; });
    CHECK(refused.error().code == errc::stopped);
    CHECK(refused.error().at == t.range(2, 1).first().value);
    CHECK(asked == 1);
    CHECK(session.lookup(t.range(0, 1).first()));
    CHECK(session.lookup(t.range(1, 1).first()));
    CHECK(session.lookup(t.range(2, 1).first()).error().code == errc::not_mapped);
  }
  CHECK(t.machine.findings().text() == "");
}

QUIRE_TYPED_TEST("an entry that another owns is busy for one page", blocks) {
  two_sections<Format> t;
  t.map(0, 1, 0, {.allowed = readable, .may_write = true});
  const auto found = descend<Format>(t.table.policies().memory, *t.table.root(), input_address{0});
  auto memory = t.machine.memory();
  using word = typename Format::word;
  memory.template store<word>(found.table, found.index, Format::lock(found.entry), order::relaxed);
  {
    auto session = t.table.concurrent(t.section);
    int marks = 0;
    CHECK(session.make_writable(input_address{0}, [&marks] { ++marks; }) == write_grant::busy);
    CHECK(marks == 0);
    CHECK(session.relax(input_address{0}, readable).error().code == errc::busy);
    CHECK(session.test_and_clear_accessed(input_address{0}).error().code == errc::busy);
    CHECK(session.lookup(input_address{0}).error().code == errc::busy);
  }
  memory.template store<word>(found.table, found.index, found.entry, order::relaxed);
  CHECK(t.table.concurrent(t.section).make_writable(input_address{0}, [] {}) == write_grant::granted);
}

QUIRE_TYPED_TEST("the mark comes after the page is writable", blocks) {
  two_sections<Format> t;
  t.map(0, 1, 0, {.allowed = readable, .may_write = true});
  auto session = t.table.concurrent(t.section);
  bool writable_then = false;
  const auto given = session.make_writable(input_address{0}, [&] {
    const auto found = descend<Format>(t.table.policies().memory, *t.table.root(), input_address{0});
    writable_then = Format::is_writable(found.entry);
  });
  CHECK(given == write_grant::granted);
  CHECK(writable_then);
}
