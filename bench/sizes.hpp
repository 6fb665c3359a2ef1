// SPDX-License-Identifier: MIT
// What operations cost as memory grows: 64 MiB to 1 TiB in blocks of 2 MiB, to 16 GiB in pages. A row is
// OPERATION/FORMAT/LEAVES/SIZE; where there are blocks, split makes pages of them.
#pragma once

#include "workloads/page.hpp"
#include "workloads/protect.hpp"
#include "workloads/structure.hpp"

namespace quire_bench {

inline constexpr std::uint64_t tib = 1024 * gib;

template <class Rig>
struct sized {
  // Room for the tables of the leaves there will be, and not more.
  explicit sized(std::uint64_t bytes, int level) : rig((bytes >> (9 * level)) + 8 * block) { rig.bytes = bytes; }
  Rig rig;

  static void map(stopwatch& meter, std::uint64_t bytes, int level) {
    sized all{bytes, level};
    meter.start(bytes / Rig::format::shape.leaf_bytes(level));
    const bool done = measured_map(all.rig, all.rig.range(), level);
    meter.stop();
    must(done, "map");
    all.rig.expect(level, read_write);
  }
  static void write_protect(stopwatch& meter, std::uint64_t bytes, int level) {
    sized all{bytes, level};
    all.rig.fill(level);
    meter.start(bytes / Rig::format::shape.leaf_bytes(level));
    const bool done = measured_write_protect(all.rig);
    meter.stop();
    must(done, "write-protect");
    all.rig.expect(level, readable);
  }
  static void split(stopwatch& meter, std::uint64_t bytes, int level) {
    sized all{bytes, level - 1};
    all.rig.fill(level);
    meter.start(bytes / page);
    const split_result done = measured_split(all.rig, all.rig.range());
    meter.stop();
    must(!done.out_of_memory && done.leaves == bytes / block, "split");
    all.rig.expect(level - 1, read_write);
  }
  static void look_up(stopwatch& meter, std::uint64_t bytes, int level) {
    sized all{bytes, level};
    all.rig.fill(level);
    auto session = all.rig.session();
    const auto order = shuffled(bytes / page < 1U << 20U ? bytes / page : 1U << 20U);
    std::uint64_t wrong = 0;
    meter.start(order.size());
    for (const std::uint64_t number : order) {
      const input_address at = Rig::guest + number * (bytes / order.size());
      wrong |= measured_translate(session, at).value_or(output_address{}).value ^ Rig::behind(at).value;
    }
    meter.stop();
    must(wrong == 0, "lookup");
  }
  static void unmap(stopwatch& meter, std::uint64_t bytes, int level) {
    sized all{bytes, level};
    all.rig.fill(level);
    const std::uint64_t leaves = bytes / Rig::format::shape.leaf_bytes(level);
    meter.start(leaves);
    const auto done = measured_unmap(all.rig);
    meter.stop();
    must(done && done->entries == leaves, "unmap");
    all.rig.expect_nothing();
  }

  template <std::uint64_t Bytes>
  static void add_size(const char* format, const char* size) {
    const auto add = [&](const char* operation, const char* leaves, void (*run)(stopwatch&)) {
      all_rows().push_back({operation, format, leaves, size, run});
    };
    add("map", "blocks", [](stopwatch& meter) { map(meter, Bytes, 1); });
    add("write_protect", "blocks", [](stopwatch& meter) { write_protect(meter, Bytes, 1); });
    add("lookup", "blocks", [](stopwatch& meter) { look_up(meter, Bytes, 1); });
    add("unmap", "blocks", [](stopwatch& meter) { unmap(meter, Bytes, 1); });
    if constexpr (Bytes <= 16 * gib) {
      add("split", "blocks", [](stopwatch& meter) { split(meter, Bytes, 1); });
      add("map", "pages", [](stopwatch& meter) { map(meter, Bytes, 0); });
      add("write_protect", "pages", [](stopwatch& meter) { write_protect(meter, Bytes, 0); });
      add("lookup", "pages", [](stopwatch& meter) { look_up(meter, Bytes, 0); });
      add("unmap", "pages", [](stopwatch& meter) { unmap(meter, Bytes, 0); });
    }
  }
  static bool add_rows(const char* format) {
    add_size<64 * mib>(format, "64MiB");
    add_size<256 * mib>(format, "256MiB");
    add_size<gib>(format, "1GiB");
    add_size<4 * gib>(format, "4GiB");
    add_size<16 * gib>(format, "16GiB");
    add_size<64 * gib>(format, "64GiB");
    add_size<256 * gib>(format, "256GiB");
    add_size<tib>(format, "1TiB");
    return true;
  }
};

}  // namespace quire_bench
