// SPDX-License-Identifier: MIT
// A hypervisor that runs on CPUs with Sv39x4 and on CPUs with Sv48x4: which one is found out at boot.
#pragma once

#include <quire/quire.hpp>

#include <cstdlib>
#include <cstring>

// ---- what the hypervisor has: a fake one with one CPU, so that it runs anywhere
struct rw_lock {
  int readers = 0;
  bool writer = false;
  void lock() { writer = true; }
  void unlock() { writer = false; }
  void lock_shared() { ++readers; }
  void unlock_shared() { --readers; }
};
struct heap {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* const pages = std::aligned_alloc(bytes, bytes);
    if (pages == nullptr) return quire::errc::no_memory;
    return quire::table_address{reinterpret_cast<std::uintptr_t>(std::memset(pages, 0, bytes))};
  }
  void free(quire::table_address table, std::uint64_t) { std::free(reinterpret_cast<void*>(table.value)); }
};
struct one_cpu {
  void add(const quire::invalidation_request&) {}
  void local(const quire::invalidation_request&) {}
  void complete() {}
};
struct my_hypervisor : quire::policies {
  using locking = quire::locking::shared<rw_lock>;
  quire::table_cache<heap, quire::direct_memory> tables;
  quire::batching_invalidation<one_cpu> invalidation;
  explicit my_hypervisor(heap* pages) : tables(pages, {}, 4096) {}
};

// ---- one of two tables
template <int Levels>
using table_of = quire::page_table<quire::riscv::gstage<Levels>, my_hypervisor>;
using guest_table = quire::one_of<table_of<3>, table_of<4>>;

// Where the object says which one it is: the test looks for reads of it in the machine code.
inline constexpr std::size_t tag_offset = sizeof(table_of<3>) > sizeof(table_of<4>) ? sizeof(table_of<3>)
                                                                                    : sizeof(table_of<4>);
static_assert(sizeof(guest_table) > tag_offset && sizeof(guest_table) <= tag_offset + alignof(guest_table));

// ---- the hot paths (hot.cpp): the choice is made once a call, and all that follows is made for one format
extern "C" {
// The sum of what `pages` pages from `first` on translate to; ~0 where one is not mapped.
std::uint64_t sum_of_outputs(guest_table& guest, rw_lock& lock, std::uint64_t first, std::uint64_t pages);
// Answers a write fault on each of these pages while their writes are logged: marks it in the bitmap and makes it
// writable. Gives how many became so.
std::uint64_t fix_write_faults(guest_table& guest, rw_lock& lock, std::uint64_t first, std::uint64_t pages,
                               std::uint64_t* bitmap);
}
