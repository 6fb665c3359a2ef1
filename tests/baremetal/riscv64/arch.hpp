// SPDX-License-Identifier: MIT
// The RISC-V machine: a guest in VS mode behind a G-stage.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Hypervisor Extension".
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>              // input_address, table_address
#include <quire/format/riscv_atp.hpp>     // hgatp, satp
#include <quire/format/riscv_gstage.hpp>  // gstage_format
#include <quire/format/riscv_stage1.hpp>  // stage1

#include "csr.hpp"
#include "formats.hpp"
#include "guest.hpp"
#include "harts.hpp"
#include "machine.hpp"
#include "translates.hpp"

namespace bare {

using guest_stage = quire::riscv::stage1<3>;

// Laid out for start.S: pc in the place of x0.
struct guest_registers {
  std::uint64_t x[32]{};
  std::uint64_t host_stack = 0;
};

class vcpu {
 public:
  explicit vcpu(quire::input_address area) noexcept : area_(area) { begin(); }

  guest_exit run(const command& next) noexcept;
  guest_exit resume() noexcept;
  void use_tables(quire::input_address root) noexcept;

 private:
  void begin() noexcept;
  void give(const command& next) noexcept;

  guest_registers registers_{};
  quire::input_address area_;
  command next_{};  // not given yet where the servant did not ask yet
  bool has_next_ = false;
  bool asks_ = false;  // the servant waits in its call
  std::uint64_t vsatp_ = 0;
};

[[nodiscard]] bool has_hypervisor_extension() noexcept;

template <quire::riscv::gstage_format F>
struct second_stage {
  using invalidation = guest_invalidation;

  // Whether memory types (Svpbmt) work is not asked: every hart walks tables of such a format that use none.
  [[nodiscard]] static const char* obstacle() noexcept {
    if (!has_hypervisor_extension()) return "the hart has no H extension";
    const auto ask = [](std::uint64_t value) {
      write<csr::hgatp>(value);
      return read<csr::hgatp>();
    };
    const bool has_mode = quire::riscv::formats_of_hart<F>(ask) != 0;
    write<csr::hgatp>(0);
    hfence_gvma_every_guest();
    if (!has_mode) return "hgatp.MODE does not take the number of levels";
    if (F::facts.sets_accessed && !translates<F>({.allowed = quire::readable, .accessed = false}, 0))
      return "the hart does not set the A bit (Svadu)";
    if (F::group_sizes(0) != 1 && !translates<F>({.allowed = quire::readable}, 4))
      return "the hart does not translate groups of 64 KiB (Svnapot)";
    return nullptr;
  }
  // "hfence.gvma" also orders a change of hgatp before what the guest does next.
  static void use(quire::table_address root, unsigned id) noexcept {
    write<csr::hgatp>(*quire::riscv::hgatp<F>(root, id));
    hear_fences_of(id);
  }
};

void write_function(void* at, unsigned number) noexcept;
void publish_code(std::uint64_t at, std::uint64_t bytes) noexcept;  // what was written there may be executed

}  // namespace bare
