// SPDX-License-Identifier: MIT
// RISC-V G-stage invalidation: the operands of fences, and an invalidation policy that has them executed on every hart.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Hypervisor Memory-Management Fence Instructions", "Supervisor
// Memory-Management Fence Instruction", and the Svinval extension.
//
//   hfence.gvma rs1, rs2    rs1: guest-physical address >> 2; x0: every address.   rs2: VMID; x0: every VMID.
//   sfence.vma  rs1, rs2    rs1: virtual address; x0: every address.               rs2: ASID; x0: every ASID.
//
// What selects "every" is the register x0; another register that holds 0 means address 0, VMID 0. A fence with an
// address is about the leaf entry that translates it, of whatever size: one fence does for a leaf. A changed table
// entry takes a fence of every address (sfence.vma: "orders only reads and writes made to leaf page table entries"; the
// text of hfence.gvma does not say, so the same is assumed).
//
// A fence acts on the hart that executes it. The rest is told by an interprocessor interrupt or the SBI.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::riscv {

[[nodiscard]] constexpr std::uint64_t gpa_operand(input_address guest_physical) noexcept {
  return guest_physical.value >> 2U;
}
[[nodiscard]] constexpr std::uint64_t va_operand(input_address virtual_address) noexcept {
  return virtual_address.value;
}

struct hfence_options {
  bool svinval = false;           // the hart has sfence.w.inval, hinval.gvma and sfence.inval.ir
  int index_bits = 9;             // of the tables: 9, or 10 for Sv32x4
  unsigned most_addresses = 512;  // fenced one by one; beyond them the whole VMID is fenced
};

// A hart that executes fences: a member function for each, named after it; `_all` has x0 for rs1.
template <class H>
concept hfence_hart = requires(H& hart, std::uint64_t address, std::uint64_t vmid) {
  hart.hfence_gvma(address, vmid);
  hart.hfence_gvma_all(vmid);
};
template <class H>
concept hinval_hart = hfence_hart<H> && requires(H& hart, std::uint64_t address, std::uint64_t vmid) {
  hart.sfence_w_inval();
  hart.hinval_gvma(address, vmid);
  hart.sfence_inval_ir();
};

// What each hart has to do for one request: a value that a queue or a message can hold.
struct gstage_fence {
  input_address first;  // the addresses first, first + step, ... up to last
  input_address last;
  std::uint64_t step;  // 0: every address
  std::uint64_t vmid;

  // On the calling hart.
  template <hfence_options Options, hfence_hart Hart>
  constexpr void execute(Hart& hart) const noexcept {
    static_assert(!Options.svinval || hinval_hart<Hart>, "with Svinval the hart must execute hinval.gvma");
    if (step == 0) return hart.hfence_gvma_all(vmid);
    if constexpr (Options.svinval) hart.sfence_w_inval();
    for (input_address at = first;; at = at + step) {
      if constexpr (Options.svinval) hart.hinval_gvma(gpa_operand(at), vmid);
      else hart.hfence_gvma(gpa_operand(at), vmid);
      if (last - at < step) break;
    }
    if constexpr (Options.svinval) hart.sfence_inval_ir();
  }
  friend constexpr bool operator==(const gstage_fence&, const gstage_fence&) = default;
};

// One address a leaf of the hinted level, or a page where the level is not known. Requires: a level of the table; a
// VMID of at most 14 bits (7 on RV32).
template <hfence_options Options = hfence_options{}>
[[nodiscard]] constexpr gstage_fence fence_for(const invalidation_request& request, std::uint64_t vmid) noexcept {
  const int shift = 12 + (request.level > 0 ? request.level * Options.index_bits : 0);
  const input_address first = request.first.align_down(std::uint64_t{1} << shift);
  const bool few = (request.last - first) >> shift < Options.most_addresses;
  return {first, request.last, request.leaf_only && few ? std::uint64_t{1} << shift : 0, vmid};
}

// The harts of the system, as the one that calls sees them; several may call at once.
//   send(fence)   every other hart that may hold translations of fence.vmid executes it, at once or by wait(). Orders
//                 the caller's stores before those fences. A hart that ran the guest once and runs another one now may
//                 hold some, too; it may instead fence the whole VMID before it enters the guest again.
//   wait()        every fence sent by this caller has been executed.
template <class H>
concept hfence_system = hfence_hart<H> && requires(H& harts, const gstage_fence& fence) {
  harts.send(fence);
  harts.wait();
};

// The invalidation policy of a G-stage table: an instance for each guest.
//
//   add()        send(fence); on this hart hfence.gvma ..., or sfence.w.inval; hinval.gvma ...; sfence.inval.ir
//   complete()   wait()
//   local()      the fences of this hart alone
//
// Guarantees: what was stored to the table before add() or local() is seen by every walk after the fences (they order
// stores themselves); before_invalidation() of the maintenance policy may do nothing.
// Caller must: give the VMID that hgatp.VMID holds while the guest runs (with no VMID bits, 0); see to it that nobody
// else has it.
template <class Harts, hfence_options Options = hfence_options{}>
class gstage_invalidation {
  static_assert(hfence_system<Harts>, "Harts must execute and send fences: hfence_system");
  static_assert(!Options.svinval || hinval_hart<Harts>, "with Svinval Harts must execute hinval.gvma");

 public:
  static constexpr bool reentrant = true;

  constexpr gstage_invalidation(Harts harts, std::uint64_t vmid) noexcept : vmid_(vmid), harts_(harts) {}

  constexpr void add(const invalidation_request& request) noexcept {
    const gstage_fence fence = fence_for<Options>(request, vmid_);
    harts_.send(fence);
    fence.execute<Options>(harts_);
  }
  constexpr void complete() noexcept { harts_.wait(); }
  constexpr void local(const invalidation_request& request) noexcept {
    fence_for<Options>(request, vmid_).template execute<Options>(harts_);
  }

  [[nodiscard]] constexpr Harts& harts() noexcept { return harts_; }

 private:
  std::uint64_t vmid_;
  [[no_unique_address]] Harts harts_;
};

static_assert(gpa_operand(input_address{0x8020'0000}) == 0x2008'0000);
static_assert(fence_for({input_address{0x20'0000}, input_address{0x5f'ffff}, 1, true, invalidation_reason::reduced},
                        7) == gstage_fence{input_address{0x20'0000}, input_address{0x5f'ffff}, 0x20'0000, 7});
static_assert(fence_for({input_address{0}, input_address{512 * 4096 - 1}, -1, true, invalidation_reason::reduced}, 1)
                  .step == 4096);
static_assert(
    fence_for({input_address{0}, input_address{512 * 4096}, -1, true, invalidation_reason::reduced}, 1).step == 0);

}  // namespace quire::riscv
