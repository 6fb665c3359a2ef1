// SPDX-License-Identifier: MIT
// Four vCPUs fault on one table: how long it takes until each has written a word to each page of its quarter of the
// memory, on the slow path and on the fast one, under a reader-writer lock and without locks. Medians, by the machine's
// clock. Where the emulator runs CPUs side by side that is the host's time, too noisy to be a check. Where it counts
// instructions, that clock counts those of all CPUs, one CPU at a time: BARE_LEAST_SAVED says how many percent the fast
// path must save under the lock.
#include <utility>  // swap

#include "csr.hpp"
#include "figures.hpp"
#include "harts.hpp"  // harts_take_turns
#include "logged_memory.hpp"

namespace {

using namespace bare;
using format = BARE_FORMAT;
using quire::fault_path;

constexpr unsigned repetitions = 5;
constexpr std::uint64_t ticks_in_millisecond = 10'000;  // QEMU's machine "virt"

class median {
 public:
  void add(std::uint64_t value) noexcept {
    for (unsigned i = 0; i < n_; ++i)
      if (value < values_[i]) std::swap(value, values_[i]);
    values_[n_++] = value;
  }
  [[nodiscard]] std::uint64_t operator()() const noexcept { return values_[n_ / 2]; }

 private:
  std::uint64_t values_[repetitions]{};
  unsigned n_ = 0;
};

template <class Locking>
class four_vcpus {
 public:
  four_vcpus() noexcept : memory_(guest_, fault_path::slow, splits::at_enable, quire::split_walk::skip_level) {
    for (unsigned cpu = 0; cpu < cpus(); ++cpu) {
      const std::uint64_t area = areas_.at() + cpu * guest_area_bytes;
      for (std::uint64_t i = 0; i < guest_area_bytes; i += 8) word_at(area + i) = word_at(guest_area() + i);
      if (cpu != 0) guest_.map(area_of(cpu), area, guest_area_bytes, leaf_for<format>(quire::all_access));
      workers_[cpu].all = this;
    }
    write_everything();
    check(memory_.enable(), "logging begins");
  }

  // Ticks, on either path. In turns: what else the host of the emulator does meets both.
  void operator()(median& slow, median& fast) noexcept {
    for (unsigned i = 0; i < repetitions; ++i)
      for (const auto path : {fault_path::slow, fault_path::fast}) {
        memory_.path = path;
        (path == fault_path::slow ? slow : fast).add(write_everything());
        check(memory_.get() && memory_.harvested() == memory_type::pages, "each page that was written is in the log",
              memory_.harvested());
        check(memory_.clear(memory_type::pages), "the log is cleared");
      }
  }

 private:
  using guest_type = guest<format, Locking, told_at_once<format>>;
  using memory_type = logged_memory<guest_type, 16U << 20U>;

  [[nodiscard]] static input_address area_of(unsigned cpu) noexcept {
    return area_in_guest + std::uint64_t{cpu} * guest_area_bytes;
  }

  struct worker {
    four_vcpus* all = nullptr;
    stock_of_tables tables = stock_for<format>();
    bool done = false;

    void work() noexcept {
      auto& memory = all->memory_;
      auto handler = memory.handler();
      all->guest_.use();
      vcpu runs{area_of(this_cpu())};
      const std::uint64_t pages = memory_type::pages / cpus();
      const std::uint64_t first = memory.first().value + this_cpu() * pages * memory.page;
      guest_exit left = runs.run({verb::fill, first, 1, pages, memory.page});
      while (memory.mend(handler, left, tables)) left = runs.resume();
      done = left.why == guest_exit::reason::done;
    }
  };

  std::uint64_t write_everything() noexcept {
    const std::uint64_t before = read<csr::time>();
    for (unsigned cpu = 1; cpu < cpus(); ++cpu)
      start(cpu, [](void* with) { static_cast<worker*>(with)->work(); }, &workers_[cpu]);
    workers_[0].work();
    for (unsigned cpu = 1; cpu < cpus(); ++cpu) wait_for(cpu);
    const std::uint64_t after = read<csr::time>();
    bool all_done = true;
    for (unsigned cpu = 0; cpu < cpus(); ++cpu) all_done = all_done && workers_[cpu].done;
    check(all_done, "every store is done in the end");
    return after - before;
  }

  host_memory areas_{most_cpus * guest_area_bytes};
  guest_type guest_;
  memory_type memory_;
  worker workers_[most_cpus]{};
};

// Gives how many percent of the time the fast path saves.
template <class Locking>
std::uint64_t compare(const char* name) {
  median slow_times, fast_times;
  four_vcpus<Locking>{}(slow_times, fast_times);
  const std::uint64_t slow = slow_times(), fast = fast_times();
  const auto line = [&](const char* path, tenths value, const char* unit) {
    say(name);
    say(path);
    say_tenths(value);
    say(unit);
    end_line();
  };
  line(".slow.dirty ", {slow, ticks_in_millisecond}, " milliseconds");
  line(".fast.dirty ", {fast, ticks_in_millisecond}, " milliseconds");
  line(".saved ", {fast < slow ? 100 * (slow - fast) : 0, slow}, " percent");
  return fast < slow ? 100 * (slow - fast) / slow : 0;
}

}  // namespace

void bare::program() {
  if (const char* obstacle = second_stage<format>::obstacle(); obstacle != nullptr) skip(obstacle);
#ifdef BARE_LEAST_SAVED
  harts_take_turns = true;
#endif
  const std::uint64_t saved = compare<faults_at_once>("shared");
#ifdef BARE_LEAST_SAVED
  check(saved >= BARE_LEAST_SAVED, "the fast path saves enough", saved);
#endif
  static_cast<void>(saved);
  static_cast<void>(compare<all_at_once>("concurrent"));
  finish();
}
