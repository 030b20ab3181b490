// Queues that deliver at least once, and JoinableQueue: leases (leases.hpp).
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "memory/family.hpp"
#include "multiprocessing/queue.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class Leases : public ::testing::Test {
 protected:
  template <class T>
  static void take_and_die(const Queue<T>& queue, int items = 1) {
    Child child{Child::member, [&] {
                  for (int i = 0; i < items; ++i) static_cast<void>(queue.get());
                  ::kill(::getpid(), SIGKILL);
                }};
    EXPECT_EQ(child.wait(), -SIGKILL);
  }
  // The rings, and one table of leases: no run of an item.
  template <class T>
  static void expect_no_run_left(const Queue<T>& queue) {
    const std::size_t spare = testing::header_of(queue).spare.load() != 0 ? 1 : 0;
    EXPECT_EQ(testing::owned_runs(queue), testing::chain_length(queue) + spare + 1);
  }

 private:
  Watchdog dog_{120s};
};

TEST_F(Leases, AnItemThatWasTakenAndNotDoneGoesToAnotherWhenItsTakerDies) {
  const Queue<std::string> queue(0, Delivery::at_least_once);
  queue.put("first");
  queue.put("second");
  take_and_die(queue, 2);
  EXPECT_EQ(queue.get(10s), "first");
  EXPECT_EQ(queue.get(10s), "second");
  queue.task_done();
  queue.task_done();
  EXPECT_THROW((void)queue.get_nowait(), Empty);
}

