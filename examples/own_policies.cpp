// SPDX-License-Identifier: MIT
// The sketch of README.md: a kernel's own lock, page allocator and TLB shootdown as policies. Here the kernel is a fake
// one with one CPU, so that it runs anywhere.
#include <quire/quire.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// ---- what the kernel has
struct rw_lock {
  int readers = 0;
  bool writer = false;
  void lock() { writer = true; }
  void unlock() { writer = false; }
  void lock_shared() { ++readers; }
  void unlock_shared() { --readers; }
};
static void* kernel_alloc_pages(std::uint64_t bytes) { return std::aligned_alloc(bytes, bytes); }
static void kernel_free_pages(void* pages) { std::free(pages); }
static unsigned shootdowns = 0;
static void kernel_flush_guest_range(std::uint64_t, std::uint64_t) { ++shootdowns; }
static void kernel_flush_here(std::uint64_t) {}

// ---- what Quire is told about it
struct page_allocator {
  quire::result<quire::table_address> allocate(std::uint64_t bytes) {
    void* pages = kernel_alloc_pages(bytes);
    if (pages == nullptr) return quire::errc::no_memory;
    return quire::table_address{reinterpret_cast<std::uintptr_t>(std::memset(pages, 0, bytes))};
  }
  void free(quire::table_address table, std::uint64_t) { kernel_free_pages(reinterpret_cast<void*>(table.value)); }
};
struct shootdown {
  void add(const quire::invalidation_request& r) { kernel_flush_guest_range(r.first.value, r.last.value); }
  void local(const quire::invalidation_request& r) { kernel_flush_here(r.first.value); }
  void complete() {}
};
struct my_kernel : quire::policies {
  using locking = quire::locking::shared<rw_lock>;
  quire::table_cache<page_allocator, quire::direct_memory> tables;  // topped up outside the lock
  quire::batching_invalidation<shootdown> invalidation;
  explicit my_kernel(page_allocator* pages) : tables(pages, {}, 4096) {}
};

int main() {
  using format = quire::arm64::stage2_4k<40>;
  page_allocator pages;
  rw_lock lock;
  quire::page_table<format, my_kernel> guest{my_kernel{&pages}};
  const auto ram = quire::input_range::sized(quire::input_address{0x4000'0000}, 64 << 20);
  const quire::output_address host{0x8000'0000};
  if (!guest.create() || !guest.policies().tables.top_up(quire::tables_needed<format>(ram, host))) return 1;
  {
    auto session = guest.exclusive(lock);  // takes the lock; its end completes the invalidations, then unlocks
    if (!session.map(ram, host, {.allowed = quire::all_access}) || !session.write_protect(ram)) return 1;
  }
  if (!guest.policies().tables.top_up(1)) return 1;
  {
    auto session = guest.exclusive(lock);
    const auto page = quire::input_range::sized(quire::input_address{0x4012'3000}, 4096);
    if (!session.split(page)) return 1;
  }
  auto session = guest.shared(lock);  // the read side: one page leaf becomes writable, nothing else
  bool marked = false;
  const auto given = session.make_writable(quire::input_address{0x4012'3456}, [&] { marked = true; });
  std::printf("granted %d, marked %d, shootdowns %u\n", given == quire::write_grant::granted, marked, shootdowns);
}
