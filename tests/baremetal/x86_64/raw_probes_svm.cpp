// SPDX-License-Identifier: MIT
// What the walker of nested page tables enforces.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Long-Mode Page Translation", "Page-Translation-Table Entry
// Fields", "Nested Paging", "Nested versus Guest Page Faults, Fault Ordering".
#include "raw_probes.hpp"

namespace {

using namespace bare;
using namespace bare::raw;

constexpr std::uint64_t p = 1U << 0, rw = 1U << 1, us = 1U << 2, pwt = 1U << 3, pcd = 1U << 4, a = 1U << 5, d = 1U << 6,
                        ps = 1U << 7, pat_of_page = 1U << 7, g = 1U << 8, pat_of_block = 1U << 12;
constexpr std::uint64_t nx = std::uint64_t{1} << 63;
constexpr std::uint64_t all_access = p | rw | us;

// EXITINFO1 of a fault at the final translation, and at one of the guest's own table.
constexpr std::uint64_t final_address = std::uint64_t{1} << 32, guest_table = std::uint64_t{1} << 33;
constexpr std::uint64_t present = 1, write = 2, user = 4, reserved = 8, fetch = 16;
constexpr std::uint64_t exit_code_shift = 40, nested_page_fault = std::uint64_t{0x400} << exit_code_shift;

class probes : public path_probes<probes> {
 public:
  probes() noexcept : path_probes(all_access, all_access) {}

  // `or_else`: what an emulator is known to report.
  void faults(const guest_exit& left, std::uint64_t error, const char* text, std::uint64_t or_else = 0) noexcept {
    const auto is = [&left](std::uint64_t e) {
      return left.syndrome == (nested_page_fault | final_address | e) &&
             left.address.value / page_bytes == probed / page_bytes;
    };
    judge(is(error), text, left, or_else != 0 && is(or_else) ? difference::told_otherwise : difference::none);
  }
  void faults(int level, std::uint64_t set, std::uint64_t cleared, const command& what, std::uint64_t error,
              const char* text, std::uint64_t or_else = 0) noexcept {
    faults(with_bits(level, set, cleared, what), error, text, or_else);
  }

  void rights() noexcept {
    works(0, 0, 0, load, first_word, "a page is read");
    works(0, 0, 0, store, 0, "a page is written");
    check(*word_at(tables_.memory() + 8) == 5, "the store is in memory");
    works(0, 0, 0, call, 0, "a page is executed");
    faults(0, 0, p, load, user, "P clear, load");
    faults(0, 0, p, store, write | user, "P clear, store");
    faults(0, 0, p, call, fetch | user, "P clear, fetch");
    faults(0, 0, p, add, write | user, "P clear, read and write in one is a write", user);
    works(0, 0, rw, load, first_word, "RW clear, load");
    works(0, 0, rw, call, 0, "RW clear, fetch");
    faults(0, 0, rw, store, present | write | user, "RW clear, store");
    works(0, nx, 0, load, first_word, "NX, load");
    faults(0, nx, 0, call, present | fetch | user, "NX, fetch");
    faults(0, 0, us, load, present | user, "US clear, load");
    faults(1, 0, rw, store, present | write | user, "RW clear in the PDE");
    faults(2, nx, 0, call, present | fetch | user, "NX in the PDPTE");
    faults(3, 0, us, load, present | user, "US clear in the PML4E");
    faults(3, 0, p, load, user, "P clear in the PML4E");
  }

  void accessed_and_dirty() noexcept {
    guest_exit left = with_bits(0, 0, a | d, load);
    judge((after_ & (a | d)) == a, "a load sets A alone", left);
    left = with_bits(0, 0, a | d, store);
    judge((after_ & (a | d)) == (a | d), "a store sets A and D", left);
    left = with_bits(1, 0, a, load);
    judge((after_ & a) == a, "A is set in the PDE", left);
    left = with_bits(3, 0, a, load);
    judge((after_ & a) == a, "A is set in the PML4E", left);
    left = with(1, block(tables_.memory()), store);
    judge((after_ & (a | d)) == (a | d), "A and D are set in a block", left);
  }

