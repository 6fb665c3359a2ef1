// SPDX-License-Identifier: MIT
// References for the workloads that change the leaves of a range. With runs: whoever holds the lock alone may work on
// words that the hardware has nothing to add to. Word by word: the same as relaxed loads and stores.
#pragma once

#include "layout.hpp"

namespace quire_bench::reference {

template <class Format, bool Runs>
struct protect : layout<Format> {
  using base = layout<Format>;
  using rig_type = typename base::rig_type;

  // Clears a bit in `n` words; whether any had it.
  template <std::size_t N>
  QUIRE_INLINE static bool clear(std::uint64_t* words, std::uint64_t bit) noexcept {
    std::uint64_t any = 0;
    if constexpr (Runs) {
      auto* const at = reinterpret_cast<four_words*>(words);
      four_words some{};
      for (std::size_t i = 0; i < N / 4; i += 4) {
        some |= at[i] | at[i + 1] | at[i + 2] | at[i + 3];
        at[i] &= ~bit;
        at[i + 1] &= ~bit;
        at[i + 2] &= ~bit;
        at[i + 3] &= ~bit;
      }
      any = some[0] | some[1] | some[2] | some[3];
    } else {
      for (std::size_t i = 0; i < N; ++i) {
        const std::uint64_t word = atomic::load(words + i, order::relaxed);
        if ((word & bit) == 0) continue;
        any |= word;
        atomic::store(words + i, word & ~bit, order::relaxed);
      }
    }
    return (any & bit) != 0;
  }
  template <std::uint64_t Bit>
  [[gnu::noinline]] static bool measured_clear_all(rig_type& rig) {
    std::uint64_t* const root = base::root_of(rig);
    bool changed = false;
    for (std::uint64_t at = 0; at < rig.bytes; at += gib) {
      const std::uint64_t* const tables = base::template find<1>(root, rig.guest.value + at);
      for (std::uint64_t i = 0; i < 512; ++i)
        if (base::is_table(tables[i])) changed |= clear<512>(base::table_of(tables[i]), Bit);
    }
    if (changed) rig.tables.policies().invalidation.add({});
    return changed;
  }
  [[gnu::noinline]] static bool measured_protect_mask(rig_type& rig, std::uint64_t* root, std::uint64_t at,
                                                      std::uint64_t mask) {
    std::uint64_t* const words = base::template find<0>(root, at);
    if (words == nullptr) return false;
    std::uint64_t any = 0;
    for (; mask != 0; mask &= mask - 1) {
      std::uint64_t* const word = words + std::countr_zero(mask);
      const std::uint64_t entry = atomic::load(word, order::relaxed);
      if ((entry & base::writable) == 0) continue;
      any |= entry;
      atomic::store(word, entry & ~base::writable, order::relaxed);
    }
    if (any != 0) rig.tables.policies().invalidation.add({});
    return any != 0;
  }
  // 64 neighbours; that they are pages is what there is to split.
  [[gnu::noinline]] static bool measured_harvest(rig_type& rig, std::uint64_t* root, std::uint64_t at) {
    std::uint64_t* const words = base::template find<0>(root, at);
    if (words == nullptr) return false;
    const bool changed = clear<64>(words, base::writable);
    if (changed) rig.tables.policies().invalidation.add({});
    return changed;
  }

  // ---- with what is around them

  static void write_protect_all(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    meter.start(paged / page);
    const bool done = measured_clear_all<base::writable>(rig);
    meter.stop();
    must(done, "write-protect");
    rig.expect(0, readable);
  }
  static void age_all(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    meter.start(paged / page);
    const bool done = measured_clear_all<base::accessed>(rig);
    meter.stop();
    must(done, "age");
    rig.expect(0, read_write, false);
  }
  // All of 64 is a harvest.
  static void sections(stopwatch& meter, std::uint64_t mask) {
    rig_type rig{sectioned};
    rig.fill(0);
    std::uint64_t* const root = base::root_of(rig);
    bool done = true;
    meter.start(sectioned / (64 * page));
    for (std::uint64_t at = rig.guest.value; at < rig.guest.value + sectioned; at += 64 * page)
      done = (~mask == 0 ? measured_harvest(rig, root, at) : measured_protect_mask(rig, root, at, mask)) && done;
    meter.stop();
    must(done, "write-protect");
    rig.expect(0, [&](std::uint64_t number) { return (mask >> number % 64 & 1) != 0 ? readable : read_write; });
  }

  static void add_rows(row_adder add) {
    const char* const path = Runs ? "run" : "word";
    add("clear_dirty_log", path, [](stopwatch& meter) { sections(meter, all_of_64); });
    add("write_protect_all", path, write_protect_all);
    add("write_protect_mask_half", path, [](stopwatch& meter) { sections(meter, half_of_64); });
    add("write_protect_mask_one", path, [](stopwatch& meter) { sections(meter, one_of_64); });
    add("age_all", path, age_all);
  }
};

}  // namespace quire_bench::reference
