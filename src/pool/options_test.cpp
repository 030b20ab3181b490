// What PoolOptions and TaskOptions promise.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/process.hpp"
#include "multiprocessing/this_task.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::Shared;
using testing::sleep_in_task;

int same(int x) { return x; }

int pid_of_worker(int) { return static_cast<int>(::getpid()); }

int sleep_deaf_to_all_signals(int) {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  for (;;) ::sleep(1000);
}

int spin_for_ever(int) {
  for (std::atomic<int> i{0};; ++i) {
  }
}

// --- timeouts -------------------------------------------------------------------------------------------------------

TEST(PoolTimeout, Faults07_ATaskThatRunsPastItGetsTaskTimeoutAndThePoolGoesOn) {
  Pool pool(2);
  for (int (*const task)(int) : {sleep_in_task, sleep_deaf_to_all_signals, spin_for_ever}) {
    auto late = pool.apply_async({.timeout = 50ms}, task, 1);
    EXPECT_THROW(late.get(), TaskTimeout);
    EXPECT_EQ(pool.apply(same, 5), 5);
  }
  EXPECT_EQ(pool.stats().timeouts, 3U);
}

TEST(PoolTimeout, ItsTextNamesTheTaskAndTheLimit) {
  Pool pool(1);
  try {
    pool.apply({.timeout = 50ms}, sleep_in_task, 1);
    FAIL();
  } catch (const TaskTimeout& e) {
    EXPECT_NE(std::string(e.what()).find("0.05"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("apply of"), std::string::npos) << e.what();
  }
}

TEST(PoolTimeout, Faults07_WhatTheTaskHasStartedEndsWithIt) {
  Shared<int> grandchild;
  Pool pool(1);
  auto late = pool.apply_async(
      {.timeout = 200ms},
      [](std::uintptr_t shared) {
        const pid_t pid = ::fork();
        if (pid == 0) {
          ::signal(SIGTERM, SIG_IGN);
          ::setsid();
          for (;;) ::pause();
        }
        reinterpret_cast<Shared<int>*>(shared)->set(pid);
        for (;;) ::pause();
      },
      reinterpret_cast<std::uintptr_t>(&grandchild));
  EXPECT_THROW(late.get(), TaskTimeout);
  EXPECT_NE(grandchild.get(), 0);
  eventually([&] { return ::kill(grandchild.get(), 0) != 0; });
}

TEST(PoolTimeout, CountsFromTheStartAndNotFromTheCall) {
  Pool pool(1);
  const auto nap = [](int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    return ms;
  };
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 8; ++i) results.push_back(pool.apply_async({.timeout = 10s}, nap, 20));
  results.push_back(pool.apply_async({.timeout = 1s}, nap, 1));  // alone it would be over before the others are
  for (const auto& result : results) EXPECT_NO_THROW(result.get());
}

