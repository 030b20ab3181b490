// AsyncResult: the result of a pool's call that goes on (Pool::apply_async, map_async, starmap_async).
//
//   mp::AsyncResult<int> later = pool.apply_async(test, 2);
//   later.get();                                             // waits; throws what the task threw
//   pool.apply_async(slow, "y").on_success([](const std::string& s) { … }).on_error([](std::exception_ptr e) { … });
//
// Threads: safe from any thread of the process that made the pool.  Fork: a child that waits gets std::logic_error.
// Ownership: a cheap handle; it may outlive the pool.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/detail/pool_jobs.hpp"
#include "multiprocessing/errors.hpp"

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

  // True: it will never have a value; get() throws Cancelled, at the latest when the worker that ran it is dead.  False: it
  // was finished.  Of a map_async all that is not done is cancelled.
  bool cancel() const { return !ready() && pool::cancel(*core_, job_); }

  // Callbacks run on the pool's result thread, in no promised order; an exception that leaves one is reported on
  // stderr and goes no further.  One that is added after the result has come runs then.
  template <class Callback>
  const AsyncResult& on_success(Callback callback) const {
    pool::when_complete(*core_, job_, [job = job_, callback = std::move(callback)]() mutable {
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
    pool::when_complete(*core_, job_, [job = job_, callback = std::move(callback)]() mutable {
      if (job->error != nullptr) std::invoke(callback, job->error);
    });
    return *this;
  }

 private:
  friend class Pool;
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  using Job = pool::ValueJob<Value>;

  AsyncResult(std::shared_ptr<pool::Core> core, std::shared_ptr<Job> job)
      : core_(std::move(core)), job_(std::move(job)) {}

  static bool is_complete(const Job& job) { return job.left.load(std::memory_order_acquire) == 0; }

  bool wait_until(detail::Deadline deadline) const {
    if (ready()) return true;
    return pool::wait(
        *core_, [this] { return is_complete(*job_); }, deadline);
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

}  // namespace multiprocessing
