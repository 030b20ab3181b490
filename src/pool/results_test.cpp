// AsyncResult: waiting, asking, callbacks.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::eventually;
using testing::Shared;
using testing::Watchdog;

int twice(int n) { return 2 * n; }
int fails(int) { throw std::out_of_range("as asked"); }

// A task that ends when the test says so.
Shared<int>* gate = nullptr;
int wait_for_gate(int n) {
  while (gate->get() == 0) ::usleep(200);
  return n;
}

class PoolResults : public ::testing::Test {
 protected:
  ~PoolResults() override { gate_.set(1); }

  Watchdog dog{120s};
  Shared<int> gate_;
  Pool pool{(gate = &gate_, 2)};  // workers have the memory of now
};

TEST_F(PoolResults, GetReturnsTheValueAsOftenAsAsked) {
  auto later = pool.apply_async(twice, 4);
  const auto copy = later;
  EXPECT_EQ(later.get(), 8);
  EXPECT_EQ(later.get(), 8);
  EXPECT_EQ(copy.get(), 8);
}

TEST_F(PoolResults, GetThrowsTheExceptionAsOftenAsAsked) {
  auto later = pool.apply_async(fails, 4);
  EXPECT_THROW(later.get(), std::out_of_range);
  EXPECT_THROW(later.get(), std::out_of_range);
}

TEST_F(PoolResults, GetWithATimeoutThrowsTimeoutErrorAndCanBeAskedAgain) {
  auto later = pool.apply_async(wait_for_gate, 4);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(later.get(50ms), TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
  EXPECT_THROW(later.get(0ms), TimeoutError);
  EXPECT_THROW(later.get(-1s), TimeoutError);
  gate_.set(1);
  EXPECT_EQ(later.get(1h), 4);
  EXPECT_EQ(later.get(0ms), 4);
}

TEST_F(PoolResults, WaitSaysWhetherTheResultIsThere) {
  auto later = pool.apply_async(wait_for_gate, 4);
  EXPECT_FALSE(later.wait(10ms));
  EXPECT_FALSE(later.ready());
  gate_.set(1);
  later.wait();
  EXPECT_TRUE(later.wait(0ms));
  EXPECT_TRUE(later.ready());
}

TEST_F(PoolResults, SuccessfulIsToBeAskedOfAReadyResultOnly) {
  auto later = pool.apply_async(wait_for_gate, 4);
  EXPECT_THROW(static_cast<void>(later.successful()), std::invalid_argument);
  gate_.set(1);
  later.wait();
  EXPECT_TRUE(later.successful());
  auto failed = pool.apply_async(fails, 1);
  failed.wait();
  EXPECT_FALSE(failed.successful());
}

TEST_F(PoolResults, ReadyBecomesTrueWithoutAnybodyWaiting) {
  auto later = pool.apply_async(twice, 1);
  EXPECT_TRUE(eventually([&] { return later.ready(); }));
}

TEST_F(PoolResults, AShortTaskIsNotHeldUpByALongOneInFrontOfIt) {
  auto slow = pool.apply_async(wait_for_gate, 1);
  std::vector<AsyncResult<int>> fast;
  for (int i = 0; i < 50; ++i) fast.push_back(pool.apply_async(twice, i));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(fast[static_cast<std::size_t>(i)].get(), 2 * i);
  EXPECT_FALSE(slow.ready());
  gate_.set(1);
  EXPECT_EQ(slow.get(), 1);
}

TEST_F(PoolResults, OutliveThePool) {
  auto later = pool.apply_async(twice, 21);
  auto failed = pool.apply_async(fails, 1);
  { const Pool gone = std::move(pool); }
  EXPECT_EQ(later.get(), 42);
  EXPECT_THROW(failed.get(), std::out_of_range);
  EXPECT_TRUE(later.successful());
}

TEST_F(PoolResults, OneMayBeWaitedForByManyThreads) {
  auto later = pool.apply_async(wait_for_gate, 9);
  std::vector<std::thread> threads;
  std::atomic<int> sum{0};
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { sum += later.get(); });
  gate_.set(1);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 72);
}

// --- callbacks -----------------------------------------------------------------------------------------------------

