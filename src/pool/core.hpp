// The engine of a pool, in the process that made it.
//
//   submit ─► tasks_ ─► dispatch ─► mailbox ─► worker ─► mailbox ─► drain ─► Job::receive, conclude ─► callbacks_
//                ▲                                          │
//                └──── handed out but never begun; retries ─┘ (a worker died, or sits on a long task)
//
// Invariants
//   1. A task is in exactly one of: tasks_; one Worker::sent; large_, or with the thread that took it from there; decided.
//   2. A task that a worker has begun (mailbox.hpp: `taken`) is never given to another, unless its caller asked for
//      retries: it gets a result or the error that names what became of it.
//   3. mutex_ guards everything but what is marked; it is held while jobs encode, conclude, and receive what lay in a
//      ring; never while they receive what lay in a block (waiting.cpp), while callbacks run or while anything waits.
//   4. Whoever waits moves tasks and results (pump); the pool's own thread does when nobody waits.  So a result needs
//      no second thread to be woken on its way, and no result waits for a thread that is not there.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/fd.hpp"
#include "memory/family.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/pool_options.hpp"
#include "multiprocessing/pool_stats.hpp"
#include "pool/block.hpp"
#include "pool/control.hpp"
#include "pool/histogram.hpp"
#include "pool/mailbox.hpp"
#include "pool/pool_trace.hpp"
#include "pool/restarts.hpp"
#include "pool/waiting_tasks.hpp"

