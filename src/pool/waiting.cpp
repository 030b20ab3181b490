// Waiting for results, which is what moves them; and what is run when they are there.
#include "pool/waiting.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

#include "sync/spin.hpp"

namespace multiprocessing::pool {
namespace {

void run_callback(const std::function<void()>& callback) noexcept {
  try {
    callback();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "multiprocessing: exception in a callback of a pool: %s: %s\n",
                 type_text(typeid(e).name()).c_str(), e.what());
  } catch (...) {
    std::fputs("multiprocessing: exception in a callback of a pool\n", stderr);
  }
}

}  // namespace

void Core::run(const std::shared_ptr<Job>& job, std::size_t calls) {
  const Waiting waiting(*this);  // before anything is submitted: this thread takes the results itself
  submit(job, {0, calls});
  wait_and_pump([&job] { return job->left.load(std::memory_order_acquire) == 0; }, Deadline::never(), job.get());
}

bool Core::wait(const std::function<bool()>& ready, Deadline deadline, const Job* own) {
  const Waiting waiting(*this);
  return wait_and_pump(ready, deadline, own);
}

bool Core::wait_and_pump(const std::function<bool()>& ready, Deadline deadline, const Job* own) {
  for (;;) {
    std::chrono::nanoseconds nap{};
    for (sync::Spin spin(pump_cost);;) {
      {
        std::unique_lock lock(mutex_);
        bool moved = pump();
        moved = receive_large(lock, own) || moved;
        if (ready()) {
          spin.paid_off();
          return true;
        }
        if (moved) continue;
        nap = patience();
      }
      if (deadline.is_over()) return false;
      if (!spin.again()) break;
    }
    const auto ticket = control_->doorbell.prepare();
    {
      const std::lock_guard lock(mutex_);
      if (pump() || ready()) continue;  // what is large is received then
    }
    control_->doorbell.wait(ticket, deadline.at_most(nap));
  }
}

// Who receives a large result: a thread that waits for its job, or else the result thread; where that runs a callback,
// which may take as long as it likes, whoever waits for anything.  So nobody is kept from a small result by the large one
// of another, and no result waits for a thread that does not come.
bool Core::receive_large(std::unique_lock<std::mutex>& lock, const Job* own) {
  const auto is_for_us = [this, own](const Large& large) { return in_callback_ || large.sent.task.job.get() == own; };
  bool received = false;
  for (;;) {
    const auto which = std::ranges::find_if(large_, is_for_us);
    if (which == large_.end()) break;
    receive_one(lock, which);
    received = true;
  }
  if (!large_.empty() && !std::exchange(told_of_large_, true)) {
    thread_events_.notify();
    control_->doorbell.notify();
  }
  return received;
}

// It is this thread's own while the lock is not held.
//
//   meanwhile                          its verdict
//   the worker dies                    the result: the block holds all that it names
//   cancel()                           the result: it is here
//   terminate(), or the pool breaks    theirs
void Core::receive_one(std::unique_lock<std::mutex>& lock, std::deque<Large>::iterator which) {
  Large large = std::move(*which);
  large_.erase(which);
  lock.unlock();
  Failure failure = receive(large.sent.task, large.block);
  large.block = Block();  // not under the lock
  lock.lock();
  --*large.unread;
  if (over_ != nullptr) failure = {large.sent.task.calls.first, over_};
  settle(large.sent.task, std::move(failure));
  last_result_ = Clock::now();
  control_->doorbell.notify();  // for who waits for it
}

void Core::when_complete(std::shared_ptr<Job> job, std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (job->left.load(std::memory_order_acquire) != 0) {
      watched_jobs_.emplace(std::move(job), std::move(callback));
      return;
    }
    if (!stop_thread_.load()) {
      callbacks_.push_back(std::move(callback));
      thread_events_.notify();
      return;
    }
  }
  run_callback(callback);  // the pool has ended: there is nobody else to run it
}

void Core::note_when_complete(std::shared_ptr<Job> job, std::function<void()> note) {
  const std::lock_guard lock(mutex_);
  if (job->left.load(std::memory_order_acquire) != 0) {
    noted_jobs_.emplace(std::move(job), std::move(note));
  } else {
    note();
  }
}

void Core::result_thread() {
  std::unique_lock lock(mutex_);
  for (;;) {
    run_callbacks(lock);
    if (stop_thread_.load() && callbacks_.empty()) return;
    const bool others_pump = waiters_.load() != 0;
    if (!others_pump) pump();
    if (!large_.empty()) {
      receive_one(lock, large_.begin());
      continue;
    }
    if (!callbacks_.empty()) continue;
    if (trace_ != nullptr) trace_->flush_if_due();
    const bool park = others_pump || undecided_ == 0;
    const std::chrono::nanoseconds nap = park ? sync::EventCount::look_again : patience();
    sync::EventCount& events = park ? thread_events_ : control_->doorbell;
    const auto ticket = events.prepare();
    const bool look_again =
        park ? !callbacks_.empty() || stop_thread_.load() || (undecided_ != 0 && waiters_.load() == 0)
             : waiters_.load() != 0 || pump();
    if (look_again) continue;
    lock.unlock();
    events.wait(ticket, Deadline::after(nap));
    lock.lock();
    if (park) pump();  // deaths of idle workers
  }
}

void Core::run_callbacks(std::unique_lock<std::mutex>& lock) {
  while (!callbacks_.empty()) {
    std::function<void()> callback = std::move(callbacks_.front());
    callbacks_.pop_front();
    in_callback_ = true;
    lock.unlock();
    run_callback(callback);
    callback = nullptr;  // what it has captured goes without the lock held
    lock.lock();
    in_callback_ = false;
  }
}

}  // namespace multiprocessing::pool