TEST(PoolTimeout, OfOneTaskDoesNotTouchItsNeighbours) {
  Pool pool(2);
  std::vector<AsyncResult<int>> good;
  std::vector<AsyncResult<int>> late;
  for (int i = 0; i < 200; ++i) {
    good.push_back(pool.apply_async({.timeout = 60s}, same, i));
    if (i % 20 == 0) late.push_back(pool.apply_async({.timeout = 5ms}, sleep_in_task, i));
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(good[static_cast<std::size_t>(i)].get(), i);
  for (const auto& each : late) EXPECT_THROW(each.get(), TaskTimeout);
}

TEST(PoolTimeout, OfAMapFailsIt) {
  Pool pool(2);
  const auto last_sleeps = [](int i) { return i == 3 ? sleep_in_task(i) : i; };
  EXPECT_THROW(pool.map(last_sleeps, std::vector{1, 2, 3}, {.timeout = 50ms}), TaskTimeout);
  EXPECT_EQ(pool.map(last_sleeps, std::vector{1, 2}, {.timeout = 50s}), (std::vector{1, 2}));
}

TEST(PoolTimeout, AShorterOneIsKeptWhileALongerOneRuns) {
  Pool pool(2);
  auto longer = pool.apply_async({.timeout = 600s}, sleep_in_task, 1);
  auto shorter = pool.apply_async({.timeout = 20ms}, sleep_in_task, 1);
  EXPECT_THROW(shorter.get(), TaskTimeout);
  EXPECT_FALSE(longer.ready());
  EXPECT_TRUE(longer.cancel());
}

TEST(PoolTimeout, SoftAsksTheTaskToStop) {
  Pool pool(1);
  const auto until_asked = [](int) {
    while (!stop_requested()) std::this_thread::sleep_for(1ms);
    return 7;
  };
  EXPECT_EQ(pool.apply({.timeout = 100s, .soft_timeout = 20ms}, until_asked, 0), 7);
  EXPECT_FALSE(pool.apply([] { return stop_requested(); }));
  EXPECT_FALSE(pool.apply({.soft_timeout = 100s}, [] { return stop_requested(); }));
  EXPECT_FALSE(stop_requested());
}

TEST(PoolTimeout, NegativeIsRefused) {
  Pool pool(1);
  EXPECT_THROW(pool.apply({.timeout = -1s}, same, 1), std::invalid_argument);
  EXPECT_THROW(pool.apply({.retries = -1}, same, 1), std::invalid_argument);
}

// --- retries --------------------------------------------------------------------------------------------------------

TEST(PoolRetries, ATaskWhoseWorkerDiesRunsAgain) {
  Shared<int> runs;
  Pool pool(2);
  const auto dies_twice = [](std::uintptr_t shared) {
    auto& count = *reinterpret_cast<Shared<int>*>(shared);
    count.add(1);
    if (count.get() <= 2) ::kill(::getpid(), SIGKILL);
    return 5;
  };
  EXPECT_EQ(pool.apply({.retries = 2}, dies_twice, reinterpret_cast<std::uintptr_t>(&runs)), 5);
  EXPECT_EQ(runs.get(), 3);
  EXPECT_EQ(pool.stats().retried, 2U);
}

TEST(PoolRetries, AreUsedUp) {
  Shared<int> runs;
  Pool pool(2);
  const auto dies = [](std::uintptr_t shared) {
    reinterpret_cast<Shared<int>*>(shared)->add(1);
    ::_exit(3);
  };
  EXPECT_THROW(pool.apply({.retries = 3}, dies, reinterpret_cast<std::uintptr_t>(&runs)), WorkerDied);
  EXPECT_EQ(runs.get(), 4);
}

TEST(PoolRetries, ATimeoutIsRetriedToo) {
  Shared<int> runs;
  Pool pool(1);
  const auto slow_at_first = [](std::uintptr_t shared) {
    auto& count = *reinterpret_cast<Shared<int>*>(shared);
    count.add(1);
    if (count.get() == 1) sleep_in_task(0);
    return 6;
  };
  EXPECT_EQ(pool.apply({.timeout = 200ms, .retries = 1}, slow_at_first, reinterpret_cast<std::uintptr_t>(&runs)), 6);
}

TEST(PoolRetries, AnExceptionIsRetriedOnRequestOnly) {
  Shared<int> runs;
  Pool pool(1);
  const auto throws_at_first = [](std::uintptr_t shared) {
    auto& count = *reinterpret_cast<Shared<int>*>(shared);
    count.add(1);
    if (count.get() < 3) throw std::runtime_error("not yet");
    return 8;
  };
  const auto place = reinterpret_cast<std::uintptr_t>(&runs);
  EXPECT_THROW(pool.apply({.retries = 5}, throws_at_first, place), std::runtime_error);
  runs.set(0);
  EXPECT_EQ(pool.apply({.retries = 5, .retry_exceptions = true}, throws_at_first, place), 8);
  runs.set(0);
  EXPECT_THROW(pool.apply({.retries = 1, .retry_exceptions = true}, throws_at_first, place), std::runtime_error);
}

TEST(PoolRetries, OfAMapRunAgainWhatDiedAndNothingElse) {
  Shared<int> runs;
  Pool pool(2);
  std::vector<std::pair<int, std::uintptr_t>> items;
  for (int i = 0; i < 20; ++i) items.emplace_back(i, reinterpret_cast<std::uintptr_t>(&runs));
  const auto one_dies = [](int i, std::uintptr_t shared) {
    auto& count = *reinterpret_cast<Shared<int>*>(shared);
    count.add(1);
    if (i == 10 && count.get() < 20) ::_exit(1);
    return i;
  };
  std::vector<int> all = pool.starmap(one_dies, items, {.retries = 30});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
}

// --- cancel ---------------------------------------------------------------------------------------------------------

TEST(PoolCancel, AWaitingTaskNeverRuns) {
  Shared<int> runs;
  Pool pool(1);
  auto first = pool.apply_async(sleep_in_task, 0);
  auto second = pool.apply_async([](std::uintptr_t shared) { reinterpret_cast<Shared<int>*>(shared)->add(1); },
                                 reinterpret_cast<std::uintptr_t>(&runs));
  EXPECT_TRUE(second.cancel());
  EXPECT_THROW(second.get(), Cancelled);
  EXPECT_TRUE(first.cancel());
  EXPECT_THROW(first.get(), Cancelled);
  EXPECT_EQ(pool.apply(same, 1), 1);
  EXPECT_EQ(runs.get(), 0);
}

TEST(PoolCancel, ARunningTaskIsKilledAndItsNeighboursAreNot) {
  Shared<int> begun;
  Pool pool(1);
  auto running = pool.apply_async(
      [](std::uintptr_t shared) {
        reinterpret_cast<Shared<int>*>(shared)->set(1);
        return sleep_in_task(0);
      },
      reinterpret_cast<std::uintptr_t>(&begun));
  auto behind = pool.apply_async(same, 4);
  eventually([&] { return begun.get() == 1; });
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), Cancelled);
  EXPECT_EQ(behind.get(), 4);
}

