// SPDX-License-Identifier: MIT
// The x86-64 machine: SVM with nested page tables, or, with QUIRE_BARE_VMX defined, VMX with EPT. The guest's area
// holds its own tables (vcpu.hpp).
#pragma once

#include "cpu.hpp"
#include "formats.hpp"
#include "machine.hpp"
#include "vcpu.hpp"

namespace bare {

inline void turn_on_virtualization() noexcept { hardware::turn_on(); }

template <class F>
struct second_stage;

#ifdef QUIRE_BARE_VMX

template <int Levels, quire::intel::ept_options Options>
struct second_stage<quire::intel::ept<Levels, Options>> {
  using format = quire::intel::ept<Levels, Options>;
  using invalidation = vmx::ept_invalidation;

  [[nodiscard]] static const char* obstacle() noexcept {
    return vmx::obstacle({.levels = Levels,
                          .accessed_dirty = Options.accessed_dirty,
                          .execute_only = Options.execute_only,
                          .mode_based_execute = Options.mode_based_execute});
  }
  static void use(quire::table_address root, unsigned) noexcept {
    vmx::walk({.eptp = format::eptp(root), .mode_based_execute = Options.mode_based_execute});
  }
};

#else

template <int Levels, quire::x86::long_mode_options Options>
struct second_stage<quire::amd::npt<Levels, Options>> {
  using invalidation = svm::nested_invalidation;

  // "Nested Paging": the tables have as many levels as those of the host.
  [[nodiscard]] static const char* obstacle() noexcept {
    if (const char* why = svm::obstacle(); why != nullptr) return why;
    const bool host_has_5_levels = (read_cr4() >> 12 & 1U) != 0;  // LA57
    if (host_has_5_levels != (Levels == 5)) return "the host's own tables have another number of levels";
    return nullptr;
  }
  static void use(quire::table_address root, unsigned id) noexcept { svm::walk(root, invalidation::asid_of(id)); }
};

#endif

void write_function(void* at, unsigned number) noexcept;

}  // namespace bare
