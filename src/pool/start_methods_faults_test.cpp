// Rows of the fault matrix, for pools under every start method: what a pool's own tests show for fork holds where the
// supervisor is another program, too.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiprocessing/context.hpp"
#include "multiprocessing/queue.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"
#include "support/terminal.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::Heir;
using testing::numbers;
using testing::Program;
using testing::Terminal;
using testing::Watchdog;

int same(int n) { return n; }
int pid_of_worker(int) { return static_cast<int>(::getpid()); }
int exit_with_9(int) { ::_exit(9); }
void fail_to_load() { throw std::runtime_error("cannot load the model"); }

// A process that SIGTERM does not end; in a session of its own.
pid_t start_stubborn() {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::setsid();
  ::signal(SIGTERM, SIG_IGN);
  for (;;) ::pause();
}

// An heir that has children already: the forkserver of an earlier test.
class Heiress : Heir {
 public:
  // Returns when only those are left.
  void wait_for_all() const {
    eventually([this] {
      bool is_over = true;
      for (const pid_t child : testing::children_of(::getpid())) {
        if (own_.contains(child)) continue;
        ::waitpid(child, nullptr, WNOHANG);
        is_over = false;
      }
      return is_over;
    });
  }

 private:
  const std::set<pid_t> own_ = testing::children_of(::getpid());
};

class PoolFaultsUnder : public ::testing::TestWithParam<StartMethod> {
 protected:
  [[nodiscard]] static Context context() { return get_context(GetParam()); }

 private:
  Watchdog dog_{120s};
};
INSTANTIATE_TEST_SUITE_P(EveryStartMethod, PoolFaultsUnder, ::testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(name_of(each.param)); });

int killed_by_5(int n) {
  if (n == 5) ::raise(SIGKILL);
  return n;
}

TEST_P(PoolFaultsUnder, Faults01_AWorkerKilledInOneOfTwelveTasksFailsThatTaskOnly) {
  Pool pool = context().pool(3);
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 12; ++i) results.push_back(pool.apply_async(killed_by_5, i));
  for (int i = 0; i < 12; ++i) {
    if (i == 5) {
      EXPECT_THROW(results[5].get(), WorkerDied);
    } else {
      EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i);
    }
  }
}

TEST_P(PoolFaultsUnder, Faults02_AnIdleWorkerThatIsKilledIsReplacedWithoutAnyCall) {
  Pool pool = context().pool(1);
  const pid_t supervisor = testing::supervisor(pool);
  const pid_t idle = pool.apply(pid_of_worker, 0);
  ::kill(idle, SIGKILL);
  eventually([&] {
    const auto workers = testing::children_of(supervisor);
    return workers.size() == 1 && !workers.contains(idle);
  });
  EXPECT_EQ(pool.apply(same, 4), 4);
}

[[gnu::noinline]] int write_to_null(int n) {
  *static_cast<volatile int*>(nullptr) = n;
  return n;
}

TEST_P(PoolFaultsUnder, Faults03_TheStackOfACrashHasFunctionAndFile) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a sanitizer reports crashes itself";
  Pool pool = context().pool(1);
  try {
    pool.apply(write_to_null, 1);
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.signal(), SIGSEGV);
    EXPECT_NE(death.stack().find("write_to_null"), std::string::npos) << death.stack();
    EXPECT_NE(death.stack().find("start_methods_faults_test.cpp"), std::string::npos) << death.stack();
  }
}

struct NotAnException {};

TEST_P(PoolFaultsUnder, Faults05_WhatIsNoExceptionArrivesAsRemoteErrorWithItsStack) {
  Pool pool = context().pool(1);
  try {
    pool.apply([] { throw NotAnException(); });
    FAIL();
  } catch (const RemoteError& error) {
    EXPECT_NE(error.type_name().find("NotAnException"), std::string::npos);
    EXPECT_NE(error.traceback().find("start_methods_faults_test.cpp"), std::string::npos) << error.traceback();
  }
  EXPECT_EQ(pool.apply(same, 4), 4);
}

TEST_P(PoolFaultsUnder, Faults06_AnInitializerThatThrowsInEveryWorkerBreaksThePoolWithItsText) {
  Pool pool = context().pool({.processes = 2, .initializer = fail_to_load});
  try {
    pool.map(same, numbers(100));
    FAIL();
  } catch (const PoolBroken& error) {
    EXPECT_NE(std::string(error.what()).find("cannot load the model"), std::string::npos) << error.what();
  }
  EXPECT_THROW(pool.apply(same, 1), PoolBroken);
}

TEST_P(PoolFaultsUnder, Faults07_WhatTheTaskHasStartedEndsWithIt) {
  const Queue<int> started;
  Pool pool = context().pool(1);
  const auto task = [](Queue<int> to) {
    to.put(start_stubborn());
    testing::sleep_in_task(0);
  };
  EXPECT_THROW(pool.apply({.timeout = 200ms}, task, started), TaskTimeout);
  if (const auto pid = started.try_get()) {  // not, where the machine was too busy for it
    eventually([&] { return ::kill(*pid, 0) != 0; });
  }
  EXPECT_EQ(pool.apply(same, 4), 4);
}

