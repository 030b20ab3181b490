// FAULTS 15: a process that holds units of a semaphore dies.
#include <chrono>
#include <string_view>

#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"
#include "synchronize/leave.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class SemaphoreCrash : public ::testing::Test {
  Watchdog dog_{120s};
};

TEST_F(SemaphoreCrash, Faults15_UnitsOfAKilledProcessComeBack) {
  const Semaphore semaphore(3);
  Child holder{Child::member, [&] {
                 for (int i = 0; i < 3; ++i) semaphore.acquire();
                 semaphore.release();
                 ::kill(::getpid(), SIGKILL);
               }};
  EXPECT_EQ(holder.wait(), -SIGKILL);
  EXPECT_EQ(semaphore.get_value(), 3);  // it held two
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire());
}

// Nobody reaps it: who waits finds out.
TEST_F(SemaphoreCrash, Faults15_OneThatWaitsGetsTheUnitOfAZombie) {
  const Semaphore semaphore(1);
  Child holder{Child::member, [&] {
                 semaphore.acquire();
                 ::kill(::getpid(), SIGKILL);
               }};
  os::wait_ended(holder.pidfd(), os::Deadline::never());
  EXPECT_TRUE(semaphore.acquire(60s));
  EXPECT_EQ(holder.wait(), -SIGKILL);
}

TEST_F(SemaphoreCrash, Faults15_OneThatSleptAlreadyGetsIt) {
  const Semaphore semaphore(1);
  Shared<std::atomic<int>> holds;
  Child holder{Child::member, [&] {
                 semaphore.acquire();
                 *holds = 1;
                 for (;;) ::pause();
               }};
  spin_until([&] { return *holds == 1; });
  Child waiter{Child::member, [&] {
                 *holds = 2;
                 MP_REQUIRE(semaphore.acquire());
               }};
  spin_until([&] { return *holds == 2; });
  holder.signal(SIGKILL);
  EXPECT_EQ(waiter.wait(), 0);
}

TEST_F(SemaphoreCrash, WhatADeadProcessHasPutInStaysIn) {
  const Semaphore semaphore(0);
  Child producer{Child::member, [&] {
                   for (int i = 0; i < 4; ++i) semaphore.release();
                   semaphore.acquire();
                   ::kill(::getpid(), SIGKILL);
                 }};
  EXPECT_EQ(producer.wait(), -SIGKILL);
  EXPECT_EQ(semaphore.get_value(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(semaphore.acquire());
  EXPECT_FALSE(semaphore.acquire(10ms));
}

TEST_F(SemaphoreCrash, WithoutRecoveryNothingComesBack) {
  const Semaphore semaphore({.value = 2, .recover = false});
  Child holder{Child::member, [&] {
                 semaphore.acquire();
                 ::kill(::getpid(), SIGKILL);
               }};
  EXPECT_EQ(holder.wait(), -SIGKILL);
  EXPECT_EQ(semaphore.get_value(), 1);
}

TEST_F(SemaphoreCrash, KilledAtAnyStepOfAcquireOrReleaseEveryUnitComesBack) {
  const Semaphore semaphore(2);
  for (const char* step : {"semaphore.taken", "semaphore.mirrored", "lock.before_release"}) {
    for (int nth = 1; nth <= 4; ++nth) {
      EXPECT_TRUE(dies_at(step, nth, [&] {
        return [&] {
          semaphore.acquire();
          semaphore.acquire();
          semaphore.release();
          semaphore.release();
        };
      })) << step;
      EXPECT_EQ(semaphore.get_value(), 2) << step << ' ' << nth;
    }
  }
}

// An orderly end folds what was taken into the base: once, wherever that is cut short.
TEST_F(SemaphoreCrash, KilledAtAnyStepOfLeavingTheUnitIsTakenOrBack) {
  for (const char* step : {"semaphore.fold_planned", "semaphore.fold_begun", "semaphore.fold_base",
                           "semaphore.fold_cleared", "lock.before_release"}) {
    const Semaphore semaphore(2);
    EXPECT_TRUE(dies_at(step, step == std::string_view("lock.before_release") ? 2 : 1, [&] {
      semaphore.acquire();
      return [] { synchronize::leave(); };
    })) << step;
    const bool was_planned_only = step == std::string_view("semaphore.fold_planned");
    EXPECT_EQ(semaphore.get_value(), was_planned_only ? 2 : 1) << step;
  }
}

TEST_F(SemaphoreCrash, KilledAtAnyStepOfRecoveringForAnotherEveryUnitComesBackOnce) {
  for (const char* step :
       {"semaphore.fold_planned", "semaphore.fold_begun", "semaphore.fold_base", "semaphore.fold_cleared"}) {
    const Semaphore semaphore(2);
    Child holder{Child::member, [&] {
                   semaphore.acquire();
                   ::kill(::getpid(), SIGKILL);
                 }};
    EXPECT_EQ(holder.wait(), -SIGKILL);
    EXPECT_TRUE(dies_at(step, 1, [&] { return [&] { static_cast<void>(semaphore.get_value()); }; })) << step;
    EXPECT_EQ(semaphore.get_value(), 2) << step;
  }
}

}  // namespace
}  // namespace multiprocessing
