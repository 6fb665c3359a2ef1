// SPDX-License-Identifier: MIT
// Reading fences back: whatever the encoder makes covers the request, and nothing beside the leaves it touches.
#include <quire/check/riscv_operands.hpp>

#include <cstdint>  // uint64_t

#include <quire/format/riscv_gstage.hpp>
#include <quire/format/riscv_hfence.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using format = riscv::sv39x4;

// Reads the addresses of one request: each names the leaf that follows the one before.
struct reader {
  std::uint64_t* next;  // the first byte that is not fenced yet
  std::uint64_t leaf;
  bool fine = true;
  bool whole = false;

  void hfence_gvma(std::uint64_t rs1, std::uint64_t vmid) {
    const invalidation_request named = check::decode_hfence_gvma(rs1, invalidation_reason::reduced);
    fine = fine && (named.first.value & ~(leaf - 1)) == *next && named.leaf_only && named.level == -1 && vmid == 5;
    *next = (named.last.value | (leaf - 1)) + 1;
  }
  void hfence_gvma_all(std::uint64_t vmid) {
    fine = fine && vmid == 5;
    whole = true;
  }
};

constexpr invalidation_request leaves(std::uint64_t first, std::uint64_t bytes, int level, bool leaf_only = true) {
  return {input_address{first}, input_address{first + (bytes - 1)}, level, leaf_only, invalidation_reason::reduced};
}

reader read_back(std::uint64_t first, std::uint64_t count, int level) {
  const std::uint64_t leaf = format::shape.leaf_bytes(level);
  std::uint64_t next = first;
  reader hart{&next, leaf};
  riscv::fence_for(leaves(first, count * leaf, level), 5).execute<riscv::hfence_options{}>(hart);
  hart.fine = hart.fine && (hart.whole || next == first + count * leaf);
  hart.next = nullptr;
  return hart;
}

}  // namespace

TEST_CASE("an address is in units of four bytes") {
  STATIC_REQUIRE(
      check::decode_hfence_gvma(0x400, invalidation_reason::reduced) ==
      invalidation_request{input_address{0x1000}, input_address{0x1000}, -1, true, invalidation_reason::reduced});
  STATIC_REQUIRE(check::decode_hfence_gvma_all(invalidation_reason::removed).last.value == ~std::uint64_t{0});
  STATIC_REQUIRE(!check::decode_hfence_gvma_all(invalidation_reason::removed).leaf_only);
}

TEST_CASE("every number of leaves is fenced exactly, or the whole VMID is") {
  for (const int level : {0, 1, 2})
    for (std::uint64_t count = 1; count <= 600; ++count)
      for (const std::uint64_t first : {std::uint64_t{0}, 7 * format::shape.leaf_bytes(level),
                                        (std::uint64_t{1} << 41U) - count * format::shape.leaf_bytes(level),
                                        std::uint64_t{0} - count * format::shape.leaf_bytes(level)}) {
        const reader read = read_back(first, count, level);
        CHECK((read.fine && read.whole == (count > 512)));
      }
}

TEST_CASE("a table entry is fenced with every address") {
  std::uint64_t next = 0;
  reader hart{&next, 4096};
  riscv::fence_for(leaves(0, 4096, 0, false), 5).execute<riscv::hfence_options{}>(hart);
  CHECK((hart.fine && hart.whole));
}
