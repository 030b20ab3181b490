#include "process/child.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "process/kill_tree.hpp"
#include "process/pidfd.hpp"
#include "process/registry.hpp"
#include "process/report.hpp"

namespace multiprocessing::process_ {

Child::Child(std::string name, std::string path, bool daemon)
    : name_(std::move(name)), path_(std::move(path)), daemon_(daemon), owner_(::getpid()) {}

Child::~Child() { close_if_pidfd(pidfd_); }

bool Child::was_made_here() const noexcept { return owner_ == ::getpid(); }

bool Child::is_this_process() const noexcept { return pid_ == ::getpid(); }

void Child::set_name(std::string name) { name_.swap(name); }

void Child::has_started(memory::Forked&& forked) noexcept {
  pid_ = forked.pid;
  member_ = forked.member;
  pidfd_ = forked.pidfd.release();
  state_ = State::running;
}

void Child::becomes_this_process() noexcept {
  new (&mutex_) std::mutex;  // the inherited one may have been locked by a thread that is not here
  pid_ = ::getpid();
  state_ = State::running;
}

void Child::require_parent(const char* what) const {
  if (was_made_here()) return;
  throw std::logic_error(std::string("mp::Process: can only ") + what + " a child of this process; '" + name_ +
                         "' was started by process " + std::to_string(owner_));
}

bool Child::is_alive() {
  if (is_this_process()) return true;
  require_parent("test");
  return !ended_and_forgotten();
}

std::optional<int> Child::exitcode() {
  if (is_this_process()) return std::nullopt;
  require_parent("ask for the exit code of");
  if (!ended_and_forgotten()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return exitcode_;
}

bool Child::join(Deadline deadline) {
  if (is_this_process()) throw std::logic_error("mp::Process: a process cannot join itself");
  require_parent("join");
  // The number stays valid as long as this record lives.  Should the program have closed it, or made another
  // file of it, then the wait may end too early: hence the loop, which begins with an attempt to reap.
  for (;;) {
    const auto pidfd = pidfd_if_running();
    if (!pidfd) return ended_and_forgotten();
    if (deadline.is_over()) return false;
    os::wait_ended(*pidfd, deadline);
  }
}

void Child::signal(int signo) {
  if (is_this_process()) {
    ::kill(pid_, signo);
    return;
  }
  require_parent("signal");
  const std::lock_guard lock(mutex_);
  if (reap_locked()) return;
  const int outcome = os::pidfd_signal(pidfd_, signo);
  if (outcome < 0 && outcome != -ESRCH) base::throw_os_error("pidfd_send_signal", name_, -outcome);
}

void Child::kill() {
  if (is_this_process()) {
    ::kill(pid_, SIGKILL);
    return;
  }
  require_parent("kill");
  const std::lock_guard lock(mutex_);  // nobody reaps meanwhile: the pid stays the child's
  if (reap_locked()) return;
  kill_tree(pid_, pidfd_);
}

int Child::sentinel() {
  if (!is_this_process()) require_parent("wait for");
  const std::lock_guard lock(mutex_);
  int outcome = pidfd_;
  if (is_this_process()) {
    if (pidfd_ < 0) outcome = os::pidfd_open(pid_);
  } else if (reap_locked() && pidfd_ < 0) {
    outcome = ::eventfd(1, EFD_CLOEXEC);  // ended, and the pidfd is lost: something that polls readable for ever
    if (outcome < 0) outcome = -errno;
  } else {
    outcome = pidfd_;
  }
  if (outcome < 0) base::throw_os_error("sentinel of", name_, -outcome);
  return pidfd_ = outcome;
}

bool Child::has_ended() {
  const std::lock_guard lock(mutex_);
  return reap_locked();
}

std::optional<int> Child::pidfd_if_running() {
  const std::lock_guard lock(mutex_);
  if (reap_locked()) return std::nullopt;
  return pidfd_;
}

bool Child::ended_and_forgotten() {
  {
    const std::lock_guard lock(mutex_);
    if (!reap_locked()) return false;
    if (std::exchange(forgotten_, true)) return true;
  }
  Registry::current().forget(*this);  // not under mutex_: the registry's lock comes first
  return true;
}

// The only place where a child is reaped.  True once it has ended.
bool Child::reap_locked() {
  for (bool reopened = false; state_ == State::running; reopened = true) {
    os::Ending ending;
    const int outcome = pidfd_ < 0 ? -EBADF : os::reap(pidfd_, ending);
    if (outcome == 0) {
      MULTIPROCESSING_STEP("process.reaped");
      ended_locked(ending.status);
    } else if (outcome == -ECHILD) {
      if (reopened) ::close(std::exchange(pidfd_, -1));  // not ours: a stranger has the pid by now
      ended_locked(std::nullopt);
    } else if (outcome == -EBADF && !reopened) {
      reopen_pidfd_locked();
    } else {
      return false;
    }
  }
  return true;
}

// The descriptor was closed behind our back.
void Child::reopen_pidfd_locked() {
  pidfd_ = os::pidfd_open(pid_);
  if (pidfd_ >= 0) return;
  const int error = -std::exchange(pidfd_, -1);
  if (error != ESRCH) base::throw_os_error("pidfd_open", name_, error);
  ended_locked(std::nullopt);
}

void Child::ended_locked(std::optional<int> code) noexcept {
  state_ = State::ended;
  exitcode_ = code;
  memory::reap_member(member_);
  if (is_reported_) report_end(name_, pid_, code);
}

void Child::forget_pidfd_if(int number) noexcept {
  const std::lock_guard lock(mutex_);
  if (pidfd_ == number) pidfd_ = -1;
}

}  // namespace multiprocessing::process_
