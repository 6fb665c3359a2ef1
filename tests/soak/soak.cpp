// SPDX-License-Identifier: MIT
// Eight threads do everything there is to do with one table, for as long as they are told, under a thread sanitizer.
//
//   vCPUs      store to the pages of a slot, through TLBs of their own, and handle their faults
//   the host   moves pages of the slot
//   the owner  switches the log on and off, in all modes and with eager split, harvests it, and copies what it names
//   the rest   map, unmap, annotate, protect, split, collapse, prune, age ... outside the slot; inside it whatever the
//              guest can live with
// Now and then all stop, and what was copied must be what is there. Nothing may be lost, and no table.
#include "catch.hpp"

#include <chrono>   // steady_clock
#include <cstdio>   // printf
#include <cstdlib>  // getenv
#include <string>   // string
#include <thread>   // thread
#include <vector>   // vector

#include "support/dirty_threads.hpp"

namespace {

using namespace quire;
using namespace quire_test;

constexpr unsigned vcpus = 3, movers = 1, others = 3;  // and the owner: eight

[[nodiscard]] double seconds_to_run() {
  const char* const text = std::getenv("QUIRE_SOAK_SECONDS");
  return text == nullptr ? 2 : std::strtod(text, nullptr);
}

struct random_numbers {
  std::uint64_t state;
  std::uint64_t operator()(std::uint64_t below) noexcept {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33U) % below;
  }
};

template <class F, class Sync>
class soak {
  using guest_type = guest<F, Sync>;
  static constexpr bool concurrent = concurrent_locking<typename Sync::locking>;
  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t pages = 2 * F::shape.entries(0);  // of the slot: two blocks
  struct drop {
    void operator()(input_address, std::uint64_t) const noexcept {}
  };
  static constexpr drop dropped{};

 public:
  soak() : g_{{.pages = pages, .cpus = vcpus + movers + others, .units = 4096}}, copy_(pages), log_(g_.words.size()) {
    REQUIRE(g_.made);
    g_.may_be_absent = true;
  }

