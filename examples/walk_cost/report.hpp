// SPDX-License-Identifier: MIT
// A plan as text and as JSON; the same for the same plan.
#pragma once

#include <string>  // string

#include "options.hpp"
#include "plan.hpp"

namespace walk_cost {

[[nodiscard]] std::string text_of(const options& asked, const plan& told);
[[nodiscard]] std::string json_of(const options& asked, const plan& told);

}  // namespace walk_cost
