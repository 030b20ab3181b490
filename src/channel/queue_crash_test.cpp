// A process is killed at every step of every operation of a queue; the others go on.
//
// A Scenario is made anew for each kill: the constructor brings queues into the state in question, operation() is
// what the killed child does, survivors() is what this process does with the queue afterwards.  Every kill is
// tried twice, before and after the dead one was reaped: until then its last changes in the arena may be half done.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
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

const std::vector<std::string> all_steps{
    "queue.put.tail_read",  "queue.put.copied",     "queue.put.committed",  "queue.put.mirrored",
    "queue.link.allocated", "queue.link.formatted", "queue.link.committed", "queue.link.tail_moved",
    "queue.get.copied",     "queue.get.committed",  "queue.get.mirrored",   "queue.get.left_segment",
    "arena.logged",         "arena.changed",        "arena.before_commit",  "arena.committed",
    "arena.undone",         "event.announced",      "event.changed",        "lock.taken_from_dead_owner",
    "lock.before_release"};

enum class Item { absent, there, either };

struct Kill {
  std::string step;  // empty: the operation survived
  int nth = 0;
  [[nodiscard]] bool is(std::string_view name) const { return step == name; }
};

// What the table at the top of byte_queue.cpp says of an item whose put() was killed there.  A put that links a segment
// commits twice: what was written before it (nothing, in these tests), then the item.
Item after_put(const Kill& kill, int commits = 1) {
  if (kill.step.empty()) return Item::there;
  if (kill.is("queue.put.copied") || kill.step.starts_with("queue.link.")) return Item::absent;
  if (kill.is("queue.put.committed") || kill.is("queue.put.mirrored")) {
    return kill.nth < commits ? Item::absent : Item::there;
  }
  return Item::either;  // the other steps occur before and after the commit
}
// … of the item whose get() was killed there.
Item after_get(const Kill& kill) {
  if (kill.is("queue.get.copied")) return Item::there;
  if (kill.step.empty() || kill.is("queue.get.committed") || kill.is("queue.get.mirrored"))
    return Item::absent;
  return Item::either;
}

template <class T>
std::vector<T> drained(const Queue<T>& queue) {
  std::vector<T> items;
  while (auto item = queue.try_get()) items.push_back(std::move(*item));
  return items;
}

template <class T>
void expect_all_memory_accounted(const Queue<T>& queue) {
  const std::size_t spare = testing::header_of(queue).spare.load() != 0 ? 1 : 0;
  EXPECT_EQ(testing::owned_runs(queue), testing::chain_length(queue) + spare);
}

// `actual` is `certain`, with `perhaps` in front of its last element or not.
void expect_items(const Strings& actual, Strings certain, const std::string& perhaps, Item item,
                  std::size_t where) {
  Strings with = certain;
  with.insert(with.begin() + static_cast<std::ptrdiff_t>(where), perhaps);
  if (item == Item::there) {
    EXPECT_TRUE(actual == with) << actual.size() << " items";
  }
  if (item == Item::absent) {
    EXPECT_TRUE(actual == certain) << actual.size() << " items";
  }
  if (item == Item::either) {
    EXPECT_TRUE(actual == with || actual == certain) << actual.size() << " items";
  }
}

// Kills, looks, repeats: each step, first, second … time it is passed, until the operation survives.
template <class Scenario>
void sweep(const std::vector<std::string>& steps = all_steps) {
  {
    Scenario warm_up;  // slab pages, once made, stay
    warm_up.operation();
  }
  int kills = 0;
  for (const std::string& step : steps) {
    for (const bool reap_first : {false, true}) {
      for (int nth = 1;; ++nth) {
        SCOPED_TRACE(step + " number " + std::to_string(nth) + (reap_first ? ", reaped" : ", not reaped"));
        const memory::Stats before = memory::stats();
        bool died = false;
        {
          Scenario scenario;
          Child child{Child::member, [&] {
                        os::steps::kill_at(step, nth);
                        scenario.operation();
                        os::steps::clear();
                        ::_exit(0);
                      }};
          const int status = child.wait_unreaped();
          died = status == -SIGKILL;
          if (!died) {
            ASSERT_EQ(status, 0);
          }
          if (reap_first) memory::reap_member(child.id());
          scenario.survivors(died ? Kill{step, nth} : Kill{});
          if (!reap_first) memory::reap_member(child.id());
          EXPECT_EQ(arena_damage(), "");
        }
        EXPECT_EQ(arena_damage(), "");
        EXPECT_EQ(memory::stats().members, before.members);
        EXPECT_EQ(memory::stats().objects, before.objects);
        EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
        if (::testing::Test::HasFailure()) return;
        if (!died) break;
        ++kills;
      }
    }
  }
  EXPECT_GT(kills, 0);
  std::printf("             %d kills\n", kills);
}

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
    expect_items(drained(queue), {first, last}, item, after_put(kill, 2), 1);
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

struct PutOversized {
  static const std::string& large() {
    static const std::string item = patterned(4, std::size_t{65} << 20);
    return item;
  }
  Queue<std::string> queue;
  PutOversized() { queue.put("before"); }
  void operation() { queue.put(large()); }
  void survivors(const Kill& kill) {
    queue.put("after");
    Strings got = drained(queue);
    ASSERT_GE(got.size(), 2U);
    if (after_put(kill, 2) == Item::absent) {
      EXPECT_EQ(got.size(), 2U);
    }
    if (after_put(kill, 2) == Item::there) {
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
TEST(QueueCrashTest, AnItemBeyondTheLargestRingIsThereWholeOrNotAtAll) {
  Watchdog dog{250s};
  sweep<PutOversized>({"queue.put.copied", "queue.put.committed", "queue.link.allocated",
                       "queue.link.formatted", "queue.link.committed", "queue.link.tail_moved",
                       "arena.before_commit", "arena.committed"});
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
