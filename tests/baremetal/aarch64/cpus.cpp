// SPDX-License-Identifier: MIT
// Several CPUs: turned on by the firmware, given work, woken by an interrupt.
//
// Source: Arm Power State Coordination Interface (DEN 0022), "CPU_ON"; GIC architecture specification (IHI 0069),
// chapter 12 "Programmers' Model". Addresses: QEMU, hw/arm/virt.c. Affinity level 0 is the number of the CPU.
#include <quire/atomic.hpp>  // load, store

#include "cpu.hpp"
#include "machine.hpp"

namespace bare {

extern "C" void begin_cpu();  // start.S

namespace {

using quire::order;

struct processor {
  void (*work)(void*) = nullptr;
  void* with = nullptr;
  std::uint64_t interrupted = 0;
};
constinit processor all[most_cpus]{};
constinit unsigned turned_on = 1;

// Of the distributor and of each CPU's redistributor, which is two frames of 64 KiB.
constexpr std::uint64_t distributor = 0x800'0000, redistributors = 0x80a'0000, redistributor_bytes = 0x2'0000,
                        second_frame = 0x1'0000;

void set_device(std::uint64_t address, std::uint32_t value) noexcept {
  *reinterpret_cast<volatile std::uint32_t*>(address) = value;
}

// A software-generated interrupt, number 0. What was written before is there when it arrives.
void ring(unsigned cpu) noexcept {
  asm volatile("dsb ishst" : : : "memory");
  icc_sgi1r_el1::write(std::uint64_t{1} << cpu);
  isb();
}

// An interrupt that comes between the look and wfi ends the wfi, masked or not.
template <class Condition>
void sleep_until(Condition holds) noexcept {
  for (;;) {
    take_interrupt();
    if (holds()) return;
    asm volatile("dsb sy\n wfi" : : : "memory");
  }
}

bool has_work(unsigned cpu) noexcept { return quire::atomic::load(&all[cpu].work, order::acquire) != nullptr; }

// CPU_ON for 64 bits; 0 is success.
std::uint64_t turn_on(unsigned cpu) noexcept {
  register std::uint64_t x0 asm("x0") = 0xc400'0003;
  register std::uint64_t x1 asm("x1") = cpu;
  register std::uint64_t x2 asm("x2") = reinterpret_cast<std::uint64_t>(&begin_cpu);
  register std::uint64_t x3 asm("x3") = cpu;
  asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
  return x0;
}

}  // namespace

unsigned this_cpu() noexcept { return static_cast<unsigned>(tpidr_el2::read()); }
unsigned cpus() noexcept { return turned_on; }

void start_other_cpus() noexcept {
  set_device(distributor, 0x12);  // GICD_CTLR: ARE, EnableGrp1
  while (turned_on < most_cpus && turn_on(turned_on) == 0) ++turned_on;
}

void start(unsigned cpu, void (*work)(void*), void* with) noexcept {
  all[cpu].with = with;
  quire::atomic::store(&all[cpu].work, work, order::release);
  ring(cpu);
}
void wait_for(unsigned cpu) noexcept {
  sleep_until([cpu] { return !has_work(cpu); });
}
void pause() noexcept { asm volatile("yield"); }

void interrupt_guest(unsigned cpu) noexcept {
  quire::atomic::store(&all[cpu].interrupted, std::uint64_t{1}, order::release);
  ring(cpu);
}
bool is_guest_interrupted() noexcept {
  std::uint64_t& word = all[this_cpu()].interrupted;
  if (quire::atomic::load(&word, order::acquire) == 0) return false;
  quire::atomic::store(&word, std::uint64_t{0}, order::relaxed);
  return true;
}

[[noreturn]] void idle() noexcept {
  processor& mine = all[this_cpu()];
  for (;;) {
    sleep_until([] { return has_work(this_cpu()); });
    mine.work(mine.with);
    quire::atomic::store(&mine.work, static_cast<void (*)(void*)>(nullptr), order::release);
    ring(0);
  }
}

void hear_interrupts() noexcept {
  const std::uint64_t mine = redistributors + this_cpu() * redistributor_bytes;
  set_device(mine + 0x14, 0);                        // GICR_WAKER: ProcessorSleep off
  set_device(mine + second_frame + 0x80, ~0U);       // GICR_IGROUPR0: all in group 1
  set_device(mine + second_frame + 0x100, 1U << 0);  // GICR_ISENABLER0
  icc_sre_el2::write(icc_sre_el2::read() | 1U);      // by system registers
  isb();
  icc_pmr_el1::write(0xff);
  icc_igrpen1_el1::write(1);
  isb();
}

void take_interrupt() noexcept {
  constexpr std::uint64_t first_special = 1020;
  const std::uint64_t number = icc_iar1_el1::read();
  asm volatile("dsb sy" : : : "memory");
  if (number < first_special) icc_eoir1_el1::write(number);
  isb();
}

}  // namespace bare
