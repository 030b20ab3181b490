// The end: of a child, of a program with children, and of a program that did not get to say goodbye.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <time.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/process.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::Death;
using testing::Host;
using testing::polls_readable;
using testing::Shared;
using testing::Signal;
using testing::sleep_for_ever;
using testing::Watchdog;

// --- the standard streams ------------------------------------------------------------------------------------------

TEST(ChildOutput, IsWrittenOnceAndWhole) {
  Watchdog dog{60s};
  Captured output(STDOUT_FILENO);
  std::printf("parent before, ");  // stays in the buffer: stdout is a file here
  Process process([] {
    std::printf("child by stdio, ");
    std::cout << "child by stream, ";
  });
  process.start();
  process.join();
  std::printf("parent after");
  EXPECT_EQ(output.text(), "parent before, child by stdio, child by stream, parent after");
}

TEST(ChildOutput, IsWrittenWhenTheTargetCallsExit) {
  Watchdog dog{60s};
  Captured output(STDOUT_FILENO);
  Process process([] {
    std::printf("said before exit");
    std::exit(3);
  });
  process.start();
  process.join();
  EXPECT_EQ(output.text(), "said before exit");
}

TEST(ChildOutput, OfUnsynchronisedStreamsIsWrittenOnceToo) {
  Watchdog dog{60s};
  Captured output(STDOUT_FILENO);
  Host host([] {
    std::ios::sync_with_stdio(false);
    std::cout << "parent, ";
    Process process([] { std::cout << "child, "; });
    process.start();
    process.join();
    std::cout << "parent";
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(output.text(), "parent, child, parent");
}

// --- what does not run at the end of a child -----------------------------------------------------------------------

Shared<int>* handler_calls = nullptr;

TEST(ChildEnd, RunsNoExitHandlerOfTheParent) {
  if (testing::under_tsan) GTEST_SKIP() << "the sanitizer calls exit handlers in an order of its own";
  Watchdog dog{60s};
  Shared<int> calls;
  handler_calls = &calls;
  Host host([] {
    std::atexit([] { handler_calls->add(1); });
    Process([] {}).start();
    std::atexit([] { handler_calls->add(100); });  // later than ours
    for (void (*target)() : {+[] {}, +[] { std::exit(0); }, +[] { ::pthread_exit(nullptr); }}) {
      Process process(target);
      process.start();
      process.join();
    }
    return handler_calls->get();
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(calls.get(), 101);
}

TEST(ChildEnd, ByExitRunsTheHandlersOfTheChild) {
  Watchdog dog{60s};
  Shared<int> calls;
  handler_calls = &calls;
  Process process([] {
    std::atexit([] { handler_calls->add(1); });
    std::exit(3);
  });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 3);
  EXPECT_EQ(calls.get(), 1);
}

TEST(ChildEnd, DestroysNoObjectOfTheParent) {
  Watchdog dog{60s};
  struct Guard {
    Shared<int>& destroyed;
    ~Guard() { destroyed.add(1); }
  };
  Shared<int> destroyed;
  {
    const Guard guard{destroyed};
    for (void (*target)() : {+[] {}, +[] { std::exit(0); }, +[] { ::pthread_exit(nullptr); }}) {
      Process process(target);
      process.start();
      process.join();
    }
    EXPECT_EQ(destroyed.get(), 0);
  }
  EXPECT_EQ(destroyed.get(), 1);
}

// --- who waits for whom --------------------------------------------------------------------------------------------

TEST(ProgramEnd, WaitsForChildrenWhoseObjectsAreGone) {
  Watchdog dog{60s};
  Shared<int> ended;
  Signal go;
  Host host([&] {
    for (int i = 0; i < 5; ++i) {
      Process process([&] {
        go.wait();
        ended.add(1);
      });
      process.start();
    }
    go.set();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(ended.get(), 5);
}

TEST(ProgramEnd, KeepsTheExitStatus) {
  Watchdog dog{60s};
  Host host([] {
    Process([] {}).start();
    return 7;
  });
  EXPECT_EQ(host.status(), 7);
}

TEST(ChildEnd, WaitsForItsOwnChildren) {
  Watchdog dog{60s};
  for (void (*leave)() : {+[] {}, +[] { std::exit(0); }}) {
    Shared<int> ended;
    Process process([&] {
      Process grandchild([&] { ended.add(1); });
      grandchild.start();
      leave();
    });
    process.start();
    process.join();
    EXPECT_EQ(ended.get(), 1);
  }
}

Signal* handler_ran = nullptr;

TEST(ProgramEnd, SendsDaemonsSigtermAndTheirHandlersRun) {
  Watchdog dog{60s};
  Signal ready;
  Signal handled;
  handler_ran = &handled;
  Host host([&] {
    Process daemon({.daemon = true}, [&] {
      std::signal(SIGTERM, [](int) {
        handler_ran->set();
        ::_exit(0);
      });
      ready.set();
      sleep_for_ever();
    });
    daemon.start();
    ready.wait();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
  EXPECT_TRUE(handled.is_set());
}

TEST(ProgramEnd, KillsDaemonsThatIgnoreSigterm) {
  Watchdog dog{60s};
  Signal ready;
  Host host([&] {
    Process daemon({.daemon = true}, [&] {
      std::signal(SIGTERM, SIG_IGN);
      ready.set();
      for (;;) ::pause();
    });
    daemon.start();
    ready.wait();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(ProgramEnd, EndsDaemonsBeforeItWaitsForTheOthers) {
  Watchdog dog{60s};
  Host host([] {
    Signal daemon_runs;
    Process daemon({.daemon = true}, [&] {
      daemon_runs.set();
      sleep_for_ever();
    });
    daemon.start();
    daemon_runs.wait();
    // Waits for the daemon's end, which must not wait for this one's.
    Process other([pidfd = daemon.sentinel()] { os::wait_ended(pidfd, os::Deadline::never()); });
    other.start();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

// --- parents that are killed: FAULTS 13, 14 ------------------------------------------------------------------------

// A host that starts a child in some way; gives the child's death to wait for.
class Orphaned {
 public:
  template <class F>
  explicit Orphaned(F start)
      : host_([this, start] {
          start([this] {
            child_.set(::getpid());
            ready_.set();
            for (;;) ::pause();
          });
          for (;;) ::pause();
          return 0;
        }) {
    ready_.wait();
  }
  [[nodiscard]] pid_t child() const { return child_.get(); }
  void kill_parent(int signo) {
    host_.kill(signo);
    EXPECT_EQ(host_.status(), -signo);
  }

 private:
  Shared<pid_t> child_;
  Signal ready_;
  Host host_;
};

template <class F>
void start_daemon(F target) {
  Process process({.daemon = true}, target);
  process.start();
}

TEST(ParentKilled, TakesItsDaemonsAlong) {
  Watchdog dog{60s};
  for (const int signo : {SIGKILL, SIGABRT, SIGTERM}) {
    Orphaned family([](auto target) { start_daemon(target); });
    const Death death(family.child());
    family.kill_parent(signo);
    death.wait();
  }
}

TEST(ParentKilled, TakesAlongDaemonsThatBlockAllSignals) {
  Watchdog dog{60s};
  Orphaned family([](auto target) {
    start_daemon([target] {
      sigset_t all;
      sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      target();
    });
  });
  const Death death(family.child());
  family.kill_parent(SIGKILL);
  death.wait();
}

TEST(ParentKilled, TakesAlongDaemonsStartedByAThread) {
  Watchdog dog{60s};
  Orphaned family([](auto target) { std::thread([target] { start_daemon(target); }).detach(); });
  const Death death(family.child());
  family.kill_parent(SIGKILL);
  death.wait();
}

TEST(ParentKilled, TakesAlongDaemonsOfAThreadThatHaveClosedAllDescriptors) {
  Watchdog dog{60s};
  Shared<pid_t> child;
  Host host([&] {
    std::thread([&] {
      start_daemon([&] {
        for (int fd = 0; fd < 256; ++fd) ::close(fd);
        child.set(::getpid());
        for (;;) ::pause();
      });
      for (;;) ::pause();
    }).join();
    return 0;
  });
  while (child.get() == 0) std::this_thread::yield();
  const Death death(child.get());
  host.kill(SIGKILL);
  EXPECT_EQ(host.status(), -SIGKILL);
  death.wait();
}

TEST(ParentKilled, TakesAlongStoppedDaemons) {
  Watchdog dog{60s};
  const auto by_main = [](auto target) { start_daemon(target); };
  const auto by_thread = [](auto target) {
    std::thread([target] {
      start_daemon(target);
      for (;;) ::pause();
    }).detach();
  };
  const auto check = [](auto start) {
    Orphaned family(start);
    const Death death(family.child());
    ::kill(family.child(), SIGSTOP);
    char state = 0;
    while (os::start_ticks(family.child(), &state) != 0 && state != 'T') std::this_thread::yield();
    family.kill_parent(SIGKILL);
    death.wait();
  };
  check(by_main);
  check(by_thread);
}

TEST(ThreadEnd, LeavesTheDaemonsItStartedRunning) {
  Watchdog dog{60s};
  Signal ready;
  Process daemon({.daemon = true}, [&] {
    ready.set();
    for (;;) ::pause();
  });
  std::thread starter([&] { daemon.start(); });
  ready.wait();
  starter.join();
  EXPECT_FALSE(daemon.join(50ms));  // a death signal would have come by now; a late one only hides a failure
  daemon.kill();
  daemon.join();
}

TEST(ParentKilled, LeavesNonDaemonsUnharmed) {
  Watchdog dog{60s};
  Signal parent_is_dead;
  Shared<pid_t> child;
  Signal ready;
  Signal survived;
  Host host([&] {
    Process process([&] {
      child.set(::getpid());
      ready.set();
      parent_is_dead.wait();
      survived.set();
    });
    process.start();
    for (;;) ::pause();
    return 0;
  });
  ready.wait();
  const Death death(child.get());
  host.kill(SIGKILL);
  EXPECT_EQ(host.status(), -SIGKILL);
  EXPECT_FALSE(death.has_come());
  parent_is_dead.set();
  death.wait();
  EXPECT_TRUE(survived.is_set());
}

TEST(ParentKilled, AtAnyTimeDuringStartLeavesNoDaemon) {
  Watchdog dog{120s};
  for (int round = 0; round < 200; ++round) {
    // The pipe is the proof: its reader sees the end when the last process that has the write end is gone.
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    base::Fd read_end(ends[0]);
    base::Fd write_end(ends[1]);
    Signal started;
    Host host([&] {
      started.set();
      for (;;)
        start_daemon([] {
          for (;;) ::pause();
        });
      return 0;
    });
    write_end.reset();
    started.wait();
    for (volatile int spin = 0; spin < round * 300;) spin = spin + 1;
    host.kill(SIGKILL);
    EXPECT_EQ(host.status(), -SIGKILL);
    char byte = 0;
    EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);
  }
}

// --- FAULTS 28 -----------------------------------------------------------------------------------------------------

TEST(ForkWhileThreadsHoldLocks, Faults28_NeverHangsAChild) {
  // The sanitizers' own locks do not survive a fork in a program with threads (the one around fflush, for instance).
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a child can hang in a lock of the sanitizer";
  Watchdog dog{120s};
  Host host([] {
    Process watched([] {
      for (;;) ::pause();
    });
    watched.start();
    std::atomic<bool> done{false};
    std::vector<std::thread> busy;
    const auto keep_doing = [&](auto f) {
      busy.emplace_back([&done, f] {
        while (!done) f();
      });
    };
    keep_doing([&watched] { static_cast<void>(watched.is_alive()); });
    keep_doing([] { static_cast<void>(active_children()); });
    keep_doing([] { static_cast<void>(Process([] {}).name()); });
    keep_doing([] { std::vector<std::string>(100, std::string(100, 'x')); });
    keep_doing([] { std::fflush(stdout); });
    for (int i = 0; i < 20; ++i) {  // each of them may wait for the names of its stack
      Process process([&watched] {
        static_cast<void>(watched.name());
        static_cast<void>(current_process().name());
        Process inner([] {});
        inner.start();
        throw std::runtime_error("printed with the locks of the dead around");
      });
      process.start();
      process.join();
      if (process.exitcode() != 1) ::_exit(1);
    }
    done = true;
    for (auto& thread : busy) thread.join();
    watched.kill();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

}  // namespace
}  // namespace multiprocessing
