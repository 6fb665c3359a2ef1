// SPDX-License-Identifier: MIT
// Free blocks of each size are lists threaded through the blocks; what no list has is cut off the rest of the memory.
// Blocks are not joined again: the sizes that a program asks for are few.
#include "frames.hpp"

#include <quire/atomic.hpp>  // compare_exchange

#include "machine.hpp"

namespace bare {

namespace {

constexpr int smallest = 12, sizes = 24;  // 4 KiB up to 32 GiB

struct state {
  std::uint64_t taken = 0;  // from memory_first(): what was cut off so far
  std::uint64_t used = 0;
  std::uint64_t free_of_size[sizes]{};  // the first of a list, 0: none
};
constinit state all{};
constinit std::uint64_t owner = 0;

struct turn {
  turn() noexcept {
    std::uint64_t nobody = 0;
    while (!quire::atomic::compare_exchange(&owner, nobody, std::uint64_t{1}, quire::order::acquire)) {
      nobody = 0;
      pause();
    }
  }
  ~turn() { quire::atomic::store(&owner, std::uint64_t{0}, quire::order::release); }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
};

std::uint64_t* word_of(std::uint64_t at) { return reinterpret_cast<std::uint64_t*>(at); }

// Eight words at a time: this is most of what a new table costs.
void clear(std::uint64_t at, std::uint64_t bytes) {
  for (std::uint64_t* to = word_of(at); to != word_of(at + bytes); to += 8)
    to[0] = to[1] = to[2] = to[3] = to[4] = to[5] = to[6] = to[7] = 0;
}

void put_aside(std::uint64_t at, int size) {
  *word_of(at) = all.free_of_size[size];
  all.free_of_size[size] = at;
}

// What lies between is not lost: it becomes free blocks.
std::uint64_t cut_off(std::uint64_t bytes) {
  std::uint64_t at = memory_first() + all.taken;
  while (at % bytes != 0) {
    const int log2 = __builtin_ctzll(at);
    const std::uint64_t block = std::uint64_t{1} << log2;
    if (at + block > memory_first() + memory_bytes()) return 0;
    put_aside(at, log2 - smallest);
    at += block;
  }
  if (at + bytes > memory_first() + memory_bytes()) return 0;
  all.taken = at + bytes - memory_first();
  return at;
}

int size_of(std::uint64_t bytes) { return __builtin_ctzll(bytes) - smallest; }

}  // namespace

quire::result<quire::table_address> frames::allocate(std::uint64_t bytes) noexcept {
  const turn mine;
  const int size = size_of(bytes);
  std::uint64_t at = all.free_of_size[size];
  if (at != 0) all.free_of_size[size] = *word_of(at);
  else at = cut_off(bytes);
  if (at == 0) return quire::errc::no_memory;
  all.used += bytes;
  clear(at, bytes);
  return quire::table_address{at};
}
void frames::free(quire::table_address at, std::uint64_t bytes) noexcept {
  const turn mine;
  all.used -= bytes;
  put_aside(at.value, size_of(bytes));
}
std::uint64_t frames::in_use() noexcept {
  const turn mine;
  return all.used;
}

}  // namespace bare
