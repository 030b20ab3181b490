// What pool.hpp's templates need of the pool: jobs, and the engine that runs them.  Layer: pool.
// How it works is told in src/pool/core.hpp.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "multiprocessing/detail/archive_bytes.hpp"
#include "multiprocessing/detail/deadline.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {
struct PoolOptions;
struct PoolStats;
}  // namespace multiprocessing

namespace multiprocessing::pool {

using detail::Deadline;

// Some calls of a job, one after another.
struct Calls {
  std::size_t first = 0;
  std::size_t count = 1;
  [[nodiscard]] std::size_t end() const noexcept { return first + count; }
};

// What the engine keeps to for each task of a job; 0: no limit.
struct Policy {
  std::chrono::nanoseconds timeout{0};
  std::chrono::nanoseconds soft_timeout{0};
  int retries = 0;
  bool retry_exceptions = false;
  int priority = 0;
  std::size_t chunk = 1;  // calls that go to a worker together: so many, or fewer at the end; 0: by how long they take
};

// Why a call has no value; error null: it has one.
struct Failure {
  std::size_t call = 0;
  std::exception_ptr error;
};

// One call of the user's (apply, map, …): calls 0, 1, 2 … of one function, each of which gets exactly one verdict.  Some
// that follow each other go to a worker together, as a task, and share its fate.
//
// The engine calls these from whichever thread happens to move tasks and results, one at a time but for receive(); they
// call nothing of the pool.  What encode() or receive() throw becomes the failure of that task.
class Job {
 public:
  Job() = default;
  explicit Job(const Policy& how) : policy(how) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;
  virtual void encode(Calls calls,
                      codec::Encoder& out) = 0;  // may run again, and with other calls, after a worker's death
  // Puts what came of these calls where only they put anything: at the same time as other calls of the job are encoded,
  // received and concluded, for a large result takes its time.  Gives the first failure among them.
  virtual Failure receive(Calls calls, codec::Decoder& in) = 0;
  // The verdict on these calls, once for each: what was received counts where there is no failure.
  virtual void conclude(Calls calls, Failure failure) noexcept = 0;
  [[nodiscard]] virtual std::string describe(Calls calls) const = 0;
  [[nodiscard]] virtual std::string function() const = 0;  // its name

  Policy policy;           // set before it is submitted
  double ns_per_call = 0;  // the engine's measurements, lately; 0: none yet
  double bytes_per_call = 0;
  // Calls without a verdict.  0 with `complete`: nothing will change any more, results may be read without a lock.
  std::atomic<std::size_t> left{0};
};

class Core;  // the engine, one per pool

[[nodiscard]] std::shared_ptr<Core> start(PoolOptions options);
[[nodiscard]] int processes(const Core& core) noexcept;

// Adds calls of the job.  Throws std::invalid_argument after close(), PoolBroken.
void submit(Core& core, const std::shared_ptr<Job>& job, Calls calls);
// More calls of a job that was begun before close().  Throws std::invalid_argument when the pool has ended, PoolBroken.
void submit_more(Core& core, const std::shared_ptr<Job>& job, Calls calls);
// Throws what submit() would.
void require_open(Core& core);
// submit() and wait(): without waking any other thread of this process.
void run(Core& core, const std::shared_ptr<Job>& job, std::size_t calls);
// Moves tasks and results until ready() (which may be called with the engine's lock held) or the deadline.  `own`: the job
// that is waited for, whose large results this thread receives itself.
bool wait(Core& core, const std::function<bool()>& ready, Deadline deadline, const Job* own = nullptr);
// The same for several pools at once.
bool wait(std::span<const std::shared_ptr<Core>> cores, const std::function<bool()>& ready, Deadline deadline);
// Runs `callback` on the pool's result thread once the job has all its verdicts; in the calling thread when the pool has
// ended, and its thread with it.
void when_complete(Core& core, std::shared_ptr<Job> job, std::function<void()> callback);
// Runs `note` in the moment in which the job has all its verdicts, which may be now, with the engine's lock held: it is
// short, throws nothing and calls nothing of the pool.
void note_when_complete(Core& core, std::shared_ptr<Job> job, std::function<void()> note);
// No task of the job runs any more, or it is killed for it: each whose result is not here gets Cancelled.  False: all are.
bool cancel(Core& core, const std::shared_ptr<Job>& job);

// Throws std::logic_error in a fork of the process that made the pool.  wait() and when_complete() do so themselves:
// an AsyncResult or a half iterated range may have been inherited.
void require_owner(const Core& core);

void close(Core& core);
void join(Core& core);
void terminate(Core& core);
void resize(Core& core, int processes);
[[nodiscard]] PoolStats stats(Core& core);

// How a task's exception travels.  encode: from within a handler.  decode: as its own type with a RemoteError
// nested in it, or the RemoteError.
void encode_current_exception(codec::Encoder& out);
[[nodiscard]] std::exception_ptr decode_exception(codec::Decoder& in);

[[nodiscard]] std::string type_text(const char* mangled);

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