TEST_P(PoolFaultsUnder, Faults08_ATaskThatWantsTooMuchMemoryGetsMemoryLimitExceeded) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a sanitizer has its own limits";
  Pool pool = context().pool({.processes = 1, .memory_limit = mib(200)});
  const auto touch = [](std::size_t bytes) {
    std::vector<char> block(bytes, 'x');
    return static_cast<int>(block[bytes / 2]);
  };
  EXPECT_EQ(pool.apply(touch, std::size_t{20} << 20), 'x');
  EXPECT_THROW(pool.apply(touch, std::size_t{400} << 20), MemoryLimitExceeded);
  EXPECT_EQ(pool.apply(touch, std::size_t{20} << 20), 'x');
}

TEST_P(PoolFaultsUnder, Faults09_WorkersEndAfterSoManyTasksAndNothingIsLost) {
  Pool pool = context().pool({.processes = 2, .max_tasks_per_child = 5});
  EXPECT_EQ(pool.map(same, numbers(200), {.chunksize = 1}), numbers(200));
  std::map<int, int> tasks_of;
  for (int pid : pool.map(pid_of_worker, numbers(200), {.chunksize = 1})) ++tasks_of[pid];
  for (const auto& [pid, tasks] : tasks_of) EXPECT_LE(tasks, 5) << pid;
  EXPECT_EQ(pool.stats().deaths, 0U);
}

TEST_P(PoolFaultsUnder, Faults10_WhatATaskHasStartedEndsWithItsWorker) {
  const Queue<int> started;
  Pool pool = context().pool(1);
  const auto task = [](Queue<int> to) {
    to.put(start_stubborn());
    ::raise(SIGKILL);
  };
  EXPECT_THROW(pool.apply(task, started), WorkerDied);
  const pid_t stubborn = started.get();
  eventually([&] { return ::kill(stubborn, 0) != 0; });
}

TEST_P(PoolFaultsUnder, Faults11_WorkersThatAlwaysDieBreakThePoolWithAClearError) {
  Pool pool = context().pool({.processes = 2, .max_restarts = 10, .restart_window = 600s});
  const testing::Ends ends = testing::ends_of_calls(pool, exit_with_9, 50, "exit code 9");
  EXPECT_EQ(ends.died + ends.broken, 50U);
  EXPECT_GE(ends.died, 10U);
  EXPECT_GE(ends.broken, 30U);
}

TEST_P(PoolFaultsUnder, Faults13_BusyAndIdleWorkersAndWhatTheyStartedGoWithAProgramThatIsKilled) {
  const Heiress heir;
  for (const bool is_busy : {false, true}) {
    const Queue<int> ready;
    Program host([&] {
      Pool pool = context().pool(2);
      pool.apply([] { start_stubborn(); });
      auto later = pool.map_async(is_busy ? testing::sleep_in_task : same, numbers(4));
      if (!is_busy) later.wait();
      ready.put(1);
      for (;;) ::pause();
      return 0;
    });
    EXPECT_EQ(ready.get(), 1);
    host.kill(SIGKILL);
    heir.wait_for_all();
  }
}

int map_for_ever() {
  Pool pool = get_context(PoolFaultsUnder::GetParam()).pool(2);
  pool.apply(same, 1);
  static_cast<void>(::write(1, "ready\n", 6));
  pool.map([](int) { ::usleep(1000); }, numbers(1'000'000));
  return 0;
}

TEST_P(PoolFaultsUnder, Faults23_CtrlCDuringMapEndsTheProgramAtOnceAndSilently) {
  const Heiress heir;
  const Terminal terminal(map_for_ever);
  terminal.read("ready\r\n");
  terminal.type('\3');
  EXPECT_EQ(terminal.status(), 130);
  EXPECT_EQ(terminal.read(), "^C");  // to the end: when nobody has the terminal open any more
  heir.wait_for_all();
}

TEST_P(PoolFaultsUnder, Faults24_SigtermEndsTheProgramAtOnceAndSilently) {
  const Heiress heir;
  const Terminal terminal(map_for_ever);
  terminal.read("ready\r\n");
  ::kill(terminal.pid, SIGTERM);
  EXPECT_EQ(terminal.status(), 143);
  EXPECT_EQ(terminal.read(), "");
  heir.wait_for_all();
}

TEST_P(PoolFaultsUnder, Faults26_OutOfDescriptorsIsAClearErrorAndNothingHalfMade) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  Program host([] {
    { Pool first = context().pool(1); }  // what is made once stays made
    const std::size_t fds = testing::names_in("/proc/self/fd").size();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    int failures = 0;
    for (std::size_t limit = fds - 6; limit < fds + 20; ++limit) {  // from below what is open already
      const rlimit few{limit, before.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &few);
      try {
        Pool pool = context().pool(4);
        if (pool.apply(same, 1) != 1) return 1;
      } catch (const OsError& error) {
        if (std::string(error.what()).find("ulimit -n") == std::string::npos) return std::puts(error.what()), 2;
        ++failures;
      }
      ::setrlimit(RLIMIT_NOFILE, &before);
      if (testing::names_in("/proc/self/fd").size() != fds) return 3;
    }
    return failures >= 3 && context().pool(4).apply(same, 1) == 1 ? 0 : 4;
  });
  EXPECT_EQ(host.status(), 0);
}

}  // namespace
}  // namespace multiprocessing
