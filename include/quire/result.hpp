// SPDX-License-Identifier: MIT
// result<T>: a value or an error, with the interface of std::expected (C++23) as far as it is needed.
//
// Trivially destructible, so T must be; reading the value of an error is a contract violation when contracts are
// checked and the value-initialised T otherwise, never undefined.
#pragma once

#include <type_traits>  // is_trivially_destructible_v

#include <quire/contract.hpp>  // QUIRE_EXPECTS
#include <quire/error.hpp>     // error

namespace quire {

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
    QUIRE_EXPECTS(has_value());
    return value_;
  }
  [[nodiscard]] constexpr const T& operator*() const noexcept { return value(); }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return &value(); }
  [[nodiscard]] constexpr T value_or(T other) const noexcept { return has_value() ? value_ : other; }
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
