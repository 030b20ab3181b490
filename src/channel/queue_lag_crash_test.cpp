// States that a death (or a stop) leaves behind, one by one: half-made links, mirrors that lag, lost wake-ups,
// transactions not undone yet, recoveries that die themselves.  queue_crash_test.cpp sweeps over all of them; here
// they are built on purpose and named, with the rows of the fault matrix that are about queues.
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <random>
#include <string>
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
using testing::header_of;
using testing::patterned;
using testing::Watchdog;
using Clock = std::chrono::steady_clock;
using Strings = std::vector<std::string>;

constexpr std::size_t more_than_half_a_ring = std::size_t{40} << 10;

// A child is killed in `operation` at the nth `step`; the arena stays as it has left it until reap().
class Killed {
 public:
  template <class Operation>
  Killed(const char* step, int nth, Operation operation)
      : child_(Child::member, [&] {
          os::steps::kill_at(step, nth);
          operation();
        }) {
    EXPECT_EQ(child_.wait_unreaped(), -SIGKILL) << "not killed at " << step << " number " << nth;
  }
  ~Killed() { memory::reap_member(child_.id()); }

 private:
  Child child_;
};

// --- the fault matrix ------------------------------------------------------------------------------------------------

TEST(QueueFaultTest, Faults17_AConsumerKilledInsideGetLeavesItsItemToTheNextConsumer) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  queue.put_many(Strings{"first", "second"});
  const Killed consumer("queue.get.copied", 1, [&] { (void)queue.get(); });
  EXPECT_EQ(queue.get(), "first");
  EXPECT_EQ(queue.get(), "second");
}

TEST(QueueFaultTest, Faults18_AnItemOf10MegabytesWhoseProducerWasKilledIsNotThereAndTheNextIsWhole) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  const std::string item = patterned(1, 10'000'000);
  const Killed producer("queue.put.copied", 1, [&] { queue.put(item); });
  const auto start = Clock::now();
  EXPECT_THROW((void)queue.get(300ms), Empty);
  EXPECT_GE(Clock::now() - start, 300ms);
  queue.put(item);
  EXPECT_TRUE(queue.get() == item);
}

// --- wake-ups that died ----------------------------------------------------------------------------------------------

TEST(QueueLagTest, AConsumerAsleepFindsTheItemWhoseProducerDiedBeforeWakingIt) {
  Watchdog dog{60s};
  const Queue<int> queue;
  auto got = std::async(std::launch::async, [queue] { return queue.get(); });
  testing::wait_for_a_sleeper(header_of(queue).not_empty);
  const Killed producer("queue.put.committed", 1, [&] { queue.put(7); });
  EXPECT_EQ(got.get(), 7);
}

TEST(QueueLagTest, AProducerAsleepFindsTheRoomWhoseConsumerDiedBeforeWakingIt) {
  Watchdog dog{60s};
  const Queue<int> queue(1);
  queue.put(1);
  auto put = std::async(std::launch::async, [queue] { queue.put(2); });
  testing::wait_for_a_sleeper(header_of(queue).not_full);
  const Killed consumer("queue.get.committed", 1, [&] { (void)queue.get(); });
  put.get();
  EXPECT_EQ(queue.get(), 2);
}

TEST(QueueLagTest, SleepersLearnOfACloseThatDiedBeforeWakingThem) {
  Watchdog dog{60s};
  const Queue<int> queue;
  auto got = std::async(std::launch::async, [queue] { return queue.try_get().has_value() ? 1 : queue.get(); });
  testing::wait_for_a_sleeper(header_of(queue).not_empty);
  const Killed closer("lock.before_release", 1, [&] { queue.close(); });
  EXPECT_THROW((void)got.get(), Closed);
}

