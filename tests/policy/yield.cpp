// SPDX-License-Identifier: MIT
#include <quire/policy/yield.hpp>

#include "catch.hpp"

TEST_CASE("never_yield never does, yield_every(n) does at every n-th question") {
  quire::never_yield never;
  CHECK_FALSE(never.should_yield());
  quire::yield_every third{3};
  int asked = 0, yields = 0;
  for (; asked < 10; ++asked)
    if (third.should_yield()) {
      ++yields;
      third.pause();
    }
  CHECK(yields == 3);
  CHECK(third.yields() == 3);
  quire::yield_every always{1};
  CHECK(always.should_yield());
  CHECK(always.should_yield());
}
