// Queue as Python's documentation and this library's tell it, in one process.
#include "multiprocessing/queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <future>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;
using Clock = std::chrono::steady_clock;

template <class T>
void expect_round_trip(const T& item) {
  const Queue<T> queue;
  queue.put(item);
  EXPECT_EQ(queue.get(), item);
  EXPECT_TRUE(queue.empty());
}

std::vector<int> numbers(int end) {
  std::vector<int> all(static_cast<std::size_t>(end));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// --- order and bound -------------------------------------------------------------------------------------------------

TEST(QueueTest, ItemsComeInTheOrderTheyWerePut) {
  const Queue<int> queue;
  for (int i = 0; i < 1000; ++i) queue.put(i);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(queue.get(), i);
}

TEST(QueueTest, AQueueWithoutABoundIsNeverFull) {
  const Queue<int> queue;
  EXPECT_EQ(queue.maxsize(), 0U);
  for (int i = 0; i < 100'000; ++i) queue.put_nowait(i);
  EXPECT_FALSE(queue.full());
  EXPECT_EQ(queue.qsize(), 100'000U);
}

TEST(QueueTest, MaxsizeCountsItems) {
  const Queue<std::string> queue(3);
  EXPECT_EQ(queue.maxsize(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(queue.full());
    queue.put(std::string(100'000, 'x'));
  }
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.try_put(""));
  EXPECT_EQ(queue.get().size(), 100'000U);
  EXPECT_TRUE(queue.try_put(""));
}

TEST(QueueTest, ABoundOutsideOfItsRangeIsAnInvalidArgument) {
  EXPECT_THROW(Queue<int>(-1), std::invalid_argument);
  EXPECT_THROW(Queue<int>(std::uint64_t{1} << 40), std::invalid_argument);
  EXPECT_EQ(Queue<int>(std::numeric_limits<int>::max()).maxsize(), 2147483647U);
}

TEST(QueueTest, QsizeEmptyAndFullFollowWhatGoesInAndOut) {
  const Queue<int> queue(2);
  EXPECT_TRUE(queue.empty());
  queue.put(1);
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(queue.qsize(), 1U);
  queue.put(2);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_TRUE(queue.empty());
}

// --- waiting ---------------------------------------------------------------------------------------------------------

TEST(QueueTest, GetWithATimeoutThrowsEmptyAndNotBeforeTheTime) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const auto start = Clock::now();
  EXPECT_THROW((void)queue.get(120ms), Empty);
  EXPECT_GE(Clock::now() - start, 120ms);
}

TEST(QueueTest, PutWithATimeoutThrowsFullAndNotBeforeTheTime) {
  Watchdog dog{60s};
  const Queue<int> queue(1);
  queue.put(1, 1s);
  const auto start = Clock::now();
  EXPECT_THROW(queue.put(2, 120ms), Full);
  EXPECT_GE(Clock::now() - start, 120ms);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(QueueTest, NowaitThrowsAtOnceAndTryReturnsAValue) {
  const Queue<int> queue(1);
  EXPECT_THROW((void)queue.get_nowait(), Empty);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  queue.put_nowait(7);
  EXPECT_THROW(queue.put_nowait(8), Full);
  EXPECT_FALSE(queue.try_put(8));
  EXPECT_EQ(queue.get_nowait(), 7);
  EXPECT_TRUE(queue.try_put(9));
  EXPECT_EQ(queue.try_get(), 9);
}

TEST(QueueTest, ANegativeTimeoutHasPassedAndTheLongestNeverDoes) {
  Watchdog dog{60s};
  const Queue<int> queue(1);
  EXPECT_THROW((void)queue.get(-1s), Empty);
  queue.put(1, std::chrono::hours::max());
  EXPECT_THROW(queue.put(2, -1s), Full);
  EXPECT_EQ(queue.get(std::chrono::hours::max()), 1);
}

TEST(QueueTest, AGetThatWaitsTakesWhatComes) {
  Watchdog dog{60s};
  const Queue<int> queue;
  auto got = std::async(std::launch::async, [queue] { return queue.get(); });
  queue.put(5);
  EXPECT_EQ(got.get(), 5);
}

TEST(QueueTest, APutThatWaitsGoesOnWhenThereIsRoom) {
  Watchdog dog{60s};
  const Queue<int> queue(1);
  queue.put(1);
  auto put = std::async(std::launch::async, [queue] { queue.put(2); });
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 2);
  put.get();
}

// --- closing ---------------------------------------------------------------------------------------------------------

TEST(QueueTest, AfterCloseAPutThrowsAndWhatIsThereIsDeliveredBeforeGetThrows) {
  const Queue<std::string> queue;
  queue.put("a");
  queue.put("b");
  EXPECT_FALSE(queue.closed());
  queue.close();
  queue.close();  // idempotent
  EXPECT_TRUE(queue.closed());
  EXPECT_THROW(queue.put("c"), Closed);
  EXPECT_THROW((void)queue.try_put("c"), Closed);
  EXPECT_THROW(queue.put_many(std::vector<std::string>{"c"}), Closed);
  EXPECT_EQ(queue.get(), "a");
  EXPECT_EQ(queue.get(1s), "b");
  EXPECT_THROW((void)queue.get(), Closed);
  EXPECT_THROW((void)queue.get(1s), Closed);
  EXPECT_THROW((void)queue.get_nowait(), Closed);
  EXPECT_THROW((void)queue.get_many(4), Closed);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(QueueTest, ClosedAndFullThrowsClosedNotFull) {
  const Queue<int> queue(1);
  queue.put(1);
  queue.close();
  EXPECT_THROW(queue.put_nowait(2), Closed);
}

TEST(QueueTest, CloseWakesThoseThatWaitForRoom) {
  Watchdog dog{60s};
  const Queue<int> queue(1);
  queue.put(1);
  std::vector<std::future<bool>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(std::async(std::launch::async, [queue] {
      try {
        queue.put(2);
      } catch (const Closed&) {
        return true;
      }
      return false;
    }));
  }
  queue.close();
  for (auto& closed : waiting) EXPECT_TRUE(closed.get());
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW((void)queue.get(), Closed);
}

TEST(QueueTest, CloseWakesThoseThatWaitForItems) {
  Watchdog dog{60s};
  const Queue<int> queue;
  std::vector<std::future<int>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(std::async(std::launch::async, [queue] {
      int count = 0;
      for (int item : queue) count += item;
      return count;
    }));
  }
  queue.put(4);
  queue.close();
  int sum = 0;
  for (auto& ended : waiting) sum += ended.get();
  EXPECT_EQ(sum, 4);
}

TEST(QueueTest, IterationEndsWhenTheQueueIsClosedAndEmpty) {
  const Queue<std::string> queue;
  queue.put_many(std::vector<std::string>{"x", "y", "z"});
  queue.close();
  std::string all;
  for (std::string item : queue) all += item;
  EXPECT_EQ(all, "xyz");
  for (const std::string& item : queue) FAIL() << item;
}

// --- batches ---------------------------------------------------------------------------------------------------------

TEST(QueueTest, PutManyStopsAtTheBoundAndSaysHowFarItCame) {
  Watchdog dog{60s};
  const Queue<int> queue(5);
  const std::vector<int> items{1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(queue.put_many(items, 50ms), 5U);
  EXPECT_EQ(queue.get_many(2), (std::vector<int>{1, 2}));
  EXPECT_EQ(queue.put_many(items, 0s), 2U);
  EXPECT_EQ(queue.get_many(100), (std::vector<int>{3, 4, 5, 1, 2}));
  EXPECT_EQ(queue.put_many(std::vector<int>{}, 1s), 0U);
}

TEST(QueueTest, GetManyWaitsForOneItemOnlyAndThrowsLikeGet) {
  Watchdog dog{60s};
  const Queue<int> queue;
  EXPECT_THROW((void)queue.get_many(3, 20ms), Empty);
  EXPECT_TRUE(queue.get_many(0).empty());
  queue.put(1);
  EXPECT_EQ(queue.get_many(3), (std::vector<int>{1}));
}

TEST(QueueTest, PutManyTakesAnyInputRangeAndAnyNumber) {
  const Queue<int> queue;
  queue.put_many(numbers(10'000));
  queue.put_many(std::list<int>{10'000, 10'001});
  int next = 0;
  while (next < 10'002) {
    for (const int item : queue.get_many(5000)) ASSERT_EQ(item, next++);
  }
}

TEST(QueueTest, PutManyThatIsClosedOnItsWayLeavesWhatIsIn) {
  Watchdog dog{60s};
  const Queue<int> queue(2);
  auto putting = std::async(std::launch::async, [queue] { queue.put_many(numbers(10)); });
  EXPECT_EQ(queue.get(), 0);
  queue.close();
  EXPECT_THROW(putting.get(), Closed);
  int next = 1;
  for (const int item : queue) EXPECT_EQ(item, next++);
}

// --- items -----------------------------------------------------------------------------------------------------------

struct Point {
  double x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};
struct Shape {
  std::string name;
  std::vector<Point> corners;
  std::optional<std::map<std::string, std::vector<int>>> notes;
  bool operator==(const Shape&) const = default;
};
struct Nothing {
  bool operator==(const Nothing&) const = default;
};

TEST(QueueTest, CarriesAnythingThatCanBeSent) {
  expect_round_trip(42);
  expect_round_trip('c');
  expect_round_trip(3.5);
  expect_round_trip(true);
  expect_round_trip(std::string("text\0with zero", 14));
  expect_round_trip(std::u16string(u"wide"));
  expect_round_trip(std::vector<int>{1, 2, 3});
  expect_round_trip(std::vector<bool>{true, false, true});
  expect_round_trip(std::vector<Point>{{1, 2}, {3, 4}});
  expect_round_trip(std::vector<std::vector<std::string>>{{"a", "b"}, {}, {"c"}});
  expect_round_trip(std::map<std::string, std::set<int>>{{"a", {1, 2}}, {"b", {}}});
  expect_round_trip(std::tuple<int, std::string, std::array<char, 3>>{1, "two", {'3', '3', '3'}});
  expect_round_trip(std::variant<int, std::string>{"variant"});
  expect_round_trip(std::optional<std::string>{});
  expect_round_trip(Shape{"square", {{0, 0}, {1, 1}}, std::map<std::string, std::vector<int>>{{"n", {1}}}});
  expect_round_trip(std::pair{std::deque<int>{1}, std::list<std::string>{"l"}});
}

TEST(QueueTest, AnItemMayHaveNoBytesAtAll) {
  expect_round_trip(std::string());
  expect_round_trip(std::vector<double>());
  expect_round_trip(Nothing{});
  const Queue<std::string> queue(3);
  queue.put_many(std::vector<std::string>{"", "a", ""});
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.get_many(3), (std::vector<std::string>{"", "a", ""}));
}

TEST(QueueTest, MovableOnlyItemsAreSentToo) {
  const Queue<std::unique_ptr<std::string>> queue;
  queue.put(std::make_unique<std::string>("owned"));
  queue.put(nullptr);
  EXPECT_EQ(*queue.get(), "owned");
  EXPECT_EQ(queue.get(), nullptr);
}

// Throws on the way out (1) or on the way in (2).
struct Thrower {
  int when = 0;
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    archive(when, text);
    if (when == 1) throw std::domain_error("on the way out");
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(when, text);
    if (when == 2) throw std::domain_error("on the way in");
  }
};

TEST(QueueTest, Faults20_ASerializerThatThrowsLeavesTheQueueUnharmed) {
  const Queue<Thrower> queue(2);
  queue.put({0, "first"});
  EXPECT_THROW(queue.put({1, "never"}), std::domain_error);
  EXPECT_THROW(queue.put_many(std::vector<Thrower>{{1, "never"}}), std::domain_error);
  EXPECT_EQ(queue.qsize(), 1U);
  queue.put({0, "second"});
  EXPECT_EQ(queue.get().text, "first");
  EXPECT_EQ(queue.get().text, "second");
}

TEST(QueueTest, AnItemThatCannotBeReadIsGoneAndTheNextOneComes) {
  const Queue<Thrower> queue;
  queue.put({2, "bad"});
  queue.put({0, "good"});
  EXPECT_THROW((void)queue.get(), std::domain_error);
  EXPECT_EQ(queue.get().text, "good");
}

// A serializer may itself use queues: the thread's buffers are not shared between the two.
struct Logged {
  Queue<std::string> log;
  int n = 0;
  template <class Archive>
  void save(Archive& archive) const {
    log.put("saving");
    archive(log, n);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(log, n);
    log.put("loading");
  }
};

TEST(QueueTest, ASerializerMayPutAndGetItself) {
  const Queue<Logged> queue;
  const Queue<std::string> log;
  queue.put({log, 17});
  EXPECT_EQ(queue.get().n, 17);
  EXPECT_EQ(log.get(), "saving");
  EXPECT_EQ(log.get_nowait(), "loading");
}

// --- handles ---------------------------------------------------------------------------------------------------------

TEST(QueueTest, CopiesNameTheSameQueueAndConstOnesWorkInClosures) {
  const Queue<int> queue;
  const Queue<int> copy = queue;
  [copy] { copy.put(1); }();
  EXPECT_EQ(queue.get(), 1);
}

}  // namespace
}  // namespace multiprocessing
