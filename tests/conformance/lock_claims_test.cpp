// Lock and RLock: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using mp::testing::until;
using Clock = std::chrono::steady_clock;

template <class AnyLock>
bool refuses_release(const AnyLock& lock) {
  try {
    lock.release();
    return false;
  } catch (const std::logic_error&) {
    return true;
  }
}

// What both have in common, for one after the other: the documentation has the same words for both.
template <class AnyLock>
class BothLocks : public mp::testing::EveryStartMethod {
 protected:
  // Once `lock` is released by its holder, one of two processes that wait has it, and the other when that one lets go.
  void let_one_in_at_a_time() {
    AnyLock lock;
    mp::Value<int> inside(0);
    mp::Value<int> through(0);
    mp::Event leave;
    Steps waiting[2];
    lock.acquire();
    for (const Steps& steps : waiting) {
      start(
          [](AnyLock l, mp::Value<int> in, mp::Value<int> past, mp::Event may_leave, Steps s) {
            s.around([&] { l.acquire(); });
            in.update([](int& n) { ++n; });
            may_leave.wait();
            in.update([](int& n) { --n; });
            l.release();
            past.update([](int& n) { ++n; });
          },
          lock, inside, through, leave, steps);
      EXPECT_TRUE(steps.blocks());
    }
    lock.release();
    until([&] { return inside.get() == 1; });
    EXPECT_FALSE(lock.acquire(a_moment));
    EXPECT_EQ(inside.get(), 1);
    EXPECT_NE(waiting[0].done.is_set(), waiting[1].done.is_set());
    leave.set();
    join_all();
    EXPECT_EQ(through.get(), 2);
    EXPECT_TRUE(lock.try_acquire());
    lock.release();
  }

  void block_until_it_is_released() {
    AnyLock lock;
    mp::Value<int> stage(0);
    Steps steps;
    lock.acquire();
    start(
        [](AnyLock l, mp::Value<int> told, Steps s) {
          s.around([&] { require(l.acquire()); });
          require(told.get() == 1);
          l.release();
        },
        lock, stage, steps);
    EXPECT_TRUE(steps.blocks());
    stage.set(1);
    lock.release();
  }

  void not_block_when_told_so() {
    AnyLock lock;
    mp::Event taken;
    mp::Event leave;
    start(
        [](AnyLock l, mp::Event took, mp::Event may_leave) {
          require(l.try_acquire());
          took.set();
          may_leave.wait();
          l.release();
        },
        lock, taken, leave);
    taken.wait();
    EXPECT_FALSE(lock.try_acquire());
    leave.set();
    join_all();
    EXPECT_TRUE(lock.try_acquire());
    lock.release();
  }

  void block_for_the_timeout() {
    AnyLock lock;
    lock.acquire();
    start(
        [](AnyLock l) {
          const auto begin = Clock::now();
          require(!l.acquire(a_moment));
          require(Clock::now() - begin >= a_moment);
          require(!l.acquire(0s) && !l.acquire(-1h));
        },
        lock);
    join_all();
    Steps steps;
    start(
        [](AnyLock l, Steps s) {
          s.around([&] { require(l.acquire(60s)); });
          l.release();
        },
        lock, steps);
    EXPECT_TRUE(steps.blocks());
    lock.release();
    join_all();
    EXPECT_TRUE(lock.acquire(-1h));  // nobody has it, so there is nothing to wait for
    lock.release();
  }

  void be_released_by_its_guard() {
    AnyLock lock;
    try {
      const std::scoped_lock hold(lock);
      start([](AnyLock l) { require(!l.try_acquire()); }, lock);
      join_all();
      throw std::runtime_error("out of the block");
    } catch (const std::runtime_error&) {
    }
    start(
        [](AnyLock l) {
          require(l.try_acquire());
          l.release();
        },
        lock);
  }
};

// --- Lock -----------------------------------------------------------------------------------------------------------

class LockClaims : public BothLocks<mp::Lock> {};
FOR_EVERY_START_METHOD(LockClaims);

// "acquire(): … will block until the lock is in an unlocked state, then set it to locked and return True."
TEST_P(LockClaims, AcquireBlocksUntilItIsReleased) { block_until_it_is_released(); }

// "Once a process or thread has acquired a lock, subsequent attempts to acquire it from any process or thread will block
// until it is released."
TEST_P(LockClaims, AThreadOfTheSameProcessBlocksToo) {
  mp::Lock lock;
  Steps steps;
  lock.acquire();
  std::thread other([&] {
    steps.around([&] { lock.acquire(); });
    lock.release();
  });
  EXPECT_TRUE(steps.blocks());
  lock.release();
  other.join();
}