TEST(PoolCancel, AFinishedTaskSaysFalseAndKeepsItsValue) {
  Pool pool(1);
  auto done = pool.apply_async(same, 3);
  done.wait();
  EXPECT_FALSE(done.cancel());
  EXPECT_EQ(done.get(), 3);
  EXPECT_FALSE(done.cancel());
}

TEST(PoolCancel, OfAMapLeavesNothingOfItRunning) {
  Pool pool(2);
  auto all = pool.map_async(sleep_in_task, std::vector<int>(1000), {.chunksize = 1});
  EXPECT_TRUE(all.cancel());
  EXPECT_THROW(all.get(), Cancelled);
  EXPECT_EQ(pool.map(same, std::vector{1, 2, 3}), (std::vector{1, 2, 3}));
}

TEST(PoolCancel, AtAnyTimeGivesEitherTheValueOrCancelled) {
  Pool pool(2);
  for (int i = 0; i < 300; ++i) {
    auto result = pool.apply_async(same, i);
    auto other = pool.apply_async(same, -i);
    for (std::atomic<int> spin{0}; spin < i * 20; ++spin) {
    }
    if (result.cancel()) {
      EXPECT_THROW(result.get(), Cancelled);
    } else {
      EXPECT_EQ(result.get(), i);
    }
    EXPECT_EQ(other.get(), -i);
  }
}

// --- workers --------------------------------------------------------------------------------------------------------

TEST(PoolRecycling, Faults09_AWorkerEndsAfterSoManyTasksAndNothingIsLost) {
  Pool pool({.processes = 2, .max_tasks_per_child = 10});
  std::vector<int> numbers(1000);
  for (int i = 0; i < 1000; ++i) numbers[static_cast<std::size_t>(i)] = i;
  EXPECT_EQ(pool.map(same, numbers, {.chunksize = 1}), numbers);
  std::map<int, int> tasks_of;
  for (int pid : pool.map(pid_of_worker, numbers, {.chunksize = 1})) ++tasks_of[pid];
  for (const auto& [pid, tasks] : tasks_of) EXPECT_LE(tasks, 10) << pid;
  EXPECT_GE(pool.stats().recycled, 150U);
  EXPECT_EQ(pool.stats().deaths, 0U);
}

TEST(PoolRecycling, ImapKeepsItsOrder) {
  Pool pool({.processes = 2, .max_tasks_per_child = 3});
  std::vector<int> numbers(500);
  for (int i = 0; i < 500; ++i) numbers[static_cast<std::size_t>(i)] = i;
  int next = 0;
  for (int n : pool.imap(same, numbers)) EXPECT_EQ(n, next++);
  EXPECT_EQ(next, 500);
}

TEST(PoolFinalizer, RunsOnceInEachWorkerThatEndsInOrder) {
  Shared<int> runs;
  {
    Pool pool({.processes = 3, .max_tasks_per_child = 5, .finalizer = [&] { runs.add(1); }});
    pool.map(same, std::vector<int>(50), {.chunksize = 1});
  }
  EXPECT_GE(runs.get(), 10);
}

TEST(PoolFinalizer, OneThatHangsIsKilledWhenTheGraceIsOver) {
  Pool pool({.processes = 1,
             .finalizer =
                 [] {
                   for (;;) ::pause();
                 },
             .grace = 50ms});
  EXPECT_EQ(pool.apply(same, 1), 1);
  pool.close();
  pool.join();
}

TEST(PoolMemory, Faults08_ATaskThatWantsTooMuchGetsMemoryLimitExceeded) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a sanitizer ends who gets no memory";
  Pool pool({.processes = 1, .memory_limit = mib(200)});
  const auto touch = [](std::size_t bytes) {
    std::vector<char> block(bytes, 'x');
    return static_cast<int>(block[bytes / 2]);
  };
  const int before = pool.apply(pid_of_worker, 0);
  EXPECT_EQ(pool.apply(touch, std::size_t{20} << 20), 'x');
  EXPECT_THROW(pool.apply(touch, std::size_t{400} << 20), MemoryLimitExceeded);
  EXPECT_EQ(pool.apply(touch, std::size_t{20} << 20), 'x');
  EXPECT_EQ(pool.apply(pid_of_worker, 0), before) << "an allocation that fails does not cost the worker";
}

