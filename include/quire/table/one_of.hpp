// SPDX-License-Identifier: MIT
// one_of<T...>: one of several instantiations, chosen at run time. What the CPU can do is found out at boot, and the
// number of levels is part of a format's type; so a program that runs on several CPUs holds several types, and at
// run time one of them.
//
//   using guest_table = quire::one_of<page_table<riscv::gstage<3>, my_kernel>, page_table<riscv::gstage<4>,
//   my_kernel>>; guest_table guest{quire::find_format<guest_table>([&]<class F>() { return F::shape.levels == probed;
//   }).value(), ...}; guest.visit([&](auto& table) { auto session = table.exclusive(lock); ... });
//
// visit() compares once and is then in the ordinary instantiation: put whole operations into it, sessions and loops,
// not single look-ups. No virtual call, no table of functions, no heap. What goes along with a table (its lock, its
// log, its fault handler) may stand beside it in a struct: the alternatives are any types.
//
// Moved as its alternatives are; not copied, not assigned. What it was moved from keeps its (moved-from) alternative.
#pragma once

#include <cstddef>      // byte, size_t
#include <cstdint>      // uint8_t
#include <new>          // launder, placement new
#include <type_traits>  // is_nothrow_move_constructible_v
#include <utility>      // forward, move

#include <quire/contract.hpp>  // QUIRE_EXPECTS, QUIRE_INLINE
#include <quire/result.hpp>    // result

namespace quire {

template <class... Alternatives>
class one_of {
  static constexpr std::size_t count = sizeof...(Alternatives);
  static_assert(count >= 1 && count <= 255);
  static_assert((std::is_nothrow_move_constructible_v<Alternatives> && ...));

  template <std::size_t I, class First, class... Rest>
  struct nth : nth<I - 1, Rest...> {};
  template <class First, class... Rest>
  struct nth<0, First, Rest...> {
    using type = First;
  };

 public:
  template <std::size_t I>
  using alternative = typename nth<I, Alternatives...>::type;
  static constexpr std::size_t size = count;

  // Makes the alternative of that number from `arguments`, which all of them must accept. Requires: which < size.
  template <class... Arguments>
  explicit one_of(std::size_t which, Arguments&&... arguments) noexcept : which_(static_cast<std::uint8_t>(which)) {
    QUIRE_EXPECTS(which < count);
    at_chosen([&]<std::size_t I>() { ::new (place()) alternative<I>(std::forward<Arguments>(arguments)...); });
  }
  one_of(one_of&& other) noexcept : which_(other.which_) {
    at_chosen([&]<std::size_t I>() { ::new (place()) alternative<I>(std::move(other.template get<I>())); });
  }
  one_of(const one_of&) = delete;
  one_of& operator=(const one_of&) = delete;
  one_of& operator=(one_of&&) = delete;
  ~one_of() {
    at_chosen([&]<std::size_t I>() {
      using type = alternative<I>;
      get<I>().~type();
    });
  }

  [[nodiscard]] std::size_t which() const noexcept { return which_; }

  // visitor(alternative&), which gives the same type for each.
  template <class Visitor>
  QUIRE_INLINE decltype(auto) visit(Visitor&& visitor) {
    return at_chosen([&]<std::size_t I>() -> decltype(auto) { return visitor(get<I>()); });
  }
  template <class Visitor>
  QUIRE_INLINE decltype(auto) visit(Visitor&& visitor) const {
    return at_chosen([&]<std::size_t I>() -> decltype(auto) { return visitor(get<I>()); });
  }

 private:
  // Comparisons one after the other, the last is not needed.
  template <std::size_t I = 0, class Function>
  QUIRE_INLINE decltype(auto) at_chosen(Function&& function) const {
    if constexpr (I + 1 == count) return function.template operator()<I>();
    else {
      static_assert(
          std::is_same_v<decltype(function.template operator()<I>()), decltype(function.template operator()<I + 1>())>,
          "the visitor must give the same type for every alternative");
      if (which_ == I) return function.template operator()<I>();
      return at_chosen<I + 1>(function);
    }
  }
  [[nodiscard]] void* place() noexcept { return storage_; }
  [[nodiscard]] const void* place() const noexcept { return storage_; }
  template <std::size_t I>
  [[nodiscard]] QUIRE_INLINE alternative<I>& get() noexcept {
    return *std::launder(static_cast<alternative<I>*>(place()));
  }
  template <std::size_t I>
  [[nodiscard]] QUIRE_INLINE const alternative<I>& get() const noexcept {
    return *std::launder(static_cast<const alternative<I>*>(place()));
  }

  static constexpr std::size_t bytes = []() constexpr {
    std::size_t most = 1;
    ((most = sizeof(Alternatives) > most ? sizeof(Alternatives) : most), ...);
    return most;
  }();

  alignas(Alternatives...) std::byte storage_[bytes];
  std::uint8_t which_;
};

namespace detail {
template <class Choice, std::size_t I, class Predicate>
constexpr result<std::size_t> find_format_from(Predicate& wanted) noexcept {
  if constexpr (I == Choice::size) return errc::unsupported_level;
  else {
    using format = typename Choice::template alternative<I>::format;
    if (wanted.template operator()<format>()) return I;
    return find_format_from<Choice, I + 1>(wanted);
  }
}
}  // namespace detail

// The number of the first alternative with a format that is wanted: wanted.operator()<Format>() gives a bool. Errors:
// unsupported_level where there is none.
template <class Choice, class Predicate>
[[nodiscard]] constexpr result<std::size_t> find_format(Predicate&& wanted) noexcept {
  return detail::find_format_from<Choice, 0>(wanted);
}

}  // namespace quire
