// SPDX-License-Identifier: MIT
// Demand mapping: pages come when the guest faults for them, at the start, in the middle and at the end of its space.
#pragma once

#include "flipped.hpp"  // flip_on_demand
#include "reach.hpp"
#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class demand {
 public:
  static constexpr const char* name = "demand mapping";

  void operator()() noexcept {
    const int bits = reachable_bits<F>();
    const std::uint64_t end = std::uint64_t{1} << (bits - 1) << 1;
    guest_.use();
    window(input_address{0});
    window(input_address{end / 2 - window_bytes / 2});
    window(input_address{end - window_bytes});
  }

 private:
  using in_page = page_layout<F>;
  static constexpr std::uint64_t pages = 16, window_bytes = pages * in_page::bytes;

  void window(input_address first) noexcept {
    const host_memory memory{window_bytes};
    stamp_pages<F>(memory);
    for (std::uint64_t i = 0; i < pages; ++i) {
      const std::uint64_t page = i * 7 % pages;  // all of them, no two neighbours in turn
      // The other way round: no two neighbours of the guest are neighbours of the host.
      one_page(first + page * in_page::bytes, memory.at() + (pages - 1 - page) * in_page::bytes, i);
    }
    for (std::uint64_t page = 0; page < pages; ++page)
      guest_.expect_page(first + page * in_page::bytes, memory.at() + (pages - 1 - page) * in_page::bytes,
                         "what was mapped on demand stays as it is");
  }

  void one_page(input_address page, std::uint64_t host, std::uint64_t i) noexcept {
    volatile std::uint64_t& scratch = word_at(host + in_page::scratch);
    const struct {
      command wanted;
      permissions access;
      std::uint64_t answer;
    } ways[] = {
        {{verb::load, page.value + in_page::stamp}, quire::readable, stamp_of(host)},
        {{verb::store, page.value + in_page::scratch, stamp_of(i)}, quire::writable, 0},
        {{verb::call, page.value}, quire::executable, number_of(host)},
    };
    const auto& way = ways[i % 3];
    guest_.expect_fault(guest_.run(way.wanted), page, way.access, "an absent page faults");
    check(scratch == 0, "what faulted has done nothing", page.value);
    guest_.map(page, host, in_page::bytes, leaf_for<F>(quire::all_access));
    flip_on_demand(guest_, page);
    guest_.expect_done(guest_.resume(), way.answer, "it goes on once the page is there");
    guest_.run({verb::store, page.value + in_page::scratch, stamp_of(page.value)});
    check(scratch == stamp_of(page.value), "the host finds there what the guest stored", page.value);
  }

  guest<F> guest_;
};

}  // namespace bare
