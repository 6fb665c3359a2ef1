// SPDX-License-Identifier: MIT
// What the emulator makes of G-stage entries, all written here by hand, without the library. Each question is one
// check: the answer is the manual's, or one that QEMU is known for, which is said. A test of the library that leans on
// something "not enforced" proves less than it seems to.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv39" (entries, and the steps of the translation), "Two-Stage
// Address Translation", "Svnapot", "Svpbmt"; "Hypervisor Guest Address Translation and Protection (hgatp) Register".
//
// The path that is probed, of Sv39x4: entry 1 of the root, entry 0 of a table of 2 MiB leaves, entry 0 of a table of
// pages. Entry 0 of the root is a leaf of 1 GiB with the host's memory, the guest's area in it.
#include "arch.hpp"
#include "frames.hpp"
#include "guest.hpp"
#include "policies.hpp"  // all_frames
#include "report.hpp"

namespace {

using namespace bare;
using quire::permissions;
using reason = guest_exit::reason;

constexpr std::uint64_t v = 1U << 0, r = 1U << 1, w = 1U << 2, x = 1U << 3, u = 1U << 4, g = 1U << 5, a = 1U << 6,
                        d = 1U << 7, all = v | r | w | x | u | a | d;
constexpr std::uint64_t nc = std::uint64_t{1} << 61, io = std::uint64_t{1} << 62, napot = std::uint64_t{1} << 63;

constexpr std::uint64_t page = 0x1000, block = 0x20'0000, gigabyte = 0x4000'0000, ram = 0x8000'0000;
constexpr std::uint64_t function = 0x800;  // where a page has one, which returns its number
constexpr std::uint64_t probed = gigabyte, range = std::uint64_t{1} << 41;  // "widened by 2 bits"

std::uint64_t* words_at(std::uint64_t address) { return reinterpret_cast<std::uint64_t*>(address); }
std::uint64_t entry_for(std::uint64_t address, std::uint64_t bits) { return address >> 2 | bits; }

enum class known : bool { no, yes };  // whether QEMU's answer may be the other one

class probes {
 public:
  probes() {
    words_at(root_)[0] = entry_for(ram, all);
    put_path_back();
    for (std::uint64_t n = 0; n < block / page; ++n) {
      *words_at(memory_ + n * page) = 1000 + n;
      write_function(reinterpret_cast<void*>(memory_ + n * page + function), static_cast<unsigned>(n));
    }
    write<csr::hgatp>(std::uint64_t{8} << 60 | root_ >> 12);  // MODE 8: Sv39x4
  }

  void rights() {
    faults("V=0, load", 0, 0, verb::load, quire::readable);
    faults("V=0, store", 0, 0, verb::store, quire::writable);
    faults("V=0, call", 0, 0, verb::call, quire::executable);
    // QEMU 7.2 tells of the load that is a part of it.
    faults("V=0, an atomic access is a store", 0, 0, verb::add, quire::writable, known::yes);
    works("R, load", 0, page_with(v | r | u | a), verb::load);
    faults("R, store", 0, page_with(v | r | u | a | d), verb::store, quire::writable);
    faults("R, call", 0, page_with(v | r | u | a), verb::call, quire::executable);
    works("X, call", 0, page_with(v | x | u | a), verb::call);
    faults("X, load", 0, page_with(v | x | u | a), verb::load, quire::readable);
    works("R and W, store", 0, page_with(v | r | w | u | a | d), verb::store);
    faults("W without R, store", 0, page_with(v | w | u | a | d), verb::store, quire::writable);
    faults("W and X without R, call", 0, page_with(v | w | x | u | a | d), verb::call, quire::executable);
    faults("U=0", 0, page_with(all - u), verb::load, quire::readable);
    works("G and RSW are ignored", 0, page_with(all | g | 3U << 8), verb::load);
  }

  // Svade faults, Svadu sets the bit.
  void accessed_and_dirty() {
    sets_or_faults("A=0", page_with(all - a), a, verb::load, quire::readable);
    sets_or_faults("D=0", page_with(all - d), d, verb::store, quire::writable);
  }

  void sizes() {
    works("2 MiB", 1, block_with(all), verb::load, 5);
    works("1 GiB", 2, entry_for(ram, all), verb::load, 3, memory_ - ram);
    faults("2 MiB, misaligned", 1, entry_for(memory_ + page, all), verb::load, quire::readable);
    faults("1 GiB, misaligned", 2, entry_for(ram + block, all), verb::load, quire::readable);
    faults("a table at level 0", 0, page_with(v), verb::load, quire::readable);
    for (const std::uint64_t bit : {a, d, u})
      faults("A, D or U of a table", 1, entry_for(pages_, v | bit), verb::load, quire::readable);
    works("G of a table", 1, entry_for(pages_, v | g), verb::load);
  }

  void extensions() {
    const bool has_types = works_or_faults("PBMT=1", page_with(all | nc));
    check(works_or_faults("PBMT=2", page_with(all | io)) == has_types, "PBMT is 1 and 2 or neither");
    const std::uint64_t group = entry_for(memory_ + 8 * page, all | napot);
    const bool has_groups = works_or_faults("N=1", group);
    // QEMU 7.2 stops to look at the reserved bits where the hart has one of these.
    const known lax = has_types || has_groups ? known::yes : known::no;

    faults("PBMT=3", 0, page_with(all | nc | io), verb::load, quire::readable, lax);
    faults("PBMT of a table", 1, entry_for(pages_, v | nc), verb::load, quire::readable);
    faults("N of a table", 1, entry_for(pages_, v | napot), verb::load, quire::readable);
    faults("N of 2 MiB", 1, block_with(all | napot), verb::load, quire::readable);
    faults("N with another size", 0, entry_for(memory_ + 4 * page, all | napot), verb::load, quire::readable);
    for (unsigned bit = 54; bit <= 60; ++bit)
      faults("a reserved bit", 0, page_with(all | std::uint64_t{1} << bit), verb::load, quire::readable, lax);
  }

