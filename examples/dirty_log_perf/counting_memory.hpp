// SPDX-License-Identifier: MIT
// Memory policy: tables at their own address, and every entry read is counted.
#pragma once

#include <cstddef>  // size_t

#include <quire/policy/memory.hpp>  // direct_memory

#include "tally.hpp"  // my_tally

namespace perf {

// Without the run capability: the guest's MMUs are software walkers beside every change, and with those there must be
// no plain access to a live table (quire/policy/memory.hpp).
class counting_memory : public quire::direct_memory {
 public:
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word load(quire::table_address table, std::size_t index, quire::order o) const noexcept {
    ++my_tally.entries_visited;
    return quire::direct_memory::load<Word>(table, index, o);
  }
  void own() = delete;
};

static_assert(quire::memory_policy<counting_memory, std::uint64_t> &&
              !quire::run_memory<counting_memory, std::uint64_t>);

}  // namespace perf
