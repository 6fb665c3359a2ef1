// SPDX-License-Identifier: MIT
// A table source that takes nothing back.
// expect: Policies::tables must be a root_source
// expect: give_back\(table\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_tables {
  bool reserve(std::size_t);
  quire::result<quire::table_address> take(quire::table_contents);
#if QUIRE_RIGHT
  void give_back(quire::table_address);
#endif
  quire::result<quire::table_address> take_root(std::uint64_t);
  void give_back_root(quire::table_address, std::uint64_t);
};
struct my_kernel : quire::policies {
  my_tables tables;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
