// What callers ask of a pool beside tasks: cancel, resize, stats.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "pool/core.hpp"

namespace multiprocessing::pool {

// Every task of the job that has no verdict gets Cancelled: those that wait now, those that run when their workers are
// dead.  Results that are here already count, also those that other threads are receiving.
bool Core::cancel(const std::shared_ptr<Job>& job) {
  std::unique_lock lock(mutex_);
  pump();
  receive_large(lock, job.get());
  bool any = false;
  const auto is_its = [&job](const Sent& sent) { return sent.task.job == job; };
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    Worker& worker = workers_[place];
    if (std::ranges::none_of(worker.sent, is_its)) continue;
    any = true;
    take_back(place);
    if (worker.sent.empty() || !is_its(worker.sent.front())) continue;
    worker.sent.front().cancelled = true;
    if (!halt(mailboxes_[place], worker.first_number)) continue;  // scribbled: the verdict comes all the same
    control_->places[place].condemn(Cause::cancelled, worker.first_number);
    ring_supervisor();
  }
  const std::vector<Task> waiting = tasks_.take(job.get());
  if (!any && waiting.empty()) return false;
  if (trace_ != nullptr && !waiting.empty()) {
    std::size_t calls = 0;
    for (const Task& task : waiting) calls += task.calls.count;
    trace_->cancelled(*job, calls);
  }
  for (const Task& task : waiting) {
    fail(task, std::make_exception_ptr(Cancelled("the task was cancelled before it ran")));
  }
  control_->doorbell.notify();  // whoever waits for it looks again
  dispatch();
  return true;
}

void Core::resize(int processes) {
  if (processes < 1 || static_cast<std::size_t>(processes) > mailboxes_.size()) {
    throw std::invalid_argument("Pool::resize: the number of processes is between 1 and " +
                                std::to_string(mailboxes_.size()));
  }
  const std::lock_guard lock(mutex_);
  require_usable();
  const auto wanted = static_cast<std::size_t>(processes);
  for (std::size_t place = workers_.size(); place < wanted; ++place) make_mailbox(place);
  if (wanted > workers_.size()) workers_.resize(wanted);
  for (std::size_t place = wanted; place < workers_.size(); ++place) {
    take_back(place);
    tell_to_finish(place);
  }
  wanted_.store(processes, std::memory_order_relaxed);
  control_->wanted.store(static_cast<std::uint32_t>(processes), std::memory_order_release);
  ring_supervisor();
  dispatch();
}

PoolStats Core::stats() {
  const std::lock_guard lock(mutex_);
  PoolStats stats = counts_;
  stats.processes = processes();
  stats.waiting = tasks_.size();
  stats.median_task_time = task_times_.quantile(0.5);
  stats.slow_task_time = task_times_.quantile(0.99);
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    if (!workers_[place].running) continue;
    const pid_t pid = control_->places[place].pid.load();
    stats.workers.push_back({pid, workers_[place].done, !workers_[place].sent.empty(), os::private_memory(pid)});
  }
  return stats;
}

}  // namespace multiprocessing::pool
