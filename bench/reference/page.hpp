// SPDX-License-Identifier: MIT
// References for the workloads of one page at a time: a descent, and one compare-exchange.
#pragma once

#include <quire/dirty/sink.hpp>  // dirty_bitmap

#include "layout.hpp"

namespace quire_bench::reference {

template <class Format>
struct one_page : layout<Format> {
  using base = layout<Format>;
  using rig_type = typename base::rig_type;

  template <class Lock>
  [[gnu::noinline]] static bool measured_fast_path(rig_type& rig, Lock& lock, std::uint64_t* root, dirty_bitmap& log,
                                                   input_address at) {
    lock.lock_shared();
    bool granted = false;
    if (std::uint64_t* const word = base::template find<0>(root, at.value); word != nullptr) {
      std::uint64_t entry = atomic::load(word, order::relaxed);
      if ((entry & base::grantable) == base::grantable) {
        log.mark((at - rig.guest) / page);
        granted = atomic::compare_exchange(word, entry, entry | base::grant, order::release);
      }
    }
    if (granted) rig.tables.policies().invalidation.local({});
    lock.unlock_shared();
    return granted;
  }
  template <int Level = base::top>
  [[nodiscard]] QUIRE_INLINE static std::uint64_t look_up(const std::uint64_t* table, std::uint64_t at) noexcept {
    constexpr std::uint64_t inside = (page << (9 * Level)) - 1;
    const std::uint64_t entry = atomic::load(table + base::index(at, Level), order::relaxed);
    if constexpr (Level > 0) {
      if (base::is_table(entry)) [[likely]]
        return look_up<Level - 1>(base::table_of(entry), at);
    }
    if ((entry & base::valid) == 0) return 0;
    return (((entry & base::address) << base::address_shift) & ~inside) | (at & inside);
  }
  [[gnu::noinline]] static std::uint64_t measured_look_up(std::uint64_t* root, std::uint64_t at) {
    return look_up(root, at);
  }
  [[gnu::noinline]] static std::uint64_t measured_look_ups(std::uint64_t* root,
                                                           const std::vector<input_address>& addresses) {
    std::uint64_t sum = 0;
    for (const input_address at : addresses) sum += look_up(root, at.value);
    return sum;
  }

  // ---- with what is around them

  template <class Lock, bool Shuffled>
  static void fast_path(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0, {.allowed = readable, .may_write = true});
    std::uint64_t* const root = base::root_of(rig);
    std::vector<std::uint64_t> log_words(bitmap_words(paged / page));
    dirty_bitmap log{log_words.data(), paged / page};
    Lock lock;
    const auto order = Shuffled ? shuffled(paged / page) : in_sequence(paged / page);
    std::size_t granted = 0;
    meter.start(order.size());
    for (const std::uint64_t number : order)
      granted += measured_fast_path(rig, lock, root, log, rig.guest + number * page) ? 1U : 0U;
    meter.stop();
    must(granted == order.size() && rig.tables.policies().invalidation.locals == order.size(), "fast path");
    for (const std::uint64_t word : log_words) must(word == ~std::uint64_t{0}, "a page was not marked");
    rig.expect(0, read_write);
  }
  static void lookup(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    std::uint64_t* const root = base::root_of(rig);
    const auto order = shuffled(paged / page);
    std::uint64_t wrong = 0;
    meter.start(order.size());
    for (const std::uint64_t number : order) {
      const input_address at = rig.guest + number * page;
      wrong |= measured_look_up(root, at.value) ^ rig_type::behind(at).value;
    }
    meter.stop();
    must(wrong == 0, "lookup");
  }
  static void lookup_inlined(stopwatch& meter) {
    rig_type rig{paged};
    rig.fill(0);
    std::vector<input_address> addresses;
    std::uint64_t wanted = 0;
    for (const std::uint64_t number : shuffled(paged / page)) {
      addresses.push_back(rig.guest + number * page);
      wanted += rig.behind(addresses.back()).value;
    }
    meter.start(addresses.size());
    const std::uint64_t sum = measured_look_ups(base::root_of(rig), addresses);
    meter.stop();
    must(sum == wanted, "lookup");
  }

  static void add_rows(row_adder add) {
    add("fast_path", "run", fast_path<open_lock, true>);
    add("fast_path_read_lock", "run", fast_path<rw_lock, true>);
    add("fast_path_sequential", "run", fast_path<open_lock, false>);
    add("lookup", "run", lookup);
    add("lookup_inlined", "run", lookup_inlined);
  }
};

}  // namespace quire_bench::reference
