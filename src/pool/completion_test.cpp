// as_completed and wait_any: results as they finish, of one pool or of several.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/async_result.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/synchronize.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Program;
using testing::Watchdog;

int twice(int n) { return 2 * n; }
int after(int n, Event go) {
  go.wait();
  return n;
}
std::unique_ptr<int> owned(int n) { return std::make_unique<int>(n); }
void nothing() {}

TEST(AsCompleted, ResultsComeInTheOrderInWhichTheyFinish) {
  Watchdog dog{60s};
  Pool pool(3);
  std::vector<Event> events(3);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 3; ++n) results.push_back(pool.apply_async(after, n, events[static_cast<std::size_t>(n)]));
  auto completed = as_completed(results);
  EXPECT_EQ(completed.size(), 3U);
  events[1].set();
  auto done = completed.begin();
  EXPECT_EQ((*done).get(), 1);
  events[2].set();
  EXPECT_EQ((*++done).get(), 2);
  events[0].set();
  EXPECT_EQ((*++done).get(), 0);
  EXPECT_TRUE(++done == completed.end());
}

TEST(AsCompleted, EachResultComesOnceAlsoWhenItIsReadyAlready) {
  Watchdog dog{60s};
  Pool pool(2);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 2'000; ++n) results.push_back(pool.apply_async(twice, n));
  results[1'999].wait();
  std::vector<int> all;
  for (auto& done : as_completed(results)) {
    EXPECT_TRUE(done.ready());
    all.push_back(done.get());
  }
  ASSERT_EQ(all.size(), 2'000U);
  std::ranges::sort(all);
  for (int n = 0; n < 2'000; ++n) EXPECT_EQ(all[static_cast<std::size_t>(n)], 2 * n);
}

TEST(AsCompleted, ResultsOfSeveralPools) {
  Watchdog dog{60s};
  Pool first(1);
  Pool second(1);
  Pool third(1);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 300; ++n)
    results.push_back((n % 3 == 0 ? first : n % 3 == 1 ? second : third).apply_async(twice, n));
  int sum = 0;
  for (auto& done : as_completed(results)) sum += done.get();
  EXPECT_EQ(sum, 299 * 300);
}

TEST(AsCompleted, AFailureIsAResultThatThrows) {
  Watchdog dog{60s};
  Pool pool(2);
  std::vector<AsyncResult<int>> results;
  results.push_back(pool.apply_async([]() -> int { ::_exit(3); }));
  results.push_back(pool.apply_async([]() -> int { throw std::out_of_range("far"); }));
  int deaths = 0;
  int exceptions = 0;
  for (auto& done : as_completed(results)) {
    try {
      done.get();
    } catch (const WorkerDied&) {
      ++deaths;
    } catch (const std::out_of_range&) {
      ++exceptions;
    }
  }
  EXPECT_EQ(deaths, 1);
  EXPECT_EQ(exceptions, 1);
}

TEST(AsCompleted, WhatIsNotReadyInTimeIsATimeoutAndNothingIsLost) {
  Watchdog dog{60s};
  Pool pool(2);
  Event go;
  std::vector<AsyncResult<int>> results{pool.apply_async(twice, 1), pool.apply_async(after, 7, go)};
  results[0].wait();
  auto completed = as_completed(results, 20ms);
  auto done = completed.begin();
  EXPECT_EQ((*done).get(), 2);
  try {
    ++done;
    FAIL();
  } catch (const TimeoutError& e) {
    EXPECT_STREQ(e.what(), "mp::as_completed: 1 of 2 results are not ready within the time given");
  }
  go.set();
  for (auto& late : as_completed(results)) late.get();
}

TEST(AsCompleted, NoneAndVoidAndWhatMovesOnly) {
  Watchdog dog{60s};
  Pool pool(1);
  for ([[maybe_unused]] auto& done : as_completed(std::vector<AsyncResult<int>>())) FAIL();
  for (auto& done : as_completed(std::vector{pool.apply_async(nothing)})) done.get();
  for (auto& done : as_completed(std::vector{pool.apply_async(owned, 5)})) EXPECT_EQ(*done.get(), 5);
}

TEST(AsCompleted, AnAbandonedRangeDisturbsNobody) {
  Watchdog dog{60s};
  Pool pool(2);
  Event go;
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 10; ++n) results.push_back(pool.apply_async(after, n, go));
  {
    auto completed = as_completed(results);
    static_cast<void>(completed.size());
  }
  go.set();
  EXPECT_EQ(results[9].get(), 9);
}

TEST(AsCompleted, APoolThatEndsLeavesNobodyWaiting) {
  Watchdog dog{60s};
  std::vector<AsyncResult<int>> results;
  Pool other(1);
  {
    Pool pool(2);
    for (int n = 0; n < 4; ++n) results.push_back(pool.apply_async(testing::sleep_in_task, n));
    results.push_back(other.apply_async(twice, 1));
    pool.terminate();
  }
  int cancelled = 0;
  int values = 0;
  for (auto& done : as_completed(results)) {
    try {
      values += done.get();
    } catch (const Cancelled&) {
      ++cancelled;
    }
  }
  EXPECT_EQ(cancelled, 4);
  EXPECT_EQ(values, 2);
}

TEST(AsCompleted, APoolThatEndsMeanwhileWakesWhoWaits) {
  Watchdog dog{60s};
  for (int round = 0; round < 20; ++round) {
    Pool pool(2);
    Pool other(1);
    std::vector<AsyncResult<int>> results{pool.apply_async(testing::sleep_in_task, 1),
                                          other.apply_async(testing::sleep_in_task, 2)};
    std::atomic<bool> waits{false};
    std::thread ends([&] {
      testing::eventually([&] { return waits.load(); });
      pool.terminate();
      other.terminate();
    });
    waits = true;
    int cancelled = 0;
    for (auto& done : as_completed(results)) {
      EXPECT_THROW(done.get(), Cancelled);
      ++cancelled;
    }
    EXPECT_EQ(cancelled, 2);
    ends.join();
  }
}

TEST(AsCompleted, WorksOnTheResultThread) {
  Watchdog dog{60s};
  Pool pool(2);
  Pool other(1);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 20; ++n) results.push_back((n % 2 == 0 ? pool : other).apply_async(twice, n));
  std::atomic<int> sum{-1};
  pool.apply_async(twice, 0).on_success([&](int) {
    int all = 0;
    for (auto& done : as_completed(results)) all += done.get();
    sum = all;
  });
  testing::eventually([&] { return sum.load() >= 0; });
  EXPECT_EQ(sum, 380);
}