// A wake-up makes nothing right, it only makes it fast; so nothing but the event count tells whether it was sent.
TEST(QueueLagTest, PutGetAndCloseWakeThoseWhoSleep) {
  const Queue<int> queue(1);
  channel::QueueHeader& header = header_of(queue);
  auto sleeper = header.not_empty.prepare();
  queue.put(1);
  EXPECT_NE(header.not_empty.prepare(), sleeper);
  sleeper = header.not_full.prepare();
  EXPECT_EQ(queue.get(), 1);
  EXPECT_NE(header.not_full.prepare(), sleeper);
  const auto consumer = header.not_empty.prepare();
  const auto producer = header.not_full.prepare();
  queue.close();
  EXPECT_NE(header.not_empty.prepare(), consumer);
  EXPECT_NE(header.not_full.prepare(), producer);
}

// Looks, finds nothing, is held up while an item comes and the queue is closed: that is not the end yet.
TEST(QueueLagTest, AnItemThatCameBeforeTheCloseIsNotMissedByAConsumerThatLookedBeforeBoth) {
  Watchdog dog{60s};
  const Queue<int> queue;
  Child consumer{Child::member, [&] {
                   os::steps::stop_at("queue.get.looked");
                   MP_REQUIRE(queue.get() == 1);
                 }};
  testing::wait_stopped(consumer);
  queue.put(1);
  queue.close();
  consumer.signal(SIGCONT);
  EXPECT_EQ(consumer.wait(), 0);
}

// --- links -----------------------------------------------------------------------------------------------------------

// 1. A producer dies with the link stored and tail_segment not moved.  2. Another reads tail_segment and is held up.
// 3. A consumer finishes the link, leaves the old segment and frees it; another queue gets its memory.  4. The
// producer goes on.
TEST(QueueLagTest, AProducerDoesNotFollowASegmentThatWasFreedUnderIt) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  queue.put(patterned(1, more_than_half_a_ring));
  const std::uint64_t old_segment = header_of(queue).head_segment.load();
  const Killed first("queue.link.committed", 1, [&] { queue.put(patterned(2, more_than_half_a_ring)); });
  ASSERT_EQ(header_of(queue).tail_segment.load(), old_segment);
  Child second{Child::member, [&] {
                 os::steps::stop_at("queue.put.tail_read");
                 queue.put("late");
               }};
  testing::wait_stopped(second);
  EXPECT_TRUE(queue.get() == patterned(1, more_than_half_a_ring));
  EXPECT_EQ(queue.try_get(), std::nullopt);
  const Queue<std::string> stranger;
  ASSERT_EQ(header_of(stranger).head_segment.load(), old_segment) << "not the memory this test is about";
  second.signal(SIGCONT);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(queue.get(10s), "late");
  EXPECT_EQ(stranger.try_get(), std::nullopt);
  stranger.put("unharmed");
  EXPECT_EQ(stranger.get(), "unharmed");
}

// Looks, finds nothing and is held up, while an item comes and the segment is given up by the producers.
TEST(QueueLagTest, AConsumerDoesNotLeaveASegmentThatGotAnItemBeforeItsLink) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  Child consumer{Child::member, [&] {
                   os::steps::stop_at("queue.get.tail_read");
                   MP_REQUIRE(queue.get() == "in the old segment");
                 }};
  testing::wait_stopped(consumer);
  queue.put("in the old segment");
  queue.put(patterned(1, 2 * more_than_half_a_ring));
  ASSERT_EQ(testing::chain_length(queue), 2U);
  consumer.signal(SIGCONT);
  EXPECT_EQ(consumer.wait(), 0);
  EXPECT_TRUE(queue.get() == patterned(1, 2 * more_than_half_a_ring));
}

// The spare segment was stored in the header by a transaction that its death left open: it is nobody's yet.
TEST(QueueLagTest, ASpareSegmentOfAnUnfinishedTransactionIsNotUsed) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  queue.put(patterned(1, more_than_half_a_ring));
  const Killed producer("arena.before_commit", 1, [&] { queue.put(patterned(2, more_than_half_a_ring)); });
  ASSERT_NE(header_of(queue).spare.load(), 0U);
  queue.put(patterned(3, more_than_half_a_ring));
  EXPECT_EQ(arena_damage(), "");
  EXPECT_EQ(testing::owned_runs(queue), 2U);
  const Queue<std::string> other;  // would get the same memory
  other.put("other");
  EXPECT_TRUE(queue.get() == patterned(1, more_than_half_a_ring));
  EXPECT_TRUE(queue.get() == patterned(3, more_than_half_a_ring));
  EXPECT_EQ(other.get(), "other");
}

