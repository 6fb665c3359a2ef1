// SPDX-License-Identifier: MIT
// A table of some format with its model, behind an interface: tests of sequences do not instantiate the library.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <memory>   // unique_ptr
#include <string>   // string
#include <vector>   // vector

#include <quire/policy/invalidation.hpp>  // invalidation_request

#include "step.hpp"

namespace quire_test {

class player {
 public:
  player() = default;
  player(const player&) = delete;
  player& operator=(const player&) = delete;
  virtual ~player() = default;

  [[nodiscard]] virtual const format_traits& traits() const = 0;
  // Plays a step; "" or what is wrong.
  virtual std::string play(const step& s) = 0;
  // Destroys the table in small chunks; "" or what is wrong.
  virtual std::string finish() = 0;
  // Every entry in order, those that lead to tables without the address.
  [[nodiscard]] virtual std::vector<std::uint64_t> tree() = 0;
  [[nodiscard]] virtual const std::vector<quire::invalidation_request>& requests() = 0;
  // Puts the state aside, or brings it back; only the bare stand can.
  virtual void save(std::size_t slot) = 0;
  virtual void restore(std::size_t slot) = 0;
  // Runs a step whose k-th allocation fails, or that and all later ones; only the watched stand can.
  virtual std::string play_failing(const step& s, std::uint64_t k, bool all_later) = 0;
  // Plays a step with no table in stock and gives how many allocations it tried.
  virtual std::uint64_t count_allocations(const step& s, std::string& wrong) = 0;
  // Calls an operation on any two bytes. The table is empty before and after.
  virtual std::string play_raw(verb what, std::uint64_t first, std::uint64_t last, std::uint64_t output) = 0;
  // Input addresses at which something begins or ends, and their neighbours; the first output that does not exist.
  [[nodiscard]] virtual std::vector<std::uint64_t> boundaries() const = 0;
  [[nodiscard]] virtual std::uint64_t output_limit() const = 0;
};

enum class stand_kind : std::uint8_t { watched, bare };

struct player_options {
  std::uint64_t seed = 1;
  unsigned hardware = 0;
};

// A player of one format; null where the stand was left out.
struct player_factory {
  const char* name;
  bool real;
  format_traits traits;
  std::unique_ptr<player> (*make)(stand_kind, const player_options&);
};

// Every format that the tests know. They are compiled in parts (players_*.cpp).
std::vector<player_factory> tiny_players_1();
std::vector<player_factory> tiny_players_2();
std::vector<player_factory> tiny_players_3();
std::vector<player_factory> tiny_players_4();
std::vector<player_factory> real_players_1();
std::vector<player_factory> real_players_2();
std::vector<player_factory> real_players_3();
std::vector<player_factory> real_players_4();

}  // namespace quire_test