namespace multiprocessing::pool {

// A file without a name, mapped as `count` times T; pages appear when they are touched.
template <class T>
class SharedArea {
 public:
  explicit SharedArea(std::size_t count = 1);
  ~SharedArea();
  SharedArea(const SharedArea&) = delete;
  SharedArea& operator=(const SharedArea&) = delete;
  // The file, for a process that is no copy of this one.
  [[nodiscard]] base::Fd release_file() noexcept { return std::move(file_); }
  T* operator->() const noexcept { return area_; }
  T& operator*() const noexcept { return *area_; }
  T& operator[](std::size_t i) const noexcept { return area_[i]; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  std::size_t count_;
  T* area_ = nullptr;
  base::Fd file_;
};

// What a call takes in a mailbox: the larger of its arguments and its result, lately.
inline void note_size(Job& job, std::size_t bytes, std::size_t calls) noexcept {
  const double each = static_cast<double>(bytes) / static_cast<double>(calls);
  job.bytes_per_call = std::max(0.9 * job.bytes_per_call, each);
}

class Core : public std::enable_shared_from_this<Core> {
 public:
  static std::shared_ptr<Core> start(PoolOptions options);
  explicit Core(PoolOptions options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void submit(const std::shared_ptr<Job>& job, Calls calls);
  void submit_more(const std::shared_ptr<Job>& job, Calls calls);
  void run(const std::shared_ptr<Job>& job, std::size_t calls);
  bool wait(const std::function<bool()>& ready, Deadline deadline, const Job* own = nullptr);
  static bool wait(std::span<const std::shared_ptr<Core>> cores, const std::function<bool()>& ready, Deadline deadline);
  void when_complete(std::shared_ptr<Job> job, std::function<void()> callback);
  void note_when_complete(std::shared_ptr<Job> job, std::function<void()> note);
  void require_open();
  void close();
  void join();
  void terminate();
  bool cancel(const std::shared_ptr<Job>& job);
  void resize(int processes);
  [[nodiscard]] PoolStats stats();

  [[nodiscard]] int processes() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  [[nodiscard]] pid_t owner() const noexcept { return owner_; }
  void abandon() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct Sent {  // what a worker has been given, oldest first
    Task task;
    std::uint64_t position;            // of the ring, where the worker will look for it
    std::vector<memory::Ref> handles;  // what the message names stays alive until the verdict
    bool limited;                      // counted in Worker::watched
    bool cancelled = false;            // it runs, and its worker is being killed for it
  };
  struct Worker {
    std::deque<Sent> sent;
    std::uint32_t first_number = 0;  // of sent.front(), as mailbox.hpp numbers tasks
    std::uint64_t write_position = 0;
    std::uint64_t result_position = 0;
    std::shared_ptr<std::size_t> unread = std::make_shared<std::size_t>();  // its results in large_, or being received
    std::uint32_t watched = 0;
    bool running = false;
    bool ready = false;
    bool damaged = false;            // nothing in its mailbox is believed any more
    bool finishing = false;          // told to end: gets nothing more
    bool replaces = false;           // another one that was here
    Clock::time_point busy_since{};  // its last result, or the task that ended its idleness
    double ns_per_task = 0;          // moving average; 0: not known
    std::size_t done = 0;            // by this process
  };

  struct Large {  // a result in a block
    Sent sent;
    Block block;
    std::shared_ptr<std::size_t> unread;  // of the worker it came from, which may be gone
  };

  class Waiting;  // a thread that moves tasks and results while it waits

  // core.cpp: the start
  void make_mailbox(std::size_t place) noexcept;
  void start_supervisor(PoolOptions& options);
  void await_workers();
  void start_thread();
  void ring_supervisor() noexcept;
  [[nodiscard]] bool supervisor_has_ended(Deadline deadline) const noexcept;
  void require_usable() const;

  // waiting.cpp
  bool wait_and_pump(const std::function<bool()>& ready, Deadline deadline, const Job* own);
  bool receive_large(std::unique_lock<std::mutex>& lock, const Job* own);
  void receive_one(std::unique_lock<std::mutex>& lock, std::deque<Large>::iterator which);
  void result_thread();
  void run_callbacks(std::unique_lock<std::mutex>& lock);

  // end.cpp
  void end_processes(Wish how);
  void tell_to_end(Wish how);
  void tell_to_finish(std::size_t place) noexcept;
  void join_thread();
  void reap_all() noexcept;
  void break_pool(std::exception_ptr why);
  void fail_all(const std::exception_ptr& why);

  // dispatcher.cpp: tasks go to workers
  void add(const std::shared_ptr<Job>& job, Calls calls);
  void dispatch();
  [[nodiscard]] bool may_be_given(const Worker& worker) const noexcept;
  std::size_t give(std::size_t place, std::size_t most);
  enum class Written { yes, failed, no_room };
  Written write_next_task(std::size_t place);
  void hand_over(std::size_t place, std::size_t count) noexcept;
  [[nodiscard]] std::size_t depth(const Worker& worker) const;
  [[nodiscard]] std::size_t calls_for(const Task& waiting) const;
  void limit(std::size_t place, std::uint32_t number, const Policy& policy) noexcept;
  void watch(std::size_t place, std::uint32_t tasks) noexcept;
  void take_back(std::size_t place);
  void take_back_less_urgent(int priority);
  void rebalance();

  // verdicts.cpp: results come back, workers come and go
  bool pump();
  bool drain(std::size_t place);
  void pop_sent(Worker& worker);
  void decide(std::size_t place, const Received& received);
  [[nodiscard]] static Failure receive(const Task& task, const Block& block) noexcept;
  void receive_later(std::size_t place, Sent& sent, const Received& received);
  bool try_again(Task& task);
  void fail(const Task& task, std::exception_ptr why);
  void settle(const Task& task, Failure failure);
  void finished(const Task& task);
  bool look_after(std::size_t place);
  void bury(std::size_t place);
  [[nodiscard]] std::exception_ptr error_of_the_dead(std::size_t place, const Sent& sent, Cause cause);
  void count_death(Place& place, bool in_order);
  void has_started() noexcept;
  void count_failed_start(std::size_t place);
  [[nodiscard]] std::chrono::nanoseconds patience() const;

  // reports.cpp: what the log and the trace are told
  void report_start(std::size_t place) noexcept;
  void report_result(std::size_t place, const Sent& sent, const Received& received) noexcept;
  void report_lost(std::size_t place, const Sent& sent, const std::exception_ptr& error) noexcept;
  void report_end(std::size_t place, bool in_order, bool had_begun) noexcept;
  void report_broken() noexcept;

  const pid_t owner_;
  SharedArea<Control> control_;
  SharedArea<Mailbox> mailboxes_;  // of places that may be used, one day
  std::vector<Worker> workers_;    // of places that have been used
  std::atomic<int> wanted_;        // places to be used; changed under mutex_
  const std::size_t max_tasks_per_child_;
  const bool memory_is_limited_;
  base::Fd bell_;  // of the supervisor
  base::Fd supervisor_;
  pid_t supervisor_pid_ = 0;
  memory::MemberId supervisor_member_ = 0;

  std::mutex mutex_;
  WaitingTasks tasks_;
  bool priorities_differ_ = false;     // some job has had one of its own
  bool limits_used_ = false;           // some job has had limits
  bool shortest_has_changed_ = false;  // and the supervisor has not been told
  std::uint32_t watched_tasks_ = 0;    // of all workers
  std::size_t undecided_ = 0;          // calls submitted and without a verdict
  PoolStats counts_;                   // since the start; what changes is filled in by stats()
  Histogram task_times_;
  Restarts restarts_;
  const std::unique_ptr<PoolTrace> trace_;                                             // null: off
  std::unordered_multimap<std::shared_ptr<Job>, std::function<void()>> watched_jobs_;  // callbacks of jobs under way
  std::unordered_multimap<std::shared_ptr<Job>, std::function<void()>> noted_jobs_;    // what is told at once
  std::deque<std::function<void()>> callbacks_;                                        // to be run
  bool in_callback_ = false;                                                           // the result thread is
  std::deque<Large> large_;                                                            // to be received
  bool told_of_large_ = true;                                                          // other threads were
  codec::Encoder encoder_;
  std::size_t last_used_ = 0;
  Clock::time_point last_result_{};
  Clock::time_point last_supervisor_check_{};
  int failed_starts_ = 0;  // workers that ended before they were ready, in a row
  std::exception_ptr initializer_error_;
  bool closed_ = false;
  bool ending_ = false;      // workers were told to end
  bool ended_ = false;       // they have
  std::exception_ptr over_;  // the verdict on all that had none, when the pool was terminated or broke
  std::exception_ptr broken_;

  std::atomic<int> waiters_{0};  // threads that are Waiting
  std::atomic<bool> stop_thread_{false};
  sync::EventCount thread_events_;  // for the result thread while others pump
  std::mutex end_;                  // one thread ends the processes
  std::mutex thread_end_;           // one thread joins thread_; not end_: a callback may want that meanwhile
  std::thread thread_;
};

}  // namespace multiprocessing::pool
