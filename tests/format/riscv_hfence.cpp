// SPDX-License-Identifier: MIT
// Which fences a request becomes, on which harts. (That operands mean what they should is shown by reading them back:
// tests/check/riscv_operands.cpp.)
#include <quire/format/riscv_hfence.hpp>

#include <string>  // string, to_string
#include <vector>  // vector

#include <quire/policy/invalidation.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using riscv::gstage_fence;
using riscv::hfence_options;

using listing = std::vector<std::string>;

// Writes down what it is to execute; what it is to send, it lets a second hart execute when it waits.
template <hfence_options Options>
struct scribe {
  listing* to;
  listing* other;
  std::vector<gstage_fence>* sent;

  void hfence_gvma(std::uint64_t address, std::uint64_t vmid) { fence("hfence.gvma", address, vmid); }
  void hfence_gvma_all(std::uint64_t vmid) { to->push_back("hfence.gvma x0, " + std::to_string(vmid)); }
  void sfence_w_inval() { to->push_back("sfence.w.inval"); }
  void hinval_gvma(std::uint64_t address, std::uint64_t vmid) { fence("hinval.gvma", address, vmid); }
  void sfence_inval_ir() { to->push_back("sfence.inval.ir"); }
  void send(const gstage_fence& fence) {
    to->push_back("send");
    sent->push_back(fence);
  }
  void wait() {
    to->push_back("wait");
    scribe there{other, nullptr, nullptr};
    for (const gstage_fence& each : *sent) each.execute<Options>(there);
    sent->clear();
  }
  void fence(const char* name, std::uint64_t address, std::uint64_t vmid) {
    to->push_back(std::string(name) + " " + std::to_string(address) + ", " + std::to_string(vmid));
  }
};

template <hfence_options Options = hfence_options{}>
struct pair_of_harts {
  listing here, there;
  std::vector<gstage_fence> sent;
  riscv::gstage_invalidation<scribe<Options>, Options> policy{scribe<Options>{&here, &there, &sent}, 3};
};

static_assert(invalidation_policy<riscv::gstage_invalidation<scribe<hfence_options{}>>>);
static_assert(riscv::hfence_system<scribe<hfence_options{}>> && riscv::hinval_hart<scribe<hfence_options{}>>);
struct lonely_hart {
  void hfence_gvma(std::uint64_t, std::uint64_t);
  void hfence_gvma_all(std::uint64_t);
};
static_assert(riscv::hfence_hart<lonely_hart> && !riscv::hinval_hart<lonely_hart> &&
              !riscv::hfence_system<lonely_hart> && !riscv::hfence_hart<int>);

constexpr invalidation_request leaves(std::uint64_t first, std::uint64_t last, int level) {
  return {input_address{first}, input_address{last}, level, true, invalidation_reason::reduced};
}

// The fences of one local().
template <hfence_options Options = hfence_options{}>
listing fences_of(const invalidation_request& request) {
  pair_of_harts<Options> harts;
  harts.policy.local(request);
  CHECK(harts.there.empty());
  return harts.here;
}

}  // namespace

TEST_CASE("other harts are told first, and waited for when the invalidation completes") {
  pair_of_harts harts;
  harts.policy.add(leaves(0x1000, 0x2fff, 0));
  CHECK(harts.here == listing{"send", "hfence.gvma 1024, 3", "hfence.gvma 2048, 3"});
  CHECK(harts.there.empty());
  harts.policy.complete();
  CHECK(harts.here.back() == "wait");
  CHECK(harts.there == listing{"hfence.gvma 1024, 3", "hfence.gvma 2048, 3"});
}

TEST_CASE("a guest-physical address is given in units of four bytes, a virtual one in bytes") {
  STATIC_REQUIRE(riscv::gpa_operand(input_address{0x1000}) == 0x400);
  STATIC_REQUIRE(riscv::gpa_operand(input_address{~std::uint64_t{0}}) == ~std::uint64_t{0} >> 2U);
  STATIC_REQUIRE(riscv::va_operand(input_address{0x1000}) == 0x1000);
}

