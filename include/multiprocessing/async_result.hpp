// AsyncResult: the result of a pool's call that goes on (Pool::apply_async, map_async, starmap_async).
//
//   mp::AsyncResult<int> later = pool.apply_async(test, 2);
//   later.get();                                             // waits; throws what the task threw
//   pool.apply_async(slow, "y").on_success([](const std::string& s) { … }).on_error([](std::exception_ptr e) { … });
//
//   for (auto& done : mp::as_completed(results)) use(done.get());          // as they finish, of one pool or of several
//   std::size_t first = mp::wait_any({later, other});                       // of any types, of any pools
//   int value = co_await pool.apply_async(test, 2);                         // in a C++20 coroutine
//
// Threads: safe from any thread of the process that made the pool, callbacks and coroutines on its result thread too.
// Fork: a child that waits gets std::logic_error.
// Ownership: a cheap handle; it may outlive the pool.  What has no result when its pool ends gets Cancelled then (what has
// been submitted is done first, where the pool is left in order), so nothing waits for a pool that is not there.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/detail/pool_jobs.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// The result of a call that goes on.  A cheap handle; copies name the same result.
template <class T>
class AsyncResult {
 public:
  using value_type = T;

  // Waits, then returns the value (moved out where it cannot be copied) or throws what the task threw.
  T get() const { return get_until(detail::Deadline::never()); }
  // Throws TimeoutError when it is not ready within `patience`; ask again later.
  template <class Rep, class Period>
  T get(std::chrono::duration<Rep, Period> patience) const {
    return get_until(detail::Deadline::after(patience));
  }
  void wait() const { wait_until(detail::Deadline::never()); }
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> patience) const {  // true: ready
    return wait_until(detail::Deadline::after(patience));
  }
  [[nodiscard]] bool ready() const { return is_complete(*job_); }
  // Throws std::invalid_argument when it is not ready, as Python's does.
  [[nodiscard]] bool successful() const {
    if (!ready()) throw std::invalid_argument("AsyncResult::successful: the result is not ready, wait() for it first");
    return job_->error == nullptr;
  }

  // True: it will never have a value; get() throws Cancelled, at the latest when the worker that ran it is dead.  False: its
  // result is here.  Of a map_async all that is not done is cancelled.
  bool cancel() const { return !ready() && pool::cancel(*core_, job_); }

  // Callbacks run on the pool's result thread, in no promised order; an exception that leaves one is reported on
  // stderr and goes no further.  One that is added after the result has come runs then; after the end of the pool, in the
  // thread that adds it.
  template <class Callback>
  const AsyncResult& on_success(Callback callback) const {
    on_complete([job = job_, callback = std::move(callback)]() mutable {
      if (job->error != nullptr) return;
      if constexpr (std::is_void_v<T>) {
        std::invoke(callback);
      } else {
        std::invoke(callback, std::as_const(*job->value));
      }
    });
    return *this;
  }
  template <class Callback>
  const AsyncResult& on_error(Callback callback) const {
    on_complete([job = job_, callback = std::move(callback)]() mutable {
      if (job->error != nullptr) std::invoke(callback, job->error);
    });
    return *this;
  }

  // `co_await result` gives what get() gives and throws what it throws.  The coroutine goes on at once where the result is
  // there already, and else on the pool's result thread, as a callback: what takes long belongs elsewhere.  It must not be
  // destroyed while it waits.
  class Awaiter {
   public:
    explicit Awaiter(AsyncResult result) : result_(std::move(result)) {}
    [[nodiscard]] bool await_ready() const { return result_.ready(); }
    template <class Handle>
    void await_suspend(
        Handle coroutine) const {  // it may have gone on, and this object be no more, before this returns
      result_.on_complete([coroutine]() mutable { coroutine.resume(); });
    }
    T await_resume() const { return result_.get(); }

   private:
    AsyncResult result_;
  };
  [[nodiscard]] Awaiter operator co_await() const { return Awaiter(*this); }

 private:
  friend class Pool;
  friend class Executor;
  friend class AnyResult;
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  using Job = pool::ValueJob<Value>;

  AsyncResult(std::shared_ptr<pool::Core> core, std::shared_ptr<Job> job)
      : core_(std::move(core)), job_(std::move(job)) {}

  void on_complete(std::function<void()> callback) const { pool::when_complete(*core_, job_, std::move(callback)); }

  static bool is_complete(const Job& job) { return job.left.load(std::memory_order_acquire) == 0; }

  bool wait_until(detail::Deadline deadline) const {
    if (ready()) return true;
    return pool::wait(
        *core_, [this] { return is_complete(*job_); }, deadline, job_.get());
  }

  T get_until(detail::Deadline deadline) const {
    if (!wait_until(deadline)) throw TimeoutError("AsyncResult::get: not ready within the time given");
    if (job_->error != nullptr) std::rethrow_exception(job_->error);
    if constexpr (std::is_copy_constructible_v<T>) {
      return *job_->value;
    } else if constexpr (!std::is_void_v<T>) {
      if (!job_->value) throw std::logic_error("AsyncResult::get: the value cannot be copied and was taken before");
      T value = std::move(*job_->value);
      job_->value.reset();
      return value;
    }
  }

  std::shared_ptr<pool::Core> core_;
  std::shared_ptr<Job> job_;
};

