// SPDX-License-Identifier: MIT
// Workloads that make and take away mappings and tables.
#pragma once

#include "../workload.hpp"

namespace quire_bench {

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
// Into tables that are there: one page of each has been mapped before.
template <class Rig>
void map_range_again(stopwatch& meter) {
  Rig rig{paged};
  for (std::uint64_t at = block - page; at < paged; at += block)
    must(measured_map(rig, input_range::sized(Rig::guest + at, page), 0), "map");
  meter.start(paged / page);
  const bool done = measured_map(rig, rig.range(), 0);
  meter.stop();
  must(done, "map");
  rig.expect(0, read_write);
}
// As whoever answers a fault asks: the largest leaf that the range allows.
template <class Rig>
[[gnu::noinline]] bool measured_map_fault(Rig& rig, input_range range) {
  auto session = rig.session();
  return session.map(range, Rig::behind(range.first()), Rig::ordinary, rig.cache).has_value();
}
template <class Rig>
void map_fault(stopwatch& meter, std::uint64_t bytes, int level) {
  Rig rig{bytes};
  const std::uint64_t leaf = Rig::format::shape.leaf_bytes(level);
  bool done = true;
  meter.start(bytes / leaf);
  for (std::uint64_t at = 0; at < bytes; at += leaf)
    done = measured_map_fault(rig, input_range::sized(Rig::guest + at, leaf)) && done;
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
  must(done && done->entries == paged / page && done->accessed && done->dirty == Rig::ordinary.dirty, "unmap");
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

}  // namespace quire_bench
