// SPDX-License-Identifier: MIT
// Sessions of a page_table over tables that no operation made.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/table/page_table.hpp>  // page_table

#include "support/made_tables.hpp"

namespace quire_test {

// Hands out the root that is there, and nothing else.
template <class F>
struct made_root {
  [[nodiscard]] bool reserve(std::size_t) const { return false; }
  quire::result<quire::table_address> take(quire::table_contents) const { return quire::errc::no_memory; }
  void give_back(quire::table_address) const {}
  quire::result<quire::table_address> take_root(std::uint64_t) const { return made_tables<F>::root(); }
  void give_back_root(quire::table_address, std::uint64_t) const {}
};

template <class F>
struct made_policies : quire::policies {
  quire::array_memory<typename F::word> memory;
  made_root<F> tables{};
  explicit made_policies(made_tables<F>& of) : memory(of.memory()) {}
};

template <class F>
struct made_guest : quire::page_table<F, made_policies<F>> {
  explicit made_guest(made_tables<F>& of) : quire::page_table<F, made_policies<F>>(made_policies<F>{of}) {
    static_cast<void>(this->create());
  }
};

}  // namespace quire_test
