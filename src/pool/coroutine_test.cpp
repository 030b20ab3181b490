// co_await of a pool's result.
#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <version>

#include "multiprocessing/async_result.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/synchronize.hpp"
#include "pool/pool_test_support.hpp"

#ifdef __cpp_impl_coroutine  // clang has it from 15 on

#include <coroutine>

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

// A coroutine that starts at once and is waited for from outside.
class Task {
 public:
  struct State {
    std::atomic<bool> done{false};
    std::exception_ptr error;
    std::thread::id thread;  // in which it ended
  };
  struct promise_type {
    std::shared_ptr<State> state = std::make_shared<State>();
    Task get_return_object() { return Task(state); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() { finish(); }
    void unhandled_exception() {
      state->error = std::current_exception();
      finish();
    }
    void finish() {
      state->thread = std::this_thread::get_id();
      state->done = true;
    }
  };
  explicit Task(std::shared_ptr<State> state) : state_(std::move(state)) {}
  [[nodiscard]] bool is_done() const { return state_->done; }
  std::thread::id wait() const {
    testing::eventually([this] { return is_done(); });
    if (state_->error != nullptr) std::rethrow_exception(state_->error);
    return state_->thread;
  }

 private:
  std::shared_ptr<State> state_;
};

int twice(int n) { return 2 * n; }
int after(int n, Event go) {
  go.wait();
  return n;
}
void nothing() {}

Task add_up(Pool& pool, int& sum) {
  for (int n = 0; n < 100; ++n) sum += co_await pool.apply_async(twice, n);
  co_await pool.apply_async(nothing);
  sum += *co_await pool.apply_async([](int n) { return std::make_unique<int>(n); }, 1);
}

TEST(Coroutine, AwaitsOneResultAfterAnother) {
  Watchdog dog{60s};
  Pool pool(2);
  int sum = 0;
  add_up(pool, sum).wait();
  EXPECT_EQ(sum, 99 * 100 + 1);
}

Task get(AsyncResult<int> result, int& value) { value = co_await result; }

TEST(Coroutine, GoesOnOnTheResultThreadOrAtOnceWhereTheResultIsThere) {
  Watchdog dog{60s};
  Pool pool(1);
  Event go;
  int value = 0;
  std::thread::id callbacks;
  std::atomic<bool> known{false};
  pool.apply_async(nothing).on_success([&] {
    callbacks = std::this_thread::get_id();
    known = true;
  });
  testing::eventually([&] { return known.load(); });
  const auto result = pool.apply_async(after, 5, go);
  const Task task = get(result, value);
  EXPECT_FALSE(task.is_done());
  go.set();
  EXPECT_EQ(task.wait(), callbacks);
  EXPECT_EQ(value, 5);
  EXPECT_EQ(get(result, value).wait(), std::this_thread::get_id());
}

TEST(Coroutine, AnExceptionOfTheTaskIsThrownAtTheAwait) {
  Watchdog dog{60s};
  Pool pool(1);
  int value = 0;
  EXPECT_THROW(get(pool.apply_async([]() -> int { throw std::out_of_range("far"); }), value).wait(), std::out_of_range);
  EXPECT_THROW(get(pool.apply_async([]() -> int { ::_exit(1); }), value).wait(), WorkerDied);
}

TEST(Coroutine, APoolThatEndsResumesItWithCancelled) {
  Watchdog dog{60s};
  int value = 0;
  std::optional<Task> task;
  {
    Pool pool(1);
    task = get(pool.apply_async(testing::sleep_in_task, 1), value);
    pool.terminate();
  }
  EXPECT_THROW(task->wait(), Cancelled);
}

TEST(Coroutine, AResultThatOutlivesItsPoolIsThere) {
  Watchdog dog{60s};
  std::optional<AsyncResult<int>> result;
  {
    Pool pool(1);
    result = pool.apply_async(twice, 2);
  }
  int value = 0;
  get(*result, value).wait();
  EXPECT_EQ(value, 4);
}

// Awaiting and the end of the pool at the same time: resumed exactly once, whoever comes first.
TEST(Coroutine, AnEndOfThePoolAtAnyTimeLosesNoCoroutine) {
  Watchdog dog{120s};
  for (int round = 0; round < 100; ++round) {
    std::optional<Pool> pool(std::in_place, 1);
    std::vector<AsyncResult<int>> results;
    for (int n = 0; n < 20; ++n) results.push_back(pool->apply_async(twice, n));
    std::vector<Task> tasks;
    std::vector<int> values(20);
    std::thread ends([&] { pool.reset(); });
    for (int n = 0; n < 20; ++n) {
      tasks.push_back(get(results[static_cast<std::size_t>(n)], values[static_cast<std::size_t>(n)]));
    }
    for (int n = 0; n < 20; ++n) {
      tasks[static_cast<std::size_t>(n)].wait();
      EXPECT_EQ(values[static_cast<std::size_t>(n)], 2 * n);
    }
    ends.join();
  }
}

}  // namespace
}  // namespace multiprocessing

#endif