TEST_F(Leases, WhatWasDoneDoesNotComeBack) {
  const Queue<int> queue(0, Delivery::at_least_once);
  for (int i = 1; i <= 3; ++i) queue.put(i);
  Child child{Child::member, [&] {
                MP_REQUIRE(queue.get() == 1);
                MP_REQUIRE(queue.get() == 2);
                queue.task_done();
                ::kill(::getpid(), SIGKILL);
              }};
  EXPECT_EQ(child.wait(), -SIGKILL);
  std::multiset<int> rest{queue.get(10s), queue.get(10s)};
  EXPECT_EQ(rest, (std::multiset<int>{2, 3}));
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST_F(Leases, ASleepingConsumerGetsWhatADeadOneHad) {
  const Queue<int> queue(0, Delivery::at_least_once);
  Shared<std::atomic<int>> state;
  Child holder{Child::member, [&] {
                 *state = queue.get();
                 for (;;) ::pause();
               }};
  queue.put(1);
  spin_until([&] { return *state == 1; });
  Child sleeper{Child::member, [&] { MP_REQUIRE(queue.get() == 1); }};
  holder.signal(SIGKILL);
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST_F(Leases, LargeItemsComeBackWholeAndTheirMemoryIsGivenBack) {
  const Queue<std::string> queue(0, Delivery::at_least_once);
  queue.put("warm");
  EXPECT_EQ(queue.get(), "warm");
  queue.task_done();
  const std::string large(300'000, 'x');
  queue.put(large);
  take_and_die(queue);
  EXPECT_EQ(queue.get(10s), large);
  queue.task_done();
  queue.put("next");
  EXPECT_EQ(queue.get(), "next");
  queue.task_done();
  expect_no_run_left(queue);
}

TEST_F(Leases, HandlesInItemsStayAliveUntilTheyAreDone) {
  const Queue<Queue<int>> queue(0, Delivery::at_least_once);
  {
    const Queue<int> inner;
    inner.put(7);
    queue.put(inner);
  }
  take_and_die(queue);
  {
    const Queue<int> inner = queue.get(10s);
    EXPECT_EQ(inner.get(), 7);
  }
  const std::size_t objects = memory::stats().objects;
  queue.task_done();
  EXPECT_EQ(memory::stats().objects, objects - 1);
}

TEST_F(Leases, TaskDoneIsForQueuesThatDeliverAtLeastOnce) {
  const Queue<int> plain;
  EXPECT_THROW(plain.task_done(), std::logic_error);
  const JoinableQueue<int> queue;
  EXPECT_THROW(queue.task_done(), std::invalid_argument);
  queue.put(1);
  EXPECT_THROW(queue.task_done(), std::invalid_argument);
  EXPECT_EQ(queue.get(), 1);
  queue.task_done();
  EXPECT_THROW(queue.task_done(), std::invalid_argument);
}

TEST_F(Leases, JoinWaitsUntilEverythingIsDone) {
  const JoinableQueue<int> queue;
  queue.join();  // nothing was put
  constexpr int items = 300;
  Shared<std::atomic<int>> done;
  std::vector<Child> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back(Child::member, [&] {
      for (int item : queue) {
        *done += item;
        queue.task_done();
      }
    });
  }
  for (int i = 0; i < items; ++i) queue.put(1);
  queue.join();
  EXPECT_EQ(*done, items);
  queue.close();
  for (Child& consumer : consumers) EXPECT_EQ(consumer.wait(), 0);
}

TEST_F(Leases, JoinWaitsForAnItemThatIsTakenAndNotDone) {
  const JoinableQueue<int> queue;
  queue.put(1);
  EXPECT_FALSE(queue.join(10ms));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(queue.join(10ms));
  queue.task_done();
  EXPECT_TRUE(queue.join(10ms));
}

TEST_F(Leases, ADeadConsumerDoesNotMakeJoinWaitForEver) {
  const JoinableQueue<int> queue;
  queue.put(1);
  take_and_die(queue);
  Child next{Child::member, [&] {
               MP_REQUIRE(queue.get() == 1);
               queue.task_done();
             }};
  queue.join();
  EXPECT_EQ(next.wait(), 0);
}

TEST_F(Leases, AnItemThatKillsTwoConsumersIsGivenUpAndReported) {
  const JoinableQueue<int> queue;
  queue.put(1);
  take_and_die(queue);
  take_and_die(queue);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_THROW(queue.join(), Error);
  queue.join();  // said once
}

TEST_F(Leases, TheOldestOfThisThreadIsDoneFirst) {
  const JoinableQueue<int> queue;
  for (int i = 0; i < 4; ++i) queue.put(i);
  Child child{Child::member, [&] {
                MP_REQUIRE(queue.get() == 0);
                std::thread([&] {
                  MP_REQUIRE(queue.get() == 1);
                  queue.task_done();
                }).join();
                ::kill(::getpid(), SIGKILL);
              }};
  EXPECT_EQ(child.wait(), -SIGKILL);
  std::multiset<int> rest{queue.get(10s), queue.get(10s), queue.get(10s)};
  EXPECT_EQ(rest, (std::multiset<int>{0, 2, 3}));
}

TEST_F(Leases, KilledAtAnyStepOfGetTheItemIsThereOnce) {
  for (const char* step :
       {"lease.written", "queue.get.copied", "queue.get.committed", "queue.get.mirrored", "lock.before_release"}) {
    for (const std::size_t bytes : {std::size_t{5}, std::size_t{10'000}}) {
      const Queue<std::string> queue(0, Delivery::at_least_once);
      queue.put(std::string(bytes, 'a'));
      queue.put("last");
      EXPECT_TRUE(dies_at(step, 1, [&] { return [&] { static_cast<void>(queue.get()); }; })) << step;
      std::multiset<std::string> got{queue.get(10s), queue.get(10s)};
      EXPECT_EQ(got, (std::multiset<std::string>{std::string(bytes, 'a'), "last"})) << step;
      EXPECT_EQ(queue.try_get(), std::nullopt) << step;
      queue.task_done();
      queue.task_done();
      queue.put("reuse");
      EXPECT_EQ(queue.get(), "reuse");
      queue.task_done();
      expect_no_run_left(queue);
    }
  }
}

// Not only the next consumer takes the lock from the dead one, but also a producer that finds the queue full.
TEST_F(Leases, ALeaseThatWasNotCommittedIsClearedByWhoeverComesNext) {
  const Queue<int> queue(2, Delivery::at_least_once);
  queue.put(1);
  queue.put(2);
  EXPECT_TRUE(dies_at("lease.written", 1, [&] { return [&] { static_cast<void>(queue.get()); }; }));
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 2);
  queue.task_done();
  queue.task_done();
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_THROW(queue.task_done(), std::invalid_argument);
}

TEST_F(Leases, KilledAtAnyStepOfTakingOverTheItemComesAgain) {
  for (const char* step : {"lease.taken_over", "lock.before_release"}) {
    const Queue<int> queue(0, Delivery::at_least_once);
    queue.put(1);
    take_and_die(queue);
    EXPECT_TRUE(dies_at(step, step == std::string_view("lease.taken_over") ? 1 : 3, [&] {
      return [&] { static_cast<void>(queue.get()); };
    })) << step;
    EXPECT_EQ(queue.get(10s), 1) << step;
    queue.task_done();
    EXPECT_EQ(queue.try_get(), std::nullopt);
  }
}

TEST_F(Leases, KilledAtAnyStepOfTaskDoneTheItemIsDoneOrComesAgain) {
  for (const char* step : {"lease.cleared", "lock.before_release"}) {
    const JoinableQueue<std::string> queue;
    queue.put(std::string(10'000, 'a'));
    EXPECT_TRUE(dies_at(step, 1, [&] {
      static_cast<void>(queue.get());
      return [&] { queue.task_done(); };
    })) << step;
    queue.join();
    queue.put("reuse");
    EXPECT_EQ(queue.get(), "reuse");
    queue.task_done();
    expect_no_run_left(queue);
  }
}

TEST_F(Leases, ManyMoreItemsOutThanATableHolds) {
  const JoinableQueue<int> queue;
  for (int i = 0; i < 200; ++i) queue.put(i);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(queue.get(), i);
  EXPECT_FALSE(queue.join(0s));
  for (int i = 0; i < 200; ++i) queue.task_done();
  queue.join();
}

TEST(SimpleQueueTest, PutsGetsAndCloses) {
  Watchdog dog{60s};
  const SimpleQueue<std::string> queue;
  EXPECT_TRUE(queue.empty());
  queue.put("a");
  EXPECT_FALSE(queue.empty());
  Child child{Child::member, [&] { MP_REQUIRE(queue.get() == "a"); }};
  EXPECT_EQ(child.wait(), 0);
  queue.close();
  EXPECT_THROW(queue.put("b"), Closed);
}

}  // namespace
}  // namespace multiprocessing
