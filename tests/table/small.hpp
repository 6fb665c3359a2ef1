// SPDX-License-Identifier: MIT
// For tests that read like examples: a watched table of a tiny format, and pages by number.
#pragma once

#include <cstdint>  // uint64_t
#include <string>   // string

#include "catch.hpp"
#include "stand.hpp"
#include "support/formats.hpp"

namespace quire_test {

inline constexpr std::uint64_t page = 64;  // bytes, of every tiny format

[[nodiscard]] constexpr quire::input_range pages(std::uint64_t first, std::uint64_t count) {
  return quire::input_range::sized(quire::input_address{first * page}, count * page);
}
[[nodiscard]] constexpr quire::output_address at(std::uint64_t number) { return quire::output_address{number * page}; }

template <class F>
struct stand : watched_stand<F> {
  explicit stand(unsigned hardware = 0, std::uint64_t seed = 1)
      : watched_stand<F>({.seed = seed, .hardware = hardware, .first = 0, .pages = 16, .tables = 64}) {
    REQUIRE(this->table.create());
  }
  // What the oracles have to say.
  [[nodiscard]] std::string findings() {
    this->end();
    return this->machine.findings().text();
  }
  [[nodiscard]] quire::attributes attrs(std::uint64_t number) {
    return this->session().lookup(quire::input_address{number * page})->attrs;
  }
};

}  // namespace quire_test
