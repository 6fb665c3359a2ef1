// SPDX-License-Identifier: MIT
// Everything there is to try on tables so small that everything can be tried.
//
// All ranges: each operation on each of the 2080 ranges of 64 pages in three levels, from several start states.
// All sequences: each way to put four operations of a small alphabet in a row. State is put aside and brought back, so
// a sequence costs little more than its last operation; the model is compared after every one.
#include <string>  // string, to_string
#include <vector>  // vector

#include "catch.hpp"
#include "player.hpp"

namespace {

using namespace quire_test;
using quire::read_write;
using quire::readable;

std::vector<player_factory> tiny_players() {
  std::vector<player_factory> all;
  for (const auto& [name, format] : all_players())
    if (!format.real) all.push_back(format);
  return all;
}

constexpr quire::attributes usual{.allowed = read_write, .may_write = true};

// Every operation in every mode; the range is filled in.
std::vector<step> every_operation() {
  std::vector<step> all{
      {.what = verb::map, .attrs = usual, .level = 7},
      {.what = verb::map, .attrs = {.allowed = readable}, .level = 0},
      {.what = verb::map,
       .attrs = {.allowed = readable, .memory = quire::memory_type::device},
       .level = 7,
       .replace = true},
      {.what = verb::write_protect},
      {.what = verb::restore_write},
      {.what = verb::age},
      {.what = verb::set_accessed},
      {.what = verb::take_dirty},
      {.what = verb::split, .level = 0},
      {.what = verb::split, .level = 1, .flag = true},
      {.what = verb::collapse, .level = 7},
      {.what = verb::collapse, .level = 1},
      {.what = verb::prune},
      {.what = verb::annotate, .mask = 5},
      {.what = verb::look},
  };
  for (int part = 0; part < 3; ++part) {
    all.push_back({.what = verb::unmap, .level = part});
    all.push_back({.what = verb::discard, .level = part});
    all.push_back({.what = verb::protect, .attrs = {.allowed = readable}, .level = part});
  }
  return all;
}

// Empty; as large as can be; pages; and a bit of everything.
std::vector<std::vector<step>> start_states(std::uint32_t pages) {
  const step blocks{.what = verb::map, .count = pages, .attrs = usual, .level = 7};
  const step singles{.what = verb::map, .count = pages, .attrs = usual, .level = 0, .flag = true};
  return {
      {},
      {blocks},
      {singles},
      {{.what = verb::map, .page = 1, .count = pages / 2, .output = 1, .attrs = usual, .level = 7},
       {.what = verb::split, .page = pages / 4, .count = 1, .level = 0},
       {.what = verb::unmap, .page = 5, .count = 3, .level = 0},
       {.what = verb::annotate, .page = 6, .mask = 9},
       {.what = verb::protect, .page = 8, .count = 2, .attrs = {.allowed = readable}, .level = 0},
       {.what = verb::map, .page = pages - 3, .count = 2, .output = 70, .attrs = {.allowed = readable}, .level = 7}}};
}

std::string play_every_range(const player_factory& format, stand_kind kind, std::size_t only_state,
                             std::uint64_t& ranges) {
  const player_options options{.seed = 3};  // seed 3: the window at 0
  const std::uint32_t pages = format.traits.pages;
  const auto states = start_states(pages);
  for (std::size_t state = 0; state < states.size(); ++state) {
    if (only_state < states.size() && state != only_state) continue;
    auto table = format.make(kind, options);
    const auto prepare = [&]() {
      for (const step& each : states[state])
        if (std::string wrong = table->play(each); !wrong.empty()) return "start state: " + wrong;
      return std::string{};
    };
    if (std::string wrong = prepare(); !wrong.empty()) return wrong;
    table->save(0);
    for (step each : every_operation())
      for (each.page = 0; each.page < pages; ++each.page)
        for (each.count = 1; each.page + each.count <= pages; ++each.count) {
          each.output = each.page;
          if (std::string wrong = table->play(each); !wrong.empty())
            return "start state " + std::to_string(state) + ": " + text_of(each) + ": " + wrong;
          ++ranges;
          if (kind == stand_kind::bare) {
            table->restore(0);
          } else {
            table = format.make(kind, options);
            if (std::string wrong = prepare(); !wrong.empty()) return wrong;
          }
        }
  }
  return {};
}

// About what happens at the borders of leaves and tables, in the first pages of the window.
std::vector<step> alphabet(std::uint32_t pages) {
  const std::uint32_t all = pages < 16 ? pages : 16, half = all / 2;
  return {
      {.what = verb::map, .count = all, .attrs = usual, .level = 7},
      {.what = verb::map, .page = 1, .count = half, .output = 1, .attrs = usual, .level = 0},
      {.what = verb::map, .count = half, .output = 1, .attrs = {.allowed = readable}, .level = 7, .replace = true},
      {.what = verb::map, .page = 1, .output = 1, .attrs = {.allowed = readable, .dirty = false}, .level = 7},
      {.what = verb::unmap, .count = all, .level = 0},
      {.what = verb::unmap, .page = 1, .level = 0},
      {.what = verb::unmap, .page = 1, .count = half, .level = 1},
      {.what = verb::discard, .page = half, .count = all - half, .level = 0},
      {.what = verb::protect, .page = 1, .count = half, .attrs = {.allowed = readable}, .level = 0},
      {.what = verb::protect, .count = all, .attrs = usual, .level = 1},
      {.what = verb::write_protect, .page = 1},
      {.what = verb::write_protect_mask, .mask = 0x5},
      {.what = verb::restore_write, .count = all},
      {.what = verb::relax, .page = 1, .attrs = usual},
      {.what = verb::age, .page = 1, .count = half - 1},
      {.what = verb::take_dirty, .count = all},
      {.what = verb::split, .page = 1, .count = half, .level = 0},
      {.what = verb::split, .count = all, .level = 1},
      {.what = verb::collapse, .count = all, .level = 7},
      {.what = verb::prune, .count = all},
      {.what = verb::annotate, .page = 1, .mask = 3},
  };
}

std::string play_sequences(player& table, const std::vector<step>& letters, std::size_t length, std::size_t depth,
                           std::uint64_t& played) {
  if (depth == length) {
    ++played;
    return {};
  }
  table.save(depth);
  for (const step& letter : letters) {
    std::string wrong = table.play(letter);
    if (wrong.empty()) wrong = play_sequences(table, letters, length, depth + 1, played);
    if (!wrong.empty()) return text_of(letter) + "\n" + wrong;
    table.restore(depth);
  }
  return {};
}

}  // namespace

