// SPDX-License-Identifier: MIT
// Tables whose invalidations go through instructions: random operations with every oracle, on hardware that drops what
// the operands name and no more. Then the same with one thing wrong, which must be found.
#include <quire/check/encoded_invalidation.hpp>

#include <string>  // string
#include <vector>  // vector

#include <quire/table/page_table.hpp>

#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;
using check::encoded_hfence;
using check::encoded_tlbi;
using check::rule;

// Four blocks of the second smallest size, at the top of the input space.
template <class F>
constexpr std::uint64_t window_bytes = 4 * F::shape.leaf_bytes(1);
template <class F>
constexpr std::uint64_t window = (std::uint64_t{1} << F::shape.input_bits()) - window_bytes<F>;

struct dropped_report {
  void operator()(input_address, std::uint64_t) const noexcept {}
};

template <class F, class Invalidation>
struct encoded_guest {
  using policies = check::policies<F, locking::none, update::as_format_needs, false, Invalidation>;

  check::machine<F> machine;
  page_table<F, policies> table;
  std::uint64_t dice = 1;

  explicit encoded_guest(check::machine_options options = {})
      : machine(with_window(options)), table(policies{machine}) {
    REQUIRE(table.create());
  }
  encoded_guest(check::machine_options options, check::machine<F>& neighbour)
      : machine(with_window(options), neighbour), table(policies{machine}) {
    REQUIRE(table.create());
  }
  ~encoded_guest() { machine.stop(); }

  static check::machine_options with_window(check::machine_options options) {
    options.units = 64;
    options.hardware = 60;
    options.window = input_address{window<F>};
    options.window_pages = window_bytes<F> / F::shape.page_bytes();
    options.mmu.most_cached = 64;
    return options;
  }
  std::uint64_t random(std::uint64_t below) {
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    return (dice >> 33U) % below;
  }
  Invalidation& invalidation() { return table.policies().invalidation; }

  // One operation on a random range, mostly short; whatever it says, the oracles must be content afterwards.
  void play() {
    constexpr std::uint64_t page = F::shape.page_bytes(), pages = window_bytes<F> / page, blocks = 4;
    const bool by_blocks = random(3) == 0;
    const std::uint64_t unit = by_blocks ? pages / blocks : 1;
    const std::uint64_t first = random(pages / unit);
    const std::uint64_t count = 1 + random(by_blocks ? blocks - first : std::min<std::uint64_t>(80, pages - first));
    const input_range range = input_range::sized(input_address{window<F> + first * unit * page}, count * unit * page);
    const output_address output{(first + 4 * random(2)) * unit * page};
    const attributes wanted{.allowed = random(2) == 0 ? read_write : all_access,
                            .may_write = true,
                            .dirty = F::facts.has_dirty && !F::facts.sets_dirty};
    dropped_report dropped;
    auto session = table.exclusive();
    auto& tables = table.policies().tables;
    switch (random(10)) {
      case 0:
      case 1: static_cast<void>(session.map(range, output, wanted, {.replace = true})); break;
      case 2: static_cast<void>(session.map(range, output, wanted, {.largest_level = 0, .replace = true})); break;
      case 3: static_cast<void>(session.unmap(range)); break;
      case 4: static_cast<void>(session.discard(range, partial::whole)); break;
      case 5: static_cast<void>(session.protect(range, readable, partial::split, tables, dropped)); break;
      case 6: static_cast<void>(session.write_protect(range, dropped)); break;
      case 7: static_cast<void>(session.split(range, 0)); break;
      case 8: static_cast<void>(session.collapse(range)); break;
      default: static_cast<void>(session.test_and_clear_accessed(range)); break;
    }
  }
  std::string findings() {
    machine.end_of_operation();
    return machine.findings().text();
  }
  // Plays until something is found, or `rounds` times.
  std::string play(std::uint64_t rounds) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      machine.lost().discarding(true);
      play();
      machine.lost().discarding(false);
      if (std::string found = findings(); !found.empty()) return "round " + std::to_string(round) + ": " + found;
    }
    return {};
  }
};

constexpr arm64::tlbi_options plain{};
constexpr arm64::tlbi_options hints{.level_hints = true};
constexpr arm64::tlbi_options ranges{.level_hints = true, .ranges = true};
constexpr arm64::tlbi_options ranges_alone{.ranges = true, .most_instructions = 3};
constexpr riscv::hfence_options svinval{.svinval = true};

using arm = arm64::stage2_4k<40>;
using risc = riscv::sv39x4;

#ifdef QUIRE_FEW_FORMATS
using arm_formats = std::tuple<arm>;
using riscv_formats = std::tuple<risc>;
#else
using arm_formats = std::tuple<arm64::stage2_4k<32>, arm, arm64::stage2_4k<48>,
                               arm64::stage2_4k<40, arm64::stage2_options{.hardware_dirty = true}>,
                               arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>>;
using riscv_formats = std::tuple<risc, riscv::sv48x4, riscv::gstage<3, riscv::extensions{.svadu = true}>>;
#endif

constexpr std::uint64_t rounds = 2000;

template <class F, class Invalidation>
std::string played(std::uint64_t times = rounds) {
  return encoded_guest<F, Invalidation>{}.play(quire_test::scaled(times));
}

