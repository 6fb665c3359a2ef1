// SPDX-License-Identifier: MIT
// A small virtual machine monitor in C on top of guest_table.h, once for each format: it maps 64 MiB in blocks, logs
// what the guest writes, compares that with what the guest did write, and takes everything down again. Prints one line
// for each format; ends with status 1 at the first thing that is not as it must be.
#include "fake_kernel.h"

#include <inttypes.h>
#include <string.h>

struct vm {
  struct kernel kernel;
  struct guest_ops ops;
  struct guest_table table;
  struct guest_format_facts facts;
  struct guest_slot ram;
  struct guest_cache ioctl_cache;  // of the thread that maps and logs
  struct guest_cache vcpu_cache;
  uint64_t bitmap[RAM_WORDS];   // the log's own
  uint64_t written[RAM_WORDS];  // what the guest has written since the last harvest
  unsigned fast;                // write faults, by how they were fixed
  unsigned slow;
};

static const struct guest_attributes plain_ram = {
    .rights = GUEST_READ | GUEST_WRITE | GUEST_EXECUTE, .may_write = true, .accessed = true};

static void create(struct vm* vm, enum guest_format format) {
  memset(vm, 0, sizeof *vm);
  kernel_start(&vm->kernel);
  vm->ops = kernel_ops(&vm->kernel);
  vm->facts = guest_describe(format);
  guest_cache_init(&vm->ioctl_cache, &vm->ops);
  guest_cache_init(&vm->vcpu_cache, &vm->ops);
  CHECK(guest_table_create(&vm->table, format, &vm->ops, NULL) == GUEST_ERRC_NONE);
  uint64_t root = 0;
  CHECK(guest_table_root(&vm->table, &root, NULL) == GUEST_ERRC_NONE);
  CHECK(root != 0 && root % vm->facts.root_bytes == 0);
}

// ---- mapping

struct leaf_count {
  unsigned leaves;
  unsigned writable;
  uint64_t bytes;
};
static bool count_leaf(void* context, const struct guest_leaf* leaf) {
  struct leaf_count* count = context;
  ++count->leaves;
  count->writable += (leaf->attributes.rights & GUEST_WRITE) != 0;
  count->bytes += leaf->bytes;
  return true;
}
static struct leaf_count count_leaves(struct vm* vm) {
  struct leaf_count count = {0};
  struct guest_session session;
  guest_session_begin(&session, &vm->table, GUEST_TAKE_LOCK);
  CHECK(guest_for_each(&session, RAM_FIRST, RAM_BYTES, count_leaf, &count, NULL) == GUEST_ERRC_NONE);
  guest_session_end(&session);
  return count;
}

