#include "pool/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "pool/watch.hpp"
#include "pool/worker.hpp"
#include "process/bootstrap.hpp"
#include "process/child.hpp"
#include "process/helper.hpp"
#include "shared_memory/leave.hpp"

namespace multiprocessing::pool {
namespace {

class Supervisor {
 public:
  explicit Supervisor(SupervisorPlan& plan)
      : plan_(plan), watch_(*plan.control, plan.mailboxes, plan.options), supervisor_(::getpid()) {}

  [[noreturn]] void run() {
    for (;;) {
      look_at_control();
      if (finishing_ && running() == 0) end();
      wait_and_handle();
    }
  }

 private:
  struct Worker {
    base::Fd pidfd;
    pid_t pid = 0;
  };

  void wait_and_handle() {
    polled_.clear();
    polled_.push_back({plan_.bell.get(), POLLIN, 0});  // -1: not looked at
    polled_.push_back({plan_.host.get(), POLLIN, 0});
    for (const Worker& worker : workers_) polled_.push_back({worker.pidfd.get(), POLLIN, 0});
    if (os::poll(polled_, next_look()) < 0) return;
    if (polled_[1].revents != 0) terminate();
    if (polled_[0].revents != 0) hear_bell();
    for (std::uint32_t place = 0; place < workers_.size(); ++place) {
      if (polled_[place + 2].revents != 0) bury(place);
    }
  }

  void hear_bell() {
    char message = 0;
    int n = 0;
    while ((n = os::receive_message(plan_.bell.get(), &message, sizeof message)) > 0) {
    }
    if (n == 0) plan_.bell.reset();  // the host has closed descriptors that are ours: from now on look now and then
  }

  void look_at_control() {
    const Wish wish = plan_.control->wish.load(std::memory_order_acquire);
    if (wish == Wish::terminate) terminate();
    if (wish == Wish::finish) finishing_ = true;
    const std::uint32_t wanted = plan_.control->wanted.load(std::memory_order_acquire);
    if (wanted > workers_.size()) workers_.resize(wanted);
    shrunk_ = wanted < workers_.size();
    const std::uint64_t now = steady_ns();
    watch_.begin();
    for (std::uint32_t place = 0; place < workers_.size(); ++place) {
      const Place& shared = plan_.control->places[place];
      const PlaceState state = shared.state.load(std::memory_order_acquire);
      if (state == PlaceState::vacant && place < wanted && !finishing_) refill(place, now);
      if (state == PlaceState::running && workers_[place].pidfd && watch_.look(place, workers_[place].pid, now)) {
        os::pidfd_signal(workers_[place].pidfd.get(), SIGKILL);
      }
    }
  }

  // When to look although nothing happens.  Whoever gives a watched task rings only if we do not watch.
  os::Deadline next_look() {
    plan_.control->watching.store(1);
    if (!watch_.anything_watched(workers_.size())) {
      plan_.control->watching.store(0);
      if (watch_.anything_watched(workers_.size())) return os::Deadline::passed();
    }
    const bool some_may_leave = finishing_ || shrunk_ || plan_.options.max_tasks_per_child != 0;
    return plan_.bell && !some_may_leave ? watch_.next() : watch_.next().at_most(sync::EventCount::look_again);
  }

  void refill(std::uint32_t index, std::uint64_t now) {
    Place& place = plan_.control->places[index];
    if (const std::uint64_t not_before = place.not_before_ns.load(); now < not_before) {
      return watch_.look_again_at(not_before);
    }
    try {
      const std::string number = std::to_string(++workers_made_);
      const std::string& name = plan_.options.name;
      process_::Child record((name.empty() ? "ForkPoolWorker" : name) + "-" + number, number, false);
      process_::ChildPlan child(record);
      memory::Forked forked = memory::fork_member(plan_.host_member);
      if (forked.pid == 0) be_worker(index, child);
      MULTIPROCESSING_STEP("pool.supervisor.forked");
      workers_[index].pid = forked.pid;
      workers_[index].pidfd = std::move(forked.pidfd);
      watch_.has_started(index, forked.pid);
      place.pid.store(forked.pid, std::memory_order_relaxed);
      place.member.store(forked.member, std::memory_order_relaxed);
      place.state.store(PlaceState::running, std::memory_order_release);
    } catch (const OsError& error) {
      place.status.store(error.code().value(), std::memory_order_relaxed);
      place.state.store(PlaceState::failed, std::memory_order_release);
    } catch (...) {
      place.status.store(ENOMEM, std::memory_order_relaxed);
      place.state.store(PlaceState::failed, std::memory_order_release);
    }
    plan_.control->doorbell.notify();
  }

