// The ring and its segments: boundaries, growth, oversized items, numbers that wrap, memory that goes back.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "support/arena_check.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::arena_damage;
using testing::patterned;
using testing::Watchdog;

constexpr std::size_t first_ring = (std::size_t{64} << 10) - channel::ring_at;

// Checks a queue against std::deque, with items that can be told apart.
class Model {
 public:
  explicit Model(std::uint64_t seed, std::uint32_t first_number = 0) : random_(seed) {
    testing::begin_at(queue_, first_number);
  }

  void put(std::size_t bytes) {
    expected_.push_back(patterned(next_++, bytes));
    queue_.put(expected_.back());
  }

  void put_many(std::size_t count, std::size_t largest) {
    std::vector<std::string> items;
    for (std::size_t i = 0; i < count; ++i) items.push_back(patterned(next_++, random_() % (largest + 1)));
    queue_.put_many(items);
    expected_.insert(expected_.end(), items.begin(), items.end());
  }

  void get() {
    ASSERT_TRUE(queue_.get_nowait() == expected_.front()) << "an item of " << expected_.front().size() << " bytes";
    expected_.pop_front();
  }

  void get_many(std::size_t most) {
    const std::vector<std::string> items = queue_.get_many(most, 0s);
    ASSERT_LE(items.size(), most);
    for (const std::string& item : items) {
      ASSERT_TRUE(item == expected_.front());
      expected_.pop_front();
    }
  }

  void drain() {
    while (!expected_.empty()) get();
    ASSERT_EQ(queue_.try_get(), std::nullopt);
  }

  // Puts and gets of all kinds; between 0 and `most_items` items are in the queue.
  void play(int steps, std::size_t most_items, std::size_t largest) {
    for (int step = 0; step < steps; ++step) {
      const bool grow = expected_.empty() || (expected_.size() < most_items && random_() % 2 == 0);
      const bool many = random_() % 4 == 0;
      if (grow && many) put_many(random_() % 50, largest);
      if (grow && !many) put(random_() % (largest + 1));
      if (!grow && many) get_many(1 + random_() % 50);
      if (!grow && !many) get();
      if (::testing::Test::HasFatalFailure()) return;
      ASSERT_EQ(queue_.qsize(), expected_.size());
    }
    drain();
  }

  std::mt19937_64& random() { return random_; }
  const Queue<std::string>& queue() const { return queue_; }

 private:
  std::mt19937_64 random_;
  Queue<std::string> queue_;
  std::deque<std::string> expected_;
  std::uint64_t next_ = 0;
};

