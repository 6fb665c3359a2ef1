// SPDX-License-Identifier: MIT
// Whether this CPU translates by tables of a format: asked with AT S12E1R, "address translate, stages 1 and 2", of a
// path made for the question. An emulator may say that it has what it refuses to walk.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/arm64_vtcr.hpp>  // vtcr, vttbr

#include "cpu.hpp"
#include "frames.hpp"
#include "guest_tlb.hpp"
#include "vcpu.hpp"

namespace bare {

template <class F>
[[nodiscard]] bool translates() noexcept {
  frames memory;
  const auto root = memory.allocate(quire::root_table_bytes<F>);
  const auto below = memory.allocate(8 * quire::table_unit_bytes<F>);
  const auto page = memory.allocate(F::shape.page_bytes());
  if (!root || !below || !page) return false;
  auto entries = reinterpret_cast<typename F::word*>(root->value);
  for (int level = F::shape.levels - 1; level > 0; --level) {
    const quire::table_address child = *below + static_cast<std::uint64_t>(level) * quire::table_unit_bytes<F>;
    *entries = F::table(child, level);
    entries = reinterpret_cast<typename F::word*>(child.value);
  }
  *entries = *F::leaf(quire::output_address{page->value}, {.allowed = quire::readable}, 0);

  asm volatile("dsb ishst" : : : "memory");
  forget_guests();
  vtcr_el2::write(*quire::arm64::vtcr<F>(features()));
  walk(*quire::arm64::vttbr<F>(features(), *root, 0));
  asm volatile("at s12e1r, %0\n isb" : : "r"(std::uint64_t{0}) : "memory");
  const std::uint64_t par = par_el1::read();
  walk(0);
  memory.free(*page, F::shape.page_bytes());
  memory.free(*below, 8 * quire::table_unit_bytes<F>);
  memory.free(*root, quire::root_table_bytes<F>);
  return (par & 1U) == 0 && (par & 0x000f'ffff'ffff'f000) == page->value;
}

}  // namespace bare
