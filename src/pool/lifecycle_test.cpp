// How a pool begins and ends, who may use it, and what its workers may do.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queue.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::Death;
using testing::eventually;
using testing::numbers;
using testing::Program;
using testing::Shared;
using testing::Watchdog;

int twice(int n) { return 2 * n; }

// --- the end -------------------------------------------------------------------------------------------------------

TEST(PoolEnd, AClosedPoolFinishesItsWorkAndTakesNoMore) {
  Watchdog dog{60s};
  Pool pool(2);
  auto later = pool.map_async(twice, numbers(1000), {.chunksize = 1});
  pool.close();
  pool.close();
  EXPECT_THROW(pool.apply(twice, 1), std::invalid_argument);
  EXPECT_THROW(pool.apply_async(twice, 1), std::invalid_argument);
  EXPECT_THROW(pool.map(twice, numbers(3)), std::invalid_argument);
  pool.join();
  EXPECT_TRUE(later.ready());
  EXPECT_EQ(later.get()[999], 1998);
}

TEST(PoolEnd, JoinOfARunningPoolIsRefused) {
  Watchdog dog{60s};
  Pool pool(1);
  EXPECT_THROW(pool.join(), std::invalid_argument);
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST(PoolEnd, JoinLeavesNoProcess) {
  Watchdog dog{60s};
  Pool pool(3);
  std::vector<Death> deaths;
  for (const pid_t pid : testing::workers(pool)) deaths.emplace_back(pid);
  deaths.emplace_back(testing::supervisor(pool));
  pool.close();
  pool.join();
  pool.join();
  for (const Death& death : deaths) EXPECT_TRUE(death.has_come());
}

TEST(PoolEnd, TerminateKillsTasksUnderWay) {
  Watchdog dog{60s};
  Pool pool(2);
  auto later = pool.map_async(testing::sleep_in_task, numbers(10));
  pool.terminate();
  pool.terminate();
  EXPECT_THROW(later.get(), Cancelled);
  EXPECT_THROW(pool.apply(twice, 1), std::invalid_argument);
  pool.join();
}

TEST(PoolEnd, TerminateOvertakesAJoinThatWouldNeverEnd) {
  Watchdog dog{60s};
  Pool pool(2);
  auto later = pool.apply_async(testing::sleep_in_task, 1);
  pool.close();
  std::thread joiner([&] { pool.join(); });
  pool.terminate();
  joiner.join();
  EXPECT_THROW(later.get(), Cancelled);
}

TEST(PoolEnd, SeveralThreadsMayEndItAtOnce) {
  Watchdog dog{60s};
  for (int round = 0; round < 20; ++round) {
    Pool pool(2);
    auto later = pool.map_async(twice, numbers(200), {.chunksize = 1});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&pool, i, round] {
        pool.close();
        if (i == 0 && round % 2 == 0) pool.terminate();
        pool.join();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(later.ready());
  }
}

TEST(PoolEnd, LeavingScopeWaitsForSubmittedWork) {
  Watchdog dog{60s};
  Shared<int> done;
  static Shared<int>* count;
  count = &done;
  {
    Pool pool(2);
    for (int i = 0; i < 100; ++i) pool.apply_async([] { count->add(1); });
  }
  EXPECT_EQ(done.get(), 100);
}

TEST(PoolEnd, LeavingScopeByAnExceptionTerminates) {
  Watchdog dog{60s};
  EXPECT_THROW(
      {
        Pool pool(1);
        pool.apply_async(testing::sleep_in_task, 1);
        throw std::runtime_error("on");
      },
      std::runtime_error);
}

TEST(PoolEnd, APoolMadeWhileAnExceptionIsOnItsWayStillFinishes) {
  Watchdog dog{60s};
  Shared<int> done;
  static Shared<int>* count;
  count = &done;
  struct AtUnwinding {
    ~AtUnwinding() {
      Pool pool(1);
      pool.apply_async([] { count->add(1); });
    }
  };
  EXPECT_THROW(
      {
        AtUnwinding guard;
        throw std::runtime_error("on");
      },
      std::runtime_error);
  EXPECT_EQ(done.get(), 1);
}

TEST(PoolEnd, AProgramMayEndWithAPoolThatWasNeverDestroyed) {
  Watchdog dog{60s};
  const testing::Heir heir;
  Program host([] {
    static auto* const forgotten = new Pool(2);  // which a search for leaks finds
    forgotten->apply_async(testing::sleep_in_task, 1);
    return forgotten->apply(twice, 3);
  });
  EXPECT_EQ(host.status(), 6);
  testing::Heir::wait_for_all();
}

// --- moving --------------------------------------------------------------------------------------------------------

TEST(PoolMoved, GoesOnUnderItsNewName) {
  Watchdog dog{60s};
  Pool first(1);
  auto later = first.apply_async(twice, 1);
  Pool second = std::move(first);
  EXPECT_EQ(second.apply(twice, 2), 4);
  EXPECT_EQ(later.get(), 2);
  first = Pool(1);
  EXPECT_EQ(first.apply(twice, 3), 6);
}

TEST(PoolMoved, FromSaysSo) {
  Watchdog dog{60s};
  Pool first(1);
  const Pool second = std::move(first);
  EXPECT_THROW(first.apply(twice, 2), std::logic_error);  // NOLINT: that is the claim
  EXPECT_THROW(first.close(), std::logic_error);
}

// --- threads -------------------------------------------------------------------------------------------------------

TEST(PoolThreads, ManyUseOnePoolAtOnce) {
  Watchdog dog{120s};
  Pool pool(3);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        wrong += pool.apply(twice, i + t) != 2 * (i + t);
        auto later = pool.apply_async(twice, i);
        if (i % 20 == 0) {
          const auto all = pool.map(twice, numbers(100), {.chunksize = 3});
          for (int n = 0; n < 100; ++n) wrong += all[static_cast<std::size_t>(n)] != 2 * n;
          int n = 0;
          for (int r : pool.imap(twice, numbers(50))) wrong += r != 2 * n++;
        }
        wrong += later.get() != 2 * i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// --- where it may be used ------------------------------------------------------------------------------------------

TEST(PoolFork, AChildThatUsesItsParentsPoolGetsLogicError) {
  Watchdog dog{60s};
  Pool pool(1);
  auto later = pool.apply_async(testing::sleep_in_task, 1);
  auto range = pool.imap(twice, numbers(3));
  Process child([&] {
    int refused = 0;
    const auto try_it = [&refused](auto use) {
      try {
        use();
      } catch (const std::logic_error&) {
        ++refused;
      }
    };
    try_it([&] { pool.apply(twice, 1); });
    try_it([&] { pool.close(); });
    try_it([&] { later.get(10ms); });
    try_it([&] { later.on_success([](int) {}); });
    try_it([&] { static_cast<void>(range.begin()); });
    ::_exit(refused);
  });
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 5);
  EXPECT_FALSE(later.ready());
  pool.terminate();
}

TEST(PoolFork, AChildThatDestroysItsCopyDoesTheParentsNoHarm) {
  Watchdog dog{60s};
  Pool pool(2);
  Program child([&] {
    { const Pool copy = std::move(pool); }
    return 7;
  });
  EXPECT_EQ(child.status(), 7);
  EXPECT_EQ(pool.apply(twice, 4), 8);
}

TEST(PoolFork, APoolInAProcess) {
  Watchdog dog{60s};
  Process child([] {
    Pool pool(2);
    ::_exit(pool.map(twice, numbers(10))[9]);
  });
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 18);
}

