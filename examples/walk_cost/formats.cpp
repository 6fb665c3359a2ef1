// SPDX-License-Identifier: MIT
#include "formats.hpp"

#include "support/formats.hpp"

namespace walk_cost {
namespace {

// Calls use(name, shape) for each. One of the list is made for tests alone.
template <class Use>
void for_each_shape(Use use) {
  quire_test::for_each_format<quire_test::real_formats>([&]<class F>(const char* name) {
    if (name != std::string_view{"exercise"}) use(name, shape_of<F>());
  });
}

}  // namespace

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for_each_shape([&](const char* name, const table_shape&) { names.emplace_back(name); });
  return names;
}

std::optional<table_shape> shape_named(std::string_view wanted) {
  std::optional<table_shape> found;
  for_each_shape([&](const char* name, const table_shape& shape) {
    if (name == wanted) found = shape;
  });
  return found;
}

}  // namespace walk_cost
