// Rows of the fault matrix that a pool must survive, as seen by the program that has the pool.  Those in which the
// program itself ends are in host_test.cpp.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Death;
using testing::eventually;
using testing::numbers;
using testing::Program;
using testing::Shared;
using testing::Watchdog;

int twice(int n) { return 2 * n; }

// How the worker died that ran this task.
struct Died {
  std::optional<int> signal;
  std::optional<int> exit_code;
  std::string what;
};
template <class F>
Died died(Pool& pool, F f) {
  try {
    pool.apply(f);
  } catch (const WorkerDied& e) {
    EXPECT_GT(e.pid(), 0);
    EXPECT_FALSE(e.task().empty());
    return {e.signal(), e.exit_code(), e.what()};
  }
  ADD_FAILURE() << "the task came back";
  return {};
}

TEST(PoolFaults, Faults01_AWorkerKilledInOneOfTwelveTasksFailsThatTaskOnly) {
  Watchdog dog{60s};
  Pool pool(3);
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 12; ++i) {
    results.push_back(pool.apply_async(
        [](int n) {
          if (n == 5) ::kill(::getpid(), SIGKILL);
          ::usleep(2000);
          return n;
        },
        i));
  }
  for (int i = 0; i < 12; ++i) {
    if (i == 5) {
      EXPECT_THROW(results[5].get(), WorkerDied);
    } else {
      EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i);
    }
  }
  EXPECT_EQ(pool.map(twice, numbers(100))[99], 198);
}

TEST(PoolFaults, Faults01_TasksBehindTheKilledOneRunOnceEach) {
  Watchdog dog{60s};
  struct Board {
    std::atomic<int> runs[500];
  };
  static Board* board;
  void* area = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(area, MAP_FAILED);
  board = new (area) Board;
  Pool pool(2);
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 500; ++i) {
    results.push_back(pool.apply_async(
        [](int n) {
          ++board->runs[n];
          if (n % 50 == 7) ::kill(::getpid(), SIGKILL);
          return n;
        },
        i));
  }
  for (int i = 0; i < 500; ++i) {
    results[static_cast<std::size_t>(i)].wait();
    EXPECT_EQ(results[static_cast<std::size_t>(i)].successful(), i % 50 != 7) << i;
    EXPECT_EQ(board->runs[i], 1) << i;
  }
  ::munmap(area, sizeof(Board));
}

TEST(PoolFaults, Faults02_AnIdleWorkerThatIsKilledIsReplaced) {
  Watchdog dog{60s};
  Pool pool(2);
  const std::set<pid_t> before = testing::workers(pool);
  for (const pid_t pid : before) ::kill(pid, SIGKILL);
  const pid_t parent = testing::supervisor(pool);
  EXPECT_TRUE(eventually([&] {
    const std::set<pid_t> now = testing::children_of(parent);
    return now.size() == 2 && std::ranges::none_of(now, [&](pid_t pid) { return before.contains(pid); });
  }));
  EXPECT_EQ(pool.map(twice, numbers(100))[99], 198);
}

TEST(PoolFaults, Faults02_IdleWorkersAreReplacedWithoutAnyCall) {
  Watchdog dog{60s};
  Pool pool(1);
  const pid_t parent = testing::supervisor(pool);
  for (int round = 0; round < 5; ++round) {
    const pid_t victim = *testing::children_of(parent).begin();
    ::kill(victim, SIGKILL);
    EXPECT_TRUE(eventually([&] {
      const auto now = testing::children_of(parent);
      return now.size() == 1 && !now.contains(victim);
    }));
  }
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

[[gnu::noinline]] int overflow(int n) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(n);
  const int below = n < 0 ? 0 : overflow(n + 1);
  return below + frame[0];  // read after the call: no loop can be made of it
}

