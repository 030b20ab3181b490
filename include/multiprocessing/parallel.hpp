// parallel_map, parallel_for_each, parallel_reduce: processes for the length of one call.
//
//   std::vector<double> prices = mp::parallel_map([&](const Job& job) { return model.price(job); }, jobs);
//   mp::parallel_map(fn, range, {.processes = 8});                       // default: one per available core
//   mp::parallel_for_each([&](int row) { paint(pixels.span(), row); }, std::views::iota(0, rows));
//   double sum = mp::parallel_reduce(numbers, 0.0, std::plus<>());
//   double norm = mp::parallel_reduce(numbers, 0.0, std::plus<>(), [](double x) { return x * x; });
//
// The children are forked at the call.  So `fn` may capture anything by reference and reads all of this program's
// memory, however large, without copying a byte; what it writes there stays in its child.  What comes back is what it
// returns: anything that can be sent (serialize.hpp).  Results of trivially copyable types are written in place, into
// memory that the caller shares.  To write into something else of the caller's, make it shared: mp::Array.
// What a Pool does better: calls much shorter than a fork.  That costs 0.1 ms, and for each GiB in use 1 ms where it is in
// huge pages (madvise, MADV_HUGEPAGE), or 15 ms, and a slow first access, where it is in small ones.
//
// Items: any input range; one without random access is collected first.  Children take them in chunks, from the front,
// which follow the time that items take: nobody needs a chunk size, and all children end at the same time.
//
// Exceptions: as of a pool's task, a standard exception arrives as its own type with a RemoteError nested in it,
// anything else as RemoteError (pool_errors.hpp).  It is that of the first item that fails, in the order of the range;
// the items before it are done, those after it may not be.
// Deaths: a child that dies (a signal, exit(), the kernel's out-of-memory killer) fails the call with WorkerDied, which
// names the item it was at; the other children and what they started are killed.
// However the call ends, its children are gone when it does.  When this program ends, by any means, they end with it;
// what `fn` has forked by other means than this library may not.
//
// Threads: safe from any thread; other threads of this program are not in the children, so what `fn` needs of them (a
// lock that one of them holds at the moment of the fork) it will wait for in vain.
// Fork, nesting: usable in children, in a pool's tasks, and in `fn` itself.
// Standard streams: written out before the fork, and by each child at its end.  No static destructor runs there.
// Signals: children are process groups of their own: Ctrl-C goes to this program, and they end with it.
// Errors: std::invalid_argument for a number of processes that is not between 0 and 1024; OsError when they cannot be
// started or there is no memory for the results.
#pragma once

#include <cstddef>
#include <functional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/parallel_core.hpp"
#include "multiprocessing/detail/parallel_work.hpp"
#include "multiprocessing/pool_errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

struct ParallelOptions {
  int processes = 0;  // 0: mp::cpu_count(); never more than there are items
};

// fn(item) for each item, for its effects on what is shared; results are thrown away.
template <class F, std::ranges::input_range Range>
void parallel_for_each(F&& fn, Range&& range, ParallelOptions options = {}) {
  using Plain = std::remove_reference_t<F>;
  parallel::with_items(range, [&](auto items, std::size_t count) {
    parallel::EachWork<Plain, decltype(items)> work("parallel_for_each", fn, items);
    parallel::run(work, count, options.processes);
  });
}

// The results of fn(item), in the order of the range: std::vector<R>; void for a void fn.
template <class F, std::ranges::input_range Range>
auto parallel_map(F&& fn, Range&& range, ParallelOptions options = {}) {
  using Plain = std::remove_reference_t<F>;
  return parallel::with_items(range, [&](auto items, std::size_t count) {
    using Iterator = decltype(items);
    using R = parallel::result_t<Plain, Iterator>;
    if constexpr (std::is_void_v<R>) {
      parallel::EachWork<Plain, Iterator> work("parallel_map", fn, items);
      parallel::run(work, count, options.processes);
    } else if constexpr (!codec::require_sendable<R>()) {
      return std::vector<int>();  // the reason has been given
    } else {
      using Work = std::conditional_t<std::is_trivially_copyable_v<R>, parallel::PlainMapWork<Plain, Iterator, R>,
                                      parallel::MapWork<Plain, Iterator, R>>;
      Work work(fn, items, count);
      parallel::run(work, count, options.processes);
      return work.results();
    }
  });
}

// init op transform(item) op transform(item) …: as std::transform_reduce, but in the order of the range, so `op` has to
// be associative and need not be commutative.  How items are grouped differs from call to call, and with it the last
// bits of a floating-point sum.  WorkerDied names the chunk; the first chunk that fails says what is thrown.
// REQUIRES: T is what can be sent; op takes (T, T) and (T, transform(item)); T is constructible from transform(item).
template <std::ranges::input_range Range, class T, class Op, class Transform>
requires(!std::is_same_v<std::remove_cvref_t<Transform>, ParallelOptions>) T
    parallel_reduce(Range&& range, T init, Op op, Transform transform, ParallelOptions options = {}) {
  if constexpr (codec::require_sendable<T>()) {
    return parallel::with_items(range, [&](auto items, std::size_t count) {
      parallel::ReduceWork<T, Op, Transform, decltype(items)> work(std::move(init), op, transform, items);
      parallel::run(work, count, options.processes);
      return work.value();
    });
  } else {
    return init;  // the reason has been given
  }
}

template <std::ranges::input_range Range, class T, class Op>
T parallel_reduce(Range&& range, T init, Op op, ParallelOptions options = {}) {
  return multiprocessing::parallel_reduce(std::forward<Range>(range), std::move(init), std::move(op), std::identity(),
                                          options);
}

}  // namespace multiprocessing

#pragma GCC visibility pop
