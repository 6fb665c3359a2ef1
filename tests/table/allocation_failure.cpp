// SPDX-License-Identifier: MIT
// Memory runs out at every allocation there is.
//
// A sequence is played on two tables; the first says how many allocations the next operation makes, the second has each
// of them fail before it does the operation for real. What is all or nothing must leave the tree as it was, bit for
// bit; a split says how far it came.
#include <string>  // string
#include <vector>  // vector

#include "catch.hpp"
#include "player.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire_test;

std::string fail_everywhere(const player_factory& format, std::uint64_t seed, std::uint64_t& failures) {
  const auto ahead = format.make(stand_kind::watched, {.seed = seed}),
             table = format.make(stand_kind::watched, {.seed = seed});
  dice random(seed * 31);
  std::string played;
  for (int i = 0; i < 25; ++i) {
    const step each = random_step(format.traits, random);
    played += text_of(each) + "\n";
    std::string wrong;
    const std::uint64_t allocations = ahead->count_allocations(each, wrong);
    if (!wrong.empty()) return played + wrong;
    // Large numbers: the first, the last and some between.
    for (std::uint64_t k = 1; k <= allocations; k += k < 8 || k + 8 > allocations ? 1 : 5)
      for (const bool all_later : {false, true}) {
        wrong = table->play_failing(each, k, all_later);
        if (!wrong.empty()) return played + "allocation " + std::to_string(k) + " failed: " + wrong;
        ++failures;
      }
    if (wrong = table->play(each); !wrong.empty()) return played + wrong;
  }
  std::string wrong = ahead->finish();
  if (wrong.empty()) wrong = table->finish();
  return wrong.empty() ? wrong : played + wrong;
}

}  // namespace

QUIRE_TYPED_TEST("every allocation fails once", chosen_formats) {
  const player_factory& format = player_for<Format>();
  std::uint64_t failures = 0;
  std::string wrong;
  for (std::uint64_t seed = 1; seed <= scaled(format.real ? 4 : 70) && wrong.empty(); ++seed)
    wrong = fail_everywhere(format, seed, failures);
  INFO(wrong);
  CHECK(wrong.empty());
  CHECK(failures > 0);
}
