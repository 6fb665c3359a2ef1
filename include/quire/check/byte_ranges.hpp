// SPDX-License-Identifier: MIT
// A set of bytes, kept as ranges in ascending order that neither overlap nor touch.
#pragma once

#include <algorithm>  // lower_bound, max, min
#include <cstddef>    // ptrdiff_t, size_t
#include <cstdint>    // uint64_t
#include <vector>     // vector

namespace quire::check {

struct byte_range {
  std::uint64_t first;
  std::uint64_t last;

  friend bool operator==(const byte_range&, const byte_range&) = default;
};

class byte_ranges {
 public:
  [[nodiscard]] auto begin() const noexcept { return ranges_.begin(); }
  [[nodiscard]] auto end() const noexcept { return ranges_.end(); }
  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }
  void clear() noexcept { ranges_.clear(); }

  // Requires: first <= last, also below.
  void add(std::uint64_t first, std::uint64_t last) {
    // Mostly what is added follows what was added last.
    if (!ranges_.empty() && ranges_.back().first <= first && touches(ranges_.back().last, first)) {
      ranges_.back().last = std::max(ranges_.back().last, last);
      return;
    }
    const auto begin = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                                        [](const byte_range& each, auto at) { return !touches(each.last, at); });
    auto end = begin;
    byte_range all{first, last};
    for (; end != ranges_.end() && touches(last, end->first); ++end) {
      all.first = std::min(all.first, end->first);
      all.last = std::max(all.last, end->last);
    }
    if (begin == end) {
      ranges_.insert(begin, all);
    } else {
      *begin = all;
      ranges_.erase(begin + 1, end);
    }
  }
  void remove(std::uint64_t first, std::uint64_t last) {
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const byte_range each = ranges_[i];
      if (each.last < first || last < each.first) continue;
      const bool before = each.first < first, after = last < each.last;
      if (before) ranges_[i].last = first - 1;
      if (after && before) ranges_.insert(ranges_.begin() + static_cast<std::ptrdiff_t>(i + 1), {last + 1, each.last});
      else if (after) ranges_[i].first = last + 1;
      else if (!before) ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(i--));
    }
  }
  [[nodiscard]] bool covers(std::uint64_t first, std::uint64_t last) const noexcept {
    const byte_range* const at = from(first);
    return at != nullptr && at->first <= first && last <= at->last;
  }
  // The first range with a byte of [first, last], or null.
  [[nodiscard]] const byte_range* overlapping(std::uint64_t first, std::uint64_t last) const noexcept {
    const byte_range* const at = from(first);
    return at != nullptr && at->first <= last ? at : nullptr;
  }

 private:
  // Whether a range that ends with `last` goes on with `next`, or reaches over it.
  [[nodiscard]] static bool touches(std::uint64_t last, std::uint64_t next) noexcept {
    return next == 0 || last >= next - 1;
  }
  [[nodiscard]] const byte_range* from(std::uint64_t first) const noexcept {
    const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                                     [](const byte_range& each, auto byte) { return each.last < byte; });
    return at == ranges_.end() ? nullptr : &*at;
  }

  std::vector<byte_range> ranges_;
};

}  // namespace quire::check
