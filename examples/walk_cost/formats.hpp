// SPDX-License-Identifier: MIT
// The formats of the library by their names, those that ./dev formats prints.
#pragma once

#include <optional>     // optional
#include <string>       // string
#include <string_view>  // string_view
#include <vector>       // vector

#include "shape.hpp"

namespace walk_cost {

[[nodiscard]] std::vector<std::string> format_names();
[[nodiscard]] std::optional<table_shape> shape_named(std::string_view name);

}  // namespace walk_cost
