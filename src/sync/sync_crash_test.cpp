// Deaths in and around the lock and the event count.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <string>

#include "os/faults.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"
#include "sync/event_count.hpp"
#include "sync/robust_lock.hpp"

namespace multiprocessing::sync {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

struct Board {
  RobustLock lock;
  EventCount events;
  std::atomic<int> state{0};
  std::atomic<int> waiting{0};
};

void die_holding(RobustLock& lock) {
  Child holder{Child::plain, [&] {
                 static_cast<void>(lock.acquire());
                 ::kill(::getpid(), SIGKILL);
               }};
  EXPECT_EQ(holder.wait(), -SIGKILL);
}

TEST(RobustLockCrash, TheNextOneIsToldThatTheHolderDied) {
  Watchdog dog{60s};
  Shared<Board> board;
  for (int i = 0; i < 20; ++i) {
    die_holding(board->lock);
    ASSERT_EQ(board->lock.acquire(), Acquired::from_dead_owner);
    board->lock.release();
    ASSERT_EQ(board->lock.acquire(), Acquired::normally);
    board->lock.release();
  }
}

TEST(RobustLockCrash, OneThatIsWaitingGetsItToo) {
  Watchdog dog{60s};
  Shared<Board> board;
  Child holder{Child::plain, [&] {
                 static_cast<void>(board->lock.acquire());
                 board->state = 1;
                 for (;;) ::pause();
               }};
  spin_until([&] { return board->state == 1; });
  std::vector<Child> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back(Child::plain, [&] {
      ++board->waiting;
      const Holding held(board->lock);
      board->state += held.from_dead_owner();
    });
  }
  spin_until([&] { return board->waiting == 3; });
  holder.signal(SIGKILL);
  EXPECT_EQ(holder.wait(), -SIGKILL);
  for (Child& waiter : waiters) EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(board->state, 2);  // exactly one of them was told
}

TEST(RobustLockCrash, ADeathAtEachStepLeavesItTakeable) {
  Watchdog dog{60s};
  Shared<Board> board;
  for (const char* step : {"lock.before_release", "lock.taken_from_dead_owner"}) {
    SCOPED_TRACE(step);
    die_holding(board->lock);
    EXPECT_TRUE(dies_at(
        step, 1, [&] { return [&] { const Holding held(board->lock); }; }, Child::plain));
    EXPECT_EQ(board->lock.acquire(), Acquired::from_dead_owner);
    board->lock.release();
  }
}

TEST(RobustLockCrash, AWaiterMayDieAnytime) {
  Watchdog dog{60s};
  Shared<Board> board;
  static_cast<void>(board->lock.acquire());
  for (int i = 0; i < 20; ++i) {
    Child waiter{Child::plain, [&] {
                   ++board->waiting;
                   static_cast<void>(board->lock.acquire());
                 }};
    spin_until([&] { return board->waiting == i + 1; });
    waiter.signal(SIGKILL);
    EXPECT_EQ(waiter.wait(), -SIGKILL);
  }
  board->lock.release();
  EXPECT_EQ(board->lock.acquire(), Acquired::normally);
  board->lock.release();
}

void expect_events_work(Board& board) {
  board.state = 0;
  Child waiter{Child::plain, [&] { board.events.wait_until([&] { return board.state == 1; }, Deadline::never()); }};
  board.state = 1;
  board.events.notify();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(EventCountCrash, AWaiterKilledAtItsAnnouncementLeavesOneNeedlessWakeUp) {
  Watchdog dog{60s};
  Shared<Board> board;
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(dies_at(
        "event.announced", 1,
        [&] { return [&] { board->events.wait_until([] { return false; }, Deadline::never()); }; }, Child::plain));
    expect_events_work(*board);
  }
}

TEST(EventCountCrash, AWaiterKilledAsleepLeavesNothing) {
  Watchdog dog{60s};
  Shared<Board> board;
  for (int i = 0; i < 20; ++i) {
    Child sleeper{Child::plain, [&] {
                    board->events.wait_until(
                        [&] {
                          ++board->waiting;
                          return false;
                        },
                        Deadline::never());
                  }};
    const int before = board->waiting;
    spin_until([&] { return board->waiting > before; });
    sleeper.signal(SIGKILL);
    EXPECT_EQ(sleeper.wait(), -SIGKILL);
    expect_events_work(*board);
  }
}

// The wake-up never comes: the sleeper looks again by itself.
TEST(EventCountCrash, ANotifierKilledBeforeTheWakeUpDelaysNobodyForEver) {
  Watchdog dog{60s};
  Shared<Board> board;
  Child sleeper{Child::plain, [&] {
                  os::steps::kill_at("no such step");
                  static_cast<void>(board->events.prepare());
                  board->waiting = 1;
                  board->events.wait_until([&] { return board->state == 1; }, Deadline::never());
                }};
  spin_until([&] { return board->waiting == 1; });
  EXPECT_TRUE(dies_at(
      "event.changed", 1,
      [&] {
        return [&] {
          board->state = 1;
          board->events.notify();
        };
      },
      Child::plain));
  EXPECT_EQ(sleeper.wait(), 0);
}

// A child in strict seccomp mode may only read, write and exit: any other system call kills it.
template <class Body>
int under_strict_seccomp(Body body) {
  if (testing::under_tsan) return 77;  // it makes system calls of its own
  Child child{Child::plain, [&] {
                if (::prctl(PR_SET_SECCOMP, 1 /* SECCOMP_MODE_STRICT */) != 0) ::_exit(77);
                body();
                ::syscall(SYS_exit, 0);  // exit_group, which _exit makes, is forbidden
              }};
  return child.wait();
}

TEST(EventCountCrash, NotifyMakesNoSystemCallWhileNobodySleeps) {
  Watchdog dog{60s};
  Shared<Board> board;
  const int status = under_strict_seccomp([&] { board->events.notify(); });
  if (status == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_EQ(status, 0);
  static_cast<void>(board->events.prepare());
  EXPECT_EQ(under_strict_seccomp([&] { board->events.notify(); }), -SIGKILL);  // so the test can tell
}

TEST(RobustLockCrash, AnUncontendedLockMakesNoSystemCall) {
  Watchdog dog{60s};
  Shared<Board> board;
  const int status = under_strict_seccomp([&] { const Holding held(board->lock); });
  if (status == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_EQ(status, 0);
}

TEST(EventCountCrash, AWaitGoesOnWhenTheKernelInterruptsIt) {
  Watchdog dog{60s};
  Board board;
  os::faults::fail(os::Call::futex_wait, EINTR, 0, 50);
  EXPECT_FALSE(board.events.wait_until([] { return false; }, Deadline::after(30ms)));
  os::faults::clear();
}

}  // namespace
}  // namespace multiprocessing::sync