// The first finding of a play with operands that are spoiled on the way.
template <class F, class Invalidation, class Spoil>
std::string spoiled(Spoil spoil) {
  encoded_guest<F, Invalidation> guest;
  spoil(guest.invalidation());
  return guest.play(rounds);
}

}  // namespace

QUIRE_TYPED_TEST("arm64 tables invalidate with operands", arm_formats) {
  CHECK(played<Format, encoded_tlbi<Format, plain>>() == "");
  CHECK(played<Format, encoded_tlbi<Format, hints>>() == "");
  CHECK(played<Format, encoded_tlbi<Format, ranges>>() == "");
  CHECK(played<Format, encoded_tlbi<Format, ranges_alone>>() == "");
}

QUIRE_TYPED_TEST("RISC-V tables invalidate with operands", riscv_formats) {
  CHECK(played<Format, encoded_hfence<Format>>() == "");
  CHECK(played<Format, encoded_hfence<Format, svinval>>() == "");
}

TEST_CASE("a range that is too short is found") {
  CHECK(spoiled<arm, encoded_tlbi<arm, ranges>>([](auto& policy) {
          policy.cpu().on_the_way = [](std::uint64_t x) {
            return (x >> 46U) != 0 && (x >> 39U & 31U) != 0 ? x - (std::uint64_t{1} << 39U) : x;
          };
        }) != "");
}

TEST_CASE("a wrong level hint is found") {
  CHECK(spoiled<arm, encoded_tlbi<arm, hints>>([](auto& policy) {
          policy.cpu().on_the_way = [](std::uint64_t x) { return x ^ std::uint64_t{1} << 44U; };
        }) != "");
}

TEST_CASE("a wrong granule is found") {
  CHECK(spoiled<arm, encoded_tlbi<arm, hints>>([](auto& policy) {
          policy.cpu().on_the_way = [](std::uint64_t x) { return x | std::uint64_t{3} << 46U; };
        }) != "");
}

TEST_CASE("an IPA in the wrong unit is found") {
  CHECK(spoiled<arm, encoded_tlbi<arm, plain>>(
            [](auto& policy) { policy.cpu().on_the_way = [](std::uint64_t x) { return x << 12U; }; }) != "");
}

TEST_CASE("a guest-physical address that was not shifted is found") {
  const auto unshifted = [](auto& policy) { policy.harts().on_the_way = [](std::uint64_t x) { return x << 2U; }; };
  CHECK(spoiled<risc, encoded_hfence<risc>>(unshifted) != "");
  CHECK(spoiled<risc, encoded_hfence<risc, svinval>>(unshifted) != "");
}

// ---- sequences with one thing wrong

namespace {

using caches = check::tlbi_caches<arm>;
struct without_combined : caches {
  using caches::caches;
  void tlbi_vmalle1is() {}
};
struct without_waiting : caches {
  using caches::caches;
  void dsb_ish() {}
};
struct without_entering : caches {
  using caches::caches;
  void enter_vmid() {}
};
// Combined entries go before stage 2 is complete.
struct combined_too_early : caches {
  using caches::caches;
  void tlbi_ipas2e1is(std::uint64_t x) {
    caches::tlbi_ipas2e1is(x);
    caches::tlbi_vmalle1is();
  }
  void tlbi_ipas2le1is(std::uint64_t x) {
    caches::tlbi_ipas2le1is(x);
    caches::tlbi_vmalle1is();
  }
  void tlbi_vmalle1is() {}
};
template <class Caches>
std::string played_with() {
  return encoded_guest<arm, encoded_tlbi<arm, hints, Caches>>{}.play(rounds);
}

}  // namespace

TEST_CASE("a sequence that leaves out an instruction is found") {
  CHECK(played_with<caches>() == "");
  CHECK(played_with<without_combined>() != "");
  CHECK(played_with<without_waiting>() != "");
  CHECK(played_with<without_entering>() != "");
  CHECK(played_with<combined_too_early>() != "");
}

// ---- two guests on the same CPUs

QUIRE_TYPED_TEST("two guests share CPUs and addresses", std::tuple<arm, risc>) {
  using invalidation = std::conditional_t<std::is_same_v<Format, arm>, encoded_tlbi<arm, hints>, encoded_hfence<risc>>;
  encoded_guest<Format, invalidation> one{{.vmid = 1}};
  encoded_guest<Format, invalidation> two{{.vmid = 2, .seed = 7}, one.machine};
  two.dice = 99;
  std::string found;
  for (int round = 0; round < 200 && found.empty(); ++round) found = one.play(1) + two.play(1);
  CHECK(found == "");
}

TEST_CASE("the other guest's VMID is found") {
  SECTION("arm64") {
    encoded_guest<arm, encoded_tlbi<arm, hints>> one{{.vmid = 1}};
    encoded_guest<arm, encoded_tlbi<arm, hints>> two{{.vmid = 2}, one.machine};
    one.invalidation().cpu().vmid = 2;
    CHECK(one.play(rounds) != "");
  }
  SECTION("RISC-V") {
    struct second_guest : encoded_hfence<risc> {
      explicit second_guest(check::machine<risc>* to) : encoded_hfence<risc>(to, 2) {}
    };
    encoded_guest<risc, second_guest> one{{.vmid = 1}};
    encoded_guest<risc, encoded_hfence<risc>> two{{.vmid = 2}, one.machine};
    CHECK(one.play(rounds) != "");
  }
}
