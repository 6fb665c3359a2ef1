// SPDX-License-Identifier: MIT
// The workloads: prepare, measure one operation over a stretch of guest memory, check what it did.
//
// A workload is a function template over a rig. It calls meter.start(units) and meter.stop() around what is timed; the
// operations themselves are the functions measured_*, never inlined, and only what happens inside them is counted.
#pragma once

#include <vector>  // vector

#include <quire/dirty/fault.hpp>  // fault_handler

#include "rig.hpp"
#include "rows.hpp"

namespace quire_bench {

// Sizes that keep what an operation costs by itself below a hundredth of what its entries cost.
inline constexpr std::uint64_t paged = gib;        // where the unit is a page entry or one page
inline constexpr std::uint64_t sectioned = gib;    // 64 pages
inline constexpr std::uint64_t blocked = 8 * gib;  // 2 MiB

// The pages of the memory in an order without neighbours.
[[nodiscard]] inline std::vector<std::uint64_t> shuffled(std::uint64_t pages) {
  std::vector<std::uint64_t> order(pages);
  for (std::uint64_t i = 0; i < pages; ++i) order[i] = i * 40503 % pages;  // odd, and pages is a power of two
  return order;
}
[[nodiscard]] inline std::vector<std::uint64_t> in_sequence(std::uint64_t pages) {
  std::vector<std::uint64_t> order(pages);
  for (std::uint64_t i = 0; i < pages; ++i) order[i] = i;
  return order;
}

// ---- map

template <class Rig>
[[gnu::noinline]] bool measured_map(Rig& rig, input_range range, int level) {
  auto session = rig.session();
  return session.map(range, Rig::behind(range.first()), Rig::ordinary, rig.cache, {.largest_level = level}).has_value();
}
template <class Rig>
void map_range(stopwatch& meter, std::uint64_t bytes, int level) {
  Rig rig{bytes};
  meter.start(bytes / Rig::format::shape.leaf_bytes(level));
  const bool done = measured_map(rig, rig.range(), level);
  meter.stop();
  must(done, "map");
  rig.expect(level, read_write);
}
template <class Rig>
void map_fault(stopwatch& meter, std::uint64_t bytes, int level) {
  Rig rig{bytes};
  const std::uint64_t leaf = Rig::format::shape.leaf_bytes(level);
  bool done = true;
  meter.start(bytes / leaf);
  for (std::uint64_t at = 0; at < bytes; at += leaf)
    done = measured_map(rig, input_range::sized(Rig::guest + at, leaf), level) && done;
  meter.stop();
  must(done, "map");
  rig.expect(level, read_write);
}

// ---- split

template <class Rig>
[[gnu::noinline]] split_result measured_split(Rig& rig, input_range range) {
  auto session = rig.session();
  return session.split(range, 0, rig.cache).value_or({.out_of_memory = true});
}
template <class Rig>
void split_from(stopwatch& meter, int level) {
  Rig rig{paged};
  rig.fill(level);
  meter.start(paged / page);
  const split_result done = measured_split(rig, rig.range());
  meter.stop();
  must(!done.out_of_memory && done.leaves == paged / Rig::format::shape.leaf_bytes(level), "split");
  rig.expect(0, read_write);
}
template <class Rig>
void split_again(stopwatch& meter) {
  Rig rig{blocked};
  rig.fill(0);
  meter.start(blocked / block);
  const split_result done = measured_split(rig, rig.range());
  meter.stop();
  must(!done.out_of_memory && done.leaves == 0, "split again");
  rig.expect(0, read_write);
}
template <class Rig>
void split_again_64(stopwatch& meter) {
  Rig rig{sectioned};
  rig.fill(0);
  bool done = true;
  meter.start(sectioned / (64 * page));
  for (std::uint64_t at = 0; at < sectioned; at += 64 * page)
    done = measured_split(rig, input_range::sized(Rig::guest + at, 64 * page)).leaves == 0 && done;
  meter.stop();
  must(done, "split again");
  rig.expect(0, read_write);
}

// ---- protect

template <class Rig>
[[gnu::noinline]] bool measured_write_protect(Rig& rig) {
  auto session = rig.session();
  return session.write_protect(rig.range()).value_or(false);
}
template <class Rig>
void write_protect_all(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  meter.start(paged / page);
  const bool done = measured_write_protect(rig);
  meter.stop();
  must(done, "write-protect");
  rig.expect(0, readable);
}
template <class Rig>
[[gnu::noinline]] bool measured_write_protect_mask(Rig& rig, input_address at, std::uint64_t mask) {
  auto session = rig.session();
  return session.write_protect(at, mask).value_or(false);
}
template <class Rig>
void write_protect_mask(stopwatch& meter, std::uint64_t mask) {
  Rig rig{sectioned};
  rig.fill(0);
  bool done = true;
  meter.start(sectioned / (64 * page));
  for (std::uint64_t at = 0; at < sectioned; at += 64 * page)
    done = measured_write_protect_mask(rig, Rig::guest + at, mask) && done;
  meter.stop();
  must(done, "write-protect");
  rig.expect(0, [&](std::uint64_t number) { return (mask >> number % 64 & 1) != 0 ? readable : read_write; });
}
template <class Rig>
[[gnu::noinline]] bool measured_age(Rig& rig) {
  auto session = rig.session();
  return session.test_and_clear_accessed(rig.range()).value_or(false);
}
template <class Rig>
void age_all(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  meter.start(paged / page);
  const bool done = measured_age(rig);
  meter.stop();
  must(done, "age");
  rig.expect(0, read_write, false);
}

// ---- the dirty log

// What a harvest does to the table for one word of 64 pages.
template <class Session, class Cache>
[[gnu::noinline]] bool measured_harvest(Session& session, input_address at, std::uint64_t mask, Cache& cache) {
  const auto protection = session.write_protect(at, mask);
  const auto splitting = session.split(input_range::sized(at, 64 * page), 0, cache);
  return protection && *protection && splitting && splitting->leaves == 0;
}
template <class Rig>
void clear_dirty_log(stopwatch& meter) {
  Rig rig{sectioned};
  rig.fill(0);
  bool done = true;
  meter.start(sectioned / (64 * page));
  {
    auto session = rig.session();
    for (std::uint64_t at = 0; at < sectioned; at += 64 * page)
      done = measured_harvest(session, Rig::guest + at, ~std::uint64_t{0}, rig.cache) && done;
  }
  meter.stop();
  must(done, "clear");
  rig.expect(0, readable);
}

template <class Log, class Cache>
[[gnu::noinline]] result<dirty_log_work> measured_clear(Log& log, std::uint64_t pages, const std::uint64_t* words,
                                                        Cache& cache) {
  return log.clear(0, pages, words, cache);
}
// The call itself, with the log and its eager split around the table.
template <class Rig>
void dirty_log_clear(stopwatch& meter) {
  using table_type = typename Rig::table_type;
  Rig rig{sectioned};
  rig.fill(0);
  std::vector<std::uint64_t> log_words(bitmap_words(sectioned / page)), asked(log_words.size(), ~std::uint64_t{0});
  const eager_split_control control{true, block};
  dirty_log<table_type, typename Rig::guard_type, dirty_bitmap> log{
      rig.tables, rig.sync.guard, memory_slot{.first = Rig::guest, .pages = sectioned / page},
      dirty_bitmap{log_words.data(), sectioned / page}, control};
  must(log.enable({.manual_protect = true, .initially_set = true}, rig.cache).has_value(), "enable");
  meter.start(sectioned / (64 * page));
  const auto done = measured_clear(log, sectioned / page, asked.data(), rig.cache);
  meter.stop();
  must(done && done->words_taken == asked.size() && done->split.missed == 0, "clear");
  rig.expect(0, readable);
}

// ---- one page at a time

// A write fault on the read side, as the fault handler takes it; the lock costs nothing.
template <class Rig>
[[gnu::noinline]] write_grant measured_fast_path(Rig& rig, const invalidation_sequence& sequence, dirty_bitmap& log,
                                                 input_address at) {
  const std::uint64_t snapshot = sequence.sample();
  auto session = rig.tables.one_page_session(rig.sync.guard);
  if (sequence.must_retry(snapshot, at)) return write_grant::not_mapped;
  return session.make_writable(at, [&] { log.mark((at - Rig::guest) / page); });
}
template <class Rig>
void fast_path(stopwatch& meter, std::vector<std::uint64_t> order) {
  Rig rig{paged};
  rig.fill(0, {.allowed = readable, .may_write = true});
  std::vector<std::uint64_t> log_words(bitmap_words(paged / page));
  dirty_bitmap log{log_words.data(), paged / page};
  const invalidation_sequence sequence;
  std::size_t granted = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    granted += measured_fast_path(rig, sequence, log, Rig::guest + number * page) == write_grant::granted;
  meter.stop();
  must(granted == order.size() && rig.tables.policies().invalidation.locals == order.size(), "fast path");
  for (const std::uint64_t word : log_words) must(word == ~std::uint64_t{0}, "a page was not marked");
  rig.expect(0, read_write);
}
// The other things that are done to one page beside others.
template <class Rig>
[[gnu::noinline]] result<bool> measured_age_page(Rig& rig, input_address at) {
  return rig.tables.one_page_session(rig.sync.guard).test_and_clear_accessed(at);
}
template <class Rig>
void age_page(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  std::size_t aged = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    aged += measured_age_page(rig, Rig::guest + number * page).value_or(false) ? 1U : 0U;
  meter.stop();
  must(aged == order.size(), "age");
  rig.expect(0, read_write, false);
}
// Not a constant for the compiler, as it is none for a fault.
inline permissions rights_asked_for = read_execute;

template <class Rig>
[[gnu::noinline]] result<void> measured_relax_page(Rig& rig, input_address at) {
  return rig.tables.one_page_session(rig.sync.guard).relax(at, rights_asked_for);
}
template <class Rig>
void relax_page(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0, {.allowed = readable, .may_write = true});
  const auto order = shuffled(paged / page);
  std::size_t relaxed = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    relaxed += measured_relax_page(rig, Rig::guest + number * page).has_value() ? 1U : 0U;
  meter.stop();
  must(relaxed == order.size(), "relax");
  rig.expect(0, read_execute);
}
// The same through fault_handler::handle.
template <class Handler, class Log, class Cache>
[[gnu::noinline]] result<fault_report> measured_fault(Handler& handler, const guest_fault& fault, Log* log,
                                                      Cache& cache) {
  return handler.handle(fault, log, cache);
}
template <class Rig>
void fault_fast(stopwatch& meter) {
  using table_type = typename Rig::table_type;
  using log_type = dirty_log<table_type, typename Rig::guard_type, dirty_bitmap>;
  struct backing {
    result<host_page> resolve(const memory_slot&, input_address at, bool) noexcept {
      return host_page{Rig::behind(at), true, 0};
    }
    int mapped_level(const memory_slot&, input_address) noexcept { return 0; }
  };
  Rig rig{paged};
  rig.fill(0);
  std::vector<std::uint64_t> log_words(bitmap_words(paged / page));
  const eager_split_control control;
  log_type log{rig.tables, rig.sync.guard, memory_slot{.first = Rig::guest, .pages = paged / page},
               dirty_bitmap{log_words.data(), paged / page}, control};
  must(log.enable({}, rig.cache).has_value(), "enable");
  backing host;
  invalidation_sequence sequence;
  fault_handler<table_type, typename Rig::guard_type, backing, dirty_bitmap> handler{rig.tables, rig.sync.guard,
                                                                                     sequence, host, fault_path::fast};
  const auto order = shuffled(paged / page);
  std::size_t fixed = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const auto done =
        measured_fault(handler, {.address = Rig::guest + number * page, .access = writable}, &log, rig.cache);
    fixed += done && done->outcome == fault_outcome::fixed_fast;
  }
  meter.stop();
  must(fixed == order.size(), "fault");
  rig.expect(0, read_write);
}

