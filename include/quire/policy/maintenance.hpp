// SPDX-License-Identifier: MIT
// Maintenance policy: what the architecture wants done between a store to a table and its effect.
//
// Requires: four functions, called in this order around a change.
//   table_filled(table, bytes)   a table nobody can reach yet is complete; clean it for a walker that does not snoop
//                                caches. Called before the entry that links it is stored (with release order).
//   published()                  entries became visible to the hardware (arm64: dsb ishst). Once per operation.
//   before_invalidation()        stores to entries must be seen before the invalidation that follows (arm64: dsb ish).
//   code_visible(output, bytes)  memory is about to become executable through a leaf (instruction cache).
#pragma once

#include <concepts>  // same_as
#include <cstdint>   // uint64_t

#include <quire/address.hpp>  // table_address, output_address

namespace quire {

template <class M>
concept maintenance_policy = requires(M& m, table_address table, output_address output, std::uint64_t bytes) {
  { m.table_filled(table, bytes) } -> std::same_as<void>;
  { m.published() } -> std::same_as<void>;
  { m.before_invalidation() } -> std::same_as<void>;
  { m.code_visible(output, bytes) } -> std::same_as<void>;
};

// Coherent walkers that order their own reads: nothing to do beyond the release stores.
struct no_maintenance {
  constexpr void table_filled(table_address, std::uint64_t) noexcept {}
  constexpr void published() noexcept {}
  constexpr void before_invalidation() noexcept {}
  constexpr void code_visible(output_address, std::uint64_t) noexcept {}
};

static_assert(maintenance_policy<no_maintenance> && !maintenance_policy<int>);

}  // namespace quire
