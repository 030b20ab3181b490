// Executor: a Pool for code that was written for a thread pool.
//
//   mp::Executor executor(8);                                   // was: ThreadPool executor(8);
//   std::future<int> later = executor.submit(test, 1);
//   executor.execute(log_it, "text");                           // nobody asks for the result
//   later.get();                                                // throws what the task threw
//                                                               // leaving scope waits for submitted work
//
// What a thread pool's user must know: a task runs in another process.  It is a function, a captureless lambda or a
// function object that can be sent; a lambda with captures does not compile, and the message says what to do.
// Arguments and results are copied to and fro; what a task writes elsewhere stays in its worker.  In return a task that
// crashes is one exception of one future: WorkerDied (pool.hpp has all of it).
//
// Threads: safe from any thread.  Fork: belongs to the process that made it, as its Pool does.
// Ownership: futures may outlive the executor; their destructors do not wait.
// Errors: as Pool; std::invalid_argument for a call after shutdown().
#pragma once

#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/async_result.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/pool_options.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

class Executor {
 public:
  Executor() = default;  // one process per available core
  explicit Executor(int processes) : pool_(processes) {}
  explicit Executor(PoolOptions options) : pool_(std::move(options)) {}

  // f(args...) in a worker.
  template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, TaskOptions>) auto submit(F&& f, Args&&... args) {
    return submit(TaskOptions{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  auto submit(const TaskOptions& options, F&& f, Args&&... args) {
    auto result = pool_.apply_async(options, std::forward<F>(f), std::forward<Args>(args)...);
    using T = typename decltype(result)::value_type;
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> future = promise->get_future();
    result.on_complete([result, promise] { settle<T>(result, *promise); });
    return future;
  }

  // The same for the effects alone: an exception is reported on stderr.
  template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, TaskOptions>) void execute(F&& f, Args&&... args) {
    execute(TaskOptions{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  void execute(const TaskOptions& options, F&& f, Args&&... args) {
    pool_.apply_async(options, std::forward<F>(f), std::forward<Args>(args)...)
        .on_error([](const std::exception_ptr& error) { std::rethrow_exception(error); });  // the pool reports it
  }

  // No more calls; waits for those submitted and until the workers are gone.  Idempotent.
  void shutdown() {
    pool_.close();
    pool_.join();
  }
  // For what a thread pool does not have: map, imap, terminate, resize, stats.
  [[nodiscard]] Pool& pool() noexcept { return pool_; }

 private:
  template <class T>
  static void settle(const AsyncResult<T>& result, std::promise<T>& promise) {
    try {
      if constexpr (std::is_void_v<T>) {
        result.get();
        promise.set_value();
      } else {
        promise.set_value(result.get());
      }
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  }

  Pool pool_;
};

using executor = Executor;  // as the standard's names are written

}  // namespace multiprocessing

#pragma GCC visibility pop
