// SPDX-License-Identifier: MIT
// Second-stage page tables for a hypervisor or kernel in C: Quire behind extern "C" functions.
//
// Units. Addresses and sizes are in bytes: multiples of 4096 wherever a range is meant, any byte where a single address
// is. A range is its first byte and its size. Levels count up from the pages: 0 is 4K, 1 is 2M, 2 is 1G, 3 is 512G.
//
// Locks. One reader-writer lock per table, yours: struct guest_ops says how to take it, and the functions take it as
// their section here says. Without lock callbacks nothing is taken: then you hold, around each call, what it would have
// taken.
//
// Errors. A function that can fail gives an enum guest_errc; the rest of what is known about a failure goes to `error`,
// and what it did to its own out-parameter; both may be NULL. An error has changed nothing, unless said otherwise.
// Functions of a range all give EMPTY_RANGE, RANGE_OVERFLOW, UNALIGNED and BEYOND_INPUT for one that makes no sense,
// and NO_ROOT without a table: "those of a range".
//
// Storage. Every struct with a `storage` member is an object of Quire, made in place by the function named beside it:
// zero it or not, do not copy it, do not touch its members. Nothing in here needs a heap.
#ifndef GUEST_TABLE_H
#define GUEST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- errors --------------------------------------------------------------------------------------

enum guest_errc {
  GUEST_ERRC_NONE,
  GUEST_ERRC_EMPTY_RANGE,            // a range of no bytes
  GUEST_ERRC_RANGE_OVERFLOW,         // the range passes the end of the 64-bit space
  GUEST_ERRC_UNALIGNED,              // an address is no multiple of the page
  GUEST_ERRC_BEYOND_INPUT,           // a guest address that the format cannot translate
  GUEST_ERRC_BEYOND_OUTPUT,          // an output address that an entry cannot hold
  GUEST_ERRC_UNSUPPORTED_ATTRIBUTE,  // a combination that the format cannot encode, or an argument without a meaning
  GUEST_ERRC_UNSUPPORTED_LEVEL,      // the level holds no leaves, or does not exist
  GUEST_ERRC_NO_MEMORY,              // the cache has too few tables
  GUEST_ERRC_ALREADY_MAPPED,         // something else is mapped there
  GUEST_ERRC_MARKED,                 // an annotation stands there
  GUEST_ERRC_NOT_MAPPED,             // nothing is mapped there; logging is off
  GUEST_ERRC_CROSSES_LEAF,           // the range covers part of a leaf, and you asked not to split
  GUEST_ERRC_NOT_PERMITTED,          // the leaf may not be given that right: the host page is read-only
  GUEST_ERRC_BUSY,                   // another writer is at work on the entry
  GUEST_ERRC_NOT_UNIFORM,            // the entries below do not form one leaf
  GUEST_ERRC_NO_ROOT,                // the table was never made, or is destroyed
  GUEST_ERRC_STOPPED                 // a callback asked to stop
};

struct guest_error {
  enum guest_errc code;
  int level;         // of the entry to blame; -1: none
  uint64_t address;  // guest address to blame (with BEYOND_OUTPUT the output address)
};

// "no_memory" and so on, never NULL.
const char* guest_errc_name(enum guest_errc code);

// ---- formats -------------------------------------------------------------------------------------

enum guest_format {
  GUEST_SV39X4,     // RISC-V G-stage, 41-bit guest addresses, Svade
  GUEST_SV48X4,     // RISC-V G-stage, 50-bit guest addresses, Svade
  GUEST_STAGE2_40,  // arm64 stage 2, 4K granule, 40-bit guest addresses, VTCR_EL2.HA set and HD clear
  GUEST_STAGE2_48   // likewise, 48-bit guest addresses
};

struct guest_format_facts {
  int input_bits;          // of a guest address
  int output_bits;         // of what it translates to
  int levels;              // of tables: the number for hgatp.MODE or VTCR_EL2.SL0
  uint64_t root_bytes;     // size and alignment of the root; all other tables take 4096
  bool break_before_make;  // entries pass through "invalid" when a leaf is split or collapsed
  bool has_dirty;          // attributes may say dirty; otherwise that is UNSUPPORTED_ATTRIBUTE
  bool sets_accessed;      // by hardware
  int payload_bits;        // of an annotation
};
struct guest_format_facts guest_describe(enum guest_format format);