  void addresses() {
    expect_fault("beyond the range", run(verb::load, range + probed), range + probed, quire::readable, known::no);
    // QEMU 7.2 extends the sign, as of a virtual address.
    const std::uint64_t top = range / 2;
    words_at(root_)[1024 + 1] = entry_for(tables_, v);
    expect_done("the highest bit of the range", run(verb::load, top + probed), 1000, known::yes);
  }

  // Writes that must not have an effect.
  void root_register() {
    const std::uint64_t hgatp = read<csr::hgatp>();
    write<csr::hgatp>(hgatp | 3);
    tell("the two lowest bits of hgatp.PPN are 0", (read<csr::hgatp>() & 3) == 0, known::yes);
    write<csr::hgatp>(std::uint64_t{1} << 60);
    tell("a reserved hgatp.MODE", read<csr::hgatp>() >> 60 != 1, known::yes);
    write<csr::hgatp>(hgatp);
    hfence_gvma_every_guest();
  }

 private:
  static std::uint64_t memory_of(std::uint64_t bytes) {
    const auto got = all_frames.allocate(bytes);
    check(got.has_value(), "there is memory", bytes);
    return got.value_or({}).value;
  }
  [[nodiscard]] std::uint64_t page_with(std::uint64_t bits) const { return entry_for(memory_, bits); }
  [[nodiscard]] std::uint64_t block_with(std::uint64_t bits) const { return entry_for(memory_, bits); }

  void put_path_back() {
    words_at(root_)[1] = entry_for(tables_, v);
    *words_at(tables_) = entry_for(pages_, v);
    *words_at(pages_) = page_with(all);
  }
  [[nodiscard]] std::uint64_t* entry_of(int level) const {
    return level == 2 ? words_at(root_) + 1 : words_at(level == 1 ? tables_ : pages_);
  }

  guest_exit run(verb what, std::uint64_t at) {
    hfence_gvma_every_guest();
    const std::uint64_t offset = what == verb::call ? function : what == verb::load ? 0 : 16;
    return guest_.run({what, at + offset, 1});
  }
  guest_exit run_with(int level, std::uint64_t entry, verb what, std::uint64_t offset = 0) {
    *entry_of(level) = entry;
    return run(what, probed + offset);
  }

  void works(const char* question, int level, std::uint64_t entry, verb what, std::uint64_t n = 0,
             std::uint64_t offset = 0) {
    const std::uint64_t answer = what == verb::load ? 1000 + n : what == verb::call ? n : 0;
    expect_done(question, run_with(level, entry, what, offset + n * page), answer, known::no);
    put_path_back();
  }
  void faults(const char* question, int level, std::uint64_t entry, verb what, permissions access,
              known other = known::no) {
    expect_fault(question, run_with(level, entry, what), probed, access, other);
    put_path_back();
  }
  bool works_or_faults(const char* question, std::uint64_t entry) {
    const guest_exit left = run_with(0, entry, verb::load);
    put_path_back();
    const bool works = left.why == reason::done;
    if (works) expect_done(question, left, 1000, known::no);
    else expect_fault(question, left, probed, quire::readable, known::no);
    return works;
  }
  void sets_or_faults(const char* question, std::uint64_t entry, std::uint64_t bit, verb what, permissions access) {
    const guest_exit left = run_with(0, entry, what);
    const bool sets = (*words_at(pages_) & bit) != 0;
    put_path_back();
    if (sets) expect_done(question, left, what == verb::load ? 1000 : 0, known::no);
    else expect_fault(question, left, probed, access, known::no);
  }

  void expect_done(const char* question, const guest_exit& left, std::uint64_t answer, known other) {
    if (!tell(question, left.why == reason::done && left.answer == answer, other)) explain(left);
  }
  void expect_fault(const char* question, const guest_exit& left, std::uint64_t at, permissions access, known other) {
    const bool fault = left.why == reason::fault && left.address.value / page == at / page && left.access == access;
    if (!tell(question, fault, other)) explain(left);
  }
  static bool tell(const char* question, bool as_in_manual, known other) {
    if (!as_in_manual && other == known::yes) not_enforced(question);
    return check(as_in_manual || other == known::yes, question);
  }
  static void explain(const guest_exit& left) {
    say("  ");
    say_exit(left);
    end_line();
  }

  std::uint64_t root_ = memory_of(4 * page), tables_ = memory_of(page), pages_ = memory_of(page),
                memory_ = memory_of(block);
  vcpu guest_{quire::input_address{guest_area() - ram}};
};

}  // namespace

void bare::program() {
  if (!has_hypervisor_extension()) skip("the hart has no H extension");
  probes all_probes;
  all_probes.rights();
  all_probes.accessed_and_dirty();
  all_probes.sizes();
  all_probes.extensions();
  all_probes.addresses();
  all_probes.root_register();
  finish();
}
