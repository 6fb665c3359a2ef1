// SPDX-License-Identifier: MIT
// A bounded block of words that tables are allocated from, and that remembers what became of each of them.
//
// Blocks are handed out in the way that is hardest on the code under test: the block freed last comes back first, so a
// pointer kept too long meets a new table at the old address. A free block is full of poison.
#pragma once

#include <algorithm>  // fill_n, find_if
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t, uint64_t
#include <limits>     // numeric_limits
#include <vector>     // vector

#include <quire/check/report.hpp>         // report
#include <quire/contract.hpp>             // QUIRE_EXPECTS
#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/policy/table_source.hpp>  // table_allocator

namespace quire::check {

enum class block_state : unsigned char {
  free,
  live,
  retired,  // detached and handed to the reclaimer, not given back yet
};

// Requires: unit_bytes and every size asked for are powers of two, base is a multiple of every size.
// Satisfies table_allocator. One thread at a time, as a table's exclusive holder is.
template <class Word>
class arena {
 public:
  // Even, so that the formats that call bit 0 "valid" read it as not valid; and nothing that a program stores.
  static constexpr Word poison = static_cast<Word>(0xdead'f7ee'dead'f7eeULL);

  arena(std::size_t units, std::uint64_t unit_bytes, report& findings, std::uint64_t base)
      : words_(units * (unit_bytes / sizeof(Word)), poison),
        blocks_(units),
        unit_bytes_(unit_bytes),
        base_(base),
        end_(units),
        report_(&findings) {
    QUIRE_EXPECTS((unit_bytes & (unit_bytes - 1)) == 0 && unit_bytes >= sizeof(Word));
    QUIRE_EXPECTS((base & (unit_bytes - 1)) == 0);
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  [[nodiscard]] array_memory<Word> memory() noexcept { return {words_.data(), words_.size(), base_}; }

  result<table_address> allocate(std::uint64_t bytes) noexcept {
    if (fails()) return errc::no_memory;
    const std::size_t units = units_of(bytes);
    const std::size_t unit = find(units);
    if (unit == none) return errc::no_memory;
    Word* const first = &words_[unit * words_per_unit()];
    const std::size_t count = units * words_per_unit();
    if (std::find_if(first, first + count, [](Word word) { return word != poison; }) != first + count)
      report_->add(rule::written_when_free, "block " + hex(address_of(unit).value));
    std::fill_n(first, count, Word{0});
    for (std::size_t i = 0; i < units; ++i) {
      blocks_[unit + i].state = block_state::live;
      blocks_[unit + i].head = static_cast<std::uint32_t>(unit);
      blocks_[unit + i].units = static_cast<std::uint32_t>(units);
      ++blocks_[unit + i].generation;
    }
    ++live_blocks_;
    live_units_ += units;
    ++ever_allocated_;
    return address_of(unit);
  }
  void free(table_address table, std::uint64_t bytes) noexcept {
    const std::size_t unit = unit_of(table);
    if (unit == none || blocks_[unit].units == 0 || blocks_[unit].head != unit || !table.is_aligned(unit_bytes_))
      return report_->add(rule::wrong_size, "no block begins at " + hex(table.value));
    block& freed = blocks_[unit];
    if (freed.state == block_state::free)
      return report_->add(rule::double_free,
                          "block " + hex(table.value) + " generation " + std::to_string(freed.generation));
    if (freed.units != units_of(bytes))
      return report_->add(rule::wrong_size, "block " + hex(table.value) + " freed with " + hex(bytes) +
                                                " bytes, allocated with " + hex(freed.units * unit_bytes_));
    std::fill_n(&words_[unit * words_per_unit()], freed.units * words_per_unit(), poison);
    for (std::size_t i = 0; i < freed.units; ++i) blocks_[unit + i].state = block_state::free;
    freed_.push_back(static_cast<std::uint32_t>(unit));
    --live_blocks_;
    live_units_ -= freed.units;
  }
  // The block is detached; it stays readable until it is freed.
  void retire(table_address table) noexcept {
    const std::size_t unit = unit_of(table);
    if (unit == none || blocks_[unit].state != block_state::live || blocks_[unit].head != unit)
      return report_->add(rule::double_free, "retired, but not in use: " + hex(table.value));
    for (std::size_t i = 0; i < blocks_[unit].units; ++i) blocks_[unit + i].state = block_state::retired;
  }

  // ---- what became of the block that holds an address
  static constexpr std::size_t none = ~std::size_t{0};
  [[nodiscard]] std::size_t unit_of(table_address table) const noexcept {
    const std::uint64_t offset = table.value - base_;
    return table.value < base_ || offset / unit_bytes_ >= blocks_.size()
               ? none
               : static_cast<std::size_t>(offset / unit_bytes_);
  }
  [[nodiscard]] table_address address_of(std::size_t unit) const noexcept {
    return table_address{base_ + unit * unit_bytes_};
  }
  [[nodiscard]] bool contains(table_address table) const noexcept { return unit_of(table) != none; }
  [[nodiscard]] block_state state_of(table_address table) const noexcept {
    const std::size_t unit = unit_of(table);
    return unit == none ? block_state::free : blocks_[unit].state;
  }
  // How often the block was allocated: another number at the same address is another table.
  [[nodiscard]] std::uint32_t generation_of(table_address table) const noexcept {
    const std::size_t unit = unit_of(table);
    return unit == none ? 0 : blocks_[unit].generation;
  }
  [[nodiscard]] std::size_t units() const noexcept { return blocks_.size(); }
  [[nodiscard]] std::uint64_t unit_bytes() const noexcept { return unit_bytes_; }

  // ---- failure injection: the k-th allocation from now (1: the next) fails, or that and all after it.
  void fail_at(std::uint64_t k) noexcept {
    fail_first_ = asked_ + k;
    fail_last_ = fail_first_;
  }
  void fail_all_from(std::uint64_t k) noexcept {
    fail_first_ = asked_ + k;
    fail_last_ = std::numeric_limits<std::uint64_t>::max();
  }
  void fail_never() noexcept { fail_first_ = fail_last_ = 0; }

  // ---- census
  [[nodiscard]] std::size_t live_blocks() const noexcept { return live_blocks_; }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return live_units_ * unit_bytes_; }
  [[nodiscard]] std::uint64_t ever_allocated() const noexcept { return ever_allocated_; }
  [[nodiscard]] std::uint64_t allocations_asked() const noexcept { return asked_; }

 private:
  struct block {
    block_state state = block_state::free;
    std::uint32_t generation = 0;
    std::uint32_t head = 0;   // the block's first unit
    std::uint32_t units = 0;  // 0: never handed out
  };

  [[nodiscard]] bool fails() noexcept {
    ++asked_;
    return asked_ >= fail_first_ && asked_ <= fail_last_ && fail_first_ != 0;
  }
  [[nodiscard]] std::size_t words_per_unit() const noexcept {
    return static_cast<std::size_t>(unit_bytes_ / sizeof(Word));
  }
  [[nodiscard]] std::size_t units_of(std::uint64_t bytes) const noexcept {
    return bytes < unit_bytes_ ? 1 : static_cast<std::size_t>(bytes / unit_bytes_);
  }
  // The block of that size freed last; else untouched words: single units from the bottom, larger blocks from the top,
  // where they stay aligned.
  [[nodiscard]] std::size_t find(std::size_t units) noexcept {
    for (std::size_t i = freed_.size(); i-- != 0;) {
      if (blocks_[freed_[i]].units != units) continue;
      const std::size_t unit = freed_[i];
      freed_.erase(freed_.begin() + static_cast<std::ptrdiff_t>(i));
      return unit;
    }
    if (units == 1) return begin_ < end_ ? begin_++ : none;
    const std::uint64_t bytes = units * unit_bytes_;
    if (end_ - begin_ < units) return none;
    const table_address top = address_of(end_ - units).align_down(bytes);
    const std::size_t unit = unit_of(top);
    if (unit == none || unit < begin_) return none;
    end_ = unit;
    return unit;
  }

  std::vector<Word> words_;
  std::vector<block> blocks_;
  std::vector<std::uint32_t> freed_;  // by time, the last one last
  std::uint64_t unit_bytes_;
  std::uint64_t base_;
  std::size_t begin_ = 0;  // untouched units are [begin_, end_)
  std::size_t end_;
  std::uint64_t asked_ = 0;
  std::uint64_t fail_first_ = 0;
  std::uint64_t fail_last_ = 0;
  std::size_t live_blocks_ = 0;
  std::size_t live_units_ = 0;
  std::uint64_t ever_allocated_ = 0;
  report* report_;
};

static_assert(table_allocator<arena<std::uint64_t>>);

}  // namespace quire::check
