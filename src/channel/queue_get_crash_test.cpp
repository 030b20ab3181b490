// A process is killed at every step of taking from a queue; the others go on.
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
using testing::after_get;
using testing::drained;
using testing::expect_all_memory_accounted;
using testing::expect_items;
using testing::Item;
using testing::Kill;
using testing::patterned;
using testing::Strings;
using testing::sweep;
using testing::Watchdog;


// --- get -------------------------------------------------------------------------------------------------------------

struct GetSmall {
  Queue<std::string> queue{3};
  GetSmall() { queue.put_many(Strings{"a", "b", "c"}); }
  void operation() { MP_REQUIRE(queue.get() == "a"); }
  void survivors(const Kill& kill) {
    const bool room = queue.try_put("d");
    const Item first = after_get(kill);
    if (first == Item::there) {
      EXPECT_FALSE(room);
    }
    if (first == Item::absent) {
      EXPECT_TRUE(room);
    }
    if (!room) {
      EXPECT_EQ(queue.get_nowait(), "a");  // FAULTS 17: it goes to the next consumer
      queue.put_nowait("d");
    }
    EXPECT_EQ(drained(queue), (Strings{"b", "c", "d"}));
    EXPECT_TRUE(queue.empty());
  }
};
TEST(QueueCrashTest, AnItemWhoseGetDiedGoesToTheNextConsumerOrMakesRoom) {
  Watchdog dog{120s};
  sweep<GetSmall>();
}

struct GetThatLeaves {
  Queue<std::string> queue;
  Strings items;
  GetThatLeaves() {
    for (const std::size_t kib : {40, 80, 450, 1700}) items.push_back(patterned(kib, kib << 10));
    queue.put_many(items);
    EXPECT_EQ(testing::chain_length(queue), 4U);
    EXPECT_TRUE(queue.get() == items[0]);
  }
  void operation() { MP_REQUIRE(queue.get() == items[1]); }
  void survivors(const Kill& kill) {
    expect_items(drained(queue), {items[2], items[3]}, items[1], after_get(kill), 0);
    EXPECT_EQ(testing::chain_length(queue), 1U);
    expect_all_memory_accounted(queue);
    queue.put("more");
    EXPECT_EQ(queue.get(), "more");
  }
};
TEST(QueueCrashTest, AGetThatDiedInLeavingASegmentBlocksNobodyAndLeaksNothing) {
  Watchdog dog{120s};
  sweep<GetThatLeaves>();
}

struct GetMany {
  Queue<std::string> queue;
  Strings items;
  GetMany() {
    for (std::size_t i = 0; i < 9; ++i) items.push_back(patterned(i, std::size_t{30} << 10));
    queue.put_many(items);
  }
  void operation() {
    for (std::size_t taken = 0; taken < items.size();) taken += queue.get_many(9).size();
  }
  void survivors(const Kill&) {
    queue.put("after");
    Strings got = drained(queue);
    ASSERT_GE(got.size(), 1U);
    EXPECT_EQ(got.back(), "after");
    got.pop_back();
    ASSERT_LE(got.size(), items.size());
    EXPECT_TRUE(std::equal(got.rbegin(), got.rend(), items.rbegin()));  // the last so many
    expect_all_memory_accounted(queue);
  }
};
TEST(QueueCrashTest, AfterAGetManyThatDiedTheRestIsThereInOrder) {
  Watchdog dog{120s};
  sweep<GetMany>();
}

struct GetHandle {
  Queue<Queue<std::string>> queue;
  GetHandle() {
    for (const char* text : {"first", "second"}) {
      const Queue<std::string> passenger;
      passenger.put(text);
      queue.put(passenger);
    }
  }
  void operation() { (void)queue.get(); }
  void survivors(const Kill& kill) {
    Strings got;
    for (const auto& passenger : drained(queue)) {
      for (std::string& text : drained(passenger)) got.push_back(std::move(text));
    }
    if (kill.is("queue.get.copied")) {
      EXPECT_EQ(got, (Strings{"first", "second"}));
    }
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back(), "second");
    EXPECT_FALSE(memory::has_cargo(testing::ref_of(queue)));
  }
};
TEST(QueueCrashTest, AHandleWhoseGetDiedGoesToTheNextConsumerOrIsLetGo) {
  Watchdog dog{120s};
  sweep<GetHandle>();
}

struct GetOnEmpty {
  Queue<int> queue;
  void operation() {
    try {
      (void)queue.get(10ms);
      MP_REQUIRE(false);
    } catch (const Empty&) {
    }
  }
  void survivors(const Kill&) {
    queue.put(1);
    EXPECT_EQ(queue.get(), 1);
  }
};
TEST(QueueCrashTest, AConsumerThatDiesWaitingForAnItemTakesNone) {
  Watchdog dog{120s};
  sweep<GetOnEmpty>();
}

}  // namespace
}  // namespace multiprocessing