TEST(PoolFaults, Faults03_ACrashFailsItsTaskWithItsSignal) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer has handlers of its own for these signals";
#endif
  Watchdog dog{60s};
  Pool pool(2);
  EXPECT_EQ(died(pool, [] { ::raise(SIGSEGV); }).signal, SIGSEGV);
  EXPECT_EQ(died(pool, [] { std::abort(); }).signal, SIGABRT);
  EXPECT_EQ(died(pool, [] { ::raise(SIGFPE); }).signal, SIGFPE);
  EXPECT_EQ(died(pool, [] { return overflow(0); }).signal, SIGSEGV);
  EXPECT_EQ(died(pool, [] { std::terminate(); }).signal, SIGABRT);
  EXPECT_NE(died(pool, [] { std::abort(); }).what.find("signal 6"), std::string::npos);
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST(PoolFaults, Faults04_ATaskThatExitsFailsWithItsExitCode) {
  Watchdog dog{60s};
  Pool pool(2);
  EXPECT_EQ(died(pool, [] { std::exit(3); }).exit_code, 3);
  EXPECT_EQ(died(pool, [] { ::_exit(3); }).exit_code, 3);
  EXPECT_EQ(died(pool, [] { std::exit(0); }).exit_code, 0);
  EXPECT_EQ(died(pool, [] { ::_exit(3); }).signal, std::nullopt);
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST(PoolFaults, Faults10_WhatATaskHasStartedEndsWithItsWorker) {
  Watchdog dog{60s};
  Shared<int> grandchild;
  static Shared<int>* pid;
  pid = &grandchild;
  for (const bool own_session : {false, true}) {
    Pool pool(1);
    EXPECT_THROW(pool.apply(
                     [](bool leave) {
                       if (::fork() == 0) {
                         if (leave) ::setsid();
                         ::signal(SIGTERM, SIG_IGN);
                         if (::fork() == 0) ::signal(SIGTERM, SIG_IGN);
                         pid->set(::getpid());
                         for (;;) ::pause();
                       }
                       while (pid->get() == 0) ::usleep(100);
                       ::kill(::getpid(), SIGKILL);
                     },
                     own_session),
                 WorkerDied);
    EXPECT_TRUE(eventually([&] { return ::kill(grandchild.get(), 0) != 0; }));
    EXPECT_EQ(testing::children_of(testing::supervisor(pool)).size(), 1U);
    grandchild.set(0);
  }
}

TEST(PoolFaults, Faults12_TheDeathOfTheSupervisorFailsEveryCallAndLeavesNoWorker) {
  Watchdog dog{60s};
  Pool pool(3);
  const pid_t parent = testing::supervisor(pool);
  std::vector<Death> deaths;
  for (const pid_t pid : testing::children_of(parent)) deaths.emplace_back(pid);
  auto later = pool.apply_async(testing::sleep_in_task, 1);
  auto many = pool.map_async(testing::sleep_in_task, numbers(10));
  ::kill(parent, SIGKILL);
  EXPECT_THROW(later.get(), PoolBroken);
  EXPECT_THROW(many.get(), PoolBroken);
  EXPECT_THROW(pool.apply(twice, 1), PoolBroken);
  for (const Death& death : deaths) death.wait();
  pool.close();
  pool.join();
  Pool next(2);
  EXPECT_EQ(next.apply(twice, 1), 2);
}

TEST(PoolFaults, Faults12_TheDeathOfTheSupervisorIsSeenByWhoeverTriesToEndThePool) {
  Watchdog dog{60s};
  for (const bool by_terminate : {false, true}) {
    Pool pool(2);
    ::kill(testing::supervisor(pool), SIGKILL);
    if (by_terminate) {
      pool.terminate();
    } else {
      pool.close();
    }
    pool.join();
  }
}

// A worker that writes over its whole mailbox, wherever that is.
void scribble() {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  std::vector<std::pair<unsigned long, unsigned long>> areas;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long from = 0;
    unsigned long to = 0;
    char flags[8] = {};
    if (std::sscanf(line, "%lx-%lx %7s", &from, &to, flags) == 3 && flags[3] == 's' && flags[1] == 'w' &&
        std::string_view(line).find("/dev/zero") != std::string_view::npos) {
      areas.emplace_back(from, to);
    }
  }
  std::fclose(maps);
  for (const auto& [from, to] : areas) {
    if (to - from > 16'384) std::memset(reinterpret_cast<void*>(from), 0x5a, to - from);
  }
}

TEST(PoolFaults, AWorkerThatScribblesOverItsMailboxCostsItsOwnTasksOnly) {
  Watchdog dog{60s};
  for (int round = 0; round < 5; ++round) {
    Pool pool(2);
    auto bad = pool.apply_async(scribble);
    bad.wait();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pool.map(twice, numbers(100), {.chunksize = 1})[99], 198);
  }
}

