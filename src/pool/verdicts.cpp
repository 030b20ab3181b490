// Results come back, workers come and go: what pump() does.  The protocol with a worker is in mailbox.hpp.
//
// REQUIRES (all of this file): mutex_ held.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/pool.hpp"
#include "os/os.hpp"
#include "pool/block.hpp"
#include "pool/core.hpp"
#include "pool/errors.hpp"

namespace multiprocessing::pool {
namespace {

using namespace std::chrono_literals;

void average(double& mean, double next) { mean = mean == 0 ? next : 0.5 * (mean + next); }

// What the worker says has failed; or why that cannot be read.
std::exception_ptr decode_failure(const Received& received) noexcept {
  try {
    const Block block(received);
    codec::Decoder in(block.bytes());
    return decode_exception(in);
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

// Moves what can be moved now.  True: something came.
bool Core::pump() {
  bool moved = false;
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    moved = drain(place) || moved;
    moved = look_after(place) || moved;
  }
  if (moved) {
    last_result_ = Clock::now();
  } else if (Clock::now() - last_supervisor_check_ > 100ms) {
    last_supervisor_check_ = Clock::now();
    if (broken_ == nullptr && !ending_ && supervisor_has_ended(Deadline::passed())) {
      break_pool(std::make_exception_ptr(PoolBroken("the supervisor of the pool was killed; make a new pool")));
    }
  }
  dispatch();
  return moved;
}

// Takes the results that have come from a worker.
bool Core::drain(std::size_t place) {
  Worker& worker = workers_[place];
  Mailbox& mailbox = mailboxes_[place];
  const std::uint64_t tail = mailbox.result_tail.load(std::memory_order_acquire);  // sync(result): pairs with send()
  if (tail == worker.result_position || worker.damaged) return false;
  std::size_t results = 0;  // of tasks
  std::size_t calls = 0;
  std::uint32_t watched = worker.watched;
  std::shared_ptr<Job> job;  // of all that came, if it is one
  while (worker.result_position != tail) {
    Received received;
    if (tail - worker.result_position > ring_bytes || !read_record(mailbox.results, worker.result_position, received)) {
      worker.damaged = true;  // it has scribbled: what it runs gets WorkerDied
      control_->places[place].condemn(Cause::damaged, 0);
      ring_supervisor();
      break;
    }
    if ((received.flags & not_ready) != 0) {
      initializer_error_ = decode_failure(received);  // counted when the worker has ended
    } else if (!worker.sent.empty()) {
      const Task& task = worker.sent.front().task;
      if (results == 0) job = task.job;
      if (job != task.job) job = nullptr;
      calls += task.calls.count;
      note_size(*task.job, received.payload.size(), task.calls.count);
      if (trace_ != nullptr) report_result(place, worker.sent.front(), received);
      decide(place, received);
      watched -= worker.sent.front().limited;
      pop_sent(worker);
      ++results;
    }
    worker.result_position = received.next;
  }
  mailbox.result_head.store(worker.result_position, std::memory_order_release);  // sync(result-space)
  mailbox.result_space.notify();
  watch(place, watched);
  if (results == 0) return true;
  worker.done += results;
  restarts_.task_done();

  const Clock::time_point now = Clock::now();
  const double ns = static_cast<double>((now - worker.busy_since).count()) / static_cast<double>(results);
  task_times_.add(ns, results);
  average(worker.ns_per_task, ns);
  if (job != nullptr) average(job->ns_per_call, ns * static_cast<double>(results) / static_cast<double>(calls));
  worker.busy_since = now;
  last_used_ = place;
  return true;
}

void Core::pop_sent(Worker& worker) {
  worker.sent.pop_front();
  worker.first_number = (worker.first_number + 1) & number_mask;
}

// What came of the worker's oldest task.
void Core::decide(std::size_t place, const Received& received) {
  Sent& sent = workers_[place].sent.front();
  const bool may_try_again = (received.flags & (failed | threw)) != 0 && sent.task.job->policy.retry_exceptions;
  if (sent.cancelled) return fail(sent.task, std::make_exception_ptr(Cancelled("the task was cancelled")));
  if (may_try_again && try_again(sent.task)) return;
  if ((received.flags & failed) != 0) return fail(sent.task, decode_failure(received));
  try {
    if ((received.flags & by_handle) != 0) return receive_later(place, sent, received);
    settle(sent.task, receive(sent.task, Block(received)));
  } catch (...) {
    fail(sent.task, std::current_exception());
  }
}

Failure Core::receive(const Task& task, const Block& block) noexcept {
  try {
    codec::Decoder in(block.bytes());
    return task.job->receive(task.calls, in);
  } catch (...) {
    return {task.calls.first, std::current_exception()};
  }
}

// Without the lock: receive_large().
void Core::receive_later(std::size_t place, Sent& sent, const Received& received) {
  Worker& worker = workers_[place];
  large_.push_back({{}, Block(received), worker.unread});
  large_.back().sent = std::move(sent);
  ++*worker.unread;
  told_of_large_ = false;
}

// True: the task goes back to those that wait.
bool Core::try_again(Task& task) {
  if (task.tries >= task.job->policy.retries || broken_ != nullptr || ending_) return false;
  ++task.tries;
  ++counts_.retried;
  tasks_.push_front(std::move(task));
  return true;
}

void Core::fail(const Task& task, std::exception_ptr why) { settle(task, {task.calls.first, std::move(why)}); }

// The one place where a task gets its verdict.
void Core::settle(const Task& task, Failure failure) {
  task.job->conclude(task.calls, std::move(failure));
  undecided_ -= task.calls.count;
  counts_.done += task.calls.count;
  finished(task);
}

void Core::finished(const Task& task) {
  if (task.job->left.fetch_sub(task.calls.count, std::memory_order_acq_rel) != task.calls.count) return;
  const auto [first, last] = watched_jobs_.equal_range(task.job);
  for (auto watched = first; watched != last; ++watched) callbacks_.push_back(std::move(watched->second));
  watched_jobs_.erase(first, last);
  const auto [first_note, last_note] = noted_jobs_.equal_range(task.job);
  for (auto noted = first_note; noted != last_note; ++noted) noted->second();
  noted_jobs_.erase(first_note, last_note);
  if (!callbacks_.empty()) thread_events_.notify();
  if (waiters_.load() > 1) control_->doorbell.notify();  // another thread may be waiting for this job
}

// A worker's place changes: ready, dead, could not be forked.
bool Core::look_after(std::size_t place) {
  Worker& worker = workers_[place];
  Place& shared = control_->places[place];
  const PlaceState state = shared.state.load(std::memory_order_acquire);
  if (state == PlaceState::running) {
    if (!worker.running) {
      worker.running = true;
      worker.busy_since = Clock::now();
      report_start(place);
    }
    if (!worker.ready && mailboxes_[place].ready.load(std::memory_order_acquire) != 0) {
      worker.ready = true;
      has_started();
      return true;
    }
    return false;
  }
  if (state == PlaceState::vacant) return false;
  if (state == PlaceState::dead) {
    drain(place);  // what it had finished counts
    bury(place);
  } else {
    if (Clock::now() - worker.busy_since < 100ms) return false;  // no memory, no processes: try again, but not at once
    worker.busy_since = Clock::now();
    count_failed_start(place);
  }
  shared.state.store(PlaceState::vacant, std::memory_order_release);
  ring_supervisor();
  return true;
}

void Core::has_started() noexcept {
  failed_starts_ = 0;
  initializer_error_ = nullptr;
}

// A worker that never became ready.  The initializer's exception in as many as there are places, or anything else a
// few times in a row, is no accident: the pool is broken, instead of starting workers for ever.
void Core::count_failed_start(std::size_t place) {
  const Place& shared = control_->places[place];
  if (broken_ != nullptr || ending_) return;
  // While others work a full machine is no reason to give up.
  if (shared.state.load() == PlaceState::failed && std::ranges::any_of(workers_, &Worker::running)) return;
  ++failed_starts_;
  if (initializer_error_ != nullptr && failed_starts_ >= processes()) return break_pool(initializer_error_);
  if (failed_starts_ <= std::max(5, 3 * processes())) return;
  if (shared.state.load() == PlaceState::failed) {
    break_pool(std::make_exception_ptr(OsError("fork", "worker of a pool", shared.status.load())));
  } else {
    const crash::Report& report = mailboxes_[place].crash;
    break_pool(
        std::make_exception_ptr(worker_died(shared.pid.load(), shared.status.load(), "the initializer", report)));
  }
}

// The worker is dead and drained: the task it had begun gets its verdict, the others go to other workers.
void Core::bury(std::size_t place) {
  Worker& worker = workers_[place];
  Mailbox& mailbox = mailboxes_[place];
  Place& shared = control_->places[place];
  take_back(place);
  const bool was_ready = mailbox.ready.load(std::memory_order_acquire) != 0;
  const Doom doom = Doom::of(shared.doom.load(std::memory_order_acquire));
  const bool had_begun = !worker.sent.empty();
  const bool in_order = mailbox.leaving_ns.load() != 0 && !had_begun;
  while (!worker.sent.empty()) {  // one at the most, see take_back()
    Sent& sent = worker.sent.front();
    const std::exception_ptr error = error_of_the_dead(place, sent, doom.cause);
    report_lost(place, sent, error);
    if (sent.cancelled || !try_again(sent.task)) fail(sent.task, error);
    pop_sent(worker);
  }
  watch(place, 0);
  memory::reap_member(shared.member.load());
  if (was_ready) {
    has_started();
    count_death(shared, in_order);
  } else {
    count_failed_start(place);
  }
  report_end(place, in_order, had_begun);
  make_mailbox(place);  // for the next one
  mailbox.finish.store(ending_, std::memory_order_relaxed);
  shared.doom.store(0, std::memory_order_relaxed);
  worker = Worker{};
  worker.replaces = true;
}

std::exception_ptr Core::error_of_the_dead(std::size_t place, const Sent& sent, Cause cause) {
  const std::string task = sent.task.job->describe(sent.task.calls);
  if (sent.cancelled) return std::make_exception_ptr(Cancelled("the task was cancelled while it ran: " + task));
  if (cause == Cause::timed_out) {
    ++counts_.timeouts;
    const std::chrono::duration<double> limit = sent.task.job->policy.timeout;
    return std::make_exception_ptr(
        TaskTimeout("the task ran past its timeout of " + std::to_string(limit.count()) + " s: " + task));
  }
  if (cause == Cause::out_of_memory) {
    return std::make_exception_ptr(
        MemoryLimitExceeded("the task had more memory than PoolOptions::memory_limit allows: " + task));
  }
  const Place& shared = control_->places[place];
  const crash::Report& report = mailboxes_[place].crash;
  return std::make_exception_ptr(worker_died(shared.pid.load(), shared.status.load(), task, report));
}

void Core::count_death(Place& place, bool in_order) {
  if (in_order) {
    ++counts_.recycled;
    return;
  }
  ++counts_.deaths;
  const Cause cause = Doom::of(place.doom.load()).cause;
  if (cause == Cause::cancelled || cause == Cause::timed_out) return;  // it did what it was told to
  const Clock::time_point now = Clock::now();
  const std::chrono::milliseconds pause = restarts_.worker_died(now);
  const auto not_before = (now + pause).time_since_epoch();
  place.not_before_ns.store(pause.count() != 0 ? static_cast<std::uint64_t>(not_before / 1ns) : 0);
  const std::string hopeless = restarts_.hopeless(static_cast<std::size_t>(processes()));
  if (hopeless.empty() || broken_ != nullptr || ending_) return;
  const WorkerDied last(place.pid.load(), place.status.load(), "");
  break_pool(std::make_exception_ptr(PoolBroken("the pool is broken: " + hopeless + "; the last: " + last.what())));
}

// How long a sleeper may sleep.  Workers do not ring for every result (mailbox.hpp: low_water), so what follows a
// short task may have to be looked for: soon after the last result, then less and less often.
std::chrono::nanoseconds Core::patience() const {
  if (undecided_ == 0) return sync::EventCount::look_again;
  const std::chrono::nanoseconds age = Clock::now() - last_result_;
  return std::clamp<std::chrono::nanoseconds>(age, 1ms, sync::EventCount::look_again);
}

}  // namespace multiprocessing::pool
