#include "support/crash.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <utility>

namespace multiprocessing::testing {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "in child %d: not true: %s\n", static_cast<int>(::getpid()), what);
  ::_exit(failed);
}

bool Child::fork(Making making) {
  if (making == member) {
    memory::Forked forked = memory::fork_member();
    pid_ = forked.pid;
    member_ = forked.member;
    is_member_ = true;
    pidfd_ = std::move(forked.pidfd);
  } else {
    pid_ = os::fork();
    if (pid_ > 0) pidfd_ = base::Fd(os::pidfd_open(pid_));
  }
  return pid_ == 0;
}

Child::~Child() {
  if (pidfd_) {
    ::kill(pid_, SIGKILL);
    wait();
  }
}

int Child::wait() {
  const int status = wait_unreaped();
  reap_as_member();
  return status;
}

void Child::reap_as_member() const {
  if (is_member_) memory::reap_member(member_);
}

int Child::wait_unreaped() {
  os::Ending ending;
  os::wait_ended(pidfd_.get(), os::Deadline::never());
  EXPECT_EQ(os::reap(pidfd_.get(), ending), 0);
  pidfd_.reset();
  return ending.status;
}

void Child::run_as_child(const std::function<void()>& body) {
  os::set_parent_death_signal(SIGKILL);  // when the watchdog ends a test, its children go with it
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in child %d: %s\n", static_cast<int>(::getpid()), error.what());
    ::_exit(failed);
  }
  ::_exit(0);
}

void wait_stopped(const Child& child) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED) < 0 && errno == EINTR) {
  }
}

}  // namespace multiprocessing::testing
