// SPDX-License-Identifier: MIT
// Break before make: one block becomes a table of smaller leaves while hardware walks it and two threads split it.
//
// A CPU walks by reading the entry and caches what it read some time later; a walk for a write first sets dirty in
// the entry, by an exchange of its own that fails if the entry changed. The invalidation reaches one CPU after the
// other; its completion discards walks begun earlier, or waits for them. A splitter compare-exchanges block ->
// locked, which collects dirty, invalidates, and stores the table; whoever finds the entry locked waits. When a
// split returns, no CPU uses the block any more.
//
//   NO_BREAK         compare-exchange block -> table, then invalidate
//   EARLY_MAKE       the table is stored when the invalidation is under way, not when it completed
//   WALKS_IGNORED    completion does nothing about walks in flight
//   WALKS_AWAITED    it waits for them instead of discarding them
//   PLAIN_STORE      load, then store `locked`
//   LOSER_RETURNS    whoever finds the entry locked says that the block is split
//
// variant lock_invalidate_make: SAFE
// variant walks_awaited: SAFE -DWALKS_AWAITED
// variant no_break: violates two_sizes_cached -DNO_BREAK
// variant make_before_completion: violates two_sizes_cached -DEARLY_MAKE
// variant walks_in_flight_ignored: violates two_sizes_cached -DWALKS_IGNORED
// variant plain_store: violates lost_dirty -DPLAIN_STORE
// variant loser_returns: violates block_used_after_split -DLOSER_RETURNS

#include "forbid.pml"

#define CPUS 2
#define WALKS 3 /* of each CPU at most */

byte two_sizes_cached = 1;
byte block_used_after_split = 2;
byte lost_dirty = 3;

mtype = { none, block, locked, table };

mtype entry = block;
bit dirty;        // of the block, while it is there
bit child_dirty;  // of the leaf below the table
bit was_dirty;    // the hardware has set one of the two

mtype walk[CPUS] = none;  // read, not yet cached
bit block_cached[CPUS];
bit page_cached[CPUS];

proctype cpu(byte me) {
  byte left = WALKS;
  do
  :: atomic { walk[me] == none && left > 0 && (entry == block || entry == table) -> walk[me] = entry; left-- }
  :: d_step { walk[me] == block && entry == block -> dirty = 1; was_dirty = 1 }
  :: d_step { walk[me] == table -> child_dirty = 1; was_dirty = 1 }
  :: atomic {
       walk[me] != none ->
       if
       :: walk[me] == block -> block_cached[me] = 1
       :: else -> page_cached[me] = 1
       fi;
       walk[me] = none
     }
     FORBID(two_sizes_cached, block_cached[me] && page_cached[me])
  :: left == 0 && walk[me] == none -> break
  od
}

inline invalidate(who) {
#ifdef WALKS_AWAITED
  atomic { walk[who] == none -> block_cached[who] = 0; page_cached[who] = 0 }
#else
  d_step {
    block_cached[who] = 0;
    page_cached[who] = 0;
#ifndef WALKS_IGNORED
    walk[who] = none
#endif
  }
#endif
}

// What a child gets from the block, before anybody else can reach it.
inline make() {
  d_step { child_dirty = child_dirty || collected; entry = table }
}

// Takes the entry if it is the block: `collected` is its dirty bit.
inline take(new) {
#ifdef PLAIN_STORE
  atomic { won = entry == block; collected = dirty }
  if
  :: won -> entry = new
  :: else
  fi
#else
  d_step {
    won = entry == block;
    if
    :: won -> collected = dirty; entry = new
    :: else
    fi
  }
#endif
}

proctype splitter() {
  bit won;
  bit collected;
#ifdef NO_BREAK
  atomic {
    take(table);
    child_dirty = child_dirty || (won && collected)
  }
  invalidate(0);
  invalidate(1);
#else
  take(locked);
  if
  :: won ->
    invalidate(0);
#ifdef EARLY_MAKE
    make();
    invalidate(1);
#else
    invalidate(1);
    make();
#endif
  :: else ->
#ifndef LOSER_RETURNS
    entry == table;
#else
    skip;
#endif
  fi;
#endif
  FORBID(block_used_after_split, block_cached[0] || block_cached[1]);
  FORBID(block_used_after_split, walk[0] == block || walk[1] == block);
  FORBID(lost_dirty, was_dirty && !child_dirty)
}

init {
  atomic {
    run cpu(0);
    run cpu(1);
    run splitter();
    run splitter()
  }
}