TEST(PoolNested, APoolInATask) {
  Watchdog dog{60s};
  Pool pool(2);
  EXPECT_EQ(pool.apply(
                [](int n) {
                  Pool inner(2);
                  int sum = 0;
                  for (int r : inner.map(twice, numbers(n))) sum += r;
                  return sum;
                },
                10),
            90);
}

// A pool in a task of a pool, whose task sleeps for ever: the pids of all of them.
Queue<int> pool_in_a_task(Pool& outer, AsyncResult<void>& running) {
  Queue<int> pids;
  running = outer.apply_async(
      [](Queue<int> out) {
        out.put(static_cast<int>(::getpid()));
        Pool inner(2);
        out.put(static_cast<int>(testing::supervisor(inner)));
        inner.apply(
            [](Queue<int> from_inside) {
              from_inside.put(static_cast<int>(::getpid()));
              testing::sleep_in_task(0);
            },
            out);
      },
      pids);
  return pids;
}

void expect_gone(const Queue<int>& pids) {
  while (const std::optional<int> pid = pids.try_get()) {
    testing::eventually([&] { return ::kill(*pid, 0) != 0; });
  }
}

TEST(PoolNested, AnInnerPoolEndsWithTheOuterTaskThatMadeIt) {
  Watchdog dog{60s};
  Pool outer(1);
  auto running = outer.apply_async([] {});
  const Queue<int> pids = pool_in_a_task(outer, running);
  testing::eventually([&] { return pids.qsize() == 3; });
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), Cancelled);
  expect_gone(pids);
  EXPECT_EQ(outer.apply(twice, 4), 8);
}

TEST(PoolNested, NothingIsLeftOfAnInnerPoolWhenTheOuterIsTerminated) {
  Watchdog dog{60s};
  Pool outer(1);
  auto running = outer.apply_async([] {});
  const Queue<int> pids = pool_in_a_task(outer, running);
  testing::eventually([&] { return pids.qsize() == 3; });
  outer.terminate();
  expect_gone(pids);
}

