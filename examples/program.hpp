// For the tests: examples as users run them.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace multiprocessing::examples {

// An example that runs, with what it prints.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    arguments[0] = std::string(MP_EXAMPLES) + "/" + arguments[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is aborted leaves no program behind
      ::dup2(ends[1], STDOUT_FILENO);
      std::vector<char*> words;
      for (std::string& one : arguments) words.push_back(one.data());
      words.push_back(nullptr);
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) static_cast<void>(end(SIGKILL));
    ::close(out_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string line() const {
    std::string text;
    for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) text.push_back(c);
    return text;
  }
  void signal(int number) const { ::kill(pid_, number); }
  int end(int number = 0) {
    if (number != 0) signal(number);
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
};

}  // namespace multiprocessing::examples
