// Pool: worker processes that run functions, and that a crash cannot break.
//
//   int test(int x) { return x + 100; }
//   mp::Pool pool(3);                                        // default: one worker per available core
//   int one = pool.apply(test, 1);
//   auto later = pool.apply_async(test, 2);                  // mp::AsyncResult<int>
//   std::vector<int> all = pool.map(test, numbers);          // results in order
//   for (int r : pool.imap_unordered(test, numbers)) use(r); // as they finish
//   later.get();
//   auto r = pool.apply_async({.timeout = 5s, .retries = 2}, solve, problem);   // pool_options.hpp has all there is
//   r.cancel();
//                                                            // leaving scope waits for submitted work
//
// What runs: a function, a captureless lambda, or a serializable function object; arguments and results are anything
// that can be sent (serialize.hpp).  Arguments travel as the parameter types of the function.  Workers are forked
// from the memory of the program as it was when the pool was made, replacements too: globals set before are seen.  Under
// the start methods spawn and forkserver (start_method.hpp) they are forked from a fresh copy of the program instead.
//
// Deaths: a worker that dies (a signal, exit(), the kernel's out-of-memory killer) fails only the task it was
// running, with WorkerDied; tasks that waited behind it go to others; a new worker takes its place.  A task has
// exactly one verdict, and runs once, unless retries are asked for.  Calls of a map that travel together (a chunk) share
// one verdict.  Where workers die again and again and nothing gets done, the pool is broken; when its supervisor is
// killed, too: every pending and later call gets PoolBroken.  When this program ends, by any means, workers and what
// they started end with it.
//
// Ended by force: a task past its timeout (TaskTimeout), over the memory limit (MemoryLimitExceeded) or cancelled while
// it runs (Cancelled) ends by the SIGKILL of its worker and of what that has started.
//
// Exceptions of a task: a standard exception arrives as its own type with a RemoteError nested in it
// (std::rethrow_if_nested); anything else as RemoteError.
//
// Threads: safe from any thread of the process that made it.  A thread that waits for a result moves tasks and
// results itself; a thread of the pool's does so when nobody waits, and runs callbacks.
// Fork: a pool belongs to the process that made it; a child that calls it gets std::logic_error.
// Ownership: results (AsyncResult) may outlive the pool.  Leaving scope is close() + join(); by an exception, or after
// terminate(), it is terminate().
// Errors: OsError when processes cannot be started; std::invalid_argument for a call after close() and for options that
// make no sense; of tasks, those in pool_errors.hpp.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/async_result.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/detail/pool_imap.hpp"
#include "multiprocessing/detail/pool_jobs.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "multiprocessing/pool_options.hpp"
#include "multiprocessing/pool_stats.hpp"
#include "multiprocessing/serialize.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// What imap and imap_unordered return: a range to be iterated once, whose iterators give T&.  It reads its input as
// it goes, a bounded way ahead, in the iterating thread.  An item's exception is thrown where its turn comes (by
// begin() or ++); the iterator may be advanced again after that.
template <class T, class Source>
class ImapRange {
 public:
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Source& source) : source_(&source) { ++*this; }
    T& operator*() const noexcept { return *source_->current; }
    Iterator& operator++() {
      source_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return !it.source_->current; }

   private:
    Source* source_;
  };
  explicit ImapRange(std::unique_ptr<Source> source) : source_(std::move(source)) {}
  [[nodiscard]] Iterator begin() { return Iterator(*source_); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }
  // The number of items, where the input knows it.
  [[nodiscard]] std::size_t size() const requires Source::is_sized { return source_->total; }

 private:
  std::unique_ptr<Source> source_;
};

namespace pool {

// Throw std::invalid_argument for what is negative.
[[nodiscard]] Policy policy_of(const TaskOptions& options);
[[nodiscard]] Policy policy_of(const MapOptions& options);

inline constexpr std::size_t largest_chunk = std::size_t{1} << 20;

// "abc" as a range is its three characters, not four.
template <class Range>
decltype(auto) as_input(Range&& range) {
  if constexpr (std::is_array_v<std::remove_reference_t<Range>> &&
                std::is_same_v<std::remove_cvref_t<std::remove_extent_t<std::remove_reference_t<Range>>>, char>) {
    return std::string_view(range);
  } else {
    return std::forward<Range>(range);
  }
}

// A random-access range of somebody who waits for the result: read in place.
template <class Iterator>
struct Borrowed {
  Iterator first;
  decltype(auto) operator[](std::size_t i) const { return first[static_cast<std::iter_difference_t<Iterator>>(i)]; }
};

}  // namespace pool