  // noexcept: an exception that came out of here would make a second supervisor of the worker.
  [[noreturn]] void be_worker(std::uint32_t index, process_::ChildPlan& child) noexcept {
    // A group of its own: signals of the terminal go to the host, and killing the group kills what it started.
    ::setpgid(0, 0);
    os::set_parent_death_signal(SIGKILL);
    if (::getppid() != supervisor_) ::_exit(127);  // it died before the line above
    plan_.bell.reset();
    plan_.host.reset();
    for (Worker& worker : workers_) worker.pidfd.reset();
    Mailbox* const mailbox = plan_.mailboxes + index;
    if (index != 0) os::unmap(plan_.mailboxes, index * sizeof(Mailbox));
    os::unmap(mailbox + 1, (most_workers - index - 1) * sizeof(Mailbox));
    os::unmap(plan_.control->host_part(), host_part_bytes);
    const std::vector<int>& cpus = plan_.options.cpus;
    if (!cpus.empty()) os::set_affinity(cpus[index % cpus.size()]);
    if (plan_.options.memory_limit != 0) os::limit_private_memory(plan_.options.memory_limit);
    process_::enter_child(child);
    process_::leave_child(work(*mailbox, plan_.control->doorbell, plan_.options));
  }

  // The worker has ended: everything it started ends with it.
  void bury(std::uint32_t index) {
    Worker& worker = workers_[index];
    ::kill(-worker.pid, SIGKILL);  // before it is reaped its pid, and so its group, is nobody else's
    os::Ending ending;
    if (os::reap(worker.pidfd.get(), ending) == -EAGAIN) return;
    worker.pidfd.reset();
    worker.pid = 0;
    kill_orphans();
    Place& place = plan_.control->places[index];
    place.status.store(ending.known ? ending.status : -SIGKILL, std::memory_order_relaxed);
    MULTIPROCESSING_STEP("pool.supervisor.reaped");
    place.state.store(PlaceState::dead, std::memory_order_release);
    plan_.control->doorbell.notify();
  }

  // We are a subreaper: what a worker started has become our child.  Killing a generation brings up the next.
  // What cannot be killed (it runs as another user, or hangs in a driver) does not keep the pool from going on.
  void kill_orphans() {
    const auto patience = os::Deadline::after(std::chrono::seconds(1));
    for (;;) {
      bool killed = false;
      for (const pid_t pid : children_that_are_no_workers()) {
        const base::Fd pidfd(os::pidfd_open(pid));  // our child and not reaped: the pid cannot be a stranger's
        if (!pidfd) {
          ::kill(pid, SIGKILL);  // no descriptor left: it ends, and stays a zombie until we do
          continue;
        }
        if (os::pidfd_signal(pidfd.get(), SIGKILL) < 0 || !os::wait_ended(pidfd.get(), patience)) continue;
        os::Ending ending;
        killed = os::reap(pidfd.get(), ending) == 0 || killed;
      }
      if (!killed) return;
    }
  }

  std::vector<pid_t> children_that_are_no_workers() const {
    std::vector<pid_t> pids;
    const std::string path = "/proc/self/task/" + std::to_string(supervisor_) + "/children";
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) return pids;
    int pid = 0;
    while (std::fscanf(file, "%d", &pid) == 1) {
      bool is_worker = false;
      for (const Worker& worker : workers_) is_worker = is_worker || worker.pid == pid;
      if (!is_worker) pids.push_back(pid);
    }
    std::fclose(file);
    return pids;
  }

  [[nodiscard]] std::size_t running() const {
    std::size_t count = 0;
    for (const Worker& worker : workers_) count += worker.pid != 0;
    return count;
  }

  [[noreturn]] void terminate() {
    for (const Worker& worker : workers_) {
      if (worker.pidfd) os::pidfd_signal(worker.pidfd.get(), SIGKILL);
    }
    for (std::uint32_t place = 0; place < workers_.size(); ++place) {
      if (!workers_[place].pidfd) continue;
      os::wait_ended(workers_[place].pidfd.get(), os::Deadline::never());
      bury(place);
    }
    end();
  }

  [[noreturn]] void end() {
    kill_orphans();
    shared_memory::leave();  // where the program was killed, this is the end of the names that it had
    ::_exit(0);
  }

  SupervisorPlan& plan_;
  Watch watch_;
  std::vector<Worker> workers_;
  const pid_t supervisor_;
  unsigned workers_made_ = 0;
  bool finishing_ = false;
  bool shrunk_ = false;  // workers beyond those wanted may still be at work
  std::vector<pollfd> polled_;
};

}  // namespace

void supervise(SupervisorPlan& plan) noexcept {
  process_::become_helper();
  Supervisor(plan).run();
}

}  // namespace multiprocessing::pool
