// SPDX-License-Identifier: MIT
// A guest at EL1.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>              // input_address
#include <quire/format/arm64_stage1.hpp>  // stage1

#include "guest.hpp"
#include "machine.hpp"
#include "registers.hpp"

namespace bare {

// Its code is EL1's alone. Not every CPU has hardware that sets the accessed flag.
using guest_stage = quire::arm64::stage1<quire::arm64::granule::k4, 39,
                                         quire::arm64::stage1_options{.executes = quire::privilege::supervisor,
                                                                      .hardware_accessed = false}>;

// Laid out for world_switch.S.
struct guest_registers {
  std::uint64_t x[31]{};
  std::uint64_t sp = 0;
  std::uint64_t pc = 0;
  std::uint64_t pstate = 0;
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
  void load_system_registers() const noexcept;

  guest_registers registers_{};
  quire::input_address area_;
  command next_{};  // not given yet where the servant did not ask yet
  bool has_next_ = false;
  bool asks_ = false;        // the servant waits in its call
  std::uint64_t ttbr0_ = 0;  // 0: its own tables are off
};

// HCR_EL2 for a guest whose own tables are on, or off: then DC makes its memory cacheable, as exclusive loads and
// stores need it.
[[nodiscard]] constexpr std::uint64_t hcr_for(bool own_tables) noexcept {
  constexpr std::uint64_t rw = 1U << 31, amo = 1U << 5, imo = 1U << 4, fmo = 1U << 3, vm = 1U << 0, dc = 1U << 12;
  return rw | amo | imo | fmo | vm | (own_tables ? 0 : dc);
}

void forget_guests() noexcept;  // this CPU begins with its EL1 registers as for a guest without tables of its own

}  // namespace bare
