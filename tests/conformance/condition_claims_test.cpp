// Condition: what Python's documentation says of it, sentence by sentence.
#include <gtest/gtest.h>

#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <stdexcept>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using mp::testing::until;
using Clock = std::chrono::steady_clock;

class ConditionClaims : public mp::testing::EveryStartMethod {
 protected:
  // Processes that wait until they are notified.  When this returns they have let go of the lock in wait().
  void start_waiters(const mp::Condition& condition, int count) {
    const int before = waiting.get();
    for (int i = 0; i < count; ++i) {
      start(
          [](mp::Condition c, mp::Value<int> in, mp::Value<int> out) {
            const std::scoped_lock hold(c);
            in.update([](int& n) { ++n; });
            require(c.wait());
            out.update([](int& n) { ++n; });
          },
          condition, waiting, woken);
    }
    until([&] { return waiting.get() == before + count; });
    const std::scoped_lock hold(condition);  // counted and not in wait() yet: it would have the lock
  }

  void notify(const mp::Condition& condition, int count) const {
    const std::scoped_lock hold(condition);
    condition.notify(count);
  }

  // So many have been woken, and nobody else is.
  void expect_woken(int count) {
    until([&] { return woken.get() >= count; });
    EXPECT_FALSE(mp::Event().wait(a_moment));
    EXPECT_EQ(woken.get(), count);
  }

  mp::Value<int> waiting;
  mp::Value<int> woken;
};
FOR_EVERY_START_METHOD(ConditionClaims);

// --- its lock -------------------------------------------------------------------------------------------------------

// "If lock is specified then it should be a Lock or RLock object from multiprocessing": "it is used as the underlying
// lock".  "The acquire() and release() methods also call the corresponding methods of the associated lock."
template <class AnyLock>
void expect_that_it_uses(const AnyLock& lock) {
  const mp::Condition condition(lock);
  EXPECT_TRUE(condition.acquire());
  EXPECT_THROW(mp::Condition().release(), std::logic_error);
  lock.release();  // the same one
  lock.acquire();
  condition.notify();
  condition.release();
  EXPECT_THROW(lock.release(), std::logic_error);
}
TEST_P(ConditionClaims, ItUsesTheLockItIsGiven) { expect_that_it_uses(mp::Lock()); }
TEST_P(ConditionClaims, ItUsesTheRLockItIsGiven) { expect_that_it_uses(mp::RLock()); }

// "Otherwise, a new RLock object is created and used as the underlying lock."
TEST_P(ConditionClaims, ItMakesAnRLockOfItsOwn) {
  mp::Condition condition;
  condition.acquire();
  EXPECT_TRUE(condition.try_acquire());  // again: it is recursive
  start([](mp::Condition c) { require(!c.try_acquire()); }, condition);
  join_all();
  condition.release();
  start([](mp::Condition c) { require(!c.acquire(a_moment)); }, condition);
  join_all();
  condition.release();
  start(
      [](mp::Condition c) {
        require(c.try_acquire());
        c.release();
      },
      condition);
}

// "Passing one in is useful when several condition variables must share the same lock."
TEST_P(ConditionClaims, SeveralShareOneLock) {
  mp::Lock lock;
  mp::Condition not_empty(lock);
  mp::Condition not_full(lock);
  mp::Value<int> items(0);
  start(
      [](mp::Condition may_take, mp::Condition may_put, mp::Value<int> there) {
        for (int i = 0; i < 100; ++i) {
          const std::scoped_lock hold(may_put);
          may_put.wait_for([&] { return there.get() == 0; });
          there.set(1);
          may_take.notify();
        }
      },
      not_empty, not_full, items);
  for (int i = 0; i < 100; ++i) {
    const std::scoped_lock hold(lock);
    not_empty.wait_for([&] { return items.get() == 1; });
    items.set(0);
    not_full.notify();
  }
  EXPECT_EQ(items.get(), 0);
}

