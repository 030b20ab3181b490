#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"
#include "synchronize/leave.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::Watchdog;

class SemaphoreTest : public ::testing::Test {
  Watchdog dog_{120s};
};

TEST_F(SemaphoreTest, LetsSoManyInAtATime) {
  const Semaphore semaphore(3);
  Shared<std::atomic<int>> inside;
  Shared<std::atomic<int>> most;
  std::vector<Child> children;
  for (int i = 0; i < 6; ++i) {
    children.emplace_back(Child::member, [&] {
      for (int k = 0; k < 2'000; ++k) {
        semaphore.acquire();
        const int now = ++*inside;
        for (int seen = *most; seen < now && !most->compare_exchange_weak(seen, now);) {
        }
        --*inside;
        semaphore.release();
      }
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_LE(*most, 3);
  EXPECT_EQ(semaphore.get_value(), 3);
}

TEST_F(SemaphoreTest, BeginsWithOneUnitAndWaitsAsLongAsAsked) {
  const Semaphore semaphore;
  EXPECT_EQ(semaphore.get_value(), 1);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_EQ(semaphore.get_value(), 0);
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.acquire(0s));
  EXPECT_FALSE(semaphore.acquire(20ms));
  std::thread([&] { semaphore.release(); }).join();  // anyone may
  EXPECT_TRUE(semaphore.acquire(1h));
}

TEST_F(SemaphoreTest, MayBeginWithNoneAndGetMoreThanItBeganWith) {
  const Semaphore semaphore(0);
  for (int i = 0; i < 5; ++i) semaphore.release();
  EXPECT_EQ(semaphore.get_value(), 5);
}

TEST_F(SemaphoreTest, ANegativeValueIsRefused) { EXPECT_THROW(Semaphore(-1), std::invalid_argument); }

TEST_F(SemaphoreTest, ABoundedOneRefusesOneReleaseTooMany) {
  const BoundedSemaphore semaphore(2);
  EXPECT_THROW(semaphore.release(), std::invalid_argument);
  semaphore.acquire();
  semaphore.release();
  EXPECT_THROW(semaphore.release(), std::invalid_argument);
  EXPECT_EQ(semaphore.get_value(), 2);
  const Semaphore& as_any = semaphore;
  EXPECT_THROW(as_any.release(), std::invalid_argument);
}

TEST_F(SemaphoreTest, WakesWhoWaits) {
  const Semaphore there(0);
  const Semaphore back(0);
  constexpr int rounds = 2'000;
  Child echo{Child::member, [&] {
               for (int i = 0; i < rounds; ++i) {
                 there.acquire();
                 back.release();
               }
             }};
  for (int i = 0; i < rounds; ++i) {
    there.release();
    EXPECT_TRUE(back.acquire());
  }
  EXPECT_EQ(echo.wait(), 0);
}

TEST_F(SemaphoreTest, WhatAProcessThatEndsInOrderHasTakenStaysTaken) {
  const Semaphore semaphore(3);
  Child child{Child::member, [&] {
                semaphore.acquire();
                semaphore.acquire();
                semaphore.release();
                synchronize::leave();
              }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(semaphore.get_value(), 2);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_FALSE(semaphore.acquire(10ms));
}

TEST_F(SemaphoreTest, ManyMoreProcessesThanATableHolds) {
  const Semaphore semaphore(0);
  constexpr int processes = 600;  // a table has 252 places, and places of those that left are used again
  for (int i = 0; i < processes; ++i) {
    Child child{Child::member, [&] {
                  semaphore.release();
                  synchronize::leave();
                }};
    ASSERT_EQ(child.wait(), 0);
  }
  EXPECT_EQ(semaphore.get_value(), processes);
}

TEST_F(SemaphoreTest, IsAGuardsLock) {
  const Semaphore semaphore(2);
  {
    const std::scoped_lock hold(semaphore);
    EXPECT_EQ(semaphore.get_value(), 1);
  }
  EXPECT_EQ(semaphore.get_value(), 2);
}

}  // namespace
}  // namespace multiprocessing
