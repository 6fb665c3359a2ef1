// SPDX-License-Identifier: MIT
#include "pages.hpp"

#include "rw_lock.hpp"  // rw_lock

namespace kernel {

alignas(page_bytes) constinit std::uint64_t low_ram[low_pages * words_per_page]{};
alignas(page_bytes) constinit std::uint64_t high_ram[high_pages * words_per_page]{};

namespace {

constexpr std::uint64_t poison = 0xdead'dead'dead'dead;  // a freed table that is still walked shall be noticed

struct bank {
  physical first;
  std::size_t pages;
  bool* used;
};
constinit bool low_used[low_pages]{};
constinit bool high_used[high_pages]{};
constexpr bank banks[] = {{low_bank, low_pages, low_used}, {high_bank, high_pages, high_used}};

constinit rw_lock owners_lock;  // guards low_used, high_used

void fill(physical first, std::size_t pages, std::uint64_t value) noexcept {
  std::uint64_t* const words = to_virtual(first);
  for (std::size_t i = 0; i < pages * words_per_page; ++i) words[i] = value;
}

bool is_free(const bank& in, std::size_t first, std::size_t pages) noexcept {
  for (std::size_t i = first; i < first + pages; ++i)
    if (in.used[i]) return false;
  return true;
}

// The banks begin at multiples of any size that is asked for, so a piece is aligned if its index is.
physical claim(std::size_t pages) noexcept {
  const write_guard guard(owners_lock);
  for (const bank& each : banks) {
    for (std::size_t first = 0; first + pages <= each.pages; first += pages) {
      if (!is_free(each, first, pages)) continue;
      for (std::size_t i = first; i < first + pages; ++i) each.used[i] = true;
      return each.first + first * page_bytes;
    }
  }
  return 0;
}

}  // namespace

physical allocate_pages(std::uint64_t bytes) noexcept {
  const auto pages = static_cast<std::size_t>(bytes / page_bytes);
  const physical first = claim(pages);
  if (first != 0) fill(first, pages, 0);
  return first;
}

void free_pages(physical first, std::uint64_t bytes) noexcept {
  const auto pages = static_cast<std::size_t>(bytes / page_bytes);
  fill(first, pages, poison);
  const write_guard guard(owners_lock);
  const bank& in = first >= high_bank ? banks[1] : banks[0];
  const auto index = static_cast<std::size_t>((first - in.first) / page_bytes);
  for (std::size_t i = index; i < index + pages; ++i) {
    if (!in.used[i]) panic("a page is freed twice");
    in.used[i] = false;
  }
}

std::size_t free_page_count() noexcept {
  const write_guard guard(owners_lock);
  std::size_t count = 0;
  for (const bank& each : banks)
    for (std::size_t i = 0; i < each.pages; ++i) count += each.used[i] ? 0U : 1U;
  return count;
}

}  // namespace kernel
