// SPDX-License-Identifier: MIT
// What the oracles found. They never throw, print or stop: they report, and a test asserts that the report is empty.
#pragma once

#include <array>    // array
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <string>   // string
#include <utility>  // move
#include <vector>   // vector

#include <quire/address.hpp>  // input_address, table_address

namespace quire::check {

// The rule that was broken.
enum class rule : unsigned char {
  double_free,         // a block was freed that is free
  wrong_size,          // a block was freed in another size than it was allocated in, or is no block at all
  written_when_free,   // the words of a free block changed
  retired_access,      // a load from, or store to, a table that was given back
  retired_in_use,      // a table was given back while a read section that saw it is open
  stale_translation,   // a cached translation grants what the table does not
  stale_walk,          // a cached table entry, or a walk in flight, leads into a table that is not there any more
  broken_before_made,  // a valid entry became another valid entry, or was made again before the invalidation completed
  not_invalidated,     // an invalidation is still owed
  incomplete_table,    // a table was published whose entries do not translate as the leaf in its place did
  not_released,        // a table was published without release order
  not_filled,          // a table was linked before it was cleaned
  not_published,       // what was made valid was not published
  not_ordered,         // an invalidation was sent before a store that it is to cover was ordered
  code_not_visible,    // a leaf became executable before its memory was made visible as code
  wrong_link,          // an entry leads to a table that is free, or linked elsewhere
  lost_bit,            // a collapse lost accessed or dirty
  no_progress,         // somebody tried again, or wrote, and nothing had changed that called for it
  unbounded_work,      // more accesses to entries than declared without a question to yield
  census,              // the tables in use are not the tables that are reachable or in stock
  difference,          // the table and the model translate differently
};

[[nodiscard]] constexpr const char* name_of(rule broken) noexcept {
  switch (broken) {
    case rule::double_free: return "double_free";
    case rule::wrong_size: return "wrong_size";
    case rule::written_when_free: return "written_when_free";
    case rule::retired_access: return "retired_access";
    case rule::retired_in_use: return "retired_in_use";
    case rule::stale_translation: return "stale_translation";
    case rule::stale_walk: return "stale_walk";
    case rule::broken_before_made: return "broken_before_made";
    case rule::not_invalidated: return "not_invalidated";
    case rule::incomplete_table: return "incomplete_table";
    case rule::not_released: return "not_released";
    case rule::not_filled: return "not_filled";
    case rule::not_published: return "not_published";
    case rule::not_ordered: return "not_ordered";
    case rule::code_not_visible: return "code_not_visible";
    case rule::wrong_link: return "wrong_link";
    case rule::lost_bit: return "lost_bit";
    case rule::no_progress: return "no_progress";
    case rule::unbounded_work: return "unbounded_work";
    case rule::census: return "census";
    case rule::difference: return "difference";
  }
  return "unknown";
}

struct finding {
  rule broken;
  std::string text;
};

// Words of a message. Built only when something is wrong, so that a clean run pays nothing.
[[nodiscard]] inline std::string hex(std::uint64_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  do text.insert(text.begin(), digits[value & 15U]);
  while ((value >>= 4U) != 0);
  return "0x" + text;
}
[[nodiscard]] inline std::string range_text(std::uint64_t first, std::uint64_t last) {
  return "[" + hex(first) + ", " + hex(last) + "]";
}
[[nodiscard]] inline std::string entry_text(table_address table, std::size_t index) {
  return "table " + hex(table.value) + " entry " + std::to_string(index);
}

// Counts every finding and keeps the words of the first ones.
class report {
 public:
  explicit report(std::size_t most_kept = 32) : most_kept_(most_kept) {}

  void add(rule broken, std::string text) {
    ++total_;
    ++counts_[static_cast<std::size_t>(broken)];
    if (kept_.size() < most_kept_) kept_.push_back({broken, std::move(text)});
  }
  [[nodiscard]] bool empty() const noexcept { return total_ == 0; }
  [[nodiscard]] std::size_t total() const noexcept { return total_; }
  [[nodiscard]] std::size_t count(rule broken) const noexcept { return counts_[static_cast<std::size_t>(broken)]; }
  // Whether this rule was broken, and no other.
  [[nodiscard]] bool only(rule broken) const noexcept { return total_ != 0 && count(broken) == total_; }
  [[nodiscard]] const std::vector<finding>& findings() const noexcept { return kept_; }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const finding& one : kept_) all += std::string(name_of(one.broken)) + ": " + one.text + "\n";
    if (total_ > kept_.size()) all += std::to_string(total_ - kept_.size()) + " more\n";
    return all;
  }
  void clear() noexcept {
    total_ = 0;
    counts_ = {};
    kept_.clear();
  }

 private:
  std::size_t most_kept_;
  std::size_t total_ = 0;
  std::array<std::size_t, static_cast<std::size_t>(rule::difference) + 1> counts_{};
  std::vector<finding> kept_;
};

}  // namespace quire::check
