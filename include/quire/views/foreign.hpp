// SPDX-License-Identifier: MIT
// What is in foreign tables (table/foreign.hpp) as a range, in the order in which a walk comes to it:
//
//   auto all = views::foreign<format>(dump, root, range, {.budget = 1 << 20});
//   for (const views::foreign_item& item : all) ...     a variant: a foreign_mapping or a foreign_finding
//
// foreign_mappings and foreign_findings show the ones without the others.
//
// Guarantees: those of foreign_for_each_mapping, with the same mappings and findings; the walk goes as far as it must
// for the next item, and each entry is read once in a pass. begin() starts a pass anew.
//
// These are input ranges, and not borrowed: the state of the walk (what was read, what is left of the budget) lives in
// the view, so iterators end with it, and there is one at a time. A copy of a view has not begun. To ask for summary()
// after a pipeline, give it ranges::views::ref(view).
//
// Errors: a view of a range that no operation would take is empty; error() says why.
// Caller must: keep the memory for as long as the view is used.
#pragma once

#include <concepts>     // constructible_from
#include <cstddef>      // size_t
#include <optional>     // optional
#include <type_traits>  // true_type
#include <variant>      // variant

#include <range/v3/view/facade.hpp>  // view_facade

#include <quire/table/foreign_visitor.hpp>  // foreign_visitor
#include <quire/table/range.hpp>            // check_range
#include <quire/walk/cursor.hpp>            // cursor

namespace quire::views {

using foreign_item = std::variant<foreign_mapping, foreign_finding>;

namespace detail {

// What one entry told: an entry of a group may be unreadable, and the group torn for it.
template <pte_format Format, class Item>
class told_items {
 public:
  constexpr bool mapped(const foreign_mapping& one) {
    add(one);
    return true;
  }
  constexpr bool found(const foreign_finding& one) {
    add(one);
    return true;
  }
  constexpr void unmapped(typename Format::word, int, input_address) const noexcept {}
  [[nodiscard]] constexpr bool pauses() const noexcept { return !empty(); }

  [[nodiscard]] constexpr bool empty() const noexcept { return next_ == count_; }
  [[nodiscard]] constexpr const Item& next() const noexcept { return items_[next_]; }
  constexpr void drop() noexcept {
    if (++next_ == count_) next_ = count_ = 0;
  }

 private:
  template <class T>
  constexpr void add(const T& one) {
    if constexpr (std::constructible_from<Item, const T&>) {
      QUIRE_EXPECTS(count_ != most);
      items_[count_++] = one;
    }
  }

  static constexpr std::size_t most = 2;
  Item items_[most]{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

// A walk from its begin() on. The visitor refers to what lies beside it, so a copy is one that has not begun.
template <pte_format Format, class Memory, class Item>
class foreign_pass {
 public:
  constexpr foreign_pass() noexcept = default;
  constexpr foreign_pass(const foreign_pass&) noexcept : foreign_pass() {}
  constexpr foreign_pass& operator=(const foreign_pass&) noexcept {
    visitor_.reset();
    told_ = {};
    return *this;
  }
  constexpr ~foreign_pass() = default;

  constexpr void begin(Memory& memory, table_address root, input_range range, const foreign_bounds& bounds) {
    told_ = {};
    visitor_.emplace(memory, root, bounds, told_);
    place_ = cursor<Format>{root, range};
    static_cast<void>(place_.resume(*visitor_));
  }
  [[nodiscard]] constexpr bool is_over() const noexcept { return told_.empty(); }
  [[nodiscard]] constexpr const Item& item() const noexcept { return told_.next(); }
  constexpr void next() {
    told_.drop();
    if (told_.empty() && visitor_->summary().complete) static_cast<void>(place_.resume(*visitor_));
  }
  [[nodiscard]] constexpr foreign_summary summary() const noexcept {
    return visitor_ ? visitor_->summary() : foreign_summary{};
  }

 private:
  told_items<Format, Item> told_{};
  std::optional<quire::detail::foreign_visitor<Format, Memory, told_items<Format, Item>>> visitor_{};
  cursor<Format> place_{};
};

}  // namespace detail

template <pte_format Format, class Memory, class Item>
class foreign_view : public ranges::view_facade<foreign_view<Format, Memory, Item>, ranges::finite> {
 public:
  constexpr foreign_view() noexcept = default;
  constexpr foreign_view(Memory& memory, table_address root, input_range range, const foreign_bounds& bounds) noexcept
      : memory_(&memory), root_(root), range_(range), bounds_(bounds) {}

  // Why the view is empty whatever the tables say; none if it is not so.
  [[nodiscard]] constexpr quire::error error() const noexcept { return check_range<Format>(range_); }
  // How far the pass came that is on its way, or was the last.
  [[nodiscard]] constexpr foreign_summary summary() const noexcept { return pass_.summary(); }

 private:
  friend ranges::range_access;
  struct item_cursor {
    using single_pass = std::true_type;
    detail::foreign_pass<Format, Memory, Item>* pass = nullptr;

    [[nodiscard]] constexpr const Item& read() const noexcept { return pass->item(); }
    constexpr void next() { pass->next(); }
    [[nodiscard]] constexpr bool equal(ranges::default_sentinel_t) const noexcept { return pass->is_over(); }
  };
  [[nodiscard]] constexpr item_cursor begin_cursor() {
    if (error().code == errc::none) pass_.begin(*memory_, root_, range_, bounds_);
    return {&pass_};
  }

  Memory* memory_ = nullptr;
  table_address root_{};
  input_range range_{};
  foreign_bounds bounds_{};
  detail::foreign_pass<Format, Memory, Item> pass_{};
};

template <pte_format Format, class Memory>
[[nodiscard]] constexpr auto foreign(Memory& memory, table_address root, input_range range,
                                     const foreign_bounds& bounds = {}) noexcept {
  return foreign_view<Format, Memory, foreign_item>{memory, root, range, bounds};
}
template <pte_format Format, class Memory>
[[nodiscard]] constexpr auto foreign_mappings(Memory& memory, table_address root, input_range range,
                                              const foreign_bounds& bounds = {}) noexcept {
  return foreign_view<Format, Memory, foreign_mapping>{memory, root, range, bounds};
}
template <pte_format Format, class Memory>
[[nodiscard]] constexpr auto foreign_findings(Memory& memory, table_address root, input_range range,
                                              const foreign_bounds& bounds = {}) noexcept {
  return foreign_view<Format, Memory, foreign_finding>{memory, root, range, bounds};
}

}  // namespace quire::views
