// Clients of the network that are killed, at every named step of a call.
#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "manager/manager_test_support.hpp"
#include "support/crash.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;
using multiprocessing::testing::Child;
using multiprocessing::testing::dies_at;

namespace {

class RemoteCrashTest : public ::testing::TestWithParam<const char*> {
 protected:
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(100)};
  const mp::Manager manager_{{.address = "tcp://127.0.0.1:0", .authkey = key}};
  const mp::RemoteManager remote_{manager_.address(), key};
  [[nodiscard]] bool was_confirmed() const { return std::string(GetParam()) == "manager.remote.confirmed"; }
};
INSTANTIATE_TEST_SUITE_P(AtEachStep, RemoteCrashTest,
                         ::testing::Values("manager.remote.asked", "manager.remote.answered", "manager.remote.confirmed"),
                         [](const auto& param) {
                           std::string name = param.param;
                           return name.substr(name.rfind('.') + 1);
                         });

TEST_P(RemoteCrashTest, Faults30_AnItemIsTakenByTheDeadOrGoesToAnother) {
  const auto queue = remote_.queue<int>();
  queue.put(1);
  queue.put(2);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { static_cast<void>(queue.get()); }; }));
  // Until the server has heard of the death, somebody else may get the item behind it.
  const int first = queue.get();
  if (was_confirmed()) {
    EXPECT_EQ(first, 2);
  } else {
    EXPECT_EQ(first + queue.get(), 3);
  }
}
TEST_P(RemoteCrashTest, Faults30_ALockIsReleased) {
  const auto lock = remote_.lock();
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { lock.acquire(); }; }));
  EXPECT_TRUE(lock.acquire());
  lock.release();
}
TEST_P(RemoteCrashTest, Faults30_AUnitOfASemaphoreComesBack) {
  const auto semaphore = remote_.semaphore(1);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { semaphore.acquire(); }; }));
  EXPECT_TRUE(semaphore.acquire());
}
TEST_P(RemoteCrashTest, Faults30_AnEntryThatWasToBeChangedIsAsItWas) {
  const auto dict = remote_.dict<int, int>();
  const auto list = remote_.list<int>();
  dict.set(1, 10);
  list.push_back(20);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { dict.update(1, [](int& n) { n = 0; }); }; }));
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { list.update(0, [](int& n) { n = 0; }); }; }));
  EXPECT_EQ(dict.update(1, [](int& n) { return ++n; }), 11);
  EXPECT_EQ(list.update(0, [](int& n) { return ++n; }), 21);
}
TEST_P(RemoteCrashTest, Faults30_WhatWasPoppedIsTakenByTheDeadOrThereAgain) {
  const auto dict = remote_.dict<int, int>();
  const auto list = remote_.list<int>();
  dict.set(1, 10);
  for (int i = 0; i < 3; ++i) list.push_back(i);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { static_cast<void>(dict.pop(1)); }; }));
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { static_cast<void>(list.pop(1)); }; }));
  if (was_confirmed()) {
    EXPECT_FALSE(dict.contains(1));
    EXPECT_EQ(list.copy(), (std::vector<int>{0, 2}));
  } else {
    while (!dict.contains(1) || list.size() != 3) std::this_thread::yield();
    EXPECT_EQ(list.copy(), (std::vector<int>{0, 1, 2}));
  }
}
TEST_P(RemoteCrashTest, Faults30_ABarrierIsBroken) {
  if (std::string(GetParam()) != "manager.remote.asked") GTEST_SKIP() << "then all have met";
  const auto barrier = remote_.barrier(2);
  ASSERT_TRUE(dies_at(GetParam(), 1, [&] { return [&] { barrier.wait(); }; }));
  while (!barrier.broken()) std::this_thread::yield();  // until the server has heard of it
  EXPECT_THROW(barrier.wait(), mp::BrokenBarrier);
}

class RemoteHolderTest : public ::testing::Test {
 protected:
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(100)};
  const mp::Manager manager_{{.address = "tcp://127.0.0.1:0", .authkey = key}};
  const mp::RemoteManager remote_{manager_.address(), key};
};

TEST_F(RemoteHolderTest, Faults30_ALockIsReleasedThoughAChildOfTheDeadLivesOn) {
  const auto lock = remote_.lock();
  int alive[2];
  ASSERT_EQ(::pipe(alive), 0);
  Child child{Child::member, [&] {
                lock.acquire();
                if (::fork() == 0) {  // ends with this test
                  ::close(alive[1]);
                  char none = 0;
                  static_cast<void>(::read(alive[0], &none, 1));
                  ::_exit(0);
                }
                ::raise(SIGKILL);
              }};
  ASSERT_EQ(child.wait(), -SIGKILL);
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
  ::close(alive[0]);
  ::close(alive[1]);
}

}  // namespace
