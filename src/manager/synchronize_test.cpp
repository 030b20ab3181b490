// Queues, locks and the like of a manager.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "manager/manager_test_support.hpp"
#include "multiprocessing/process.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;
using namespace std::chrono_literals;

namespace {

class QueueTest : public EveryWay {};
FOR_EVERY_WAY(QueueTest);

TEST_P(QueueTest, ItemsComeInTheirOrder) {
  const auto queue = objects_->queue<std::string>();
  queue.put("a");
  queue.put("b");
  EXPECT_EQ(queue.qsize(), 2U);
  EXPECT_EQ(queue.get(), "a");
  EXPECT_EQ(queue.try_get(), "b");
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_TRUE(queue.empty());
}
TEST_P(QueueTest, AFullQueueThrowsFull) {
  const auto queue = objects_->queue<int>(1);
  queue.put(1);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.maxsize(), 1U);
  EXPECT_THROW(queue.put_nowait(2), mp::Full);
  EXPECT_THROW(queue.put(2, 5ms), mp::Full);
  EXPECT_FALSE(queue.try_put(2));
}
TEST_P(QueueTest, AnEmptyQueueThrowsEmpty) {
  const auto queue = objects_->queue<int>();
  EXPECT_THROW(static_cast<void>(queue.get_nowait()), mp::Empty);
  EXPECT_THROW(static_cast<void>(queue.get(5ms)), mp::Empty);
}
TEST_P(QueueTest, GetWaitsForAnItem) {
  const auto queue = objects_->queue<int>();
  std::thread putter([&] { queue.put(7); });
  EXPECT_EQ(queue.get(), 7);
  putter.join();
}
TEST_P(QueueTest, PutWaitsForRoom) {
  const auto queue = objects_->queue<int>(1);
  queue.put(1);
  std::thread putter([&] { queue.put(2); });
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 2);
  putter.join();
}
TEST_P(QueueTest, CloseEndsIteration) {
  const auto queue = objects_->queue<int>();
  queue.put_many(std::vector<int>{1, 2, 3});
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_THROW(queue.put(4), mp::Closed);
  int sum = 0;
  for (const int x : queue) sum += x;
  EXPECT_EQ(sum, 6);
  EXPECT_THROW(static_cast<void>(queue.get()), mp::Closed);
}
TEST_P(QueueTest, CloseWakesWhoWaits) {
  const auto queue = objects_->queue<int>();
  std::thread closer([&] { queue.close(); });
  EXPECT_THROW(static_cast<void>(queue.get()), mp::Closed);
  closer.join();
}
TEST_P(QueueTest, ManyProcessesShareTheItems) {
  const auto queue = objects_->queue<int>();
  const auto sums = objects_->list<int>();
  const auto consume = [](const mp::QueueProxy<int>& q, const mp::ListProxy<int>& out) {
    int sum = 0;
    for (const int x : q) sum += x;
    out.push_back(sum);
  };
  std::vector<mp::Process> processes;
  for (int i = 0; i < 3; ++i) processes.emplace_back(consume, queue, sums).start();
  for (int i = 1; i <= 300; ++i) queue.put(i);
  queue.close();
  for (mp::Process& process : processes) process.join();
  int all = 0;
  for (const int sum : sums) all += sum;
  EXPECT_EQ(all, 300 * 301 / 2);
}
TEST_P(QueueTest, JoinWaitsUntilAllIsDone) {
  const auto queue = objects_->joinable_queue<int>();
  queue.put(1);
  EXPECT_FALSE(queue.join(1ms));
  static_cast<void>(queue.get());
  EXPECT_FALSE(queue.join(1ms));
  queue.task_done();
  queue.join();
  EXPECT_THROW(queue.task_done(), std::invalid_argument);
}

class LockTest : public EveryWay {};
FOR_EVERY_WAY(LockTest);

