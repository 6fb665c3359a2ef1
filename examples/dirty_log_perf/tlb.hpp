// SPDX-License-Identifier: MIT
// A vCPU's translation cache: direct-mapped, one entry a page. Used by its own thread only.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

namespace perf {

class tlb {
 public:
  // A page that may be read, and perhaps written. A page out of a block is an entry like any other.
  struct entry {
    std::uint64_t page = nothing;  // input address >> page bits
    std::uint64_t host = 0;        // where the page begins, in this process
    bool writable = false;
  };

  [[nodiscard]] const entry* find(std::uint64_t page, bool write) const noexcept {
    const entry& at = entries_[page % size];
    return at.page == page && (at.writable || !write) ? &at : nullptr;
  }
  const entry* fill(const entry& found) noexcept {
    entries_[found.page % size] = found;
    return &entries_[found.page % size];
  }
  // Forgets the pages `first` to `last`.
  void drop(std::uint64_t first, std::uint64_t last) noexcept {
    if (last - first >= size) {
      for (entry& each : entries_)
        if (first <= each.page && each.page <= last) each = {};
      return;
    }
    for (std::uint64_t page = first; page <= last; ++page)
      if (entries_[page % size].page == page) entries_[page % size] = {};
  }

 private:
  static constexpr std::uint64_t nothing = ~std::uint64_t{0};
  static constexpr std::size_t size = 1024;
  std::array<entry, size> entries_{};
};

}  // namespace perf
