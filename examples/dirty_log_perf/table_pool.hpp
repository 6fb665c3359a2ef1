// SPDX-License-Identifier: MIT
// Where tables come from: memory taken from the system in large pieces, and counted.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <mutex>    // mutex
#include <vector>   // vector

#include <quire/policy/table_cache.hpp>  // table_cache, table_source

namespace perf {

// A quire::table_allocator for any number of threads; tables are 4 KiB, roots up to 64 KiB.
//
// It is also what page_table itself is given (a quire::root_source), but as such has nothing in stock: all tables below
// the root come out of the caches that faults and eager splits fill outside the lock.
class table_pool {
 public:
  table_pool() = default;
  ~table_pool();
  table_pool(const table_pool&) = delete;
  table_pool& operator=(const table_pool&) = delete;

  // Errors: no_memory.
  quire::result<quire::table_address> allocate(std::uint64_t bytes) noexcept;
  void free(quire::table_address table, std::uint64_t bytes) noexcept;

  [[nodiscard]] bool reserve(std::size_t n) noexcept { return n == 0; }
  quire::result<quire::table_address> take(quire::table_contents) noexcept { return quire::errc::no_memory; }
  void give_back(quire::table_address table) noexcept { free(table, table_bytes); }
  quire::result<quire::table_address> take_root(std::uint64_t bytes) noexcept { return allocate(bytes); }
  void give_back_root(quire::table_address table, std::uint64_t bytes) noexcept { free(table, bytes); }

  // Tables handed out so far, and those not given back; roots and stocks of caches included.
  [[nodiscard]] std::uint64_t allocated() const noexcept;
  [[nodiscard]] std::uint64_t live() const noexcept;

  static constexpr std::uint64_t table_bytes = 4096;

 private:
  [[nodiscard]] bool grow();

  mutable std::mutex mutex_;
  std::vector<void*> pieces_;
  std::vector<std::uint64_t> free_;  // addresses of free tables
  std::uint64_t next_root_ = 0;      // roots are cut from the head of the first piece and not used again
  std::uint64_t roots_end_ = 0;
  std::uint64_t allocated_ = 0;
  std::uint64_t live_ = 0;
};

// A stock of tables for one thread. Free tables are nobody's, so what the cache reads of them is not counted.
using stock = quire::table_cache<table_pool, quire::direct_memory>;

static_assert(quire::table_allocator<table_pool> && quire::root_source<table_pool>);

}  // namespace perf
