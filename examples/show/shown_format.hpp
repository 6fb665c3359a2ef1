// SPDX-License-Identifier: MIT
// What the program asks of a format whose type only its own translation unit knows.
#pragma once

#include <cstddef>   // byte
#include <cstdint>   // uint64_t
#include <optional>  // optional
#include <ostream>   // ostream
#include <string>    // string
#include <vector>    // vector

#include <quire/print/dump.hpp>  // dump_style

namespace show {

// One --map, as it was spelled and as it was understood.
struct wanted_mapping {
  std::string spelled;
  quire::input_range range;
  quire::output_address output;
  quire::permissions allowed;
};

struct request {
  quire::dump_style style = quire::dump_style::runs;
  std::vector<wanted_mapping> mappings;  // none: the sample
  // A table that somebody else left in a file.
  std::optional<std::vector<std::byte>> image;
  std::uint64_t base = 0;  // the address of its first byte
  quire::table_address root{};
  quire::foreign_bounds bounds{.budget = 1U << 24U};  // of garbage there can be no end
};

// `text` is the dump; the rest is the same in values.
struct table_report {
  std::string trouble;  // why there is nothing to show
  quire::table_address root{};
  std::vector<quire::foreign_mapping> mappings;  // as for_each_mapping tells them
  std::vector<quire::foreign_finding> findings;
};

struct shown_format {
  std::string name;
  std::string description;
  table_report (*show)(const request&, std::ostream& text);
};

// All of them, in the order of the list.
std::vector<shown_format>& formats();

}  // namespace show
