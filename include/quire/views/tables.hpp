// SPDX-License-Identifier: MIT
// The tables of a table: every node of the tree that translates a part of the range, the root first, each before those
// below it, in ascending order.
//
//   session | views::tables | ranges::views::filter([](const views::found_table& t) { return t.level == 0; })
//
// Tables of level 0 are shown and not read.
//
// What may be read through, for how long, and what is seen while the table changes: source.hpp.
#pragma once

#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <type_traits>  // bool_constant

#include <range/v3/view/facade.hpp>  // view_facade

#include <quire/views/source.hpp>  // source, adaptor
#include <quire/walk/cursor.hpp>   // cursor

namespace quire::views {

// One node: where it lies, its level, and all that its entries translate (of a root with two halves, the one that is
// walked first).
struct found_table {
  table_address table;
  int level;
  input_range input;

  friend constexpr bool operator==(const found_table&, const found_table&) noexcept = default;
};

namespace detail {

// The visitor: puts the walk down before the first entry of every table.
template <pte_format Format, class Memory, order Order>
struct table_finder {
  using word = typename Format::word;

  Memory* memory = nullptr;
  found_table found{};
  bool entering = true;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if (entering) {
      entering = false;
      found = {run.table, Run::level, all_of(run)};
      return run_stop<word>::retry(run.first);
    }
    if constexpr (Run::level > 0) {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        const word entry = memory->template load<word>(run.table, i, Order);
        if (Format::kind_of(entry, Run::level) != entry_kind::table) continue;
        entering = true;
        return run_stop<word>::at_table(i, entry);
      }
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  [[nodiscard]] static constexpr input_range all_of(const Run& run) noexcept {
    std::uint64_t first = run.base, bytes_less_one = Format::shape.table_last_offset(Run::level);
    if constexpr (Run::level == Format::shape.root_level && Format::facts.sign_extended) {
      bytes_less_one >>= 1U;
      if (run.address(run.first).value - first > bytes_less_one) first += bytes_less_one + 1;
    }
    return input_range::closed(input_address{first}, input_address{first + bytes_less_one});
  }
};

template <source Source>
class table_cursor {
  using format = format_of<Source>;

 public:
  using single_pass = std::bool_constant<is_single_pass<Source>>;

  // One at the end.
  constexpr table_cursor() noexcept = default;
  constexpr table_cursor(memory_of<Source>& memory, table_address root, const input_space& space) noexcept
      : root_(root), rest_(space.upper), place_(root, space.lower), finder_{&memory}, over_(false) {
    next();
  }

  [[nodiscard]] constexpr found_table read() const noexcept { return finder_.found; }
  constexpr void next() noexcept {
    if (place_.resume(finder_) != errc::none) return;
    over_ = !continues_above();
  }
  [[nodiscard]] constexpr bool equal(ranges::default_sentinel_t) const noexcept { return over_; }
  [[nodiscard]] constexpr bool equal(const table_cursor& other) const noexcept {
    return over_ == other.over_ && (over_ || finder_.found == other.finder_.found);
  }

 private:
  // In the upper half of the root, which was shown.
  [[nodiscard]] constexpr bool continues_above() noexcept {
    if (rest_.defect() != errc::none) return false;
    place_ = cursor<format>{root_, rest_};
    rest_ = {};
    finder_.entering = false;
    return place_.resume(finder_) != errc::none;
  }

  table_address root_{};
  input_range rest_{};  // the upper half, until it is begun
  cursor<format> place_{};
  table_finder<format, memory_of<Source>, order_of<Source>> finder_{};
  bool over_ = true;
};

}  // namespace detail

template <source Source>
class table_view : public ranges::view_facade<table_view<Source>, ranges::finite> {
 public:
  constexpr table_view() noexcept = default;
  constexpr explicit table_view(detail::part_of<Source> part) noexcept : part_(part) {}

  // Why the view is empty; none if it is not.
  [[nodiscard]] constexpr quire::error error() const noexcept { return part_.root().error(); }

 private:
  friend ranges::range_access;
  [[nodiscard]] constexpr auto begin_cursor() const noexcept {
    return part_.template begin<detail::table_cursor<Source>>();
  }

  detail::part_of<Source> part_{};
};

inline constexpr adaptor<table_view> tables{};

}  // namespace quire::views

template <class Source>
inline constexpr bool ranges::enable_borrowed_range<quire::views::table_view<Source>> = true;