// ---- what leaves say -----------------------------------------------------------------------------

enum { GUEST_READ = 1, GUEST_WRITE = 2, GUEST_EXECUTE = 4 };  // sets of rights are sums of these
enum guest_memory { GUEST_NORMAL, GUEST_NON_CACHEABLE, GUEST_DEVICE };

// `may_write`: a write fault here may be answered by the write permission alone, because the host page is writable; a
// leaf with GUEST_WRITE has it anyway. `accessed`: where hardware does not set it, a leaf without it faults.
struct guest_attributes {
  unsigned rights;
  enum guest_memory memory;
  bool may_write;
  bool accessed;
  bool dirty;
};

struct guest_leaf {
  uint64_t address;  // first guest address that the leaf translates
  uint64_t output;   // where that leads
  uint64_t bytes;
  int level;
  struct guest_attributes attributes;
};

// ---- what the kernel brings ----------------------------------------------------------------------

// The caches must forget `first` .. `last` (both included). `level`: of the leaves that changed, -1 unknown or mixed.
// `leaf_only`: caches of the upper levels may be kept. `reason`: why, from harmless to urgent.
enum guest_reason { GUEST_INSTALLED, GUEST_RELAXED, GUEST_REDUCED, GUEST_RESIZED, GUEST_REMOVED };
struct guest_invalidation {
  uint64_t first;
  uint64_t last;
  int level;
  bool leaf_only;
  enum guest_reason reason;
};

// What the host has behind a guest page. `largest_level`: the largest level at which the host's own mapping around it
// is one aligned piece.
struct guest_host_page {
  uint64_t output;
  bool writable;
  int largest_level;
};

struct guest_slot;

// The callbacks of one virtual machine; `context` is handed to each. Must stay as it is while anything made from it is
// in use. Groups marked "all or none" are either given completely or NULL throughout.
struct guest_ops {
  void* context;

  // Tables. allocate_table gives the physical address of `bytes` zeroed bytes aligned to `bytes`, or 0. It is called by
  // guest_table_create, guest_cache_top_up, and functions that say so; never with the table's lock held by a function
  // of this file, so it may sleep. free_table may be called with the lock held. Required.
  uint64_t (*allocate_table)(void* context, uint64_t bytes);
  void (*free_table)(void* context, uint64_t address, uint64_t bytes);
  uint64_t displacement;  // virtual minus physical address of every table

  // Translation caches, all or none (no hardware walks the table). invalidate starts; wait returns when every processor
  // has obeyed all that was started; both under the write side. invalidate_local is obeyed by the calling processor
  // when it returns; under either side, on several processors at once. Changes of one session are merged.
  void (*invalidate)(void* context, const struct guest_invalidation* what);
  void (*wait)(void* context);
  void (*invalidate_local)(void* context, const struct guest_invalidation* what);

  // The lock, all or none. (Without it, what is said to be called with no lock held is called with what you hold.)
  void (*lock)(void* context);
  void (*unlock)(void* context);
  void (*lock_shared)(void* context);
  void (*unlock_shared)(void* context);

  // Long operations, all or none (they never let go by themselves): should_yield is asked at bounded steps under the
  // write side; cond_resched is called with the lock dropped and all invalidations complete.
  bool (*should_yield)(void* context);
  void (*cond_resched)(void* context);

  // Architecture maintenance, each optional. table_filled: clean a complete new table for a walker that does not snoop.
  // published: entries became visible (arm64: dsb ishst). before_invalidation: stores must be seen before what follows
  // (arm64: dsb ish). code_visible: memory is about to become executable (instruction cache).
  void (*table_filled)(void* context, uint64_t address, uint64_t bytes);
  void (*published)(void* context);
  void (*before_invalidation)(void* context);
  void (*code_visible)(void* context, uint64_t output, uint64_t bytes);

  // Host memory behind slots, all or none (no slots, no faults). resolve faults the page at `address` in, for writing
  // if `write`: no lock held, may sleep; anything but GUEST_ERRC_NONE becomes the fault's error. mapped_level tells
  // largest_level, now: under the write side.
  enum guest_errc (*resolve)(void* context, const struct guest_slot* slot, uint64_t address, bool write,
                             struct guest_host_page* page);
  int (*mapped_level)(void* context, const struct guest_slot* slot, uint64_t address);
};

