// SPDX-License-Identifier: MIT
// Tables that no operation made: a root and tables below it in a vector, written entry by entry or at random.
#pragma once

#include <cstddef>  // byte, size_t
#include <cstdint>  // uint64_t
#include <random>   // mt19937_64
#include <span>     // as_bytes
#include <vector>   // vector

#include <quire/policy/array_memory.hpp>    // array_memory
#include <quire/policy/foreign_memory.hpp>  // memory_dump

#include "support/formats.hpp"

namespace quire_test {

// All empty; tables by number.
template <class F>
struct made_tables {
  using word = typename F::word;
  // A root is aligned to its size.
  static constexpr std::uint64_t base = quire::root_table_bytes<F> > 0x40000 ? quire::root_table_bytes<F> : 0x40000;

  std::vector<word> words;

  explicit made_tables(std::size_t tables)
      : words(static_cast<std::size_t>((quire::root_table_bytes<F> + tables * quire::table_unit_bytes<F>) /
                                       sizeof(word))) {}

  [[nodiscard]] static quire::table_address root() { return quire::table_address{base}; }
  [[nodiscard]] static quire::table_address table(std::size_t number) {
    return quire::table_address{base + quire::root_table_bytes<F> + number * quire::table_unit_bytes<F>};
  }
  void put(quire::table_address table, std::size_t index, word entry) {
    words.at(static_cast<std::size_t>((table.value - base) / sizeof(word)) + index) = entry;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span{words}); }
  [[nodiscard]] quire::memory_dump dump() const { return {bytes().data(), bytes().size(), base}; }
  [[nodiscard]] quire::array_memory<word> memory() { return {words.data(), words.size(), base}; }
};

// Filled at random with all that an owner may put there: leaves and groups of every size, tables, markers, locked
// entries. Large tables stay mostly empty.
template <class F>
struct healthy : made_tables<F> {
  using typename made_tables<F>::word;
  static constexpr std::size_t most = 24;

  std::mt19937_64 random;
  std::size_t used = 0;

  explicit healthy(std::uint64_t seed) : made_tables<F>(most), random(seed) {
    fill(this->root(), F::shape.root_level, this->words.size());
  }

 private:
  void fill(quire::table_address table, int level, std::size_t wanted) {
    const std::size_t entries = F::shape.entries(level);
    const std::size_t rarely = entries > 16 ? entries / 16 : 1;
    for (std::size_t i = 0; i < entries && wanted != 0; ++i) {
      if (random() % rarely != 0) continue;
      const auto dice = random() % 8;
      if (dice == 0) this->put(table, i, random() % 2 == 0 ? F::marker(random() % 8) : F::lock(F::table(table, 1)));
      else if (dice < 4 && level > 0 && used < most) {
        const quire::table_address child = this->table(used++);
        this->put(table, i, F::table(child, level));
        fill(child, level - 1, wanted);
      } else if (dice < 7) i = put_leaf(table, i, level);
    }
  }
  // Gives the last entry that was written.
  std::size_t put_leaf(quire::table_address table, std::size_t i, int level) {
    int group = 0;
    for (int bits = 0; bits <= 8; ++bits)
      if (((F::group_sizes(level) >> bits) & 1U) != 0 && i % (std::size_t{1} << bits) == 0 && random() % 2 == 0)
        group = bits;
    const std::uint64_t bytes = F::shape.leaf_bytes(level) << group;
    const std::uint64_t outputs = std::uint64_t{1} << F::facts.output_bits;
    if (bytes == 0 || bytes > outputs) return i;
    const bool written = random() % 2 == 0;
    const auto leaf = F::leaf(quire::output_address{random() % (outputs / bytes) * bytes},
                              {.allowed = written ? quire::read_write : quire::readable,
                               .dirty = written && F::facts.has_dirty,
                               .from = ordinary_privilege<F>},
                              level, group);
    if (!leaf) return i;
    for (std::size_t k = 0; k < std::size_t{1} << group; ++k) {
      auto entry = static_cast<word>(*leaf + k * F::step(level, group));
      if (random() % 2 == 0) entry = F::clear_accessed(entry);
      if (random() % 2 == 0) entry = F::make_clean(entry);
      this->put(table, i + k, entry);
    }
    return i + (std::size_t{1} << group) - 1;
  }
};

}  // namespace quire_test
