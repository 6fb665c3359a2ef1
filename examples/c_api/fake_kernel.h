// SPDX-License-Identifier: MIT
// The kernel around the example: a page allocator, a lock, one processor with a translation cache, host memory. Each
// stops the program when it is used as a real one must not be.
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest_table.h"

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
_Noreturn void check_failed(const char* condition, const char* file, int line);

// The guest's memory: 64 MiB at 1 GiB. The host has it in one piece at `host_base`, but for one page that it may move.
enum { PAGE = 4096, BLOCK = 512 * PAGE, RAM_PAGES = 16384, RAM_WORDS = RAM_PAGES / 64, POOL_PAGES = 128 };
#define RAM_FIRST ((uint64_t)0x40000000)
#define RAM_BYTES ((uint64_t)RAM_PAGES * PAGE)
#define HOST_BASE ((uint64_t)0x100000000)
#define NO_PAGE ((uint64_t)RAM_PAGES)

struct kernel {
  unsigned char* pool;  // table memory; as the hardware sees it, it lies at POOL_ADDRESS
  bool pool_used[POOL_PAGES];
  unsigned pool_pages;  // of those

  bool locked;
  unsigned readers;

  bool cached[RAM_PAGES];  // the processor believes that it may write the page
  bool pending;            // an invalidation of these bytes was started
  uint64_t pending_first;
  uint64_t pending_last;
  unsigned requests;

  unsigned yields;        // times that cond_resched was called
  uint64_t moved_page;    // not where the rest of the host memory would have it
  unsigned host_lookups;  // faults that asked for the host page
};

void kernel_start(struct kernel* kernel);
void kernel_stop(struct kernel* kernel);

// Everything that guest_ops can name; and the least that it must, for a table that no hardware walks.
struct guest_ops kernel_ops(struct kernel* kernel);
struct guest_ops kernel_boot_ops(struct kernel* kernel);

uint64_t host_address(const struct kernel* kernel, uint64_t page);

void kernel_lock_shared(void* kernel);
void kernel_unlock_shared(void* kernel);

#endif
