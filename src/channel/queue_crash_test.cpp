// A process is killed at every step of putting into a queue and of closing it; the others go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "channel/queue_sweep.hpp"
#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::after_put;
using testing::drained;
using testing::expect_all_memory_accounted;
using testing::expect_items;
using testing::Item;
using testing::Kill;
using testing::patterned;
using testing::Strings;
using testing::sweep;
using testing::Watchdog;

// --- put -------------------------------------------------------------------------------------------------------------

struct PutSmall {
  Queue<std::string> queue;
  PutSmall() { queue.put("before"); }
  void operation() { queue.put("new"); }
  void survivors(const Kill& kill) {
    queue.put("after");
    expect_items(drained(queue), {"before", "after"}, "new", after_put(kill), 1);
  }
};
TEST(QueueCrashTest, AnItemWhosePutDiedIsThereWholeOrNotAtAll) {
  Watchdog dog{120s};
  sweep<PutSmall>();
}

constexpr std::size_t half_ring = std::size_t{40} << 10;

struct PutThatLinks {
  Queue<std::string> queue;
  std::string first = patterned(1, half_ring);
  std::string item = patterned(2, half_ring);
  std::string last = patterned(3, half_ring);  // fits in the spare segment that the dead one may have left
  PutThatLinks() { queue.put(first); }
  void operation() { queue.put(item); }
  void survivors(const Kill& kill) {
    queue.put(last);
    expect_all_memory_accounted(queue);
    const std::size_t size = queue.qsize();
    const Strings got = drained(queue);
    EXPECT_EQ(got.size(), size);  // numbers run on from segment to segment
    expect_items(got, {first, last}, item, after_put(kill, 2), 1);
    expect_all_memory_accounted(queue);
    EXPECT_EQ(testing::chain_length(queue), 1U);
  }
};
TEST(QueueCrashTest, APutThatDiedInLinkingASegmentBlocksNobodyAndLeaksNothing) {
  Watchdog dog{120s};
  sweep<PutThatLinks>();
}

// The same, and a consumer comes first; then a put for which a spare segment is too small.
struct PutThatLinksThenGet : PutThatLinks {
  PutThatLinksThenGet() { last = patterned(3, 3 * half_ring); }
  void survivors(const Kill& kill) {
    Strings got = drained(queue);
    queue.put(last);
    for (std::string& more : drained(queue)) got.push_back(std::move(more));
    expect_all_memory_accounted(queue);
    expect_items(got, {first, last}, item, after_put(kill, 2), 1);
  }
};
TEST(QueueCrashTest, AConsumerFinishesTheLinkOfADeadProducer) {
  Watchdog dog{120s};
  sweep<PutThatLinksThenGet>();
}

struct PutOversized {  // it travels in a block
  static const std::string& large() {
    static const std::string item = patterned(4, std::size_t{17} << 20);
    return item;
  }
  Queue<std::string> queue;
  PutOversized() { queue.put("before"); }
  void operation() { queue.put(large()); }
  void survivors(const Kill& kill) {
    queue.put("after");
    Strings got = drained(queue);
    ASSERT_GE(got.size(), 2U);
    if (after_put(kill) == Item::absent) {
      EXPECT_EQ(got.size(), 2U);
    }
    if (after_put(kill) == Item::there) {
      EXPECT_EQ(got.size(), 3U);
    }
    EXPECT_EQ(got.front(), "before");
    EXPECT_EQ(got.back(), "after");
    if (got.size() == 3) {
      EXPECT_TRUE(got[1] == large());
    }
    expect_all_memory_accounted(queue);
  }
};
TEST(QueueCrashTest, AnItemTooLargeForARingIsThereWholeOrNotAtAll) {
  Watchdog dog{250s};
  sweep<PutOversized>({"queue.put.copied", "queue.put.committed", "arena.logged", "arena.changed", "arena.before_commit",
                       "arena.committed"});
}

