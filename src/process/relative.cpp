#include "process/relative.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>

#include "base/error.hpp"
#include "os/os.hpp"
#include "process/pidfd.hpp"

namespace multiprocessing::process_ {

Relative::~Relative() { close_if_pidfd(pidfd_.load()); }

bool Relative::is_this_process() const noexcept { return pid_ == ::getpid(); }

bool Relative::is_alive() { return is_this_process() || pid_ == ::getppid(); }

bool Relative::join(Deadline deadline) {
  if (is_this_process()) throw std::logic_error("mp::ProcessInfo: a process cannot join itself");
  while (is_alive()) {
    if (deadline.is_over()) return false;
    const int fd = sentinel();
    os::wait_ended(fd, deadline);
    os::Ending ending;
    int expected = fd;
    if (os::reap(fd, ending) == -EBADF) pidfd_.compare_exchange_strong(expected, -1);  // closed by the program
  }
  return true;
}

void Relative::signal(int signo) {
  if (is_this_process()) {
    ::kill(pid_, signo);
  } else if (is_alive()) {
    const int outcome = os::pidfd_signal(sentinel(), signo);
    if (outcome < 0 && outcome != -ESRCH) base::throw_os_error("pidfd_send_signal", std::to_string(pid_), -outcome);
  }
}

void Relative::kill() { signal(SIGKILL); }

int Relative::sentinel() {
  if (const int known = pidfd_.load(); known >= 0) return known;
  const int fd = os::pidfd_open(pid_);
  if (fd >= 0 && is_alive()) return keep(fd);
  if (fd >= 0) ::close(fd);  // a stranger's
  if (fd < 0 && fd != -ESRCH) base::throw_os_error("pidfd_open", std::to_string(pid_), -fd);
  const int over = ::eventfd(1, EFD_CLOEXEC);  // polls readable for ever, as the pidfd of the dead would
  if (over < 0) base::throw_os_error("eventfd", std::to_string(pid_));
  return keep(over);
}

// Another thread may have been faster.
int Relative::keep(int fd) noexcept {
  int expected = -1;
  if (pidfd_.compare_exchange_strong(expected, fd)) return fd;
  ::close(fd);
  return expected;
}

}  // namespace multiprocessing::process_
