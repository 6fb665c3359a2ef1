// SPDX-License-Identifier: MIT
// A bitmap of pages in memory of the host, as a dirty log keeps it and gives it.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/dirty/sink.hpp>  // bitmap_words

#include "host_memory.hpp"

namespace bare {

class page_set {
 public:
  explicit page_set(std::uint64_t pages) noexcept : pages_(pages), memory_(enough_for(pages)) {}

  [[nodiscard]] std::uint64_t* words() noexcept { return reinterpret_cast<std::uint64_t*>(memory_.at()); }
  [[nodiscard]] const std::uint64_t* words() const noexcept {
    return reinterpret_cast<const std::uint64_t*>(memory_.at());
  }
  [[nodiscard]] std::size_t size() const noexcept { return quire::bitmap_words(pages_); }
  [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; }

  void insert(std::uint64_t page) noexcept { words()[page / 64] |= std::uint64_t{1} << page % 64; }
  [[nodiscard]] bool contains(std::uint64_t page) const noexcept { return (words()[page / 64] >> page % 64 & 1U) != 0; }
  void clear() noexcept {
    for (std::size_t i = 0; i < size(); ++i) words()[i] = 0;
  }
  [[nodiscard]] bool operator==(const page_set& other) const noexcept {
    for (std::size_t i = 0; i < size(); ++i)
      if (words()[i] != other.words()[i]) return false;
    return true;
  }

 private:
  static std::uint64_t enough_for(std::uint64_t pages) noexcept {
    std::uint64_t bytes = 4096;
    while (bytes < quire::bitmap_words(pages) * 8) bytes *= 2;
    return bytes;
  }

  std::uint64_t pages_;
  host_memory memory_;
};

// Pseudo-random numbers, the same in every run. (Marsaglia's xorshift64.)
class random_numbers {
 public:
  explicit constexpr random_numbers(std::uint64_t seed) noexcept : state_(seed) {}
  constexpr std::uint64_t below(std::uint64_t end) noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % end;
  }

 private:
  std::uint64_t state_;
};

}  // namespace bare