TEST_P(LockTest, ExcludesOthers) {
  const auto lock = objects_->lock();
  const auto counter = objects_->value<int>(0);
  const auto count = [](const mp::LockProxy& l, const mp::ValueProxy<int>& v) {
    for (int i = 0; i < 50; ++i) {
      const std::scoped_lock hold(l);
      v.set(v.get() + 1);
    }
  };
  std::vector<mp::Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(count, lock, counter).start();
  for (mp::Process& process : processes) process.join();
  EXPECT_EQ(counter.get(), 200);
}
TEST_P(LockTest, OnlyTheHolderReleases) {
  const auto lock = objects_->lock();
  EXPECT_THROW(lock.release(), std::logic_error);
  lock.acquire();
  std::thread([&] { EXPECT_THROW(lock.release(), std::logic_error); }).join();
  EXPECT_FALSE(lock.acquire(1ms));  // as in Python the holder waits, too
  lock.release();
  EXPECT_TRUE(lock.try_acquire());
  lock.release();
}
TEST_P(LockTest, AnRLockIsReleasedAsOftenAsAcquired) {
  const auto lock = objects_->rlock();
  lock.acquire();
  lock.acquire();
  lock.release();
  std::thread([&] { EXPECT_FALSE(lock.try_acquire()); }).join();
  lock.release();
  std::thread([&] {
    EXPECT_TRUE(lock.try_acquire());
    lock.release();
  }).join();
}
TEST_P(LockTest, ASemaphoreHasSoManyUnits) {
  const auto semaphore = objects_->semaphore(2);
  semaphore.acquire();
  semaphore.acquire();
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_EQ(semaphore.get_value(), 0);
  semaphore.release();
  EXPECT_EQ(semaphore.get_value(), 1);
  EXPECT_THROW(static_cast<void>(objects_->semaphore(-1)), std::invalid_argument);
}
TEST_P(LockTest, ABoundedSemaphoreIsNotReleasedTooOften) {
  const auto semaphore = objects_->bounded_semaphore(1);
  EXPECT_THROW(semaphore.release(), std::invalid_argument);
}
TEST_P(LockTest, AnEventWakesAllWhoWait) {
  const auto event = objects_->event();
  EXPECT_FALSE(event.wait(1ms));
  std::vector<std::thread> waiters;
  for (int i = 0; i < 3; ++i) waiters.emplace_back([&] { EXPECT_TRUE(event.wait()); });
  event.set();
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_TRUE(event.is_set());
  event.clear();
  EXPECT_FALSE(event.is_set());
}
TEST_P(LockTest, AConditionTellsOfAChange) {
  const auto condition = objects_->condition();
  const auto ready = objects_->value<bool>(false);
  std::thread notifier([&] {
    const std::scoped_lock hold(condition);
    ready.set(true);
    condition.notify();
  });
  {
    const std::scoped_lock hold(condition);
    EXPECT_TRUE(condition.wait_for([&] { return ready.get(); }));
  }
  notifier.join();
}
TEST_P(LockTest, AConditionThatIsNotNotifiedTimesOutWithItsLock) {
  const auto lock = objects_->lock();
  const auto condition = objects_->condition(lock);
  EXPECT_THROW(condition.wait(), std::logic_error);
  EXPECT_THROW(condition.notify(), std::logic_error);
  lock.acquire();
  EXPECT_FALSE(condition.wait(2ms));
  lock.release();  // it has it again
}
TEST_P(LockTest, ABarrierLetsAllGoTogether) {
  const auto barrier = objects_->barrier(3);
  EXPECT_EQ(barrier.parties(), 3);
  std::atomic<int> sum = 0;
  std::vector<std::thread> parties;
  for (int i = 0; i < 3; ++i) parties.emplace_back([&] { sum += barrier.wait(); });
  for (std::thread& party : parties) party.join();
  EXPECT_EQ(sum, 0 + 1 + 2);
  EXPECT_EQ(barrier.n_waiting(), 0);
}
TEST_P(LockTest, APartyThatGivesUpBreaksTheBarrier) {
  const auto barrier = objects_->barrier(2);
  EXPECT_THROW(barrier.wait(1ms), mp::BrokenBarrier);
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW(barrier.wait(), mp::BrokenBarrier);
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
}

// It has the lock when it returns, so it waits for it as long as somebody else has it.
TEST_P(LockTest, AWaitThatIsOverTakesTheLockHoweverLongThatTakes) {
  const auto condition = objects_->condition();
  const auto never = objects_->event();
  const auto held = objects_->event();
  condition.acquire();
  std::thread other([&] {
    condition.acquire();
    held.set();
    static_cast<void>(never.wait(std::chrono::milliseconds(1500)));
    condition.release();
  });
  bool notified = true;
  do {
    notified = condition.wait(std::chrono::milliseconds(10));
  } while (!held.is_set());
  EXPECT_FALSE(notified);
  condition.release();
  other.join();
}

}  // namespace
