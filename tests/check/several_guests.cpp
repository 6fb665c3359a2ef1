// SPDX-License-Identifier: MIT
// Two guests on the same CPUs: the same input addresses, other data. Bad programs next to good ones.
#include <quire/check/software_mmu.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;

namespace {

constexpr unsigned one = 1, two = 2;

// Both map their page 0; on CPU 0 both have been there.
struct pair_of_guests {
  hand<direct> here{{.vmid = one}};
  hand<direct> there{{.vmid = two}, here};

  pair_of_guests() {
    here.store(here.pages, 0, here.leaf(0x400, 0));
    there.store(there.pages, 0, there.leaf(0x800, 0));
    there.enter(0);
    CHECK(there.access(0).output == output_address{0x800});
    here.enter(0);
    CHECK(here.access(0).output == output_address{0x400});
  }
  check::software_mmu<direct, quire::array_memory<direct::word>>& mmu() { return here.machine.mmu(); }
  std::string findings() { return here.ended().text() + there.ended().text(); }
};

constexpr quire::invalidation_request page_0{input_address{0}, input_address{page - 1}, 0, true,
                                             invalidation_reason::removed};
constexpr quire::invalidation_request everything{input_address{0}, input_address{~std::uint64_t{0}}, -1, false,
                                                 invalidation_reason::removed};

}  // namespace

TEST_CASE("what is cached of one guest is not used for another, and is there when it comes back") {
  pair_of_guests both;
  both.there.enter(0);
  const auto theirs = both.there.access(0);
  CHECK(theirs.output == output_address{0x800});
  CHECK(theirs.cached);
  both.here.enter(0);
  const auto ours = both.here.access(0);
  CHECK(ours.output == output_address{0x400});
  CHECK(ours.cached);
  CHECK(both.findings() == "");
}

TEST_CASE("table entries of one guest do not lead another's walks") {
  pair_of_guests both;
  both.there.store(both.there.pages, 1, both.there.leaf(0xc00, 0));
  CHECK(both.here.access(page).why == fault::not_mapped);  // walks from the root, or from our own tables
  both.there.enter(0);
  CHECK(both.there.access(page).output == output_address{0xc00});
}

TEST_CASE("an invalidation under the wrong VMID is found") {
  pair_of_guests both;
  both.here.store(both.here.pages, 0, 0);
  SECTION("the other guest's") {
    both.mmu().invalidate(page_0, two);
    both.here.machine.stale().verify(both.here.root);
    CHECK(both.here.findings().only(rule::stale_translation));
    both.there.enter(0);
    CHECK_FALSE(both.there.access(0).cached);  // what it hit instead
  }
  SECTION("its own") {
    both.mmu().invalidate(page_0, one);
    both.here.machine.stale().verify(both.here.root);
    CHECK(both.here.findings().text() == "");
    both.there.enter(0);
    CHECK(both.there.access(0).cached);
  }
}

TEST_CASE("a table freed by one guest is not the other's, at whatever address") {
  pair_of_guests both;
  CHECK(both.here.pages == both.there.pages);
  both.here.store(both.here.blocks, 0, 0);
  SECTION("invalidated under its own VMID") {
    both.here.flush(0, block - 1);
    both.here.retire(both.here.pages);
    CHECK(both.findings() == "");
  }
  SECTION("invalidated under the other's") {
    both.there.flush(0, block - 1);
    both.here.retire(both.here.pages);
    CHECK(both.here.findings().count(rule::stale_walk) != 0);
    CHECK(both.there.ended().text() == "");
  }
}

