// SPDX-License-Identifier: MIT
// The memory policies: the same six accesses everywhere, in constant evaluation too, with or without the run
// capability, and with an observer that misses none of them.
#include <quire/policy/memory.hpp>

#include <array>   // array
#include <vector>  // vector

#include <quire/policy/array_memory.hpp>
#include <quire/policy/observed_memory.hpp>

#include "catch.hpp"

namespace {

using namespace quire;

// The number of the first access that did not do what it says, 0 for none. Entry 2 of `table` is zero before.
template <class Word, class Memory>
constexpr int six_accesses(Memory memory, table_address table) {
  memory.template store<Word>(table, 2, 0x55, order::relaxed);
  if (memory.template load<Word>(table, 2, order::acquire) != 0x55) return 1;
  if (memory.template exchange<Word>(table, 2, 0x0f, order::acq_rel) != 0x55) return 2;
  Word expected = 0x55;
  if (memory.template compare_exchange<Word>(table, 2, expected, 0x11, order::acq_rel) || expected != 0x0f) return 3;
  if (!memory.template compare_exchange<Word>(table, 2, expected, 0x3c, order::release)) return 4;
  if (memory.template fetch_and<Word>(table, 2, 0x0f, order::relaxed) != 0x3c) return 5;
  if (memory.template fetch_or<Word>(table, 2, 0x80, order::relaxed) != 0x0c) return 6;
  if (memory.template load<Word>(table, 2, order::relaxed) != 0x8c) return 7;
  if (memory.template load<Word>(table, 1, order::relaxed) != 0 ||
      memory.template load<Word>(table, 3, order::relaxed) != 0)
    return 8;
  return 0;
}
template <class Word>
constexpr int in_an_array() {
  std::array<Word, 8> words{};
  return six_accesses<Word>(array_memory<Word>{words.data(), words.size(), 0x1000},
                            table_address{0x1000 + 2 * sizeof(Word)});
}

struct counting : memory_observer {
  std::vector<access_kind> kinds;
  int loads = 0, stores = 0;
  std::size_t owned_words = 0;
  std::uint64_t last_before = 0, last_after = 0;
  void before(access_kind kind) { kinds.push_back(kind); }
  template <class Word>
  void loaded(table_address, std::size_t, Word) {
    ++loads;
  }
  template <class Word>
  void stored(table_address, std::size_t, Word before, Word after, order) {
    ++stores;
    last_before = before;
    last_after = after;
  }
  void owned(table_address, std::size_t, std::size_t n) { owned_words += n; }
};

}  // namespace

static_assert(in_an_array<std::uint64_t>() == 0 && in_an_array<std::uint32_t>() == 0);

TEST_CASE("array memory does what it says, at run time as in constant evaluation") {
  CHECK(in_an_array<std::uint64_t>() == 0);
  CHECK(in_an_array<std::uint32_t>() == 0);
}

TEST_CASE("direct memory finds a table at its address plus the displacement") {
  alignas(64) std::uint64_t words[8]{};
  const auto at = reinterpret_cast<std::uintptr_t>(&words[0]);
  CHECK(six_accesses<std::uint64_t>(direct_memory{}, table_address{at}) == 0);
  words[2] = 0;
  CHECK(six_accesses<std::uint64_t>(direct_memory{at - 0x8000}, table_address{0x8000}) == 0);
  CHECK(words[2] == 0x8c);
  const direct_memory memory;
  CHECK(memory.own<std::uint64_t>(table_address{at}, 3, 2) == &words[3]);
}

TEST_CASE("direct memory whose displacement the compiler knows is the same, and holds nothing") {
  alignas(64) std::uint64_t words[8]{};
  const auto at = reinterpret_cast<std::uintptr_t>(&words[0]);
  CHECK(six_accesses<std::uint64_t>(identity_memory{}, table_address{at}) == 0);
  CHECK(words[2] == 0x8c);
  words[2] = 0;
  const direct_memory_at<0x8000> memory;
  CHECK(six_accesses<std::uint64_t>(memory, table_address{at - 0x8000}) == 0);
  CHECK(words[2] == 0x8c);
  CHECK(memory.own<std::uint64_t>(table_address{at - 0x8000}, 3, 2) == &words[3]);
  static_assert(std::is_empty_v<direct_memory_at<0x8000>> && run_memory<identity_memory, std::uint64_t>);
}

TEST_CASE("an observer is told of every access before it happens and of every word") {
  std::array<std::uint64_t, 8> words{};
  counting seen;
  using observed = observed_memory<array_memory<std::uint64_t>, counting>;
  const observed memory{array_memory<std::uint64_t>{words.data(), words.size(), 0x1000}, &seen};
  CHECK(six_accesses<std::uint64_t>(memory, table_address{0x1000}) == 0);
  CHECK(seen.kinds == std::vector{access_kind::store, access_kind::load, access_kind::exchange,
                                  access_kind::compare_exchange, access_kind::compare_exchange, access_kind::fetch_and,
                                  access_kind::fetch_or, access_kind::load, access_kind::load, access_kind::load});
  CHECK(seen.loads == 4);
  CHECK(seen.stores == 5);  // the exchange that failed stored nothing
  CHECK(seen.last_before == 0x0c);
  CHECK(seen.last_after == 0x8c);
  static_assert(!run_memory<observed, std::uint64_t>);
}

#ifndef QUIRE_NO_RUN_CAPABILITY
TEST_CASE("an observed memory has the run capability when it is asked for, and tells of runs") {
  std::array<std::uint64_t, 8> words{};
  counting seen;
  using observed = observed_memory<array_memory<std::uint64_t>, counting, true>;
  static_assert(run_memory<observed, std::uint64_t>);
  const observed memory{array_memory<std::uint64_t>{words.data(), words.size(), 0x1000}, &seen};
  CHECK(memory.own<std::uint64_t>(table_address{0x1000}, 1, 5) == &words[1]);
  memory.written<std::uint64_t>(table_address{0x1000}, 1, 5);
  CHECK(seen.owned_words == 5);
  CHECK(seen.kinds == std::vector{access_kind::own});
}
#endif
