// SPDX-License-Identifier: MIT
#include "cpu.hpp"

#include "pages.hpp"    // page_bytes
#include "rw_lock.hpp"  // rw_lock

namespace kernel {
namespace {

constinit cpu cpus[cpu_count];
constinit unsigned current = 0;  // a register of the processor on a real machine

constexpr std::size_t queue_size = 4;
constinit flush queue[queue_size];  // the last ones posted: generation g is in queue[g % queue_size]
constinit std::uint64_t posted = 0;
constinit rw_lock queue_lock;  // guards queue, posted

}  // namespace

const translation* cpu::find(unsigned vmid, std::uint64_t page) const noexcept {
  const translation& at = cache_[page % cache_size];
  return at.vmid == vmid && at.page == page ? &at : nullptr;
}

void cpu::drop(const flush& what) noexcept {
  for (translation& each : cache_) {
    if (each.vmid != what.vmid) continue;
    if (what.first / page_bytes <= each.page && each.page <= what.last / page_bytes) each = {};
  }
}

void cpu::take_interrupt() noexcept {
  queue_lock.lock_shared();
  const std::uint64_t until = posted;
  if (until - acknowledged_ > queue_size) {
    for (translation& each : cache_) each = {};  // some are no longer in the queue
  } else {
    for (std::uint64_t g = acknowledged_ + 1; g <= until; ++g) drop(queue[g % queue_size]);
  }
  queue_lock.unlock_shared();
  __atomic_store_n(&acknowledged_, until, __ATOMIC_RELEASE);
}

std::size_t cpu::cached(unsigned vmid) const noexcept {
  std::size_t count = 0;
  for (const translation& each : cache_) count += each.vmid == vmid ? 1U : 0U;
  return count;
}

cpu& this_cpu() noexcept { return cpus[current]; }

void run_on(unsigned number) noexcept { current = number % cpu_count; }

std::uint64_t post_flush(const flush& what) noexcept {
  const write_guard guard(queue_lock);
  ++posted;
  queue[posted % queue_size] = what;
  return posted;
}

void await_flush(std::uint64_t generation) noexcept {
  for (cpu& each : cpus)
    while (each.acknowledged() < generation) each.take_interrupt();
}

std::size_t cached_anywhere(unsigned vmid) noexcept {
  std::size_t count = 0;
  for (const cpu& each : cpus) count += each.cached(vmid);
  return count;
}

}  // namespace kernel
