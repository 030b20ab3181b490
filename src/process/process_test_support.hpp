// What the tests of this layer share: memory that parent and child both see, host programs that a test may kill, and
// a way to know that a process which is nobody's child is gone.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "base/fd.hpp"
#include "multiprocessing/process.hpp"
#include "os/os.hpp"
#include "support/sanitizers.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::testing {

// A T that this process and those it forks from now on have in common.
template <class T>
class Shared {
 public:
  explicit Shared(T initial = T{}) {
    void* area = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) std::abort();
    value_ = new (area) std::atomic<T>(initial);
  }
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T get() const { return value_->load(); }
  void set(T value) { value_->store(value); }
  T add(T value) { return value_->fetch_add(value); }  // what it was

 private:
  std::atomic<T>* value_;
};

inline bool polls_readable(int fd) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, 0) > 0;
}

// A one-time event between processes: a pipe whose byte is never read, only looked at.
class Signal {
 public:
  Signal() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_ = base::Fd(ends[0]);
    write_ = base::Fd(ends[1]);
  }
  void set() {
    if (::write(write_.get(), "x", 1) != 1) std::abort();
  }
  void wait() const {
    pollfd ready{read_.get(), POLLIN, 0};
    while (::poll(&ready, 1, -1) < 0) {
    }
  }
  [[nodiscard]] bool is_set() const { return polls_readable(read_.get()); }

 private:
  base::Fd read_;
  base::Fd write_;
};

// A target that has to be ended from outside; it goes with the test that failed to do so.
[[noreturn]] inline void sleep_for_ever() {
  os::set_parent_death_signal(SIGKILL);
  for (;;) ::pause();
}

// The end of a process that may be nobody's child here.  Made while it is known to live.
class Death {
 public:
  explicit Death(pid_t pid) : pidfd_(os::pidfd_open(pid)) {
    if (!pidfd_) std::abort();
  }
  void wait() const { os::wait_ended(pidfd_.get(), os::Deadline::never()); }
  [[nodiscard]] bool has_come() const { return polls_readable(pidfd_.get()); }

 private:
  base::Fd pidfd_;
};

// A program that uses the library: forked without its help, ends by exit() when `main` returns.
class Host {
 public:
  template <class F>
  explicit Host(F main) : pid_((std::fflush(stdout), std::fflush(stderr), ::fork())) {
    if (pid_ == 0) std::exit(main());
  }
  ~Host() {
    if (pid_ > 0) {
      kill(SIGKILL);
      static_cast<void>(status());
    }
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void kill(int signo) const { ::kill(pid_, signo); }

  // Waits; exit code or -signal.
  int status() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// A file without a name that takes the place of stdout or stderr, here and in the children, until the end of scope.
class Captured {
 public:
  explicit Captured(int fd) : fd_(fd), file_(std::tmpfile()), saved_(::dup(fd)) {
    flush();
    ::dup2(::fileno(file_), fd_);
  }
  ~Captured() {
    restore();
    std::fclose(file_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  std::string text() {
    restore();
    std::string all;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) all.push_back(static_cast<char>(c));
    return all;
  }

 private:
  static void flush() {
    std::fflush(stdout);
    std::fflush(stderr);
  }
  void restore() {
    if (!saved_) return;
    flush();
    ::dup2(saved_.get(), fd_);
    saved_.reset();
  }

  int fd_;
  std::FILE* file_;
  base::Fd saved_;
};

}  // namespace multiprocessing::testing
