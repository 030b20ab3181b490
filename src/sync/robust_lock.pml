/* The lock protocol of robust_lock.cpp, for the model checker spin; `scripts/check-models` runs it.
 *
 * Members take and release one lock, as glibc's pthread_mutex_clocklock() and unlock() do it for a robust mutex
 * (nptl/pthread_mutex_timedlock.c of 2.36), and the kernel what it does for the dead (kernel/futex, Linux 5.5 and
 * later).  Up to CRASHES of them are killed before any step, or while they sleep.
 *
 * Checked:  nobody is inside beside another; the first inside after the death of a holder is told of it, and nobody
 *           else; everybody who lives comes to his end (no wedge), if the scheduler is fair.
 * LOOK_AGAIN  a wait in the kernel ends by itself at some time, as in acquire_contended(): 20 ms.  Without it the
 *             checker finds a wedge: the one who releases has stored 0 and not yet woken a sleeper; somebody else takes
 *             the lock, without FUTEX_WAITERS; then the first is killed.  The kernel helps the sleepers of one that
 *             died there only where the word is still 0.  Who releases next sees no FUTEX_WAITERS, and they sleep on.
 *
 * States, with weak fairness and without partial order reduction: one death and 2 rounds each 8,836,675; two deaths and
 * 1 round each 1,060,695; without LOOK_AGAIN and deaths 1,996,767.  Two minutes in all, 1 GiB.
 */
#ifndef MEMBERS
#define MEMBERS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

/* The lock word: who has it, FUTEX_WAITERS, FUTEX_OWNER_DIED. */
#define TID(id) (id + 1)
#define OWNER 3
#define WAITERS 4
#define DIED 8

byte word;
bool asleep[MEMBERS];  /* in the kernel, waiting at `word` */
bool pending[MEMBERS]; /* robust_list.list_op_pending: in the middle of lock() or unlock() */
bool killed[MEMBERS];
bool ended[MEMBERS];   /* all rounds done, or dead */
bool orphaned;         /* a holder has died, and nobody was told yet */
byte inside;

/* FUTEX_WAKE of one: any of them. */
inline wake_one() {
  if
  :: asleep[0] -> asleep[0] = false
  :: asleep[1] -> asleep[1] = false
  :: asleep[2] -> asleep[2] = false
  :: else
  fi
}

/* What the kernel does in the exit of a process: exit_robust_list(), handle_futex_death(). */
inline die(id) {
  asleep[id] = false;
  ended[id] = true;
  if
  :: (word & OWNER) == TID(id) ->
     orphaned = true;
     inside = 0;
     old = word;
     word = (word & WAITERS) | DIED;
     if
     :: old & WAITERS -> wake_one()
     :: else
     fi
  :: else ->
     if
     :: pending[id] && word == 0 -> wake_one()
     :: else
     fi
  fi
}

proctype Member(byte id) {
  byte old;
  byte assume;  /* FUTEX_WAITERS once we have slept: there may be others */
  byte round;
  bool told;
  {
    do
    :: round == ROUNDS -> break
    :: else ->
acquire:
       pending[id] = true;
       assume = 0;
       old = word;
look:
       if
       :: old == 0 ->
          atomic {
            if
            :: word == 0 -> word = TID(id) | assume; told = false; goto taken
            :: else -> old = word; goto look
            fi
          }
       :: old & DIED ->
          atomic {
            if
            :: word == old -> word = TID(id) | (old & WAITERS) | assume; told = true; goto taken
            :: else -> old = word; goto look
            fi
          }
       :: old != 0 && !(old & DIED) ->
          if
          :: old & WAITERS
          :: !(old & WAITERS) ->
             atomic {
               if
               :: word == old -> word = old | WAITERS; old = word
               :: else -> old = word; goto look
               fi
             }
          fi;
          assume = WAITERS;
          atomic {
            if
            :: word == old -> asleep[id] = true
            :: else  /* EAGAIN */
            fi
          };
          if
          :: !asleep[id] -> old = word; goto look
#ifdef LOOK_AGAIN
          :: atomic { asleep[id] -> asleep[id] = false }; goto acquire
#endif
          fi
       fi;
taken:
       atomic {
         assert(inside == 0);
         inside = TID(id);
         assert(told == orphaned);
         orphaned = false
       };
       pending[id] = false;
       inside = 0;
       pending[id] = true;
       atomic { old = word; word = 0 };
       if
       :: old & WAITERS -> atomic { wake_one() }
       :: else
       fi;
       pending[id] = false;
       round++
    od;
    ended[id] = true
  } unless { atomic { killed[id] -> die(id) } }
}

/* The members are alike: those that die are the first. */
init {
  byte victim;
  atomic { run Member(0); run Member(1); run Member(2) };
  do
  :: victim < CRASHES -> killed[victim] = true; victim++
  :: break
  od
}

ltl no_wedge { <> (ended[0] && ended[1] && ended[2]) }
