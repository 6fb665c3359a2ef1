// SPDX-License-Identifier: MIT
// What the emulator itself makes of descriptors, all of them written here by hand, without the library. What scenarios
// lean on must hold. The rest has two answers that are right or known: of bits that hardware may ignore (RES0,
// contiguous), of what it may do or not (keep a translation that nobody took from it), of what emulators do though they
// must not. Where a line says "not enforced", no scenario can show that the library is right.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.2.8 to D8.2.10 (levels), D8.3.1 "VMSAv8-64
// descriptor formats", D8.5 "Hardware updates to the translation tables", D24.2 "General system control registers":
// VTCR_EL2, ESR_EL2.
#include "arch.hpp"
#include "frames.hpp"
#include "guest.hpp"
#include "policies.hpp"
#include "report.hpp"

namespace {

using namespace bare;
using quire::input_address;
using reason = guest_exit::reason;

// Valid, page rather than block, MemAttr write-back, S2AP both, SH inner, AF.
constexpr std::uint64_t valid = 1, type = 2, reads = 1U << 6, writes = 1U << 7, af = 1U << 10;
constexpr std::uint64_t block = valid | 0xfU << 2 | reads | writes | 3U << 8 | af, page = block | type;
constexpr std::uint64_t dbm = std::uint64_t{1} << 51, contiguous = std::uint64_t{1} << 52, xn = std::uint64_t{1} << 54;
constexpr std::uint64_t ha = 1U << 21, hd = 1U << 22;  // VTCR_EL2

// ESR_EL2's fault status, but for the level.
constexpr std::uint64_t address_size = 0, translation = 4, access_flag = 8, permission = 0xc;

constexpr std::uint64_t megabyte = 1U << 20, gigabyte = 1U << 30;
constexpr std::uint64_t area = 0x1000'0000, tested = 0x2000'0000, at = tested + 8;

struct kind {
  int page_bits;
  int start;  // the manual's level
  std::uint64_t vtcr;
};
constexpr kind k4{12, 1, 0x8002'3558}, k4_level_0{12, 0, 0x8005'3590}, k16{14, 1, 0x8005'b591}, k64{16, 1, 0x8005'7590};

std::uint64_t* word_at(std::uint64_t address) { return reinterpret_cast<std::uint64_t*>(address); }
std::uint64_t memory_of(std::uint64_t bytes) {
  const auto got = all_frames.allocate(bytes);
  if (!got) {
    check(false, "there is memory", bytes);
    finish();
  }
  return got->value;
}

// Tables with the guest's area, and a guest.
class machine {
 public:
  explicit machine(kind k) : kind_(k), root_(memory_of(2U << k.page_bits)), guest_(input_address{area}) {
    const std::uint64_t bytes = std::uint64_t{1} << k.page_bits;
    for (std::uint64_t i = 0; i < guest_area_bytes; i += bytes) entry(area + i, 3) = (guest_area() + i) | page;
    forget();
  }

  // The descriptor of a level; tables on the way are made.
  std::uint64_t& entry(std::uint64_t ipa, int level) {
    const int index_bits = kind_.page_bits - 3;
    std::uint64_t table = root_;
    for (int l = kind_.start;; ++l) {
      std::uint64_t index = ipa >> (kind_.page_bits + (3 - l) * index_bits);
      if (l != kind_.start) index &= (std::uint64_t{1} << index_bits) - 1;
      std::uint64_t& here = word_at(table)[index];
      if (l == level) return here;
      if (here == 0) here = memory_of(std::uint64_t{1} << kind_.page_bits) | type | valid;
      table = here & ~std::uint64_t{3};
    }
  }
  // Everything that this CPU knows of the guest.
  void forget(std::uint64_t more_vtcr = 0) {
    asm volatile("dsb ishst" : : : "memory");
    vtcr_el2::write(kind_.vtcr | more_vtcr);
    walk(root_ | std::uint64_t{1} << 48U);
  }
  void set(std::uint64_t ipa, int level, std::uint64_t descriptor, std::uint64_t more_vtcr = 0) {
    entry(ipa, level) = descriptor;
    forget(more_vtcr);
  }
  guest_exit run(const command& c) { return guest_.run(c); }

