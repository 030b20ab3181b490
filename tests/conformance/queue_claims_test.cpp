// Queue, JoinableQueue and SimpleQueue: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using Clock = std::chrono::steady_clock;

class QueueClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(QueueClaims);

// --- what it is -----------------------------------------------------------------------------------------------------

// The example: `q.put([42, None, 'hello'])` in the child, `print(q.get())` in the parent.
TEST_P(QueueClaims, TheExampleOfTheDocumentation) {
  using Item = std::tuple<int, std::optional<int>, std::string>;
  mp::Queue<Item> q;
  start([](mp::Queue<Item> out) { out.put({42, std::nullopt, "hello"}); }, q);
  EXPECT_EQ(q.get(), Item(42, std::nullopt, "hello"));
}

// "multi-producer, multi-consumer FIFO queues": each item goes to exactly one consumer.
TEST_P(QueueClaims, SeveralProducersAndSeveralConsumersShareOne) {
  mp::Queue<int> items;
  mp::Queue<std::vector<int>> taken;
  for (int from : {0, 100, 200}) {
    start(
        [](mp::Queue<int> out, int first) {
          for (int i = 0; i < 100; ++i) out.put(first + i);
        },
        items, from);
  }
  join_all();
  items.close();
  for (int consumer = 0; consumer < 3; ++consumer) {
    start(
        [](mp::Queue<int> in, mp::Queue<std::vector<int>> out) {
          std::vector<int> mine;
          for (int item : in) mine.push_back(item);
          out.put(mine);
        },
        items, taken);
  }
  std::multiset<int> all;
  for (int consumer = 0; consumer < 3; ++consumer) {
    for (int item : taken.get()) all.insert(item);
  }
  std::multiset<int> wanted;
  for (int i = 0; i < 300; ++i) wanted.insert(i);
  EXPECT_EQ(all, wanted);
}

// "Queues are thread and process safe."
TEST_P(QueueClaims, ThreadsOfSeveralProcessesShareOne) {
  mp::Queue<int> items(7);
  for (int process = 0; process < 2; ++process) {
    start(
        [](mp::Queue<int> out) {
          std::vector<std::thread> threads;
          for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&] {
              for (int i = 1; i <= 100; ++i) out.put(i);
            });
          }
          for (std::thread& thread : threads) thread.join();
        },
        items);
  }
  int sum = 0;
  for (int i = 0; i < 400; ++i) sum += items.get();
  EXPECT_EQ(sum, 4 * 5050);
  EXPECT_TRUE(items.empty());
}

// "Queue implements all the methods of queue.Queue except for task_done() and join()."  Here the type has task_done(),
// for queues that deliver at least once; on any other it throws.
template <class Q>
concept joinable = requires(Q q) {
  q.join();
};
static_assert(joinable<mp::JoinableQueue<int>> && !joinable<mp::Queue<int>>);

TEST_P(QueueClaims, ItsTaskDoneThrows) {
  mp::Queue<int> q;
  q.put(1);
  EXPECT_EQ(q.get(), 1);
  EXPECT_THROW(q.task_done(), std::logic_error);
}

// The example program of the pages: workers that take calculations until they get 'STOP'.
TEST_P(QueueClaims, WorkersStopAtASentinel) {
  using Task = std::optional<int>;
  mp::Queue<Task> tasks;
  mp::Queue<int> done;
  for (int i = 1; i <= 20; ++i) tasks.put(i);
  for (int worker = 0; worker < 4; ++worker) {
    start(
        [](mp::Queue<Task> in, mp::Queue<int> out) {
          while (const Task task = in.get()) out.put(*task * *task);
        },
        tasks, done);
  }
  int sum = 0;
  for (int i = 1; i <= 20; ++i) sum += done.get();
  EXPECT_EQ(sum, 2870);
  for (int worker = 0; worker < 4; ++worker) tasks.put(std::nullopt);
  join_all();
  EXPECT_TRUE(tasks.empty());
}

// --- size -----------------------------------------------------------------------------------------------------------

