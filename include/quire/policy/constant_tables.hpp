// SPDX-License-Identifier: MIT
// Tables in one block of words whose physical address is a constant: for tables that the compiler builds.
//
//   | root              | table 0      | table 1      | ...
//     Base, aligned to    each of TableBytes
//     the larger size
//
// An entry holds a physical address, and no relocation can mend one; so Base is part of the type, and whoever links the
// block places it there. The block itself is nothing but the words: trivially copyable, aligned as its tables must be.
// array_memory over its words is the memory policy, block_tables the table source.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/policy/array_memory.hpp>  // array_memory
#include <quire/policy/table_source.hpp>  // root_source

namespace quire {

template <class Word, std::uint64_t Base, std::uint64_t RootBytes, std::uint64_t TableBytes, std::size_t Tables>
struct alignas(RootBytes < TableBytes ? TableBytes : RootBytes) table_block {
  static constexpr std::uint64_t alignment = RootBytes < TableBytes ? TableBytes : RootBytes;
  static constexpr std::uint64_t first_table = (RootBytes + TableBytes - 1) / TableBytes * TableBytes;
  static constexpr std::size_t count = static_cast<std::size_t>((first_table + Tables * TableBytes) / sizeof(Word));
  static_assert(Base % alignment == 0 && Base != 0, "the physical address of the block must be aligned as its root");

  Word words[count]{};

  [[nodiscard]] static constexpr table_address root() noexcept { return table_address{Base}; }
  [[nodiscard]] static constexpr table_address table(std::size_t number) noexcept {
    return table_address{Base + first_table + number * TableBytes};
  }
  [[nodiscard]] static constexpr std::size_t number_of(table_address table) noexcept {
    return static_cast<std::size_t>((table.value - Base - first_table) / TableBytes);
  }
  [[nodiscard]] constexpr array_memory<Word> memory() noexcept { return {words, count, Base}; }
  friend constexpr bool operator==(const table_block&, const table_block&) noexcept = default;
};

// Hands out the root and the tables of a block, the lowest first. What is free is written here, not in the block.
template <class Block>
class block_tables;

template <class Word, std::uint64_t Base, std::uint64_t RootBytes, std::uint64_t TableBytes, std::size_t Tables>
class block_tables<table_block<Word, Base, RootBytes, TableBytes, Tables>> {
 public:
  using block_type = table_block<Word, Base, RootBytes, TableBytes, Tables>;

  constexpr explicit block_tables(block_type& block) noexcept : block_(&block) {}

  [[nodiscard]] constexpr std::size_t left() const noexcept { return Tables - used_ + given_back_; }
  [[nodiscard]] constexpr bool reserve(std::size_t n) const noexcept { return n <= left(); }
  constexpr result<table_address> take(table_contents contents) noexcept {
    if (left() == 0) return errc::no_memory;
    const bool fresh = given_back_ == 0;  // and still zero
    const table_address table = block_type::table(fresh ? used_++ : free_[--given_back_]);
    if (!fresh && contents == table_contents::zeroed) clear(table, TableBytes);
    return table;
  }
  constexpr void give_back(table_address table) noexcept { free_[given_back_++] = block_type::number_of(table); }
  constexpr result<table_address> take_root(std::uint64_t bytes) noexcept {
    QUIRE_EXPECTS(bytes == RootBytes && !has_root_);
    has_root_ = true;
    return block_type::root();
  }
  constexpr void give_back_root(table_address root, std::uint64_t bytes) noexcept {
    clear(root, bytes);
    has_root_ = false;
  }

 private:
  constexpr void clear(table_address table, std::uint64_t bytes) noexcept {
    Word* const first = block_->words + (table.value - Base) / sizeof(Word);
    for (std::size_t i = 0; i < bytes / sizeof(Word); ++i) first[i] = 0;
  }

  block_type* block_;
  std::size_t used_ = 0;  // the tables from this one on were never taken
  std::size_t given_back_ = 0;
  std::size_t free_[Tables == 0 ? 1 : Tables]{};
  bool has_root_ = false;
};

static_assert(root_source<block_tables<table_block<std::uint64_t, 0x4000, 0x4000, 0x1000, 2>>>);
static_assert(table_block<std::uint64_t, 0x4000, 0x4000, 0x1000, 2>::table(1) == table_address{0x9000});

}  // namespace quire
