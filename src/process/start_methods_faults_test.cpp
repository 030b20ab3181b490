// FAULTS 14, 26, 27 and 28 for the start methods that are no fork, in host programs that a test may kill.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/context.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/synchronize.hpp"
#include "process/process_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Host;
using testing::Watchdog;

class StartMethodFaults : public ::testing::TestWithParam<StartMethod> {
 protected:
  static Context context() { return get_context(GetParam()); }

 private:
  Watchdog dog_{120s};
};
INSTANTIATE_TEST_SUITE_P(EveryStartMethod, StartMethodFaults, ::testing::ValuesIn(get_all_start_methods()),
                         [](const auto& method) { return std::string(name_of(method.param)); });

[[noreturn]] void hold_for_ever(const Descriptor& /*held*/, Connection ready) {
  ready.send(::getpid());
  for (;;) ::pause();
}

struct Pipes {
  int read_end = -1;
  int write_end = -1;
  Pipes() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipes() { ::close(read_end); }
  // Everybody else who had the write end is gone when this returns.
  std::string read_all() {
    ::close(std::exchange(write_end, -1));
    std::string all;
    for (char c = 0; ::read(read_end, &c, 1) == 1;) all.push_back(c);
    return all;
  }
};

TEST_P(StartMethodFaults, Faults14_ADaemonAndTheForkserverGoWithAParentThatIsKilled) {
  for (const bool by_thread : {false, true}) {
    Pipes pipes;
    Host host([&] {
      auto [ours, theirs] = Pipe();
      Process child =
          context().process({.daemon = true}, hold_for_ever, Descriptor(pipes.write_end), std::move(theirs));
      if (by_thread) {
        std::thread([&child] { child.start(); }).join();
      } else {
        child.start();
      }
      static_cast<void>(ours.recv<pid_t>());
      ::raise(SIGKILL);
      return 1;
    });
    EXPECT_EQ(host.status(), -SIGKILL);
    EXPECT_EQ(pipes.read_all(), "");
  }
}

TEST_P(StartMethodFaults, Faults14_ANonDaemonLivesOnUnharmed) {
  Pipes pipes;
  Host host([&] {
    const auto target = [](Descriptor out, Connection ready) {
      ready.send(1);
      parent_process()->join();
      if (::write(out.fileno(), "unharmed", 8) != 8) std::abort();
    };
    auto [ours, theirs] = Pipe();
    Process child = context().process(target, Descriptor(pipes.write_end), std::move(theirs));
    child.start();
    static_cast<void>(ours.recv<int>());
    ::raise(SIGKILL);
    return 1;
  });
  EXPECT_EQ(host.status(), -SIGKILL);
  EXPECT_EQ(pipes.read_all(), "unharmed");
}

TEST_P(StartMethodFaults, Faults14_ADaemonGetsSigtermWhenTheProgramEnds) {
  Pipes pipes;
  Host host([&] {
    const auto target = [](Descriptor out, Connection ready) {
      sigset_t term;
      sigemptyset(&term);
      sigaddset(&term, SIGTERM);
      pthread_sigmask(SIG_BLOCK, &term, nullptr);
      ready.send(1);
      int signal = 0;
      sigwait(&term, &signal);
      if (::write(out.fileno(), "asked", 5) != 5) std::abort();
    };
    auto [ours, theirs] = Pipe();
    Process child = context().process({.daemon = true}, target, Descriptor(pipes.write_end), std::move(theirs));
    child.start();
    static_cast<void>(ours.recv<int>());
    return 3;
  });
  EXPECT_EQ(host.status(), 3);
  EXPECT_EQ(pipes.read_all(), "asked");
}

TEST_P(StartMethodFaults, Faults26_WithoutDescriptorsNamesTheLimitAndCanBeRepeated) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  Host host([] {
    Process child = context().process([] {});
    Lock arena;
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int next = ::dup(0);
    ::close(next);
    const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    bool named = false;
    try {
      child.start();
    } catch (const OsError& error) {
      named = std::string_view(error.what()).find("ulimit -n") != std::string_view::npos;
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    if (!named) return 1;
    child.start();
    child.join();
    return child.exitcode() == 0 ? 0 : 2;
  });
  EXPECT_EQ(host.status(), 0);
}

int exitcode_of_child_with_argument(const Context& context) {
  Queue<int> queue;
  Process child = context.process([](Queue<int> to) { to.put(5); }, queue);
  child.start();
  child.join();
  return child.exitcode() == 0 && queue.get(5s) == 5 ? 0 : 1;
}

