// What a Pool and its calls can be told.  All have defaults: name those that matter.
//
//   mp::Pool pool({.processes = 8, .initializer = mp::bind(load_model, path), .memory_limit = mp::gib(2)});
//   pool.apply_async({.timeout = 5s, .retries = 2}, solve, problem);
//   pool.map(test, numbers, {.chunksize = 2});
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "multiprocessing/detail/routine.hpp"
#include "multiprocessing/start_method.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

constexpr std::uint64_t kib(std::uint64_t n) noexcept { return n << 10; }
constexpr std::uint64_t mib(std::uint64_t n) noexcept { return n << 20; }
constexpr std::uint64_t gib(std::uint64_t n) noexcept { return n << 30; }

struct PoolOptions {
  int processes = 0;                       // 0: mp::cpu_count()
  detail::Routine initializer = {};  // runs first in each worker: mp::bind(load_model, path), any closure
  // A worker that has run so many tasks (with chunks: chunks) ends, and another takes its place; 0: no limit.
  std::size_t max_tasks_per_child = 0;
  // Bytes a worker may have of its own, beyond what it was forked with; 0: no limit.  An allocation beyond it fails, and
  // a task that std::bad_alloc leaves ends with MemoryLimitExceeded; one that gets past it by other means (shared
  // mappings) is killed for it.  Every process that a task starts is limited in the same way, for itself.
  std::uint64_t memory_limit = 0;
  // Runs last in a worker that ends in order: after close(), at max_tasks_per_child, at resize().  Not in one that is
  // killed.
  detail::Routine finalizer = {};
  // How long a worker that ends in order may take for that, the finalizer and its children included.  Then it is killed.
  std::chrono::nanoseconds grace = std::chrono::seconds(10);
  // More than so many deaths of workers within `restart_window` break the pool.  0: it breaks when, again and again, no
  // task gets done between two deaths (50 in a row; with more than 16 workers 3 for each).
  std::size_t max_restarts = 0;
  std::chrono::nanoseconds restart_window = std::chrono::seconds(60);
  // How the process begins whose copies the workers are: as a copy of this one, or as the program once more
  // (start_method.hpp).  Empty: get_start_method().
  std::optional<StartMethod> start_method = {};
  std::string name = {};       // workers are called NAME-1, NAME-2 …; empty: ForkPoolWorker
  std::vector<int> cpus = {};  // worker in place i runs on CPU cpus[i % size] only; empty: wherever this program may
};

// Of one call.  A retry runs the whole task again.
struct TaskOptions {
  // From its start.  Then its worker, and all that it has started, is killed: TaskTimeout.  0: no limit.
  std::chrono::nanoseconds timeout{0};
  int retries = 0;                // more tries after the death of its worker, or a timeout
  bool retry_exceptions = false;  // also after an exception of the task
  // Asks the task to stop: from then on mp::stop_requested() is true in it.  0: never.
  std::chrono::nanoseconds soft_timeout{0};
  int priority = 0;  // waiting tasks of a higher one start first
};

// Of map and its kin; what TaskOptions has holds for each task, that is chunk.
struct MapOptions {
  std::size_t chunksize = 0;  // items per task; 0: chosen for you (imap, and calls with a timeout or retries: 1)
  std::chrono::nanoseconds timeout{0};
  int retries = 0;
  bool retry_exceptions = false;
  std::chrono::nanoseconds soft_timeout{0};
  int priority = 0;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
