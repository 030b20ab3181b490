// The calls of Pool: which functions they take, what they give back, in which order.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <list>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::numbers;
using testing::Shared;
using testing::Watchdog;

int test(int x) { return x + 100; }
int add(int a, int b) { return a + b; }
void do_nothing(int) {}
int worker_pid() { return ::getpid(); }

std::vector<int> tested(int count) {
  std::vector<int> all = numbers(count);
  for (int& n : all) n += 100;
  return all;
}

struct Scale {  // a function object with members
  int factor;
  int operator()(int x) const { return factor * x; }
};

class PoolCalls : public ::testing::Test {
 protected:
  Watchdog dog{120s};
  Pool pool{3};
};

TEST_F(PoolCalls, ApplyRunsTheFunctionInAnotherProcess) {
  EXPECT_EQ(pool.apply(test, 1), 101);
  EXPECT_NE(pool.apply(worker_pid), ::getpid());
}

TEST_F(PoolCalls, ApplyTakesFunctionsLambdasFunctionObjectsCopiedAndBound) {
  EXPECT_EQ(pool.apply(&add, 1, 2), 3);
  EXPECT_EQ(pool.apply([](int a, int b) { return a * b; }, 3, 4), 12);
  EXPECT_EQ(pool.apply([](auto a) { return a + 1; }, 3), 4);
  EXPECT_EQ(pool.apply(Scale{5}, 3), 15);
  int offset = 7;
  EXPECT_EQ(pool.apply(copied([offset](int x) { return x + offset; }), 1), 8);
  EXPECT_EQ(pool.apply(bind(add, 20, 3)), 23);
}

TEST_F(PoolCalls, ApplyAsyncReturnsBeforeTheResultIsThere) {
  Shared<int> go;
  static Shared<int>* waits_for;
  waits_for = &go;
  Pool own(1);
  auto later = own.apply_async(
      [](int x) {
        while (waits_for->get() == 0) ::usleep(100);
        return x + 1;
      },
      1);
  EXPECT_FALSE(later.ready());
  go.set(1);
  EXPECT_EQ(later.get(), 2);
}

TEST_F(PoolCalls, MapGivesResultsInTheOrderOfTheInput) {
  EXPECT_EQ(pool.map(test, numbers(1000)), tested(1000));
  EXPECT_EQ(pool.map(test, std::list<int>{3, 1, 2}), (std::vector{103, 101, 102}));
  EXPECT_EQ(pool.map(test, std::array{1, 2}), (std::vector{101, 102}));
}

TEST_F(PoolCalls, EveryChunksizeGivesTheSame) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{50}, std::size_t{1000}, ~std::size_t{0}}) {
    EXPECT_EQ(pool.map(test, numbers(50), {.chunksize = size}), tested(50));
    EXPECT_EQ(pool.map_async(test, numbers(50), {.chunksize = size}).get(), tested(50));
    std::vector<int> all;
    for (int r : pool.imap(test, numbers(50), {.chunksize = size})) all.push_back(r);
    EXPECT_EQ(all, tested(50));
  }
}

TEST_F(PoolCalls, AChunkIsRunByOneWorker) {
  const auto pids = pool.map([](int) { return static_cast<int>(::getpid()); }, numbers(30), {.chunksize = 10});
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(pids[i], pids[i / 10 * 10]);
}

TEST_F(PoolCalls, EmptyInputGivesEmptyOutputAtOnce) {
  const std::vector<int> none;
  EXPECT_TRUE(pool.map(test, none).empty());
  EXPECT_TRUE(pool.map_async(test, none).ready());
  EXPECT_TRUE(pool.map_async(test, none).get().empty());
  EXPECT_TRUE(pool.starmap(add, std::vector<std::tuple<int, int>>{}).empty());
  for (int r : pool.imap(test, none)) ADD_FAILURE() << r;
  for (int r : pool.imap_unordered(test, none)) ADD_FAILURE() << r;
  pool.map(do_nothing, none);
}