// ---- a table -------------------------------------------------------------------------------------

enum { GUEST_TABLE_WORDS = 64, GUEST_CACHE_WORDS = 8, GUEST_SESSION_WORDS = 12, GUEST_SLOT_WORDS = 16 };

struct guest_table {  // guest_table_create
  uint64_t storage[GUEST_TABLE_WORDS];
  enum guest_format format;
};

// Makes an empty table: one root is allocated. Takes no lock. Errors: NO_MEMORY; UNSUPPORTED_ATTRIBUTE (no such format,
// or a group of callbacks is incomplete).
enum guest_errc guest_table_create(struct guest_table* table, enum guest_format format, const struct guest_ops* ops,
                                   struct guest_error* error);

// Frees at most `most` tables, then says whether all are gone; call again until it is true, and after that as often as
// you like. Takes no lock. You must: have taken the root from every processor, invalidated its translations, and be the
// only one left who uses the table.
bool guest_table_destroy(struct guest_table* table, size_t most);

// Physical address of the root, for hgatp or VTTBR_EL2. Takes no lock. Errors: NO_ROOT.
enum guest_errc guest_table_root(const struct guest_table* table, uint64_t* address, struct guest_error* error);

// Eager splitting: the most that is split without a chance to let go of the lock, a power of two of pages; 0, the
// default, splits on faults only. May be changed at any time; takes no lock. Errors: UNSUPPORTED_ATTRIBUTE.
enum guest_errc guest_table_eager_split(struct guest_table* table, uint64_t chunk_bytes, struct guest_error* error);

// The leaf that translates `address`. Takes no lock: hold either side (a session does). Errors: NOT_MAPPED, MARKED with
// the level of the entry that says so; BEYOND_INPUT; NO_ROOT.
enum guest_errc guest_table_lookup(struct guest_table* table, uint64_t address, struct guest_leaf* leaf,
                                   struct guest_error* error);

// An upper bound of the tables that mapping the range can take: what to top a cache up to. Errors: those of a range.
enum guest_errc guest_table_needs(const struct guest_table* table, uint64_t first, uint64_t bytes, uint64_t output,
                                  int largest_level, size_t* tables, struct guest_error* error);

// ---- caches: tables allocated outside the lock, for use under it -----------------------------------

// One for each vCPU, one for the log's splits: a cache serves one thread at a time. `cache` arguments may be NULL: then
// whatever needs a table fails with NO_MEMORY.
struct guest_cache {  // guest_cache_init
  uint64_t storage[GUEST_CACHE_WORDS];
};
void guest_cache_init(struct guest_cache* cache, const struct guest_ops* ops);
// Brings the stock to `tables`; false when memory ran out, and what could be had stays. Calls allocate_table.
bool guest_cache_top_up(struct guest_cache* cache, size_t tables);
size_t guest_cache_stock(const struct guest_cache* cache);
// Frees the stock. You must, before you let a cache go.
void guest_cache_drain(struct guest_cache* cache);

// ---- the write side ------------------------------------------------------------------------------

// A session holds the write side. What it took away is forgotten by every processor when it ends, before it unlocks:
// nothing is flushed by you. Map, unmap, protect and annotate are all or nothing; the others change leaf by leaf.
struct guest_session {  // guest_session_begin
  uint64_t storage[GUEST_SESSION_WORDS];
  struct guest_table* table;
};

// GUEST_LOCK_HELD: you hold the write side already, as in a handler that is called under it, and keep it.
enum guest_locking { GUEST_TAKE_LOCK, GUEST_LOCK_HELD };
void guest_session_begin(struct guest_session* session, struct guest_table* table, enum guest_locking locking);
void guest_session_end(struct guest_session* session);

// Between two steps of a long job; lets go even of a lock that you took. If should_yield says so, or the cache has
// fewer than `tables` (calls allocate_table): completes the invalidations, lets go of the lock, cond_resched, tops the
// cache up, takes the lock again. False: the table is gone, or memory ran out. Whatever you knew about the table may
// have changed.
bool guest_let_go(struct guest_session* session, struct guest_cache* cache, size_t tables);

