// SPDX-License-Identifier: MIT
// {fmt} formatters for the values of values.hpp, with the format specifications of a string: fmt::print("{:>40}",
// range).
//
// Nothing else in the library includes {fmt} (9 or later), and no package requires it: who includes this header brings
// it along.
#pragma once

#include <string_view>  // string_view

#include <fmt/format.h>  // formatter

#include <quire/print/values.hpp>  // text_of

template <quire::printable T>
struct fmt::formatter<T> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const T& value, Context& context) const {
    return fmt::formatter<std::string_view>::format(quire::text_of(value).view(), context);
  }
};
