// SPDX-License-Identifier: MIT
// Retired tables: given back at once, or kept until the owner says that all readers are gone.
#include <quire/policy/reclaim.hpp>

#include <vector>  // vector

#include <quire/policy/array_memory.hpp>

#include "catch.hpp"

namespace {

using namespace quire;

struct source {
  std::vector<std::uint64_t> given_back;
  bool reserve(std::size_t) { return false; }
  result<table_address> take(table_contents) { return errc::no_memory; }
  void give_back(table_address table) { given_back.push_back(table.value); }
};

}  // namespace

TEST_CASE("immediate reclaim gives back at once") {
  source tables;
  immediate_reclaim reclaim;
  reclaim.retire(tables, table_address{64});
  CHECK(tables.given_back == std::vector<std::uint64_t>{64});
}

TEST_CASE("deferred reclaim keeps tables until they are collected, each once") {
  std::vector<std::uint64_t> words(64, 7);
  using memory = array_memory<std::uint64_t>;
  deferred_reclaim<memory> reclaim{memory{words.data(), words.size(), 64}};
  source tables;
  static_assert(reclaim_policy<deferred_reclaim<memory>, source>);
  for (std::uint64_t table = 64; table < 64 + 4 * 64; table += 64) reclaim.retire(tables, table_address{table});
  CHECK(reclaim.waiting() == 4);
  CHECK(tables.given_back.empty());
  // What waits still reads as it did but for the word that holds the list, and that reads as not valid.
  CHECK(words[0] == 7);
  CHECK((words[1] & 1U) == 0);
  CHECK(words[2] == 7);
  reclaim.collect(tables);
  CHECK(tables.given_back == std::vector<std::uint64_t>{256, 192, 128, 64});
  CHECK(reclaim.waiting() == 0);
  reclaim.collect(tables);
  CHECK(tables.given_back.size() == 4);
}
