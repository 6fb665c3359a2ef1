// SPDX-License-Identifier: MIT
// The fields of a VMCS, by their numbers, and how they are read and written.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, appendix "Field Encoding in VMCS",
// and "VMX Instruction Reference".
#pragma once

#include <cstdint>  // uint64_t

#include "contract.hpp"

namespace bare::vmx {

enum class field : std::uint64_t {
  guest_es = 0x800,
  guest_cs = 0x802,
  guest_ss = 0x804,
  guest_ds = 0x806,
  guest_fs = 0x808,
  guest_gs = 0x80a,
  guest_ldtr = 0x80c,
  guest_tr = 0x80e,
  host_es = 0xc00,
  host_cs = 0xc02,
  host_ss = 0xc04,
  host_ds = 0xc06,
  host_fs = 0xc08,
  host_gs = 0xc0a,
  host_tr = 0xc0c,
  ept_pointer = 0x201a,
  exception_information = 0x202a,
  guest_physical_address = 0x2400,
  link_pointer = 0x2800,
  guest_debugctl = 0x2802,
  pin_based_controls = 0x4000,
  processor_based_controls = 0x4002,
  exception_bitmap = 0x4004,
  exit_controls = 0x400c,
  entry_controls = 0x4012,
  secondary_controls = 0x401e,
  instruction_error = 0x4400,
  exit_reason = 0x4402,
  exit_interruption = 0x4404,
  guest_es_limit = 0x4800,
  guest_cs_limit = 0x4802,
  guest_ss_limit = 0x4804,
  guest_ds_limit = 0x4806,
  guest_fs_limit = 0x4808,
  guest_gs_limit = 0x480a,
  guest_ldtr_limit = 0x480c,
  guest_tr_limit = 0x480e,
  guest_es_rights = 0x4814,
  guest_cs_rights = 0x4816,
  guest_ss_rights = 0x4818,
  guest_ds_rights = 0x481a,
  guest_fs_rights = 0x481c,
  guest_gs_rights = 0x481e,
  guest_ldtr_rights = 0x4820,
  guest_tr_rights = 0x4822,
  exit_qualification = 0x6400,
  guest_cr0 = 0x6800,
  guest_cr3 = 0x6802,
  guest_cr4 = 0x6804,
  guest_dr7 = 0x681a,
  guest_rsp = 0x681c,
  guest_rip = 0x681e,
  guest_rflags = 0x6820,
  host_cr0 = 0x6c00,
  host_cr3 = 0x6c02,
  host_cr4 = 0x6c04,
  host_idtr_base = 0x6c0e,
  host_gdtr_base = 0x6c0c,
};

// Every VMX instruction says by CF or ZF that it failed.
inline void write(field which, std::uint64_t value) noexcept {
  bool failed;
  asm volatile("vmwrite %2, %1" : "=@ccna"(failed) : "r"(which), "rm"(value) : "memory");
  if (failed) contract_broken("vmwrite");
}
[[nodiscard]] inline std::uint64_t read(field which) noexcept {
  bool failed;
  std::uint64_t value;
  asm volatile("vmread %2, %1" : "=@ccna"(failed), "=rm"(value) : "r"(which) : "memory");
  if (failed) contract_broken("vmread");
  return value;
}

}  // namespace bare::vmx