TEST_CASE("every operation on every range from several start states") {
  std::size_t formats = 0;
  for (const player_factory& format : tiny_players()) {
    if (format.traits.pages != 64 || format.make(stand_kind::bare, {}) == nullptr) continue;
    ++formats;
    std::uint64_t ranges = 0;
    const std::string wrong = play_every_range(format, stand_kind::bare, 9, ranges);
    INFO(format.name << " " << wrong);
    CHECK(wrong.empty());
    CHECK(ranges == 4 * every_operation().size() * 2080);
  }
  CHECK(formats >= 3);
}

TEST_CASE("every operation on every range with all oracles") {
  for (const player_factory& format : tiny_players()) {
    if (std::string(format.name) != "tiny-plain") continue;
    std::uint64_t ranges = 0;
    const std::string wrong = play_every_range(format, stand_kind::watched, 3, ranges);
    INFO(format.name << " " << wrong);
    CHECK(wrong.empty());
    CHECK(ranges == every_operation().size() * 2080);
  }
}

TEST_CASE("every sequence of four operations") {
  std::size_t geometries = 0;
  for (const player_factory& format : tiny_players()) {
    const auto table = format.make(stand_kind::bare, {.seed = 3});
    if (table == nullptr || format.traits.pages < 8) continue;
    ++geometries;
    std::uint64_t played = 0;
    const std::string wrong = play_sequences(*table, alphabet(format.traits.pages), 4, 0, played);
    INFO(format.name << "\n" << wrong);
    CHECK(wrong.empty());
    CHECK(played >= 160'000);
  }
  CHECK(geometries >= 4);
}