struct PutHandle {
  Queue<Queue<std::string>> queue;
  Queue<std::string> passenger;
  PutHandle() { passenger.put("still here"); }
  void operation() { queue.put(passenger); }
  void survivors(const Kill& kill) {
    passenger = Queue<std::string>();  // what is in the queue is held by nothing else now
    queue.put(passenger);
    const auto got = drained(queue);
    ASSERT_GE(got.size(), 1U);
    ASSERT_LE(got.size(), 2U);
    if (after_put(kill) == Item::there) {
      EXPECT_EQ(got.size(), 2U);
    }
    if (after_put(kill) == Item::absent) {
      EXPECT_EQ(got.size(), 1U);
    }
    if (got.size() == 2) {
      EXPECT_EQ(got[0].get_nowait(), "still here");
    }
    EXPECT_FALSE(memory::has_cargo(testing::ref_of(queue)));
  }
};
TEST(QueueCrashTest, AHandleWhosePutDiedIsHeldOrNotThere) {
  Watchdog dog{120s};
  sweep<PutHandle>();
}

struct PutMany {
  Queue<std::string> queue;
  Strings items;
  PutMany() {
    for (std::size_t i = 0; i < 9; ++i) items.push_back(patterned(i, std::size_t{30} << 10));
    queue.put("before");
  }
  void operation() { queue.put_many(items); }
  void survivors(const Kill& kill) {
    queue.put("after");
    Strings got = drained(queue);
    ASSERT_GE(got.size(), 2U);
    EXPECT_EQ(got.front(), "before");
    EXPECT_EQ(got.back(), "after");
    const Strings middle(got.begin() + 1, got.end() - 1);
    ASSERT_LE(middle.size(), items.size());
    EXPECT_TRUE(std::equal(middle.begin(), middle.end(), items.begin()));  // the first so many
    if (kill.step.empty()) {
      EXPECT_EQ(middle.size(), items.size());
    }
    expect_all_memory_accounted(queue);
  }
};
TEST(QueueCrashTest, OfAPutManyThatDiedTheFirstSoManyItemsAreThere) {
  Watchdog dog{120s};
  sweep<PutMany>();
}

struct PutOnFull {
  Queue<int> queue{2};
  PutOnFull() { queue.put_many(std::vector<int>{1, 2}); }
  void operation() { MP_REQUIRE(queue.put_many(std::vector<int>{3, 4}, 10ms) == 0); }
  void survivors(const Kill&) {
    EXPECT_FALSE(queue.try_put(3));
    EXPECT_EQ(queue.get(), 1);
    EXPECT_TRUE(queue.try_put(3));
    EXPECT_EQ(drained(queue), (std::vector<int>{2, 3}));
  }
};
TEST(QueueCrashTest, AProducerThatDiesWaitingForRoomTakesNone) {
  Watchdog dog{120s};
  sweep<PutOnFull>();
}

struct PutToTheBound {
  Queue<int> queue{2};
  PutToTheBound() { queue.put(1); }
  void operation() { queue.put(2); }
  void survivors(const Kill& kill) {
    const bool room = queue.try_put(3);
    if (after_put(kill) == Item::absent) {
      EXPECT_TRUE(room);
    }
    if (after_put(kill) == Item::there) {
      EXPECT_FALSE(room);
    }
    EXPECT_EQ(queue.qsize(), 2U);
    EXPECT_TRUE(queue.full());
    EXPECT_THROW(queue.put(4, 1ms), Full);
    EXPECT_EQ(drained(queue), room ? (std::vector<int>{1, 3}) : (std::vector<int>{1, 2}));
    EXPECT_EQ(queue.put_many(std::vector<int>{5, 6, 7}, 0s), 2U);
  }
};
TEST(QueueCrashTest, TheBoundCountsWhatADeadProducerHasPut) {
  Watchdog dog{120s};
  sweep<PutToTheBound>();
}

// --- close -----------------------------------------------------------------------------------------------------------

struct Close {
  Queue<int> queue;
  Close() { queue.put(1); }
  void operation() { queue.close(); }
  void survivors(const Kill&) {
    queue.close();
    EXPECT_THROW(queue.put(2), Closed);
    EXPECT_EQ(queue.get(), 1);
    EXPECT_THROW((void)queue.get(), Closed);
  }
};
TEST(QueueCrashTest, ACloseThatDiedCanBeRepeated) {
  Watchdog dog{120s};
  sweep<Close>();
}

}  // namespace
}  // namespace multiprocessing
