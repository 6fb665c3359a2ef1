// SPDX-License-Identifier: MIT
// The dirty log is switched on while faults make the page writable without marking it.
//
// As in dirty_log.pml, without any lock: a fault makes the page writable, then marks it, but the mark is made only
// if logging is on. It may find a read-only leaf (compare-exchange) or nothing (absent -> locked -> writable leaf).
// Enabling: clear the log, set `logging`, full fence, protect (waiting at a locked entry), invalidate, copy
// everything. Whether logging is on must be asked after the page was made writable, or locked, and after a full
// fence.
//
//   ASKED_FIRST        asked before the compare-exchange, as a holder of a lock may
//   NO_ENABLE_FENCE    `logging` is visible late, which is the same as the entry read early
//   CLEARED_LAST       the log is cleared after the page was protected
//   LOCKED_PASSED      protecting passes a locked entry
//
// variant asked_after_grant: SAFE
// variant asked_first: violates lost_write -DASKED_FIRST
// variant no_enable_fence: violates lost_write -DNO_ENABLE_FENCE
// variant cleared_last: violates lost_write -DCLEARED_LAST
// variant locked_entry_passed: violates lost_write -DLOCKED_PASSED

#include "forbid.pml"

#define CPUS 2
#define WRITES 2 /* of each CPU at most */

byte lost_write = 1;

mtype = { absent, locked, read_only, writable };

mtype entry;
bit logging;
bit marked;
byte source;
byte copy;
bit cached[CPUS];  // a translation with write permission
bit walk[CPUS];    // a walk that has read such an entry
byte running = CPUS;

inline compare_exchange(old, new) {
  d_step {
    won = entry == old;
    if
    :: won -> entry = new
    :: else
    fi
  }
}

inline fault() {
#ifdef ASKED_FIRST
  on = logging;
#endif
  if
  :: compare_exchange(read_only, writable)
#ifndef ASKED_FIRST
     on = logging
#endif
  :: compare_exchange(absent, locked);
     if
     :: won ->
#ifndef ASKED_FIRST
       on = logging;
#endif
       entry = writable
     :: else
     fi
  fi;
  if
  :: won && on -> marked = 1
  :: else
  fi;
  d_step { on = 0; won = 0 }
}

proctype cpu(byte me) {
  byte left = WRITES;
  bit on;
  bit won;
  do
  :: atomic { cached[me] && left > 0 -> source++; left-- }
  :: atomic { !cached[me] && !walk[me] && entry == writable && left > 0 -> walk[me] = 1 }
  :: d_step { walk[me] -> walk[me] = 0; cached[me] = 1 }
  :: !cached[me] && !walk[me] && (entry == absent || entry == read_only) && left > 0 -> fault()
  :: left == 0 -> break
  od;
  running--
}

inline protect() {
  do
#ifdef LOCKED_PASSED
  :: seen == locked -> break
#else
  :: seen == locked -> entry != locked; seen = entry
#endif
  :: seen == writable ->
     compare_exchange(writable, read_only);
     if
     :: won -> break
     :: else -> seen = entry
     fi
  :: else -> break
  od;
  atomic { cached[0] = 0; walk[0] = 0 }
  atomic { cached[1] = 0; walk[1] = 0 }
}

inline enable() {
#ifndef CLEARED_LAST
  marked = 0;
#endif
#ifdef NO_ENABLE_FENCE
  if
  :: seen = entry; logging = 1
  :: logging = 1; seen = entry
  fi;
#else
  logging = 1;
  seen = entry;
#endif
  protect();
#ifdef CLEARED_LAST
  marked = 0;
#endif
  copy = source
}

inline harvest() {
  d_step { taken = marked; marked = 0 }
  if
  :: taken -> seen = entry; protect(); copy = source
  :: else
  fi;
  taken = 0
}

proctype harvester() {
  bit taken;
  bit won;
  mtype seen;
  enable();
  harvest();
  running == 0;
  harvest();
  FORBID(lost_write, copy != source)
}

init {
  atomic {
    if
    :: entry = absent
    :: entry = read_only
    :: entry = writable
    fi;
    run cpu(0);
    run cpu(1);
    run harvester()
  }
}
