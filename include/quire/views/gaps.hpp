// SPDX-License-Identifier: MIT
// The gaps of a table as a range of `input_range`, in ascending order: what nothing is mapped in, each as long as can
// be, cut where the view's range ends.
//
//   session | views::gaps(range)
//
// A gap is what the hardware would fault on: holes, markers and entries that are locked for a change alike, and next to
// each other they are one gap (session.annotation(address) tells a marker). The two halves of a space have gaps of
// their own.
//
// What may be read through, for how long, and what is seen while the table changes: source.hpp. In a section of
// locking::concurrent nothing was mapped in any part of a gap when the iterator passed over that part.
#pragma once

#include <type_traits>  // bool_constant

#include <range/v3/view/facade.hpp>  // view_facade

#include <quire/views/mappings.hpp>  // mapping_cursor
#include <quire/views/source.hpp>    // source, adaptor

namespace quire::views {

namespace detail {

template <source Source>
class gap_cursor {
  using leaf_cursor = mapping_cursor<Source, which_leaves::all>;

 public:
  using single_pass = std::bool_constant<is_single_pass<Source>>;

  // One at the end.
  constexpr gap_cursor() noexcept = default;
  constexpr gap_cursor(memory_of<Source>& memory, table_address root, const input_space& space) noexcept
      : memory_(&memory), root_(root), rest_(space.upper), over_(false) {
    begin(space.lower);
    next();
  }

  [[nodiscard]] constexpr input_range read() const noexcept { return gap_; }
  constexpr void next() noexcept {
    while (!find()) {
      if (rest_.defect() != errc::none) {
        over_ = true;
        return;
      }
      begin(rest_);
      rest_ = {};
    }
  }
  [[nodiscard]] constexpr bool equal(ranges::default_sentinel_t) const noexcept { return over_; }
  [[nodiscard]] constexpr bool equal(const gap_cursor& other) const noexcept {
    return over_ == other.over_ && (over_ || gap_.first() == other.gap_.first());
  }

 private:
  constexpr void begin(input_range half) noexcept {
    next_ = half.first();
    last_ = half.last();
    passed_all_ = false;
    leaves_ = leaf_cursor{*memory_, root_, {half}};
  }
  // The next gap of this half, if there is one.
  [[nodiscard]] constexpr bool find() noexcept {
    for (; !leaves_.equal(ranges::default_sentinel_t{}); leaves_.next()) {
      const mapping leaf = leaves_.read();
      const input_address from = next_, end = leaf.input + leaf.bytes;
      passed_all_ = end - 1 >= last_;
      next_ = end;
      if (leaf.input <= from) continue;
      gap_ = input_range::closed(from, leaf.input - 1);
      leaves_.next();
      return true;
    }
    if (passed_all_) return false;
    gap_ = input_range::closed(next_, last_);
    passed_all_ = true;
    return true;
  }

  memory_of<Source>* memory_ = nullptr;
  table_address root_{};
  input_range rest_{};  // the upper half, until it is begun
  leaf_cursor leaves_{};
  input_address next_{};  // what lies before it was passed
  input_address last_{};
  bool passed_all_ = true;
  bool over_ = true;
  input_range gap_{};
};

}  // namespace detail

template <source Source>
class gap_view : public ranges::view_facade<gap_view<Source>, ranges::finite> {
 public:
  constexpr gap_view() noexcept = default;
  constexpr explicit gap_view(detail::part_of<Source> part) noexcept : part_(part) {}

  // Why the view is empty though nothing is mapped; none if it is not so.
  [[nodiscard]] constexpr quire::error error() const noexcept { return part_.root().error(); }

 private:
  friend ranges::range_access;
  [[nodiscard]] constexpr auto begin_cursor() const noexcept {
    return part_.template begin<detail::gap_cursor<Source>>();
  }

  detail::part_of<Source> part_{};
};

inline constexpr adaptor<gap_view> gaps{};

}  // namespace quire::views

template <class Source>
inline constexpr bool ranges::enable_borrowed_range<quire::views::gap_view<Source>> = true;