TEST(QueueLagTest, LeavingASegmentInAnUnfinishedTransactionIsDoneAgain) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  for (const std::size_t kib : {40, 80, 450}) queue.put(patterned(kib, kib << 10));
  EXPECT_TRUE(queue.get() == patterned(40, 40 << 10));
  ASSERT_EQ(testing::chain_length(queue), 3U);
  const Killed consumer("arena.before_commit", 1, [&] { (void)queue.get(); });
  EXPECT_EQ(testing::chain_length(queue), 2U);  // head_segment has moved, and will move back
  EXPECT_TRUE(queue.get() == patterned(80, 80 << 10));
  EXPECT_TRUE(queue.get() == patterned(450, 450 << 10));
  EXPECT_EQ(testing::owned_runs(queue), 1U);
}

// --- recoveries that die ---------------------------------------------------------------------------------------------

TEST(QueueLagTest, WhoeverTakesALockFromTheDeadMayDieAtOnce) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  queue.put("a");
  const Killed producer("queue.put.copied", 1, [&] { queue.put("b"); });
  const Killed second_producer("lock.taken_from_dead_owner", 1, [&] { queue.put("c"); });
  const Killed consumer("queue.get.copied", 1, [&] { (void)queue.get(); });
  const Killed second_consumer("lock.taken_from_dead_owner", 1, [&] { (void)queue.get(); });
  queue.put("d");
  EXPECT_EQ(queue.get(), "a");
  EXPECT_EQ(queue.get(), "d");
}

TEST(QueueLagTest, WhoeverUndoesATransactionOfTheDeadMayDieInIt) {
  Watchdog dog{60s};
  const Queue<std::string> queue;
  queue.put(patterned(1, more_than_half_a_ring));
  const auto link = [&] { queue.put(patterned(2, more_than_half_a_ring)); };
  // Making a process undoes what is unfinished, so all are made before the first dies.
  const std::vector<Queue<int>> turns(3);
  std::vector<Child> children;
  const auto add = [&](const char* step, int nth) {
    const Queue<int> turn = turns[children.size()];
    children.emplace_back(Child::member, [&link, turn, step, nth] {
      (void)turn.get();
      os::steps::kill_at(step, nth);
      link();
    });
  };
  add("arena.before_commit", 1);
  add("arena.undone", 1);
  add("arena.undone", 2);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    turns[i].put(1);
    EXPECT_EQ(children[i].wait_unreaped(), -SIGKILL);
  }
  link();
  EXPECT_EQ(arena_damage(), "");
  EXPECT_TRUE(queue.get() == patterned(1, more_than_half_a_ring));
  EXPECT_TRUE(queue.get() == patterned(2, more_than_half_a_ring));
  for (const Child& child : children) memory::reap_member(child.id());
  EXPECT_EQ(arena_damage(), "");
}

// --- mirrors ---------------------------------------------------------------------------------------------------------