static void map_ram(struct vm* vm) {
  // Svade hardware faults at a write through a clean leaf, so where there is a dirty bit, it is set from the start.
  struct guest_attributes attributes = plain_ram;
  attributes.dirty = vm->facts.has_dirty;
  const struct guest_map_options blocks = {.largest_level = 1};
  size_t tables = 0;
  CHECK(guest_table_needs(&vm->table, RAM_FIRST, RAM_BYTES, HOST_BASE, 1, &tables, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_cache_top_up(&vm->ioctl_cache, tables));

  struct guest_session session;
  guest_session_begin(&session, &vm->table, GUEST_TAKE_LOCK);
  CHECK(guest_map(&session, RAM_FIRST, RAM_BYTES, HOST_BASE, &attributes, &blocks, &vm->ioctl_cache, NULL) ==
        GUEST_ERRC_NONE);
  guest_session_end(&session);
  const struct leaf_count count = count_leaves(vm);
  CHECK(count.leaves == RAM_BYTES / BLOCK && count.writable == count.leaves && count.bytes == RAM_BYTES);
}

static void age_ram(struct vm* vm) {
  struct guest_session session;
  bool was = false;
  guest_session_begin(&session, &vm->table, GUEST_TAKE_LOCK);
  CHECK(guest_test_and_clear_accessed(&session, RAM_FIRST, BLOCK, &was, NULL) == GUEST_ERRC_NONE && was);
  CHECK(guest_test_and_clear_accessed(&session, RAM_FIRST, BLOCK, &was, NULL) == GUEST_ERRC_NONE && !was);
  CHECK(guest_set_accessed(&session, RAM_FIRST, RAM_BYTES, &was, NULL) == GUEST_ERRC_NONE && was);
  guest_session_end(&session);
}

// ---- the guest

static enum guest_outcome fault(struct vm* vm, uint64_t address) {
  const struct guest_fault what = {.address = address, .access = GUEST_WRITE};
  struct guest_fault_report report;
  CHECK(guest_handle_fault(&vm->table, &vm->ram, &what, &vm->vcpu_cache, &report, NULL) == GUEST_ERRC_NONE);
  return report.outcome;
}

static bool walk_for_write(struct vm* vm, uint64_t address) {
  struct guest_leaf leaf;
  kernel_lock_shared(&vm->kernel);
  const enum guest_errc said = guest_table_lookup(&vm->table, address, &leaf, NULL);
  kernel_unlock_shared(&vm->kernel);
  if (said != GUEST_ERRC_NONE) return false;
  const uint64_t page = (address - RAM_FIRST) / PAGE;
  CHECK(leaf.output + (address - leaf.address) == host_address(&vm->kernel, page) + address % PAGE);
  const bool traps = !leaf.attributes.accessed || (vm->facts.has_dirty && !leaf.attributes.dirty);
  return (leaf.attributes.rights & GUEST_WRITE) != 0 && !traps;
}

// A store as the processor does it: by its cache, else by a walk, else by a fault; one fault must do.
static void guest_write(struct vm* vm, uint64_t page) {
  const uint64_t address = RAM_FIRST + page * PAGE + 8;
  if (!vm->kernel.cached[page] && !walk_for_write(vm, address)) {
    const enum guest_outcome outcome = fault(vm, address);
    CHECK(outcome == GUEST_FIXED || outcome == GUEST_FIXED_FAST);
    if (outcome == GUEST_FIXED_FAST) ++vm->fast;
    else ++vm->slow;
    CHECK(walk_for_write(vm, address));
  }
  vm->kernel.cached[page] = true;
  vm->written[page / 64] |= (uint64_t)1 << (page % 64);
}

// ---- the log

static void start_log(struct vm* vm, struct guest_log_work* work) {
  const struct guest_slot_config config = {
      .first = RAM_FIRST, .pages = RAM_PAGES, .host = HOST_BASE, .rights = plain_ram.rights, .bitmap = vm->bitmap};
  CHECK(guest_bitmap_words(RAM_PAGES) == RAM_WORDS);
  CHECK(guest_slot_init(&vm->ram, &vm->table, &config, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_table_eager_split(&vm->table, 3 * PAGE, NULL) == GUEST_ERRC_UNSUPPORTED_ATTRIBUTE);
  CHECK(guest_table_eager_split(&vm->table, BLOCK, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_log_enable(&vm->ram, GUEST_LOG_MANUAL, &vm->ioctl_cache, work, NULL) == GUEST_ERRC_NONE);
  CHECK(work->leaves_split == RAM_BYTES / BLOCK && work->bytes_unsplit == 0);
  const struct leaf_count count = count_leaves(vm);
  CHECK(count.leaves == RAM_PAGES && count.writable == 0 && count.bytes == RAM_BYTES);
}

static unsigned bits_of(const uint64_t* words) {
  unsigned bits = 0;
  for (unsigned page = 0; page < RAM_PAGES; ++page) bits += (unsigned)(words[page / 64] >> (page % 64)) & 1U;
  return bits;
}

// The log must name exactly the pages that the guest wrote, and none once it is cleared. Gives how many.
static unsigned harvest(struct vm* vm) {
  uint64_t words[RAM_WORDS];
  CHECK(guest_log_get(&vm->ram, words, &vm->ioctl_cache, NULL, NULL) == GUEST_ERRC_NONE);
  CHECK(memcmp(words, vm->written, sizeof words) == 0);
  const unsigned pages = bits_of(words);
  CHECK(guest_log_clear(&vm->ram, 0, RAM_PAGES, words, &vm->ioctl_cache, NULL, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_log_get(&vm->ram, words, &vm->ioctl_cache, NULL, NULL) == GUEST_ERRC_NONE && bits_of(words) == 0);
  memset(vm->written, 0, sizeof vm->written);
  return pages;
}

// What a notifier does: the host moves a page away under the guest. A fault meanwhile must wait for the end of it.
static void move_page(struct vm* vm, uint64_t page) {
  const uint64_t address = RAM_FIRST + page * PAGE;
  struct guest_unmapped gone;
  struct guest_session session;
  struct guest_host_change change;
  guest_session_begin(&session, &vm->table, GUEST_TAKE_LOCK);
  CHECK(guest_host_change_begin(&session, address, PAGE, &change, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_unmap(&session, address, PAGE, GUEST_SPLIT, NULL, &vm->ioctl_cache, &gone, NULL) == GUEST_ERRC_NONE);
  guest_session_end(&session);
  CHECK(gone.entries == 1 && gone.first == address && gone.last == address + PAGE - 1);
  CHECK(fault(vm, address) == GUEST_RETRY);
  vm->kernel.moved_page = page;
  vm->ops.lock(vm->ops.context);  // a lock that is held already is not taken, and not let go
  guest_session_begin(&session, &vm->table, GUEST_LOCK_HELD);
  guest_host_change_end(&session, change);
  guest_session_end(&session);
  vm->ops.unlock(vm->ops.context);
}

static unsigned log_rounds(struct vm* vm) {
  unsigned reported = 0;
  uint64_t random = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000; ++i) {
      random = random * 48271 % 0x7fffffff;
      guest_write(vm, random % RAM_PAGES);
    }
    if (round == 1) {
      move_page(vm, 5000);
      guest_write(vm, 5000);
    }
    reported += harvest(vm);
  }
  return reported;
}

// ---- the end

static void take_down(void* context, const struct guest_leaf* leaf) {
  struct leaf_count* count = context;
  ++count->leaves;
  count->bytes += leaf->bytes;
}

static void destroy(struct vm* vm) {
  struct leaf_count count = {0};
  const struct guest_removal_report report = {take_down, &count};
  struct guest_unmapped gone;
  struct guest_session session;
  guest_session_begin(&session, &vm->table, GUEST_TAKE_LOCK);
  CHECK(guest_unmap(&session, RAM_FIRST + RAM_BYTES / 2, RAM_BYTES / 2, GUEST_SPLIT, &report, NULL, &gone, NULL) ==
        GUEST_ERRC_NONE);
  guest_session_end(&session);
  CHECK(gone.accessed && gone.entries == count.leaves && count.bytes == RAM_BYTES / 2);

  // The other half goes with the table, one table at a time: by now it has one of each level below the root.
  int calls = 1;
  while (!guest_table_destroy(&vm->table, 1)) ++calls;
  CHECK(calls == vm->facts.levels - 1 && guest_table_destroy(&vm->table, 1));
  CHECK(guest_table_root(&vm->table, NULL, NULL) == GUEST_ERRC_NO_ROOT);
  guest_cache_drain(&vm->ioctl_cache);
  guest_cache_drain(&vm->vcpu_cache);
}

static void run(enum guest_format format, const char* name) {
  struct vm* vm = malloc(sizeof *vm);
  CHECK(vm != NULL);
  create(vm, format);
  map_ram(vm);
  age_ram(vm);

  struct guest_log_work enabled, disabled;
  start_log(vm, &enabled);
  const unsigned reported = log_rounds(vm);
  CHECK(guest_handle_fault(&vm->table, NULL, &(struct guest_fault){.address = RAM_FIRST + RAM_BYTES}, &vm->vcpu_cache,
                           NULL, NULL) == GUEST_ERRC_NONE);
  CHECK(vm->slow == 1 && vm->fast + vm->slow == reported && vm->kernel.host_lookups == 2);
  CHECK(vm->kernel.yields != 0);

  CHECK(guest_log_disable(&vm->ram, GUEST_RECOVER_NOW, &disabled, NULL) == GUEST_ERRC_NONE);
  const struct leaf_count count = count_leaves(vm);
  CHECK(count.leaves == disabled.blocks_recovered + 512 && count.writable == count.leaves);
  destroy(vm);
  CHECK(vm->kernel.pool_pages == 0);

  printf("%-10s %6" PRIu64 " %6zu %6u %6u %8u %6zu %8u %6u\n", name, vm->facts.root_bytes / 1024, enabled.leaves_split,
         vm->fast, vm->slow, reported, disabled.blocks_recovered, vm->kernel.requests, vm->kernel.pool_pages);
  kernel_stop(&vm->kernel);
  free(vm);
}

// ---- a table that only software walks: no locks, no caches to invalidate; and how things are refused

static bool is_error(const struct guest_error* error, enum guest_errc code, int level, uint64_t address) {
  return error->code == code && error->level == level && error->address == address;
}

static void count_mark(void* context) { ++*(unsigned*)context; }

static void boot_table(enum guest_format format) {
  struct kernel kernel;
  kernel_start(&kernel);
  struct guest_ops ops = kernel_boot_ops(&kernel);
  struct guest_table table;
  struct guest_cache cache;
  struct guest_session session;
  struct guest_error error;
  unsigned marks = 0;
  bool changed = false;

  ops.lock = kernel_lock_shared;  // a lock without the rest of it
  CHECK(guest_table_create(&table, format, &ops, &error) == GUEST_ERRC_UNSUPPORTED_ATTRIBUTE);
  ops.lock = NULL;
  CHECK(guest_table_create(&table, format, &ops, &error) == GUEST_ERRC_NONE);
  guest_cache_init(&cache, &ops);
  guest_session_begin(&session, &table, GUEST_TAKE_LOCK);

  const struct guest_attributes attributes = {.rights = GUEST_READ | GUEST_WRITE, .accessed = true};
  CHECK(guest_map(&session, 0, PAGE, HOST_BASE, &attributes, NULL, NULL, &error) == GUEST_ERRC_NO_MEMORY);
  CHECK(guest_cache_top_up(&cache, 8));
  CHECK(guest_map(&session, 1, PAGE, HOST_BASE, &attributes, NULL, &cache, &error) == GUEST_ERRC_UNALIGNED);
  CHECK(is_error(&error, GUEST_ERRC_UNALIGNED, -1, 1));
  const int levels = guest_describe(format).levels;
  const uint64_t end = (uint64_t)1 << guest_describe(format).input_bits;
  CHECK(guest_map(&session, end, PAGE, HOST_BASE, &attributes, NULL, &cache, &error) == GUEST_ERRC_BEYOND_INPUT);
  CHECK(is_error(&error, GUEST_ERRC_BEYOND_INPUT, -1, end));

  // A note about one page keeps a mapping of the block away, as a whole.
  uint64_t note = 0;
  CHECK(guest_annotate(&session, 3 * PAGE, PAGE, 42, &cache, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_annotation(&session, 3 * PAGE + 5, &note, NULL) == GUEST_ERRC_NONE && note == 42);
  CHECK(guest_map(&session, 0, BLOCK, HOST_BASE, &attributes, NULL, &cache, &error) == GUEST_ERRC_MARKED);
  CHECK(is_error(&error, GUEST_ERRC_MARKED, 0, 3 * PAGE));
  CHECK(guest_table_lookup(&table, 0, NULL, &error) == GUEST_ERRC_NOT_MAPPED);
  CHECK(guest_unmap(&session, 0, BLOCK, GUEST_WHOLE, NULL, NULL, NULL, NULL) == GUEST_ERRC_NONE);
  size_t empty = 0;  // of the tables above the one that the range covered
  CHECK(guest_prune(&session, 0, end, &empty, NULL) == GUEST_ERRC_NONE && empty + 2 == (size_t)levels);

  // Taking part of a block away is refused, or splits it; a right that was taken is not granted by the fast path.
  CHECK(guest_map(&session, 0, BLOCK, HOST_BASE, &attributes, NULL, &cache, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_protect(&session, 0, PAGE, GUEST_READ, GUEST_REFUSE, &cache, NULL, &error) == GUEST_ERRC_CROSSES_LEAF);
  CHECK(is_error(&error, GUEST_ERRC_CROSSES_LEAF, -1, PAGE));
  CHECK(guest_protect(&session, 0, PAGE, GUEST_READ, GUEST_SPLIT, &cache, &changed, NULL) == GUEST_ERRC_NONE);
  CHECK(changed && guest_relax_page(&table, 0, attributes.rights, &error) == GUEST_ERRC_NOT_PERMITTED);
  CHECK(guest_make_writable(&table, 0, count_mark, &marks) == GUEST_GRANT_REFUSED && marks == 0);
  CHECK(guest_relax(&session, 0, attributes.rights, NULL) == GUEST_ERRC_NONE);
  CHECK(guest_write_protect_mask(&session, 0, 5, &changed, NULL) == GUEST_ERRC_NONE && changed);
  CHECK(guest_make_writable(&table, 2 * PAGE, count_mark, &marks) == GUEST_GRANTED && marks == 1);
  CHECK(guest_write_protect(&session, 0, 3 * PAGE, &changed, NULL) == GUEST_ERRC_NONE && changed);
  CHECK(guest_write_protect(&session, 0, 3 * PAGE, &changed, NULL) == GUEST_ERRC_NONE && !changed);
  guest_session_end(&session);

  CHECK(strcmp(guest_errc_name(error.code), "not_permitted") == 0);
  CHECK(guest_table_destroy(&table, SIZE_MAX));
  guest_cache_drain(&cache);
  CHECK(kernel.pool_pages == 0);
  kernel_stop(&kernel);
}

int main(void) {
  static const struct {
    enum guest_format format;
    const char* name;
  } formats[] = {{GUEST_SV39X4, "sv39x4"},
                 {GUEST_SV48X4, "sv48x4"},
                 {GUEST_STAGE2_40, "stage2/40"},
                 {GUEST_STAGE2_48, "stage2/48"}};
  printf("%-10s %6s %6s %6s %6s %8s %6s %8s %6s\n", "format", "root K", "split", "fast", "slow", "reported", "merged",
         "flushes", "leaked");
  for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i) {
    boot_table(formats[i].format);
    run(formats[i].format, formats[i].name);
  }
  return 0;
}