// "A non-recursive lock object": from any thread, also the one that has it.
TEST_P(LockClaims, ItsHolderBlocksToo) {
  mp::Lock lock;
  lock.acquire();
  EXPECT_FALSE(lock.try_acquire());
  EXPECT_FALSE(lock.acquire(a_moment));
  lock.release();
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

// "With the block argument set to False, the method call does not block.  If the lock is currently in a locked state,
// return False; otherwise set the lock to a locked state and return True."
TEST_P(LockClaims, TryAcquireDoesNotBlock) { not_block_when_told_so(); }

// "block for at most the number of seconds specified by timeout as long as the lock can not be acquired.  Invocations with
// a negative value for timeout are equivalent to a timeout of zero."  "Returns … False if the timeout period has elapsed."
TEST_P(LockClaims, AcquireWithATimeoutBlocksForThatTimeAtMost) { block_for_the_timeout(); }

// "release(): … any process or thread may release it."  Here its holder only: anybody else's mistake would let two in.
TEST_P(LockClaims, OnlyItsHolderReleasesIt) {
  mp::Lock lock;
  lock.acquire();
  start([](mp::Lock l) { require(refuses_release(l)); }, lock);
  join_all();
  std::thread([&] { EXPECT_TRUE(refuses_release(lock)); }).join();
  start([](mp::Lock l) { require(!l.try_acquire()); }, lock);  // none of them has
  join_all();
  lock.release();
}

// "when invoked on an unlocked lock, a ValueError is raised."  Here std::logic_error, as for any lock one does not hold.
TEST_P(LockClaims, ReleasingAnUnlockedOneThrows) {
  mp::Lock lock;
  EXPECT_THROW(lock.release(), std::logic_error);
  lock.acquire();
  lock.release();
  EXPECT_THROW(lock.release(), std::logic_error);
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

// "If any other threads are blocked waiting for the lock to become unlocked, allow exactly one of them to proceed."
TEST_P(LockClaims, ReleaseLetsExactlyOneProceed) { let_one_in_at_a_time(); }

// "Lock supports the context manager protocol and thus may be used in with statements."
TEST_P(LockClaims, AGuardReleasesItAlsoWhenAnExceptionLeavesItsBlock) { be_released_by_its_guard(); }

// --- RLock ----------------------------------------------------------------------------------------------------------

class RLockClaims : public BothLocks<mp::RLock> {};
FOR_EVERY_START_METHOD(RLockClaims);

// "block until the lock is in an unlocked state (not owned by any process or thread) unless the lock is already owned by
// the current process or thread."
TEST_P(RLockClaims, AcquireBlocksWhileAnotherProcessOwnsIt) { block_until_it_is_released(); }

TEST_P(RLockClaims, AcquireBlocksWhileAnotherThreadOwnsIt) {
  mp::RLock lock;
  lock.acquire();
  std::thread([&] {
    EXPECT_FALSE(lock.try_acquire());
    EXPECT_FALSE(lock.acquire(a_moment));
  }).join();
  lock.release();
}

// "Once a process or thread has acquired a recursive lock, the same process or thread may acquire it again without
// blocking; that process or thread must release it once for each time it has been acquired."
TEST_P(RLockClaims, ItsOwnerAcquiresItAgainAndReleasesItAsOften) {
  mp::RLock lock;
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.acquire(a_moment));
  EXPECT_TRUE(lock.try_acquire());
  Steps steps;
  start(
      [](mp::RLock l, Steps s) {
        s.around([&] { l.acquire(); });
        l.release();
      },
      lock, steps);
  EXPECT_TRUE(steps.blocks());
  // "If after the decrement the recursion level is still nonzero, the lock remains locked."
  lock.release();
  EXPECT_FALSE(steps.done.wait(a_moment));
  lock.release();
  EXPECT_FALSE(steps.done.wait(a_moment));
  // "If after the decrement the recursion level is zero, reset the lock to unlocked."
  lock.release();
  steps.done.wait();
}

// "If the lock has already been acquired (and thus is owned) by another process or thread, the current process or thread
// does not take ownership and the recursion level within the lock is not changed, resulting in a return value of False."
TEST_P(RLockClaims, TryAcquireDoesNotBlock) { not_block_when_told_so(); }

TEST_P(RLockClaims, ATryThatFailsChangesNoRecursionLevel) {
  mp::RLock lock;
  lock.acquire();
  lock.acquire();
  start([](mp::RLock l) { require(!l.try_acquire() && !l.acquire(a_moment)); }, lock);
  join_all();
  lock.release();
  lock.release();
  EXPECT_TRUE(refuses_release(lock));
  start(
      [](mp::RLock l) {
        require(l.try_acquire());
        l.release();
        require(refuses_release(l));
      },
      lock);
}

// "Use and behaviors of the timeout argument are the same as in Lock.acquire()."
TEST_P(RLockClaims, AcquireWithATimeoutBlocksForThatTimeAtMost) { block_for_the_timeout(); }

// "A recursive lock must be released by the process or thread that acquired it."  "An AssertionError is raised if this
// method is called by a process or thread other than the owner or if the lock is in an unlocked (unowned) state."
TEST_P(RLockClaims, OnlyItsOwnerReleasesIt) {
  mp::RLock lock;
  EXPECT_TRUE(refuses_release(lock));
  lock.acquire();
  start([](mp::RLock l) { require(refuses_release(l)); }, lock);
  join_all();
  std::thread([&] { EXPECT_TRUE(refuses_release(lock)); }).join();
  start([](mp::RLock l) { require(!l.try_acquire()); }, lock);
  join_all();
  lock.release();
  EXPECT_TRUE(refuses_release(lock));
}

// "if any other processes or threads are blocked waiting for the lock to become unlocked, allow exactly one of them to
// proceed."
TEST_P(RLockClaims, ReleaseLetsExactlyOneProceed) { let_one_in_at_a_time(); }

// "RLock supports the context manager protocol and thus may be used in with statements."
TEST_P(RLockClaims, AGuardReleasesItAlsoWhenAnExceptionLeavesItsBlock) { be_released_by_its_guard(); }

}  // namespace