// All that a death can leave behind, left behind again and again while the queue is used.
TEST(QueueLagTest, MirrorsThatLagChangeNothing) {
  Watchdog dog{120s};
  std::mt19937_64 random(5);
  for (const std::size_t bound : {std::size_t{0}, std::size_t{1}, std::size_t{30}}) {
    const Queue<std::string> queue(bound);
    channel::QueueHeader& header = header_of(queue);
    std::uint64_t put = 0;
    std::uint64_t got = 0;
    for (int step = 0; step < 20'000; ++step) {
      if (random() % 2 == 0 && put - got < 200) {
        const bool room = bound == 0 || put - got < bound;
        ASSERT_EQ(queue.try_put(patterned(put, put * 97 % 3'000)), room);
        put += room;
      } else if (const auto item = queue.try_get()) {
        ASSERT_TRUE(*item == patterned(got, got * 97 % 3'000));
        ++got;
      } else {
        ASSERT_EQ(put, got);
      }
      if (random() % 4 == 0 && put != 0) header.puts.store(put - 1);
      if (random() % 4 == 0 && got != 0) header.takes.store(got - 1);
      if (random() % 4 == 0) header.spare.store(header.tail_segment.load());
      if (random() % 4 == 0 && testing::chain_length(queue) == 2) {  // next is stored, tail_segment is not
        header.spare.store(header.tail_segment.load());
        header.tail_segment.store(header.head_segment.load());
      }
    }
  }
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueLagTest, QsizeIsRightAgainAfterTheNextPutAndTheNextGet) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const Killed producer("queue.put.committed", 1, [&] { queue.put(1); });
  EXPECT_EQ(queue.qsize(), 0U);  // snapshot of the mirrors
  queue.put(2);
  EXPECT_EQ(queue.qsize(), 2U);
  const Killed consumer("queue.get.committed", 1, [&] { (void)queue.get(); });
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(queue.qsize(), 0U);
}

// --- cargo -----------------------------------------------------------------------------------------------------------

using MaybeQueue = std::optional<Queue<int>>;

TEST(QueueLagTest, WhatAPutThatDiedHeldIsLetGoWithTheNextItem) {
  Watchdog dog{60s};
  const Queue<MaybeQueue> queue;
  const std::size_t before = memory::stats().objects;
  {
    const Queue<int> passenger;
    const Killed producer("queue.put.copied", 1, [&] { queue.put(passenger); });
  }
  EXPECT_EQ(memory::stats().objects, before + 1);
  queue.put(std::nullopt);
  EXPECT_EQ(queue.get(), std::nullopt);
  EXPECT_EQ(memory::stats().objects, before);
}

TEST(QueueLagTest, WhatAGetThatDiedHeldIsLetGoWithTheNextItem) {
  Watchdog dog{60s};
  const Queue<MaybeQueue> queue;
  const std::size_t before = memory::stats().objects;
  queue.put(Queue<int>());
  {
    const Killed consumer("queue.get.committed", 1, [&] { (void)queue.get(); });
  }
  queue.put(std::nullopt);
  EXPECT_EQ(queue.get(), std::nullopt);
  EXPECT_EQ(memory::stats().objects, before);
}

// --- stopped, not dead -----------------------------------------------------------------------------------------------

TEST(QueueStopTest, AProducerStoppedInACopyHoldsUpPutsUntilTheirTimeoutsAndNoGet) {
  Watchdog dog{60s};
  const Queue<int> queue;
  queue.put(1);
  Child producer{Child::member, [&] {
                   os::steps::stop_at("queue.put.copied");
                   queue.put(2);
                 }};
  testing::wait_stopped(producer);
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_THROW(queue.put(3, 150ms), Full);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW((void)queue.get(10ms), Empty);
  producer.signal(SIGCONT);
  EXPECT_EQ(producer.wait(), 0);
  queue.put(3);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(queue.get(), 3);
}

TEST(QueueStopTest, AConsumerStoppedInACopyHoldsUpGetsUntilTheirTimeoutsAndNoPut) {
  Watchdog dog{60s};
  const Queue<int> queue(3);
  queue.put(1);
  Child consumer{Child::member, [&] {
                   os::steps::stop_at("queue.get.copied");
                   MP_REQUIRE(queue.get() == 1);
                 }};
  testing::wait_stopped(consumer);
  queue.put_many(std::vector<int>{2, 3});
  EXPECT_THROW(queue.put(4, 10ms), Full);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_THROW((void)queue.get(150ms), Empty);
  consumer.signal(SIGCONT);
  EXPECT_EQ(consumer.wait(), 0);
  EXPECT_EQ(queue.get_many(5), (std::vector<int>{2, 3}));
}

}  // namespace
}  // namespace multiprocessing