TEST_F(PoolResults, OnSuccessGetsTheValueAndOnErrorTheException) {
  std::atomic<int> value{0};
  std::atomic<int> wrong{0};
  std::atomic<bool> error{false};
  pool.apply_async(twice, 4).on_success([&](int v) { value = v; }).on_error([&](const std::exception_ptr&) {
    ++wrong;
  });
  pool.apply_async(fails, 4).on_success([&](int) { ++wrong; }).on_error([&](const std::exception_ptr& e) {
    try {
      std::rethrow_exception(e);
    } catch (const std::out_of_range&) {
      error = true;
    }
  });
  pool.close();
  pool.join();
  EXPECT_EQ(value, 8);
  EXPECT_TRUE(error);
  EXPECT_EQ(wrong, 0);
}

TEST_F(PoolResults, CallbacksRunOnOneThreadThatIsNotTheCallers) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<int> values;
  for (int i = 0; i < 100; ++i) {
    pool.apply_async(twice, i).on_success([&](int v) {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      values.push_back(v);
    });
  }
  pool.close();
  pool.join();
  EXPECT_EQ(threads.size(), 1U);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
  EXPECT_EQ(values.size(), 100U);
}

TEST_F(PoolResults, ACallbackAddedAfterTheResultRuns) {
  auto later = pool.apply_async(twice, 4);
  later.wait();
  std::atomic<int> value{0};
  later.on_success([&](int v) { value = v; });
  EXPECT_TRUE(eventually([&] { return value == 8; }));
}

TEST_F(PoolResults, CallbacksOfAVoidCallTakeNothing) {
  std::atomic<bool> called{false};
  pool.apply_async([] {}).on_success([&] { called = true; });
  pool.map_async([](int) {}, std::vector<int>{1}).on_success([&] {});
  pool.close();
  pool.join();
  EXPECT_TRUE(called);
}

TEST_F(PoolResults, AnExceptionInACallbackIsReportedAndGoesNoFurther) {
  Captured stderr_(2);
  pool.apply_async(twice, 1).on_success([](int) { throw std::runtime_error("from the callback"); });
  pool.apply_async(twice, 1).on_success([](int) { throw 5; });
  std::atomic<int> value{0};
  pool.apply_async(twice, 1).on_success([&](int v) { value = v; });
  EXPECT_EQ(pool.apply(twice, 3), 6);
  pool.close();
  pool.join();
  EXPECT_EQ(value, 2);
  const std::string text = stderr_.text();
  EXPECT_NE(text.find("from the callback"), std::string::npos) << text;
}

TEST_F(PoolResults, ACallbackMayUseThePool) {
  std::atomic<int> value{0};
  pool.apply_async(twice, 1).on_success(
      [&](int v) { value = pool.apply(twice, v) + pool.apply_async(twice, v).get(); });
  EXPECT_TRUE(eventually([&] { return value == 8; }));
}

TEST_F(PoolResults, ACallbackMayEndThePool) {
  for (int round = 0; round < 20; ++round) {
    Pool own(1);
    std::atomic<bool> ended{false};
    own.apply_async(twice, 1).on_success([&](int) {
      own.terminate();
      ended = true;
    });
    own.close();
    own.join();  // at the same time
    EXPECT_TRUE(eventually([&] { return ended.load(); }));
  }
}

TEST_F(PoolResults, ACallbackThatHoldsTheLastHandleMayLetGoOfIt) {
  auto keeper = std::make_shared<Pool>(1);
  Pool& own = *keeper;
  std::atomic<bool> ran{false};
  own.apply_async(twice, 1).on_success([keeper = std::move(keeper), &ran](int) mutable {
    keeper.reset();
    ran = true;
  });
  EXPECT_TRUE(eventually([&] { return ran.load(); }));
}

TEST_F(PoolResults, TerminateCancelsWhatHasNoResultAndItsCallbacksHear) {
  auto later = pool.apply_async(wait_for_gate, 1);
  std::atomic<bool> heard{false};
  later.on_error([&](const std::exception_ptr&) { heard = true; });
  pool.terminate();
  EXPECT_THROW(later.get(), Cancelled);
  EXPECT_TRUE(heard);
}

TEST_F(PoolResults, HundredThousandWithCallbacksAreNoBurden) {
  std::atomic<int> count{0};
  for (int i = 0; i < 100'000; ++i) pool.apply_async(twice, i).on_success([&](int) { ++count; });
  pool.close();
  pool.join();
  EXPECT_EQ(count, 100'000);
}

}  // namespace
}  // namespace multiprocessing
