// SPDX-License-Identifier: MIT
// What can be wrong with a foreign table, and how far a walk of one may go and came.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t, uint8_t

#include <quire/address.hpp>  // input_address, table_address

namespace quire {

enum class foreign_defect : std::uint8_t {
  unreadable,     // the memory has no such entry; told once for neighbours that are all missing
  malformed,      // valid to the hardware, and faults because of its form (Format::is_well_formed)
  misplaced,      // a leaf or a table at a level that holds none, and one at another level
  cycle,          // a table entry that leads into a table on the way to itself
  torn_group,     // a leaf of a group whose entries do not agree, or are not all there; told once for neighbours
  beyond_output,  // a leaf or a table that reaches beyond the last output address
  out_of_budget,  // the walk ends before this entry
};

[[nodiscard]] constexpr const char* name_of(foreign_defect what) noexcept {
  switch (what) {
    case foreign_defect::unreadable: return "unreadable";
    case foreign_defect::malformed: return "malformed";
    case foreign_defect::misplaced: return "misplaced";
    case foreign_defect::cycle: return "cycle";
    case foreign_defect::torn_group: return "torn_group";
    case foreign_defect::beyond_output: return "beyond_output";
    case foreign_defect::out_of_budget: return "out_of_budget";
  }
  return "unknown";
}

struct foreign_finding {
  foreign_defect what;
  int level;
  input_address address;  // the first byte that the entry would translate
  table_address table;
  std::size_t index;
  std::uint64_t entry;  // as it was read; 0 where it was not

  friend constexpr bool operator==(const foreign_finding&, const foreign_finding&) noexcept = default;
};

struct foreign_bounds {
  std::uint64_t budget = ~std::uint64_t{0};  // entries to be asked for: shared tables make a tree that is exponential
  output_address last_output{~std::uint64_t{0}};  // the last that exists, where that is less than an entry can hold
};

struct foreign_summary {
  std::uint64_t entries = 0;   // that were asked for
  std::uint64_t findings = 0;  // out_of_budget included
  bool complete = true;        // no: out of budget, and nothing from `unvisited` on was looked at
  input_address unvisited{};   // a walk of the rest of the range from here goes on
};

}  // namespace quire
