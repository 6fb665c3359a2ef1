// SPDX-License-Identifier: MIT
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "Virtual Machine Control Structures",
// "VMX Non-Root Operation", "VM Entries", appendices "VMX Capability Reporting Facility" and "VMX Basic Exit Reasons".
#include "vmx.hpp"

#include "contract.hpp"
#include "cpu.hpp"
#include "vmcs_fields.hpp"

namespace bare::vmx {

extern "C" bool vmx_enter(bool launched, general_registers*);  // vmx_enter.S

namespace {

constexpr std::uint32_t msr_feature_control = 0x3a, msr_basic = 0x480, msr_pin_based = 0x481,
                        msr_processor_based = 0x482, msr_exit = 0x483, msr_entry = 0x484, msr_cr0_fixed0 = 0x486,
                        msr_cr4_fixed0 = 0x488, msr_secondary = 0x48b, msr_ept_vpid_cap = 0x48c;
constexpr std::uint32_t hlt_exiting = 1U << 7, activate_secondary = 1U << 31;
constexpr std::uint32_t enable_ept = 1U << 1, enable_violation_exceptions = 1U << 18,
                        enable_mode_based_execute = 1U << 22;
constexpr std::uint32_t host_address_space_size = 1U << 9, ia32e_mode_guest = 1U << 9;
constexpr std::uint64_t cr4_vmxe = 0x2000;
constexpr std::uint64_t exit_exception = 0, exit_vmcall = 18, exit_ept_violation = 48, exit_ept_misconfiguration = 49;
constexpr std::uint64_t entry_failed = std::uint64_t{1} << 31;

alignas(4096) constinit std::uint8_t vmxon_region[4096]{};
alignas(4096) constinit std::uint32_t exception_information[1024]{};

constinit tables walked{};

// "Reserved Controls and Default Settings": the lower half of a capability MSR must be 1, the upper half may be 1.
std::uint64_t allowed(std::uint32_t msr, std::uint32_t wanted) noexcept {
  const std::uint64_t capability = read_msr(msr);
  return (wanted | (capability & 0xffff'ffffU)) & (capability >> 32);
}
bool can_have(std::uint32_t msr, std::uint32_t control) noexcept { return (read_msr(msr) >> 32 & control) == control; }

const char* obstacle_to_ept() noexcept {
  if ((cpuid(1).ecx >> 5 & 1U) == 0) return "the CPU has no VMX";
  if ((read_msr(msr_feature_control) & 5U) == 1) return "VMX is disabled (IA32_FEATURE_CONTROL)";
  if (!can_have(msr_processor_based, activate_secondary) || !can_have(msr_secondary, enable_ept))
    return "the CPU has no EPT";
  return nullptr;
}

void write_revision(std::uint8_t* region) noexcept {
  *reinterpret_cast<std::uint32_t*>(region) = static_cast<std::uint32_t>(read_msr(msr_basic) & 0x7fff'ffffU);
}

}  // namespace

const char* obstacle(const requirements& wanted) noexcept {
  if (const char* why = obstacle_to_ept(); why != nullptr) return why;
  const std::uint64_t capability = read_msr(msr_ept_vpid_cap);
  const auto has = [capability](int bit) { return (capability >> bit & 1U) != 0; };
  if (!has(wanted.levels == 5 ? 7 : 6)) return "the walk of the EPT does not have that many levels";
  if (!has(14)) return "the EPT cannot lie in write-back memory";
  if (!has(16) || !has(17)) return "the EPT has no blocks of 2 MiB and of 1 GiB";
  if (!has(20) || !has(26)) return "the CPU has no INVEPT of all contexts";
  if (wanted.accessed_dirty && !has(21)) return "the EPT has no accessed and dirty flags";
  if (wanted.execute_only && !has(0)) return "the EPT has no execute-only pages";
  if (wanted.mode_based_execute && !can_have(msr_secondary, enable_mode_based_execute))
    return "the EPT has no mode-based execute control";
  if (wanted.violations_are_exceptions && !can_have(msr_secondary, enable_violation_exceptions))
    return "the CPU has no virtualization exception";
  return nullptr;
}

void turn_on() noexcept {
  if (obstacle_to_ept() != nullptr) return;
  if ((read_msr(msr_feature_control) & 1U) == 0) write_msr(msr_feature_control, 5);  // locked, VMX outside SMX
  asm volatile("mov %0, %%cr0" : : "r"(read_cr0() | read_msr(msr_cr0_fixed0)));
  asm volatile("mov %0, %%cr4" : : "r"(read_cr4() | read_msr(msr_cr4_fixed0) | cr4_vmxe));
  write_revision(vmxon_region);
  const auto region = reinterpret_cast<std::uint64_t>(vmxon_region);
  bool failed;
  asm volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "memory");
  if (failed) contract_broken("vmxon");
}

void forget_everything() noexcept {
  constexpr std::uint64_t all_contexts = 2;
  const std::uint64_t descriptor[2]{};
  bool failed;
  asm volatile("invept %1, %2" : "=@ccna"(failed) : "m"(descriptor), "r"(all_contexts) : "memory");
  if (failed) contract_broken("invept");
}

void walk(const tables& wanted) noexcept {
  walked = wanted;
  forget_everything();
}

// Fields that are to be 0 are not written: no emulator finds anything else in a region of zeros.
guest::guest() noexcept {
  write_revision(vmcs_);
  const auto region = reinterpret_cast<std::uint64_t>(vmcs_);
  bool failed;
  asm volatile("vmclear %1" : "=@ccna"(failed) : "m"(region) : "memory");
  if (failed) contract_broken("vmclear");
  make_current();

  write(field::pin_based_controls, allowed(msr_pin_based, 0));
  write(field::processor_based_controls, allowed(msr_processor_based, hlt_exiting | activate_secondary));
  write(field::exit_controls, allowed(msr_exit, host_address_space_size));
  write(field::entry_controls, allowed(msr_entry, ia32e_mode_guest));
  write(field::exception_bitmap, 0xffff'ffff);
  write(field::link_pointer, ~std::uint64_t{0});

  constexpr std::uint64_t code = 0xa09b, data = 0xc093, busy_tss = 0x8b, unusable = 0x1'0000;
  write(field::guest_cs, 0x08);
  write(field::guest_cs_limit, 0xffff'ffff);
  write(field::guest_cs_rights, code);
  write(field::guest_tr, 0x18);
  write(field::guest_tr_limit, 0x67);
  write(field::guest_tr_rights, busy_tss);
  write(field::guest_ldtr_rights, unusable);
  constexpr struct {
    field selector, limit, rights;
  } segments[] = {{field::guest_es, field::guest_es_limit, field::guest_es_rights},
                  {field::guest_ss, field::guest_ss_limit, field::guest_ss_rights},
                  {field::guest_ds, field::guest_ds_limit, field::guest_ds_rights},
                  {field::guest_fs, field::guest_fs_limit, field::guest_fs_rights},
                  {field::guest_gs, field::guest_gs_limit, field::guest_gs_rights}};
  for (const auto& segment : segments) {
    write(segment.selector, 0x10);
    write(segment.limit, 0xffff'ffff);
    write(segment.rights, data);
  }
  write(field::guest_cr0, cr0_of_guest | read_msr(msr_cr0_fixed0));
  write(field::guest_cr4, cr4_of_guest | read_msr(msr_cr4_fixed0));
  write(field::guest_dr7, dr7_at_power_up);

  struct [[gnu::packed]] {
    std::uint16_t limit;
    std::uint64_t base;
  } gdtr{}, idtr{};
  asm volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
  write(field::host_gdtr_base, gdtr.base);
  write(field::host_idtr_base, idtr.base);
  write(field::host_cs, 0x08);
  constexpr field data_selectors[] = {field::host_es, field::host_ss, field::host_ds, field::host_fs, field::host_gs};
  for (const field selector : data_selectors) write(selector, 0x10);
  write(field::host_tr, 0x18);
  write(field::host_cr0, read_cr0());
  write(field::host_cr3, read_cr3());
  write(field::host_cr4, read_cr4());
}

guest::~guest() {
  const auto region = reinterpret_cast<std::uint64_t>(vmcs_);
  asm volatile("vmclear %0" : : "m"(region) : "cc", "memory");
}

void guest::make_current() noexcept {
  const auto region = reinterpret_cast<std::uint64_t>(vmcs_);
  bool failed;
  asm volatile("vmptrld %1" : "=@ccna"(failed) : "m"(region) : "memory");
  if (failed) contract_broken("vmptrld");
}

void guest::begin(std::uint64_t rip, std::uint64_t rsp) noexcept {
  make_current();
  write(field::guest_rip, rip);
  write(field::guest_rsp, rsp);
  write(field::guest_rflags, rflags_of_guest);
}

// Without VPIDs an entry forgets what is the guest's own.
void guest::use_cr3(std::uint64_t cr3) noexcept {
  make_current();
  write(field::guest_cr3, cr3);
}

void guest::skip_call() noexcept {
  make_current();
  write(field::guest_rip, read(field::guest_rip) + 3);
}

guest_exit guest::enter(general_registers& registers) noexcept {
  make_current();
  write(field::ept_pointer, walked.eptp);
  write(field::secondary_controls,
        allowed(msr_secondary, enable_ept | (walked.mode_based_execute ? enable_mode_based_execute : 0) |
                                   (walked.violations_are_exceptions ? enable_violation_exceptions : 0)));
  if (walked.violations_are_exceptions) {
    // "Convertible EPT Violations": only where the second word is 0, which the exception sets.
    exception_information[1] = 0;
    write(field::exception_information, reinterpret_cast<std::uint64_t>(exception_information));
  }
  if (!vmx_enter(launched_, &registers)) return {.syndrome = entry_failed << 32 | read(field::instruction_error)};
  launched_ = true;

  const std::uint64_t reason = read(field::exit_reason);
  const std::uint64_t qualification = read(field::exit_qualification);
  guest_exit left{.syndrome = reason << 32 | (qualification & 0xffff'ffff)};
  if (reason == exit_vmcall) {
    left.why = guest_exit::reason::done;
  } else if (reason == exit_ept_violation || reason == exit_ept_misconfiguration) {
    // "Exit Qualification for EPT Violations": bits 2 to 0 are fetch, write and read, of which several may be set.
    // Where bit 7 says that there is a linear address, bit 8 says whether it was the access itself and not the guest's
    // walk.
    left.why = reason == exit_ept_violation ? guest_exit::reason::fault : guest_exit::reason::other;
    left.address = quire::input_address{read(field::guest_physical_address)};
    left.access = (qualification >> 2 & 1U) != 0   ? quire::executable
                  : (qualification >> 1 & 1U) != 0 ? quire::writable
                                                   : quire::readable;
    left.of_guest_tables = (qualification >> 7 & 3U) == 1;
  } else if (reason == exit_exception) {
    left.address = quire::input_address{qualification};
    left.syndrome = read(field::exit_interruption);
  }
  return left;
}

}  // namespace bare::vmx
