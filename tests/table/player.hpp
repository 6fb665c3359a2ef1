// SPDX-License-Identifier: MIT
// A table of some format with its model, behind an interface: tests of sequences do not instantiate the library.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <map>      // map
#include <memory>   // unique_ptr
#include <string>   // string
#include <tuple>    // tuple
#include <vector>   // vector

#include <quire/policy/invalidation.hpp>  // invalidation_request

#include "step.hpp"
#include "support/formats.hpp"

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

// The players that are linked in, by name: one_player.cpp.in is made once for each of chosen_formats and adds its own.
[[nodiscard]] inline std::map<std::string, player_factory>& all_players() {
  static std::map<std::string, player_factory> players;
  return players;
}
template <class Format>
[[nodiscard]] const player_factory& player_for() {
  return all_players().at(name_of_format<Format>);
}

// Those that have the bare stand, too.
using formats_with_bare_stand =
    std::tuple<format_named<"riscv-sv39x4">, format_named<"riscv-sv39x4-svnapot">, format_named<"exercise">,
               format_named<"arm64-4k-40-dbm">, format_named<"arm64-4k-40-contiguous">,
               format_named<"arm64-4k-52-lpa2">, format_named<"arm64-stage1-4k-39-halves-dbm-contiguous">,
               format_named<"amd-iommu-3">, format_named<"intel-ept-4-no-ad">, quire::tiny::plain,
               quire::tiny::wide_root, quire::tiny::grouped, quire::tiny::napot, quire::tiny::napot_sizes,
               quire::tiny::dbm, quire::tiny::hardware_ad, quire::tiny::signed_input, quire::tiny::cached_invalid>;

}  // namespace quire_test
