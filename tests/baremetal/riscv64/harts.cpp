// SPDX-License-Identifier: MIT
// Several harts: work for them, sleep, and the fences that they send to one another.
//
// Source: RISC-V ACLINT specification (the CLINT of QEMU's machine "virt" is an MSWI and an MTIMER of it).
#include "harts.hpp"

#include <quire/atomic.hpp>  // load, store

#include "csr.hpp"
#include "machine.hpp"

namespace bare {

namespace {

using quire::order;

// A queue: a sender that waited for each fence would wait for the host's scheduler of an emulator each time.
struct mailbox {
  static constexpr std::uint64_t places = 64;
  quire::riscv::gstage_fence fences[places]{};
  std::uint64_t sent = 0, executed = 0;  // so far
};
struct hart {
  void (*work)(void*) = nullptr;
  void* with = nullptr;
  std::uint64_t listens_to = 0;  // VMID + 1
  std::uint64_t interrupted = 0;
  mailbox from[most_cpus]{};
};
constinit hart all[most_cpus]{};

constexpr std::uint64_t msip = 0x200'0000, mtimecmp = 0x200'4000, software_interrupt = 1U << 1;

void ring(unsigned cpu) noexcept {
  asm volatile("fence w, o" : : : "memory");
  *reinterpret_cast<volatile std::uint32_t*>(msip + 4 * cpu) = 1;
}

template <class Condition>
void sleep_until(Condition holds) noexcept {
  for (;;) {
    take_interrupt();
    if (holds()) return;
    asm volatile("wfi");
  }
}

bool has_work(unsigned cpu) noexcept { return quire::atomic::load(&all[cpu].work, order::acquire) != nullptr; }

}  // namespace

unsigned this_cpu() noexcept {
  std::uint64_t tp;
  asm volatile("mv %0, tp" : "=r"(tp));
  return static_cast<unsigned>(tp);
}

// What is not there reads as 0.
unsigned cpus() noexcept {
  unsigned n = 1;
  for (; n < most_cpus; ++n) {
    const auto compared = reinterpret_cast<volatile std::uint64_t*>(mtimecmp + 8 * n);
    *compared = ~std::uint64_t{0};
    if (*compared == 0) break;
  }
  return n;
}

void start(unsigned cpu, void (*work)(void*), void* with) noexcept {
  all[cpu].with = with;
  quire::atomic::store(&all[cpu].work, work, order::release);
  ring(cpu);
}
void wait_for(unsigned cpu) noexcept {
  sleep_until([cpu] { return !has_work(cpu); });
}
void pause() noexcept {
  execute_fences_sent_here();
  if (harts_take_turns) {
    // An interrupt that is pending, enabled and, outside of a guest, never taken: wfi ends at once.
    constexpr std::uint64_t vs_software = 1U << 2;
    set_bits<csr::hie>(vs_software);
    set_bits<csr::hvip>(vs_software);
    asm volatile("wfi");
    clear_bits<csr::hvip>(vs_software);
    return;
  }
  asm volatile(".word 0x0100000f");  // pause, of Zihintpause; elsewhere a fence that orders nothing
}

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

extern "C" [[noreturn]] void idle() {
  hart& mine = all[this_cpu()];
  for (;;) {
    sleep_until([] { return has_work(this_cpu()); });
    mine.work(mine.with);
    quire::atomic::store(&mine.work, static_cast<void (*)(void*)>(nullptr), order::release);
    ring(0);
  }
}

// The fence between: whoever changes a table either finds this hart listening, or the hfence that follows is after the
// change.
void hear_fences_of(unsigned vmid) noexcept {
  quire::atomic::store(&all[this_cpu()].listens_to, std::uint64_t{vmid} + 1, order::relaxed);
  quire::atomic::fence(order::seq_cst);
  harts{}.hfence_gvma_all(vmid);
}

void execute_fences_sent_here() noexcept {
  harts here;
  for (mailbox& box : all[this_cpu()].from) {
    for (std::uint64_t next = box.executed; next != quire::atomic::load(&box.sent, order::acquire); ++next) {
      box.fences[next % mailbox::places].execute<quire::riscv::hfence_options{}>(here);
      quire::atomic::store(&box.executed, next + 1, order::release);
    }
  }
}

// Cleared before the mailboxes are looked at: whatever comes after that look interrupts again.
void take_interrupt() noexcept {
  clear_bits<csr::sip>(software_interrupt);
  execute_fences_sent_here();
}

void harts::send(const quire::riscv::gstage_fence& fence) noexcept {
  const unsigned self = this_cpu();
  quire::atomic::fence(order::seq_cst);
  for (unsigned cpu = 0; cpu < most_cpus; ++cpu) {
    if (cpu == self || quire::atomic::load(&all[cpu].listens_to, order::relaxed) != fence.vmid + 1) continue;
    mailbox& box = all[cpu].from[self];
    while (box.sent - quire::atomic::load(&box.executed, order::acquire) == mailbox::places) pause();
    box.fences[box.sent % mailbox::places] = fence;
    quire::atomic::store(&box.sent, box.sent + 1, order::release);
    ring(cpu);
  }
}
void harts::wait() noexcept {
  const unsigned self = this_cpu();
  for (const hart& each : all) {
    const mailbox& box = each.from[self];
    while (quire::atomic::load(&box.executed, order::acquire) != box.sent) pause();
  }
}

}  // namespace bare
