// SPDX-License-Identifier: MIT
// What a vCPU runs: one access to each page of its part, round after round.
#pragma once

#include <cstdint>  // uint64_t
#include <random>   // minstd_rand
#include <utility>  // exchange

#include "mmu.hpp"      // mmu
#include "options.hpp"  // options
#include "rounds.hpp"   // rounds

namespace perf {

template <class Vm>
class vcpu {
 public:
  vcpu(Vm& guest, seat& place, table_pool& pool, const options& chosen, unsigned number)
      : seat_(place),
        tables_(&pool, quire::direct_memory{}, table_pool::table_bytes),
        mmu_(guest, place, tables_, number),
        options_(chosen),
        number_(number),
        random_(chosen.seed + number),
        first_(guest.first() + (chosen.overlap ? 0 : number * chosen.bytes_per_vcpu)),
        pages_(chosen.overlap ? chosen.used_pages() : chosen.pages_per_vcpu()) {}

  // The thread's body, until the rounds end.
  void run(rounds& turns) {
    seat_.sit();
    std::uint64_t seen = 0;
    while (const auto work = turns.next(seen)) {
      seat_.enter();
      do pass(work->iteration);
      while (work->endless && !turns.enough());
      seat_.leave();
      turns.finished(std::exchange(my_tally, {}));
    }
  }

 private:
  void pass(unsigned iteration) {
    const bool populate = iteration == 0;
    for (std::uint64_t i = 0; i < pages_; ++i) {
      const std::uint64_t page = options_.random_order && !populate ? random_() % pages_ : i;
      const quire::input_address address = first_ + (page << options::page_bits);
      if (populate || random_() % 100 < options_.write_percent) mmu_.store(address, value(iteration));
      else sink_ = mmu_.load(address);
    }
  }

  // With --verify no value is ever stored twice: the vCPU, the iteration, and a number that goes on counting.
  [[nodiscard]] std::uint64_t value(unsigned iteration) noexcept {
    if (!options_.verify) return 0x0123'4567'89ab'cdef;
    return std::uint64_t{number_ + 1} << 56 | std::uint64_t{iteration & 0xffffU} << 40 |
           (++stores_ & ((std::uint64_t{1} << 40) - 1));
  }

  seat& seat_;
  stock tables_;
  mmu<Vm> mmu_;
  const options& options_;
  unsigned number_;
  std::minstd_rand random_;
  quire::input_address first_;
  std::uint64_t pages_;
  std::uint64_t stores_ = 0;
  volatile std::uint64_t sink_ = 0;
};

}  // namespace perf
