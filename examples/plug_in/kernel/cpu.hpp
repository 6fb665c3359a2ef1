// SPDX-License-Identifier: MIT
// Processors, each with a translation cache, and the shootdown that empties all of them.
//
// A flush is put into a queue that all share, and every processor is interrupted. Its handler drops what the queue
// names and acknowledges the generation that it reached; whoever needs the flush to be over waits for that.
//
// One thread plays all processors here: run_on() says which one it is at the moment, and an interrupt of another is
// taken by whoever waits for it.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

namespace kernel {

inline constexpr unsigned cpu_count = 2;

// A page of the guest `vmid` (never 0), as a translation cache remembers it.
struct translation {
  unsigned vmid = 0;
  std::uint64_t page = 0;
  std::uint64_t output = 0;
  bool writable = false;
};

// Translations of the guest's addresses from `first` to `last` are to be forgotten.
struct flush {
  unsigned vmid = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

class cpu {
 public:
  // What the cache knows about a page; null: nothing.
  [[nodiscard]] const translation* find(unsigned vmid, std::uint64_t page) const noexcept;
  void fill(const translation& found) noexcept { cache_[found.page % cache_size] = found; }
  void drop(const flush& what) noexcept;

  // The interrupt handler of a shootdown.
  void take_interrupt() noexcept;
  // How far in the queue of flushes this processor has come.
  [[nodiscard]] std::uint64_t acknowledged() const noexcept {
    return __atomic_load_n(&acknowledged_, __ATOMIC_ACQUIRE);
  }

  [[nodiscard]] std::size_t cached(unsigned vmid) const noexcept;

 private:
  static constexpr std::size_t cache_size = 64;
  translation cache_[cache_size]{};
  std::uint64_t acknowledged_ = 0;
};

[[nodiscard]] cpu& this_cpu() noexcept;
void run_on(unsigned number) noexcept;

// Gives the generation to wait for.
[[nodiscard]] std::uint64_t post_flush(const flush& what) noexcept;
void await_flush(std::uint64_t generation) noexcept;

// Translations of a guest that are in any cache.
[[nodiscard]] std::size_t cached_anywhere(unsigned vmid) noexcept;

}  // namespace kernel
