// SPDX-License-Identifier: MIT
#include "guest_life.hpp"

#include <initializer_list>  // initializer_list

#include "guest_memory.hpp"  // guest_memory
#include "vcpu.hpp"          // vcpu

namespace hypervisor {
namespace {

using kernel::print;

class expectations {
 public:
  void operator()(bool holds, const char* what) noexcept {
    if (holds) return;
    print("  WRONG: ", what, "\n");
    ++broken_;
  }
  [[nodiscard]] unsigned broken() const noexcept { return broken_; }

 private:
  unsigned broken_ = 0;
};

template <quire::pte_format Format>
class life {
  using guest_type = guest_memory<Format>;
  static constexpr std::uint64_t blocks = guest_type::bytes / guest_type::block_bytes;
  static constexpr std::uint64_t last_page = guest_type::pages - 1;

 public:
  life(page_allocator& memory, unsigned vmid, expectations& expect) noexcept
      : expect_(expect),
        guest_(memory, vmid),
        first_(guest_, memory, 0),
        second_(guest_, memory, 1),
        stock_(&memory, physical_memory{}, kernel::page_bytes) {}

  // All but the last block is mapped beforehand, the last one when the guest touches it.
  void boot() noexcept {
    const auto range = quire::input_range::sized(guest_.first, guest_.bytes - guest_.block_bytes);
    expect_(guest_.create().has_value() && guest_.map(range, guest_.output, stock_).has_value(),
            "the guest has memory");
    expect_(second_.read(last_page) == fault_counts{.slow = 1}, "a touch of the last block is one fault");
    for (const std::uint64_t page : {std::uint64_t{0}, last_page}) expect_(level_of(page) == 1, "blocks are mapped");
    const auto found = guest_.walk(guest_.first + 5 * kernel::page_bytes + 8);
    expect_(found && found->translate(guest_.first + 8) == guest_.output + 8, "addresses lead where they should");
    expect_(first_.write(5) == fault_counts{} && second_.write(last_page) == fault_counts{}, "blocks are writable");
    print("  ", blocks, " blocks mapped, ", kernel::cached_anywhere(guest_.vmid()), " translations cached\n");
  }

  // Both processors have cached that they may write pages 5 and the last one: they must learn that this is over.
  void log_writes() noexcept {
    const auto started = guest_.start_logging();
    expect_(started && started->split.leaves == blocks && level_of(last_page) == 0, "every block is split");
    fault_counts faults = first_.write(5);
    faults.fast += second_.write(last_page).fast;
    expect_(faults == fault_counts{.fast = 2}, "the first write of a page is one fast fault");
    expect_(first_.write(5) == fault_counts{}, "the second is none");
    expect_harvest({5, last_page});
    expect_harvest({});
    print("  logging: ", started.value_or({}).split.tables, " tables for the split, two pages written and harvested\n");
  }

  void log_writes_again() noexcept {
    expect_(second_.read(5) == fault_counts{}, "a harvested page can be read");
    expect_(first_.write(5) == fault_counts{.fast = 1}, "a harvested page faults again");
    expect_(second_.write(5) == fault_counts{.fast = 1}, "one that has cached that it may not write finds that it may");
    expect_harvest({5});
    const auto stopped = guest_.stop_logging();
    expect_(stopped && stopped->blocks_recovered == blocks && level_of(5) == 1, "every block is whole again");
    expect_(first_.write(5) == fault_counts{}, "blocks are writable again");
    print("  logging ended, ", stopped.value_or({}).blocks_recovered, " blocks recovered\n");
  }

  void die() noexcept {
    const auto page = quire::input_range::sized(guest_.first + 5 * kernel::page_bytes, kernel::page_bytes);
    expect_(!guest_.unmap(page).has_value(), "no block is split without a table in stock");
    expect_(first_.write(5) == fault_counts{}, "and nothing has changed");
    const auto gone = guest_.unmap(guest_.all);
    expect_(gone && gone->entries == blocks && !guest_.walk(guest_.first), "everything is unmapped");
    expect_(kernel::cached_anywhere(guest_.vmid()) == 0, "no cache remembers the guest");
    guest_.destroy();
    print("  ", gone.value_or({}).entries, " blocks unmapped\n");
  }

 private:
  [[nodiscard]] int level_of(std::uint64_t page) noexcept {
    const auto found = guest_.walk(guest_.first + page * kernel::page_bytes);
    return found ? found->level : -1;
  }

  void expect_harvest(std::initializer_list<std::uint64_t> pages) noexcept {
    std::uint64_t dirty[guest_type::log_words]{};
    expect_(guest_.harvest(dirty).has_value(), "the log can be taken");
    for (const std::uint64_t page : pages) {
      expect_((dirty[page / 64] >> (page % 64) & 1U) != 0, "a written page is in the log");
      dirty[page / 64] &= ~(std::uint64_t{1} << (page % 64));
    }
    std::uint64_t surplus = 0;
    for (const std::uint64_t word : dirty) surplus |= word;
    expect_(surplus == 0, "no other page is in the log");
  }

  expectations& expect_;
  guest_type guest_;
  vcpu<Format> first_;
  vcpu<Format> second_;
  table_stock stock_;
};

template <quire::pte_format Format>
void live(const char* name, unsigned vmid, expectations& expect) noexcept {
  print(name, ", a root of ", quire::root_table_bytes<Format>, " bytes\n");
  page_allocator memory;
  const kernel::physical other = kernel::allocate_pages(kernel::page_bytes);  // memory is in use, as it is in a kernel
  const std::size_t before = kernel::free_page_count();
  {
    life<Format> guest(memory, vmid, expect);
    guest.boot();
    guest.log_writes();
    guest.log_writes_again();
    guest.die();
  }
  expect(kernel::free_page_count() == before, "every page has come back");
  kernel::free_pages(other, kernel::page_bytes);
  print("  all pages back, ", kernel::free_page_count(), " free\n");
}

}  // namespace

unsigned run_guests() noexcept {
  expectations expect;
  live<quire::riscv::sv39x4>("riscv sv39x4", 1, expect);
  live<quire::arm64::stage2_4k<40>>("arm64 stage 2, 40 bits", 2, expect);
  print(expect.broken() == 0 ? "all as it should be\n" : "NOT as it should be\n");
  return expect.broken();
}

}  // namespace hypervisor
