// SPDX-License-Identifier: MIT
// Prints what each real format of the list is, as its type says: ./dev formats; with --markdown, for the README.
#include <algorithm>    // max
#include <array>        // array
#include <cstddef>      // size_t
#include <cstdio>       // fputs, puts
#include <string>       // string, to_string
#include <string_view>  // string_view
#include <vector>       // vector

#include "support/formats.hpp"

namespace {

constexpr std::size_t columns = 12;
using row = std::array<std::string, columns>;

const row headings{"format",       "entry bits",    "levels",      "index bits, root first", "leaves",
                   "groups",       "input bits",    "output bits", "break before make",      "accessed set by",
                   "dirty set by", "caches invalid"};

std::string size_of(int shift) {
  constexpr std::string_view units = " KMGTPE";
  return std::to_string(1U << shift % 10) + units[static_cast<std::size_t>(shift / 10)];
}

void append(std::string& list, const std::string& next) { list += (list.empty() ? "" : " ") + next; }

template <class F>
std::string index_bits_of() {
  std::string text;
  for (int level = F::shape.root_level; level >= 0; --level)
    append(text, std::to_string(F::shape.index_bits[static_cast<std::size_t>(level)]));
  return text;
}

template <class F>
std::string leaves_of() {
  std::string text;
  for (int level = 0; level < F::shape.levels; ++level)
    if ((F::group_sizes(level) & 1U) != 0) append(text, size_of(F::shape.shift(level)));
  return text;
}

// One size a level; where it has more, the smallest and the largest.
template <class F>
std::string groups_of() {
  std::string text;
  for (int level = 0; level < F::shape.levels; ++level) {
    std::string smallest, largest;
    for (int group = 1; group < 32; ++group) {
      if (((F::group_sizes(level) >> group) & 1U) == 0) continue;
      largest = size_of(F::shape.shift(level) + group);
      if (smallest.empty()) smallest = largest;
    }
    if (!smallest.empty()) append(text, smallest == largest ? smallest : smallest + "-" + largest);
  }
  return text.empty() ? "-" : text;
}

const char* who(bool has_bit, bool hardware) { return !has_bit ? "-" : hardware ? "hardware" : "software"; }
const char* yes_or_no(bool fact) { return fact ? "yes" : "no"; }

template <class F>
row row_of(const char* name) {
  constexpr quire::format_facts facts = F::facts;
  return {name,
          std::to_string(8 * sizeof(typename F::word)),
          std::to_string(F::shape.levels),
          index_bits_of<F>(),
          leaves_of<F>(),
          groups_of<F>(),
          std::to_string(F::shape.input_bits()) + (facts.sign_extended ? " signed" : ""),
          std::to_string(facts.output_bits),
          yes_or_no(facts.break_before_make),
          who(facts.has_accessed, facts.sets_accessed),
          who(facts.has_dirty, facts.sets_dirty),
          yes_or_no(facts.caches_invalid)};
}

std::vector<row> all_rows() {
  std::vector<row> rows;
  quire_test::for_each_format<quire_test::real_formats>([&]<class F>(const char* name) {
    if (name != std::string_view{"exercise"}) rows.push_back(row_of<F>(name));
  });
  return rows;
}

void print_markdown(const row& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + cell + " |";
  std::puts(line.c_str());
}

void print_aligned(const row& cells, const std::array<std::size_t, columns>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) line += cells[i] + std::string(widths[i] + 2 - cells[i].size(), ' ');
  line.erase(line.find_last_not_of(' ') + 1);
  std::puts(line.c_str());
}

int usage() {
  std::fputs("usage: formats [--markdown]\n", stderr);
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  const bool markdown = count == 2 && arguments[1] == std::string_view{"--markdown"};
  if (count != 1 && !markdown) return usage();
  const std::vector<row> rows = all_rows();
  if (markdown) {
    print_markdown(headings);
    for (std::size_t i = 0; i < columns; ++i) std::fputs("|---", stdout);
    std::puts("|");
    for (const row& each : rows) print_markdown(each);
    return 0;
  }
  std::array<std::size_t, columns> widths{};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    widths[i] = headings[i].size();
    for (const row& each : rows) widths[i] = std::max(widths[i], each[i].size());
  }
  print_aligned(headings, widths);
  for (const row& each : rows) print_aligned(each, widths);
  return 0;
}
