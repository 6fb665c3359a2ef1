// SPDX-License-Identifier: MIT
// Eager splitting: all blocks of a range become pages before the guest writes them, in chunks, letting go of the lock
// between chunks when asked.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/atomic.hpp>         // load, store
#include <quire/table/session.hpp>  // exclusive_session

namespace quire {

// The run-time switch, read at the start of every call that may split. `chunk_bytes` is the most that is split without
// a chance to let go of the lock: the size of a page or a block of the format, or another power of two of pages; 0
// switches eager splitting off. Relaxed: a call sees the old or the new setting.
class eager_split_control {
 public:
  constexpr eager_split_control() noexcept = default;  // off
  constexpr eager_split_control(bool enabled, std::uint64_t chunk_bytes) noexcept
      : enabled_(enabled), chunk_bytes_(chunk_bytes) {}

  void set_enabled(bool enabled) noexcept { atomic::store(&enabled_, enabled, order::relaxed); }
  void set_chunk_bytes(std::uint64_t bytes) noexcept { atomic::store(&chunk_bytes_, bytes, order::relaxed); }
  // The chunk to split by; 0: do not split.
  [[nodiscard]] std::uint64_t chunk() const noexcept {
    return atomic::load(&enabled_, order::relaxed) ? atomic::load(&chunk_bytes_, order::relaxed) : 0;
  }

 private:
  bool enabled_ = true;
  std::uint64_t chunk_bytes_ = 0;
};

struct eager_split_result {
  std::size_t leaves = 0;  // leaves that became tables
  std::size_t tables = 0;  // tables taken
  std::uint64_t missed =
      0;               // bytes at the end of the range that were not looked at: out of memory, or the root is gone
  unsigned drops = 0;  // times the lock was let go

  constexpr eager_split_result& operator+=(const eager_split_result& other) noexcept {
    leaves += other.leaves;
    tables += other.tables;
    missed += other.missed;
    drops += other.drops;
    return *this;
  }
};

// Tables that one chunk can take: one for each block of each level that it may touch.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_for_chunk(std::uint64_t chunk_bytes) noexcept {
  std::size_t tables = 0;
  for (int level = 1; level < Format::shape.levels; ++level) {
    if (Format::group_sizes(level) == 0) continue;
    const std::uint64_t bytes = Format::shape.leaf_bytes(level);
    tables += static_cast<std::size_t>(chunk_bytes / bytes + (chunk_bytes % bytes != 0 ? 1 : 0));
  }
  return tables;
}

// Tables that splitting the pages from `first` to `last` can take: one for each block of each level that they touch.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_for_piece(input_address first, input_address last) noexcept {
  std::size_t tables = 0;
  for (int level = 1; level < Format::shape.levels; ++level) {
    if (Format::group_sizes(level) == 0) continue;
    const int shift = Format::shape.shift(level);
    tables += static_cast<std::size_t>((last.value >> shift) - (first.value >> shift)) + 1;
  }
  return tables;
}

// Whether a chunk size makes sense for a format.
template <pte_format Format>
[[nodiscard]] constexpr bool is_chunk_size(std::uint64_t chunk_bytes) noexcept {
  return chunk_bytes % Format::shape.page_bytes() == 0 && (chunk_bytes & (chunk_bytes - 1)) == 0;
}

// Splits every block that overlaps `range` into pages. Best effort: without memory it stops quietly and says what it
// missed.
//
// `cache` is a table_cache that serves nobody else. When it has less than the next piece can take, it is topped up to
// one chunk's need with the lock dropped, so that many small ranges share a drop. Each round makes progress or ends: a
// chunk is split before the lock is let go again. Requires: a session that holds the lock and may drop it, even if its
// caller took it (let_go in table/session.hpp).
template <walk_flags Skip, class Session, class Cache>
eager_split_result split_eagerly(Session& session, Cache& cache, input_range range,
                                 std::uint64_t chunk_bytes) noexcept {
  using format = typename Session::format;
  QUIRE_EXPECTS(is_chunk_size<format>(chunk_bytes) && chunk_bytes != 0);
  eager_split_result result;
  input_address at = range.first();
  for (bool refilled = false;;) {
    const std::uint64_t boundary = (at.value & ~(chunk_bytes - 1)) + (chunk_bytes - 1);
    const input_address last = range.last().value < boundary ? range.last() : input_address{boundary};
    // A chunk may need less than the worst case: only when it runs dry is a failed top-up the end.
    bool stocked = true;
    const bool low = cache.stock() < tables_for_piece<format>(at, last) && !refilled;
    const bool alive = session.let_go(low, [&] {
      stocked = cache.top_up(tables_for_chunk<format>(chunk_bytes));
      ++result.drops;
    });
    refilled = low && !stocked;
    if (!alive) break;
    const auto done = session.template split<Skip>(input_range::closed(at, last), 0, cache);
    if (!done) break;
    result.leaves += done->leaves;
    result.tables += done->tables;
    if (done->out_of_memory) {
      if (cache.stock() != 0 || refilled || done->leaves == 0) {
        if (done->stopped_at > at) at = done->stopped_at;
        break;
      }
      continue;
    }
    if (last == range.last()) return result;
    at = last + 1;
    refilled = false;
  }
  result.missed = range.last() - at + 1;
  return result;
}

}  // namespace quire
