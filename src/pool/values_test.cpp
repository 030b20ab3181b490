// What goes to a task and comes back from it: all kinds of values, large ones, handles.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/queue.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::Watchdog;

constexpr std::size_t mib = std::size_t{1} << 20;

class PoolValues : public ::testing::Test {
 protected:
  Watchdog dog{120s};
  Pool pool{2};
};

struct Job {
  int id = 0;
  std::string file;
  std::map<std::string, std::vector<double>> weights;
  std::optional<int> limit;
  friend bool operator==(const Job&, const Job&) = default;
};

TEST_F(PoolValues, PlainAggregatesTravelBothWays) {
  const Job job{7, "a.txt", {{"x", {1.5, 2.5}}}, 3};
  EXPECT_EQ(pool.apply([](Job j) { return j; }, job), job);
  EXPECT_EQ(pool.map([](const Job& j) { return j; }, std::vector<Job>{job, job}), (std::vector<Job>{job, job}));
}

TEST_F(PoolValues, AStringLiteralIsAString) {
  EXPECT_EQ(pool.apply([](std::string s) { return s + "!"; }, "x"), "x!");
  EXPECT_EQ(pool.apply([](const char* s) { return std::string(s); }, "x"), "x");
  EXPECT_EQ(pool.apply([](std::string_view s) { return s.size(); }, "four"), 4U);
  EXPECT_EQ(pool.apply([](auto s) { return std::is_same_v<decltype(s), std::string>; }, "x"), true);
}

TEST_F(PoolValues, TextOfAnAsyncCallMayGoBeforeTheTaskRuns) {
  std::vector<AsyncResult<std::string>> results;
  for (int i = 0; i < 100; ++i) {
    const std::string text = "text number " + std::to_string(i) + " that is too long for its own object";
    results.push_back(pool.apply_async([](std::string_view s) { return std::string(s); }, std::string_view(text)));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(),
              "text number " + std::to_string(i) + " that is too long for its own object");
  }
}

TEST_F(PoolValues, AStringLiteralAsInputIsItsCharacters) {
  EXPECT_EQ(pool.map([](char c) { return static_cast<int>(c); }, "abc"), (std::vector<int>{'a', 'b', 'c'}));
}

TEST_F(PoolValues, AResultThatIsTextOfTheWorkerArrivesAsAString) {
  EXPECT_EQ(pool.apply([](int n) -> const char* { return n == 1 ? "one" : "many"; }, 1), "one");
}

TEST_F(PoolValues, ParametersByReferenceAreOfTheWorkersOwnCopy) {
  int n = 5;
  EXPECT_EQ(pool.apply([](int& x) { return ++x; }, n), 6);
  EXPECT_EQ(pool.apply([](const int& x) { return x + 1; }, n), 6);
  EXPECT_EQ(pool.apply([](int&& x) { return x + 1; }, n), 6);
  EXPECT_EQ(n, 5);
}

TEST_F(PoolValues, AResultByReferenceArrivesAsAValue) {
  EXPECT_EQ(pool.apply(
                [](int x) -> int& {
                  static int kept;
                  kept = x * 2;
                  return kept;
                },
                4),
            8);
}

TEST_F(PoolValues, ArgumentsAreConvertedToTheParameters) {
  EXPECT_EQ(pool.apply([](double x) { return x / 2; }, 3), 1.5);
  EXPECT_EQ(pool.map([](double x) { return x / 2; }, std::vector<int>{3, 5}), (std::vector<double>{1.5, 2.5}));
}

TEST_F(PoolValues, MoveOnlyArgumentsAndResultsTravel) {
  const auto box = [](int n) { return std::make_unique<int>(n); };
  const std::unique_ptr<int> result = pool.apply(box, 4);
  EXPECT_EQ(*result, 4);
  EXPECT_EQ(pool.apply([](std::unique_ptr<int> p) { return *p + 1; }, std::make_unique<int>(8)), 9);
  const auto all = pool.map(box, std::vector<int>{1, 2, 3});
  EXPECT_EQ(*all[2], 3);
  int sum = 0;
  for (std::unique_ptr<int>& p : pool.imap(box, std::vector<int>{1, 2, 3})) sum += *p;
  EXPECT_EQ(sum, 6);
}