TEST_P(StartMethodFaults, Faults27_WorksWithoutStandardDescriptors) {
  Host host([] {
    for (int fd = 0; fd <= 2; ++fd) ::close(fd);
    for (int i = 0; i < 3; ++i) {
      if (exitcode_of_child_with_argument(context()) != 0) return 1;
    }
    for (int fd = 0; fd <= 2; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0) return 2;  // nothing that is kept has such a number
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST_P(StartMethodFaults, Faults27_WorksWhenAllDescriptorsWereClosedBefore) {
  Host host([] {
    ::close_range(0, ~0U, 0);
    return exitcode_of_child_with_argument(context());
  });
  EXPECT_EQ(host.status(), 0);
}

// Without its descriptor the memory of the family cannot be handed to another program; a fork does not need it.
TEST_P(StartMethodFaults, Faults27_WhenAllAreClosedLaterItWorksOrSaysWhy) {
  Host host([] {
    Process before = context().process([] {});
    before.start();
    before.join();
    ::close_range(0, ~0U, 0);
    const int stranger = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 8; ++i) ::dup(stranger);  // what has our numbers now
    bool works = false;
    try {
      works = exitcode_of_child_with_argument(context()) == 0;
    } catch (const OsError& error) {
      for (const std::string_view advice : {"closed its descriptor", "before it first uses", "StartMethod::fork"}) {
        if (std::string_view(error.what()).find(advice) == std::string_view::npos) return 1;
      }
    }
    if (works != (GetParam() == StartMethod::fork)) return 2;
    return exitcode_of_child_with_argument(get_context(StartMethod::fork));
  });
  EXPECT_EQ(host.status(), 0);
}

TEST_P(StartMethodFaults, Faults27_JoinsWithSigchldIgnored) {
  Host host([] {
    ::signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 3; ++i) {
      Process child = context().process([] {});
      child.start();
      child.join();
      if (child.is_alive()) return 1;
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST_P(StartMethodFaults, Faults27_JoinsWhereTheProgramReapsEverything) {
  Host host([] {
    std::atomic<bool> over{false};
    std::thread thief([&over] {
      while (!over) {
        if (::waitpid(-1, nullptr, WNOHANG) <= 0) std::this_thread::yield();
      }
    });
    for (int i = 0; i < 20; ++i) {
      Process child = context().process([] {});
      child.start();
      child.join();
      if (child.is_alive()) return 1;
    }
    over = true;
    thief.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

std::mutex programs_own;

// All that a thread may hold at a fork: a child by fork could wait for ever for it.
TEST_P(StartMethodFaults, Faults28_ChildrenTakeTheLocksThatThreadsOfTheParentHold) {
  if (GetParam() == StartMethod::fork) GTEST_SKIP() << "only the locks of this library are promised under fork";
  Host host([] {
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    threads.emplace_back([&over] {
      while (!over) {
        const std::lock_guard lock(programs_own);
        ::setenv("TZ", "UTC", 1);
        ::tzset();
      }
    });
    threads.emplace_back([&over] {
      while (!over) {
        const std::time_t now = 0;
        std::tm broken{};
        ::localtime_r(&now, &broken);
        std::vector<std::string>(100, std::string(100, 'x'));
      }
    });
    int failures = 0;
    for (int i = 0; i < 20; ++i) {
      Process child = context().process([] {
        const std::lock_guard lock(programs_own);
        ::setenv("TZ", "CET", 1);
        const std::time_t now = 0;
        std::tm broken{};
        ::localtime_r(&now, &broken);
        std::vector<std::string>(100, std::string(100, 'x'));
      });
      child.start();
      child.join();
      failures += child.exitcode() != 0;
    }
    over = true;
    for (std::thread& thread : threads) thread.join();
    return failures;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST_P(StartMethodFaults, Faults23_CtrlCLeavesTheForkserverToTheProgram) {
  Host host([] {
    ::setpgid(0, 0);
    ::signal(SIGINT, SIG_IGN);
    if (exitcode_of_child_with_argument(context()) != 0) return 1;
    ::kill(0, SIGINT);
    return exitcode_of_child_with_argument(context());
  });
  EXPECT_EQ(host.status(), 0);
}

}  // namespace
}  // namespace multiprocessing
