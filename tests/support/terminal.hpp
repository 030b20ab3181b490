// Terminal: a program in a terminal of its own; what it and its children say comes out of the terminal.
#pragma once

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace multiprocessing::testing {

struct Terminal {
  template <class F>
  explicit Terminal(F main) {
    pid = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid == 0) std::exit(main());
  }
  ~Terminal() { ::close(master); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(char c) const { ASSERT_EQ(::write(master, &c, 1), 1); }
  // Until the program has written so much, or everybody has closed the terminal.
  std::string read(std::string_view until = "\1") const {
    std::string text;
    char c = 0;
    while (text.find(until) == std::string::npos && ::read(master, &c, 1) == 1) text.push_back(c);
    return text;
  }
  int status() const {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  int master = -1;
  pid_t pid = -1;
};

}  // namespace multiprocessing::testing
