// SPDX-License-Identifier: MIT
// Random sequences of operations on every format, compared with the flat model after each of them.
//
// QUIRE_SEED in the environment is the seed of the first sequence: a failure prints the one to set. A failing sequence
// is shrunk by leaving operations out for as long as it still fails.
#include <cstdio>   // printf
#include <cstdlib>  // getenv, strtoull
#include <string>   // string, to_string
#include <vector>   // vector

#include "catch.hpp"
#include "player.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire_test;

// What came of a sequence: fine, or the operation after which something was wrong.
struct outcome {
  std::size_t operation = 0;
  std::string wrong;
};

outcome play_all(const player_factory& format, const player_options& options, const std::vector<step>& steps) {
  const auto player = format.make(stand_kind::watched, options);
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (std::string wrong = player->play(steps[i]); !wrong.empty()) return {i, wrong};
  return {steps.size(), player->finish()};
}

// Leaves out halves, quarters, ... single steps.
std::vector<step> shrunk(const player_factory& format, const player_options& options, std::vector<step> steps) {
  for (std::size_t chunk = steps.size() / 2 + 1; chunk != 0; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
    for (std::size_t at = steps.size(); at != 0;) {
      at = at > chunk ? at - chunk : 0;
      std::vector<step> fewer = steps;
      const std::size_t end = std::min(at + chunk, steps.size());
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(end));
      if (!play_all(format, options, fewer).wrong.empty()) steps = fewer;
      if (at > steps.size()) at = steps.size();
    }
  return steps;
}

std::string explained(const player_factory& format, const player_options& options, const std::vector<step>& steps,
                      const outcome& first) {
  std::string text = "after operation " + std::to_string(first.operation) + ": " + first.wrong +
                     "\nagain with: QUIRE_SEED=" + std::to_string(options.seed) + "\nshrunk to:\n";
  const auto fewer =
      shrunk(format, options,
             {steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(std::min(first.operation + 1, steps.size()))});
  for (const step& each : fewer) text += "  " + text_of(each) + "\n";
  return text + play_all(format, options, fewer).wrong;
}

std::uint64_t first_seed() {
  const char* const text = std::getenv("QUIRE_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

constexpr std::size_t steps_in_sequence = 250;

void play_format(const player_factory& format, std::uint64_t operations) {
  const std::uint64_t sequences = operations / steps_in_sequence;
  std::printf("%s: QUIRE_SEED=%llu, %llu sequences\n", format.name, static_cast<unsigned long long>(first_seed()),
              static_cast<unsigned long long>(sequences));
  std::string wrong;
  for (std::uint64_t i = 0; i < sequences && wrong.empty(); ++i) {
    // Two of three with the hardware at work, some of them with a lot of it.
    const player_options options{.seed = first_seed() + i,
                                 .hardware = (first_seed() + i) % 3 == 0   ? 0U
                                             : (first_seed() + i) % 7 == 0 ? 900U
                                                                           : 150U};
    dice random(options.seed);
    std::vector<step> steps(steps_in_sequence);
    for (step& each : steps) each = random_step(format.traits, random);
    const outcome result = play_all(format, options, steps);
    if (!result.wrong.empty()) wrong = explained(format, options, steps, result);
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

}  // namespace

QUIRE_TYPED_TEST("random operations", chosen_formats) {
  const player_factory& format = player_for<Format>();
  play_format(format, scaled(format.real ? 10'000 : 400'000));
}
