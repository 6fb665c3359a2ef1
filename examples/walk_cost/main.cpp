// SPDX-License-Identifier: MIT
// walk_cost: what the tables of a layout cost, before there are any. walk_cost --help tells the rest.
#include <fmt/format.h>  // print

#include "formats.hpp"
#include "options.hpp"
#include "plan.hpp"
#include "report.hpp"

int main(int argc, char** argv) {
  using namespace walk_cost;
  const options asked = options_from(argc, argv);
  const table_shape shape = *shape_named(asked.format);
  try {
    const plan told = plan_of(shape, layout_of(asked, shape));
    fmt::print("{}", asked.json ? json_of(asked, told) : text_of(asked, told));
  } catch (const unfit_layout& why) {
    fmt::print(stderr, "walk_cost: {}\n", why.what());
    return 1;
  }
  return 0;
}
