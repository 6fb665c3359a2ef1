// SPDX-License-Identifier: MIT
// What must hold of a walk of foreign tables whatever the words are. For the tests and for the fuzzer.
#pragma once

#include <cstddef>   // byte, size_t
#include <cstdint>   // uint64_t
#include <cstring>   // memcpy
#include <map>       // map
#include <optional>  // optional
#include <span>      // span
#include <utility>   // pair
#include <vector>    // vector

#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/table/foreign.hpp>        // foreign_for_each_mapping, foreign_lookup

namespace quire_test {

// A dump that counts what it is asked for.
struct asked_dump {
  quire::memory_dump dump;
  std::uint64_t asked = 0;

  template <class Word>
  std::optional<Word> load(quire::table_address table, std::size_t index) {
    ++asked;
    return dump.load<Word>(table, index);
  }
};
// The same entry by entry.
struct counting_dump {
  quire::memory_dump dump;
  std::uint64_t asked = 0;
  std::map<std::pair<std::uint64_t, std::size_t>, unsigned> times{};

  template <class Word>
  std::optional<Word> load(quire::table_address table, std::size_t index) {
    ++asked;
    ++times[{table.value, index}];
    return dump.load<Word>(table, index);
  }
  [[nodiscard]] bool any_twice() const {
    for (const auto& [entry, count] : times)
      if (count > 1) return true;
    return false;
  }
};

// What one walk told.
struct foreign_story {
  quire::result<quire::foreign_summary> summary{quire::errc::stopped};
  std::vector<quire::foreign_mapping> mappings;
  std::vector<quire::foreign_finding> findings;
};
template <quire::pte_format F, class Memory>
foreign_story walk_foreign(Memory& memory, quire::table_address root, quire::input_range range,
                           const quire::foreign_bounds& bounds = {}) {
  foreign_story told;
  told.summary = quire::foreign_for_each_mapping<F>(
      memory, root, range, [&](const quire::foreign_mapping& one) { told.mappings.push_back(one); },
      [&](const quire::foreign_finding& one) { told.findings.push_back(one); }, bounds);
  return told;
}

// All that a format translates: two halves where addresses are sign extended.
template <quire::pte_format F>
std::vector<quire::input_range> halves() {
  using quire::input_address, quire::input_range;
  constexpr std::uint64_t last = F::shape.table_last_offset(F::shape.root_level);
  if (!F::facts.sign_extended) return {input_range::closed(input_address{0}, input_address{last})};
  return {input_range::closed(input_address{0}, input_address{last >> 1U}),
          input_range::closed(input_address{~(last >> 1U)}, input_address{~std::uint64_t{0}})};
}

template <quire::pte_format F>
inline constexpr std::uint64_t least_budget = []() constexpr {
  std::uint64_t most = 1;
  for (int level = 0; level < F::shape.levels; ++level)
    for (int group = 0; group < 31; ++group)
      if ((F::group_sizes(level) >> group) % 2 != 0 && most < std::uint64_t{1} << group)
        most = std::uint64_t{1} << group;
  return most + F::shape.levels;
}();

namespace detail {

inline bool same(const quire::foreign_mapping& a, const quire::foreign_mapping& b) {
  return a == b && a.effective == b.effective;
}

// The mappings by themselves, and each looked up again.
template <quire::pte_format F>
const char* defect_of(const foreign_story& told, quire::memory_dump dump, quire::table_address root,
                      quire::input_range range, const quire::foreign_bounds& bounds) {
  const quire::foreign_mapping* before = nullptr;
  for (const auto& m : told.mappings) {
    if (m.bytes != F::shape.leaf_bytes(m.level) << m.group || !m.input.is_aligned(m.bytes)) return "a leaf's size";
    if (m.input + (m.bytes - 1) < range.first() || m.input > range.last()) return "outside of the range";
    if (before != nullptr && m.input <= before->input + (before->bytes - 1)) return "not in ascending order";
    if (!m.attrs.allowed.contains(m.effective)) return "more rights than the leaf's";
    if (m.output.value > bounds.last_output.value || m.bytes - 1 > bounds.last_output.value - m.output.value)
      return "beyond the last output";
    for (const std::uint64_t byte : {std::uint64_t{0}, m.bytes - 1}) {
      const auto again = quire::foreign_lookup<F>(dump, root, m.input + byte, {.last_output = bounds.last_output});
      if (!again || !same(*again, m)) return "looked up, another leaf";
    }
    before = &m;
  }
  return nullptr;
}

// In small pieces, the same mappings.
template <quire::pte_format F>
const char* defect_of_pieces(const foreign_story& told, quire::memory_dump dump, quire::table_address root,
                             quire::input_range range, quire::foreign_bounds bounds) {
  bounds.budget = least_budget<F> + 3;
  std::size_t next = 0;
  for (std::uint64_t pieces = told.summary->entries + 1;; --pieces) {
    if (pieces == 0) return "in pieces it never ends";
    const foreign_story piece = walk_foreign<F>(dump, root, range, bounds);
    if (!piece.summary) return "a piece failed";
    for (const auto& m : piece.mappings)
      if (next == told.mappings.size() || !same(m, told.mappings[next++])) return "another mapping in pieces";
    if (piece.summary->complete) break;
    range = quire::input_range::closed(piece.summary->unvisited, range.last());
  }
  return next == told.mappings.size() ? nullptr : "fewer mappings in pieces";
}

// Where there is nothing to find, whoever trusts the tables sees the same.
template <quire::pte_format F>
const char* defect_of_trust(const foreign_story& told, std::span<const std::byte> bytes, std::uint64_t base,
                            quire::table_address root, quire::input_range range) {
  using word = typename F::word;
  std::vector<word> words(bytes.size() / sizeof(word));
  std::memcpy(words.data(), bytes.data(), words.size() * sizeof(word));
  quire::array_memory<word> memory{words.data(), words.size(), base};
  std::vector<quire::mapping> trusted;
  const auto add = [&](const quire::mapping& one) { trusted.push_back(one); };
  quire::detail::each_mapping<F, decltype(memory), decltype(add)> visitor{memory, add};
  const auto ended =
      quire::walk<(quire::walk_flag::leaf | quire::walk_flag::stop_on_retry), F>(memory, root, range, visitor);
  if (ended.code != quire::errc::none || trusted.size() != told.mappings.size()) return "not what the table maps";
  for (std::size_t i = 0; i < trusted.size(); ++i)
    if (trusted[i] != told.mappings[i]) return "not as the table maps it";
  return nullptr;
}

}  // namespace detail

// Walks what the bytes say below `root`; nullptr if all holds. The bytes lie at `base` (a multiple of 8, as root).
template <quire::pte_format F>
const char* defect_of_foreign_walk(std::span<const std::byte> bytes, std::uint64_t base, quire::table_address root,
                                   const quire::foreign_bounds& bounds) {
  const quire::memory_dump dump{bytes.data(), bytes.size(), base};
  for (const quire::input_range range : halves<F>()) {
    asked_dump counting{dump};
    const foreign_story told = walk_foreign<F>(counting, root, range, bounds);
    if (!told.summary) return "an error without a reason";
    if (told.summary->entries != counting.asked || counting.asked > bounds.budget) return "more entries than allowed";
    if (told.summary->findings != told.findings.size()) return "findings miscounted";
    const bool dry = !told.findings.empty() && told.findings.back().what == quire::foreign_defect::out_of_budget;
    if (dry == told.summary->complete) return "out of budget in silence, or without reason";
    if (const char* what = detail::defect_of<F>(told, dump, root, range, bounds)) return what;
    if (!told.summary->complete) continue;
    if (const char* what = detail::defect_of_pieces<F>(told, dump, root, range, bounds)) return what;
    if (!told.findings.empty()) continue;
    if (const char* what = detail::defect_of_trust<F>(told, bytes, base, root, range)) return what;
  }
  return nullptr;
}

}  // namespace quire_test