 private:
  kind kind_;
  std::uint64_t root_;
  vcpu guest_;
};

bool loads(machine& m, std::uint64_t address, std::uint64_t word) {
  const guest_exit left = m.run({verb::load, address});
  return left.why == reason::done && left.answer == word;
}
bool stores(machine& m, std::uint64_t address) { return m.run({verb::store, address, 1}).why == reason::done; }
bool faults(const guest_exit& left, std::uint64_t what, std::uint64_t level) {
  return left.why == reason::fault && (left.syndrome & 0x3fU) == (what | level);
}

// One of the two, or it is a defect.
void enforces(bool does, bool does_not, const char* what) {
  if (!check(does || does_not, what)) return;
  if (!does) return not_enforced(what);
  say("checked: ");
  say(what);
  end_line();
}

void rights(machine& m, std::uint64_t memory) {
  m.set(tested, 3, 0);
  check(faults(m.run({verb::load, at}), translation, 3), "zero is invalid");
  m.set(tested, 3, memory | block);
  check(faults(m.run({verb::load, at}), translation, 3), "0b01 at level 3 is invalid");
  m.set(tested, 3, (memory | page) & ~af);
  check(faults(m.run({verb::load, at}), access_flag, 3), "AF clear, HA off");
  m.set(tested, 3, (memory | page) & ~(reads | writes));
  check(faults(m.run({verb::load, at}), permission, 3), "S2AP 00: load");
  m.set(tested, 3, (memory | page) & ~writes);
  check(loads(m, at, 11), "S2AP 01: load");
  const guest_exit refused = m.run({verb::store, at, 1});
  check(faults(refused, permission, 3) && refused.address.value == at, "S2AP 01: store");
  m.set(tested, 3, (memory | page) & ~reads);
  check(stores(m, at) && *word_at(memory + 8) == 1, "S2AP 10: store");
  check(faults(m.run({verb::load, at}), permission, 3), "S2AP 10: load");
  m.set(tested, 3, memory | page | xn);
  check(faults(m.run({verb::call, tested}), permission, 3), "XN");
  m.set(tested, 3, memory | page);
  write_function(word_at(memory), 42);
  check(m.run({verb::call, tested}).answer == 42, "without XN");
}

void addresses(machine& m, std::uint64_t memory) {
  m.set(tested, 3, std::uint64_t{1} << 41 | page);
  check(faults(m.run({verb::load, at}), address_size, 3), "an output address above VTCR_EL2.PS");
  check((m.run({verb::load, std::uint64_t{1} << 40}).syndrome & 0x3cU) == translation, "an IPA above T0SZ");
  *word_at(memory) = 1;
  *word_at(memory + megabyte) = 2;
  m.set(gigabyte, 2, memory | block);
  check(loads(m, gigabyte, 1) && loads(m, gigabyte + megabyte, 2), "a block of 2 MiB");
  m.set(2 * gigabyte, 1, gigabyte | block);
  check(loads(m, gigabyte + memory + megabyte, 2), "a block of 1 GiB");

  m.set(gigabyte, 2, (memory + megabyte) | block);
  enforces(!loads(m, gigabyte, 1), loads(m, gigabyte + megabyte, 2), "address bits below a block's size (RES0)");
  m.set(gigabyte, 2, memory | std::uint64_t{1} << 48 | block);
  enforces(faults(m.run({verb::load, gigabyte}), address_size, 2), loads(m, gigabyte, 1),
           "bit 48 of a descriptor with 48 bits of address (RES0)");
  m.set(tested, 3, memory | page | contiguous);
  m.set(tested + 4096, 3, 0);
  const guest_exit left = m.run({verb::load, tested + 4096});
  enforces(left.why == reason::done, faults(left, translation, 3), "a contiguous group is taken for one translation");
}

void updates(machine& m, std::uint64_t memory) {
  m.set(tested, 3, (memory | page) & ~af, ha);
  check(m.run({verb::load, at}).why == reason::done && m.entry(tested, 3) == (memory | page), "HA sets AF");
  m.set(tested, 3, ((memory | page) & ~writes) | dbm, ha | hd);
  check(m.run({verb::load, at}).why == reason::done && (m.entry(tested, 3) & writes) == 0, "HD: a load leaves S2AP[1]");
  check(stores(m, at) && m.entry(tested, 3) == (memory | page | dbm), "HD: a store sets S2AP[1]");
  m.set(tested, 3, ((memory | page) & ~writes) | dbm, ha);
  check(faults(m.run({verb::store, at, 1}), permission, 3), "DBM, HD off");
}

// At levels where the granule has none, with 48 bits of address.
void block_too_large(kind k, int level, std::uint64_t ipa, const char* what) {
  machine m{k};
  m.set(ipa, level, block);
  const guest_exit left = m.run({verb::load, ipa + memory_first()});
  enforces(faults(left, translation, static_cast<std::uint64_t>(level)), left.why == reason::done, what);
}
void blocks_too_large() {
  block_too_large(k4_level_0, 0, std::uint64_t{1} << 39, "no block at level 0 of the 4 KiB granule without DS");
  block_too_large(k16, 1, std::uint64_t{1} << 36, "no block at level 1 of the 16 KiB granule without DS");
  block_too_large(k64, 1, std::uint64_t{1} << 42, "no block at level 1 of the 64 KiB granule without 52-bit addresses");
}

// What a missing invalidation looks like, on one CPU. The guest loads, the page is exchanged for another, the guest
// loads again.
void invalidations(machine& m, std::uint64_t one, std::uint64_t other) {
  *word_at(one + 8) = 1;
  *word_at(other + 8) = 2;
  const auto word_after = [&](auto invalidate) {
    m.set(tested, 3, one | page);
    check(loads(m, at, 1), "the page before");
    m.entry(tested, 3) = other | page;
    asm volatile("dsb ish" : : : "memory");
    invalidate(guest_tlb{1});
    asm volatile("dsb ish\n isb" : : : "memory");
    return m.run({verb::load, at}).answer;
  };
  const auto keeps = [&](auto invalidate, const char* what) {
    const std::uint64_t word = word_after(invalidate);
    enforces(word == 1, word == 2, what);
  };
  constexpr std::uint64_t operand = tested >> 12U;
  keeps([](guest_tlb) {}, "no TLBI: the old page");
  keeps([](guest_tlb tlb) { tlb.tlbi_ipas2e1is(operand); }, "no VMALLE1: the old page");
  keeps([](guest_tlb tlb) { tlb.tlbi_vmalle1is(); }, "no IPAS2E1: the old page");
  const auto of_another = [](guest_tlb tlb) {
    tlb.tlbi_ipas2e1is(operand + 1);
    tlb.dsb_ish();
    tlb.tlbi_vmalle1is();
  };
  keeps(of_another, "IPAS2E1 of another page: the old page");
  const auto of_another_guest = [](guest_tlb) {
    guest_tlb tlb{2};
    tlb.enter_vmid();
    tlb.tlbi_ipas2e1is(operand);
    tlb.dsb_ish();
    tlb.tlbi_vmalle1is();
    tlb.dsb_ish();
    tlb.leave_vmid();
  };
  keeps(of_another_guest, "the right TLBIs for another VMID: the old page");
  const auto as_it_should = [](guest_tlb tlb) {
    tlb.tlbi_ipas2e1is(operand);
    tlb.dsb_ish();
    tlb.tlbi_vmalle1is();
  };
  check(word_after(as_it_should) == 2, "IPAS2E1, then VMALLE1: the new page");
}

}  // namespace

void bare::program() {
  const auto cpu = features();
  if (cpu.physical_bits < 48 || cpu.at_stage2(quire::arm64::granule::k16) == quire::arm64::granule_support::none)
    skip("the CPU lacks 48-bit addresses or a granule");
  machine m{k4};
  const std::uint64_t memory = memory_of(2 * megabyte), other = memory_of(4096);
  *word_at(memory + 8) = 11;
  rights(m, memory);
  addresses(m, memory);
  if (cpu.hardware_dirty) updates(m, memory);
  blocks_too_large();
  invalidations(m, memory, other);
  finish();
}
