// Queues between processes: order, sums, handles that travel, memory that goes with the last holder.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::arena_damage;
using testing::Child;
using testing::patterned;
using testing::Watchdog;
using Strings = std::vector<std::string>;

void expect_success(std::vector<Child>& children) {
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  children.clear();
}

TEST(QueueProcessTest, WhatAProducerPutIsThereAfterItsEnd) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  Child producer{Child::member, [&] { queue.put_many(Strings{"a", "b"}); }};
  EXPECT_EQ(producer.wait(), 0);
  EXPECT_EQ(queue.get_nowait(), "a");
  EXPECT_EQ(queue.get_nowait(), "b");
}

TEST(QueueProcessTest, Faults19_JoinBeforeTheQueueIsDrainedReturns) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  Child producer{Child::member, [&] { queue.put(patterned(1, 1'000'000)); }};
  EXPECT_EQ(producer.wait(), 0);
  EXPECT_TRUE(queue.get() == patterned(1, 1'000'000));
}

TEST(QueueProcessTest, Faults21_WithAllProducersDeadGetThrowsEmptyAtItsTime) {
  Watchdog dog{60s};
  const Queue<int> queue;
  Child producer{Child::member, [&] {
                   queue.put(1);
                   ::raise(SIGKILL);
                 }};
  EXPECT_EQ(producer.wait(), -SIGKILL);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW((void)queue.get(50ms), Empty);
}

TEST(QueueProcessTest, Faults21_ASignalHandlerRunsInAGetThatBlocks) {
  Watchdog dog{60s};
  static int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const Queue<int> queue;
  Child consumer{Child::member, [&] {
                   ::signal(SIGUSR1, [](int) { MP_REQUIRE(::write(told[1], "!", 1) == 1); });
                   MP_REQUIRE(queue.get() == 5);
                 }};
  testing::wait_for_a_sleeper(testing::header_of(queue).not_empty);
  consumer.signal(SIGUSR1);
  char byte = 0;
  EXPECT_EQ(::read(told[0], &byte, 1), 1);
  queue.put(5);
  EXPECT_EQ(consumer.wait(), 0);
  ::close(told[0]);
  ::close(told[1]);
}

struct Parcel {
  int producer = 0;
  int number = 0;
  std::string content;
};