TEST(PoolNested, NothingIsLeftOfAPoolInAProcessThatIsKilled) {
  Watchdog dog{60s};
  Queue<int> pids;
  Process child(
      [](Queue<int> out) {
        Pool pool(2);
        out.put(static_cast<int>(testing::supervisor(pool)));
        pool.apply(
            [](Queue<int> from_inside) {
              from_inside.put(static_cast<int>(::getpid()));
              testing::sleep_in_task(0);
            },
            out);
      },
      pids);
  child.start();
  testing::eventually([&] { return pids.qsize() == 2; });
  child.kill();
  child.join();
  expect_gone(pids);
}

TEST(PoolNested, AProcessInATask) {
  Watchdog dog{60s};
  Pool pool(2);
  EXPECT_EQ(pool.apply([] {
    Process child([] { ::_exit(9); });
    child.start();
    child.join();
    return child.exitcode().value_or(-1);
  }),
            9);
}

TEST(PoolNested, WorkersAreNamedAndHaveTheSupervisorAsParent) {
  Watchdog dog{60s};
  Pool pool(1);
  EXPECT_EQ(pool.apply([] { return current_process().name(); }), "ForkPoolWorker-1");
  EXPECT_FALSE(pool.apply([] { return current_process().daemon(); }));
}

// --- the initializer -----------------------------------------------------------------------------------------------

int loaded = 0;
Shared<int>* initialized = nullptr;

TEST(PoolInitializer, WhatItThrowsIsNotCountedAsATask) {
  Watchdog dog{60s};
  Shared<int> runs;
  Pool pool({.processes = 2, .initializer = [&runs] {
               if (runs.add(1) == 0) throw std::runtime_error("the first one");
             }});
  eventually([&runs] { return runs.get() == 3; });  // its place is empty once what it threw has been read
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.median_task_time, 0ns);
  EXPECT_EQ(stats.done, 0U);
}

TEST(PoolInitializer, RunsOnceInEachWorkerBeforeItsTasks) {
  Watchdog dog{60s};
  Shared<int> count;
  initialized = &count;
  Pool pool({.processes = 3,
             .initializer = bind(
                 [](int n) {
                   loaded = n;
                   initialized->add(1);
                 },
                 5)});
  const auto all = pool.map([](int n) { return loaded + n; }, numbers(100), {.chunksize = 1});
  for (int n = 0; n < 100; ++n) EXPECT_EQ(all[static_cast<std::size_t>(n)], n + 5);
  pool.close();
  pool.join();
  EXPECT_EQ(count.get(), 3);
  EXPECT_EQ(loaded, 0);
}

TEST(PoolInitializer, RunsAgainInAReplacement) {
  Watchdog dog{60s};
  Pool pool({.processes = 1, .initializer = [] { loaded = 7; }});
  EXPECT_THROW(pool.apply([] { ::_exit(1); }), WorkerDied);
  EXPECT_EQ(pool.apply([] { return loaded; }), 7);
}

TEST(PoolInitializer, MayCaptureAnything) {
  Watchdog dog{60s};
  std::vector<int> captured{1, 2, 3};
  Pool pool({.processes = 1, .initializer = [&] { loaded = static_cast<int>(captured.size()); }});
  EXPECT_EQ(pool.apply([] { return loaded; }), 3);
}

TEST(PoolInitializer, Faults06_OneThatThrowsInEveryWorkerBreaksThePoolWithOneClearError) {
  Watchdog dog{60s};
  for (const std::size_t text : {std::size_t{10}, std::size_t{100'000}}) {
    Shared<int> count;
    initialized = &count;
    Pool pool({.processes = 3, .initializer = [text] {
                 initialized->add(1);
                 throw std::runtime_error("cannot load the model" + std::string(text, '.'));
               }});
    try {
      pool.map_async(twice, numbers(100)).get();  // by either: whether it is broken yet
      ADD_FAILURE();
    } catch (const PoolBroken& e) {
      EXPECT_NE(std::string(e.what()).find("cannot load the model"), std::string::npos) << e.what();
    }
    EXPECT_THROW(pool.apply(twice, 1), PoolBroken);
    EXPECT_THROW(pool.imap(twice, numbers(1)), PoolBroken);
    EXPECT_LE(count.get(), 3 * 6);
    pool.close();
    pool.join();
  }
}

TEST(PoolInitializer, OneThatKillsItsWorkerEveryTimeBreaksThePool) {
  Watchdog dog{60s};
  Pool pool({.processes = 2, .initializer = [] { ::_exit(3); }});
  EXPECT_THROW(pool.apply(twice, 1), PoolBroken);
}

TEST(PoolInitializer, OneThatFailsOnceCostsNothing) {
  Watchdog dog{60s};
  Shared<int> count;
  initialized = &count;
  Pool pool({.processes = 2, .initializer = [] {
               initialized->add(1);
               if (initialized->get() == 1) throw std::runtime_error("the first time");
             }});
  EXPECT_EQ(pool.map(twice, numbers(100)).size(), 100U);
}

}  // namespace
}  // namespace multiprocessing
