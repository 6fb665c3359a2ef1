// SPDX-License-Identifier: MIT
// The two ways to write entries, one word at a time and in runs, do the same: equal trees bit for bit, equal results
// (both are held against the model), equal invalidations.
#include <string>  // string
#include <vector>  // vector

#include "catch.hpp"
#include "player.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire_test;

std::string compare_sequence(const player_factory& format, std::uint64_t seed) {
  const auto words = format.make(stand_kind::watched, {.seed = seed}),
             runs = format.make(stand_kind::bare, {.seed = seed});
  dice random(seed * 77);
  std::string played;
  for (int i = 0; i < 60; ++i) {
    const step each = random_step(format.traits, random);
    played += text_of(each) + "\n";
    if (std::string wrong = words->play(each); !wrong.empty()) return played + "by words: " + wrong;
    if (std::string wrong = runs->play(each); !wrong.empty()) return played + "in runs: " + wrong;
    if (words->tree() != runs->tree()) return played + "the trees differ";
    if (words->requests() != runs->requests()) return played + "the invalidations differ";
  }
  return {};
}

}  // namespace

QUIRE_TYPED_TEST("words and runs do the same", chosen_of<formats_with_bare_stand>) {
  const player_factory& format = player_for<Format>();
  std::string wrong;
  for (std::uint64_t seed = 1; seed <= scaled(format.real ? 30 : 150) && wrong.empty(); ++seed)
    wrong = compare_sequence(format, seed);
  INFO(wrong);
  CHECK(wrong.empty());
}
