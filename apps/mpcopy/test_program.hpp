// For mpcopy's tests: a program that is run, watched and killed.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "test_tree.hpp"

namespace mpcopy::testing {

// The processes whose parent is `parent`, as /proc tells it now.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    std::ifstream in(entry.path() / "stat");
    std::string stat;
    std::getline(in, stat, '\0');  // not by iterators: they throw when the process ends in mid-read
    const std::size_t after_name = stat.rfind(')');  // pid (name) state ppid …
    if (after_name == std::string::npos) continue;
    std::istringstream fields(stat.substr(after_name + 1));
    char state = 0;
    pid_t ppid = 0;
    if (fields >> state >> ppid && ppid == parent && state != 'Z') children.push_back(pid);
  }
  return children;
}

// A started program; what it prints goes to a file.  Killed and reaped on destruction.
class Program {
 public:
  // `prepare` runs in the child before exec.
  explicit Program(
      const std::vector<std::string>& arguments, const std::function<void()>& prepare = [] {}) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const std::string output = here_ / "output";
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    ::setenv("LC_ALL", "C.UTF-8", 1);
    std::signal(SIGINT, SIG_DFL);  // a shell that runs us in the background has it ignored
    prepare();
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~Program() {
    if (is_running()) ::kill(pid_, SIGKILL);
    if (!ended_) ::waitpid(pid_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  bool is_running() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return !ended_;
  }
  // Exit code, or minus the signal that killed it.
  int wait() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, 0) == pid_;
    return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
  }
  [[nodiscard]] std::string output() const { return read_file(here_ / "output"); }

 private:
  TemporaryFolder here_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace mpcopy::testing
