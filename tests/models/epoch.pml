// SPDX-License-Identifier: MIT
// The epoch reclaimer: a retired table is freed when every read section begun before has ended.
//
// enter: announce the epoch that was read, full fence, read the epoch again, and start over if it moved. leave:
// withdraw the announcement. advance: read the epoch, find every announcement equal to it or withdrawn, compare-
// exchange it for the next one; anybody may do it. retire: after the unlinking and a full fence read the epoch; free
// what was retired in epoch e when the epoch is at least e + 2.
//
// A fence left out is a store that is visible late, which is the same as the load after it taken early.
//
//   NO_RECHECK          enter does not read the epoch again
//   NO_ENTER_FENCE      the table is found before the announcement is visible
//   FREED_AFTER_ONE     at e + 1
//   STAMP_FIRST         retire reads the epoch before the table is unlinked
//   BLIND_ADVANCE       advance looks only at whether somebody is inside who announced the epoch before the last
//
// variant enter_leave_retire_advance: SAFE
// variant no_recheck: SAFE -DNO_RECHECK
// variant no_enter_fence: violates use_after_free -DNO_ENTER_FENCE -DNO_RECHECK
// variant no_enter_fence_recheck: violates use_after_free -DNO_ENTER_FENCE
// variant freed_after_one: violates use_after_free -DFREED_AFTER_ONE
// variant stamp_before_unlink: violates use_after_free -DSTAMP_FIRST
// variant blind_advance: violates use_after_free -DBLIND_ADVANCE

#include "forbid.pml"

#define READERS 2
#define TABLES 2   /* the first is replaced by the second */
#define LAST_EPOCH 4

#ifdef FREED_AFTER_ONE
#define GRACE 1
#else
#define GRACE 2
#endif

byte use_after_free = 1;

byte epoch = 1;
byte announced[READERS];  // 0: outside
byte linked;              // the table that a walk finds now
byte stamp[TABLES];       // the epoch in which it was retired; 0: it was not
bit freed[TABLES];

inline announce() {
  mine = epoch;
  announced[me] = mine
}

inline enter() {
#ifdef NO_RECHECK
  announce()
#else
  do
  :: announce();
     if
     :: epoch == mine -> break
     :: else
     fi
  od
#endif
}

proctype reader(byte me; byte left) {
  byte mine;
  byte found;
  do
  :: left > 0 ->
    left--;
#ifdef NO_ENTER_FENCE
    if
    :: found = linked; enter()
    :: enter(); found = linked
    fi;
#else
    enter();
    found = linked;
#endif
    FORBID(use_after_free, freed[found]);
    d_step { announced[me] = 0; found = 0; mine = 0 }
  :: break
  od
}

#ifdef BLIND_ADVANCE
#define HOLDS_BACK(who) (announced[who] != 0 && announced[who] + 1 < now)
#else
#define HOLDS_BACK(who) (announced[who] != 0 && announced[who] != now)
#endif

inline advance() {
  now = epoch;
  if
  :: HOLDS_BACK(0)
  :: else ->
    if
    :: HOLDS_BACK(1)
    :: else ->
      d_step {
        if
        :: epoch == now && now < LAST_EPOCH -> epoch++
        :: else
        fi
      }
    fi
  fi;
  now = 0
}

#define RIPE(table) (stamp[table] != 0 && epoch >= stamp[table] + GRACE)

inline retire() {
#ifdef STAMP_FIRST
  now = epoch;
  linked++;
#else
  linked++;
  now = epoch;
#endif
  d_step { stamp[linked - 1] = now; now = 0 }
}

proctype writer() {
  byte now;
  do
  :: linked < TABLES - 1 -> retire()
  :: advance()
  :: d_step { RIPE(0) -> freed[0] = 1 }
  :: break
  od
}

proctype advancer() {
  byte now;
  do
  :: advance()
  :: break
  od
}

init {
  atomic {
    run reader(0, 2);  // read sections at most
    run reader(1, 1);
    run writer();
    run advancer()
  }
}