// Called for each leaf taken away, under the write side.
struct guest_removal_report {
  void (*removed)(void* context, const struct guest_leaf* leaf);
  void* context;
};

// NULL instead: the largest leaves that alignment allows, and nothing replaced.
struct guest_map_options {
  int largest_level;  // no leaf above this level; 0: pages only
  bool replace;       // take away what is mapped there
  const struct guest_removal_report* report;
};

// Maps the range to the addresses from `output` on. The same mapping with at least these rights is success and writes
// nothing; missing rights are added; anything else is ALREADY_MAPPED unless options->replace. Errors: also MARKED,
// NO_MEMORY, UNALIGNED, BEYOND_OUTPUT, UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_LEVEL, those of a range.
enum guest_errc guest_map(struct guest_session* session, uint64_t first, uint64_t bytes, uint64_t output,
                          const struct guest_attributes* attributes, const struct guest_map_options* options,
                          struct guest_cache* cache, struct guest_error* error);

// A leaf that is only partly in the range: split it (takes tables), take all of it (never allocates), or refuse.
enum guest_partial { GUEST_SPLIT, GUEST_WHOLE, GUEST_REFUSE };

struct guest_unmapped {
  uint64_t entries;  // leaves
  bool accessed;     // any of them
  bool dirty;        // any of them; never, where the format has no dirty bit: `report` tells which were writable
  uint64_t first;    // first and last byte whose translations are gone
  uint64_t last;
};

// Takes mappings and annotations away; tables that the range covers are freed after the invalidation, others stay
// (guest_prune). Errors:
// CROSSES_LEAF, NO_MEMORY, those of a range.
enum guest_errc guest_unmap(struct guest_session* session, uint64_t first, uint64_t bytes, enum guest_partial partial,
                            const struct guest_removal_report* report, struct guest_cache* cache,
                            struct guest_unmapped* unmapped, struct guest_error* error);

// Gives every leaf in the range exactly these rights; `changed`: any did. Without GUEST_WRITE a write fault can no
// longer be answered fast (may_write is gone). Errors: UNSUPPORTED_ATTRIBUTE, CROSSES_LEAF, NO_MEMORY, those of a
// range.
enum guest_errc guest_protect(struct guest_session* session, uint64_t first, uint64_t bytes, unsigned rights,
                              enum guest_partial partial, struct guest_cache* cache, bool* changed,
                              struct guest_error* error);

// Takes the write permission from every leaf that overlaps the range, whole leaves; may_write stays. Errors: those of a
// range. The second form: bit b of `mask` is the page b pages after `first`.
enum guest_errc guest_write_protect(struct guest_session* session, uint64_t first, uint64_t bytes, bool* changed,
                                    struct guest_error* error);
enum guest_errc guest_write_protect_mask(struct guest_session* session, uint64_t first, uint64_t mask, bool* changed,
                                         struct guest_error* error);

// Adds rights to the whole leaf that translates `address`. You must know that the host page may be written if
// GUEST_WRITE is among them. Errors: NOT_MAPPED, MARKED, UNSUPPORTED_ATTRIBUTE (on RISC-V also GUEST_WRITE without
// GUEST_READ).
enum guest_errc guest_relax(struct guest_session* session, uint64_t address, unsigned rights,
                            struct guest_error* error);

// Sets, or clears, the accessed bit of every leaf that overlaps the range. `changed`: any was clear, or set. Errors:
// those of a range.
enum guest_errc guest_set_accessed(struct guest_session* session, uint64_t first, uint64_t bytes, bool* changed,
                                   struct guest_error* error);
enum guest_errc guest_test_and_clear_accessed(struct guest_session* session, uint64_t first, uint64_t bytes,
                                              bool* changed, struct guest_error* error);

struct guest_split_result {
  size_t leaves;       // that became tables
  size_t tables;       // taken from the cache
  bool out_of_memory;  // then everything before `stopped_at` is split
  uint64_t stopped_at;
};

// Splits every leaf above `target_level` that overlaps the range; translations and attributes stay. No memory is no
// error but `out_of_memory`. Errors: UNSUPPORTED_LEVEL, those of a range.
enum guest_errc guest_split(struct guest_session* session, uint64_t first, uint64_t bytes, int target_level,
                            struct guest_cache* cache, struct guest_split_result* result, struct guest_error* error);

