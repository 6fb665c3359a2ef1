// SPDX-License-Identifier: MIT
// A guest in 64-bit mode, where paging is never off. What machine.hpp calls "its own tables off" are tables that map
// everything to itself, its first TiB (what most CPUs have of physical addresses is less), with pages of 1 GiB. They
// lie in the guest's area, between the code and the stack. Each vcpu writes them anew for where its area is: two
// vcpus at a time must have it at the same address.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>        // input_address
#include <quire/format/x86_64.hpp>  // long_mode

#include "guest.hpp"
#include "machine.hpp"
#include "registers.hpp"
#ifdef QUIRE_BARE_VMX
#include "vmx.hpp"
#else
#include "svm.hpp"
#endif

namespace bare {

#ifdef QUIRE_BARE_VMX
namespace hardware = vmx;
#else
namespace hardware = svm;
#endif

using guest_stage = quire::x86::long_mode<4>;

inline constexpr std::uint64_t identity_tables_in_area = 0x8000;  // the root, and what is below it

class vcpu {
 public:
  explicit vcpu(quire::input_address area) noexcept;

  guest_exit run(const command& next) noexcept;
  guest_exit resume() noexcept;
  void use_tables(quire::input_address root) noexcept { guest_.use_cr3(root.value); }

 private:
  void begin() noexcept;
  void give(const command& next) noexcept;

  hardware::guest guest_;
  general_registers registers_{};
  quire::input_address area_;
  command next_{};  // not given yet where the servant did not ask yet
  bool has_next_ = false;
  bool asks_ = false;  // the servant waits in its call
};

}  // namespace bare
