// SPDX-License-Identifier: MIT
#include "table_pool.hpp"

#include <cstdint>  // uintptr_t
#include <cstring>  // memset

#include <sys/mman.h>  // mmap

namespace perf {
namespace {

constexpr std::uint64_t piece_bytes = 4 << 20;
constexpr std::uint64_t root_room = 256 << 10;

void* memory_at(std::uint64_t address) noexcept {
  // The pool's addresses are those of the memory it mapped.
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}

}  // namespace

table_pool::~table_pool() {
  for (void* piece : pieces_) munmap(piece, piece_bytes);
}

// Populated at once, so that the system's own page faults do not end up in anybody's measurement.
bool table_pool::grow() {
  void* piece = mmap(nullptr, piece_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (piece == MAP_FAILED) return false;
  pieces_.push_back(piece);
  std::uint64_t first = reinterpret_cast<std::uintptr_t>(piece);
  const std::uint64_t end = first + piece_bytes;
  if (roots_end_ == 0) {
    roots_end_ = first + root_room;
    next_root_ = first;
    first = roots_end_;
  }
  // From the top down, so that what is handed out ascends.
  for (std::uint64_t at = end; at > first; at -= table_bytes) free_.push_back(at - table_bytes);
  return true;
}

quire::result<quire::table_address> table_pool::allocate(std::uint64_t bytes) noexcept {
  std::uint64_t address = 0;
  {
    const std::scoped_lock guard(mutex_);
    if (free_.empty() && !grow()) return quire::errc::no_memory;
    if (bytes <= table_bytes) {
      address = free_.back();
      free_.pop_back();
    } else {
      address = (next_root_ + bytes - 1) & ~(bytes - 1);
      if (address + bytes > roots_end_) return quire::errc::no_memory;
      next_root_ = address + bytes;
    }
    ++allocated_;
    ++live_;
  }
  std::memset(memory_at(address), 0, bytes);
  return quire::table_address{address};
}

void table_pool::free(quire::table_address table, std::uint64_t bytes) noexcept {
  const std::scoped_lock guard(mutex_);
  if (bytes <= table_bytes) free_.push_back(table.value);
  --live_;
}

std::uint64_t table_pool::allocated() const noexcept {
  const std::scoped_lock guard(mutex_);
  return allocated_;
}

std::uint64_t table_pool::live() const noexcept {
  const std::scoped_lock guard(mutex_);
  return live_;
}

}  // namespace perf