// Where a page leads; and the same with everything its leaf says decoded.
template <class Session>
[[gnu::noinline]] result<output_address> measured_translate(Session& session, input_address at) {
  return session.translate(at);
}
template <class Session>
[[gnu::noinline]] result<mapping> measured_lookup(Session& session, input_address at) {
  return session.lookup(at);
}
template <class Rig>
void lookup(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  auto session = rig.session();
  std::uint64_t wrong = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const input_address at = Rig::guest + number * page;
    wrong |= measured_translate(session, at).value_or(output_address{}).value ^ Rig::behind(at).value;
  }
  meter.stop();
  must(wrong == 0, "lookup");
}
template <class Rig>
void lookup_decoded(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  auto session = rig.session();
  bool right = true;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const input_address at = Rig::guest + number * page;
    const auto found = measured_lookup(session, at);
    right = right && found && found->input == at && found->output == Rig::behind(at) &&
            found->attrs.allowed == read_write && found->level == 0;
  }
  meter.stop();
  must(right, "lookup_decoded");
}

// ---- taking away

template <class Rig>
[[gnu::noinline]] result<unmap_result> measured_unmap(Rig& rig) {
  auto session = rig.session();
  return session.unmap(rig.range());
}
template <class Rig>
void unmap_4k(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const std::size_t before = rig.all.taken;
  meter.start(paged / page);
  const auto done = measured_unmap(rig);
  meter.stop();
  must(done && done->entries == paged / page && done->accessed && !done->dirty, "unmap");
  rig.sync.collect(rig.tables);
  must(before - rig.all.taken >= paged / block, "the tables are not back");
  rig.expect_nothing();
}
template <class Rig>
[[gnu::noinline]] result<void> measured_discard(Rig& rig) {
  auto session = rig.session();
  return session.discard(rig.range());
}
template <class Rig>
void discard_4k(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const std::size_t before = rig.all.taken;
  meter.start(paged / page);
  const auto done = measured_discard(rig);
  meter.stop();
  must(done.has_value(), "discard");
  rig.sync.collect(rig.tables);
  must(before - rig.all.taken >= paged / block, "the tables are not back");
  rig.expect_nothing();
}

