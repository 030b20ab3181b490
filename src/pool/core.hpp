// The engine of a pool, in the process that made it.
//
//   submit ─► queue_ ─► dispatch ─► mailbox ─► worker ─► mailbox ─► drain ─► Job::deliver / fail ─► callbacks_
//                ▲                                          │
//                └── returned_: handed out but never begun ─┘ (a worker died, or sits on a long task)
//
// Invariants
//   1. A task is in exactly one of: its job's part of queue_; returned_; one Worker::sent; decided.
//   2. A task that a worker has begun (mailbox.hpp: `taken`) is never given to another: it gets a result or WorkerDied.
//   3. mutex_ guards everything but what is marked; it is held while jobs encode and deliver, never while callbacks
//      run or while anything waits.
//   4. Whoever waits moves tasks and results (pump); the pool's own thread does when nobody waits.  So a result needs
//      no second thread to be woken on its way, and no result waits for a thread that is not there.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/fd.hpp"
#include "memory/family.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "pool/control.hpp"
#include "pool/mailbox.hpp"

namespace multiprocessing::pool {

// A shared anonymous mapping that is a T.
template <class T>
class SharedArea {
 public:
  SharedArea();
  ~SharedArea();
  SharedArea(SharedArea&& other) noexcept : area_(std::exchange(other.area_, nullptr)) {}
  SharedArea& operator=(SharedArea&&) = delete;
  T* operator->() const noexcept { return area_; }
  T& operator*() const noexcept { return *area_; }

 private:
  T* area_ = nullptr;
};

class Core : public std::enable_shared_from_this<Core> {
 public:
  static std::shared_ptr<Core> start(const Settings& settings);
  explicit Core(const Settings& settings);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void submit(const std::shared_ptr<Job>& job, std::size_t first, std::size_t tasks);
  void submit_more(const std::shared_ptr<Job>& job, std::size_t first, std::size_t tasks);
  void run(const std::shared_ptr<Job>& job, std::size_t tasks);
  bool wait(const std::function<bool()>& ready, Deadline deadline);
  void when_complete(std::shared_ptr<Job> job, std::function<void()> callback);
  void under_lock(const std::function<void()>& f);
  void require_open();
  void close();
  void join();
  void terminate();

  [[nodiscard]] int processes() const noexcept { return static_cast<int>(workers_.size()); }
  [[nodiscard]] pid_t owner() const noexcept { return owner_; }
  void abandon() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct TaskName {
    std::shared_ptr<Job> job;
    std::size_t task;
  };
  struct Sent {  // what a worker has been given, oldest first
    TaskName name;
    std::uint64_t position;            // of the ring, where the worker will look for it
    std::vector<memory::Ref> handles;  // what the message names stays alive until the verdict
  };
  struct Worker {
    SharedArea<Mailbox> mailbox;
    std::deque<Sent> sent;
    std::uint64_t write_position = 0;
    std::uint64_t result_position = 0;
    bool running = false;
    bool ready = false;
    bool damaged = false;            // nothing in its mailbox is believed any more
    Clock::time_point busy_since{};  // its last result, or the task that ended its idleness
    double ns_per_task = 0;          // moving average; 0: not known
  };
  struct Batch {
    std::shared_ptr<Job> job;
    std::size_t next;
    std::size_t end;
  };

  class Waiting;  // a thread that moves tasks and results while it waits

  // core.cpp: life and death
  void start_supervisor(const Settings& settings);
  void await_workers();
  void start_thread();
  bool wait_and_pump(const std::function<bool()>& ready, Deadline deadline);
  void ring_supervisor() noexcept;
  [[nodiscard]] bool supervisor_has_ended(Deadline deadline) const noexcept;
  void result_thread();
  void run_callbacks(std::unique_lock<std::mutex>& lock);
  void end_processes(Wish how);
  void tell_to_end(Wish how);
  void join_thread();
  void reap_all() noexcept;
  void require_usable() const;
  void break_pool(std::exception_ptr why);
  void fail_all(const std::exception_ptr& why);

  // dispatcher.cpp: tasks and results
  void add(const std::shared_ptr<Job>& job, std::size_t first, std::size_t tasks);
  bool pump();
  bool drain(std::size_t place);
  void decide(const Sent& sent, const Received& received);
  void settle(const TaskName& name, std::exception_ptr error);
  void finished_one(const std::shared_ptr<Job>& job);
  bool look_after(std::size_t place);
  void bury(std::size_t place);
  void has_started() noexcept;
  void take_back(std::size_t place);
  void dispatch();
  std::size_t give(std::size_t place, std::size_t most);
  enum class Written { yes, failed, no_room };
  Written write_next_task(Worker& worker);
  void hand_over(Worker& worker, std::size_t count) noexcept;
  [[nodiscard]] std::size_t depth(const Worker& worker) const;
  void rebalance();
  void count_failed_start(const Place& place);
  [[nodiscard]] std::chrono::nanoseconds patience() const;

  const pid_t owner_;
  SharedArea<Control> control_;
  std::vector<Worker> workers_;
  base::Fd bell_;  // of the supervisor
  base::Fd supervisor_;
  pid_t supervisor_pid_ = 0;
  memory::MemberId supervisor_member_ = 0;

  std::mutex mutex_;
  std::deque<TaskName> returned_;
  std::deque<Batch> queue_;
  std::size_t undecided_ = 0;  // tasks submitted and without a verdict
  std::size_t waiting_ = 0;    // of these, tasks that no worker has
  std::unordered_multimap<std::shared_ptr<Job>, std::function<void()>> watched_;  // callbacks of jobs under way
  std::deque<std::function<void()>> callbacks_;                                   // to be run
  codec::Encoder encoder_;
  std::size_t last_used_ = 0;
  Clock::time_point last_result_{};
  Clock::time_point last_supervisor_check_{};
  int failed_starts_ = 0;  // workers that ended before they were ready, in a row
  std::exception_ptr initializer_error_;
  bool closed_ = false;
  bool ending_ = false;  // workers were told to end
  bool ended_ = false;   // they have
  std::exception_ptr broken_;

  std::atomic<int> waiters_{0};  // threads that are Waiting
  std::atomic<bool> stop_thread_{false};
  sync::EventCount thread_events_;  // for the result thread while others pump
  std::mutex end_;                  // one thread ends the processes
  std::mutex thread_end_;           // one thread joins thread_; not end_: a callback may want that meanwhile
  std::thread thread_;
};

}  // namespace multiprocessing::pool