// "using the with statement acquires the associated lock for the duration of the enclosed block."
TEST_P(ConditionClaims, AGuardHoldsItsLock) {
  mp::Lock lock;
  mp::Condition condition(lock);
  {
    const std::scoped_lock hold(condition);
    start([](mp::Lock l) { require(!l.try_acquire()); }, lock);
    join_all();
  }
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

// --- wait -----------------------------------------------------------------------------------------------------------

// "If the calling thread has not acquired the lock when this method is called, a RuntimeError is raised", of wait() and
// of notify(); and notify_all() and wait_for() are said to be like them.
TEST_P(ConditionClaims, WithoutTheLockNothingCanBeDone) {
  mp::Condition condition;
  condition.acquire();  // this process has it, the other has not
  start(
      [](mp::Condition c) {
        const auto refused = [](auto call) {
          try {
            call();
            return false;
          } catch (const std::logic_error&) {
            return true;
          }
        };
        require(refused([&] { c.wait(); }));
        require(refused([&] { c.wait(1h); }));
        require(refused([&] { c.wait_for([] { return false; }); }));
        require(refused([&] { c.notify(); }));
        require(refused([&] { c.notify_all(); }));
        require(refused([&] { c.release(); }));
      },
      condition);
  join_all();
  condition.release();
}

// "The wait() method releases the lock, and then blocks until another thread awakens it by calling notify() or
// notify_all().  Once awakened, wait() re-acquires the lock and returns."
TEST_P(ConditionClaims, WaitReleasesTheLockBlocksAndHasItAgain) {
  mp::Condition condition;
  Steps steps;
  mp::Value<int> stage(0);
  start(
      [](mp::Condition c, mp::Value<int> told, Steps s) {
        const std::scoped_lock hold(c);
        s.around([&] { c.wait(); });
        require(told.get() == 1);
        told.set(2);
        c.release();  // it has it
        c.acquire();
      },
      condition, stage, steps);
  EXPECT_TRUE(steps.blocks());
  condition.acquire();  // only wait() can have let go of it
  stage.set(1);
  condition.notify();
  condition.release();
  join_all();
  EXPECT_EQ(stage.get(), 2);
}

// "When the underlying lock is an RLock, … which really unlocks it even when it has been recursively acquired several
// times.  Another internal interface is then used to restore the recursion level when the lock is reacquired."
TEST_P(ConditionClaims, WaitReleasesARecursiveLockWhateverItsLevelAndRestoresThat) {
  mp::RLock lock;
  mp::Condition condition(lock);
  Steps steps;
  start(
      [](mp::RLock l, mp::Condition c, Steps s) {
        for (int i = 0; i < 3; ++i) l.acquire();
        s.around([&] { c.wait(); });
        for (int i = 0; i < 3; ++i) l.release();
        try {
          l.release();
          require(false);
        } catch (const std::logic_error&) {
        }
      },
      lock, condition, steps);
  EXPECT_TRUE(steps.blocks());
  const std::scoped_lock hold(lock);
  condition.notify();
}

// "Wait until notified or until a timeout occurs."  "The return value is True unless a given timeout expired, in which
// case it is False."
TEST_P(ConditionClaims, WaitWithATimeoutIsFalseAfterThatTimeAndHasTheLock) {
  mp::Condition condition;
  start(
      [](mp::Condition c) {
        const std::scoped_lock hold(c);
        const auto begin = Clock::now();
        require(!c.wait(a_moment));
        require(Clock::now() - begin >= a_moment);
        require(!c.wait(0s));
        c.notify();  // it has the lock
      },
      condition);
}

TEST_P(ConditionClaims, WaitWithATimeoutIsTrueWhenNotified) {
  mp::Condition condition;
  Steps steps;
  start(
      [](mp::Condition c, Steps s) {
        const std::scoped_lock hold(c);
        s.around([&] { require(c.wait(60s)); });
      },
      condition, steps);
  EXPECT_TRUE(steps.blocks());
  notify(condition, 1);
}

// --- wait_for -------------------------------------------------------------------------------------------------------

// "This utility method may call wait() repeatedly until the predicate is satisfied": a notification alone ends it not.
TEST_P(ConditionClaims, WaitForWaitsUntilThePredicateIsTrue) {
  mp::Condition condition;
  mp::Value<int> stage(0);
  Steps steps;
  start(
      [](mp::Condition c, mp::Value<int> told, Steps s) {
        const std::scoped_lock hold(c);
        s.around([&] { require(c.wait_for([&] { return told.get() == 2; })); });
      },
      condition, stage, steps);
  EXPECT_TRUE(steps.blocks());
  for (int next = 1; next <= 2; ++next) {
    const std::scoped_lock hold(condition);
    EXPECT_FALSE(steps.done.is_set());
    stage.set(next);
    condition.notify();
  }
}

// "The return value is the last return value of the predicate and will evaluate to False if the method timed out."
TEST_P(ConditionClaims, WaitForIsWhatThePredicateSaidLast) {
  mp::Condition condition;
  const std::scoped_lock hold(condition);
  const auto begin = Clock::now();
  EXPECT_FALSE(condition.wait_for([] { return false; }, a_moment));
  EXPECT_GE(Clock::now() - begin, a_moment);
  int asked = 0;
  EXPECT_TRUE(condition.wait_for([&] { return ++asked == 2; }, a_moment));  // once before and once after the wait
  EXPECT_TRUE(condition.wait_for([] { return true; }));                     // nothing to wait for
}

// "The predicate is evaluated with the lock held."
TEST_P(ConditionClaims, ThePredicateIsCalledWithTheLockHeld) {
  mp::Lock lock;
  mp::Condition condition(lock);
  const std::scoped_lock hold(condition);
  EXPECT_FALSE(condition.wait_for(
      [&] {
        condition.notify();  // throws without it
        return lock.try_acquire();
      },
      a_moment));
}

// --- notify ---------------------------------------------------------------------------------------------------------

// "By default, wake up one thread waiting on this condition, if any."
TEST_P(ConditionClaims, NotifyWakesOne) {
  mp::Condition condition;
  start_waiters(condition, 3);
  notify(condition, 1);
  expect_woken(1);
  notify(condition, 1);
  expect_woken(2);
  notify(condition, 1);
}

// "This method wakes up at most n of the threads waiting for the condition variable."
TEST_P(ConditionClaims, NotifyOfANumberWakesThatMany) {
  mp::Condition condition;
  start_waiters(condition, 3);
  notify(condition, 2);
  expect_woken(2);
  notify(condition, 5);  // at most: there is one
  expect_woken(3);
}

// "it is a no-op if no threads are waiting": it is not kept for one that waits later.
TEST_P(ConditionClaims, NotifyWhenNobodyWaitsDoesNothing) {
  mp::Condition condition;
  const std::scoped_lock hold(condition);
  condition.notify();
  condition.notify_all();
  EXPECT_FALSE(condition.wait(a_moment));
}

// "notify_all(): Wake up all threads waiting on this condition."
TEST_P(ConditionClaims, NotifyAllWakesAll) {
  mp::Condition condition;
  start_waiters(condition, 4);
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
  }
  join_all();
  EXPECT_EQ(woken.get(), 4);
}

// "the notify() and notify_all() methods don't release the lock; this means that the thread or threads awakened will not
// return from their wait() call immediately, but only when the thread that called notify() or notify_all() finally
// relinquishes ownership of the lock."
TEST_P(ConditionClaims, WhoeverIsNotifiedGoesOnWhenTheNotifierReleasesTheLock) {
  mp::Condition condition;
  start_waiters(condition, 2);
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
    EXPECT_FALSE(mp::Event().wait(a_moment));
    EXPECT_EQ(woken.get(), 0);
  }
  join_all();
  EXPECT_EQ(woken.get(), 2);
}

}  // namespace
