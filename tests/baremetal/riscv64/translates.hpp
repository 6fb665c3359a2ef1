// SPDX-License-Identifier: MIT
// Whether the hart translates through leaves of a certain kind: asked by a load of the host's through a table made for
// the question. Extensions of entries have no register of their own that HS mode could read.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/riscv_atp.hpp>  // hgatp

#include "csr.hpp"
#include "frames.hpp"
#include "harts.hpp"

namespace bare {

extern "C" bool guest_can_load(std::uint64_t address);  // start.S

// One path to guest address 0, of leaves for a group of 2^group pages.
template <quire::riscv::gstage_format F>
[[nodiscard]] bool translates(const quire::attributes& wanted, int group) noexcept {
  frames memory;
  const auto root = memory.allocate(quire::root_table_bytes<F>);
  const auto below = memory.allocate(8 * quire::table_unit_bytes<F>);
  const auto page = memory.allocate(0x1'0000);
  if (!root || !below || !page) return false;
  auto entries = reinterpret_cast<typename F::word*>(root->value);
  for (int level = F::shape.levels - 1; level > 0; --level) {
    const quire::table_address child = *below + static_cast<std::uint64_t>(level) * quire::table_unit_bytes<F>;
    *entries = F::table(child, level);
    entries = reinterpret_cast<typename F::word*>(child.value);
  }
  for (int i = 0; i < 1 << group; ++i) entries[i] = *F::leaf(quire::output_address{page->value}, wanted, 0, group);

  write<csr::vsatp>(0);
  write<csr::hgatp>(*quire::riscv::hgatp<F>(*root, 0));
  hfence_gvma_every_guest();
  const bool works = guest_can_load(0);
  write<csr::hgatp>(0);
  hfence_gvma_every_guest();
  memory.free(*page, 0x1'0000);
  memory.free(*below, 8 * quire::table_unit_bytes<F>);
  memory.free(*root, quire::root_table_bytes<F>);
  return works;
}

}  // namespace bare