TEST_CASE("a guest that moves to another CPU and back meets old entries") {
  pair_of_guests both;
  both.here.machine.stale().spare_idle_cpus(true);
  both.there.enter(0);  // our guest moves from CPU 0 to CPU 1
  both.here.enter(1);
  CHECK(both.here.access(0, access_type::read, 1).ok());
  both.here.store(both.here.pages, 0, 0);
  both.mmu().invalidate_on(1, page_0, one);  // only where it runs now
  both.here.machine.stale().verify(both.here.root);
  CHECK(both.here.findings().text() == "");

  both.there.enter(1);
  SECTION("nobody dropped them") {
    both.here.enter(0);
    CHECK(both.here.access(0).ok());  // it must not be
    both.here.machine.stale().verify(both.here.root);
    CHECK(both.here.findings().only(rule::stale_translation));
  }
  SECTION("dropped when it came back") {
    both.mmu().invalidate_on(0, everything, one);
    both.here.enter(0);
    CHECK(both.here.access(0).why == fault::not_mapped);
    both.here.machine.stale().verify(both.here.root);
    CHECK(both.here.findings().text() == "");
  }
  SECTION("dropped under the wrong VMID when it came back") {
    both.mmu().invalidate_on(0, everything, two);
    both.here.enter(0);
    both.here.machine.stale().verify(both.here.root);
    CHECK(both.here.findings().count(rule::stale_translation) == 1);
  }
}

TEST_CASE("CPUs that run another guest are asked as well, unless they are spared") {
  pair_of_guests both;
  both.there.enter(0);
  both.here.enter(1);
  both.here.store(both.here.pages, 0, 0);
  both.mmu().invalidate_on(1, page_0, one);
  both.here.machine.stale().verify(both.here.root);
  CHECK(both.here.findings().only(rule::stale_translation));
}

TEST_CASE("a freed table may stay cached on a spared CPU until the guest enters it") {
  pair_of_guests both;
  both.there.enter(0);
  both.here.machine.stale().spare_idle_cpus(true);
  both.here.store(both.here.blocks, 0, 0);
  both.mmu().invalidate_on(1, everything, one);
  both.here.machine.stale().table_freed(both.here.pages, 32);
  CHECK(both.here.findings().text() == "");
  both.here.enter(0);
  both.here.machine.stale().table_freed(both.here.pages, 32);
  CHECK(both.here.findings().only(rule::stale_walk));
}

TEST_CASE("a walk ends under the VMID that it began with") {
  pair_of_guests both;
  both.here.store(both.here.pages, 1, both.here.leaf(0x440, 0));
  both.here.begin(page);
  both.here.step();
  both.there.enter(0);
  SECTION("and is kept for it") {
    while (!both.here.step()) {
    }
    CHECK(both.there.access(page).why == fault::not_mapped);
    both.here.enter(0);
    CHECK(both.here.access(page).cached);
  }
  SECTION("and is judged by its own table") {
    both.there.store(both.there.blocks, 1, direct::table(both.there.table(), 1));
    both.there.begin(block + page);
    both.there.step(2);
    CHECK(both.here.ended().text() == "");
    CHECK(both.mmu().walking(0));
  }
  SECTION("an invalidation of the other guest lets it go on") {
    both.mmu().invalidate(everything, two);
    CHECK(both.mmu().walking(0));
  }
  SECTION("one of its own ends it") {
    both.mmu().invalidate(everything, one);
    CHECK_FALSE(both.mmu().walking(0));
  }
}

TEST_CASE("a guest that leaves takes its own entries and walks along") {
  pair_of_guests both;
  both.here.begin(page);
  both.there.begin(page, access_type::read, 1);
  both.there.machine.stop();
  CHECK(both.mmu().walking(0));
  CHECK_FALSE(both.mmu().has_root(two));
  for (const auto& cpu : both.mmu().cpus()) {
    for (const auto& entry : cpu.translations) CHECK(entry.vmid == one);
    for (const auto& entry : cpu.tables) CHECK(entry.vmid == one);
  }
  both.there.enter(1);
  CHECK(both.there.access(0, access_type::read, 1).why == fault::not_mapped);
  both.here.enter(0);
  CHECK(both.here.access(0).cached);
}

TEST_CASE("the hardware of two guests takes turns on the CPUs") {
  pair_of_guests both;
  for (int round = 0; round < 2000; ++round) {
    both.here.machine.run_hardware();
    both.there.machine.run_hardware();
    if (round % 100 != 0) continue;
    both.here.store(both.here.pages, 0, both.here.leaf(0x400, 0, dirtied));
    both.here.exchange(both.here.pages, 0, 0);
    both.here.flush(0, page - 1, 0, true);
    CHECK(both.findings() == "");
  }
  CHECK(both.here.machine.stores_at(0) + both.there.machine.stores_at(0) != 0);
}
