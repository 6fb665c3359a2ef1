// SPDX-License-Identifier: MIT
// The order of filling a table and publishing it, as a type: the entry that links a table comes from a filled_table
// only, and whoever makes one says that the table is complete.
#pragma once

#include <quire/format/concept.hpp>  // pte_format

namespace quire {

// A table of `Level`, below the root, whose every entry is written (or that came zeroed) and that nobody reaches yet.
// Making one tells maintenance.table_filled(); the entry is then stored with release order, or by a compare-exchange
// that has it.
template <pte_format Format, int Level>
class filled_table {
 public:
  template <class Maintenance>
  constexpr filled_table(Maintenance& maintenance, table_address table) noexcept : address_(table) {
    maintenance.table_filled(table, table_bytes<Format>(Level));
  }

  [[nodiscard]] constexpr table_address address() const noexcept { return address_; }
  // The entry, of Level + 1, that links it.
  [[nodiscard]] constexpr typename Format::word link() const noexcept { return Format::table(address_, Level + 1); }

 private:
  table_address address_;
};

}  // namespace quire
