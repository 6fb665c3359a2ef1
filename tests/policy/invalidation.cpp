// SPDX-License-Identifier: MIT
// Merging invalidations: one covering request, told only when somebody waits for it.
#include <quire/policy/invalidation.hpp>

#include <vector>  // vector

#include "catch.hpp"

namespace {

using namespace quire;

struct journal {
  std::vector<invalidation_request> added;
  std::vector<invalidation_request> locals;
  int completions = 0;
};
struct backend {
  journal* to = nullptr;
  void add(const invalidation_request& r) { to->added.push_back(r); }
  void local(const invalidation_request& r) { to->locals.push_back(r); }
  void complete() { ++to->completions; }
};

constexpr invalidation_request request(std::uint64_t first, std::uint64_t last, int level, bool leaf_only,
                                       invalidation_reason why) {
  return {input_address{first}, input_address{last}, level, leaf_only, why};
}

}  // namespace

TEST_CASE("nothing pending: completing tells nobody") {
  journal told;
  batching_invalidation<backend> policy{backend{&told}};
  decltype(policy)::batch batch;
  policy.complete(batch);
  CHECK_FALSE(batch.pending());
  CHECK(told.completions == 0);
}

TEST_CASE("requests merge into one that covers them all") {
  journal told;
  batching_invalidation<backend> policy{backend{&told}};
  decltype(policy)::batch batch;
  policy.add(batch, request(0x2000, 0x2fff, 0, true, invalidation_reason::relaxed));
  policy.add(batch, request(0x8000, 0x8fff, 0, true, invalidation_reason::reduced));
  CHECK(batch.pending());
  CHECK(told.added.empty());
  policy.complete(batch);
  CHECK(told.added == std::vector{request(0x2000, 0x8fff, 0, true, invalidation_reason::reduced)});
  CHECK(told.completions == 1);
  CHECK_FALSE(batch.pending());

  policy.add(batch, request(0x5000, 0x5fff, 0, true, invalidation_reason::removed));
  policy.add(batch, request(0x1000, 0x1fff, 1, false, invalidation_reason::installed));
  policy.complete(batch);
  CHECK(told.added.back() == request(0x1000, 0x5fff, -1, false, invalidation_reason::removed));
}

TEST_CASE("what one session has pending is not another's") {
  journal told;
  batching_invalidation<backend> policy{backend{&told}};
  decltype(policy)::batch one, other;
  policy.add(one, request(0x2000, 0x2fff, 0, true, invalidation_reason::reduced));
  policy.add(other, request(0x8000, 0x8fff, 0, true, invalidation_reason::reduced));
  policy.complete(other);
  CHECK(told.added == std::vector{request(0x8000, 0x8fff, 0, true, invalidation_reason::reduced)});
  CHECK(one.pending());
  policy.complete(one);
  CHECK(told.added.back() == request(0x2000, 0x2fff, 0, true, invalidation_reason::reduced));
}

TEST_CASE("local invalidations are not kept") {
  journal told;
  batching_invalidation<backend> policy{backend{&told}};
  policy.local(request(0, 0xfff, 0, true, invalidation_reason::relaxed));
  CHECK(told.locals.size() == 1);
}

TEST_CASE("a batching policy is as reentrant as its backend") {
  struct several : no_invalidation {};
  STATIC_REQUIRE(batching_invalidation<several>::reentrant);
  STATIC_REQUIRE_FALSE(batching_invalidation<backend>::reentrant);
}

TEST_CASE("a batch works in constant evaluation") {
  constexpr bool fine = []() constexpr {
    batching_invalidation<no_invalidation> policy;
    decltype(policy)::batch batch;
    policy.add(batch, request(0, 1, 0, true, invalidation_reason::removed));
    const bool before = batch.pending();
    policy.complete(batch);
    return before && !batch.pending();
  }();
  STATIC_REQUIRE(fine);
}