TEST_F(PoolCalls, AVoidFunctionGivesVoid) {
  static_assert(std::is_void_v<decltype(pool.apply(do_nothing, 1))>);
  static_assert(std::is_void_v<decltype(pool.map(do_nothing, numbers(3)))>);
  pool.apply(do_nothing, 1);
  pool.map(do_nothing, numbers(3));
  pool.apply_async(do_nothing, 1).get();
  pool.map_async(do_nothing, numbers(3)).get();
  int count = 0;
  for (std::monostate& nothing : pool.imap(do_nothing, numbers(3))) count += nothing == std::monostate{};
  EXPECT_EQ(count, 3);
}

TEST_F(PoolCalls, StarmapSpreadsTuplesPairsAndArrays) {
  EXPECT_EQ(pool.starmap(add, std::vector<std::tuple<int, int>>{{1, 2}, {3, 4}}), (std::vector{3, 7}));
  EXPECT_EQ(pool.starmap(add, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}), (std::vector{3, 7}));
  EXPECT_EQ(pool.starmap(add, std::vector<std::array<int, 2>>{{1, 2}, {3, 4}}), (std::vector{3, 7}));
  EXPECT_EQ(pool.starmap_async(add, std::vector<std::tuple<int, int>>{{5, 6}}).get(), std::vector{11});
}

TEST_F(PoolCalls, ImapGivesResultsInOrderOneByOne) {
  std::vector<int> all;
  for (int r : pool.imap(test, numbers(200))) all.push_back(r);
  EXPECT_EQ(all, tested(200));
}

TEST_F(PoolCalls, ImapUnorderedGivesEveryResultOnce) {
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}}) {
    std::multiset<int> all;
    for (int r : pool.imap_unordered(test, numbers(200), {.chunksize = chunk})) all.insert(r);
    const auto expected = tested(200);
    EXPECT_EQ(all, (std::multiset<int>(expected.begin(), expected.end())));
  }
}

TEST_F(PoolCalls, ImapUnorderedGivesWhatIsDoneBeforeWhatIsNot) {
  static Shared<int>* open;
  Shared<int> gate;
  open = &gate;
  Pool own(2);
  auto results = own.imap_unordered(
      [](int x) {
        while (x == 0 && open->get() == 0) ::usleep(100);
        return x;
      },
      numbers(3));
  auto it = results.begin();
  std::set<int> first{*it};
  first.insert(*++it);
  EXPECT_EQ(first, (std::set{1, 2}));
  gate.set(1);
  EXPECT_EQ(*++it, 0);
  EXPECT_TRUE(++it == results.end());
}

TEST_F(PoolCalls, ImapGivesReferencesThatMayBeMovedFrom) {
  const auto repeat = [](int n) { return std::string(static_cast<std::size_t>(n), 'x'); };
  std::vector<std::string> all;
  for (std::string& text : pool.imap(repeat, numbers(3))) all.push_back(std::move(text));
  EXPECT_EQ(all, (std::vector<std::string>{"", "x", "xx"}));
}

TEST_F(PoolCalls, ImapMayBeIteratedAfterClose) {
  auto results = pool.imap(test, numbers(100));
  pool.close();
  EXPECT_EQ(std::ranges::distance(results.begin(), results.end()), 100);
  EXPECT_THROW(pool.imap(test, numbers(1)), std::invalid_argument);
}

TEST_F(PoolCalls, ManySmallTasksAreEachDoneOnce) {
  long long sum = 0;
  for (int r : pool.map(test, numbers(100'000), {.chunksize = 1})) sum += r;
  EXPECT_EQ(sum, 99'999LL * 50'000 + 100 * 100'000);
}

TEST(PoolSize, IsTheNumberOfCoresWhenNotGiven) {
  Watchdog dog{60s};
  Pool pool;
  EXPECT_EQ(testing::workers(pool).size(), static_cast<std::size_t>(cpu_count()));
  Pool zero({.processes = 0});
  EXPECT_EQ(testing::workers(zero).size(), static_cast<std::size_t>(cpu_count()));
}

TEST(PoolSize, NegativeOrAbsurdIsRefused) {
  EXPECT_THROW(Pool(-1), std::invalid_argument);
  EXPECT_THROW(Pool(100'000), std::invalid_argument);
}

}  // namespace
}  // namespace multiprocessing