TEST(QueueRingTest, RandomItemsAndBatchesComeOutAsTheyWentIn) {
  Watchdog dog{200s};
  for (const std::size_t largest : {std::size_t{8}, std::size_t{200}, std::size_t{5'000}, std::size_t{70'000}}) {
    SCOPED_TRACE(largest);
    Model model(largest);
    model.play(3'000, 5, largest);    // mostly around an empty ring
    model.play(3'000, 500, largest);  // over several segments
    model.play(3'000, 20, largest);   // inside of a large ring
  }
}

TEST(QueueRingTest, EverySizeAroundTheEndOfTheFirstRingFitsSomewhere) {
  Watchdog dog{120s};
  for (std::size_t bytes = first_ring - 64; bytes <= first_ring + 64; ++bytes) {
    Model model(bytes);
    model.put(bytes);
    model.put(1);
    model.put(bytes);
    model.drain();
    model.put(bytes);
    model.drain();
  }
}

// Every distance of head and tail to the end of the ring, met by every size near that distance.
TEST(QueueRingTest, EveryWayToMeetTheEndOfTheRingIsRight) {
  Watchdog dog{200s};
  for (std::size_t before = 0; before <= 6; ++before) {
    for (std::size_t units = 0; units <= 8; ++units) {
      for (const bool leave_one : {false, true}) {
        Model model(units);
        // Tail: `before` units in front of the end; head: the same, or at the beginning of the last record.
        constexpr std::size_t last = 8;
        const auto bytes_of = [](std::size_t record_units) { return (record_units - 1) * channel::unit; };
        model.put(bytes_of(first_ring / channel::unit - last - before));
        model.get();
        model.put(bytes_of(last));
        if (!leave_one) model.get();
        model.put(units * channel::unit);
        model.put(units * channel::unit);
        model.drain();
        for (int i = 0; i < 10; ++i) model.put(units * channel::unit + static_cast<std::size_t>(i));
        model.drain();
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Head stands `head` units into the ring, and a record of about that size wants the place before it.
TEST(QueueRingTest, ARecordAtTheBeginningNeverReachesHead) {
  Watchdog dog{120s};
  const auto bytes_of = [](std::size_t record_units) { return (record_units - 1) * channel::unit; };
  for (std::size_t head = 2; head <= 10; ++head) {
    for (std::size_t record = head - 1; record <= head + 1; ++record) {
      Model model(head);
      model.put(bytes_of(head));
      model.put(bytes_of(4));
      model.get();
      model.put(bytes_of(first_ring / channel::unit - head - 4));  // to the very end
      ASSERT_EQ(testing::chain_length(model.queue()), 1U);
      model.put(bytes_of(record));
      model.put(bytes_of(1));
      model.put(bytes_of(record));
      model.drain();
      if (HasFatalFailure()) return;
    }
  }
}

TEST(QueueRingTest, ARingThatIsFilledToTheLastUnitIsEmptiedAgain) {
  const Queue<std::string> queue;
  const std::uint64_t segment = testing::header_of(queue).head_segment.load();
  const auto fill = [&] {
    std::size_t items = 0;
    while (testing::header_of(queue).tail_segment.load() == segment) {
      queue.put("12345678");
      ++items;
    }
    return items;
  };
  const std::size_t items = fill();
  EXPECT_EQ(items, first_ring / 16 + (first_ring % 16 == 0 ? 0 : 1));
  for (std::size_t i = 0; i < items; ++i) ASSERT_EQ(queue.get(), "12345678");
  EXPECT_TRUE(queue.empty());
}

TEST(QueueRingTest, ARingIsReusedWhileConsumersKeepUp) {
  const Queue<std::string> queue;
  const std::uint64_t segment = testing::header_of(queue).head_segment.load();
  for (std::size_t i = 0; i < 20'000; ++i) {
    queue.put(patterned(i, i % 300));
    ASSERT_TRUE(queue.get() == patterned(i, i % 300));
  }
  EXPECT_EQ(testing::header_of(queue).tail_segment.load(), segment);
}

TEST(QueueRingTest, TheNumberOfAMessageMayWrap) {
  Watchdog dog{120s};
  for (const std::uint32_t first : {0xffffffffU, 0xfffffff0U, 0xfffff000U, 0x7fffff00U}) {
    Model model(first, first);
    model.play(5'000, 300, 3'000);
  }
  const Queue<int> bounded(3);
  testing::begin_at(bounded, 0xfffffffeU);
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(bounded.put_many(std::vector<int>{1, 2, 3, 4}, 0s), 3U);
    EXPECT_TRUE(bounded.full());
    EXPECT_EQ(bounded.qsize(), 3U);
    EXPECT_EQ(bounded.get(), 1);
    EXPECT_EQ(bounded.get(), 2);
    EXPECT_EQ(bounded.get(), 3);
    EXPECT_TRUE(bounded.empty());
  }
}

TEST(QueueRingTest, TheWorkedExampleInTheFormatsPageIsWhatIsThere) {  // docs/formats/queue.md
  const Queue<std::string> queue(3);
  queue.put("hello");
  queue.put("");
  EXPECT_EQ(queue.get(), "hello");
  channel::Segment& segment = testing::head_segment(queue);
  EXPECT_EQ(segment.capacity, 8'160U);
  EXPECT_EQ(segment.tail.load(), (channel::Cursor{2, 3}.word()));
  EXPECT_EQ(segment.next.load(), 0U);
  EXPECT_EQ(segment.head.load(), (channel::Cursor{1, 2}.word()));
  const auto* ring = reinterpret_cast<const char*>(&segment) + channel::ring_at;
  EXPECT_EQ(std::string(ring, 13), std::string("\x05\0\0\0\0\0\0\0hello", 13));
  EXPECT_EQ(std::string(ring + 16, 8), std::string(8, '\0'));
  EXPECT_EQ(testing::header_of(queue).puts.load(), 2U);
  EXPECT_EQ(testing::header_of(queue).takes.load(), 1U);
}

// --- large items -----------------------------------------------------------------------------------------------------

TEST(QueueRingTest, ItemsTooLargeForARingKeepTheirOrderAmongSmallOnes) {
  Watchdog dog{200s};
  Model model(1);
  const std::size_t mib = std::size_t{1} << 20;
  for (const std::size_t bytes : {std::size_t{1}, 3 * mib, std::size_t{0}, 20 * mib, std::size_t{9}, 64 * mib,
                                  64 * mib - 256, 65 * mib, std::size_t{5}, std::size_t{6}}) {
    model.put(bytes);
  }
  model.drain();
  model.put(70 * mib);
  model.get();
  model.put(70 * mib);
  model.put(1);
  model.drain();
}

TEST(QueueRingTest, AnItemOf200MegabytesIsWholeAndItsMemoryGoesBackWithTheQueue) {
  Watchdog dog{200s};
  const memory::Stats before = memory::stats();
  {
    const Queue<std::string> queue;
    const std::size_t bytes = 200'000'000;
    queue.put("small");
    queue.put(patterned(1, bytes));
    EXPECT_EQ(queue.get(), "small");
    EXPECT_TRUE(queue.get() == patterned(1, bytes));
    queue.put("next");
    EXPECT_EQ(queue.get(), "next");
    EXPECT_EQ(testing::chain_length(queue), 1U) << "the ring need not grow for it";
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
  EXPECT_LE(memory::stats().heap_bytes,
            before.heap_bytes + 2 * memory::page_bytes);  // a slab page stays a slab page
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueRingTest, AQueueGrowsWithoutBoundAndGivesBackWhatItGrew) {
  Watchdog dog{120s};
  const Queue<std::string> warm_up;  // the slab page that headers live in
  const std::size_t before = memory::stats().heap_bytes;
  Queue<std::string> queue;
  for (std::size_t i = 0; i < 50'000; ++i) queue.put(patterned(i, 1000));
  EXPECT_GT(memory::stats().heap_bytes, before + 50'000'000);
  for (std::size_t i = 0; i < 50'000; ++i) ASSERT_TRUE(queue.get() == patterned(i, 1000));
  // The largest ring stays, for the next items; those before it are gone.
  EXPECT_LE(memory::stats().heap_bytes, before + (std::size_t{64} << 20));
  queue = Queue<std::string>();
  EXPECT_LE(memory::stats().heap_bytes, before + (std::size_t{64} << 10));
  EXPECT_EQ(arena_damage(), "");
}

TEST(QueueRingTest, AQueueThatIsDroppedWithItemsInItGivesAllMemoryBack) {
  const Queue<std::string> warm_up;
  const memory::Stats before = memory::stats();
  {
    const Queue<std::string> queue;
    for (std::size_t i = 0; i < 1'000; ++i) queue.put(patterned(i, 10'000));
  }
  EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
  EXPECT_EQ(memory::stats().objects, before.objects);
}

}  // namespace
}  // namespace multiprocessing
