// SPDX-License-Identifier: MIT
// What the views of this directory read through, and how they are asked for:
//
//   session | views::mappings            all input addresses
//   session | views::mappings(range)     what overlaps the range (pages, as for every operation)
//
// A source is a session of any locking policy, or a table of locking::none itself. The view refers to it and reads when
// it is iterated, no sooner. It owns nothing and allocates nothing; what it gives are values, which stay as they are.
//
// Caller must: keep the source for as long as a view of it, or an iterator, is used (a session that ends with the
// expression is refused by the compiler), and begin anew after the session has let_go(). Views and iterators may
// outlive each other (they are borrowed ranges, but for those of views/foreign.hpp).
//
// While the table changes. An iterator stands behind an entry and the next one is read when the iterator moves on, as
// for_each_mapping does; so a view shows each entry as it was at some moment of its own.
// - Under a lock nobody but the holder changes which mappings there are. He may, while he iterates: a change behind
//   the iterator is not seen, one before it is, whole (of a leaf that was split where the iterator stands, none of the
//   parts). He must not take away tables that an iterator stands in (unmap, discard, collapse and prune may): begin
//   anew after those.
// - On the read side of locking::shared others change rights and accessed of pages; every format's hardware may set
//   accessed and dirty. What was read of a mapping stays; another pass may read other bits.
// - In a section of locking::concurrent tables stay to be walked until the section is left, also those that others
//   unlink: what a view shows there was mapped at some moment since the session began, and what others map or take away
//   meanwhile may be shown or not. A leaf that is locked for a change is shown as not mapped.
//
// Where others can change which mappings there are (locking::concurrent) a second pass would see another sequence:
// views are input ranges there, and forward ranges everywhere else. They are not bidirectional, for a walk goes up; not
// common, for the end is not a place in a table; not sized.
//
// Errors: a view of a table without a root, or of a range that no operation would take, is empty; error() says why.
#pragma once

#include <concepts>     // derived_from
#include <type_traits>  // remove_reference_t

#include <quire/policy/locking.hpp>         // lock_of, concurrent_locking
#include <quire/table/range.hpp>            // check_range, input_space_of
#include <quire/table/reading_session.hpp>  // reading_session

namespace quire::views {

template <class S>
concept open_session =
    requires { typename S::table_type; } && (std::derived_from<S, reading_session<typename S::table_type, true>> ||
                                             std::derived_from<S, reading_session<typename S::table_type, false>>);

template <class T>
concept table_without_lock = requires(T& table) {
  typename T::locking;
  table.root();
  table.policies();
} && lock_of<void, typename T::locking>;

template <class S>
concept source = open_session<S> || table_without_lock<S>;

namespace detail {

template <source Source>
struct source_type {
  using table = Source;
  static constexpr auto& memory(Source& of) noexcept { return of.policies().memory; }
};
template <open_session Source>
struct source_type<Source> {
  using table = typename Source::table_type;
  static constexpr auto& memory(Source& of) noexcept { return of.memory(); }
};

template <source Source>
using format_of = typename source_type<Source>::table::format;
template <source Source>
using memory_of = std::remove_reference_t<decltype(source_type<Source>::memory(std::declval<Source&>()))>;
template <source Source>
inline constexpr order order_of = source_type<Source>::table::locking::reader_order;
template <source Source>
inline constexpr bool is_single_pass = concurrent_locking<typename source_type<Source>::table::locking>;

// A source and what of it is to be seen.
template <source Source>
class part_of {
  using format = format_of<Source>;

 public:
  constexpr part_of() noexcept = default;
  constexpr explicit part_of(Source& of) noexcept : source_(&of), space_(input_space_of<format>) {}
  constexpr part_of(Source& of, input_range range) noexcept : source_(&of), space_{range} {}

  [[nodiscard]] constexpr result<table_address> root() const noexcept {
    if (source_ == nullptr) return errc::no_root;
    if (const quire::error bad = check_range<format>(space_.lower); bad.code != errc::none) return bad;
    return source_->root();
  }
  // What begins there; where there is nothing to see, what is at the end.
  template <class Cursor>
  [[nodiscard]] constexpr Cursor begin() const noexcept {
    const auto found = root();
    return found ? Cursor{source_type<Source>::memory(*source_), *found, space_} : Cursor{};
  }

 private:
  Source* source_ = nullptr;
  input_space space_{};
};

}  // namespace detail

// A view that is asked for by `source | name`, or `source | name(range)`.
template <template <class> class View>
class adaptor {
  struct of_range {
    input_range range;
    template <source Source>
    [[nodiscard]] friend constexpr auto operator|(Source& of, of_range asked) noexcept {
      return View<Source>{detail::part_of<Source>{of, asked.range}};
    }
    // The session would end before it is read through: name it.
    template <source Source>
    friend constexpr void operator|(Source&& of, of_range) = delete;
  };

 public:
  [[nodiscard]] constexpr of_range operator()(input_range range) const noexcept { return {range}; }

  template <source Source>
  [[nodiscard]] friend constexpr auto operator|(Source& of, adaptor) noexcept {
    return View<Source>{detail::part_of<Source>{of}};
  }
  template <source Source>
  friend constexpr void operator|(Source&& of, adaptor) = delete;
};

}  // namespace quire::views
