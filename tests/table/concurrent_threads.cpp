// SPDX-License-Identifier: MIT
// Concurrent sessions on real threads: every operation beside every other, on ranges that overlap.
//
// Whatever they do to one another, a page is either not mapped or leads where it belongs, in leaves of any size; and
// when all is over no table is missing or left.
#include <quire/table/page_table.hpp>

#include <atomic>   // atomic
#include <cstdint>  // uint64_t
#include <string>   // string, to_string
#include <thread>   // thread
#include <vector>   // vector

#include <quire/policy/epoch.hpp>        // epoch_section
#include <quire/policy/table_cache.hpp>  // table_cache

#include "support/dirty_threads.hpp"

namespace {

using namespace quire;
using namespace quire_test;

// The root, and where retired tables go; each thread takes from a cache of its own.
template <class Word>
struct common_tables {
  shared_arena<Word>* arena;

  [[nodiscard]] bool reserve(std::size_t n) noexcept { return n == 0; }
  result<table_address> take(table_contents) noexcept { return errc::no_memory; }
  void give_back(table_address table) noexcept { arena->free(table, shared_arena<Word>::unit); }
  result<table_address> take_root(std::uint64_t bytes) noexcept { return arena->allocate(bytes); }
  void give_back_root(table_address table, std::uint64_t bytes) noexcept { arena->free(table, bytes); }
};
struct obeyed_at_once {
  static constexpr bool reentrant = true;
  std::atomic<std::uint64_t>* requests;

  void add(const invalidation_request&) noexcept { requests->fetch_add(1, std::memory_order_relaxed); }
  void local(const invalidation_request&) noexcept {}
  void complete() noexcept {}
};
using patient_section = sections::guard_type;

template <class F>
struct threads_policies : policies {
  using locking = quire::locking::concurrent<patient_section>;
  array_memory<typename F::word> memory;
  common_tables<typename F::word> tables;
  obeyed_at_once invalidation;
  threads_policies(shared_arena<typename F::word>& arena, std::atomic<std::uint64_t>& requests)
      : memory(arena.memory()), tables{&arena}, invalidation{&requests} {}
};

struct drop {
  void operator()(input_address, std::uint64_t) const noexcept {}
};
constexpr drop dropped{};

template <class F>
struct crowd {
  using table_type = page_table<F, threads_policies<F>>;
  using word = typename F::word;
  using cache_type = table_cache<shared_arena<word>, array_memory<word>, word>;
  static constexpr unsigned threads = 4;
  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t pages = 4 * F::shape.entries(0);
  static constexpr std::uint64_t first = std::uint64_t{1} << 30U;  // input; the output is the same
  static constexpr int highest = 1;

  shared_arena<typename F::word> arena{512};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> wrong{0};
  epoch_slot slots[threads];
  epoch_reclaim domain{slots, threads};
  table_type table{threads_policies<F>{arena, requests}};

  [[nodiscard]] static input_range range(std::uint64_t from, std::uint64_t count) {
    return input_range::sized(input_address{first + from * page}, count * page);
  }
  void expect(bool holds) {
    if (!holds) wrong.fetch_add(1, std::memory_order_relaxed);
  }
  // Only what another session may cause, or that holds all tables.
  void expect_code(errc code) { expect(code == errc::none || code == errc::already_mapped || code == errc::no_memory); }

  void one_operation(patient_section& section, cache_type& source, std::uint64_t& dice) {
    const auto random = [&dice](std::uint64_t below) {
      dice = dice * 6364136223846793005U + 1442695040888963407U;
      return (dice >> 33U) % below;
    };
    const std::uint64_t from = random(pages);
    const std::uint64_t most = random(3) == 0 ? pages - from : std::min<std::uint64_t>(pages - from, 8);
    const input_range where = range(from, 1 + random(most));
    const input_address at{first + from * page + 8};
    static_cast<void>(source.top_up(8));
    auto session = table.concurrent(section);
    switch (random(12)) {
      case 0:
      case 1:
      case 2: {
        const attributes wanted{.allowed = random(2) == 0 ? read_write : readable, .may_write = true};
        const map_options options{.largest_level = static_cast<int>(random(2)), .groups = random(2) == 0};
        return expect_code(
            session.map(where, output_address{where.first().value}, wanted, source, options).error().code);
      }
      case 3: return expect(session.unmap(where).has_value());
      case 4: return expect(session.write_protect(where, dropped).has_value());
      case 5: return expect(session.restore_write(where).has_value());
      case 6: return expect(session.split(where, 0, source).has_value());
      case 7: return expect(session.collapse(range(0, pages), highest).has_value());
      case 8: return expect(session.prune(where).has_value());
      case 9: return expect(session.test_and_clear_accessed(where).has_value());
      case 10: {
        const write_grant given = session.make_writable(at, [] {});
        return expect(given <= write_grant::busy);
      }
      default: {
        const auto led = session.translate(at);
        return expect(led ? led->value == at.value
                          : led.error().code == errc::not_mapped || led.error().code == errc::busy);
      }
    }
  }
  // Whatever is mapped leads to itself.
  void expect_identity(patient_section& section) {
    auto session = table.concurrent(section);
    const auto seen = session.for_each_mapping(
        range(0, pages), [&](const mapping& one) { expect(one.input.value == one.output.value); });
    expect(seen.has_value());
  }
};

}  // namespace

QUIRE_TYPED_TEST("every operation beside every other leaves each page where it belongs",
                 std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>,
                            quire::riscv::gstage<3, quire::riscv::extensions{.svadu = true}>,
                            quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.contiguous = true}>>) {
  using crowd_type = crowd<Format>;
  crowd_type c;
  REQUIRE(c.table.create());
  const std::size_t root = c.arena.live();
  const std::uint64_t operations = scaled(20'000);
  std::vector<std::thread> all;
  for (unsigned t = 0; t < crowd_type::threads; ++t)
    all.emplace_back([&c, t, operations] {
      patient_section section{c.domain, t};
      typename crowd_type::cache_type source{&c.arena, c.arena.memory(), shared_arena<typename Format::word>::unit};
      std::uint64_t dice = t + 1;
      for (std::uint64_t i = 0; i < operations; ++i) {
        c.one_operation(section, source, dice);
        if (i % 64 == 0) c.table.collect(section);
      }
    });
  for (std::thread& each : all) each.join();
  CHECK(c.wrong == 0);
  CHECK(c.requests != 0);
  std::vector<patient_section> sections;
  for (unsigned t = 0; t < crowd_type::threads; ++t) sections.emplace_back(c.domain, t);
  c.expect_identity(sections[0]);
  CHECK(c.wrong == 0);
  REQUIRE(c.table.concurrent(sections[0]).unmap(crowd_type::range(0, crowd_type::pages)));
  REQUIRE(c.table.concurrent(sections[0]).prune(crowd_type::range(0, crowd_type::pages)));
  for (int round = 0; round < 4; ++round)
    for (patient_section& each : sections) c.table.collect(each);
  CHECK(c.arena.live() == root);
}