TEST_F(PoolValues, AMoveOnlyResultIsTakenOnce) {
  auto later = pool.apply_async([] { return std::make_unique<int>(3); });
  EXPECT_EQ(*later.get(), 3);
  EXPECT_THROW(later.get(), std::logic_error);
}

TEST_F(PoolValues, VectorOfBoolIsARangeOfBools) {
  const std::vector<bool> input{true, false, true};
  const auto invert = [](bool b) { return !b; };
  EXPECT_EQ(pool.map(invert, input), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(pool.map_async(invert, input).get(), (std::vector<bool>{false, true, false}));
  std::vector<bool> all;
  for (bool b : pool.imap(invert, input)) all.push_back(b);
  EXPECT_EQ(all, (std::vector<bool>{false, true, false}));
}

TEST_F(PoolValues, FiftyMegabytesTravelBothWaysAndTheirMemoryIsGivenBack) {
  const std::size_t before = memory::stats().heap_bytes;
  {
    const std::vector<char> big(50 * mib, 'x');
    const std::vector<char> back = pool.apply(
        [](std::vector<char> v) {
          v.back() = 'y';
          return v;
        },
        big);
    EXPECT_EQ(back.size(), 50 * mib);
    EXPECT_EQ(back.front(), 'x');
    EXPECT_EQ(back.back(), 'y');
  }
  EXPECT_TRUE(eventually([&] { return memory::stats().heap_bytes <= before + mib; }));
}

TEST_F(PoolValues, ValuesOfEverySizeAroundThoseOfARingArriveWhole) {
  for (std::size_t size : {0U, 1U, 7U, 8U, 32'750U, 32'768U, 32'769U, 65'536U, 131'072U, 300'000U}) {
    const std::string text(size, static_cast<char>('a' + size % 26));
    EXPECT_EQ(pool.apply([](std::string s) { return s; }, text), text) << size;
  }
  // Many of changing size: records at every place of the ring, and some that go round its end.
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 2000; ++i) texts.emplace_back(i * 37 % 20'000, static_cast<char>('a' + i % 26));
  EXPECT_EQ(pool.map([](const std::string& s) { return s; }, texts, {.chunksize = 1}), texts);
}

TEST_F(PoolValues, AFullResultRingMakesTheWorkerWaitAndLosesNothing) {
  // Twenty results fill the ring; this thread looks at none of them before all tasks are given.
  std::vector<AsyncResult<std::string>> results;
  for (int i = 0; i < 200; ++i) {
    results.push_back(pool.apply_async([](int n) { return std::string(30'000, static_cast<char>('a' + n % 26)); }, i));
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), std::string(30'000, static_cast<char>('a' + i % 26)));
  }
}

TEST_F(PoolValues, AQueueAsArgumentIsTheSameQueue) {
  const Queue<int> queue;
  pool.map([](std::pair<Queue<int>, int> p) { p.first.put(p.second); },
           std::vector<std::pair<Queue<int>, int>>{{queue, 1}, {queue, 2}});
  EXPECT_EQ(queue.get() + queue.get(), 3);
}

TEST_F(PoolValues, AQueueAsResultOutlivesItsWorker) {
  const Queue<std::string> queue = pool.apply([] {
    Queue<std::string> made;
    made.put("from the worker");
    return made;
  });
  pool.close();
  pool.join();
  EXPECT_EQ(queue.get(1s), "from the worker");
}

TEST_F(PoolValues, AQueueThatNobodyNamesAnyMoreIsFreed) {
  const std::size_t before = memory::stats().objects;
  {
    const Queue<int> queue;
    pool.apply([](Queue<int> q) { q.put(1); }, queue);
    auto many = pool.map([](int) { return Queue<int>(); }, std::vector<int>{1, 2, 3});
    EXPECT_EQ(many.size(), 3U);
  }
  EXPECT_TRUE(eventually([&] { return memory::stats().objects <= before; }));
}

TEST_F(PoolValues, AHandleSurvivesTheDeathOfTheWorkerThatWasToTakeIt) {
  const Queue<int> queue;
  EXPECT_THROW(pool.apply(
                   [](Queue<int> q) {
                     q.put(5);
                     ::_exit(1);
                   },
                   queue),
               WorkerDied);
  EXPECT_EQ(queue.get(), 5);
}

}  // namespace
}  // namespace multiprocessing
