// SPDX-License-Identifier: MIT
// A fault installs a host page while the host takes the page away: no access may reach a page after it was freed.
//
// Two CPUs of the guest use one address and fault where nothing is mapped. A fault samples the sequence, asks the
// host for the page, compare-exchanges absent -> locked, checks, and stores the leaf, or absent if the check failed;
// it never waits. An invalidator announces itself, waits at a locked entry, takes the leaf away (locked, invalidate,
// absent); then the host frees the page and gives the address another one; the sequence grows, and only then the
// announcement ends. Pages come back (1, 2, 1), so that an entry can look the same and mean something else.
//
// A fence left out is a store that is visible late, which is the same as the load after it taken early.
//
//   CHECK_FIRST               check, then compare-exchange absent -> leaf
//   UNDO                      compare-exchange absent -> leaf, fence, check, take the leaf away again if it failed
//   SECTIONS_AWAITED          as CHECK_FIRST, but begin() waits for the read sections begun before it
//   NO_INSTALLER_FENCE, NO_INVALIDATOR_FENCE
//   SEQUENCE_CHECKED_FIRST    the check looks at the sequence before it looks at the announcement
//   ANNOUNCEMENT_ENDS_FIRST   the sequence grows after the announcement ended
//   LOCKED_PASSED             the invalidator passes a locked entry as if it were absent
//   OVERLAP                   two invalidators of one round each at once, instead of one of two rounds
//   FLAG                      with OVERLAP: the announcement is a flag, not a counter
//
// variant lock_then_check: SAFE
// variant check_then_install: violates use_after_free -DCHECK_FIRST
// variant install_check_undo: violates use_after_free -DUNDO
// variant sections_awaited: SAFE -DSECTIONS_AWAITED
// variant no_installer_fence: violates use_after_free -DNO_INSTALLER_FENCE
// variant no_invalidator_fence: violates use_after_free -DNO_INVALIDATOR_FENCE
// variant sequence_checked_first: violates use_after_free -DSEQUENCE_CHECKED_FIRST
// variant announcement_ends_first: violates use_after_free -DANNOUNCEMENT_ENDS_FIRST
// variant locked_entry_passed: violates use_after_free -DLOCKED_PASSED
// variant overlapping: SAFE -DOVERLAP
// variant overlapping_sections_awaited: SAFE -DOVERLAP -DSECTIONS_AWAITED
// variant overlapping_flag: violates use_after_free -DOVERLAP -DFLAG

#include "forbid.pml"

#define CPUS 2

#ifdef SECTIONS_AWAITED
#define CHECK_FIRST
#endif
#ifdef OVERLAP
#define ROUNDS 1
#define STEPS 3 /* accesses, walks and faults of each CPU at most */
#else
#define ROUNDS 2
#define STEPS 4
#endif

byte use_after_free = 1;

#define ABSENT 0 /* an entry, or what is cached of it: a page's number, or one of these */
#define LOCKED 9

byte entry = ABSENT;
byte host_page = 1;  // the one page that is not free
byte in_progress;
byte sequence;

byte walk[CPUS];  // read, not yet cached
byte cached[CPUS];
bit section[CPUS];

inline compare_exchange(old, new) {
  d_step {
    won = entry == old;
    if
    :: won -> entry = new
    :: else
    fi
  }
}

inline invalidate_all() {
  d_step { walk[0] = ABSENT; cached[0] = ABSENT }
  d_step { walk[1] = ABSENT; cached[1] = ABSENT }
}

inline check() {
#ifdef SEQUENCE_CHECKED_FIRST
  good = sequence == sample;
  good = good && in_progress == 0
#else
  good = in_progress == 0;
  good = good && sequence == sample
#endif
}

inline install() {
#ifdef CHECK_FIRST
  check();
  if
  :: good -> compare_exchange(ABSENT, page)
  :: else
  fi
#else
#ifdef UNDO
  compare_exchange(ABSENT, page);
  if
  :: won ->
    check();
    if
    :: good
    :: else ->
      compare_exchange(page, LOCKED);
      if
      :: won -> invalidate_all(); entry = ABSENT
      :: else
      fi
    fi
  :: else
  fi
#else
#ifdef NO_INSTALLER_FENCE
  if
  :: check(); compare_exchange(ABSENT, LOCKED)
  :: compare_exchange(ABSENT, LOCKED); check()
  fi;
#else
  compare_exchange(ABSENT, LOCKED);
  check();
#endif
  if
  :: won && good -> entry = page
  :: won && !good -> entry = ABSENT
  :: else
  fi
#endif
#endif
}

inline fault() {
  sample = sequence;
  page = host_page;
  section[me] = 1;
  install();
  section[me] = 0;
  d_step { sample = 0; page = 0; good = 0; won = 0 }
}

proctype cpu(byte me) {
  byte left = STEPS;
  byte sample;
  byte page;
  bit good;
  bit won;
  do
  :: left > 0 ->
    left--;
    if
    :: cached[me] != ABSENT -> FORBID(use_after_free, cached[me] != ABSENT && cached[me] != host_page)
    :: atomic { cached[me] == ABSENT && entry != ABSENT && entry != LOCKED -> walk[me] = entry }
       d_step { cached[me] = walk[me]; walk[me] = ABSENT }
    :: cached[me] == ABSENT && entry == ABSENT -> fault()
    fi
  :: break
  od
}

inline announce() {
#ifdef FLAG
  in_progress = 1
#else
  in_progress++
#endif
}
inline end_announcement() {
#ifdef FLAG
  in_progress = 0
#else
  in_progress--
#endif
}

// The next entry to look at is read in `seen`.
inline begin() {
#ifdef NO_INVALIDATOR_FENCE
  if
  :: seen = entry; announce()
  :: announce(); seen = entry
  fi
#else
  announce();
#ifdef SECTIONS_AWAITED
  section[0] == 0;
  section[1] == 0;
#endif
  seen = entry
#endif
}

inline take_away() {
  do
  :: seen == ABSENT -> break
#ifdef LOCKED_PASSED
  :: seen == LOCKED -> break
#else
  :: seen == LOCKED -> entry != LOCKED; seen = entry
#endif
  :: else ->
    compare_exchange(seen, LOCKED);
    if
    :: won -> invalidate_all(); entry = ABSENT; break
    :: else -> seen = entry
    fi
  od
}

proctype invalidator() {
  byte rounds = ROUNDS;
  byte seen;
  bit won;
  do
  :: rounds > 0 ->
    rounds--;
    begin();
    take_away();
    host_page = (host_page == 1 -> 2 : 1);
#ifdef ANNOUNCEMENT_ENDS_FIRST
    end_announcement();
    sequence++
#else
    sequence++;
    end_announcement()
#endif
  :: else -> break
  od
}

init {
  atomic {
    run cpu(0);
    run cpu(1);
    run invalidator();
#ifdef OVERLAP
    run invalidator()
#endif
  }
}
