// SPDX-License-Identifier: MIT
// Dirty sinks: where "this page was written" goes.
//
//   mark(page)   page is an index in the slot. Called by several vCPUs at once, under the read or the write side, or in
//                a read section.
// A harvestable sink also keeps the marks, 64 pages a word, until a harvest takes them:
//   peek(word), take(word, bits) -> the bits that were set (and are now clear), set_all(), clear_all(), pages().
// Where the locking policy has a lock the harvest holds its write side, and nobody marks beside it.
#pragma once

#include <concepts>  // same_as
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t

#include <quire/atomic.hpp>    // fetch_or, fetch_and
#include <quire/contract.hpp>  // QUIRE_AUDIT

namespace quire {

template <class S>
concept dirty_sink = requires(S& sink, std::uint64_t page) {
  { sink.mark(page) } -> std::same_as<void>;
};

template <class S>
concept harvestable_sink = dirty_sink<S> && requires(S& sink, std::size_t word, std::uint64_t bits) {
  { sink.peek(word) } -> std::same_as<std::uint64_t>;
  { sink.take(word, bits) } -> std::same_as<std::uint64_t>;
  { sink.set_all() } -> std::same_as<void>;
  { sink.clear_all() } -> std::same_as<void>;
  { sink.pages() } -> std::same_as<std::uint64_t>;
};

// Words that a bitmap of `pages` pages takes.
[[nodiscard]] constexpr std::size_t bitmap_words(std::uint64_t pages) noexcept {
  return static_cast<std::size_t>(pages / 64 + (pages % 64 != 0 ? 1 : 0));
}

// A bit a page in words that the user owns, bitmap_words(pages) of them. Bits past the last page are always clear.
class dirty_bitmap {
 public:
  constexpr dirty_bitmap(std::uint64_t* words, std::uint64_t pages) noexcept : words_(words), pages_(pages) {}

  // Relaxed: the exchange that makes the page writable releases it, or the fence after that exchange comes before it
  // (table/shared.hpp). The bit is not looked at first:
  // whoever marks found the page not writable, so the bit is nearly always clear, and a look would fetch the line
  // twice.
  QUIRE_INLINE void mark(std::uint64_t page) noexcept {
    QUIRE_AUDIT(page < pages_);
    atomic::fetch_or(words_ + page / 64, std::uint64_t{1} << (page % 64), order::relaxed);
  }
  [[nodiscard]] std::uint64_t peek(std::size_t word) const noexcept {
    return atomic::load(words_ + word, order::relaxed);
  }
  // Acquire: whoever takes a mark that was made without a lock sees the grant before it, and protects that.
  [[nodiscard]] std::uint64_t take(std::size_t word, std::uint64_t bits) noexcept {
    if ((peek(word) & bits) == 0) return 0;
    return atomic::fetch_and(words_ + word, ~bits, order::acquire) & bits;
  }
  void set_all() noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages_); ++w) atomic::store(words_ + w, valid_bits(w), order::relaxed);
  }
  void clear_all() noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages_); ++w) atomic::store(words_ + w, std::uint64_t{0}, order::relaxed);
  }
  [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; }

 private:
  [[nodiscard]] std::uint64_t valid_bits(std::size_t word) const noexcept {
    const std::uint64_t left = pages_ - std::uint64_t{word} * 64;
    return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
  }

  std::uint64_t* words_;
  std::uint64_t pages_;
};

// Hands every mark to a function; whoever keeps the marks brings them back as the bits of dirty_log::clear().
template <class Function>
class dirty_callback {
 public:
  constexpr explicit dirty_callback(Function function) noexcept : function_(function) {}
  constexpr void mark(std::uint64_t page) noexcept { function_(page); }

 private:
  Function function_;
};

struct no_sink {
  constexpr void mark(std::uint64_t) noexcept {}
};

static_assert(harvestable_sink<dirty_bitmap> && dirty_sink<no_sink> && !harvestable_sink<no_sink> && !dirty_sink<int>);

}  // namespace quire
