// SPDX-License-Identifier: MIT
// How many bits of address the guest can form and the machine translates: asked before anything is blamed on tables.
//
// Asked with tables in which every address leads to the guest's area, repeated over the whole input space: a table for
// each level whose entries are all alike. So the answer does not lean on any index being right.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/table/invalidator.hpp>  // invalidator

#include "arch.hpp"
#include "guest.hpp"
#include "host_memory.hpp"
#include "leaf_sizes.hpp"
#include "policies.hpp"
#include "report.hpp"

namespace bare {

template <quire::pte_format F>
class tables_of_one_path {
  using word = typename F::word;

 public:
  tables_of_one_path() noexcept {
    quire::table_address below{};
    for (int level = 0; level < F::shape.root_level; ++level) {
      const quire::table_address table{tables_.at() + static_cast<std::uint64_t>(level) * quire::table_unit_bytes<F>};
      fill(table, level, below);
      below = table;
    }
    fill(quire::table_address{root_.at()}, F::shape.root_level, below);
    second_stage<F>::use(quire::table_address{root_.at()}, id);
    forget();
  }
  tables_of_one_path(const tables_of_one_path&) = delete;
  tables_of_one_path& operator=(const tables_of_one_path&) = delete;
  ~tables_of_one_path() { forget(); }

  [[nodiscard]] static bool reaches(input_address address) noexcept {
    constexpr std::uint64_t aside = 16;  // somewhere in the servant's code
    const guest_exit left = vcpu{area_in_guest}.run({verb::load, address.value + aside});
    return left.why == guest_exit::reason::done && left.answer == word_at(guest_area() + aside);
  }

 private:
  using input_address = quire::input_address;
  static constexpr unsigned id = 1;

  static void fill(quire::table_address table, int level, quire::table_address below) noexcept {
    const quire::attributes everything{.allowed = quire::all_access, .may_write = true, .dirty = F::facts.has_dirty};
    for (std::size_t i = 0; i < F::shape.entries(level); ++i) {
      const std::uint64_t page = i * F::shape.page_bytes() % guest_area_bytes;
      reinterpret_cast<word*>(table.value)[i] =
          level > 0 ? F::table(below, level) : *F::leaf(quire::output_address{guest_area() + page}, everything, 0);
    }
  }
  static void forget() noexcept {
    table_policies<F> policies{id};
    quire::invalidator<table_policies<F>> caches{policies};
    const std::uint64_t last = (std::uint64_t{1} << F::shape.input_bits()) - 1;
    caches.add({input_address{0}, input_address{last}, -1, false, quire::invalidation_reason::removed});
    caches.complete();
  }

  host_memory root_{quire::root_table_bytes<F>};
  host_memory tables_{8 * quire::table_unit_bytes<F>};
};

// Those of the format, where the machine has nothing against the upper ones.
template <quire::pte_format F>
[[nodiscard]] int reachable_bits() noexcept {
  const tables_of_one_path<F> tables;
  constexpr int all = F::shape.input_bits();
  int bits = all;
  while (bits > 32 && !tables.reaches(quire::input_address{std::uint64_t{1} << (bits - 1)})) --bits;
  if (bits != all) {
    say("the guest reaches ");
    say_number(static_cast<std::uint64_t>(bits));
    say(" of ");
    say_number(all);
    say(" bits of address");
    end_line();
  }
  return bits;
}

}  // namespace bare