TEST(PoolRestarts, Faults11_WorkersThatAlwaysDieBreakThePoolWithAClearError) {
  Pool pool({.processes = 2});
  const testing::Ends ends = testing::ends_of_calls(
      pool, [](int) -> int { ::_exit(9); }, 200, "exit code 9");
  EXPECT_EQ(ends.died + ends.broken, 200U);
  EXPECT_GE(ends.died, 40U);
  EXPECT_GE(ends.broken, 100U);
  EXPECT_THROW(pool.apply(same, 1), PoolBroken);
}

TEST(PoolRestarts, CrashesBetweenWhichTasksGetDoneBreakNothing) {
  Pool pool({.processes = 2});
  for (int i = 0; i < 100; ++i) {
    EXPECT_THROW(pool.apply([](int) -> int { ::_exit(9); }, i), WorkerDied);
    EXPECT_EQ(pool.apply(same, i), i);
  }
}

TEST(PoolRestarts, MoreThanMaxRestartsWithinTheWindowBreakThePool) {
  Pool pool({.processes = 1, .max_restarts = 2, .restart_window = 600s});
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(pool.apply([](int) -> int { ::_exit(9); }, i), WorkerDied);
    if (i == 2) break;
    EXPECT_EQ(pool.apply(same, i), i);
  }
  EXPECT_THROW(pool.apply(same, 1), PoolBroken);
}

TEST(PoolPriority, TheHigherStartsFirst) {
  Shared<int> gate;
  Pool pool(1);
  const auto place = reinterpret_cast<std::uintptr_t>(&gate);
  auto blocker = pool.apply_async(
      [](std::uintptr_t shared) {
        while (reinterpret_cast<Shared<int>*>(shared)->get() == 0) std::this_thread::sleep_for(1ms);
      },
      place);
  const auto turn = [](std::uintptr_t shared) {
    auto& count = *reinterpret_cast<Shared<int>*>(shared);
    count.add(1);
    return count.get();
  };
  std::vector<AsyncResult<int>> low;
  for (int i = 0; i < 5; ++i) low.push_back(pool.apply_async({.priority = -1}, turn, place));
  auto normal = pool.apply_async(turn, place);
  auto high = pool.apply_async({.priority = 3}, turn, place);
  gate.set(1);
  blocker.get();
  EXPECT_EQ(high.get(), 2);
  EXPECT_EQ(normal.get(), 3);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(low[static_cast<std::size_t>(i)].get(), 4 + i);
}

TEST(PoolResize, MoreWorkersWorkAndFewerStay) {
  Pool pool(1);
  pool.resize(4);
  EXPECT_EQ(pool.processes(), 4);
  eventually([&] { return testing::workers(pool).size() == 4; });
  pool.resize(2);
  eventually([&] { return testing::workers(pool).size() == 2; });
  EXPECT_EQ(pool.map(same, std::vector{1, 2, 3}), (std::vector{1, 2, 3}));
  pool.resize(3);
  eventually([&] { return testing::workers(pool).size() == 3; });
  EXPECT_EQ(pool.stats().deaths, 0U);
  EXPECT_THROW(pool.resize(0), std::invalid_argument);
  EXPECT_THROW(pool.resize(1025), std::invalid_argument);
}

TEST(PoolResize, LosesNoTask) {
  Pool pool(2);
  auto all = pool.map_async(same, std::vector<int>(20000, 3), {.chunksize = 1});
  for (const int n : {1, 4, 2, 6, 1, 3}) pool.resize(n);
  EXPECT_EQ(all.get(), std::vector<int>(20000, 3));
}

TEST(PoolNames, AndCpusAreThoseGiven) {
  int cpu = ::sched_getcpu();
  Pool pool({.processes = 2, .name = "solver", .cpus = {cpu}});
  const std::string name = pool.apply([] { return current_process().name(); });
  EXPECT_EQ(name.substr(0, 7), "solver-");
  EXPECT_EQ(pool.apply([] { return cpu_count(); }), 1);
}

TEST(PoolStatistics, CountWhatHappened) {
  Pool pool(2);
  pool.map(same, std::vector<int>(100), {.chunksize = 1});
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.processes, 2);
  EXPECT_EQ(stats.submitted, 100U);
  EXPECT_EQ(stats.done, 100U);
  EXPECT_EQ(stats.waiting, 0U);
  EXPECT_GT(stats.median_task_time.count(), 0);
  EXPECT_GE(stats.slow_task_time, stats.median_task_time);
  ASSERT_EQ(stats.workers.size(), 2U);
  EXPECT_GT(stats.workers[0].memory, 0U);
  EXPECT_EQ(stats.workers[0].done + stats.workers[1].done, 100U);
}

}  // namespace
}  // namespace multiprocessing
