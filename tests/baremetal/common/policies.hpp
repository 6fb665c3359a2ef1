// SPDX-License-Identifier: MIT
// The policies of tables on bare metal: seen where they are, made of the machine's memory, announced by the machine's
// own instructions.
//
//   page_table<F, table_policies<F>> table{table_policies<F>{id}};
#pragma once

#include <type_traits>  // conditional_t

#include <quire/quire.hpp>  // policies

#include "arch.hpp"    // second_stage
#include "frames.hpp"  // frames
#include "machine.hpp"

namespace bare {

inline constinit frames all_frames{};  // it has no state of its own

// A stock of tables that fills itself. One for each CPU that changes tables at the same time as others.
using stock_of_tables = quire::table_cache<frames, quire::direct_memory, std::uint64_t, true>;

template <quire::pte_format F>
[[nodiscard]] stock_of_tables stock_for() noexcept {
  return {&all_frames, quire::direct_memory{}, quire::table_unit_bytes<F>};
}

// A machine whose walkers do not see plain stores in time says what they need: second_stage<F>::maintenance.
template <class Stage>
struct maintenance_of {
  using type = quire::no_maintenance;
};
template <class Stage>
  requires requires { typename Stage::maintenance; }
struct maintenance_of<Stage> {
  using type = typename Stage::maintenance;
};

// For the second stage of a guest; `id` is its VMID or ASID. Invalidation: any other is for a program that shows what
// the right one is for.
template <quire::pte_format F, class Locking = quire::locking::none,
          class Invalidation = typename second_stage<F>::invalidation>
struct table_policies : quire::policies {
  using locking = Locking;
  [[no_unique_address]] typename maintenance_of<second_stage<F>>::type maintenance{};
  stock_of_tables tables;
  [[no_unique_address]] Invalidation invalidation;

  explicit table_policies(unsigned id) noexcept
    requires std::is_constructible_v<Invalidation, unsigned>
      : tables(stock_for<F>()), invalidation(id) {}
  explicit table_policies(unsigned)
    requires(!std::is_constructible_v<Invalidation, unsigned>)
      : tables(stock_for<F>()), invalidation{} {}
};

// A piece of the host's memory where the guest sees it: what the guest's own tables are made of. Nothing comes back.
class guest_window {
 public:
  constexpr guest_window(quire::input_address guest, std::uint64_t host, std::uint64_t bytes) noexcept
      : guest_(guest.value), host_(host), bytes_(bytes) {}

  quire::result<quire::table_address> allocate(std::uint64_t bytes) noexcept {
    const std::uint64_t at = (guest_ + taken_ + bytes - 1) & ~(bytes - 1);
    if (at + bytes > guest_ + bytes_) return quire::errc::no_memory;
    taken_ = at + bytes - guest_;
    for (std::uint64_t i = 0; i < bytes; i += 8) *reinterpret_cast<std::uint64_t*>(at + displacement() + i) = 0;
    return quire::table_address{at};
  }
  void free(quire::table_address, std::uint64_t) noexcept {}

  [[nodiscard]] constexpr std::uint64_t displacement() const noexcept { return host_ - guest_; }

 private:
  std::uint64_t guest_, host_, bytes_;
  std::uint64_t taken_ = 0;
};

// For the guest's own tables (guest_stage), made before the guest walks them.
struct guest_table_policies : quire::policies {
  quire::direct_memory memory;
  quire::table_cache<guest_window, quire::direct_memory, std::uint64_t, true> tables;

  explicit guest_table_policies(guest_window& window) noexcept
      : memory(window.displacement()), tables(&window, memory, quire::table_unit_bytes<guest_stage>) {}
};

}  // namespace bare
