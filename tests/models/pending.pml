// SPDX-License-Identifier: MIT
// Two harvesters protect one page: the second finds it protected while the invalidation of the first is pending.
//
// When write_protect returned, no CPU writes to the page without a fault that happened after it began. `reductions`
// counts the operations that may have a reduction pending: incremented before the first compare-exchange of one,
// decremented after its invalidation completed. Who finds the entry in the wanted state, and then the counter not 0,
// invalidates by itself.
//
//   NO_COUNTER, COUNTED_LATE (after the compare-exchange), UNCOUNTED_EARLY (before the completion)
//   COUNTER_READ_FIRST   the counter is looked at before the entry
//
// variant counted: SAFE
// variant no_counter: violates write_after_protect -DNO_COUNTER
// variant counted_after_compare_exchange: violates write_after_protect -DCOUNTED_LATE
// variant uncounted_before_completion: violates write_after_protect -DUNCOUNTED_EARLY
// variant counter_read_first: violates write_after_protect -DCOUNTER_READ_FIRST

#include "forbid.pml"

#define CPUS 2
#define STEPS 4  /* writes, walks and faults of each CPU at most */
#define GRANTS 2 /* of all faults together */

byte write_after_protect = 1;

bit writable = 1;    // the entry
byte grant = 1;      // the fault that made it so; what is cached of it carries the number along
byte reductions;
byte protected;      // grants up to this number were taken back by a write_protect that returned

byte walk[CPUS];     // read, not yet cached: a grant, or 0
byte cached[CPUS];

proctype cpu(byte me) {
  byte left = STEPS;
  do
  :: atomic { left > 0 && cached[me] != 0 -> left--; FORBID(write_after_protect, cached[me] <= protected) }
  :: atomic { left > 0 && cached[me] == 0 && walk[me] == 0 && writable -> left--; walk[me] = grant }
  :: d_step { walk[me] != 0 -> cached[me] = walk[me]; walk[me] = 0 }
  :: d_step { left > 0 && cached[me] == 0 && !writable && grant < GRANTS -> left--; writable = 1; grant++ }
  :: break
  od
}

inline invalidate_all() {
  d_step { cached[0] = 0; walk[0] = 0 }
  d_step { cached[1] = 0; walk[1] = 0 }
}

inline count() {
#ifndef NO_COUNTER
  reductions++
#else
  skip
#endif
}
inline uncount() {
#ifndef NO_COUNTER
  reductions--
#else
  skip
#endif
}

inline reduce() {
#ifdef COUNTED_LATE
  d_step { won = writable; writable = 0 }
  count();
#else
  count();
  d_step { won = writable; writable = 0 }
#endif
#ifdef UNCOUNTED_EARLY
  uncount();
#endif
  if
  :: won || reductions != 0 -> invalidate_all()
  :: else
  fi;
#ifndef UNCOUNTED_EARLY
  uncount()
#endif
}

proctype harvester() {
  byte first;
  bit won;
  bit pending;
  first = grant;
#ifdef COUNTER_READ_FIRST
  pending = reductions != 0;
#endif
  if
  :: writable -> reduce()
  :: else ->
#ifndef COUNTER_READ_FIRST
    pending = reductions != 0;
#endif
    if
    :: pending -> invalidate_all()
    :: else
    fi
  fi;
  d_step { protected = (first > protected -> first : protected) }
}

init {
  atomic {
    run cpu(0);
    run cpu(1);
    run harvester();
    run harvester()
  }
}