  void run(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < vcpus; ++i) threads.emplace_back([this, i] { store(i); });
    for (unsigned i = 0; i < movers; ++i) threads.emplace_back([this] { move(vcpus); });
    for (unsigned i = 0; i < others; ++i) threads.emplace_back([this, i] { change(vcpus + movers + i); });
    random_numbers random{77};
    while (std::chrono::steady_clock::now() < end) own_the_log(random);
    over_.store(true);
    if (halt_.load()) FAIL("it is over while all have halted");
    for (std::thread& each : threads) each.join();
    CHECK(wrong_ == 0);
    CHECK(lost_ == 0);
    CHECK(stores_ != 0);
    CHECK(harvests_ != 0);
    CHECK(changes_ != 0);
    CHECK(moves_ != 0);
    std::printf("%llu stores, %llu changes, %llu moves, %llu harvests, %llu checks: %llu lost\n", number(stores_),
                number(changes_), number(moves_), number(harvests_), number(checks_), number(lost_));
    // Everything goes, and nothing is left.
    g_.splitter.drain();
    g_.collect();
    g_.table.close();
    while (!g_.table.destroy(16)) {
    }
    g_.table.policies().tables.drain();
    CHECK(g_.arena.live() == 0);
  }

 private:
  static unsigned long long number(const std::atomic<std::uint64_t>& of) { return of.load(); }

  // All threads but the owner come here after each step.
  void rest() {
    if (!halt_.load(std::memory_order_relaxed)) return;
    stopped_.arrive();
    go_on_.arrive();
  }

  void store(unsigned number) {
    typename guest_type::vcpu vcpu{g_, number};
    random_numbers random{number + 1};
    std::uint64_t value = std::uint64_t{number + 1} << 48U, made = 0;
    for (; !over_.load(std::memory_order_relaxed); rest()) {
      vcpu.store(random(pages), ++value);
      ++made;
      if constexpr (concurrent)
        if (made % 32 == 0) static_cast<void>(g_.table.collect(g_.sync.guard(number)));
    }
    stores_ += made;
    wrong_ += vcpu.failures + vcpu.wrong_walks;
  }
  void move(unsigned number) {
    random_numbers random{number + 1};
    for (; !over_.load(std::memory_order_relaxed); rest()) {
      if (!g_.move(number, random(pages))) ++wrong_;
      ++moves_;
      for (int i = 0; i < 4; ++i) std::this_thread::yield();
    }
  }

  void change(unsigned number) {
    typename guest_type::cache stock{&g_.arena, g_.arena.memory(), 4096};
    random_numbers random{number + 1};
    for (; !over_.load(std::memory_order_relaxed); rest()) {
      static_cast<void>(stock.top_up(8));
      change_once(number, stock, random);
      ++changes_;
      if constexpr (concurrent)
        if (random(16) == 0) static_cast<void>(g_.table.collect(g_.sync.guard(number)));
    }
  }
  void expect(bool fine) {
    if (!fine) ++wrong_;
  }
  // What somebody else may cause, or too few tables in stock.
  void expect(errc code) {
    expect(code == errc::none || code == errc::already_mapped || code == errc::marked || code == errc::no_memory ||
           code == errc::not_mapped || code == errc::busy || code == errc::crosses_leaf);
  }
  void change_once(unsigned number, typename guest_type::cache& stock, random_numbers& random) {
    const bool inside = random(2) == 0;
    const std::uint64_t from = random(pages), most = random(4) == 0 ? pages : 8;
    const std::uint64_t count = 1 + random(std::min(most, pages - from));
    const input_address first = inside ? g_.at(from) : g_.at(4 * pages + from);
    const input_range range = input_range::sized(first, count * page);
    const output_address output{first.value + 1'000 * pages * page};
    if (random(8) == 0) {
      auto session = g_.table.one_page_session(g_.sync.guard(number));
      static_cast<void>(session.test_and_clear_accessed(first));  // of a block it says unsupported_level
      if (!inside) expect(session.make_writable(first, [] {}) <= write_grant::busy);
      return;
    }
    auto session = g_.table.session(g_.sync.guard(number));
    switch (random(12)) {
      case 0: return expect(session.split(range, 0, stock).error().code);
      case 1: return expect(session.collapse(range).error().code);
      case 2: return expect(session.prune(range).error().code);
      case 3: return expect(session.test_and_clear_accessed(range).error().code);
      case 4:
        return expect(
            session.write_protect(first, random(~std::uint64_t{0} >> 1U) & mask(count), dropped).error().code);
      case 5: return expect(session.set_accessed(range).error().code);
      case 6: return expect(take_away(session, range, stock));
      case 7: {
        const auto found = session.lookup(first);
        if (found && inside) expect(leads_to_a_frame(*found, from));
        return expect(found.error().code);
      }
      default: break;
    }
    if (inside) return;  // the rest is not for a guest's memory
    switch (random(5)) {
      case 0: {
        const attributes wanted{.allowed = random(2) == 0 ? read_write : readable, .may_write = true};
        return expect(
            session.map(range, output, wanted, stock, {.largest_level = static_cast<int>(random(2))}).error().code);
      }
      case 1: return expect(session.annotate(range, 5, stock).error().code);
      case 2: return expect(session.write_protect(range, dropped).error().code);
      case 3: return expect(session.restore_write(range).error().code);
      default: return expect(protect(session, range, stock));
    }
  }
  template <class Session, class Stock>
  static errc take_away(Session& session, input_range range, Stock& stock) {
    if constexpr (concurrent) return session.unmap(range).error().code;
    else return session.unmap(range, partial::split, stock).error().code;
  }
  template <class Session, class Stock>
  static errc protect(Session& session, input_range range, Stock& stock) {
    if constexpr (concurrent) return session.protect(range, readable, dropped).error().code;
    else return session.protect(range, readable, partial::whole, stock, dropped).error().code;
  }
  [[nodiscard]] static std::uint64_t mask(std::uint64_t count) {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  }
  [[nodiscard]] bool leads_to_a_frame(const mapping& found, std::uint64_t index) const {
    const std::uint64_t to = found.translate(g_.at(index)).value - g_.at(index).value;
    return to == g_.backing.displacement || to == g_.backing.displacement + pages * page;
  }

  // ---- the owner
  void own_the_log(random_numbers& random) {
    const bool manual = random(3) != 0;
    const bool piecewise = manual && random(2) == 0;
    g_.control.set_enabled(random(2) == 0);
    g_.control.set_chunk_bytes(F::shape.leaf_bytes(1));
    if (!g_.log.enable({.manual_protect = manual, .initially_set = piecewise}, g_.splitter)) ++wrong_;
    if (!piecewise) copy_all();
    for (std::uint64_t rounds = 1 + random(20); rounds != 0; --rounds) {
      harvest(manual);
      if (random(8) == 0) check(manual);
    }
    check(manual);
    const block_recovery recoveries[] = {block_recovery::none, block_recovery::in_place, block_recovery::on_fault};
    if (!g_.log.disable(recoveries[random(3)], g_.backing)) ++wrong_;
    if constexpr (concurrent) static_cast<void>(g_.table.collect(g_.sync.guard(g_.owner)));
  }
  // A page that the host moves meanwhile is copied wrong, and marked by the fault that finds it moved.
  void copy_all() {
    for (std::uint64_t i = 0; i < pages; ++i) copy_[i] = g_.read(i);
  }
  void harvest(bool manual) {
    if (!g_.log.get(log_.data(), g_.splitter)) ++wrong_;
    if (manual && !g_.log.clear(0, pages, log_.data(), g_.splitter)) ++wrong_;
    for (std::uint64_t i = 0; i < pages; ++i)
      if ((log_[i / 64] >> (i % 64) & 1U) != 0) copy_[i] = g_.read(i);
    ++harvests_;
  }
  void check(bool manual) {
    halt_.store(true);
    stopped_.arrive();
    harvest(manual);
    for (std::uint64_t i = 0; i < pages; ++i)
      if (copy_[i] != g_.read(i)) ++lost_;
    ++checks_;
    halt_.store(false);
    go_on_.arrive();
  }

  guest_type g_;
  std::vector<std::uint64_t> copy_;
  std::vector<std::uint64_t> log_;
  std::atomic<bool> over_{false};
  std::atomic<bool> halt_{false};
  meeting stopped_{vcpus + movers + others + 1}, go_on_{vcpus + movers + others + 1};
  std::atomic<std::uint64_t> stores_{0}, changes_{0}, moves_{0}, harvests_{0}, checks_{0}, lost_{0}, wrong_{0};
};

using soak_formats = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>>;

}  // namespace

QUIRE_TYPED_TEST("eight threads do everything to one table in read sections", soak_formats) {
  soak<Format, sections>{}.run(seconds_to_run());
}
QUIRE_TYPED_TEST("eight threads do everything to one table under a lock", soak_formats) {
  soak<Format, one_lock>{}.run(seconds_to_run());
}
