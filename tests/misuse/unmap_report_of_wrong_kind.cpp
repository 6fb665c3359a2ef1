// SPDX-License-Identifier: MIT
// What unmap took away, reported to a function that wants something else.
// expect: (does not satisfy 'removal_report|removal_report<Report>)
#include <quire/quire.hpp>

#include "user.hpp"

bool use(quire::page_table<riscv, one_thread>& table) {
#if QUIRE_RIGHT
  const auto report = [](const quire::removed_leaf&) {};
#else
  const auto report = [](quire::input_address, std::uint64_t) {};
#endif
  return table.exclusive().unmap(ram, quire::partial::split, table.policies().tables, report).has_value();
}
