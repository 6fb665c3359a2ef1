// SPDX-License-Identifier: MIT
#include "fake_kernel.h"

#include <string.h>

#define POOL_ADDRESS ((uint64_t)0x80000000)
#define MOVED_TO ((uint64_t)0x200000000)

void check_failed(const char* condition, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
  exit(1);
}

// ---- table memory

static bool is_free(const struct kernel* k, size_t first, size_t pages) {
  for (size_t i = first; i < first + pages; ++i)
    if (k->pool_used[i]) return false;
  return true;
}

// The lock is a spinlock, so to speak, and the allocator may sleep.
static uint64_t allocate_table(void* context, uint64_t bytes) {
  struct kernel* k = context;
  const size_t pages = (size_t)(bytes / PAGE);
  CHECK(!k->locked && k->readers == 0);
  for (size_t first = 0; first + pages <= POOL_PAGES; first += pages) {
    if (!is_free(k, first, pages)) continue;
    for (size_t i = first; i < first + pages; ++i) k->pool_used[i] = true;
    k->pool_pages += (unsigned)pages;
    memset(k->pool + first * PAGE, 0, (size_t)bytes);
    return POOL_ADDRESS + first * PAGE;
  }
  return 0;
}

static void free_table(void* context, uint64_t address, uint64_t bytes) {
  struct kernel* k = context;
  const size_t first = (size_t)((address - POOL_ADDRESS) / PAGE), pages = (size_t)(bytes / PAGE);
  for (size_t i = first; i < first + pages; ++i) {
    CHECK(k->pool_used[i]);
    k->pool_used[i] = false;
  }
  memset(k->pool + first * PAGE, 0xa5, (size_t)bytes);  // whoever still walks it trips
  k->pool_pages -= (unsigned)pages;
}

// ---- the lock

static void lock(void* context) {
  struct kernel* k = context;
  CHECK(!k->locked && k->readers == 0);
  k->locked = true;
}
// What was taken away under the lock must not be believed any more.
static void unlock(void* context) {
  struct kernel* k = context;
  CHECK(k->locked && !k->pending);
  k->locked = false;
}
void kernel_lock_shared(void* context) {
  struct kernel* k = context;
  CHECK(!k->locked);
  ++k->readers;
}
void kernel_unlock_shared(void* context) {
  struct kernel* k = context;
  CHECK(k->readers != 0);
  --k->readers;
}

// ---- the processor's translation cache: it obeys as late as it may

static void forget(struct kernel* k, uint64_t first, uint64_t last) {
  for (uint64_t page = 0; page < RAM_PAGES; ++page) {
    const uint64_t address = RAM_FIRST + page * PAGE;
    if (first <= address && address <= last) k->cached[page] = false;
  }
}
static void invalidate(void* context, const struct guest_invalidation* what) {
  struct kernel* k = context;
  CHECK(k->locked && what->first <= what->last);
  if (!k->pending || what->first < k->pending_first) k->pending_first = what->first;
  if (!k->pending || what->last > k->pending_last) k->pending_last = what->last;
  k->pending = true;
  ++k->requests;
}
static void wait(void* context) {
  struct kernel* k = context;
  if (k->pending) forget(k, k->pending_first, k->pending_last);
  k->pending = false;
}
static void invalidate_local(void* context, const struct guest_invalidation* what) {
  struct kernel* k = context;
  CHECK(k->locked || k->readers != 0);
  forget(k, what->first, what->last);
}

// ---- scheduling

static bool should_yield(void* context) {
  struct kernel* k = context;
  CHECK(k->locked);
  return true;
}
static void cond_resched(void* context) {
  struct kernel* k = context;
  CHECK(!k->locked && !k->pending);
  ++k->yields;
}

// ---- host memory

uint64_t host_address(const struct kernel* k, uint64_t page) {
  return page == k->moved_page ? MOVED_TO : HOST_BASE + page * PAGE;
}
static enum guest_errc resolve(void* context, const struct guest_slot* slot, uint64_t address, bool write,
                               struct guest_host_page* page) {
  struct kernel* k = context;
  (void)slot;
  (void)write;
  CHECK(!k->locked && k->readers == 0);
  ++k->host_lookups;
  page->output = host_address(k, (address - RAM_FIRST) / PAGE);
  page->writable = true;
  page->largest_level = 0;
  return GUEST_ERRC_NONE;
}
// All of it is in 2M pieces, but for the one that lacks the moved page.
static int mapped_level(void* context, const struct guest_slot* slot, uint64_t address) {
  const struct kernel* k = context;
  (void)slot;
  return (address - RAM_FIRST) / BLOCK == k->moved_page / (BLOCK / PAGE) ? 0 : 1;
}

// ---- all together

void kernel_start(struct kernel* k) {
  memset(k, 0, sizeof *k);
  k->pool = aligned_alloc(16 * PAGE, (size_t)POOL_PAGES * PAGE);
  CHECK(k->pool != NULL);
  k->moved_page = NO_PAGE;
}
void kernel_stop(struct kernel* k) { free(k->pool); }

struct guest_ops kernel_boot_ops(struct kernel* k) {
  return (struct guest_ops){.context = k,
                            .allocate_table = allocate_table,
                            .free_table = free_table,
                            .displacement = (uintptr_t)k->pool - POOL_ADDRESS};
}
struct guest_ops kernel_ops(struct kernel* k) {
  struct guest_ops ops = kernel_boot_ops(k);
  ops.invalidate = invalidate;
  ops.wait = wait;
  ops.invalidate_local = invalidate_local;
  ops.lock = lock;
  ops.unlock = unlock;
  ops.lock_shared = kernel_lock_shared;
  ops.unlock_shared = kernel_unlock_shared;
  ops.should_yield = should_yield;
  ops.cond_resched = cond_resched;
  ops.resolve = resolve;
  ops.mapped_level = mapped_level;
  return ops;
}
