// SPDX-License-Identifier: MIT
// The hook is the embedder's own: here it notes the text and goes on, which only a test may do.
namespace {
const char* violated = nullptr;
}
#define QUIRE_CONTRACT_VIOLATION(text) static_cast<void>(violated = (text))
#undef QUIRE_CONTRACTS
#define QUIRE_CONTRACTS 1
#include <quire/contract.hpp>

#include <string>

#include "catch.hpp"

TEST_CASE("a broken contract reaches the hook with the text of the condition") {
  violated = nullptr;
  QUIRE_EXPECTS(1 + 1 == 2);
  CHECK(violated == nullptr);
  QUIRE_EXPECTS(1 + 1 == 3);
  REQUIRE(violated != nullptr);
  CHECK(std::string{violated} == "1 + 1 == 3");
}

TEST_CASE("audits are not made at level 1") {
  violated = nullptr;
  int asked = 0;
  QUIRE_AUDIT(++asked == 0);
  CHECK(asked == 0);
  CHECK(violated == nullptr);
}