class Pool {
 public:
  Pool() : Pool(PoolOptions{}) {}
  explicit Pool(int processes) : Pool(PoolOptions{.processes = processes}) {}
  // Throws std::invalid_argument for a negative number of processes, OsError when they cannot be started.
  explicit Pool(PoolOptions options);
  ~Pool();
  Pool(Pool&& other) noexcept;
  Pool& operator=(Pool&& other) noexcept;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // --- one call ------------------------------------------------------------------------------------------------
  // f(args...) in a worker; waits, and returns what it returned.
  template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, TaskOptions>) auto apply(F&& f, Args&&... args) {
    return apply(TaskOptions{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  auto apply(const TaskOptions& options, F&& f, Args&&... args) {
    if constexpr (pool::Batch<F, Args...>::Call::check()) {  // else the compiler has said what is wrong with it
      auto job = make_apply(options, std::forward<F>(f), std::forward<Args>(args)...);
      pool::run(core(), job, 1);
      return take<typename pool::Batch<F, Args...>::result>(*job);
    }
  }
  // Returns an AsyncResult<what f returns> at once.
  template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, TaskOptions>) auto apply_async(F&& f, Args&&... args) {
    return apply_async(TaskOptions{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  auto apply_async(const TaskOptions& options, F&& f, Args&&... args) {
    if constexpr (pool::Batch<F, Args...>::Call::check()) {
      auto job = make_apply(options, std::forward<F>(f), std::forward<Args>(args)...);
      pool::submit(core(), job, {0, 1});
      return AsyncResult<typename pool::Batch<F, Args...>::result>(core_, std::move(job));
    }
  }

  // --- many calls, all results ---------------------------------------------------------------------------------
  // f(item) for each item of any input range; results in its order (void for a void f).  Waits for all, then throws
  // what the first failed item threw, if any.
  template <class F, std::ranges::input_range Range>
  auto map(F&& f, Range&& items, const MapOptions& options = {}) {
    return map_all<pool::Single>(std::forward<F>(f), pool::as_input(std::forward<Range>(items)), options);
  }
  // f(a, b, …) for each tuple (a, b, …).
  template <class F, std::ranges::input_range Range>
  auto starmap(F&& f, Range&& tuples, const MapOptions& options = {}) {
    return map_all<pool::Star>(std::forward<F>(f), std::forward<Range>(tuples), options);
  }
  // AsyncResult<std::vector<R>>, or AsyncResult<void>.  The items are copied first.
  template <class F, std::ranges::input_range Range>
  auto map_async(F&& f, Range&& items, const MapOptions& options = {}) {
    return map_later<pool::Single>(std::forward<F>(f), pool::as_input(std::forward<Range>(items)), options);
  }
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F&& f, Range&& tuples, const MapOptions& options = {}) {
    return map_later<pool::Star>(std::forward<F>(f), std::forward<Range>(tuples), options);
  }

  // --- many calls, one result after another --------------------------------------------------------------------
  // A range of results, in the order of the input, or as they finish.  The input may be endless; an lvalue must live
  // as long as the range.  A void function yields std::monostate.  The range may be iterated after close(), not after
  // join(): what is not read of the input by then is not done.
  template <class F, std::ranges::input_range Range>
  auto imap(F&& f, Range&& items, const MapOptions& options = {}) {
    return imap_range(std::forward<F>(f), pool::as_input(std::forward<Range>(items)), options, true);
  }
  template <class F, std::ranges::input_range Range>
  auto imap_unordered(F&& f, Range&& items, const MapOptions& options = {}) {
    return imap_range(std::forward<F>(f), pool::as_input(std::forward<Range>(items)), options, false);
  }

  // --- the end -------------------------------------------------------------------------------------------------
  void close();      // no more calls; those submitted are done.  Idempotent
  void join();       // waits until all is done and the workers are gone.  REQUIRES: close() or terminate()
  void terminate();  // kills the workers; calls that have no result yet get Cancelled.  Idempotent

  // --- while it runs -------------------------------------------------------------------------------------------
  // Between 1 and 1024 workers from now on.  New ones come soon; those too many end when they have done their task.
  void resize(int processes);
  [[nodiscard]] int processes() const;
  [[nodiscard]] PoolStats stats() const;

 private:
  pool::Core& core() const;

  template <class F, class... Args>
  static auto make_apply(const TaskOptions& options, F&& f, Args&&... args) {
    using Batch = pool::Batch<F, Args...>;
    return make_call<typename Batch::result, typename Batch::arguments>(Batch::function(std::forward<F>(f)), options,
                                                                        std::forward<Args>(args)...);
  }
  template <class Result, class Arguments, class... Args>
  static auto make_call(pool::FunctionPtr function, const TaskOptions& options, Args&&... args) {
    auto job = std::make_shared<pool::ApplyJob<Result, Arguments, codec::travel_t<Args>...>>(
        std::move(function), std::forward<Args>(args)...);
    job->policy = pool::policy_of(options);
    return job;
  }

  template <class Result, class Job>
  static Result take(Job& job) {
    if (job.error != nullptr) std::rethrow_exception(job.error);
    if constexpr (!std::is_void_v<Result>) return std::move(*job.value);
  }

  // From here on it matters no more what is called (pool_batch.hpp).
  template <class How, class F, class Range>
  auto map_all(F&& f, Range&& items, const MapOptions& options) {
    using Batch = typename How::template batch<F, std::ranges::range_value_t<Range>>;
    if constexpr (Batch::Call::check()) {
      return run_map<How, typename Batch::result, typename Batch::arguments>(Batch::function(std::forward<F>(f)),
                                                                             std::forward<Range>(items), options);
    }
  }

  template <class How, class F, class Range>
  auto map_later(F&& f, Range&& items, const MapOptions& options) {
    using Batch = typename How::template batch<F, std::ranges::range_value_t<Range>>;
    if constexpr (Batch::Call::check()) {
      return submit_map<How, typename Batch::result, typename Batch::arguments>(Batch::function(std::forward<F>(f)),
                                                                                items, options);
    }
  }

  template <class Result>
  using all_of = std::conditional_t<std::is_void_v<Result>, void, std::vector<pool::value_of<Result>>>;

  template <class How, class Result, class Arguments, class Item, class Items>
  static auto make_map(pool::FunctionPtr function, Items items, std::size_t count, const MapOptions& options) {
    auto job = std::make_shared<pool::MapJob<How, Result, Arguments, Items, Item>>(std::move(function),
                                                                                   std::move(items), count);
    job->policy = pool::policy_of(options);
    return job;
  }

  template <class How, class Result, class Arguments, class Range>
  all_of<Result> run_map(pool::FunctionPtr function, Range&& items, const MapOptions& options) {
    using Item = std::ranges::range_value_t<Range>;
    if constexpr (std::ranges::random_access_range<Range> && std::ranges::sized_range<Range>) {
      const auto count = static_cast<std::size_t>(std::ranges::size(items));
      auto job = make_map<How, Result, Arguments, Item>(
          std::move(function), pool::Borrowed<std::ranges::iterator_t<Range>>{std::ranges::begin(items)}, count,
          options);
      pool::run(core(), job, count);
      return take<all_of<Result>>(*job);
    } else {
      auto copy = collect(items);
      const std::size_t count = copy.size();
      auto job = make_map<How, Result, Arguments, Item>(std::move(function), std::move(copy), count, options);
      pool::run(core(), job, count);
      return take<all_of<Result>>(*job);
    }
  }

  template <class How, class Result, class Arguments, class Range>
  AsyncResult<all_of<Result>> submit_map(pool::FunctionPtr function, Range& items, const MapOptions& options) {
    auto copy = collect(items);
    const std::size_t count = copy.size();
    auto job = make_map<How, Result, Arguments, std::ranges::range_value_t<Range>>(std::move(function), std::move(copy),
                                                                                   count, options);
    pool::submit(core(), job, {0, count});
    return AsyncResult<all_of<Result>>(core_, std::move(job));
  }

  // std::vector<bool> has no bools to refer to: a deque.
  template <class Range>
  static auto collect(Range& items) {
    using Value = std::ranges::range_value_t<Range>;
    std::conditional_t<std::is_same_v<Value, bool>, std::deque<Value>, std::vector<Value>> copy;
    for (auto&& item : items) copy.push_back(std::forward<decltype(item)>(item));
    return copy;
  }

  template <class F, class Range>
  auto imap_range(F&& f, Range&& items, const MapOptions& options, bool ordered) {
    using Batch = pool::Batch<F, std::ranges::range_value_t<Range>>;
    if constexpr (Batch::Call::check()) {
      using Source = pool::ImapSource<typename Batch::result, typename Batch::arguments, Range>;
      return read_imap<Source>(Batch::function(std::forward<F>(f)), pool::Input<Range>(std::forward<Range>(items)),
                               options, ordered);
    }
  }
  template <class Source, class Input>
  ImapRange<typename Source::Value, Source> read_imap(pool::FunctionPtr function, Input input,
                                                      const MapOptions& options, bool ordered) {
    auto job = std::make_shared<pool::ImapJob>(std::move(function), ordered);
    job->policy = pool::policy_of(options);
    job->policy.chunk = 1;  // to the engine a chunk of imap is one call
    require_open(core());
    const auto items_per_task = std::clamp<std::size_t>(options.chunksize, 1, pool::largest_chunk);
    return ImapRange<typename Source::Value, Source>(
        std::make_unique<Source>(core_, std::move(job), items_per_task, std::move(input)));
  }

  std::shared_ptr<pool::Core> core_;
  int exceptions_before_ = 0;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
