// SPDX-License-Identifier: MIT
// Writes what words say in every format, and stops where the debugger can see the format's type.
#include <cstdint>   // uint64_t
#include <fstream>   // ofstream
#include <iterator>  // size
#include <random>    // mt19937_64

#include <quire/print/entry_text.hpp>  // described_entry
#include <quire/print/stream.hpp>      // operator<<

#include "support/formats.hpp"

namespace {

[[gnu::noinline]] void stop_here(const void* seen) { asm volatile("" : : "r"(seen) : "memory"); }

// Words of all kinds: any, encoded ones, and encoded ones with a few bits changed.
template <class Format, class Random>
typename Format::word some_word(int level, Random& random) {
  using word = typename Format::word;
  const auto any = static_cast<word>(random());
  const quire::output_address output{random() % (std::uint64_t{1} << (Format::facts.output_bits - 1)) &
                                     ~(Format::shape.leaf_bytes(level) - 1)};
  const quire::attributes wanted{
      .allowed = quire::read_write, .may_write = true, .from = quire_test::ordinary_privilege<Format>};
  word entry = any;
  switch (random() % 6) {
    case 0: return any;
    case 1:
      entry = Format::table(quire::table_address{std::uint64_t{any & 0xfff} << Format::table_shift}, level);
      break;
    case 2: entry = Format::marker(random() & 0xffff); break;
    case 3: entry = Format::locked; break;
    default:
      for (int group = 31; group >= 0; --group) {
        if (((Format::group_sizes(level) >> group) & 1U) == 0 || random() % 2 == 0) continue;
        const auto leaf =
            Format::leaf(output.align_down(Format::shape.leaf_bytes(level) << group), wanted, level, group);
        if (leaf) entry = *leaf;
        break;
      }
  }
  for (auto changes = random() % 3; changes != 0; --changes)
    entry ^= static_cast<word>(word{1} << random() % (8 * sizeof(word)));
  return random() % 10 == 0 ? Format::lock(entry) : entry;
}

template <class Format>
void describe(const char* name, std::ostream& out) {
  std::mt19937_64 random{1};
  out << "format " << name << '\n';
  for (int level = 0; level < Format::shape.levels; ++level) {
    out << level << ' ' << quire::described_entry<Format>{0, level} << '\n';
    for (int i = 0; i < 2000; ++i)
      out << level << ' ' << quire::described_entry<Format>{some_word<Format>(level, random), level} << '\n';
  }
  out.flush();
  const Format format{};
  stop_here(&format);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ofstream out(arguments[1]);
  quire_test::for_each_format<quire_test::chosen_formats>([&]<class F>(const char* name) { describe<F>(name, out); });
  return out.good() ? 0 : 1;
}