// Makes one leaf, of at most `largest_level`, of each table inside the range whose leaves continue one another;
// `leaves`: how many. You must know that the host memory there is one piece and that no log tracks it by pages. Errors:
// those of a range.
enum guest_errc guest_collapse(struct guest_session* session, uint64_t first, uint64_t bytes, int largest_level,
                               size_t* leaves, struct guest_error* error);

// Frees the tables in the range that have no entry left; `tables`: how many. Errors: those of a range.
enum guest_errc guest_prune(struct guest_session* session, uint64_t first, uint64_t bytes, size_t* tables,
                            struct guest_error* error);

// Leaves a mark on a range in which nothing is mapped (an owner, a poison): `payload` of payload_bits bits for each
// page. guest_unmap takes it away. Errors: ALREADY_MAPPED, MARKED, NO_MEMORY, UNSUPPORTED_ATTRIBUTE, those of a range.
enum guest_errc guest_annotate(struct guest_session* session, uint64_t first, uint64_t bytes, uint64_t payload,
                               struct guest_cache* cache, struct guest_error* error);
// Errors: NOT_MAPPED where there is no annotation.
enum guest_errc guest_annotation(struct guest_session* session, uint64_t address, uint64_t* payload,
                                 struct guest_error* error);

// Calls visit for every leaf that overlaps the range, in ascending order, until it gives false (STOPPED).
enum guest_errc guest_for_each(struct guest_session* session, uint64_t first, uint64_t bytes,
                               bool (*visit)(void* context, const struct guest_leaf* leaf), void* context,
                               struct guest_error* error);

// ---- the read side: one existing page leaf -------------------------------------------------------
// Each takes the read side for itself; several may be at work at once, and allocate nothing.

enum guest_grant {
  GUEST_GRANTED,        // this call made the leaf writable: the guest can go on
  GUEST_ALREADY,        // somebody else had: likewise
  GUEST_GRANT_NO_LEAF,  // nothing is mapped there
  GUEST_GRANT_BLOCK,    // a block: only the write side may split it
  GUEST_GRANT_REFUSED,  // may_write is not set: the host page is read-only
  GUEST_GRANT_BUSY      // another writer owns the entry: try again (never under the locks of this file)
};

// The write-fault fast path. `mark` runs before the leaf becomes writable; marked but not granted is possible.
enum guest_grant guest_make_writable(struct guest_table* table, uint64_t address, void (*mark)(void* context),
                                     void* context);
// As guest_relax; GUEST_WRITE only where may_write is set. Errors: also UNSUPPORTED_LEVEL (a block), NOT_PERMITTED.
enum guest_errc guest_relax_page(struct guest_table* table, uint64_t address, unsigned rights,
                                 struct guest_error* error);
// Errors: NOT_MAPPED, UNSUPPORTED_LEVEL (a block), BEYOND_INPUT, NO_ROOT.
enum guest_errc guest_age_page(struct guest_table* table, uint64_t address, bool* was_accessed,
                               struct guest_error* error);

// ---- changes of the host's own mapping -----------------------------------------------------------
// Around each: begin and guest_unmap in one session, the change itself, end in another session. A fault that looked its
// host page up meanwhile gives GUEST_RETRY.

// What begin says and end wants to hear.
struct guest_host_change {
  unsigned slot;
};
// Errors: those of a range.
enum guest_errc guest_host_change_begin(struct guest_session* session, uint64_t first, uint64_t bytes,
                                        struct guest_host_change* change, struct guest_error* error);
void guest_host_change_end(struct guest_session* session, struct guest_host_change change);

// ---- slots and their dirty log -------------------------------------------------------------------

// `pages` pages of guest memory from `first` on. `host`: where the first lies in the host's address space; only its
// alignment matters. `bitmap`: a bit for each page, guest_bitmap_words(pages) words, yours, for as long as the slot is
// in use; written with atomic operations while the log is on.
struct guest_slot_config {
  uint64_t first;
  uint64_t pages;
  uint64_t host;
  unsigned rights;  // the most that a leaf of the slot may allow
  bool read_only;
  uint64_t* bitmap;
};
struct guest_slot {  // guest_slot_init
  uint64_t storage[GUEST_SLOT_WORDS];
  struct guest_table* table;
};

