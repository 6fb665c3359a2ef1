// SPDX-License-Identifier: MIT
// How much random testing to do: QUIRE_TEST_SCALE in the environment is a percentage of the usual amount.
#pragma once

#include <cstdint>  // uint64_t
#include <cstdlib>  // getenv, strtoull

namespace quire_test {

// The share of `rounds` that was asked for: never none, for a test that does nothing proves nothing.
[[nodiscard]] inline std::uint64_t scaled(std::uint64_t rounds) {
  const char* const text = std::getenv("QUIRE_TEST_SCALE");
  const std::uint64_t percent = text == nullptr ? 100 : std::strtoull(text, nullptr, 10);
  const std::uint64_t share = rounds / 100 * percent + rounds % 100 * percent / 100;
  return share == 0 ? 1 : share;
}

}  // namespace quire_test
