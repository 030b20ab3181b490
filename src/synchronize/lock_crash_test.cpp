// FAULTS 15: the holder of a Lock or RLock dies.
#include <chrono>
#include <thread>
#include <vector>

#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

template <class T>
class LockCrash : public ::testing::Test {
 protected:
  static void die_holding(const T& lock) {
    Child holder{Child::member, [&] {
                   lock.acquire();
                   ::kill(::getpid(), SIGKILL);
                 }};
    EXPECT_EQ(holder.wait(), -SIGKILL);
  }

 private:
  Watchdog dog_{120s};
};
using Locks = ::testing::Types<Lock, RLock, Condition>;
TYPED_TEST_SUITE(LockCrash, Locks);

TYPED_TEST(LockCrash, Faults15_TheNextAcquirerGetsItAndIsTold) {
  const TypeParam lock;
  for (int i = 0; i < 20; ++i) {
    this->die_holding(lock);
    ASSERT_TRUE(lock.acquire(60s));
    EXPECT_TRUE(lock.owner_died());
    lock.release();
    EXPECT_FALSE(lock.owner_died());
    lock.acquire();
    EXPECT_FALSE(lock.owner_died());
    lock.release();
  }
}

TYPED_TEST(LockCrash, Faults15_OneThatWaitsGetsIt) {
  const TypeParam lock;
  Shared<std::atomic<int>> told;
  Shared<std::atomic<int>> holds;
  Child holder{Child::member, [&] {
                 lock.acquire();
                 *holds = 1;
                 for (;;) ::pause();
               }};
  spin_until([&] { return *holds == 1; });
  std::vector<Child> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back(Child::member, [&] {
      lock.acquire();
      *told += lock.owner_died() ? 1 : 0;
      lock.release();
    });
  }
  holder.signal(SIGKILL);
  EXPECT_EQ(holder.wait(), -SIGKILL);
  for (Child& waiter : waiters) EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(*told, 1);
}

TYPED_TEST(LockCrash, AHolderThatExitsCountsAsDead) {
  const TypeParam lock;
  Child holder{Child::member, [&] { lock.acquire(); }};
  EXPECT_EQ(holder.wait(), 0);
  EXPECT_TRUE(lock.try_acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
}

TYPED_TEST(LockCrash, AThreadThatEndsWithItCountsAsDead) {
  const TypeParam lock;
  std::thread([&] { lock.acquire(); }).join();
  EXPECT_TRUE(lock.try_acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
}

TYPED_TEST(LockCrash, OneThatWasToldAndDiesTellsTheNext) {
  const TypeParam lock;
  this->die_holding(lock);
  this->die_holding(lock);
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
}

TYPED_TEST(LockCrash, ADeathAtEachStepLeavesItTakeable) {
  const TypeParam lock;
  for (const char* step : {"lock.before_release", "lock.taken_from_dead_owner"}) {
    this->die_holding(lock);
    EXPECT_TRUE(dies_at(step, 1, [&] {
      return [&] {
        lock.acquire();
        lock.release();
      };
    }));
    ASSERT_TRUE(lock.acquire(60s));
    EXPECT_TRUE(lock.owner_died());
    lock.release();
  }
}

TEST(RLockCrash, HeldManyTimesByADeadOneItIsHeldOnceByTheNext) {
  Watchdog dog{60s};
  const RLock lock;
  Child holder{Child::member, [&] {
                 for (int i = 0; i < 5; ++i) lock.acquire();
                 ::kill(::getpid(), SIGKILL);
               }};
  EXPECT_EQ(holder.wait(), -SIGKILL);
  lock.acquire();
  lock.release();
  EXPECT_THROW(lock.release(), std::logic_error);
}

TEST(ValueCrash, AnUpdateThatDiedChangedNothingOrAll) {
  Watchdog dog{60s};
  const Value<std::array<int, 8>> value;
  int version = 0;
  const auto next = [&] {
    std::array<int, 8> numbers{};
    numbers.fill(version + 1);
    return numbers;
  };
  for (const char* step : {"value.written", "value.committed", "lock.before_release"}) {
    EXPECT_TRUE(dies_at(step, 1, [&] { return [&] { value.update([&](auto& numbers) { numbers = next(); }); }; }));
    if (step != std::string_view("value.written")) ++version;
    const auto now = value.get();
    for (const int number : now) EXPECT_EQ(number, version) << step;
  }
}

TEST(ValueCrash, KilledInTheMiddleOfTheUsersFunctionItIsAsBefore) {
  Watchdog dog{60s};
  const Value<int> value(7);
  Child child{Child::member, [&] {
                value.update([](int& n) {
                  n = 8;
                  ::kill(::getpid(), SIGKILL);
                });
              }};
  EXPECT_EQ(child.wait(), -SIGKILL);
  {
    const RLock lock = value.lock();
    const std::scoped_lock hold(lock);
    EXPECT_TRUE(lock.owner_died());
    EXPECT_EQ(value.get(), 7);
  }
  value.update([](int& n) { ++n; });
  EXPECT_EQ(value.get(), 8);
}

}  // namespace
}  // namespace multiprocessing