TEST(AsCompleted, SeveralThreadsMayWaitForTheSameResults) {
  Watchdog dog{60s};
  Pool pool(2);
  Pool other(2);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 500; ++n) results.push_back((n % 2 == 0 ? pool : other).apply_async(twice, n));
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (auto& done : as_completed(results)) sum += done.get();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 4 * 499 * 500);
}

TEST(AsCompleted, AForkOfTheProgramIsToldInsteadOfWaiting) {
  Watchdog dog{60s};
  Pool pool(1);
  Event go;
  std::vector<AsyncResult<int>> results{pool.apply_async(after, 1, go)};
  Program child([&] {
    int told = 0;
    try {
      for (auto& done : as_completed(results)) done.get();
    } catch (const std::logic_error&) {
      ++told;
    }
    try {
      static_cast<void>(wait_any(results));
    } catch (const std::logic_error&) {
      ++told;
    }
    ::_exit(told);
    return 0;
  });
  EXPECT_EQ(child.status(), 2);
  go.set();
}

TEST(WaitAny, GivesThePositionOfAResultThatIsReady) {
  Watchdog dog{60s};
  Pool pool(2);
  Pool other(1);
  Event go;
  const auto slow = pool.apply_async(after, 1, go);
  const auto text = other.apply_async([](int n) { return std::to_string(n); }, 5);
  EXPECT_EQ(wait_any({slow, text}), 1U);
  EXPECT_EQ(text.get(), "5");
  EXPECT_EQ(wait_any({slow}, 10ms), std::nullopt);
  EXPECT_EQ(wait_any(std::vector{slow}, 0s), std::nullopt);
  go.set();
  EXPECT_EQ(wait_any(std::vector{slow}), 0U);
  EXPECT_EQ(wait_any(std::vector{slow}, 1s), std::optional<std::size_t>(0));
}

TEST(WaitAny, OfNothingIsAnError) {
  EXPECT_THROW(static_cast<void>(wait_any({})), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(wait_any(std::vector<AsyncResult<int>>(), 1s)), std::invalid_argument);
}

TEST(WaitAny, GoesThroughAllOfTwoPools) {
  Watchdog dog{60s};
  Pool pool(1);
  Pool other(1);
  std::vector<AsyncResult<int>> results;
  for (int n = 0; n < 200; ++n) results.push_back((n % 2 == 0 ? pool : other).apply_async(twice, n));
  int sum = 0;
  while (!results.empty()) {
    const std::size_t at = wait_any(results);
    sum += results[at].get();
    results.erase(results.begin() + static_cast<std::ptrdiff_t>(at));
  }
  EXPECT_EQ(sum, 199 * 200);
}

TEST(WaitAny, Faults12_ADeadSupervisorIsAnErrorOfAllItsResults) {
  Watchdog dog{60s};
  Pool pool(1);
  Pool other(1);
  const pid_t first = testing::supervisor(pool);
  const pid_t second = testing::supervisor(other);
  std::vector<AsyncResult<int>> results{pool.apply_async(testing::sleep_in_task, 1),
                                        other.apply_async(testing::sleep_in_task, 2)};
  ::kill(second, SIGKILL);
  EXPECT_EQ(wait_any(results), 1U);
  EXPECT_THROW(results[1].get(), PoolBroken);
  ::kill(first, SIGKILL);
  results.pop_back();
  EXPECT_EQ(wait_any(results), 0U);
  EXPECT_THROW(results[0].get(), PoolBroken);
}

TEST(Callbacks, OneThatIsAddedAfterTheEndOfThePoolRunsInTheCallersThread) {
  Watchdog dog{60s};
  std::optional<AsyncResult<int>> result;
  {
    Pool pool(1);
    result = pool.apply_async(twice, 4);
  }
  std::thread::id ran_in;
  int value = 0;
  result->on_success([&](int n) {
    ran_in = std::this_thread::get_id();
    value = n;
  });
  EXPECT_EQ(value, 8);
  EXPECT_EQ(ran_in, std::this_thread::get_id());
}

}  // namespace
}  // namespace multiprocessing
