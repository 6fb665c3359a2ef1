// SPDX-License-Identifier: MIT
// References for the workloads that make and take away mappings and tables.
#pragma once

#include "layout.hpp"

namespace quire_bench::reference {

template <class Format>
struct structure : layout<Format> {
  using base = layout<Format>;
  using rig_type = typename base::rig_type;

  [[gnu::noinline]] static void measured_map_blocks(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    for (std::uint64_t at = 0; at < rig.bytes; at += gib)
      fill(base::template make<1>(root, rig.guest.value + at, rig.cache), base::leaf(rig.host.value + at, 1),
           base::step(1));
  }
  [[gnu::noinline]] static void measured_map_pages(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    for (std::uint64_t at = 0; at < rig.bytes; at += gib) {
      std::uint64_t* const tables = base::template make<1>(root, rig.guest.value + at, rig.cache);
      std::uint64_t next = base::leaf(rig.host.value + at, 0);
      for (std::uint64_t i = 0; i < 512; ++i, next += base::step(1)) {
        const table_address table = *rig.cache.take(table_contents::any);
        fill(base::words_at(table.value), next, base::step(0));
        atomic::store(tables + i, base::table_entry(table), order::release);
      }
    }
  }
  template <int Level>
  [[gnu::noinline]] static bool measured_map_one(rig_type& rig, std::uint64_t* root, std::uint64_t at,
                                                 std::uint64_t output) {
    std::uint64_t absent = 0;
    return atomic::compare_exchange(base::template make<Level>(root, at, rig.cache), absent, base::leaf(output, Level),
                                    order::release);
  }
  // The tables that take the place of 512 neighbouring blocks.
  QUIRE_INLINE static void split_blocks(rig_type& rig, std::uint64_t* blocks, bool live) {
    for (std::uint64_t i = 0; i < 512; ++i) {
      const table_address table = *rig.cache.take(table_contents::any);
      std::uint64_t block = blocks[i];
      if (base::breaks && live) {
        block = atomic::exchange(blocks + i, std::uint64_t{0}, order::relaxed);
        rig.tables.policies().invalidation.add({});
      }
      fill(base::words_at(table.value), base::child(block, 1), base::step(0));
      atomic::store(blocks + i, base::table_entry(table), order::release);
    }
  }
  [[gnu::noinline]] static void measured_split_2m(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    for (std::uint64_t at = 0; at < rig.bytes; at += gib)
      split_blocks(rig, base::template find<1>(root, rig.guest.value + at), true);
    rig.tables.policies().invalidation.add({});
  }
  [[gnu::noinline]] static void measured_split_1g(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    for (std::uint64_t at = 0; at < rig.bytes; at += gib) {
      std::uint64_t* const entry = base::template find<2>(root, rig.guest.value + at);
      const table_address table = *rig.cache.take(table_contents::any);
      fill(base::words_at(table.value), *entry, base::step(1));
      split_blocks(rig, base::words_at(table.value), false);
      if (base::breaks) atomic::store(entry, std::uint64_t{0}, order::relaxed);
      rig.tables.policies().invalidation.add({});
      atomic::store(entry, base::table_entry(table), order::release);
    }
  }
  [[gnu::noinline]] static std::size_t measured_split_again(rig_type& rig, std::uint64_t* root, std::uint64_t bytes) {
    std::size_t leaves = 0;
    for (std::uint64_t at = 0; at < bytes; at += gib) {
      const std::uint64_t* const tables = base::template find<1>(root, rig.guest.value + at);
      for (std::uint64_t i = 0; i < 512; ++i)
        leaves += base::is_table(atomic::load(tables + i, order::relaxed)) ? 0U : 1U;
    }
    return leaves;
  }
  [[gnu::noinline]] static bool measured_split_again_64(std::uint64_t* root, std::uint64_t at) {
    return base::template find<0>(root, at) != nullptr;
  }
  // The report is in the words: how many have `valid`, and what any of them has.
  struct report {
    std::uint64_t entries = 0, any = 0;
  };
  [[gnu::noinline]] static report measured_unmap(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    report found;
    for (std::uint64_t at = 0; at < rig.bytes; at += gib) {
      std::uint64_t* const tables = base::template find<1>(root, rig.guest.value + at);
      for (std::uint64_t i = 0; i < 512; ++i) {
        const std::uint64_t entry = atomic::exchange(tables + i, std::uint64_t{0}, order::relaxed);
        const std::uint64_t* const words = base::table_of(entry);
        for (std::uint64_t j = 0; j < 512; ++j) {
          found.entries += words[j] & base::valid;
          found.any |= words[j];
        }
        rig.cache.give_back(table_address{reinterpret_cast<std::uintptr_t>(words)});
      }
    }
    rig.tables.policies().invalidation.add({});
    return found;
  }
  [[gnu::noinline]] static void measured_discard(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    for (std::uint64_t at = 0; at < rig.bytes; at += gib) {
      std::uint64_t* const tables = base::template find<1>(root, rig.guest.value + at);
      for (std::uint64_t i = 0; i < 512; ++i) {
        const std::uint64_t* const words = base::table_of(tables[i]);
        atomic::store(tables + i, std::uint64_t{0}, order::relaxed);
        rig.cache.give_back(table_address{reinterpret_cast<std::uintptr_t>(words)});
      }
    }
    rig.tables.policies().invalidation.add({});
  }