// Adds every workload of a rig to the rows of the program. One source for each rig: what the compiler inlines depends
// on what else it compiles.
template <class Rig>
bool add_rows(const char* format, const char* path) {
  const auto add = [&](const char* name, void (*run)(stopwatch&)) { all_rows().push_back({name, format, path, run}); };
  add("map_2m_range", [](stopwatch& meter) { map_range<Rig>(meter, blocked, 1); });
  add("map_2m_fault", [](stopwatch& meter) { map_fault<Rig>(meter, blocked, 1); });
  add("map_4k_range", [](stopwatch& meter) { map_range<Rig>(meter, paged, 0); });
  add("map_4k_fault", [](stopwatch& meter) { map_fault<Rig>(meter, paged / 4, 0); });
  add("split_2m", [](stopwatch& meter) { split_from<Rig>(meter, 1); });
  add("split_1g", [](stopwatch& meter) { split_from<Rig>(meter, 2); });
  add("split_again", [](stopwatch& meter) { split_again<Rig>(meter); });
  add("split_again_64", [](stopwatch& meter) { split_again_64<Rig>(meter); });
  add("clear_dirty_log", [](stopwatch& meter) { clear_dirty_log<Rig>(meter); });
  add("dirty_log_clear", [](stopwatch& meter) { dirty_log_clear<Rig>(meter); });
  add("write_protect_all", [](stopwatch& meter) { write_protect_all<Rig>(meter); });
  add("write_protect_mask_half", [](stopwatch& meter) { write_protect_mask<Rig>(meter, 0x5555'5555'5555'5555); });
  add("write_protect_mask_one", [](stopwatch& meter) { write_protect_mask<Rig>(meter, std::uint64_t{1} << 37); });
  add("fast_path", [](stopwatch& meter) { fast_path<Rig>(meter, shuffled(paged / page)); });
  add("fast_path_sequential", [](stopwatch& meter) { fast_path<Rig>(meter, in_sequence(paged / page)); });
  add("age_page", [](stopwatch& meter) { age_page<Rig>(meter); });
  add("relax_page", [](stopwatch& meter) { relax_page<Rig>(meter); });
  add("fault_fast", [](stopwatch& meter) { fault_fast<Rig>(meter); });
  add("lookup", [](stopwatch& meter) { lookup<Rig>(meter); });
  add("lookup_decoded", [](stopwatch& meter) { lookup_decoded<Rig>(meter); });
  add("unmap_4k", [](stopwatch& meter) { unmap_4k<Rig>(meter); });
  add("discard_4k", [](stopwatch& meter) { discard_4k<Rig>(meter); });
  add("age_all", [](stopwatch& meter) { age_all<Rig>(meter); });
  return true;
}

}  // namespace quire_bench
