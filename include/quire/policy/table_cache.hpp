// SPDX-License-Identifier: MIT
// A stock of tables, filled outside the lock and drawn from under it.
//
// The stock is a list threaded through the first word of the free tables themselves, so it needs no storage and has no
// capacity. One cache serves one context (a vCPU, the eager splitter): it has no lock of its own.
#pragma once

#include <bit>      // countr_zero
#include <cstddef>  // size_t

#include <quire/policy/memory.hpp>        // memory_policy
#include <quire/policy/table_source.hpp>  // table_allocator, table_source

namespace quire {

// `Allocator` stays the owner of the memory and must outlive the cache; tables given back return to it at once.
// `Word` is any word that holds a table's address divided by its alignment. `Grows`: reserve() may itself allocate
// (boot, tests, user space); otherwise only top_up() does.
template <table_allocator Allocator, class Memory, class Word = std::uint64_t, bool Grows = false>
  requires memory_policy<Memory, Word>
class table_cache {
 public:
  static constexpr bool roots_are_tables = true;  // allocate() and free() do not tell them apart

  constexpr table_cache(Allocator* allocator, Memory memory, std::uint64_t table_bytes) noexcept
      : allocator_(allocator), memory_(memory), bytes_(table_bytes) {}
  table_cache(const table_cache&) = delete;
  table_cache& operator=(const table_cache&) = delete;
  constexpr table_cache(table_cache&& other) noexcept
      : allocator_(other.allocator_),
        memory_(other.memory_),
        bytes_(other.bytes_),
        top_(other.top_),
        stock_(other.stock_) {
    other.stock_ = 0;
  }
  table_cache& operator=(table_cache&&) = delete;
  constexpr ~table_cache() { drain(); }

  // Brings the stock to at least n tables; false (and what could be had stays in stock) when memory runs out. Not to
  // be called under a lock that the allocator may not be called under.
  [[nodiscard]] constexpr bool top_up(std::size_t n) noexcept {
    while (stock_ < n) {
      const auto table = allocator_->allocate(bytes_);
      if (!table) return false;
      push(*table);
    }
    return true;
  }
  // Returns the whole stock to the allocator.
  constexpr void drain() noexcept {
    while (stock_ != 0) allocator_->free(pop(), bytes_);
  }
  [[nodiscard]] constexpr std::size_t stock() const noexcept { return stock_; }

  [[nodiscard]] constexpr bool reserve(std::size_t n) noexcept {
    if constexpr (Grows) return top_up(n);
    else return stock_ >= n;
  }
  // Tables in stock are zero but for the word that holds the list.
  constexpr result<table_address> take(table_contents) noexcept {
    if (stock_ == 0) return errc::no_memory;
    return pop();
  }
  constexpr void give_back(table_address table) noexcept { allocator_->free(table, bytes_); }
  constexpr result<table_address> take_root(std::uint64_t bytes) noexcept { return allocator_->allocate(bytes); }
  constexpr void give_back_root(table_address table, std::uint64_t bytes) noexcept { allocator_->free(table, bytes); }

 private:
  // Free tables are reachable by nobody else: relaxed order is enough.
  constexpr void push(table_address table) noexcept {
    QUIRE_EXPECTS(table.is_aligned(bytes_));
    memory_.template store<Word>(table, 0, static_cast<Word>(top_.value >> shift()), order::relaxed);
    top_ = table;
    ++stock_;
  }
  constexpr table_address pop() noexcept {
    const table_address table = top_;
    const Word next = memory_.template load<Word>(table, 0, order::relaxed);
    memory_.template store<Word>(table, 0, Word{0}, order::relaxed);
    top_ = table_address{static_cast<std::uint64_t>(next) << shift()};
    --stock_;
    return table;
  }
  [[nodiscard]] constexpr int shift() const noexcept { return std::countr_zero(bytes_); }

  Allocator* allocator_;
  [[no_unique_address]] Memory memory_;
  std::uint64_t bytes_;
  table_address top_{};
  std::size_t stock_ = 0;
};

}  // namespace quire