  void bits_without_meaning() noexcept {
    constexpr std::uint64_t available = std::uint64_t{0x7f} << 52 | 0xe00, protection_key = std::uint64_t{0xf} << 59;
    works(0, available, 0, load, first_word, "bits 11 to 9 and 58 to 52 are software's");
    works(1, available, 0, load, first_word, "and so in a PDE");
    works(0, protection_key, 0, load, first_word, "bits 62 to 59 are ignored");
    works(0, g, 0, load, first_word, "G is ignored");
    works(0, pwt | pcd | pat_of_page, 0, load, first_word, "bit 7 of a PTE is PAT");
  }

  void blocks() noexcept {
    constexpr command page_7{verb::load, probed + 7 * page_bytes};
    guest_exit left = with(1, block(tables_.memory()), page_7);
    judge(gave(left, first_word + 7), "a block of 2 MiB", left);
    left = with(1, block(tables_.memory()) | pat_of_block, page_7);
    judge(gave(left, first_word + 7), "bit 12 of a block is PAT", left);
    left = with(2, block(0), {verb::load, probed + tables_.memory() + 9 * page_bytes});
    judge(gave(left, first_word + 9), "a block of 1 GiB", left);
    faults(with(1, block(tables_.memory() + 2 * page_bytes), load), present | user | reserved,
           "a block of 2 MiB that is not aligned", user | reserved);
    faults(with(2, block(block_bytes), load), present | user | reserved, "a block of 1 GiB that is not aligned",
           user | reserved);
    faults(3, ps, 0, load, present | user | reserved, "PS in the PML4E", user | reserved);
  }

  void addresses() noexcept {
    const std::uint64_t beyond = std::uint64_t{1} << physical_address_bits();
    faults(0, beyond, 0, load, present | user | reserved, "an address that is too large in the PTE", user | reserved);
    faults(1, beyond, 0, load, present | user | reserved, "an address that is too large in the PDE", user | reserved);
    faults(3, beyond, 0, load, present | user | reserved, "an address that is too large in the PML4E", user | reserved);
  }

  // The guest's root has its place in the guest's area, and is read with the rights of a user that writes.
  void tables_of_guest(std::uint64_t root) noexcept {
    const auto without = [&](std::uint64_t cleared, std::uint64_t error, const char* text) {
      std::uint64_t& entry = tables_.of_area(root);
      const std::uint64_t before = entry;
      entry &= ~cleared;
      enter();
      guest_exit left = guest_.run(load);
      judge(left.syndrome == (nested_page_fault | guest_table | error) &&
                left.address.value / page_bytes == root / page_bytes && left.of_guest_tables,
            text, left);
      entry = before;
      enter();
      left = guest_.resume();
      judge(gave(left, first_word), "and the guest goes on", left);
    };
    without(p, write | user, "P clear for the guest's root");
    without(rw, present | write | user, "RW clear for the guest's root");
  }

  // A block is made pages by hand, under a guest that waits for one of them.
  void split() noexcept {
    const std::uint64_t before = tables_[1];
    tables_[1] = block(tables_.memory()) & ~rw;
    enter();
    faults(guest_.run(store), present | write | user, "RW clear in a block");
    for (std::uint64_t i = 0; i < 512; ++i)
      word_at(tables_.table_of_pages())[i] = (tables_.memory() + i * page_bytes) | p | us | (i == 0 ? rw : 0);
    tables_[1] = before;
    *word_at(tables_.memory() + 8) = 0;
    enter();
    guest_exit left = guest_.resume();
    judge(gave(left, 0) && *word_at(tables_.memory() + 8) == 5, "the store goes on in a page of what was a block",
          left);
    left = guest_.run({verb::store, probed + page_bytes, 5});
    judge(left.syndrome == (nested_page_fault | final_address | present | write | user) &&
              left.address.value == probed + page_bytes,
          "the page beside it is as it was", left);
  }

 private:
  friend path_probes;
  static constexpr std::uint64_t block(std::uint64_t address) { return address | all_access | ps; }
  // Also forgets what the TLB holds.
  void enter() noexcept { svm::walk(tables_.root(), 1); }
};

}  // namespace

void bare::program() {
  if (const char* why = svm::obstacle(); why != nullptr) skip(why);
  probes all;
  all.rights();
  all.accessed_and_dirty();
  all.bits_without_meaning();
  all.blocks();
  all.addresses();
  all.tables_of_guest(identity_tables_in_area);
  all.split();
  finish();
}