  // ---- with what is around them

  template <int Level>
  static void map_range(stopwatch& meter) {
    rig_type rig{Level == 0 ? paged : blocked};
    meter.start(rig.bytes / Format::shape.leaf_bytes(Level));
    Level == 0 ? measured_map_pages(rig) : measured_map_blocks(rig);
    meter.stop();
    rig.expect(Level, read_write);
  }
  template <int Level>
  static void map_fault(stopwatch& meter) {
    rig_type rig{Level == 0 ? paged / 4 : blocked};
    std::uint64_t* const root = base::root_of(rig);
    bool done = true;
    meter.start(rig.bytes / Format::shape.leaf_bytes(Level));
    for (std::uint64_t at = 0; at < rig.bytes; at += Format::shape.leaf_bytes(Level))
      done = measured_map_one<Level>(rig, root, rig.guest.value + at, rig.host.value + at) && done;
    meter.stop();
    must(done, "map");
    rig.expect(Level, read_write);
  }
  template <int Level>
  static void split(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(Level);
    meter.start(paged / page);
    Level == 1 ? measured_split_2m(rig) : measured_split_1g(rig);
    meter.stop();
    rig.expect(0, read_write);
  }
  static void split_again(stopwatch& meter) {
    rig_type rig{blocked};
    rig.fill(0);
    meter.start(blocked / block);
    const std::size_t leaves = measured_split_again(rig, base::root_of(rig), rig.bytes);
    meter.stop();
    must(leaves == 0, "split again");
  }
  static void split_again_64(stopwatch& meter) {
    rig_type rig{sectioned};
    rig.fill(0);
    std::uint64_t* const root = base::root_of(rig);
    bool done = true;
    meter.start(sectioned / (64 * page));
    for (std::uint64_t at = 0; at < sectioned; at += 64 * page)
      done = measured_split_again_64(root, rig.guest.value + at) && done;
    meter.stop();
    must(done, "split again");
  }
  static void unmap_4k(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    meter.start(paged / page);
    const report found = measured_unmap(rig);
    meter.stop();
    must(found.entries == paged / page && (found.any & base::accessed) != 0, "unmap");
    rig.expect_nothing();
  }
  static void discard_4k(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    meter.start(paged / page);
    measured_discard(rig);
    meter.stop();
    rig.expect_nothing();
  }

  static void add_rows(row_adder add) {
    add("map_2m_range", "run", map_range<1>);
    add("map_2m_fault", "run", map_fault<1>);
    add("map_4k_range", "run", map_range<0>);
    add("map_4k_fault", "run", map_fault<0>);
    add("split_2m", "run", split<1>);
    add("split_1g", "run", split<2>);
    add("split_again", "run", split_again);
    add("split_again_64", "run", split_again_64);
    add("unmap_4k", "run", unmap_4k);
    add("discard_4k", "run", discard_4k);
  }
};

}  // namespace quire_bench::reference
