// SPDX-License-Identifier: MIT
// What Quire is told about this kernel: the one file that knows both. Include it instead of <quire/quire.hpp>.
#pragma once

#include "kernel/console.hpp"  // panic
#include "kernel/cpu.hpp"      // post_flush, await_flush, this_cpu
#include "kernel/pages.hpp"    // allocate_pages, free_pages, to_virtual
#include "kernel/rw_lock.hpp"  // rw_lock

// Before the first include of Quire, and the same in every file that includes it.
#define QUIRE_CONTRACT_VIOLATION(text) ::kernel::panic(text)

#include <quire/quire.hpp>  // page_table and all it needs

namespace hypervisor {

// Memory policy: table addresses are physical. With one direct map this whole class is
// quire::direct_memory{virtual_base - physical_base}.
struct physical_memory {
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word load(quire::table_address t, std::size_t i, quire::order o) const noexcept {
    return quire::atomic::load(at<Word>(t, i), o);
  }
  template <class Word>
  QUIRE_INLINE void store(quire::table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    quire::atomic::store(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word exchange(quire::table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    return quire::atomic::exchange(at<Word>(t, i), w, o);
  }
  template <class Word>
  [[nodiscard]] QUIRE_INLINE bool compare_exchange(quire::table_address t, std::size_t i, Word& expected, Word w,
                                                   quire::order o) const noexcept {
    return quire::atomic::compare_exchange(at<Word>(t, i), expected, w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_and(quire::table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    return quire::atomic::fetch_and(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_or(quire::table_address t, std::size_t i, Word w, quire::order o) const noexcept {
    return quire::atomic::fetch_or(at<Word>(t, i), w, o);
  }
  // The run capability, optional: a table's words one after the other, which holds as no table crosses a bank.
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word* own(quire::table_address t, std::size_t first, std::size_t) const noexcept {
    return at<Word>(t, first);
  }
  template <class Word>
  QUIRE_INLINE void written(quire::table_address, std::size_t, std::size_t) const noexcept {}

 private:
  template <class Word>
  [[nodiscard]] QUIRE_INLINE static Word* at(quire::table_address t, std::size_t i) noexcept {
    static_assert(sizeof(Word) == sizeof(std::uint64_t), "RAM is an array of such words");
    return kernel::to_virtual(t.value) + i;
  }
};

// Table allocator: pages come zeroed and aligned, as Quire wants them.
struct page_allocator {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) noexcept {
    const kernel::physical first = kernel::allocate_pages(bytes);
    if (first == 0) return quire::errc::no_memory;
    return quire::table_address{first};
  }
  void free(quire::table_address table, std::uint64_t bytes) noexcept { kernel::free_pages(table.value, bytes); }
};

// A stock of tables, for one context: each vCPU has one, so has the eager split. The table's own stays empty: roots go
// past it to the allocator, and so do tables that are given back.
using table_stock = quire::table_cache<page_allocator, physical_memory>;

// Invalidation policy of one guest. Rights that were added need not reach the others: they take one fault more.
class shootdown {
 public:
  constexpr shootdown() noexcept = default;
  constexpr explicit shootdown(unsigned vmid) noexcept : vmid_(vmid) {}

  void add(const quire::invalidation_request& request) noexcept {
    if (request.reason == quire::invalidation_reason::relaxed) local(request);
    else generation_ = kernel::post_flush({vmid_, request.first.value, request.last.value});
  }
  void local(const quire::invalidation_request& request) noexcept {
    kernel::this_cpu().drop({vmid_, request.first.value, request.last.value});
  }
  void complete() noexcept { kernel::await_flush(generation_); }

 private:
  unsigned vmid_ = 0;
  std::uint64_t generation_ = 0;
};

// Maintenance policy: on arm64 a store to a table reaches the table walkers, and comes before the invalidation that
// follows, only through a barrier. Elsewhere the release stores and the lock are enough.
struct walker_barriers : quire::no_maintenance {
#ifdef __aarch64__
  void published() noexcept { asm volatile("dsb ishst" ::: "memory"); }
  void before_invalidation() noexcept { asm volatile("dsb ish" ::: "memory"); }
#endif
};

struct kernel_policies : quire::policies {
  using locking = quire::locking::shared<kernel::rw_lock>;
  physical_memory memory;
  walker_barriers maintenance;
  table_stock tables;
  quire::batching_invalidation<shootdown> invalidation;  // one flush for all that one lock section changed

  kernel_policies(page_allocator& pages, unsigned vmid) noexcept
      : tables(&pages, memory, kernel::page_bytes), invalidation(shootdown{vmid}) {}
};

}  // namespace hypervisor
