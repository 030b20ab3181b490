// What synchronises, together with Process, Queue and Pool: the programs of the interface's description and of Python's
// documentation.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include "multiprocessing/multiprocessing.hpp"
#include "support/watchdog.hpp"

namespace mp = multiprocessing;

namespace {

using namespace std::chrono_literals;
using mp::testing::Watchdog;

class SynchronizeProgram : public ::testing::Test {
  Watchdog dog_{120s};
};

void buy(mp::Value<int> left, mp::Value<int> sold, mp::Lock lock) {
  std::scoped_lock hold(lock);
  const int tickets = left.get();
  if (tickets > 0) {
    left.set(tickets - 1);
    sold.set(sold.get() + 1);
  }
}

TEST_F(SynchronizeProgram, TwentyBuyersSellNoTicketTwice) {
  mp::Lock lock;
  mp::Value<int> left(10);
  mp::Value<int> sold(0);
  for (int j = 0; j < 20; ++j) {
    mp::Process p(buy, left, sold, lock);
    p.start();
  }
  for (const mp::ProcessInfo& child : mp::active_children()) child.join();
  EXPECT_EQ(left.get(), 0);
  EXPECT_EQ(sold.get(), 10);
}

TEST_F(SynchronizeProgram, AHolderThatIsKilledIsTold) {
  mp::Lock lock;
  mp::Event holds;
  mp::Process holder([=] {
    lock.acquire();
    holds.set();
    ::pause();
  });
  holder.start();
  holds.wait();
  EXPECT_FALSE(lock.acquire(10ms));
  holder.kill();
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.owner_died());
  lock.release();
  EXPECT_FALSE(lock.owner_died());
}

TEST_F(SynchronizeProgram, AProcessThatReturnsTakesItsUnitsWithItAndOneThatIsKilledDoesNot) {
  mp::Semaphore semaphore(2);
  mp::Process polite([=] { semaphore.acquire(); });
  polite.start();
  polite.join();
  EXPECT_EQ(semaphore.get_value(), 1);
  mp::Process killed([=] {
    semaphore.acquire();
    ::kill(::getpid(), SIGKILL);
  });
  killed.start();
  killed.join();
  EXPECT_EQ(semaphore.get_value(), 1);
  EXPECT_TRUE(semaphore.acquire(10s));
  EXPECT_FALSE(semaphore.acquire(10ms));
}

TEST_F(SynchronizeProgram, StagesOfAPipelineMeetAtABarrier) {
  constexpr int parties = 4;
  mp::Barrier barrier(parties);
  mp::Array<int> cells(parties);
  mp::Value<bool> good(true);
  std::vector<mp::Process> processes;
  for (int i = 0; i < parties; ++i) {
    processes.emplace_back([=] {
      for (int step = 1; step <= 50; ++step) {
        cells[static_cast<std::size_t>(i)] = step;
        barrier.wait();
        if (std::accumulate(cells.begin(), cells.end(), 0) != parties * step) good.set(false);
        barrier.wait();
      }
    });
    processes.back().start();
  }
  for (const mp::Process& process : processes) process.join();
  EXPECT_TRUE(good.get());
}

TEST_F(SynchronizeProgram, AConditionHandsOver) {
  mp::Condition changed;
  mp::Value<int> stage(0);
  mp::Process worker([=] {
    std::scoped_lock hold(changed);
    changed.wait_for([&] { return stage.get() == 1; });
    stage.set(2);
    changed.notify_all();
  });
  worker.start();
  {
    std::scoped_lock hold(changed);
    stage.set(1);
    changed.notify();
    EXPECT_TRUE(changed.wait_for([&] { return stage.get() == 2; }, 60s));
  }
}

TEST_F(SynchronizeProgram, EachOfThemTravelsThroughAQueueInOneMessage) {
  struct Tools {
    mp::Lock lock;
    mp::RLock rlock;
    mp::Semaphore semaphore;
    mp::Event event;
    mp::Condition condition;
    mp::Barrier barrier{1};
    mp::Value<int> value{5};
    mp::Array<int> array{std::vector{1, 2}};
  };
  mp::Queue<Tools> queue;
  const Tools tools;
  mp::Process worker([=] {
    const Tools mine = queue.get();
    mine.lock.acquire();
    mine.value.set(mine.value.get() + mine.array[1]);
    mine.lock.release();
    mine.barrier.wait();
    mine.event.set();
  });
  worker.start();
  queue.put(tools);
  tools.event.wait();
  EXPECT_EQ(tools.value.get(), 7);
}

int add_up(mp::Value<int> sum, mp::Lock lock, int x) {
  const std::scoped_lock hold(lock);
  sum.set(sum.get() + x);
  return x;
}

TEST_F(SynchronizeProgram, TasksOfAPoolTakeThemAsArguments) {
  mp::Pool pool(3);
  mp::Value<int> sum(0);
  mp::Lock lock;
  std::vector<mp::AsyncResult<int>> results;
  for (int x = 1; x <= 20; ++x) results.push_back(pool.apply_async(add_up, sum, lock, x));
  for (auto& result : results) result.get();
  EXPECT_EQ(sum.get(), 210);
}

TEST_F(SynchronizeProgram, ThreeConsumersOfAJoinableQueue) {
  mp::JoinableQueue<int> queue(100);
  mp::Value<int> sum(0);
  std::vector<mp::Process> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back(mp::ProcessOptions{.daemon = true}, [=] {
      for (;;) {
        const int item = queue.get();
        sum.update([&](int& s) { s += item; });
        queue.task_done();
      }
    });
    consumers.back().start();
  }
  for (int i = 1; i <= 200; ++i) queue.put(i);
  queue.join();
  EXPECT_EQ(sum.get(), 20'100);
}

TEST_F(SynchronizeProgram, AConsumerThatIsKilledCostsAJoinableQueueNothing) {
  mp::JoinableQueue<int> queue;
  mp::Value<int> sum(0);
  for (int i = 1; i <= 100; ++i) queue.put(i);
  mp::Process doomed([=] {
    for (;;) {
      const int item = queue.get();
      if (item == 37) ::kill(::getpid(), SIGKILL);
      sum.update([&](int& s) { s += item; });
      queue.task_done();
    }
  });
  doomed.start();
  doomed.join();
  mp::Process next({.daemon = true}, [=] {
    for (;;) {
      const int item = queue.get();
      sum.update([&](int& s) { s += item; });
      queue.task_done();
    }
  });
  next.start();
  queue.join();
  EXPECT_EQ(sum.get(), 5'050);
}

}  // namespace
