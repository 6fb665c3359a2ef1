// SPDX-License-Identifier: MIT
// What a RISC-V hfence.gvma or hinval.gvma names, read back from rs1: written from the manual ("Hypervisor
// Memory-Management Fence Instructions"), with nothing in common with format/riscv_hfence.hpp but the manual.
//
// The answer is a request: the leaf that translates its address goes, as a whole, of whatever level; so does an invalid
// entry that ends its walk. Table entries on the way may stay cached.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::check {

// With an address in rs1, which is a guest-physical address shifted right by 2.
[[nodiscard]] constexpr invalidation_request decode_hfence_gvma(std::uint64_t rs1,
                                                                invalidation_reason reason) noexcept {
  const input_address guest_physical{rs1 << 2U};
  return {guest_physical, guest_physical, -1, true, reason};
}
// With x0 for rs1.
[[nodiscard]] constexpr invalidation_request decode_hfence_gvma_all(invalidation_reason reason) noexcept {
  return {input_address{0}, input_address{~std::uint64_t{0}}, -1, false, reason};
}

}  // namespace quire::check
