// What a Pool knows about itself: Pool::stats().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

struct WorkerStats {
  pid_t pid = 0;
  std::size_t done = 0;      // tasks with a verdict from this process
  bool busy = false;         // it has a task
  std::uint64_t memory = 0;  // bytes of its own (RssAnon); those still shared with the program it was forked from count
};

// Tasks are what workers run: calls, or chunks of a map.  All counts are since the pool was made.
struct PoolStats {
  int processes = 0;
  std::size_t submitted = 0;
  std::size_t done = 0;     // with a verdict of any kind
  std::size_t waiting = 0;  // not given to a worker yet
  std::size_t retried = 0;  // tries after the first
  std::size_t timeouts = 0;
  std::size_t deaths = 0;    // of workers, those killed for a timeout, memory limit or cancel() included
  std::size_t recycled = 0;  // workers that ended in order: max_tasks_per_child, resize()
  // Of a task in its worker, from histograms with steps of 19 %; 0: none done yet.
  std::chrono::nanoseconds median_task_time{0};
  std::chrono::nanoseconds slow_task_time{0};  // 99 of 100 took no longer
  std::vector<WorkerStats> workers;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
