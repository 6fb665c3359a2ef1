// SPDX-License-Identifier: MIT
// Waiting at locked entries: can a set of operations wait for one another for ever?
//
// A parent's entry, a table of three entries below it, and four operations: an unlinker, which takes the parent's
// entry and then the table's for good; an operation with a batch, which holds two neighbouring entries while it
// invalidates once; a change of a single entry; and one that goes over all entries. The rule: who waits holds
// nothing and starts again from the root; but the unlinker, and whoever waits for an entry of a table in which it
// holds another, wait in place, which ends because nobody can unlink that table meanwhile. Parents before children,
// ascending addresses. The unlinker waits for read sections only when it holds nothing.
//
//   IN_PLACE             who holds nothing waits in place, perhaps in a table that was unlinked meanwhile
//   HOLDER_FROM_ROOT     who holds an entry starts again from the root, and may meet its own parent locked
//   DESCENDING           the batch goes against the order
//   CHILD_FIRST          the unlinker takes the entries first, then the parent's
//   SECTIONS_WHILE_HELD  the unlinker waits for read sections while the parent's entry is locked
//   BATCH_NEVER_WAITS    the batch makes do with what it holds when the next entry is locked
//
// variant wait_from_root: SAFE
// variant batch_never_waits: SAFE -DBATCH_NEVER_WAITS
// variant wait_in_place: STUCK -DIN_PLACE
// variant holder_waits_from_root: STUCK -DHOLDER_FROM_ROOT
// variant batch_descending: STUCK -DDESCENDING
// variant child_first: STUCK -DCHILD_FIRST
// variant sections_awaited_while_held: STUCK -DSECTIONS_WHILE_HELD

#define ENTRIES 3
#define OTHERS 3 /* operations beside the unlinkers */

mtype = { open, locked, table, block };

mtype parent = table;
mtype entry[ENTRIES] = open;
bit section[OTHERS];  // inside a read section

// Locks an entry, or waits until it is open, holding nothing; `gone` when there is a block instead of the table.
inline reach(i, new) {
  do
  :: parent == block -> gone = 1; break
  :: parent == table ->
    if
    :: atomic { entry[i] == open -> entry[i] = new }
       break
#ifndef IN_PLACE
    :: entry[i] == locked && parent != table  // from the root
#endif
    fi
  od
}

// Locks one more, while another of the same table is held.
inline lock_next(i) {
#ifdef HOLDER_FROM_ROOT
  reach(i, locked)
#else
  atomic { entry[i] == open -> entry[i] = locked }
#endif
}

#ifdef DESCENDING
#define FIRST(i) (i + 1)
#define SECOND(i) (i)
#else
#define FIRST(i) (i)
#define SECOND(i) (i + 1)
#endif

proctype batch(byte me) {
  bit gone;
  byte i;
  section[me] = 1;
  if
  :: i = 0
  :: i = 1
  fi;
  reach(FIRST(i), locked);
  if
  :: gone
  :: else ->
#ifdef BATCH_NEVER_WAITS
    if
    :: atomic { entry[SECOND(i)] == open -> entry[SECOND(i)] = locked }
       entry[SECOND(i)] = open
    :: entry[SECOND(i)] == locked
    fi;
#else
    lock_next(SECOND(i));
    entry[SECOND(i)] = open;
#endif
    entry[FIRST(i)] = open
  fi;
  section[me] = 0
}

proctype single(byte me) {
  bit gone;
  byte i;
  section[me] = 1;
  if
  :: i = 0
  :: i = 1
  :: i = 2
  fi;
  reach(i, locked);
  if
  :: gone
  :: else -> entry[i] = open
  fi;
  section[me] = 0
}

proctype over_all(byte me) {
  bit gone;
  byte i;
  section[me] = 1;
  do
  :: i < ENTRIES && !gone -> reach(i, open); i++
  :: else -> break
  od;
  section[me] = 0
}

inline lock_all() {
  atomic { entry[0] == open -> entry[0] = locked }
  atomic { entry[1] == open -> entry[1] = locked }
  atomic { entry[2] == open -> entry[2] = locked }
}

inline await_sections() {
  section[0] == 0;
  section[1] == 0;
  section[2] == 0
}

proctype unlinker() {
  if
  :: atomic { parent == table -> parent = locked }
     lock_all();
#ifdef SECTIONS_WHILE_HELD
     await_sections();
     parent = block
#else
     parent = block;
     await_sections()
#endif
  :: parent == block
  fi
}

proctype second_unlinker() {
#ifdef CHILD_FIRST
  bit gone;
  reach(0, locked);
  if
  :: gone
  :: else ->
    atomic { entry[1] == open -> entry[1] = locked }
    atomic { entry[2] == open -> entry[2] = locked }
    atomic { parent == table -> parent = locked }
    parent = block
  fi
#else
  if
  :: atomic { parent == table -> parent = locked }
     lock_all();
     parent = block
  :: parent == block
  fi
#endif
}

init {
  atomic {
    run batch(0);
    run single(1);
    run over_all(2);
    run unlinker();
    run second_unlinker()
  }
}
