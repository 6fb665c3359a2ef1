// SPDX-License-Identifier: MIT
// Bad input is answered by name and changes nothing: every pair of more than forty addresses at which something begins
// or ends, for every operation and every format.
#include <string>  // string
#include <vector>  // vector

#include <quire/table/range.hpp>

#include "catch.hpp"
#include "player.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire_test;
using quire::errc;

constexpr verb all_verbs[] = {
    verb::map,           verb::unmap, verb::discard,  verb::protect,      verb::write_protect, verb::write_protect_mask,
    verb::restore_write, verb::relax, verb::age,      verb::set_accessed, verb::take_dirty,    verb::split,
    verb::collapse,      verb::prune, verb::annotate, verb::look};

std::string try_every_pair(const player_factory& format, std::size_t& values) {
  const auto table = format.make(stand_kind::watched, {});
  auto boundaries = table->boundaries();
  // The smallest formats have fewer: some odd neighbours more.
  for (std::size_t i = 0; boundaries.size() < 40; ++i) boundaries.push_back(boundaries[i] + 3);
  values = boundaries.size();
  for (const verb what : all_verbs)
    for (const std::uint64_t first : boundaries)
      for (const std::uint64_t end : boundaries)
        if (std::string wrong = table->play_raw(what, first, end - 1, 0); !wrong.empty()) return wrong;
  return {};
}

std::string try_every_address(const player_factory& format) {
  const auto table = format.make(stand_kind::watched, {});
  for (const std::uint64_t address : table->boundaries())
    if (std::string wrong = table->play_raw(verb::look, address, address, 0); !wrong.empty()) return wrong;
  return {};
}

std::string try_every_output(const player_factory& format, std::size_t& values) {
  const auto table = format.make(stand_kind::watched, {});
  const std::uint64_t limit = table->output_limit();
  std::vector<std::uint64_t> outputs = table->boundaries();
  for (std::uint64_t offset = 0; offset < 5; ++offset)
    for (const std::uint64_t corner : {limit, limit - 64, limit - 4096, limit - 8192, limit / 2}) {
      outputs.push_back(corner + offset);
      outputs.push_back(corner - offset);
      outputs.push_back(corner + 64 * offset);
    }
  values = outputs.size();
  for (const std::uint64_t output : outputs)
    for (const std::uint64_t bytes : {4096U, 64U, 128U, 8192U})
      if (std::string wrong = table->play_raw(verb::map, 0, bytes - 1, output); !wrong.empty()) return wrong;
  return {};
}

}  // namespace

QUIRE_TYPED_TEST("bad input has a name and changes nothing", chosen_formats) {
  const player_factory& format = player_for<Format>();
  std::size_t values = 0;
  CHECK(try_every_pair(format, values) == "");
  CHECK(values >= 40);
  CHECK(try_every_address(format) == "");
  CHECK(try_every_output(format, values) == "");
  CHECK(values >= 40);
}

TEST_CASE("a range remembers what is wrong with it") {
  using quire::input_address;
  using quire::input_range;
  const input_address low{0x1000}, high{0x2000}, top{~std::uint64_t{0}};
  CHECK(input_range{}.defect() == errc::empty_range);
  CHECK(input_range::half_open(low, low).defect() == errc::empty_range);
  CHECK(input_range::half_open(high, low).defect() == errc::range_overflow);
  CHECK(input_range::closed(high, low).defect() == errc::range_overflow);
  CHECK(input_range::sized(low, 0).defect() == errc::empty_range);
  CHECK(input_range::sized(high, 0 - std::uint64_t{0x1000}).defect() == errc::range_overflow);
  CHECK(input_range::sized(top, 1).defect() == errc::none);
  CHECK(input_range::sized(top, 2).defect() == errc::range_overflow);
  CHECK(input_range::closed(top - 0xfff, top).defect() == errc::none);
}
