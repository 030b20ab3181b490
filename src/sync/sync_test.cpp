// What the lock, the event count and the spinner promise while nobody dies (deaths: sync_crash_test.cpp).
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "os/os.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"
#include "sync/event_count.hpp"
#include "sync/robust_lock.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::sync {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

struct Counter {
  RobustLock lock;
  long value = 0;  // plain: only the lock keeps increments from getting lost
  std::atomic<int> inside{0};
};

bool increment(Counter& counter, int times) {
  for (int i = 0; i < times; ++i) {
    const Holding held(counter.lock);
    if (held.from_dead_owner() || counter.inside.fetch_add(1) != 0) return false;
    ++counter.value;
    counter.inside.fetch_sub(1);
  }
  return true;
}

TEST(RobustLock, LetsOneThreadInAtATime) {
  Watchdog dog{120s};
  auto counter = std::make_unique<Counter>();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { good += increment(*counter, 20'000); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 4);
  EXPECT_EQ(counter->value, 80'000);
}

TEST(RobustLock, LetsOneProcessInAtATime) {
  Watchdog dog{120s};
  Shared<Counter> counter;
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back(Child::plain, [&] { MP_REQUIRE(increment(*counter, 20'000)); });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(counter->value, 80'000);
}

TEST(RobustLock, TimesOutWhileItIsHeld) {
  Watchdog dog{60s};
  Shared<RobustLock> lock;
  ASSERT_EQ(lock->acquire(), Acquired::normally);
  for (const Deadline deadline :
       {Deadline::after(30ms), Deadline::passed(), Deadline::after(0ms), Deadline::after(1ns)}) {
    std::thread([&] {
      EXPECT_EQ(lock->acquire(deadline), Acquired::timed_out);
      EXPECT_TRUE(deadline.is_over());
    }).join();
  }
  lock->release();
  EXPECT_EQ(lock->acquire(Deadline::passed()), Acquired::normally);
  lock->release();
}

TEST(RobustLock, ASecondAcquireByTheHolderTimesOutToo) {
  Watchdog dog{60s};
  Shared<RobustLock> lock;
  ASSERT_EQ(lock->acquire(), Acquired::normally);
  EXPECT_EQ(lock->acquire(Deadline::after(30ms)), Acquired::timed_out);
  lock->release();
}

TEST(RobustLock, AForkedChildDoesNotOwnWhatItsParentHolds) {
  Watchdog dog{60s};
  Shared<RobustLock> lock;
  ASSERT_EQ(lock->acquire(), Acquired::normally);
  Child child{Child::plain, [&] { MP_REQUIRE(lock->acquire(Deadline::after(30ms)) == Acquired::timed_out); }};
  EXPECT_EQ(child.wait(), 0);
  lock->release();
  EXPECT_EQ(lock->acquire(), Acquired::normally);  // the child's death was no owner's death
  lock->release();
}

TEST(RobustLock, AThreadThatEndsWithItCountsAsDead) {
  Watchdog dog{60s};
  auto lock = std::make_unique<RobustLock>();
  std::thread([&] { static_cast<void>(lock->acquire()); }).join();
  EXPECT_EQ(lock->acquire(), Acquired::from_dead_owner);
  lock->release();
  EXPECT_EQ(lock->acquire(), Acquired::normally);
  lock->release();
}

struct Mailbox {
  EventCount changed;
  EventCount taken;
  std::atomic<int> letters{0};
};

// One letter at a time, both sides sleep all the time: a lost wake-up would cost 100 ms each, and that no notify ever
// comes the whole test.
void post(Mailbox& box, int letters) {
  for (int i = 0; i < letters; ++i) {
    box.taken.wait_until([&] { return box.letters == 0; }, Deadline::never());
    box.letters = 1;
    box.changed.notify();
  }
}
void collect(Mailbox& box, int letters) {
  for (int i = 0; i < letters; ++i) {
    box.changed.wait_until([&] { return box.letters == 1; }, Deadline::never());
    box.letters = 0;
    box.taken.notify();
  }
}

TEST(EventCount, PassesEveryChangeBetweenThreads) {
  Watchdog dog{120s};
  Mailbox box;
  std::thread collector([&] { collect(box, 20'000); });
  post(box, 20'000);
  collector.join();
  EXPECT_EQ(box.letters, 0);
}

TEST(EventCount, PassesEveryChangeBetweenProcesses) {
  Watchdog dog{120s};
  Shared<Mailbox> box;
  Child collector{Child::plain, [&] { collect(*box, 20'000); }};
  post(*box, 20'000);
  EXPECT_EQ(collector.wait(), 0);
  EXPECT_EQ(box->letters, 0);
}

// Without the 100 ms of looking again: whoever has announced itself and then sees the old state is woken.  Several
// waiters, for the announcement of one must not hide from another that there was a change in between.
TEST(EventCount, LosesNoWakeUp) {
  Watchdog dog{120s};
  constexpr int rounds = 10'000;
  constexpr int waiters = 3;
  EventCount events;
  std::atomic<int> state{0};
  std::array<std::atomic<int>, waiters> seen{};
  const auto wait_for_each = [&](std::atomic<int>& mine) {
    for (int i = 1; i <= rounds; ++i) {
      for (;;) {
        const EventCount::Ticket ticket = events.prepare();
        if (state.load(std::memory_order_relaxed) >= i) break;
        // The word is the first and only member: sleep on it with no time limit.
        os::futex_wait(reinterpret_cast<std::atomic<std::uint32_t>&>(events), ticket, Deadline::never());
      }
      mine.store(i);
    }
  };
  std::vector<std::thread> threads;
  for (auto& mine : seen) threads.emplace_back([&] { wait_for_each(mine); });
  for (int i = 1; i <= rounds; ++i) {
    state.store(i, std::memory_order_relaxed);
    events.notify();
    for (const auto& theirs : seen) spin_until([&] { return theirs.load() == i; });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(EventCount, AnAnnouncementDoesNotHideAnEarlierChange) {
  Watchdog dog{60s};
  EventCount events;
  const EventCount::Ticket early = events.prepare();
  events.notify();
  static_cast<void>(events.prepare());  // somebody else: the bit is set again
  auto& word = reinterpret_cast<std::atomic<std::uint32_t>&>(events);
  EXPECT_EQ(os::futex_wait(word, early, Deadline::after(10s)), -EAGAIN);
}

TEST(EventCount, WakesAllWhoSleep) {
  Watchdog dog{60s};
  Shared<Mailbox> box;
  std::vector<Child> sleepers;
  for (int i = 0; i < 5; ++i) {
    sleepers.emplace_back(Child::plain,
                          [&] { box->changed.wait_until([&] { return box->letters == 1; }, Deadline::never()); });
  }
  box->letters = 1;
  box->changed.notify();
  for (Child& sleeper : sleepers) EXPECT_EQ(sleeper.wait(), 0);
}

TEST(EventCount, KeepsDeadlines) {
  Watchdog dog{60s};
  EventCount events;
  for (const Deadline deadline :
       {Deadline::after(30ms), Deadline::after(250ms), Deadline::passed(), Deadline::after(0ms)}) {
    EXPECT_FALSE(events.wait_until([] { return false; }, deadline));
    EXPECT_TRUE(deadline.is_over());
  }
  EXPECT_TRUE(events.wait_until([] { return true; }, Deadline::passed()));
}

TEST(EventCount, LooksAgainWithoutAnyNotify) {
  Watchdog dog{60s};
  EventCount events;
  std::atomic<bool> changed{false};
  std::thread forgetful([&] { changed = true; });
  EXPECT_TRUE(events.wait_until([&] { return changed.load(); }, Deadline::never()));
  forgetful.join();
}

TEST(EventCount, ASleeperIsInterruptedByASignalAndSleepsOn) {
  Watchdog dog{60s};
  Shared<Mailbox> box;
  Child sleeper{Child::plain, [&] {
                  struct sigaction action {};
                  action.sa_handler = [](int) {};
                  ::sigaction(SIGUSR1, &action, nullptr);
                  box->taken.notify();
                  box->letters = -1;
                  box->changed.wait_until([&] { return box->letters == 1; }, Deadline::never());
                }};
  spin_until([&] { return box->letters == -1; });
  for (int i = 0; i < 100; ++i) sleeper.signal(SIGUSR1);
  box->letters = 1;
  box->changed.notify();
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST(Spin, EndsByItself) {
  Watchdog dog{60s};
  for (int i = 0; i < 100; ++i) {
    Spin spin;
    while (spin.again()) {
    }
  }
}

}  // namespace
}  // namespace multiprocessing::sync