TEST(PoolFaults, Faults26_OutOfDescriptorsIsAClearErrorAndNothingHalfMade) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  Watchdog dog{60s};
  Program host([] {
    { Pool first(1); }  // what is made once stays made
    const std::size_t fds = testing::names_in("/proc/self/fd").size();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    int failures = 0;
    for (std::size_t limit = fds; limit < fds + 30; ++limit) {
      const rlimit few{limit, before.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &few);
      try {
        Pool pool(16);
        if (pool.apply(twice, 1) != 2) return 1;
      } catch (const OsError& e) {
        if (std::string(e.what()).find("ulimit -n") == std::string::npos) return std::puts(e.what()), 2;
        ++failures;
      }
      ::setrlimit(RLIMIT_NOFILE, &before);
      if (testing::names_in("/proc/self/fd").size() != fds) return 3;
      if (!testing::children_of(::getpid()).empty()) return 4;
    }
    Pool pool(16);
    return failures > 5 && pool.apply(twice, 1) == 2 ? 0 : 5;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(PoolFaults, Faults27_WorksInAProgramThatHasClosedItsDescriptors) {
  Watchdog dog{60s};
  for (const unsigned first : {0U, 3U}) {
    for (const bool before : {true, false}) {
      Program host([&] {
        if (before) ::close_range(first, first == 0 ? 2 : ~0U, 0);
        Pool pool(2);
        if (pool.apply(twice, 4) != 8) return 1;
        if (!before) ::close_range(first, first == 0 ? 2 : ~0U, 0);
        const int stranger = ::dup(::open("/dev/null", O_RDWR));  // takes numbers that were ours
        try {
          pool.apply([] { ::_exit(1); });
        } catch (const WorkerDied&) {
        }
        if (pool.map(twice, numbers(100), {.chunksize = 1})[99] != 198) return 2;
        pool.close();
        pool.join();
        return ::fcntl(stranger, F_GETFD) < 0 ? 3 : 0;
      });
      EXPECT_EQ(host.status(), 0) << "closed from " << first << (before ? " before" : " after");
    }
  }
}

TEST(PoolFaults, Faults27_WorksInAProgramThatIgnoresSigchld) {
  Watchdog dog{60s};
  Program host([] {
    ::signal(SIGCHLD, SIG_IGN);
    Pool pool(2);
    try {
      pool.apply([] { ::_exit(3); });
    } catch (const WorkerDied& e) {
      if (e.exit_code() != 3) return 1;
    }
    return pool.apply(twice, 1) == 2 ? 0 : 2;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(PoolFaults, Faults27_WorksInAProgramThatReapsWhateverItFinds) {
  Watchdog dog{60s};
  Program host([] {
    std::atomic<bool> over{false};
    std::thread thief([&] {
      while (!over) {
        if (::waitpid(-1, nullptr, WNOHANG) <= 0) ::sched_yield();
      }
    });
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      Pool pool(2);
      right += pool.apply(twice, i) == 2 * i;
    }
    over = true;
    thief.join();
    return right;
  });
  EXPECT_EQ(host.status(), 20);
}

TEST(PoolFaults, Faults28_APoolMadeWhileOtherThreadsHoldLocksWorks) {
  // The sanitizers' own locks do not survive a fork in a program with threads (the one around fflush, for instance).
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a worker can hang in a lock of the sanitizer";
  Watchdog dog{120s};
  Program host([] {
    std::atomic<bool> over{false};
    std::vector<std::thread> busy;
    busy.emplace_back([&] {
      while (!over) ::free(::malloc(100'000));
    });
    busy.emplace_back([&] {
      while (!over) std::fprintf(stderr, "%s", ""), std::fflush(stdout), std::cout.flush();
    });
    busy.emplace_back([&] {
      while (!over) static_cast<void>(std::make_unique<std::string>(50, 'x'));
    });
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      Pool pool(2);
      right += pool.apply(
                   [](int n) {
                     std::cout << "" << std::flush;
                     return static_cast<int>(std::to_string(n).size());
                   },
                   i) > 0;
    }
    over = true;
    for (std::thread& thread : busy) thread.join();
    return right;
  });
  EXPECT_EQ(host.status(), 20);
}

}  // namespace
}  // namespace multiprocessing
