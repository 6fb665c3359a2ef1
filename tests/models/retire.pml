// SPDX-License-Identifier: MIT
// A table is unlinked, retired, and its memory used again, while software and hardware walkers are inside.
//
// The unlinker takes the parent's entry (table -> locked), exchanges every entry of the table for `locked`,
// collecting what was there and waiting where another holds one, invalidates, stores a block in the parent, waits
// for the read sections that have begun, and frees the table. Its memory comes back at once with entries that look
// the same: as somebody else's table, and then as this parent's again. A software walker, inside a read section,
// finds the table and later ages a leaf or installs one in it by compare-exchange. The hardware keeps a pointer to
// the table, in a walk or in a cache, until it is invalidated; it reads entries and sets accessed.
//
//   SECTIONS_IGNORED            freed after the invalidation, whoever is inside
//   SECTIONS_BEFORE_UNLINK      the sections awaited are those begun before the unlink began
//   FREED_BEFORE_INVALIDATION   freed after the sections ended, then invalidated
//   ENTRIES_LEFT                the entries are read, not exchanged for `locked`
//   LINK_IN_ENTRY               the list of waiting tables goes through an entry, and reads as absent
//
// variant unlink_invalidate_retire: SAFE
// variant sections_ignored: violates software_in_freed_table -DSECTIONS_IGNORED
// variant sections_ignored_writes: violates write_to_detached_table -DSECTIONS_IGNORED
// variant sections_before_unlink: violates software_in_freed_table -DSECTIONS_BEFORE_UNLINK
// variant freed_before_invalidation: violates hardware_in_freed_table -DFREED_BEFORE_INVALIDATION
// variant entries_left: violates write_to_detached_table -DENTRIES_LEFT
// variant link_in_entry: violates write_to_detached_table -DLINK_IN_ENTRY

#include "forbid.pml"

#define WALKERS 2
#define VISITS 2 /* read sections of each walker at most */
#define STEPS 4  /* of the hardware at most */
#define UNLINKS 2
#define ENTRIES 2

byte software_in_freed_table = 1;
byte hardware_in_freed_table = 2;
byte write_to_detached_table = 3;

mtype = { absent, leaf, aged, locked, table, block };

mtype parent = table;
mtype entry[ENTRIES];
byte owner = 1;         // of the table's memory: another one each time it is freed
bit detached;           // what was in the table has been collected
byte hardware;          // the owner under which the hardware found the table; 0: it has no pointer
bit section[WALKERS];   // inside a read section
bit earlier[WALKERS];   // inside one that the unlinker waits for

// Somebody's table, whoever the new owner is.
inline fill() {
  entry[0] = leaf;
  entry[1] = absent
}

inline compare_exchange(i, old, new) {
  atomic {
    won = entry[i] == old;
    if
    :: won -> entry[i] = new; FORBID(write_to_detached_table, detached || owner != found)
    :: else
    fi
  }
}

inline visit(i) {
  atomic {
    seen = entry[i];
    FORBID(software_in_freed_table, owner != found)
  }
  if
  :: seen == leaf -> compare_exchange(i, leaf, aged)
  :: seen == absent ->
    compare_exchange(i, absent, locked);
    if
    :: won -> compare_exchange(i, locked, leaf)
    :: else
    fi
  :: else  // busy, or nothing to do
  fi
}

proctype walker(byte me) {
  byte left = VISITS;
  byte found;
  mtype seen = absent;
  bit won;
  do
  :: left > 0 ->
    left--;
    section[me] = 1;
    d_step { found = (parent == table -> owner : 0) }
    if
    :: found != 0 -> visit(0)
    :: found != 0 -> visit(1)
    :: found == 0
    fi;
    d_step { section[me] = 0; earlier[me] = 0; found = 0; seen = absent; won = 0 }
  :: break
  od
}

proctype mmu() {
  byte left = STEPS;
  bit won;
  byte found;
  do
  :: atomic { left > 0 && hardware == 0 && parent == table -> hardware = owner; left-- }
  :: atomic {
       left > 0 && hardware != 0 ->
       left--;
       FORBID(hardware_in_freed_table, hardware != owner);
       found = hardware;
       compare_exchange(0, leaf, aged);
       found = 0;
       won = 0
     }
  :: break
  od
}

// In place of `locked`, which others may hold.
inline collect(i) {
#ifdef ENTRIES_LEFT
  entry[i] != locked
#else
  atomic { entry[i] != locked -> entry[i] = locked }
#endif
}

inline begin_waiting() {
  d_step { earlier[0] = section[0]; earlier[1] = section[1] }
}
inline end_waiting() {
  !earlier[0];
  !earlier[1]
}

proctype unlinker() {
  byte left = UNLINKS;
  do
  :: left > 0 ->
    left--;
#ifdef SECTIONS_BEFORE_UNLINK
    begin_waiting();
#endif
    parent = locked;
    collect(0);
    atomic { collect(1); detached = 1 }
#ifdef LINK_IN_ENTRY
    entry[1] = absent;
#endif
#ifndef FREED_BEFORE_INVALIDATION
    hardware = 0;
    parent = block;
#endif
#ifndef SECTIONS_IGNORED
#ifndef SECTIONS_BEFORE_UNLINK
    begin_waiting();
#endif
    end_waiting();
#endif
    d_step { owner++; detached = 0; fill() }
#ifdef FREED_BEFORE_INVALIDATION
    hardware = 0;
    parent = block;
#endif
    if
    :: left > 0 ->
      d_step { owner++; fill() }
      parent = table
    :: else
    fi
  :: else -> break
  od
}

init {
  atomic {
    fill();
    run walker(0);
    run walker(1);
    run mmu();
    run unlinker()
  }
}
