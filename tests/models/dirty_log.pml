// SPDX-License-Identifier: MIT
// The dirty log by write protection: in which order may a page be marked and made writable, and harvested?
//
// One page, two CPUs of the guest that write to it, a harvester that copies it for as long as it is dirty, and a
// last harvest when the guest has stopped. A CPU writes through its cached translation; where that gives no write
// permission it walks, and where the entry gives none it faults: the fast path, under the read side if there is a
// lock. A walk is in flight until it is cached or an invalidation discards it. The harvester holds the write side
// until its invalidation completed. Two fast paths may be side by side in both cases.
//
//   GRANT_FIRST     fast path: make writable, then mark; else: mark, then make writable
//   PROTECT_FIRST   harvest: protect, then clear the log; else: clear the log, then protect
//   LOCK            the harvest excludes the fast path
//   NO_INVALIDATION, COPY_FIRST, FINAL_TOO_EARLY: what the harvest relies on, left out
//
// variant mark_grant_clear_protect: violates lost_write
// variant grant_mark_clear_protect: SAFE -DGRANT_FIRST
// variant mark_grant_protect_clear: violates lost_write -DPROTECT_FIRST
// variant grant_mark_protect_clear: violates lost_write -DGRANT_FIRST -DPROTECT_FIRST
// variant mark_grant_clear_protect_locked: SAFE -DLOCK
// variant grant_mark_clear_protect_locked: SAFE -DLOCK -DGRANT_FIRST
// variant mark_grant_protect_clear_locked: SAFE -DLOCK -DPROTECT_FIRST
// variant grant_mark_protect_clear_locked: SAFE -DLOCK -DGRANT_FIRST -DPROTECT_FIRST
// variant no_invalidation: violates lost_write -DGRANT_FIRST -DNO_INVALIDATION
// variant copy_before_invalidation: violates lost_write -DGRANT_FIRST -DCOPY_FIRST
// variant final_harvest_beside_a_handler: violates lost_write -DGRANT_FIRST -DFINAL_TOO_EARLY

#include "forbid.pml"

#define CPUS 2
#define WRITES 2 /* of each CPU at most */
#define ROUNDS 2 /* before the last harvest */

byte lost_write = 1;

bit writable;    // the entry
bit marked;      // the log
byte source;     // the page's content: each write makes another one
byte copy;       // and what the harvester has of it
bit cached[CPUS];  // a translation with write permission
bit walk[CPUS];    // a walk that has read such an entry
bit stop;
byte running = CPUS;

byte readers;
bit writer;

#ifdef LOCK
inline lock_shared() { atomic { !writer -> readers++ } }
inline unlock_shared() { readers-- }
inline lock() { atomic { !writer && readers == 0 -> writer = 1 } }
inline unlock() { writer = 0 }
#else
inline lock_shared() { skip }
inline unlock_shared() { skip }
inline lock() { skip }
inline unlock() { skip }
#endif

// The compare-exchange from read-only to writable; whoever loses it finds the page writable.
inline grant() {
  d_step { won = !writable; writable = 1 }
}

inline fast_path() {
  lock_shared();
#ifdef GRANT_FIRST
  grant();
  if
  :: won -> marked = 1
  :: else
  fi;
#else
  marked = 1;
  grant();
#endif
  won = 0;
  unlock_shared()
}

proctype cpu(byte me) {
  byte left = WRITES;
  bit won;
  do
  :: atomic { cached[me] && !stop && left > 0 -> source++; left-- }
  :: atomic { !cached[me] && !walk[me] && writable && !stop && left > 0 -> walk[me] = 1 }
  :: atomic { walk[me] -> walk[me] = 0; cached[me] = 1 }
  :: !cached[me] && !walk[me] && !writable && !stop && left > 0 -> fast_path()
  :: stop || left == 0 -> break
  od;
  running--
}

#ifdef NO_INVALIDATION
inline invalidate(who) { skip }
#else
inline invalidate(who) { d_step { cached[who] = 0; walk[who] = 0 } }
#endif

inline harvest() {
  lock();
#ifdef PROTECT_FIRST
  taken = marked;
  if
  :: taken ->
    writable = 0;
    d_step { taken = marked; marked = 0 }
#else
  d_step { taken = marked; marked = 0 };
  if
  :: taken ->
    writable = 0;
#endif
#ifdef COPY_FIRST
    copy = source;
#endif
    invalidate(0);
    invalidate(1);
  :: else
  fi;
  unlock();
#ifndef COPY_FIRST
  if
  :: taken -> copy = source
  :: else
  fi;
#endif
  taken = 0
}

proctype harvester() {
  byte rounds = ROUNDS;
  bit taken;
  do
  :: rounds > 0 -> rounds--; harvest()
  :: break
  od;
  stop = 1;
#ifndef FINAL_TOO_EARLY
  running == 0;  // out of their fault handlers as well
#endif
  harvest();
  FORBID(lost_write, copy != source)
}

init {
  atomic {
    run cpu(0);
    run cpu(1);
    run harvester()
  }
}
