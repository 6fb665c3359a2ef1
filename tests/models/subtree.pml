// SPDX-License-Identifier: MIT
// A subtree of two levels is unlinked while other operations are inside: each table is retired once, and none is
// lost.
//
// A root entry, an upper table with two entries, and a lower table below the first of them. The unmapper takes the
// root's entry and exchanges every entry of every table below it for `locked`, waiting where another holds one,
// before it retires a table. Beside it, a collapse turns the lower table into a block, and a fault makes a new lower
// table in the second entry; both found the upper table before.
//
//   UNREAD           the entries stay as they are and are only read, to find the tables
//   AFTER_SECTIONS   with UNREAD: read when every read section begun before has ended. What the others did in the
//                    detached tables is lost then, which discarding may do
//
// variant entries_exchanged: SAFE
// variant unread_twice: violates retired_twice -DUNREAD
// variant unread_lost: violates lost_table -DUNREAD
// variant unread_until_sections_ended: SAFE -DUNREAD -DAFTER_SECTIONS

#include "forbid.pml"

byte retired_twice = 1;
byte lost_table = 2;

mtype = { absent, locked, block, lower_table, new_table, upper_table };

mtype root = upper_table;
mtype upper[2];
mtype lower = block;  // the one entry of the lower table
bit below_new;        // a table was made for the second entry
byte retired_lower;
byte retired_new;
byte running = 2;

inline compare_exchange(i, old, new) {
  d_step {
    won = upper[i] == old;
    if
    :: won -> upper[i] = new
    :: else
    fi
  }
}

proctype collapse() {
  bit won;
  if
  :: root == upper_table ->
    compare_exchange(0, lower_table, locked);
    if
    :: won ->
      atomic { lower != locked -> lower = locked }
      upper[0] = block;
      retired_lower++
    :: else
    fi
  :: true
  fi;
  running--
}

proctype fault() {
  bit won;
  if
  :: root == upper_table ->
    compare_exchange(1, absent, locked);
    if
    :: won -> below_new = 1; upper[1] = new_table
    :: else
    fi
  :: true
  fi;
  running--
}

inline take(i) {
#ifdef UNREAD
  seen = upper[i];
#else
  atomic { upper[i] != locked -> seen = upper[i]; upper[i] = locked }
#endif
  if
  :: seen == lower_table ->
#ifndef UNREAD
    atomic { lower != locked -> lower = locked }
#endif
    retired_lower++
  :: seen == new_table -> retired_new++
  :: else
  fi
}

proctype unmapper() {
  mtype seen;
  root = locked;  // and the invalidation
#ifdef AFTER_SECTIONS
  root = absent;
  running == 0;
#endif
  take(0);
  take(1);
  root = absent;
  running == 0;
  FORBID(retired_twice, retired_lower > 1 || retired_new > 1);
  FORBID(lost_table, retired_lower == 0 || (below_new && retired_new == 0))
}

init {
  atomic {
    upper[0] = lower_table;
    upper[1] = absent;
    run collapse();
    run fault();
    run unmapper()
  }
}
