// A large result is received without keeping anybody else from theirs.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::Shared;
using testing::Watchdog;

constexpr std::size_t large = 200'000;

// In the program alone: how far the receiving of a Slow is, and whether it may go on.
Shared<int>* receiving = nullptr;  // workers look at it too
Shared<pid_t>* maker = nullptr;    // the worker that has made one
std::atomic<bool> may_go_on{false};
std::atomic<std::thread::id> receiver;

// A result that takes its time to be received.
struct Slow {
  std::string text;
  std::optional<Value<int>> shared;

  template <class Archive>
  void save(Archive& archive) const {
    archive(text, shared);
  }
  template <class Archive>
  void load(Archive& archive) {
    receiver = std::this_thread::get_id();
    receiving->add(1);
    eventually([] { return may_go_on.load(); });
    archive(text, shared);
  }
};

Slow make_slow() { return {std::string(large, 'x'), std::nullopt}; }
Slow make_slow_that_names() {
  maker->set(::getpid());
  return {std::string(large, 'x'), Value<int>(7)};
}
int same(int n) { return n; }

class PoolLargeResults : public ::testing::Test {
 protected:
  Pool make_pool() {  // after what its workers look at
    receiving = &count;
    maker = &worker;
    may_go_on = false;
    return Pool(2);
  }
  void await_receiving() {
    eventually([this] { return count.get() != 0; });
  }

  Watchdog dog{60s};
  Shared<int> count;
  Shared<pid_t> worker;
  Pool pool = make_pool();
};

TEST_F(PoolLargeResults, AnotherThreadTakesASmallOneMeanwhile) {
  auto slow = pool.apply_async(make_slow);
  std::thread other([&] { EXPECT_EQ(slow.get().text.size(), large); });
  await_receiving();
  EXPECT_EQ(pool.apply(same, 5), 5);
  may_go_on = true;
  other.join();
  EXPECT_EQ(count.get(), 1);
}

TEST_F(PoolLargeResults, WhoWaitsForASmallOneDoesNotReceiveThem) {
  auto slow = pool.apply_async(make_slow);
  pool.apply([] { eventually([] { return receiving->get() != 0; }); });
  EXPECT_NE(receiver.load(), std::this_thread::get_id());
  may_go_on = true;
  EXPECT_EQ(slow.get().text.size(), large);
}

TEST_F(PoolLargeResults, OthersOfTheSameMapArriveMeanwhile) {
  const std::vector<int> numbers{0, 1, 2, 3, 4, 5};
  auto all = pool.map_async([](int) { return make_slow(); }, numbers, {.chunksize = 1});
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) others.emplace_back([&all] { all.wait(); });
  eventually([this] { return count.get() >= 2; });
  may_go_on = true;
  for (std::thread& other : others) other.join();
  for (const Slow& each : all.get()) EXPECT_EQ(each.text.size(), large);
  EXPECT_EQ(count.get(), 6);
}

TEST_F(PoolLargeResults, AnImapReceivesThemToo) {
  std::atomic<int> seen{0};
  std::thread other([&] {
    for (const Slow& each : pool.imap([](int) { return make_slow(); }, std::vector<int>(3))) {
      EXPECT_EQ(each.text.size(), large);
      ++seen;
    }
  });
  await_receiving();
  EXPECT_EQ(pool.apply(same, 5), 5);
  may_go_on = true;
  other.join();
  EXPECT_EQ(seen, 3);
}

TEST_F(PoolLargeResults, WhoeverWaitsReceivesThemWhileTheResultThreadRunsACallback) {
  std::atomic<bool> runs{false};
  std::atomic<bool> has_come{false};
  may_go_on = true;
  pool.apply_async(same, 1).on_success([&](int) {
    runs = true;
    eventually([&] { return has_come.load(); });
  });
  eventually([&] { return runs.load(); });
  auto slow = pool.apply_async(make_slow);
  EXPECT_EQ(wait_any({slow}), 0U);
  has_come = true;
  pool.close();
  pool.join();  // with it the callback has ended
}

TEST_F(PoolLargeResults, OneThatIsBeingReceivedIsNotCancelled) {
  auto slow = pool.apply_async(make_slow);
  std::thread other([&] { EXPECT_EQ(slow.get().text.size(), large); });
  await_receiving();
  EXPECT_FALSE(slow.cancel());
  EXPECT_FALSE(slow.ready());
  may_go_on = true;
  other.join();
  EXPECT_EQ(pool.stats().deaths, 0U);
}

TEST_F(PoolLargeResults, OneThatIsBeingReceivedWhenThePoolIsTerminatedIsCancelled) {
  auto slow = pool.apply_async(make_slow);
  std::thread other([&] { EXPECT_THROW(slow.get(), Cancelled); });
  await_receiving();
  auto running = pool.apply_async(testing::sleep_in_task, 1);
  std::thread ending([&] { pool.terminate(); });
  eventually([&] { return running.ready(); });
  may_go_on = true;
  ending.join();
  other.join();
}

TEST_F(PoolLargeResults, WhatOneNamesIsThereAlthoughItsWorkerDiesMeanwhile) {
  auto slow = pool.apply_async(make_slow_that_names);
  std::thread other([&] {
    const Slow result = slow.get();
    EXPECT_EQ(result.text.size(), large);
    EXPECT_EQ(result.shared->get(), 7);
  });
  await_receiving();
  ::kill(worker.get(), SIGKILL);
  eventually([&] { return ::kill(worker.get(), 0) != 0 && errno == ESRCH; });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.apply(same, i), i);
  may_go_on = true;
  other.join();
  eventually([&] { return pool.stats().deaths == 1; });
  EXPECT_EQ(pool.apply(same, 5), 5);
}

}  // namespace
}  // namespace multiprocessing
