// kill() takes everything that the child has started, however it tries to get away.
#include "process/kill_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "multiprocessing/process.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Shared;
using testing::Signal;
using testing::Watchdog;

// A pipe whose write end everybody below inherits: the read end sees the end of file when all of them are gone.
class Lifeline {
 public:
  Lifeline() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_ = base::Fd(ends[0]);
    write_ = base::Fd(ends[1]);
  }
  void let_go() { write_.reset(); }
  // True once nobody has the write end; blocks until then.
  [[nodiscard]] bool is_cut() const {
    char byte = 0;
    return ::read(read_.get(), &byte, 1) == 0;
  }

 private:
  base::Fd read_;
  base::Fd write_;
};

[[noreturn]] void stay() {
  for (;;) ::pause();
}

template <class F>
pid_t forked(F body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

// Starts `target`, waits for `ready`, kills it and everything below, and waits for the end of them all.
template <class F>
void expect_all_gone(Signal& ready, F target) {
  Lifeline line;
  Process process(target);
  process.start();
  line.let_go();
  ready.wait();
  process.kill();
  process.join();
  EXPECT_EQ(process.exitcode(), -SIGKILL);
  EXPECT_TRUE(line.is_cut());
}

TEST(Kill, TakesGrandchildrenThatIgnoreSignalsInSessionsOfTheirOwn) {
  Watchdog dog{60s};
  Signal ready;
  expect_all_gone(ready, [&] {
    forked([&] {
      ::setsid();
      std::signal(SIGTERM, SIG_IGN);
      forked([&] {
        ::setsid();
        ready.set();
        stay();
      });
      stay();
    });
    stay();
  });
}

TEST(Kill, TakesOrphansOfTheChild) {
  Watchdog dog{60s};
  Signal ready;
  expect_all_gone(ready, [&] {
    const pid_t middle = forked([] { forked(stay); });
    ::waitpid(middle, nullptr, 0);
    ready.set();
    stay();
  });
}

TEST(Kill, TakesProcessesOfProcesses) {
  Watchdog dog{60s};
  Signal ready;
  expect_all_gone(ready, [&] {
    Process inner([&] {
      Process innermost([&] {
        ready.set();
        stay();
      });
      innermost.start();
    });
    inner.start();
  });
}

TEST(Kill, TakesWhatOtherThreadsOfTheChildKeepForking) {
  Watchdog dog{60s};
  for (int round = 0; round < 20; ++round) {
    Signal ready;
    expect_all_gone(ready, [&] {
      const auto keep_forking = [] {
        for (int alive = 0;; ++alive) {
          forked([] { ::usleep(5'000'000); });
          if (alive >= 20) {
            ::waitpid(-1, nullptr, 0);
          }
        }
      };
      std::thread(keep_forking).detach();
      std::thread(keep_forking).detach();
      forked([&] {
        ready.set();
        stay();
      });
      stay();
    });
  }
}

TEST(Kill, SparesTheSiblingsOfTheChild) {
  Watchdog dog{60s};
  Process sibling(testing::sleep_for_ever);
  Process victim(testing::sleep_for_ever);
  sibling.start();
  victim.start();
  victim.kill();
  victim.join();
  EXPECT_TRUE(sibling.is_alive());
  sibling.kill();
  sibling.join();
}

TEST(Terminate, SparesTheDescendants) {
  Watchdog dog{60s};
  Signal ready;
  Shared<pid_t> grandchild;
  Process process([&] {
    forked([&] {
      grandchild.set(::getpid());
      ready.set();
      stay();
    });
    stay();
  });
  process.start();
  ready.wait();
  const testing::Death death(grandchild.get());
  process.terminate();
  process.join();
  EXPECT_FALSE(death.has_come());
  ::kill(grandchild.get(), SIGKILL);
  death.wait();
}

}  // namespace
}  // namespace multiprocessing
