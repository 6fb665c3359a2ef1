// SPDX-License-Identifier: MIT
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Secure Virtual Machine", with the appendices "VMCB Layout"
// and "SVM Intercept Exit Codes"; Volume 3, CPUID functions 8000_0001h and 8000_000Ah.
#include "svm.hpp"

#include "contract.hpp"
#include "cpu.hpp"

namespace bare::svm {

extern "C" void svm_enter(vmcb*, general_registers*);  // svm_enter.S

namespace {

constexpr std::uint32_t msr_efer = 0xc000'0080, msr_vm_hsave_pa = 0xc001'0117;
constexpr std::uint64_t efer_svme = 0x1000;
constexpr std::uint32_t intercept_hlt_and_shutdown = 0x8100'0000, intercept_vmrun_and_vmmcall = 0x3;
constexpr std::uint64_t exit_vmmcall = 0x81, exit_nested_page_fault = 0x400;
constexpr std::uint32_t flush_everything = 1, flush_this_asid = 3;  // TLB_CONTROL
constexpr unsigned most_asids = 64;

alignas(4096) constinit std::uint8_t host_save_area[4096]{};

constinit struct {
  std::uint64_t root = 0;
  unsigned asid = 1;
} walked;
constinit std::uint64_t flush_due = 0;  // a bit for each ASID

bool flushes_by_asid() noexcept { return (cpuid(0x8000'000a).edx >> 6 & 1U) != 0; }

}  // namespace

const char* obstacle() noexcept {
  if ((cpuid(0x8000'0001).ecx >> 2 & 1U) == 0) return "the CPU has no SVM";
  if ((cpuid(0x8000'000a).edx & 1U) == 0) return "the CPU has no nested paging";
  return nullptr;
}

void turn_on() noexcept {
  if (obstacle() != nullptr) return;
  write_msr(msr_efer, read_msr(msr_efer) | efer_svme);
  write_msr(msr_vm_hsave_pa, reinterpret_cast<std::uint64_t>(host_save_area));
}

void flush(unsigned asid) noexcept {
  if (asid >= most_asids) contract_broken("an ASID below 64");
  flush_due |= std::uint64_t{1} << asid;
}

void walk(quire::table_address root, unsigned asid) noexcept {
  if (asid >= cpuid(0x8000'000a).ebx) contract_broken("an ASID that the CPU has");
  walked = {root.value, asid};
  flush(asid);
}

guest::guest() noexcept {
  constexpr std::uint16_t code = 0xa9b, data = 0xc93;
  control_.intercept_exceptions = ~0U;
  control_.intercept_1 = intercept_hlt_and_shutdown;
  control_.intercept_2 = intercept_vmrun_and_vmmcall;
  control_.nested_control = 1;  // NP_ENABLE
  control_.cs = {.selector = 0x08, .attributes = code};
  control_.es = control_.ss = control_.ds = control_.fs = control_.gs = {.selector = 0x10, .attributes = data};
  control_.efer = efer_of_guest | efer_svme;  // VMRUN insists
  control_.cr0 = cr0_of_guest;
  control_.cr4 = cr4_of_guest;
  control_.dr7 = dr7_at_power_up;
  control_.pat = pat_at_power_up;
}

void guest::begin(std::uint64_t rip, std::uint64_t rsp) noexcept {
  control_.rip = rip;
  control_.rsp = rsp;
  control_.rflags = rflags_of_guest;
}

// What the TLB holds of the old tables has the same ASID.
void guest::use_cr3(std::uint64_t cr3) noexcept {
  if (control_.cr3 == cr3) return;
  control_.cr3 = cr3;
  flush(walked.asid);
}

guest_exit guest::enter(general_registers& registers) noexcept {
  const std::uint64_t mine = std::uint64_t{1} << walked.asid;
  const std::uint32_t how = flushes_by_asid() ? flush_this_asid : flush_everything;
  control_.nested_cr3 = walked.root;
  control_.asid = walked.asid;
  control_.tlb_control = (flush_due & mine) != 0 ? how : 0;
  flush_due &= ~mine;
  control_.rax = registers.rax;
  svm_enter(&control_, &registers);
  registers.rax = control_.rax;

  guest_exit left{.syndrome = control_.exit_code << 40 | control_.exit_info_1};
  if (control_.exit_code == exit_vmmcall) {
    left.why = guest_exit::reason::done;
  } else if (control_.exit_code == exit_nested_page_fault) {
    // "Nested versus Guest Page Faults, Fault Ordering": EXITINFO1 is the error code of a page fault, and more.
    const std::uint64_t error = control_.exit_info_1;
    const bool reserved = (error >> 3 & 1U) != 0;
    left.why = reserved ? guest_exit::reason::other : guest_exit::reason::fault;
    left.address = quire::input_address{control_.exit_info_2};
    left.access = (error >> 4 & 1U) != 0   ? quire::executable
                  : (error >> 1 & 1U) != 0 ? quire::writable
                                           : quire::readable;
    left.of_guest_tables = (error >> 33 & 1U) != 0;
  }
  return left;
}

}  // namespace bare::svm
