// Executor: code written for a thread pool runs on processes.
#include "multiprocessing/executor.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::Shared;
using testing::Watchdog;

int twice(int n) { return 2 * n; }

// As anybody writes it who has a thread pool.
template <class Pool>
int sum_of(Pool& executor) {
  std::vector<std::future<int>> futures;
  for (int n = 0; n < 100; ++n) futures.push_back(executor.submit(twice, n));
  int sum = 0;
  for (std::future<int>& future : futures) sum += future.get();
  return sum;
}

TEST(Executor, RunsCodeOfAThreadPool) {
  Watchdog dog{60s};
  executor pool(2);
  EXPECT_EQ(sum_of(pool), 99 * 100);
  EXPECT_NE(pool.submit([] { return static_cast<int>(::getpid()); }).get(), ::getpid());
}

TEST(Executor, ResultsMayBeVoidOrMoveOnly) {
  Watchdog dog{60s};
  Executor pool({.processes = 1});
  pool.submit([] {}).get();
  EXPECT_EQ(*pool.submit([](int n) { return std::make_unique<int>(n); }, 3).get(), 3);
  EXPECT_EQ(pool.submit([](std::string s) { return s + "!"; }, "text").get(), "text!");
}

TEST(Executor, AnExceptionOrADeathIsTheFutures) {
  Watchdog dog{60s};
  Executor pool(2);
  auto thrown = pool.submit([]() -> int { throw std::out_of_range("far"); });
  auto died = pool.submit([] { ::_exit(3); });
  auto late = pool.submit({.timeout = 20ms}, testing::sleep_in_task, 1);
  EXPECT_THROW(thrown.get(), std::out_of_range);
  EXPECT_THROW(died.get(), WorkerDied);
  EXPECT_THROW(late.get(), TaskTimeout);
  EXPECT_EQ(pool.submit(twice, 4).get(), 8);
}

TEST(Executor, LeavingScopeFinishesWhatWasSubmitted) {
  Watchdog dog{60s};
  std::vector<std::future<int>> futures;
  {
    Executor pool(2);
    for (int n = 0; n < 50; ++n) futures.push_back(pool.submit(twice, n));
  }
  for (int n = 0; n < 50; ++n) {
    ASSERT_EQ(futures[static_cast<std::size_t>(n)].wait_for(0s), std::future_status::ready);
    EXPECT_EQ(futures[static_cast<std::size_t>(n)].get(), 2 * n);
  }
}

TEST(Executor, LeavingScopeByAnExceptionCancels) {
  Watchdog dog{60s};
  std::future<int> future;
  try {
    Executor pool(1);
    future = pool.submit(testing::sleep_in_task, 1);
    throw std::runtime_error("elsewhere");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THROW(future.get(), Cancelled);
}

TEST(Executor, AfterShutdownItTakesNoMore) {
  Watchdog dog{60s};
  Executor pool(1);
  auto future = pool.submit(twice, 1);
  pool.shutdown();
  pool.shutdown();
  EXPECT_EQ(future.get(), 2);
  EXPECT_THROW(static_cast<void>(pool.submit(twice, 2)), std::invalid_argument);
}

TEST(Executor, ExecuteReportsAnException) {
  Watchdog dog{60s};
  Captured err(2);
  {
    Executor pool(1);
    pool.execute([] { throw std::out_of_range("far"); });
    pool.execute(twice, 1);
  }
  const std::string text = err.text();
  EXPECT_NE(text.find("far"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

TEST(Executor, IsUsableFromSeveralThreads) {
  Watchdog dog{60s};
  Executor pool(2);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { right += sum_of(pool) == 99 * 100; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

TEST(Executor, HasItsPoolForTheRest) {
  Watchdog dog{60s};
  Executor pool(1);
  EXPECT_EQ(pool.pool().map(twice, std::vector{1, 2}), (std::vector{2, 4}));
}

}  // namespace
}  // namespace multiprocessing
