// SPDX-License-Identifier: MIT
// What the walker of extended page tables enforces.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "The Extended Page Table Mechanism
// (EPT)" with "EPT Misconfigurations", "EPT Violations" and "Accessed and Dirty Flags for EPT"; "Exit Qualification for
// EPT Violations".
#include "raw_probes.hpp"

namespace {

using namespace bare;
using namespace bare::raw;

constexpr std::uint64_t r = 1U << 0, w = 1U << 1, x = 1U << 2, ipat = 1U << 6, ps = 1U << 7, a = 1U << 8, d = 1U << 9;
constexpr std::uint64_t all_access = r | w | x, type = 7U << 3, write_back = 6U << 3;
constexpr std::uint64_t type_of(unsigned number) { return std::uint64_t{number} << 3; }

// The exit qualification: the access in bits 2 to 0, what the entries allow together in bits 5 to 3; 7: there is a
// linear address, 8: it is what was accessed, not the guest's table.
constexpr std::uint64_t allowed_shift = 3, at_linear_address = 0x180, at_guest_table = 0x80;
constexpr std::uint64_t qualification_of_interest = 0x1bf;
constexpr std::uint64_t ept_violation = 48, ept_misconfiguration = 49;
constexpr std::uint64_t exit_reason(const guest_exit& left) { return left.syndrome >> 32; }

// EPTP: write-back, 4 levels; bit 6: accessed and dirty flags.
constexpr std::uint64_t eptp_without_flags = 6 | 3 << 3, eptp_with_flags = eptp_without_flags | 1 << 6;

class probes : public path_probes<probes> {
 public:
  probes() noexcept : path_probes(all_access, all_access | write_back) {}

  static bool is_violation(const guest_exit& left, std::uint64_t qualification, std::uint64_t address) noexcept {
    return exit_reason(left) == ept_violation && (left.syndrome & qualification_of_interest) == qualification &&
           left.address.value / page_bytes == address / page_bytes;
  }
  // `allowed`: what the entries of the path have in common.
  void faults(int level, std::uint64_t cleared, const command& what, std::uint64_t access, std::uint64_t allowed,
              const char* text) noexcept {
    const guest_exit left = with_bits(level, 0, cleared, what);
    judge(is_violation(left, at_linear_address | allowed << allowed_shift | access, probed), text, left);
  }
  void is_misconfiguration(const guest_exit& left, const char* text, bool known_to_work = false) noexcept {
    judge(exit_reason(left) == ept_misconfiguration && left.address.value / page_bytes == probed / page_bytes, text,
          left, known_to_work && gave(left, first_word) ? difference::not_enforced : difference::none);
  }
  void misconfigures(int level, std::uint64_t set, std::uint64_t cleared, const char* text) noexcept {
    is_misconfiguration(with_bits(level, set, cleared, load), text);
  }

  void rights() noexcept {
    works(0, 0, 0, load, first_word, "a page is read");
    works(0, 0, 0, store, 0, "a page is written");
    check(*word_at(tables_.memory() + 8) == 5, "the store is in memory");
    works(0, 0, 0, call, 0, "a page is executed");
    faults(0, all_access, load, r, 0, "absent, load");
    faults(0, all_access, store, w, 0, "absent, store");
    faults(0, all_access, call, x, 0, "absent, fetch");
    const guest_exit left = with_bits(0, 0, all_access, add);
    judge(is_violation(left, at_linear_address | w, probed) || is_violation(left, at_linear_address | r | w, probed),
          "absent, read and write in one is a write", left);
    works(0, 0, w | x, load, first_word, "R, load");
    faults(0, w | x, store, w, r, "R, store");
    faults(0, w | x, call, x, r, "R, fetch");
    faults(0, w, store, w, r | x, "R and X, store");
    faults(0, x, call, x, r | w, "R and W, fetch");
    faults(1, w | x, store, w, r, "R in the PDE, store");
    faults(2, x, call, x, r | w, "R and W in the PDPTE, fetch");
    faults(3, all_access, load, r, 0, "absent in the PML4E, load");
  }

  // "EPT Misconfigurations"; X alone is none where IA32_VMX_EPT_VPID_CAP has bit 0.
  void combinations_of_rights() noexcept {
    misconfigures(0, 0, r | x, "W alone");
    misconfigures(0, 0, r, "W and X");
    misconfigures(1, 0, r | x, "W alone in the PDE");
    if (vmx::obstacle({.execute_only = true}) != nullptr) {
      misconfigures(0, 0, r | w, "X alone, on a CPU without it");
    } else {
      works(0, 0, r | w, call, 0, "X alone, fetch");
      faults(0, r | w, load, r, x, "X alone, load");
      faults(0, r | w, store, w, x, "X alone, store");
    }
  }

  void memory_types() noexcept {
    misconfigures(0, type_of(2), type, "memory type 2");
    misconfigures(0, type_of(3), type, "memory type 3");
    misconfigures(0, type_of(7), type, "memory type 7");
    works(0, type_of(0), type, load, first_word, "uncacheable");
    works(0, type_of(1), type, load, first_word, "write combining");
    works(0, ipat, 0, load, first_word, "IPAT");
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
    flags_ = false;
    left = with_bits(0, 0, a | d, store);
    judge((after_ & (a | d)) == 0, "neither is set without bit 6 of the EPTP", left);
    flags_ = true;
  }

  void bits_without_meaning() noexcept {
    constexpr std::uint64_t ignored = std::uint64_t{0x1f} << 52 | 1U << 11;
    works(0, ignored, 0, load, first_word, "bits 11 and 56 to 52 are software's");
    works(1, ignored, 0, load, first_word, "and so in a PDE");
    works(0, std::uint64_t{1} << 63, 0, load, first_word, "bit 63 says nothing without #VE");
    works(0, ps, 0, load, first_word, "bit 7 of a PTE is ignored");
  }

