#include "base/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace multiprocessing {
namespace {

// What `f` writes to stderr.
template <class F>
std::string written(F f) {
  ::testing::internal::CaptureStderr();
  f();
  return ::testing::internal::GetCapturedStderr();
}

class Log : public ::testing::Test {
 protected:
  void TearDown() override { base::lowest_log_level = base::log_nothing; }
};

TEST_F(Log, NothingIsWrittenUntilItIsAskedFor) {
  EXPECT_EQ(written([] { base::log(LogLevel::error, "anything"); }), "");
}

TEST_F(Log, ALineHasPythonsForm) {
  log_to_stderr(LogLevel::debug);
  EXPECT_EQ(written([] { base::log(LogLevel::warning, "worker ", 4711, std::string(" died")); }),
            "[WARNING/MainProcess] worker 4711 died\n");
}

TEST_F(Log, LinesBelowTheLevelAreNotWritten) {
  log_to_stderr(LogLevel::info);
  EXPECT_EQ(written([] {
              base::log(LogLevel::debug, "a");
              base::log(LogLevel::info, "b");
              base::log(LogLevel::error, "c");
            }),
            "[INFO/MainProcess] b\n[ERROR/MainProcess] c\n");
}

TEST_F(Log, WarningsAndErrorsAreTheDefault) {
  log_to_stderr();
  EXPECT_FALSE(base::logs(LogLevel::info));
  EXPECT_TRUE(base::logs(LogLevel::warning));
}

TEST_F(Log, ATextOfSeveralLinesIsOneLine) {
  log_to_stderr();
  EXPECT_EQ(written([] { base::log(LogLevel::error, "one\ntwo\nthree"); }), "[ERROR/MainProcess] one two three\n");
}

TEST_F(Log, ALineIsNotLongerThanAPipeTakesAsAWhole) {
  log_to_stderr();
  const std::string text = written([] { base::log(LogLevel::error, std::string(100'000, 'x')); });
  EXPECT_EQ(text.size(), std::size_t{PIPE_BUF});
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(Log, AClosedPipeCostsTheLineAndNotTheProgram) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    ::close(ends[0]);
    ::dup2(ends[1], STDERR_FILENO);
    log_to_stderr();
    base::log(LogLevel::error, "nobody reads this");
    sigset_t pending;
    ::sigpending(&pending);
    ::_exit(sigismember(&pending, SIGPIPE) == 0 ? 0 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Log, ErrnoIsLeftAlone) {
  log_to_stderr();
  static_cast<void>(written([] {
    errno = ENOENT;
    base::log(LogLevel::error, "text");
    EXPECT_EQ(errno, ENOENT);
  }));
}

}  // namespace
}  // namespace multiprocessing