std::size_t content_size(int producer, int number) {
  return static_cast<std::size_t>(number % 50 == 0 ? 70'000 : number * 37 % 400 + producer);
}

// Every item once, whole, and those of one producer in order at each consumer.
void exchange(const Queue<Parcel>& queue, int producers, int consumers, int items) {
  const Queue<std::pair<int, long>> sums;
  std::vector<Child> makers;
  std::vector<Child> takers;
  for (int p = 0; p < producers; ++p) {
    makers.emplace_back(Child::member, [&, p] {
      for (int n = 0; n < items; ++n) {
        queue.put({p, n, patterned(static_cast<std::uint64_t>(p * items + n), content_size(p, n))});
      }
    });
  }
  for (int c = 0; c < consumers; ++c) {
    takers.emplace_back(Child::member, [&] {
      std::pair<int, long> sum;
      std::map<int, int> last;
      for (const Parcel& parcel : queue) {
        MP_REQUIRE(last.emplace(parcel.producer, -1).first->second < parcel.number);
        last[parcel.producer] = parcel.number;
        MP_REQUIRE(parcel.content == patterned(static_cast<std::uint64_t>(parcel.producer * items + parcel.number),
                                               content_size(parcel.producer, parcel.number)));
        sum.first += 1;
        sum.second += parcel.producer * items + parcel.number;
      }
      sums.put(sum);
    });
  }
  expect_success(makers);
  queue.close();
  expect_success(takers);
  std::pair<int, long> total;
  while (const auto sum = sums.try_get()) {
    total.first += sum->first;
    total.second += sum->second;
  }
  const long all = producers * items;
  EXPECT_EQ(total.first, all);
  EXPECT_EQ(total.second, all * (all - 1) / 2);
}

TEST(QueueProcessTest, ManyProducersAndConsumersLoseAndDoubleNothing) {
  Watchdog dog{200s};
  exchange(Queue<Parcel>(), 1, 1, 5'000);
  exchange(Queue<Parcel>(), 4, 1, 1'000);
  exchange(Queue<Parcel>(), 1, 4, 5'000);
  exchange(Queue<Parcel>(), 4, 4, 1'000);
}

TEST(QueueProcessTest, ManyProducersAndConsumersOfABoundedQueueLoseAndDoubleNothing) {
  Watchdog dog{200s};
  exchange(Queue<Parcel>(1), 2, 2, 500);
  exchange(Queue<Parcel>(10), 4, 4, 1'000);
}

// --- handles that travel -----------------------------------------------------------------------------------------------

TEST(QueueHandleTest, AQueueIsAnItemOfAQueue) {
  Watchdog dog{60s};
  const Queue<Queue<std::string>> requests;
  Child server{Child::member, [&] {
                 for (const Queue<std::string>& reply_to : requests) reply_to.put("reply");
               }};
  for (int i = 0; i < 10; ++i) {
    const Queue<std::string> reply;
    requests.put(reply);
    EXPECT_EQ(reply.get(), "reply");
  }
  requests.close();
  EXPECT_EQ(server.wait(), 0);
}

TEST(QueueHandleTest, AQueueOnItsWayIsHeldByTheMessageAlone) {
  Watchdog dog{60s};
  const Queue<Queue<std::string>> outer;
  const std::size_t before = memory::stats().objects;
  {
    const Queue<std::string> inner;
    inner.put("inside");
    outer.put(inner);
  }
  EXPECT_EQ(memory::stats().objects, before + 1);
  EXPECT_EQ(outer.get().get(), "inside");
  EXPECT_EQ(memory::stats().objects, before);
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueHandleTest, AQueueWhoseSenderWasKilledArrives) {
  Watchdog dog{60s};
  const Queue<Queue<std::string>> outer;
  const std::size_t before = memory::stats().objects;
  Child sender{Child::member, [&] {
                 const Queue<std::string> inner;
                 inner.put("last words");
                 outer.put(inner);
                 ::raise(SIGKILL);
               }};
  EXPECT_EQ(sender.wait(), -SIGKILL);
  EXPECT_EQ(outer.get().get(), "last words");
  EXPECT_EQ(memory::stats().objects, before);
}

TEST(QueueHandleTest, QueuesNestAndAMessageMayHoldMany) {
  Watchdog dog{60s};
  using Inner = Queue<int>;
  const Queue<std::vector<std::pair<std::string, Inner>>> outer;
  const Queue<Queue<std::vector<std::pair<std::string, Inner>>>> outermost;
  const std::size_t before = memory::stats().objects;
  {
    std::vector<std::pair<std::string, Inner>> many;
    for (int i = 0; i < 100; ++i) {
      many.emplace_back(std::to_string(i), Inner());
      many.back().second.put(i);
    }
    many.push_back(many.front());
    outer.put(many);
    outermost.put(outer);
  }
  Child taker{Child::member, [&] {
                const auto many = outermost.get().get();
                MP_REQUIRE(many.size() == 101);
                for (int i = 0; i < 100; ++i) MP_REQUIRE(many[static_cast<std::size_t>(i)].second.get() == i);
              }};
  EXPECT_EQ(taker.wait(), 0);
  EXPECT_EQ(memory::stats().objects, before);
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueHandleTest, HandlesTravelInBatchesToo) {
  Watchdog dog{60s};
  const Queue<std::optional<Queue<int>>> queue(4);
  std::vector<std::optional<Queue<int>>> items{std::nullopt, Queue<int>(), std::nullopt, Queue<int>(), Queue<int>()};
  items[1]->put(1);
  items[3]->put(3);
  EXPECT_EQ(queue.put_many(items, 0s), 4U);
  items.clear();
  std::vector<std::optional<Queue<int>>> got;
  while (got.size() < 4) {
    for (auto& item : queue.get_many(10)) got.push_back(std::move(item));
  }
  EXPECT_FALSE(got[0]);
  EXPECT_EQ(got[1]->get(), 1);
  EXPECT_FALSE(got[2]);
  EXPECT_EQ(got[3]->get(), 3);
}

TEST(QueueHandleTest, DroppingAQueueDropsTheQueuesInIt) {
  const Queue<int> warm_up;
  const std::size_t before = memory::stats().objects;
  {
    const Queue<Queue<Queue<int>>> outer;
    const Queue<Queue<int>> middle;
    middle.put(Queue<int>());
    outer.put(middle);
  }
  EXPECT_EQ(memory::stats().objects, before);
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueHandleTest, AQueueOfAnotherTypeIsATypeMismatch) {
  codec::Encoder out;
  codec::encode(out, Queue<int>());
  const Queue<int> ints;
  out.clear();
  codec::encode(out, ints);
  codec::Decoder as_strings(out.bytes());
  EXPECT_THROW((void)codec::decode<Queue<std::string>>(as_strings), TypeMismatch);
  codec::Decoder as_ints(out.bytes());
  codec::decode<Queue<int>>(as_ints).put(3);
  EXPECT_EQ(ints.get(), 3);
  const memory::Ref no_queue = memory::Ref::create(memory::Kind::block, 64);
  EXPECT_THROW(channel::ByteQueue(no_queue, 0), TypeMismatch);
}

// --- who holds it --------------------------------------------------------------------------------------------------------

TEST(QueueHandleTest, TheLastProcessThatHoldsAQueueTakesItsMemoryWithIt) {
  Watchdog dog{60s};
  const Queue<int> warm_up;
  const Queue<int> told;
  const memory::Stats before = memory::stats();
  std::optional<Queue<std::string>> queue(std::in_place);
  queue->put(patterned(1, 1'000'000));
  Child holder{Child::member, [&] {
                 (void)told.get();
                 MP_REQUIRE(queue->get() == patterned(1, 1'000'000));
               }};
  queue.reset();
  EXPECT_EQ(memory::stats().objects, before.objects + 1);
  told.put(1);
  EXPECT_EQ(holder.wait(), 0);
  EXPECT_EQ(memory::stats().objects, before.objects);
  EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
}

// A process that this library did not start shares the arena, too; it becomes a member of its own when it must.
TEST(QueueHandleTest, AProcessMadeByABareForkUsesTheQueuesItInherited) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  const Queue<Queue<std::string>> handles;
  queue.put("to the guest");
  Child guest{Child::plain, [&] {
                MP_REQUIRE(queue.get() == "to the guest");
                queue.put("from the guest");
                queue.put(patterned(1, 200'000));  // links a segment
                const Queue<std::string> own;
                own.put("made by the guest");
                handles.put(own);
              }};
  EXPECT_EQ(guest.wait(), 0);
  EXPECT_EQ(queue.get(), "from the guest");
  EXPECT_TRUE(queue.get() == patterned(1, 200'000));
  EXPECT_EQ(handles.get().get(), "made by the guest");
  memory::collect_orphans();
  EXPECT_EQ(arena_damage(), "");
}

}  // namespace
}  // namespace multiprocessing
