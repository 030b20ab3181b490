#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class ConditionTest : public ::testing::Test {
 protected:
  // Waits, and then notes when it went on: 1 for the first.  It waits for sure when `waiting` counts it and the lock is
  // free: it counts itself with the lock held.
  Child waiter(int who) {
    const int before = *waiting;
    Child child{Child::member, [this, who] {
                  const std::scoped_lock hold(condition);
                  ++*waiting;
                  MP_REQUIRE(condition.wait());
                  (*went_on)[static_cast<std::size_t>(who)] = ++*count;
                }};
    spin_until([&] { return *waiting > before; });
    const std::scoped_lock hold(condition);  // now it has let go of the lock: it waits
    return child;
  }
  void notify(int n) {
    const std::scoped_lock hold(condition);
    condition.notify(n);
  }

  Condition condition;
  Shared<std::atomic<int>> waiting;
  Shared<std::atomic<int>> count;
  Shared<std::array<std::atomic<int>, 8>> went_on;

 private:
  Watchdog dog_{120s};
};

TEST_F(ConditionTest, NotifyWakesTheLongestWaitingFirst) {
  std::vector<Child> children;
  for (int who = 0; who < 4; ++who) children.push_back(waiter(who));
  for (int who = 0; who < 4; ++who) {
    notify(1);
    EXPECT_EQ(children[static_cast<std::size_t>(who)].wait(), 0);
    EXPECT_EQ((*went_on)[static_cast<std::size_t>(who)], who + 1);
    EXPECT_EQ(*count, who + 1);  // and nobody else
  }
}

TEST_F(ConditionTest, NotifyWakesSoManyAndNotifyAllTheRest) {
  std::vector<Child> children;
  for (int who = 0; who < 5; ++who) children.push_back(waiter(who));
  notify(2);
  EXPECT_EQ(children[0].wait(), 0);
  EXPECT_EQ(children[1].wait(), 0);
  EXPECT_EQ(*count, 2);
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
  }
  for (std::size_t who = 2; who < 5; ++who) EXPECT_EQ(children[who].wait(), 0);
}

TEST_F(ConditionTest, ANotificationThatNobodyWaitsForIsGone) {
  notify(3);
  const std::scoped_lock hold(condition);
  EXPECT_FALSE(condition.wait(10ms));
}

TEST_F(ConditionTest, NeedsItsLock) {
  EXPECT_THROW(condition.wait(), std::logic_error);
  EXPECT_THROW(condition.wait(1s), std::logic_error);
  EXPECT_THROW(condition.notify(), std::logic_error);
  EXPECT_THROW(condition.notify_all(), std::logic_error);
  EXPECT_THROW(condition.release(), std::logic_error);
  condition.acquire();
  std::thread([&] { EXPECT_THROW(condition.notify(), std::logic_error); }).join();
  condition.release();
}

TEST_F(ConditionTest, WaitsAsLongAsAskedAndHasTheLockAgain) {
  const std::scoped_lock hold(condition);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(condition.wait(30ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  EXPECT_FALSE(condition.wait(0s));
  std::thread([&] { EXPECT_FALSE(condition.try_acquire()); }).join();
}

TEST_F(ConditionTest, LetsGoOfItsLockHoweverOftenItIsHeld) {
  condition.acquire();
  condition.acquire();
  condition.acquire();
  std::thread other([&] {
    const std::scoped_lock hold(condition);
    condition.notify();
  });
  EXPECT_TRUE(condition.wait());
  other.join();
  for (int i = 0; i < 3; ++i) condition.release();
  EXPECT_THROW(condition.release(), std::logic_error);
}

TEST_F(ConditionTest, SharesTheLockItWasGiven) {
  const Lock lock;
  const Condition full(lock);
  const Condition empty(lock);
  lock.acquire();
  std::thread([&] {
    EXPECT_FALSE(full.try_acquire());
    EXPECT_FALSE(empty.try_acquire());
  }).join();
  EXPECT_FALSE(full.wait(1ms));
  full.release();
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}

TEST_F(ConditionTest, WaitForLooksAtThePredicate) {
  const Value<int> number(0);
  Child child{Child::member, [&] {
                for (int i = 1; i <= 500; ++i) {
                  const std::scoped_lock hold(condition);
                  number.set(i);
                  condition.notify();
                }
              }};
  {
    const std::scoped_lock hold(condition);
    EXPECT_TRUE(condition.wait_for([&] { return number.get() == 500; }));
    EXPECT_TRUE(condition.wait_for([] { return true; }, 0s));
    EXPECT_FALSE(condition.wait_for([] { return false; }, 10ms));
  }
  EXPECT_EQ(child.wait(), 0);
}

// Every hand-over needs a wake-up: a lost one costs 100 ms, and that many the whole test.
TEST_F(ConditionTest, PassesATokenRoundManyTimes) {
  const Value<int> turn(0);
  constexpr int parties = 3;
  constexpr int rounds = 500;
  std::vector<Child> children;
  for (int who = 0; who < parties; ++who) {
    children.emplace_back(Child::member, [&, who] {
      for (int i = 0; i < rounds; ++i) {
        const std::scoped_lock hold(condition);
        condition.wait_for([&] { return turn.get() % parties == who; });
        turn.update([](int& t) { ++t; });
        condition.notify_all();
      }
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(turn.get(), parties * rounds);
}

TEST_F(ConditionTest, TravelsInMessagesWithItsLock) {
  codec::Encoder out;
  codec::encode(out, condition);
  codec::Decoder in(out.bytes());
  const auto arrived = codec::decode<Condition>(in);
  arrived.acquire();
  EXPECT_NO_THROW(condition.notify());
  condition.release();
}

TEST_F(ConditionTest, ManyMoreWaitersThanATableHolds) {
  constexpr int waiters = 100;
  std::atomic<int> done{0};
  std::atomic<int> here{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < waiters; ++i) {
    threads.emplace_back([&] {
      const std::scoped_lock hold(condition);
      ++here;
      condition.wait();
      ++done;
    });
  }
  spin_until([&] { return here == waiters; });
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, waiters);
}

}  // namespace
}  // namespace multiprocessing
