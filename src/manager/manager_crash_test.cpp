// Clients and servers that are killed, at every named step of a call.
#include <signal.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "manager/manager_test_support.hpp"
#include "memory/family.hpp"
#include "support/crash.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;
using multiprocessing::testing::Child;
using multiprocessing::testing::dies_at;

namespace {

class ManagerCrashTest : public ::testing::Test {
 protected:
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(100)};
};

// --- a client of the family dies in a call ----------------------------------------------------------------------------

class ClientCrashTest : public ManagerCrashTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(AtEachStep, ClientCrashTest,
                         ::testing::Values("manager.client.placed", "manager.client.written", "manager.client.asked",
                                           "manager.client.read", "manager.client.taken"),
                         [](const auto& param) {
                           std::string name = param.param;
                           return name.substr(name.rfind('.') + 1);
                         });

TEST_P(ClientCrashTest, Faults30_AnItemIsTakenByTheDeadOrGoesToTheNext) {
  const mp::Manager manager;
  const auto queue = manager.queue<int>();
  queue.put(1);
  queue.put(2);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { static_cast<void>(queue.get()); }; }));
  const bool taken = std::string(GetParam()) == "manager.client.taken";
  // The server may hear of the death after the next get(): what was on its way comes back then.
  std::set<int> left{queue.get()};
  if (!taken) left.insert(queue.get());
  EXPECT_EQ(left, taken ? std::set<int>{2} : (std::set<int>{1, 2}));
}
TEST_P(ClientCrashTest, Faults30_ALockIsReleased) {
  const mp::Manager manager;
  const auto lock = manager.lock();
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { lock.acquire(); }; }));
  EXPECT_TRUE(lock.acquire());
  lock.release();
}
TEST_P(ClientCrashTest, WhatTheCallTookIsGivenBack) {
  const mp::Manager manager;
  const auto value = manager.value<int>(0);
  value.set(1);
  const auto before = mp::memory::stats();
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { value.set(2); }; }));
  while (mp::memory::stats().objects > before.objects) std::this_thread::yield();
}

// --- a client dies between calls, whichever way it came ---------------------------------------------------------------

class HolderCrashTest : public EveryWay {
 protected:
  // A process that does this, says so, and is killed.
  template <class F>
  void die_after(const F& what) {
    Child child{Child::member, [&] {
                  what();
                  ::raise(SIGKILL);
                }};
    ASSERT_EQ(child.wait(), -SIGKILL);
  }
};
FOR_EVERY_WAY(HolderCrashTest);

TEST_P(HolderCrashTest, Faults30_TheNextHolderOfALockIsTold) {
  const auto lock = objects_->lock();
  die_after([&] { lock.acquire(); });
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
  const std::scoped_lock hold(lock);
  EXPECT_FALSE(lock.owner_died());
}
TEST_P(HolderCrashTest, Faults30_UnitsOfASemaphoreComeBack) {
  const auto semaphore = objects_->semaphore(2);
  die_after([&] {
    semaphore.acquire();
    semaphore.acquire();
  });
  semaphore.acquire();
  semaphore.acquire();
  EXPECT_EQ(semaphore.get_value(), 0);
}
TEST_P(HolderCrashTest, Faults30_AnUpdateThatWasBegunIsNone) {
  const auto dict = objects_->dict<std::string, int>();
  dict.set("a", 1);
  die_after([&] {
    dict.update("a", [](int& n) {
      n = 2;
      ::raise(SIGKILL);
    });
  });
  dict.set("a", dict.at("a") + 10);
  EXPECT_EQ(dict.at("a"), 11);
}
TEST_P(HolderCrashTest, Faults30_TheWaitersOfABarrierAreTold) {
  const auto barrier = objects_->barrier(3);
  Child child{Child::member, [&] { barrier.wait(); }};
  while (barrier.n_waiting() == 0) std::this_thread::yield();
  child.signal(SIGKILL);
  EXPECT_THROW(barrier.wait(), mp::BrokenBarrier);
  EXPECT_EQ(child.wait(), -SIGKILL);
}
TEST_P(HolderCrashTest, AnItemThatWasNotDoneIsHandedOutOnceMore) {
  const auto queue = objects_->joinable_queue<int>();
  queue.put(7);
  die_after([&] { static_cast<void>(queue.get()); });
  EXPECT_EQ(queue.get(), 7);
  queue.task_done();
  queue.join();
  queue.put(8);
  die_after([&] { static_cast<void>(queue.get()); });
  die_after([&] { static_cast<void>(queue.get()); });
  EXPECT_THROW(queue.join(), mp::Error);
  queue.join();
}
TEST_P(HolderCrashTest, WhoWaitsInGetAndDiesTakesNothing) {
  const auto queue = objects_->queue<int>();
  const auto begun = objects_->event();
  Child child{Child::member, [&] {
                begun.set();
                static_cast<void>(queue.get());
              }};
  begun.wait();
  child.signal(SIGKILL);
  EXPECT_EQ(child.wait(), -SIGKILL);
  // The server may still take it for alive: what it is given then comes back.
  queue.put(1);
  EXPECT_EQ(queue.get(), 1);
}

// --- the server dies --------------------------------------------------------------------------------------------------

class ServerCrashTest : public ManagerCrashTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(AtEachStep, ServerCrashTest,
                         ::testing::Values("manager.server.taken", "manager.server.written", "manager.server.answered"),
                         [](const auto& param) {
                           std::string name = param.param;
                           return name.substr(name.rfind('.') + 1);
                         });

TEST_P(ServerCrashTest, TheCallOnItsWayGetsManagerDied) {
  const char* const step = GetParam();
  const mp::Manager manager({.initializer = [step] { mp::os::steps::kill_at(step, 3); }});
  const auto value = manager.value<int>(1);  // the first call
  EXPECT_EQ(value.get(), 1);
  // Of an answer that is there the client knows nothing but that it is there.
  EXPECT_THROW(
      {
        static_cast<void>(value.get());
        static_cast<void>(value.get());
      },
      mp::ManagerDied);
}
TEST_F(ManagerCrashTest, AServerThatDiesWhileItStartsIsTold) {
  EXPECT_THROW(mp::Manager({.initializer = [] { ::raise(SIGKILL); }}), mp::ManagerDied);
}

}  // namespace
