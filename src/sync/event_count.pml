/* The protocol of event_count.hpp, for the model checker spin; `scripts/check-models` runs it.
 *
 * A notifier changes the state CHANGES times and notifies after each; waiters wait until they have seen the last
 * state there is.  Stores of the notifier go through a store buffer, as on x86, until a fence.
 *
 * Checked:  every waiter that lives sees the state as it is, again and again, if the scheduler is fair:
 *           no wake-up is lost for ever.
 * LOOK_AGAIN  a sleep ends by itself at some time (Naps in event_count.hpp, 100 to 500 ms)
 * WAKE_ALL    FUTEX_WAKE of all, otherwise of one
 * FENCE       between the change of the state and the look at the word, in notify()
 * RECHECK     the waiter looks at the state between prepare() and wait()
 * NOTIFIER_DIES, WAITER_DIES   before any step, or asleep
 *
 * The protocol, LOOK_AGAIN and all, holds whoever dies.  Without LOOK_AGAIN it holds while the notifier lives, and the
 * checker finds the lost wake-up when it dies; and each of the other three is needed then.  With LOOK_AGAIN it
 * holds with a single wake-up too: only speed depends on WAKE_ALL.
 *
 * States: 146,879 as it is; the failures are found within 810 to 3,039.
 */
#ifndef CHANGES
#define CHANGES 2
#endif
#define WAITERS 2

/* The word: change number, and whether somebody sleeps. */
byte number;
bool sleeping;

byte state;          /* in memory */
bool buffered;       /* one more change is in the notifier's store buffer */
byte seen[WAITERS];
bool asleep[WAITERS];
bool dead[WAITERS];
bool waiter_killed;  /* the first: they are alike */
bool notifier_killed;

proctype Waiter(byte id) {
  byte ticket;
  {
    do
    :: seen[id] != state -> seen[id] = state
    :: else ->
       atomic { sleeping = true; ticket = number };  /* prepare(): a locked instruction */
#ifdef RECHECK
       if
       :: seen[id] != state
       :: else ->
#endif
          atomic {
            if
            :: number == ticket && sleeping -> asleep[id] = true  /* FUTEX_WAIT compares the whole word */
            :: else
            fi
          };
end_asleep:
          if
          :: !asleep[id]
#ifdef LOOK_AGAIN
          :: atomic { asleep[id] -> asleep[id] = false }
#endif
          fi
#ifdef RECHECK
       fi
#endif
    od
  } unless { atomic { waiter_killed && id == 0 -> asleep[id] = false; dead[id] = true } }
}

inline fence() { !buffered }

inline wake() {
  atomic { number++; sleeping = false };
  atomic {
#ifdef WAKE_ALL
    asleep[0] = false;
    asleep[1] = false
#else
    if
    :: asleep[0] -> asleep[0] = false
    :: asleep[1] -> asleep[1] = false
    :: else
    fi
#endif
  }
}

proctype Notifier() {
  byte change;
  {
    do
    :: change == CHANGES -> break
    :: else ->
       atomic { !buffered -> buffered = true };
       change++;
#ifdef FENCE
       fence();
#endif
       if
       :: sleeping -> fence(); wake()  /* the compare-and-swap is a locked instruction */
       :: else
       fi
    od
  } unless { notifier_killed }
}

/* What was stored reaches memory at some time, also when its process is dead. */
proctype Buffer() {
end_empty:
  do
  :: atomic { buffered -> state++; buffered = false }
  od
}

init {
  atomic { run Waiter(0); run Waiter(1); run Notifier(); run Buffer() };
  if
#ifdef NOTIFIER_DIES
  :: notifier_killed = true
#endif
#ifdef WAITER_DIES
  :: waiter_killed = true
#endif
  :: true
  fi
}

#define UP_TO_DATE(id) (dead[id] || seen[id] == state)

ltl seen_in_the_end { [] <> (UP_TO_DATE(0) && UP_TO_DATE(1)) }