  void blocks() noexcept {
    guest_exit left = with(1, block(tables_.memory()), {verb::load, probed + 7 * page_bytes});
    judge(gave(left, first_word + 7), "a block of 2 MiB", left);
    left = with(2, block(0), {verb::load, probed + tables_.memory() + 9 * page_bytes});
    judge(gave(left, first_word + 9), "a block of 1 GiB", left);
    is_misconfiguration(with(1, block(tables_.memory() + 2 * page_bytes), load),
                        "a block of 2 MiB that is not aligned");
    is_misconfiguration(with(1, block(tables_.memory() | page_bytes), load), "bit 12 of a block of 2 MiB is reserved",
                        true);
    is_misconfiguration(with(2, block(block_bytes), load), "a block of 1 GiB that is not aligned");
  }

  void reserved_bits() noexcept {
    misconfigures(1, 1U << 3, 0, "bit 3 of an entry that leads to a table");
    misconfigures(2, 1U << 4, 0, "bit 4 of an entry that leads to a table");
    misconfigures(3, 1U << 5, 0, "bit 5 of an entry that leads to a table");
    misconfigures(1, 1U << 6, 0, "bit 6 of an entry that leads to a table");
    misconfigures(3, ps, 0, "bit 7 of the PML4E");
    const std::uint64_t beyond = std::uint64_t{1} << physical_address_bits();
    misconfigures(0, beyond, 0, "an address that is too large in the PTE");
    misconfigures(1, beyond, 0, "an address that is too large in the PDE");
    misconfigures(3, beyond, 0, "an address that is too large in the PML4E");
  }

  // "Convertible EPT Violations", with the control that makes violations exceptions.
  void exceptions() noexcept {
    constexpr std::uint64_t suppress = std::uint64_t{1} << 63, virtualization_exception = 20;
    const auto is_exception = [](const guest_exit& left) {
      return left.why == guest_exit::reason::other && exit_reason(left) == 0 &&
             (left.syndrome & 0xff) == virtualization_exception;
    };
    exceptions_ = true;
    guest_exit left = with_bits(0, 0, w, store);
    judge(is_exception(left), "R and X, store: an exception of the guest's", left);
    left = with_bits(0, suppress, w, store);
    judge(is_violation(left, at_linear_address | (r | x) << allowed_shift | w, probed), "bit 63 suppresses it", left);
    left = with(0, 0, load);
    judge(is_exception(left), "absent, load: an exception of the guest's", left);
    left = with(0, suppress, load);
    judge(is_violation(left, at_linear_address | r, probed), "bit 63 suppresses it in an absent entry", left);
    left = with(1, suppress, load);
    judge(is_violation(left, at_linear_address | r, probed), "and in an absent PDE", left);
    exceptions_ = false;
  }

  // With accessed and dirty flags what the walk of the guest's tables does is a read and a write.
  void tables_of_guest(std::uint64_t root) noexcept {
    const auto without = [&](std::uint64_t cleared, std::uint64_t allowed, const char* text) {
      std::uint64_t& entry = tables_.of_area(root);
      const std::uint64_t before = entry;
      entry &= ~cleared;
      enter();
      guest_exit left = guest_.run(load);
      const std::uint64_t qualification = at_guest_table | allowed << allowed_shift | w;
      judge(is_violation(left, qualification | r, root) && left.of_guest_tables, text, left,
            is_violation(left, qualification, root) ? difference::told_otherwise : difference::none);
      entry = before;
      enter();
      left = guest_.resume();
      judge(gave(left, first_word), "and the guest goes on", left);
    };
    without(all_access, 0, "absent, the guest's root");
    without(w, r | x, "R and X, the guest's root");
  }

  // A block is made pages by hand, under a guest that waits for one of them.
  void split() noexcept {
    const std::uint64_t before = tables_[1];
    tables_[1] = block(tables_.memory()) & ~(w | x);
    enter();
    guest_exit left = guest_.run(store);
    judge(is_violation(left, at_linear_address | r << allowed_shift | w, probed), "R in a block, store", left);
    for (std::uint64_t i = 0; i < 512; ++i)
      word_at(tables_.table_of_pages())[i] = (tables_.memory() + i * page_bytes) | write_back | r | (i == 0 ? w : 0);
    tables_[1] = before;
    *word_at(tables_.memory() + 8) = 0;
    enter();
    left = guest_.resume();
    judge(gave(left, 0) && *word_at(tables_.memory() + 8) == 5, "the store goes on in a page of what was a block",
          left);
    left = guest_.run({verb::store, probed + page_bytes, 5});
    judge(is_violation(left, at_linear_address | r << allowed_shift | w, probed + page_bytes),
          "the page beside it is as it was", left);
  }

 private:
  friend path_probes;
  static constexpr std::uint64_t block(std::uint64_t address) { return address | all_access | write_back | ps; }
  // Also forgets what the caches hold.
  void enter() noexcept {
    vmx::walk({.eptp = tables_.root().value | (flags_ ? eptp_with_flags : eptp_without_flags),
               .violations_are_exceptions = exceptions_});
  }

  bool flags_ = true, exceptions_ = false;
};

}  // namespace

void bare::program() {
  if (const char* why = vmx::obstacle({.accessed_dirty = true}); why != nullptr) skip(why);
  probes all;
  all.rights();
  all.combinations_of_rights();
  all.memory_types();
  all.accessed_and_dirty();
  all.bits_without_meaning();
  all.blocks();
  all.reserved_bits();
  if (vmx::obstacle({.violations_are_exceptions = true}) == nullptr) all.exceptions();
  all.tables_of_guest(identity_tables_in_area);
  all.split();
  finish();
}