// An AsyncResult of any type, for wait_any().
class AnyResult {
 public:
  template <class T>
  AnyResult(const AsyncResult<T>& result) : core_(result.core_), job_(result.job_) {}  // NOLINT: implicit
  [[nodiscard]] bool ready() const { return job_->left.load(std::memory_order_acquire) == 0; }

  // For wait_any() and as_completed().
  [[nodiscard]] const std::shared_ptr<pool::Core>& core() const noexcept { return core_; }
  [[nodiscard]] const std::shared_ptr<pool::Job>& job() const noexcept { return job_; }

 private:
  std::shared_ptr<pool::Core> core_;
  std::shared_ptr<pool::Job> job_;
};

namespace pool {

std::optional<std::size_t> wait_any(std::span<const AnyResult> results, Deadline deadline);

// The numbers of results, in the order in which they finish.
class Completions {
 public:
  void reserve(std::size_t more);
  void add(const AnyResult& result);
  // Empty: all have been given.  Throws TimeoutError.
  std::optional<std::size_t> next(Deadline deadline);

 private:
  struct Arrived {
    std::mutex mutex;
    std::vector<std::size_t> indexes;
  };
  std::vector<std::shared_ptr<Core>> cores_;
  std::shared_ptr<Arrived> arrived_ = std::make_shared<Arrived>();  // results tell it, as long as they are under way
  std::size_t count_ = 0;
  std::size_t taken_ = 0;
};

}  // namespace pool

// Waits until one of the results is ready, whether it has a value or an error: the position of the first that is.
// With a time given, empty when none was ready by then.  Throws std::invalid_argument where there is no result at all.
// Each call looks at all of them: to go through many, use as_completed().
[[nodiscard]] inline std::size_t wait_any(std::initializer_list<AnyResult> results) {
  return *pool::wait_any({results.begin(), results.size()}, detail::Deadline::never());
}
template <class Rep, class Period>
[[nodiscard]] std::optional<std::size_t> wait_any(std::initializer_list<AnyResult> results,
                                                  std::chrono::duration<Rep, Period> patience) {
  return pool::wait_any({results.begin(), results.size()}, detail::Deadline::after(patience));
}
template <std::ranges::input_range Range>
[[nodiscard]] std::size_t wait_any(Range&& results) {
  const std::vector<AnyResult> all(std::ranges::begin(results), std::ranges::end(results));
  return *pool::wait_any(all, detail::Deadline::never());
}
template <std::ranges::input_range Range, class Rep, class Period>
[[nodiscard]] std::optional<std::size_t> wait_any(Range&& results, std::chrono::duration<Rep, Period> patience) {
  const std::vector<AnyResult> all(std::ranges::begin(results), std::ranges::end(results));
  return pool::wait_any(all, detail::Deadline::after(patience));
}

// What as_completed() returns: a range to be iterated once, whose iterators give the results, AsyncResult<T>&, each when
// it is ready.  TimeoutError comes where the next one is waited for, by begin() or ++.
template <class T>
class CompletedRange {
 public:
  class Iterator {
   public:
    using value_type = AsyncResult<T>;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(CompletedRange& range) : range_(&range) { ++*this; }
    AsyncResult<T>& operator*() const noexcept { return range_->results_[*range_->current_]; }
    Iterator& operator++() {
      range_->current_.reset();
      range_->current_ = range_->completions_.next(range_->deadline_);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !range_->current_; }

   private:
    CompletedRange* range_;
  };

  CompletedRange(std::vector<AsyncResult<T>> results, detail::Deadline deadline)
      : results_(std::move(results)), deadline_(deadline) {
    completions_.reserve(results_.size());
    for (const AsyncResult<T>& result : results_) completions_.add(result);
  }
  CompletedRange(CompletedRange&&) noexcept = default;
  CompletedRange& operator=(CompletedRange&&) noexcept = default;
  [[nodiscard]] Iterator begin() { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }
  [[nodiscard]] std::size_t size() const noexcept { return results_.size(); }

 private:
  std::vector<AsyncResult<T>> results_;
  detail::Deadline deadline_;
  pool::Completions completions_;
  std::optional<std::size_t> current_;
};

// Results in the order in which they finish.  The time, where one is given, is for all of them, from this call on.
template <std::ranges::input_range Range>
[[nodiscard]] auto as_completed(Range&& results) {
  using Result = std::ranges::range_value_t<Range>;
  return CompletedRange<typename Result::value_type>(
      std::vector<Result>(std::ranges::begin(results), std::ranges::end(results)), detail::Deadline::never());
}
template <std::ranges::input_range Range, class Rep, class Period>
[[nodiscard]] auto as_completed(Range&& results, std::chrono::duration<Rep, Period> patience) {
  using Result = std::ranges::range_value_t<Range>;
  return CompletedRange<typename Result::value_type>(
      std::vector<Result>(std::ranges::begin(results), std::ranges::end(results)), detail::Deadline::after(patience));
}

}  // namespace multiprocessing

#pragma GCC visibility pop
