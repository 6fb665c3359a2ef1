// SPDX-License-Identifier: MIT
// The marked pages of a dirty sink (dirty/sink.hpp), in ascending order, without taking any mark:
//
//   views::dirty_pages(bitmap)                   page numbers in the slot
//   views::dirty_pages<format>(bitmap, slot)     input addresses
//
// Every word of the sink is read once, when the iterator comes to it. Others may mark pages and take marks meanwhile:
// what is shown was marked when its word was read, and a second pass may show something else, so these are input
// ranges, whatever the locking. No mark is lost by looking; to take them is dirty_log::clear()'s.
//
// Caller must: keep the sink for as long as the view or an iterator is used (borrowed: the view itself may go).
#pragma once

#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <type_traits>  // true_type

#include <range/v3/view/facade.hpp>  // view_facade

#include <quire/dirty/memory_slot.hpp>  // memory_slot
#include <quire/dirty/sink.hpp>         // harvestable_sink, bitmap_words

namespace quire::views {

namespace detail {

struct page_number {
  [[nodiscard]] constexpr std::uint64_t operator()(std::uint64_t page) const noexcept { return page; }
};
template <pte_format Format>
struct page_address {
  input_address first{};
  [[nodiscard]] constexpr input_address operator()(std::uint64_t page) const noexcept {
    return first + (page << Format::shape.page_bits);
  }
};

template <harvestable_sink Sink, class Shown>
class marked_page_cursor {
 public:
  using single_pass = std::true_type;

  constexpr marked_page_cursor() noexcept = default;
  constexpr marked_page_cursor(Sink& sink, Shown shown) noexcept
      : sink_(&sink), words_(bitmap_words(sink.pages())), shown_(shown) {
    find_from(0);
  }

  [[nodiscard]] constexpr auto read() const noexcept {
    return shown_(std::uint64_t{word_} * 64 + static_cast<unsigned>(__builtin_ctzll(bits_)));
  }
  constexpr void next() noexcept {
    bits_ &= bits_ - 1;
    if (bits_ == 0) find_from(word_ + 1);
  }
  [[nodiscard]] constexpr bool equal(ranges::default_sentinel_t) const noexcept { return bits_ == 0; }

 private:
  constexpr void find_from(std::size_t word) noexcept {
    for (word_ = word; word_ < words_; ++word_)
      if (bits_ = sink_->peek(word_); bits_ != 0) return;
  }

  Sink* sink_ = nullptr;
  std::size_t words_ = 0;
  std::size_t word_ = 0;
  std::uint64_t bits_ = 0;  // of this word, still to be shown; none: at the end
  Shown shown_{};
};

}  // namespace detail

template <harvestable_sink Sink, class Shown>
class dirty_page_view : public ranges::view_facade<dirty_page_view<Sink, Shown>, ranges::finite> {
 public:
  constexpr dirty_page_view() noexcept = default;
  constexpr dirty_page_view(Sink& sink, Shown shown) noexcept : sink_(&sink), shown_(shown) {}

 private:
  friend ranges::range_access;
  [[nodiscard]] constexpr auto begin_cursor() const noexcept {
    using cursor_type = detail::marked_page_cursor<Sink, Shown>;
    return sink_ == nullptr ? cursor_type{} : cursor_type{*sink_, shown_};
  }

  Sink* sink_ = nullptr;
  Shown shown_{};
};

template <harvestable_sink Sink>
[[nodiscard]] constexpr auto dirty_pages(Sink& sink) noexcept {
  return dirty_page_view<Sink, detail::page_number>{sink, {}};
}
template <pte_format Format, harvestable_sink Sink>
[[nodiscard]] constexpr auto dirty_pages(Sink& sink, const memory_slot& slot) noexcept {
  return dirty_page_view<Sink, detail::page_address<Format>>{sink, {slot.first}};
}

}  // namespace quire::views

template <class Sink, class Shown>
inline constexpr bool ranges::enable_borrowed_range<quire::views::dirty_page_view<Sink, Shown>> = true;
