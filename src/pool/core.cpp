// Life and death of a pool: its start, and the interface of pool.hpp.
#include "pool/core.hpp"

#include <signal.h>
#include <unistd.h>

#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/own_threads.hpp"
#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/pool.hpp"
#include "os/os.hpp"
#include "os/signals_blocked.hpp"
#include "pool/supervisor.hpp"
#include "process/bootstrap.hpp"
#include "process/report.hpp"

namespace multiprocessing::pool {

template <class T>
SharedArea<T>::SharedArea(std::size_t count) : count_(count), file_(os::memfd_create("multiprocessing-pool")) {
  int error = file_ ? os::set_size(file_.get(), count * sizeof(T)) : file_.release();
  if (error >= 0) error = os::seal_size(file_.get());
  void* area = nullptr;
  if (error >= 0) error = os::map_shared_file(file_.get(), count * sizeof(T), &area);
  if (error < 0) base::throw_os_error("map", "memory of a pool", -error);
  area_ = static_cast<T*>(area);
}
template <class T>
SharedArea<T>::~SharedArea() {
  os::unmap(area_, count_ * sizeof(T));
}

std::shared_ptr<Core> Core::start(PoolOptions options) {
  auto core = std::make_shared<Core>(std::move(options));
  core->start_thread();
  return core;
}

Core::Core(PoolOptions options)
    : owner_(::getpid()),
      mailboxes_(most_workers),
      workers_(static_cast<std::size_t>(options.processes)),
      wanted_(options.processes),
      max_tasks_per_child_(options.max_tasks_per_child),
      memory_is_limited_(options.memory_limit != 0),
      restarts_(options.max_restarts, options.restart_window),
      trace_(PoolTrace::of(options.name)) {
  process_::register_exit_handler();  // a task that calls exit() must not run our static destructors
  new (&*control_) Control;           // not Control{}: that would write, and so make real, every page
  control_->wanted.store(static_cast<std::uint32_t>(options.processes));
  control_->shortest_ns.store(~std::uint64_t{0});
  for (std::size_t place = 0; place < workers_.size(); ++place) make_mailbox(place);
  start_supervisor(options);
  await_workers();
}

Core::~Core() {
  if (!ended_ && supervisor_) end_processes(Wish::terminate);
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a callback held the last reference
  } else {
    thread_.join();
  }
}

void Core::start_thread() {
  const os::SignalsBlocked blocked;  // signals are for the host's own threads
  thread_ = std::thread([self = shared_from_this(), own = base::OwnThread()] { self->result_thread(); });
}

// For the worker that will be forked into this place.
void Core::make_mailbox(std::size_t place) noexcept {
  auto* const mailbox = new (&mailboxes_[place]) Mailbox;
  mailbox->time_tasks.store(trace_ != nullptr, std::memory_order_relaxed);
}

void Core::start_supervisor(PoolOptions& options) {
  int ends[2];
  if (const int error = os::message_socketpair(ends); error < 0) base::throw_os_error("socketpair", "pool", -error);
  bell_ = base::Fd(ends[0]);
  base::Fd theirs(ends[1]);
  const int host = os::pidfd_open(owner_);
  if (host < 0) base::throw_os_error("pidfd_open", "pool", -host);
  const StartMethod method = options.start_method.value_or(get_start_method());
  SupervisorPlan plan{.control = &*control_,
                      .mailboxes = &mailboxes_[0],
                      .bell = std::move(theirs),
                      .host = base::Fd(host),
                      .host_member = memory::self(),
                      .options = std::move(options)};
  base::Fd control_file = control_.release_file();  // nothing is left open
  base::Fd mailboxes_file = mailboxes_.release_file();
  process_::flush_standard_streams();
  memory::Forked forked;
  if (method == StartMethod::fork) {
    process_::report_fork();
    codec::learn_modules();  // before the fork: workers must not need the loader's lock
    forked = memory::fork_member();
    if (forked.pid == 0) {
      bell_.reset();
      control_file.reset();
      mailboxes_file.reset();
      supervise(plan);
    }
  } else {
    forked = start_supervisor_anew(method, std::move(plan), std::move(control_file), std::move(mailboxes_file));
  }
  supervisor_ = std::move(forked.pidfd);
  supervisor_pid_ = forked.pid;
  supervisor_member_ = forked.member;
}

