// SPDX-License-Identifier: MIT
#include <quire/dirty/invalidation_sequence.hpp>

#include <vector>  // vector

#include "catch.hpp"

namespace {
using quire::input_address;
using quire::input_range;

constexpr input_range range(std::uint64_t first, std::uint64_t end) {
  return input_range::half_open(input_address{first}, input_address{end});
}
}  // namespace

TEST_CASE("nothing happened") {
  const quire::invalidation_sequence sequence;
  const auto snapshot = sequence.sample();
  CHECK_FALSE(sequence.must_retry(snapshot, input_address{0}));
  CHECK_FALSE(sequence.in_progress());
}

TEST_CASE("a change in progress stops its own range only") {
  quire::invalidation_sequence sequence;
  const auto change = sequence.begin(range(0x2000, 0x4000));
  const auto snapshot = sequence.sample();
  CHECK(sequence.in_progress());
  CHECK_FALSE(sequence.must_retry(snapshot, input_address{0x1fff}));
  CHECK(sequence.must_retry(snapshot, input_address{0x2000}));
  CHECK(sequence.must_retry(snapshot, input_address{0x3fff}));
  CHECK_FALSE(sequence.must_retry(snapshot, input_address{0x4000}));
  CHECK(sequence.must_retry(snapshot, range(0x1000, 0x3000)));
  CHECK(sequence.must_retry(snapshot, range(0x3000, 0x9000)));
  CHECK_FALSE(sequence.must_retry(snapshot, range(0x1000, 0x2000)));
  CHECK_FALSE(sequence.must_retry(snapshot, range(0x4000, 0x9000)));
  sequence.end(change);
  CHECK_FALSE(sequence.in_progress());
}

TEST_CASE("a change that ended since the sample stops everything") {
  quire::invalidation_sequence sequence;
  const auto before = sequence.sample();
  const auto change = sequence.begin(range(0x2000, 0x4000));
  const auto during = sequence.sample();
  sequence.end(change);
  CHECK(sequence.must_retry(before, input_address{0x9000}));
  CHECK(sequence.must_retry(during, input_address{0x2000}));
  CHECK_FALSE(sequence.must_retry(sequence.sample(), input_address{0x2000}));
}

TEST_CASE("changes that overlap in time are known one by one") {
  quire::invalidation_sequence sequence;
  const auto first = sequence.begin(range(0x8000, 0x9000));
  const auto second = sequence.begin(range(0x2000, 0x3000));
  auto snapshot = sequence.sample();
  for (const std::uint64_t inside : {0x2000U, 0x2fffU, 0x8000U, 0x8fffU})
    CHECK(sequence.must_retry(snapshot, input_address{inside}));
  for (const std::uint64_t outside : {0x1fffU, 0x5000U, 0x9000U})
    CHECK_FALSE(sequence.must_retry(snapshot, input_address{outside}));
  sequence.end(first);
  CHECK(sequence.must_retry(snapshot, input_address{0x5000}));  // something ended since
  snapshot = sequence.sample();
  CHECK_FALSE(sequence.must_retry(snapshot, input_address{0x8000}));
  CHECK(sequence.must_retry(snapshot, input_address{0x2000}));
  sequence.end(second);
  CHECK_FALSE(sequence.in_progress());
  CHECK_FALSE(sequence.must_retry(sequence.sample(), input_address{0x2000}));
}

TEST_CASE("changes beyond the number of slots speak of every address") {
  quire::invalidation_sequence sequence;
  std::vector<quire::invalidation_sequence::change> changes;
  for (std::uint64_t i = 0; i < 4; ++i) changes.push_back(sequence.begin(range(0x1000 * i, 0x1000 * (i + 1))));
  const input_address elsewhere{0x9000'0000};
  CHECK_FALSE(sequence.must_retry(sequence.sample(), elsewhere));
  for (std::uint64_t i = 0; i < 2; ++i) changes.push_back(sequence.begin(range(0x1000 * i, 0x1000 * (i + 1))));
  CHECK(sequence.must_retry(sequence.sample(), elsewhere));
  sequence.end(changes[4]);
  CHECK(sequence.must_retry(sequence.sample(), elsewhere));
  sequence.end(changes[5]);
  CHECK_FALSE(sequence.must_retry(sequence.sample(), elsewhere));
  CHECK(sequence.must_retry(sequence.sample(), input_address{0x2000}));
  for (std::size_t i = 0; i < 4; ++i) sequence.end(changes[i]);
  CHECK_FALSE(sequence.in_progress());
  // The slots are free again.
  const auto change = sequence.begin(range(0x6000, 0x7000));
  CHECK_FALSE(sequence.must_retry(sequence.sample(), input_address{0x2000}));
  CHECK(sequence.must_retry(sequence.sample(), input_address{0x6000}));
  sequence.end(change);
}

TEST_CASE("a range that reaches the end of the space") {
  quire::invalidation_sequence sequence;
  const auto change =
      sequence.begin(input_range::closed(input_address{~std::uint64_t{0} - 0xfff}, input_address{~std::uint64_t{0}}));
  CHECK(sequence.must_retry(sequence.sample(), input_address{~std::uint64_t{0}}));
  CHECK_FALSE(sequence.must_retry(sequence.sample(), input_address{0}));
  sequence.end(change);
}
