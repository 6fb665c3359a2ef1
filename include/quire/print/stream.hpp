// SPDX-License-Identifier: MIT
// operator<< for the values of values.hpp. Nothing is allocated; width, fill and adjustment are the stream's, as for a
// text.
#pragma once

#include <ostream>  // ostream

#include <quire/print/values.hpp>  // text_of

namespace quire {

template <printable T>
std::ostream& operator<<(std::ostream& stream, const T& value) {
  return stream << text_of(value).view();
}

}  // namespace quire