// "If maxsize is less than or equal to zero, the queue size is infinite."  Here a negative one is refused.
TEST_P(QueueClaims, AMaxsizeOfZeroIsNoBoundAndANegativeOneIsRefused) {
  mp::Queue<int> q(0);
  for (int i = 0; i < 10'000; ++i) q.put_nowait(i);
  EXPECT_FALSE(q.full());
  EXPECT_THROW(mp::Queue<int>(-1), std::invalid_argument);
}

// "qsize(): Return the approximate size of the queue."  Here it is exact while nobody puts or gets.
TEST_P(QueueClaims, QsizeCountsWhatAllProcessesHavePutAndGot) {
  mp::Queue<int> q;
  start([](mp::Queue<int> out) { out.put_many(std::vector{1, 2, 3, 4, 5}); }, q);
  join_all();
  EXPECT_EQ(q.qsize(), 5U);
  start([](mp::Queue<int> in) { require(in.get() == 1 && in.get() == 2); }, q);
  join_all();
  EXPECT_EQ(q.qsize(), 3U);
}

// "empty(): Return True if the queue is empty, False otherwise."
TEST_P(QueueClaims, EmptyIsTrueWhenTheQueueIsEmpty) {
  mp::Queue<int> q;
  EXPECT_TRUE(q.empty());
  start([](mp::Queue<int> out) { out.put(1); }, q);
  join_all();
  EXPECT_FALSE(q.empty());
  EXPECT_EQ(q.get(), 1);
  EXPECT_TRUE(q.empty());
}

// "full(): Return True if the queue is full, False otherwise."
TEST_P(QueueClaims, FullIsTrueWhenTheQueueIsFull) {
  mp::Queue<int> q(2);
  q.put(1);
  EXPECT_FALSE(q.full());
  start([](mp::Queue<int> out) { out.put(2); }, q);
  join_all();
  EXPECT_TRUE(q.full());
  EXPECT_EQ(q.get(), 1);
  EXPECT_FALSE(q.full());
}

// --- put ------------------------------------------------------------------------------------------------------------

// "put(obj): … block if necessary until a free slot is available."
TEST_P(QueueClaims, PutBlocksUntilThereIsAFreeSlot) {
  mp::Queue<int> q(1);
  q.put(1);
  Steps steps;
  start([](mp::Queue<int> out, Steps s) { s.around([&] { out.put(2); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  EXPECT_EQ(q.qsize(), 1U);
  EXPECT_EQ(q.get(), 1);
  steps.done.wait();
  EXPECT_EQ(q.get(), 2);
}

// "If timeout is a positive number, it blocks at most timeout seconds and raises the queue.Full exception if no free
// slot was available within that time."
TEST_P(QueueClaims, PutWithATimeoutThrowsFullAfterThatTime) {
  mp::Queue<int> q(1);
  q.put(1);
  start(
      [](mp::Queue<int> out) {
        const auto begin = Clock::now();
        try {
          out.put(2, a_moment);
          require(false);
        } catch (const mp::Full&) {
          require(Clock::now() - begin >= a_moment);
        }
      },
      q);
  join_all();
  EXPECT_EQ(q.qsize(), 1U);
}

TEST_P(QueueClaims, PutWithATimeoutTakesASlotThatBecomesFree) {
  mp::Queue<int> q(1);
  q.put(1);
  Steps steps;
  start([](mp::Queue<int> out, Steps s) { s.around([&] { out.put(2, 60s); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  EXPECT_EQ(q.get(), 1);
  EXPECT_EQ(q.get(), 2);
}

// "Otherwise (block is False), put an item on the queue if a free slot is immediately available, else raise the
// queue.Full exception."  "put_nowait(obj): Equivalent to put(obj, False)."
TEST_P(QueueClaims, PutNowaitPutsOrThrowsFullAtOnce) {
  mp::Queue<int> q(1);
  start(
      [](mp::Queue<int> out) {
        out.put_nowait(1);
        try {
          out.put_nowait(2);
          require(false);
        } catch (const mp::Full&) {
        }
      },
      q);
  join_all();
  EXPECT_EQ(q.get(), 1);
  EXPECT_TRUE(q.empty());
}

// "If the queue is closed, ValueError is raised."  Here Closed; and a close() is for all processes, not for the one that
// calls it alone: "no more data will be put on this queue by the current process".
TEST_P(QueueClaims, PutAfterCloseThrowsClosedInEveryProcess) {
  mp::Queue<int> q;
  start([](mp::Queue<int> out) { out.close(); }, q);
  join_all();
  EXPECT_THROW(q.put(1), mp::Closed);
  EXPECT_THROW(q.put(1, 60s), mp::Closed);
  EXPECT_THROW(q.put_nowait(1), mp::Closed);
  EXPECT_TRUE(q.empty());
}

// --- get ------------------------------------------------------------------------------------------------------------

// "get(): Remove and return an item from the queue.  … block if necessary until an item is available."
TEST_P(QueueClaims, GetBlocksUntilThereIsAnItem) {
  mp::Queue<int> q;
  Steps steps;
  start([](mp::Queue<int> in, Steps s) { s.around([&] { require(in.get() == 7); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  q.put(7);
  join_all();
  EXPECT_TRUE(q.empty());
}

// "If timeout is a positive number, it blocks at most timeout seconds and raises the queue.Empty exception if no item
// was available within that time."
TEST_P(QueueClaims, GetWithATimeoutThrowsEmptyAfterThatTime) {
  mp::Queue<int> q;
  start(
      [](mp::Queue<int> in) {
        const auto begin = Clock::now();
        try {
          (void)in.get(a_moment);
          require(false);
        } catch (const mp::Empty&) {
          require(Clock::now() - begin >= a_moment);
        }
      },
      q);
}

TEST_P(QueueClaims, GetWithATimeoutTakesAnItemThatComes) {
  mp::Queue<int> q;
  Steps steps;
  start([](mp::Queue<int> in, Steps s) { s.around([&] { require(in.get(60s) == 7); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  q.put(7);
}

// "Otherwise (block is False), return an item if one is immediately available, else raise the queue.Empty exception."
// "get_nowait(): Equivalent to get(False)."
TEST_P(QueueClaims, GetNowaitGetsOrThrowsEmptyAtOnce) {
  mp::Queue<int> q;
  q.put(1);
  start(
      [](mp::Queue<int> in) {
        require(in.get_nowait() == 1);
        try {
          (void)in.get_nowait();
          require(false);
        } catch (const mp::Empty&) {
        }
      },
      q);
}

// A timeout that is not positive is one that is over.
TEST_P(QueueClaims, ATimeoutOfZeroOrLessDoesNotBlock) {
  mp::Queue<int> q(1);
  EXPECT_THROW((void)q.get(0s), mp::Empty);
  EXPECT_THROW((void)q.get(-1h), mp::Empty);
  q.put(1, -1h);
  EXPECT_THROW(q.put(2, 0s), mp::Full);
  EXPECT_EQ(q.get(-1h), 1);
}

// "get(): If the queue is closed, ValueError is raised."  Here what is in the queue is delivered first, then Closed.
TEST_P(QueueClaims, GetAfterCloseGivesWhatIsThereAndThenThrowsClosed) {
  mp::Queue<int> q;
  q.put(1);
  q.put(2);
  q.close();
  start(
      [](mp::Queue<int> in) {
        require(in.get() == 1 && in.get_nowait() == 2);
        try {
          (void)in.get();
          require(false);
        } catch (const mp::Closed&) {
        }
      },
      q);
}

// "close(): This is called automatically when the queue is garbage collected."  Here a handle that goes closes nothing:
// others may still put.
TEST_P(QueueClaims, AHandleThatGoesDoesNotCloseTheQueue) {
  mp::Queue<int> q;
  start([](mp::Queue<int> out) { out.put(1); }, q);
  join_all();
  EXPECT_FALSE(q.closed());
  q.put(2);
  EXPECT_EQ(q.get() + q.get(), 3);
}

// --- the notes and warnings -----------------------------------------------------------------------------------------

// "After putting an object on an empty queue there may be an infinitesimal delay before the queue's empty() method
// returns False and get_nowait() can return without raising queue.Empty."  Here there is none.
TEST_P(QueueClaims, WhatWasPutIsThereAtOnceForEveryProcess) {
  mp::Queue<int> q;
  mp::Queue<int> back;
  mp::Event put_one;
  mp::Event got_one;
  start(
      [](mp::Queue<int> in, mp::Queue<int> out, mp::Event put, mp::Event got) {
        for (int i = 0; i < 200; ++i) {
          put.wait();
          put.clear();
          require(!in.empty() && in.qsize() == 1);
          out.put(in.get_nowait());
          got.set();
        }
      },
      q, back, put_one, got_one);
  for (int i = 0; i < 200; ++i) {
    q.put(i);
    put_one.set();
    got_one.wait();
    got_one.clear();
    EXPECT_EQ(back.get_nowait(), i);
  }
}

// "Objects enqueued by the same process will always be in the expected order with respect to each other."
TEST_P(QueueClaims, ItemsOfOneProcessKeepTheirOrder) {
  using Item = std::pair<int, int>;
  mp::Queue<Item> q(16);
  for (int process = 0; process < 3; ++process) {
    start(
        [](mp::Queue<Item> out, int who) {
          for (int i = 0; i < 200; ++i) out.put({who, i});
        },
        q, process);
  }
  int next[3] = {};
  for (int i = 0; i < 600; ++i) {
    const auto [who, number] = q.get();
    EXPECT_EQ(number, next[who]++);
  }
}

// "If a process is killed … while it is trying to use a Queue, then the data in the queue is likely to become
// corrupted."  Here it is not.
TEST_P(QueueClaims, AProcessThatIsKilledWhileItPutsCorruptsNothing) {
  mp::Queue<std::string> q(4);
  for (int round = 0; round < 10; ++round) {
    mp::Process& producer = start(
        [](mp::Queue<std::string> out) {
          for (;;) out.put(std::string(10'000, 'x'));
        },
        q);
    for (int i = 0; i < 5 + round; ++i) EXPECT_EQ(q.get(), std::string(10'000, 'x'));
    kill(producer);
    while (const auto item = q.try_get()) EXPECT_EQ(*item, std::string(10'000, 'x'));
    q.put("next");
    EXPECT_EQ(q.get(), "next");
  }
}

// "This means that if you try joining that process you may get a deadlock unless you are sure that all items which have
// been put on the queue have been consumed."  The example of the guidelines; here it does not deadlock.
TEST_P(QueueClaims, AProcessIsJoinedBeforeItsItemsAreConsumed) {
  mp::Queue<std::string> q;
  start([](mp::Queue<std::string> out) { out.put(std::string(1'000'000, 'X')); }, q);
  join_all();
  EXPECT_EQ(q.get().size(), 1'000'000U);
}

// --- JoinableQueue --------------------------------------------------------------------------------------------------

class JoinableQueueClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(JoinableQueueClaims);

// "JoinableQueue, a Queue subclass, is a queue which additionally has task_done() and join() methods."
TEST_P(JoinableQueueClaims, ItIsAQueue) {
  static_assert(std::is_base_of_v<mp::Queue<int>, mp::JoinableQueue<int>>);
  mp::JoinableQueue<int> q(1);
  q.put(1);
  EXPECT_THROW(q.put_nowait(2), mp::Full);
  EXPECT_EQ(q.get(), 1);
  EXPECT_THROW((void)q.get_nowait(), mp::Empty);
}

// "join(): Block until all items in the queue have been gotten and processed."  "If a join() is currently blocking, it
// will resume when all items have been processed (meaning that a task_done() call was received for every item)."
TEST_P(JoinableQueueClaims, JoinBlocksUntilEveryItemWasGottenAndDone) {
  mp::JoinableQueue<int> q;
  q.put(1);
  q.put(2);
  Steps steps;
  start([](mp::JoinableQueue<int> mine, Steps s) { s.around([&] { mine.join(); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  EXPECT_EQ(q.get(), 1);
  EXPECT_EQ(q.get(), 2);
  EXPECT_FALSE(steps.done.wait(a_moment));  // gotten, but not done
  q.task_done();
  EXPECT_FALSE(steps.done.wait(a_moment));  // one of two
  q.task_done();
  steps.done.wait();
}

// "Used by queue consumers.  For each get() used to fetch a task, a subsequent call to task_done() tells the queue that
// the processing on the task is complete."
TEST_P(JoinableQueueClaims, TheConsumerInAnotherProcessSaysTaskDone) {
  mp::JoinableQueue<int> q;
  mp::Value<int> sum(0);
  for (int i = 1; i <= 50; ++i) q.put(i);
  start(
      [](mp::JoinableQueue<int> in, mp::Value<int> total) {
        for (int i = 0; i < 50; ++i) {
          total.set(total.get() + in.get());
          in.task_done();
        }
      },
      q, sum);
  q.join();
  EXPECT_EQ(sum.get(), 1275);
}

// "When the count of unfinished tasks drops to zero, join() unblocks", for whoever waits.
TEST_P(JoinableQueueClaims, AllWhoJoinGoOn) {
  mp::JoinableQueue<int> q;
  q.put(1);
  Steps first;
  Steps second;
  for (const Steps& steps : {first, second}) {
    start([](mp::JoinableQueue<int> mine, Steps s) { s.around([&] { mine.join(); }); }, q, steps);
  }
  EXPECT_TRUE(first.blocks());
  EXPECT_TRUE(second.blocks());
  EXPECT_EQ(q.get(), 1);
  q.task_done();
}

TEST_P(JoinableQueueClaims, JoinOfAQueueThatHadNoItemsReturns) {
  mp::JoinableQueue<int> q;
  q.join();
}

// "The count of unfinished tasks goes up whenever an item is added to the queue."
TEST_P(JoinableQueueClaims, AnItemThatIsPutLaterCountsAgain) {
  mp::JoinableQueue<int> q;
  q.put(1);
  EXPECT_EQ(q.get(), 1);
  q.task_done();
  q.join();
  start([](mp::JoinableQueue<int> out) { out.put(2); }, q);
  join_all();
  EXPECT_FALSE(q.join(a_moment));
  EXPECT_EQ(q.get(), 2);
  q.task_done();
  EXPECT_TRUE(q.join(60s));
}

// "Raises a ValueError if called more times than there were items placed in the queue."  Here: than were taken.
TEST_P(JoinableQueueClaims, TaskDoneTooOftenIsAnInvalidArgument) {
  mp::JoinableQueue<int> q;
  EXPECT_THROW(q.task_done(), std::invalid_argument);
  q.put(1);
  EXPECT_THROW(q.task_done(), std::invalid_argument);
  EXPECT_EQ(q.get(), 1);
  q.task_done();
  EXPECT_THROW(q.task_done(), std::invalid_argument);
  EXPECT_TRUE(q.join(60s));
}

// --- SimpleQueue ----------------------------------------------------------------------------------------------------

class SimpleQueueClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(SimpleQueueClaims);

// "get(): Remove and return an item from the queue."  "put(item): Put item into the queue."
TEST_P(SimpleQueueClaims, ItemsComeInTheirOrder) {
  mp::SimpleQueue<std::string> q;
  start(
      [](mp::SimpleQueue<std::string> out) {
        out.put("first");
        out.put("second");
      },
      q);
  EXPECT_EQ(q.get(), "first");
  EXPECT_EQ(q.get(), "second");
}

// It is "very close to a locked Pipe": get() waits.
TEST_P(SimpleQueueClaims, GetBlocksUntilThereIsAnItem) {
  mp::SimpleQueue<int> q;
  Steps steps;
  start([](mp::SimpleQueue<int> in, Steps s) { s.around([&] { require(in.get() == 3); }); }, q, steps);
  EXPECT_TRUE(steps.blocks());
  q.put(3);
}

// A pipe's put() waits when the pipe is full.  Here it does not.
TEST_P(SimpleQueueClaims, PutDoesNotWait) {
  mp::SimpleQueue<std::string> q;
  for (int i = 0; i < 8; ++i) q.put(std::string(1'000'000, 'x'));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(q.get().size(), 1'000'000U);
}

// "empty(): Return True if the queue is empty, False otherwise."
TEST_P(SimpleQueueClaims, EmptyIsTrueWhenTheQueueIsEmpty) {
  mp::SimpleQueue<int> q;
  EXPECT_TRUE(q.empty());
  start([](mp::SimpleQueue<int> out) { out.put(1); }, q);
  join_all();
  EXPECT_FALSE(q.empty());
  EXPECT_EQ(q.get(), 1);
  EXPECT_TRUE(q.empty());
}

// "A queue must not be used anymore after it is closed."  Here what was put is still delivered.
TEST_P(SimpleQueueClaims, AfterCloseNothingIsPutAndTheRestIsDelivered) {
  mp::SimpleQueue<int> q;
  q.put(1);
  start([](mp::SimpleQueue<int> mine) { mine.close(); }, q);
  join_all();
  EXPECT_THROW(q.put(2), mp::Closed);
  EXPECT_EQ(q.get(), 1);
  EXPECT_THROW((void)q.get(), mp::Closed);
}

}  // namespace