size_t guest_bitmap_words(uint64_t pages);
// Takes no lock. Errors: UNSUPPORTED_ATTRIBUTE (the ops have no resolve, or there is no bitmap), those of a range.
enum guest_errc guest_slot_init(struct guest_slot* slot, struct guest_table* table,
                                const struct guest_slot_config* config, struct guest_error* error);

// The functions below take the write side, and let go of it on the way when should_yield says so or the splits need
// tables (they call allocate_table for `cache` then). One at a time per slot; faults may come meanwhile. When one
// returns, its invalidations are complete. `cache` is for the splits alone and must not be NULL.
struct guest_log_work {
  uint64_t words_taken;     // bitmap words in which something was set
  size_t leaves_split;      // by eager splitting
  uint64_t bytes_unsplit;   // left to the faults because memory ran out
  unsigned lock_drops;      // for more tables
  size_t blocks_recovered;  // by guest_log_disable
};

enum guest_log_mode {
  GUEST_LOG_GET_CLEARS,    // guest_log_get takes the bits and protects the pages again
  GUEST_LOG_MANUAL,        // guest_log_get copies, guest_log_clear takes and protects
  GUEST_LOG_INITIALLY_SET  // as manual, but all pages start as dirty and nothing is protected or split at the start
};

// Errors: those of a range, NO_ROOT; logging stays off.
enum guest_errc guest_log_enable(struct guest_slot* slot, enum guest_log_mode mode, struct guest_cache* cache,
                                 struct guest_log_work* work, struct guest_error* error);
// Copies the log to `words`, guest_bitmap_words(pages) of them. Errors: NOT_MAPPED (logging is off); NO_ROOT.
enum guest_errc guest_log_get(struct guest_slot* slot, uint64_t* words, struct guest_cache* cache,
                              struct guest_log_work* work, struct guest_error* error);
// Takes from the log what `words` names of the pages [first_page, first_page + pages), and protects those again; bit b
// of words[0] is first_page + b. Errors: NOT_MAPPED (logging is off); UNSUPPORTED_ATTRIBUTE (GUEST_LOG_GET_CLEARS);
// UNALIGNED (first_page, or pages that do not reach the slot's end, is no multiple of 64); BEYOND_INPUT; NO_ROOT.
enum guest_errc guest_log_clear(struct guest_slot* slot, uint64_t first_page, uint64_t pages, const uint64_t* words,
                                struct guest_cache* cache, struct guest_log_work* work, struct guest_error* error);

// What becomes of the pages that were blocks: they stay pages and regain their rights by faults; they become blocks
// now; or each block is made by the first fault in it.
enum guest_recovery { GUEST_RECOVER_NOT, GUEST_RECOVER_NOW, GUEST_RECOVER_ON_FAULT };
// Errors: NOT_MAPPED (logging is off); NO_ROOT.
enum guest_errc guest_log_disable(struct guest_slot* slot, enum guest_recovery recovery, struct guest_log_work* work,
                                  struct guest_error* error);

// ---- faults --------------------------------------------------------------------------------------

// `writes_guest_tables`: the hardware wrote a guest page table (RISC-V: htinst says so); a write whatever the access.
struct guest_fault {
  uint64_t address;
  unsigned access;  // the right that was missing
  bool writes_guest_tables;
};
enum guest_outcome {
  GUEST_FIXED,       // the guest can go on
  GUEST_FIXED_FAST,  // likewise, by the read side alone
  GUEST_RETRY,       // the host's mapping is changing: let the guest fault again
  GUEST_NOT_MEMORY   // no slot, or a write to a read-only one: emulate the access
};
struct guest_fault_report {
  enum guest_outcome outcome;
  size_t leaves_split;
  bool made_block;
};

// `slot`: the one that holds the address, or NULL. `cache`: the vCPU's own, not NULL. Call it with no lock held; it
// takes the sides it needs and calls resolve and allocate_table. Errors: NO_MEMORY (nothing is lost); NOT_PERMITTED (a
// write, and the host page or the slot's rights forbid it); what resolve says.
enum guest_errc guest_handle_fault(struct guest_table* table, struct guest_slot* slot, const struct guest_fault* fault,
                                   struct guest_cache* cache, struct guest_fault_report* report,
                                   struct guest_error* error);

#ifdef __cplusplus
}
#endif

#endif
