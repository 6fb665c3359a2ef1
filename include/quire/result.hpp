// SPDX-License-Identifier: MIT
// result<T>: a value or an error, with the interface of std::expected (C++23) as far as it is needed.
//
// Trivially destructible, so T must be; reading the value of an error is a contract violation when contracts are
// checked and the value-initialised T otherwise, never undefined. In constant evaluation the violation is a compile
// error that names the error.
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // is_constant_evaluated, is_trivially_destructible_v
#include <utility>      // index_sequence

#include <quire/contract.hpp>  // QUIRE_EXPECTS
#include <quire/error.hpp>     // error

namespace quire {

namespace detail {

// No part of a constant expression: there the compiler stops, and this name with the error's is in its message.
template <errc Code>
void value_of_an_error() noexcept {}

using every_errc = std::make_index_sequence<static_cast<std::size_t>(last_errc) + 1>;
template <std::size_t... Code>
constexpr void expect_no_error(errc code, std::index_sequence<Code...>) noexcept {
  (..., (Code != 0 && code == errc{Code} ? value_of_an_error<errc{Code}>() : void()));
}

}  // namespace detail

template <class T>
class [[nodiscard]] result {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  using value_type = T;

  constexpr result(T value) noexcept : value_(value) {}
  constexpr result(quire::error failure) noexcept : error_(failure) { QUIRE_EXPECTS(failure.code != errc::none); }
  constexpr result(errc code) noexcept : result(quire::error{.code = code}) {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_.code == errc::none; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] constexpr const T& value() const noexcept {
    if (QUIRE_CONTRACTS != 0 && std::is_constant_evaluated())
      detail::expect_no_error(error_.code, detail::every_errc{});
    QUIRE_EXPECTS(has_value());
    return value_;
  }
  [[nodiscard]] constexpr const T& operator*() const noexcept { return value(); }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return &value(); }
  [[nodiscard]] constexpr T value_or(T other) const noexcept {
    if (has_value()) return value_;  // not ?:, which would choose between two places in memory
    return other;
  }
  [[nodiscard]] constexpr quire::error error() const noexcept { return error_; }

 private:
  T value_{};
  quire::error error_{};
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  constexpr result() noexcept = default;
  constexpr result(quire::error failure) noexcept : error_(failure) {}
  constexpr result(errc code) noexcept : error_{.code = code} {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_.code == errc::none; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] constexpr quire::error error() const noexcept { return error_; }

 private:
  quire::error error_{};
};

}  // namespace quire
