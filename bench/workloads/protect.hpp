// SPDX-License-Identifier: MIT
// Workloads that change the leaves of a range: write-protect, age, harvest the dirty log.
#pragma once

#include <quire/dirty/dirty_log.hpp>  // dirty_log

#include "../workload.hpp"

namespace quire_bench {

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
// Where nothing is left to change.
template <class Rig>
void write_protect_again(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  must(measured_write_protect(rig), "write-protect");
  meter.start(paged / page);
  const bool done = measured_write_protect(rig);
  meter.stop();
  must(!done, "write-protect");
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
  const auto protection = session.write_protect_to_split(at, mask);
  if (!protection || protection->is_split) return protection.has_value();
  const auto splitting = session.split(input_range::sized(at, 64 * page), 0, cache);
  return splitting && !splitting->out_of_memory;
}
// Of memory in leaves of `level`: in blocks, the first section of each protects and splits it for those that follow.
template <class Rig>
void clear_dirty_log(stopwatch& meter, int level) {
  Rig rig{sectioned};
  rig.fill(level);
  bool done = true;
  meter.start(sectioned / (64 * page));
  {
    auto session = rig.session();
    for (std::uint64_t at = 0; at < sectioned; at += 64 * page)
      done = measured_harvest(session, Rig::guest + at, all_of_64, rig.cache) && done;
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

}  // namespace quire_bench
