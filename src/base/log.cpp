#include "base/log.hpp"

#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace multiprocessing {
namespace base {
namespace {

constinit std::atomic<const char*> process_name{"MainProcess"};

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warning:
      return "WARNING";
    case LogLevel::error:
      return "ERROR";
  }
  return "?";
}

// A line being made, in place: a child of a program with threads writes lines too, and should need nothing for it.
class Line {
 public:
  void add(std::string_view text) noexcept {
    const std::size_t size = std::min(text.size(), sizeof text_ - 1 - size_);
    std::memcpy(text_ + size_, text.data(), size);
    std::replace(text_ + size_, text_ + size_ + size, '\n', ' ');
    size_ += size;
  }
  std::string_view end() noexcept {
    text_[size_] = '\n';
    return {text_, size_ + 1};
  }

 private:
  char text_[PIPE_BUF];  // what a pipe takes as a whole
  std::size_t size_ = 0;
};

// No SIGPIPE for this thread; one that was raised meanwhile, for us, is taken back.
void write_quietly(std::string_view line) noexcept {
  sigset_t sigpipe;
  sigset_t pending;
  sigset_t saved;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &saved);
  ssize_t written = 0;
  do {
    written = ::write(STDERR_FILENO, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0 && errno == EPIPE && sigismember(&pending, SIGPIPE) == 0) {
    const timespec at_once{0, 0};
    while (::sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &saved, nullptr);
}

}  // namespace

constinit std::atomic<int> lowest_log_level{log_nothing};

void set_log_name(const char* name) noexcept { process_name.store(name, std::memory_order_release); }

void write_log_line(LogLevel level, std::string_view text) noexcept {
  const int error = errno;
  Line line;
  for (const std::string_view part :
       {std::string_view("["), std::string_view(name_of(level)), std::string_view("/"),
        std::string_view(process_name.load(std::memory_order_acquire)), std::string_view("] "), text}) {
    line.add(part);
  }
  write_quietly(line.end());
  errno = error;
}

}  // namespace base

void log_to_stderr(LogLevel level) noexcept {
  base::lowest_log_level.store(static_cast<int>(level), std::memory_order_relaxed);
}

}  // namespace multiprocessing
