// SPDX-License-Identifier: MIT
// Memory of the host for a guest, and what lies in it: each page has a word that no other page has, so that a load says
// which page it reached.
#pragma once

#include <cstdint>  // uint64_t

#include "contract.hpp"
#include "policies.hpp"  // all_frames

namespace bare {

[[nodiscard]] inline volatile std::uint64_t& word_at(std::uint64_t host) noexcept {
  return *reinterpret_cast<volatile std::uint64_t*>(host);
}

// Zeroed, aligned to its size, which is a power of two; given back at the end.
class host_memory {
 public:
  explicit host_memory(std::uint64_t bytes) noexcept : bytes_(bytes) {
    const auto got = all_frames.allocate(bytes);
    if (!got) contract_broken("the machine has memory enough for every scenario");
    at_ = *got;
  }
  host_memory(const host_memory&) = delete;
  host_memory& operator=(const host_memory&) = delete;
  ~host_memory() { all_frames.free(at_, bytes_); }

  [[nodiscard]] std::uint64_t at() const noexcept { return at_.value; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  std::uint64_t bytes_;
  quire::table_address at_;
};

// What is where in a page: code at its start, a word to write to in the middle, the stamp at its end.
template <quire::pte_format F>
struct page_layout {
  static constexpr std::uint64_t bytes = F::shape.page_bytes(), scratch = bytes / 2, stamp = bytes - 8;
};

// A hash: the sum of several stamps, too, says which pages they were of. (The finalizer of SplitMix64.)
[[nodiscard]] constexpr std::uint64_t stamp_of(std::uint64_t host_page) noexcept {
  std::uint64_t z = host_page + 0x9e37'79b9'7f4a'7c15;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}
// The number that the function of a page returns.
[[nodiscard]] constexpr unsigned number_of(std::uint64_t host_page) noexcept {
  return static_cast<unsigned>(stamp_of(host_page) % 1000);
}

template <quire::pte_format F>
void stamp_pages(const host_memory& memory) noexcept {
  using in_page = page_layout<F>;
  for (std::uint64_t page = memory.at(); page < memory.at() + memory.bytes(); page += in_page::bytes) {
    word_at(page + in_page::stamp) = stamp_of(page);
    write_function(reinterpret_cast<void*>(page), number_of(page));
  }
}
template <quire::pte_format F>
[[nodiscard]] std::uint64_t sum_of_stamps(const host_memory& memory) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t page = memory.at(); page < memory.at() + memory.bytes(); page += page_layout<F>::bytes)
    sum += stamp_of(page);
  return sum;
}

}  // namespace bare
