// SPDX-License-Identifier: MIT
// The command line, and the layout that it asks for.
#pragma once

#include <cstdint>    // uint64_t
#include <optional>   // optional
#include <stdexcept>  // runtime_error
#include <string>     // string
#include <vector>     // vector

#include "region.hpp"

namespace walk_cost {

enum class leaf_choice : unsigned char { page, block, largest };

struct asked_region {
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;
  std::optional<int> largest_level{};
};

struct options {
  std::string format;
  std::vector<asked_region> regions;
  leaf_choice leaf = leaf_choice::largest;
  bool groups = true;
  std::uint64_t host_alignment = 0;  // 0: the output addresses are aligned as the input addresses are
  bool json = false;
};

// Ends the program: with 0 where help was asked for, with 2 where the command line is wrong.
[[nodiscard]] options options_from(int argc, char** argv);

// A number of bytes as it is shortest to read, and exact: 4K, 2M, 1G.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

// Why a format cannot have a layout.
struct unfit_layout : std::runtime_error {
  using runtime_error::runtime_error;
};

// The regions in ascending order. Throws: unfit_layout.
[[nodiscard]] std::vector<mapped_region> layout_of(const options& asked, const table_shape& shape);

}  // namespace walk_cost
