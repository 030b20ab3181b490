// The end of a pool: in order, by force, or because it is broken.
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "os/os.hpp"
#include "pool/core.hpp"

namespace multiprocessing::pool {

// REQUIRES: mutex_ held.
void Core::break_pool(std::exception_ptr why) {
  if (broken_ != nullptr) return;
  std::string text = "the pool is broken";
  try {
    std::rethrow_exception(why);
  } catch (const PoolBroken&) {
    broken_ = why;
  } catch (const std::exception& e) {
    text = std::string("the initializer of the pool failed, or its workers cannot be started: ") + e.what();
    try {
      std::throw_with_nested(PoolBroken(text));
    } catch (...) {
      broken_ = std::current_exception();
    }
  } catch (...) {
    broken_ = std::make_exception_ptr(PoolBroken(text));
  }
  report_broken();
  fail_all(broken_);
  tell_to_end(Wish::terminate);
}

// REQUIRES: mutex_ held.
void Core::fail_all(const std::exception_ptr& why) {
  over_ = why;
  std::vector<Task> tasks = tasks_.take(nullptr);
  for (Large& large : large_) {
    --*large.unread;
    tasks.push_back(std::move(large.sent.task));
  }
  large_.clear();
  for (Worker& worker : workers_) {
    for (Sent& sent : worker.sent) tasks.push_back(std::move(sent.task));
    worker.sent.clear();
  }
  for (const Task& task : tasks) fail(task, why);
  control_->doorbell.notify();
}

void Core::close() {
  base::log(LogLevel::debug, "closing pool");
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void Core::join() {
  base::log(LogLevel::debug, "joining pool");
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) throw std::invalid_argument("the pool is still running: close() or terminate() before join()");
  }
  const auto all_done = [this] {
    if (undecided_ == 0) ending_ = true;  // at once: a half iterated imap submits no more
    return undecided_ == 0;
  };
  wait(all_done, Deadline::never());
  end_processes(Wish::finish);
}

void Core::terminate() {
  base::log(LogLevel::debug, "terminating pool");
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ending_ = true;
    fail_all(std::make_exception_ptr(Cancelled("the pool was terminated")));
  }
  end_processes(Wish::terminate);
}

// REQUIRES: mutex_ held, or nobody else there.
void Core::tell_to_end(Wish how) {
  if (control_->wish.load() < how) control_->wish.store(how, std::memory_order_release);
  ring_supervisor();
}

// REQUIRES: mutex_ held.
void Core::tell_to_finish(std::size_t place) noexcept {
  workers_[place].finishing = true;
  mailboxes_[place].finish.store(1, std::memory_order_release);
  mailboxes_[place].task_events.notify();
}

// Several threads may come here, and one that waits for `finish` may be overtaken by one that wants `terminate`.
void Core::end_processes(Wish how) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ending_ = true;
    tell_to_end(broken_ != nullptr ? Wish::terminate : how);
    for (std::size_t place = 0; place < workers_.size(); ++place) tell_to_finish(place);
  }
  {
    const std::lock_guard one(end_);
    if (!ended_) {
      static_cast<void>(supervisor_has_ended(Deadline::never()));
      const std::lock_guard lock(mutex_);
      ended_ = true;
      reap_all();
      if (trace_ != nullptr) trace_->flush();
    }
  }
  stop_thread_ = true;
  thread_events_.notify();
  control_->doorbell.notify();
  join_thread();
}

void Core::join_thread() {
  if (thread_.get_id() == std::this_thread::get_id()) return;  // called by a callback
  const std::lock_guard one(thread_end_);
  if (thread_.joinable()) thread_.join();
}

void Core::reap_all() noexcept {
  os::Ending ending;
  os::reap(supervisor_.get(), ending);
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    Place& shared = control_->places[place];
    const PlaceState state = shared.state.load();
    if (state != PlaceState::running && state != PlaceState::dead) continue;
    if (state == PlaceState::running) {
      // The supervisor was killed: its workers die with it, but not before this.
      const base::Fd pidfd(os::pidfd_open(shared.pid.load()));
      if (pidfd) os::wait_ended(pidfd.get(), Deadline::after(std::chrono::seconds(1)));
    }
    if (state == PlaceState::dead) report_end(place, true, false);
    memory::reap_member(shared.member.load());
    shared.state.store(PlaceState::vacant);
  }
  memory::reap_made_by(supervisor_member_);  // a worker whose place it had no time to write
  memory::reap_member(supervisor_member_);
}

void Core::abandon() noexcept {
  // In a fork of the owner: the thread is not here, the processes are not ours.
  ended_ = true;
  new (&thread_) std::thread;
}

}  // namespace multiprocessing::pool