TEST_CASE("one fence does for a leaf of the hinted level") {
  CHECK(fences_of(leaves(0x20'0000, 0x5f'ffff, 1)) == listing{"hfence.gvma 524288, 3", "hfence.gvma 1048576, 3"});
  CHECK(fences_of(leaves(0x4000'0000, 0x7fff'ffff, 2)) == listing{"hfence.gvma 268435456, 3"});
  CHECK(fences_of(leaves(0x21'0000, 0x21'ffff, 1)) == listing{"hfence.gvma 524288, 3"});
  CHECK(fences_of(leaves(0x20'0000, 0x20'2fff, -1)).size() == 3);
  constexpr hfence_options sv32{.index_bits = 10};
  CHECK(fences_of<sv32>(leaves(0x40'0000, 0xbf'ffff, 1)) ==
        listing{"hfence.gvma 1048576, 3", "hfence.gvma 2097152, 3"});
}

TEST_CASE("a changed table entry takes a fence of every address") {
  invalidation_request table = leaves(0x20'0000, 0x20'0fff, 0);
  table.leaf_only = false;
  CHECK(fences_of(table) == listing{"hfence.gvma x0, 3"});
}

TEST_CASE("more addresses than the bound take a fence of every address") {
  CHECK(fences_of(leaves(0, 512 * 4096 - 1, 0)).size() == 512);
  CHECK(fences_of(leaves(0, 512 * 4096, 0)) == listing{"hfence.gvma x0, 3"});
  CHECK(fences_of(leaves(0, 512 * 4096, 1)).size() == 2);
  CHECK(fences_of(leaves(0, ~std::uint64_t{0}, -1)) == listing{"hfence.gvma x0, 3"});
  constexpr hfence_options one{.most_addresses = 1};
  CHECK(fences_of<one>(leaves(0, 4095, 0)).size() == 1);
  CHECK(fences_of<one>(leaves(0, 4096, 0)) == listing{"hfence.gvma x0, 3"});
}

TEST_CASE("the last page of the address space is fenced and no more") {
  constexpr std::uint64_t last = ~std::uint64_t{0};
  CHECK(fences_of(leaves(last - 0x1fff, last, 0)).size() == 2);
  CHECK(fences_of(leaves((std::uint64_t{1} << 50U) - 0x1000, (std::uint64_t{1} << 50U) - 1, 0)) ==
        listing{"hfence.gvma " + std::to_string(((std::uint64_t{1} << 50U) - 0x1000) / 4) + ", 3"});
}

TEST_CASE("with Svinval the invalidations stand between two fences") {
  constexpr hfence_options svinval{.svinval = true};
  CHECK(fences_of<svinval>(leaves(0x1000, 0x2fff, 0)) ==
        listing{"sfence.w.inval", "hinval.gvma 1024, 3", "hinval.gvma 2048, 3", "sfence.inval.ir"});
  pair_of_harts<svinval> harts;
  harts.policy.add(leaves(0x1000, 0x1fff, 0));
  harts.policy.complete();
  CHECK(harts.there == listing{"sfence.w.inval", "hinval.gvma 1024, 3", "sfence.inval.ir"});
}

TEST_CASE("a fence may be kept, and executed by whoever reads it") {
  constexpr gstage_fence fence = riscv::fence_for(leaves(0x1000, 0x1fff, 0), 9);
  STATIC_REQUIRE(fence == gstage_fence{input_address{0x1000}, input_address{0x1fff}, 0x1000, 9});
  listing told;
  scribe<hfence_options{}> hart{&told, nullptr, nullptr};
  fence.execute<hfence_options{}>(hart);
  CHECK(told == listing{"hfence.gvma 1024, 9"});
}
