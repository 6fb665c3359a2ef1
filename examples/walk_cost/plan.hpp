// SPDX-License-Identifier: MIT
// All that is told about a layout.
#pragma once

#include <cstdint>      // uint64_t
#include <string_view>  // string_view
#include <vector>       // vector

#include "layout.hpp"

namespace walk_cost {

struct operation_cost {
  std::string_view operation;
  std::string_view walk;  // which, where there are several
  cost what;
};

struct plan {
  table_shape shape;
  std::vector<mapped_region> regions;
  table_count mapped;  // the tables of the layout
  table_count best;    // of the largest leaves that addresses and alignment allow
  table_count worst;   // of pages alone: after a split, or where a page in each table was touched
  std::uint64_t bitmap_bytes = 0;
  std::uint64_t tables_for_fault = 0;
  std::uint64_t tables_for_chunk = 0;
  int chunk_level = 0;  // the largest leaves, one of which is a chunk
  std::vector<operation_cost> operations;

  [[nodiscard]] std::uint64_t pages() const noexcept {
    std::uint64_t pages = 0;
    for (const mapped_region& each : regions) pages += each.pages();
    return pages;
  }
};

// Requires: at least one region; of `shape`, in ascending order, without overlap.
[[nodiscard]] plan plan_of(const table_shape& shape, const std::vector<mapped_region>& regions);

}  // namespace walk_cost