// Until every worker is forked: what fails at the start fails here and not at the first call.
void Core::await_workers() {
  for (std::size_t place = 0; place < workers_.size(); ++place) {
    Place& shared = control_->places[place];
    const auto decided = [&shared] { return shared.state.load(std::memory_order_acquire) != PlaceState::vacant; };
    while (!control_->doorbell.wait_until(decided, Deadline::after(std::chrono::milliseconds(100)))) {
      if (!supervisor_has_ended(Deadline::passed())) continue;
      end_processes(Wish::terminate);
      throw PoolBroken("the supervisor of the pool was killed while it started");
    }
    if (shared.state.load() == PlaceState::failed) {
      const int error = shared.status.load();
      end_processes(Wish::terminate);
      base::throw_os_error("fork", "worker of a pool", error);
    }
    workers_[place].running = true;
    report_start(place);
  }
}

// Makes the supervisor look at control_.  A full socket does not matter: then it has not looked yet.
void Core::ring_supervisor() noexcept {
  const char message = 0;
  os::send_message(bell_.get(), &message, sizeof message);
}

// The pidfd wakes us; whether it was right is asked of the process itself, for the program may have closed it, and
// another file may have its number.
bool Core::supervisor_has_ended(Deadline deadline) const noexcept {
  for (;;) {
    const bool told = os::wait_ended(supervisor_.get(), deadline.at_most(sync::EventCount::look_again));
    char state = 0;
    const bool seen = os::start_ticks(supervisor_pid_, &state) != 0;
    if (seen ? state == 'Z' || state == 'X' : ::kill(supervisor_pid_, 0) != 0) return true;
    if (deadline.is_over()) return false;
    if (told) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it cannot be waited for
  }
}

void Core::require_usable() const {
  if (broken_ != nullptr) std::rethrow_exception(broken_);
  if (closed_) throw std::invalid_argument("the pool was closed: it takes no more calls");
}

void Core::submit(const std::shared_ptr<Job>& job, Calls calls) {
  {
    const std::lock_guard lock(mutex_);
    require_usable();
    add(job, calls);
  }
  if (waiters_.load() == 0) thread_events_.notify();
}

void Core::submit_more(const std::shared_ptr<Job>& job, Calls calls) {
  {
    const std::lock_guard lock(mutex_);
    if (broken_ != nullptr) std::rethrow_exception(broken_);
    if (ending_) throw std::invalid_argument("the pool has ended: what is left of the input is not done");
    add(job, calls);
  }
  if (waiters_.load() == 0) thread_events_.notify();
}

void Core::require_open() {
  const std::lock_guard lock(mutex_);
  require_usable();
}

// --- the interface of pool.hpp ----------------------------------------------------------------------------------------

void require_owner(const Core& core) {
  if (core.owner() == ::getpid()) return;
  throw std::logic_error("a pool belongs to the process that made it: make a pool in this process");
}

std::shared_ptr<Core> start(PoolOptions options) { return Core::start(std::move(options)); }
int processes(const Core& core) noexcept { return core.processes(); }
void submit(Core& core, const std::shared_ptr<Job>& job, Calls calls) { core.submit(job, calls); }
void submit_more(Core& core, const std::shared_ptr<Job>& job, Calls calls) { core.submit_more(job, calls); }
void require_open(Core& core) { core.require_open(); }
void run(Core& core, const std::shared_ptr<Job>& job, std::size_t calls) { core.run(job, calls); }
bool wait(Core& core, const std::function<bool()>& ready, Deadline deadline, const Job* own) {
  require_owner(core);
  return core.wait(ready, deadline, own);
}
bool wait(std::span<const std::shared_ptr<Core>> cores, const std::function<bool()>& ready, Deadline deadline) {
  for (const auto& core : cores) require_owner(*core);
  return cores.size() == 1 ? cores.front()->wait(ready, deadline) : Core::wait(cores, ready, deadline);
}
void when_complete(Core& core, std::shared_ptr<Job> job, std::function<void()> callback) {
  require_owner(core);
  core.when_complete(std::move(job), std::move(callback));
}
void note_when_complete(Core& core, std::shared_ptr<Job> job, std::function<void()> note) {
  require_owner(core);
  core.note_when_complete(std::move(job), std::move(note));
}
bool cancel(Core& core, const std::shared_ptr<Job>& job) {
  require_owner(core);
  return core.cancel(job);
}
void close(Core& core) { core.close(); }
void join(Core& core) { core.join(); }
void terminate(Core& core) { core.terminate(); }
void resize(Core& core, int processes) { core.resize(processes); }
PoolStats stats(Core& core) { return core.stats(); }

}  // namespace multiprocessing::pool
