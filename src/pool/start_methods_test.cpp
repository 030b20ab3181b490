// What a pool promises holds under every start method.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/context.hpp"
#include "multiprocessing/queue.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::Watchdog;

int twice(int x) { return 2 * x; }
int global = 1;
void set_global(int value) { global = value; }
int read_global(int) { return global; }
int die(int how) {
  if (how == 0) ::kill(::getpid(), SIGKILL);
  if (how == 1) ::_exit(3);
  if (how == 2) ::abort();
  throw std::out_of_range("too far");
}

class PoolUnder : public ::testing::TestWithParam<StartMethod> {
 protected:
  [[nodiscard]] static Context context() { return get_context(GetParam()); }
  Watchdog dog_{120s};
};

TEST_P(PoolUnder, ApplyMapAndImapWork) {
  Pool pool = context().pool(2);
  EXPECT_EQ(pool.apply(twice, 4), 8);
  EXPECT_EQ(pool.map(twice, std::vector{1, 2, 3}), (std::vector{2, 4, 6}));
  int next = 0;
  for (int r : pool.imap(twice, std::vector{0, 1, 2, 3})) EXPECT_EQ(r, 2 * next++);
  EXPECT_EQ(pool.apply([](std::string s) { return s + "!"; }, "text"), "text!");
}

TEST_P(PoolUnder, WorkersBeginWithTheMemoryTheMethodPromises) {
  global = 7;
  Pool pool = context().pool(1);
  EXPECT_EQ(pool.apply(read_global, 0), GetParam() == StartMethod::fork ? 7 : 1);
  global = 1;
}

TEST_P(PoolUnder, TheInitializerRunsInEachWorkerAndInReplacements) {
  Pool pool = context().pool({.processes = 2, .initializer = bind(set_global, 5), .max_tasks_per_child = 3});
  for (int value : pool.map(read_global, std::vector<int>(20), {.chunksize = 1})) EXPECT_EQ(value, 5);
}

TEST_P(PoolUnder, AClosureAsInitializerIsForFork) {
  int five = 5;
  const auto make = [&] { return context().pool({.processes = 1, .initializer = [&five] { global = five; }}); };
  if (GetParam() == StartMethod::fork) {
    EXPECT_EQ(make().apply(read_global, 0), 5);
  } else {
    EXPECT_THROW(static_cast<void>(make()), NotSendable);
  }
}

TEST_P(PoolUnder, Faults01To05_ADeathFailsItsTaskAndThePoolGoesOn) {
  Pool pool = context().pool(2);
  try {
    pool.apply(die, 0);
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.signal(), SIGKILL);
  }
  try {
    pool.apply(die, 1);
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.exit_code(), 3);
  }
  try {
    pool.apply(die, 2);
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.signal(), SIGABRT);
  }
  EXPECT_THROW(pool.apply(die, 3), std::out_of_range);
  for (const pid_t worker : testing::workers(pool)) ::kill(worker, SIGKILL);
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST_P(PoolUnder, Faults07_ATimeoutKillsItsTask) {
  Pool pool = context().pool(1);
  EXPECT_THROW(pool.apply({.timeout = 30ms}, testing::sleep_in_task, 0), TaskTimeout);
  EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST_P(PoolUnder, Faults12_TheDeathOfTheSupervisorBreaksIt) {
  Pool pool = context().pool(2);
  const pid_t supervisor = testing::supervisor(pool);
  ::kill(supervisor, SIGKILL);
  EXPECT_THROW(for (;;) pool.apply(twice, 1), PoolBroken);
  Pool next = context().pool(1);
  EXPECT_EQ(next.apply(twice, 1), 2);
}

TEST_P(PoolUnder, Faults13_NothingOutlivesAProgramThatIsKilled) {
  const testing::Heir heir;
  Queue<int> pids;
  testing::Program program([&pids, method = GetParam()]() -> int {
    Pool pool = get_context(method).pool(2);
    pids.put(static_cast<int>(testing::supervisor(pool)));
    pool.apply(testing::sleep_in_task, 0);
    return 0;
  });
  const int supervisor = pids.get();
  program.kill(SIGKILL);
  eventually([supervisor] {  // it is ours to reap now
    ::waitpid(supervisor, nullptr, WNOHANG);
    return ::kill(supervisor, 0) != 0;
  });
}

TEST_P(PoolUnder, QueuesAndPoolsInTasksWork) {
  Pool pool = context().pool(1);
  Queue<int> queue;
  pool.apply([](Queue<int> q) { q.put(4); }, queue);
  EXPECT_EQ(queue.get(), 4);
  EXPECT_EQ(pool.apply(
                [](int n) {
                  Pool inner(2);
                  return inner.apply(twice, n);
                },
                21),
            42);
}

TEST_P(PoolUnder, Faults27_APoolGoesOnWhenTheProgramClosesAllDescriptorsAndANextOneWorksOrSaysWhy) {
  testing::Program program([method = GetParam()] {
    Pool pool = get_context(method).pool(2);
    if (pool.apply(twice, 4) != 8) return 1;
    ::close_range(3, ~0U, 0);
    for (int i = 0; i < 20; ++i) ::dup(::open("/dev/null", O_RDWR | O_CLOEXEC));  // what has our numbers now
    try {
      pool.apply(die, 0);
    } catch (const WorkerDied&) {
    }
    if (pool.map(twice, std::vector<int>(100, 4), {.chunksize = 1}) != std::vector<int>(100, 8)) return 2;
    bool works = false;
    try {
      works = get_context(method).pool(1).apply(twice, 1) == 2;
    } catch (const OsError& error) {
      if (std::string(error.what()).find("closed its descriptor") == std::string::npos) return 3;
    }
    if (works != (method == StartMethod::fork)) return 4;
    return Pool(1).apply(twice, 1) == 2 ? 0 : 5;
  });
  EXPECT_EQ(program.status(), 0);
}

TEST_P(PoolUnder, Faults27_WorksInAProgramThatHasClosedAllDescriptors) {
  testing::Program program([method = GetParam()] {
    ::close_range(0, ~0U, 0);
    return get_context(method).pool(2).map(twice, std::vector{1, 2}) == std::vector{2, 4} ? 0 : 1;
  });
  EXPECT_EQ(program.status(), 0);
}

TEST_P(PoolUnder, Faults27_WorksInAProgramThatIgnoresSigchldAndReapsEverything) {
  testing::Program program([method = GetParam()] {
    ::signal(SIGCHLD, SIG_IGN);
    std::atomic<bool> over{false};
    std::thread thief([&over] {
      while (!over) {
        if (::waitpid(-1, nullptr, WNOHANG) <= 0) ::sched_yield();
      }
    });
    int right = 0;
    for (int i = 0; i < 5; ++i) {
      Pool pool = get_context(method).pool(2);
      try {
        pool.apply(die, 1);
      } catch (const WorkerDied& death) {
        right += death.exit_code() == 3;  // of the supervisor's child, which nobody else can reap
      }
      right += pool.apply(twice, i) == 2 * i;
    }
    over = true;
    thief.join();
    return right;
  });
  EXPECT_EQ(program.status(), 10);
}

TEST_P(PoolUnder, Faults28_WorksInAProgramWithBusyThreads) {
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&over] {
      while (!over) {
        std::string text(1000, 'x');
        text += std::to_string(text.size());
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    Pool pool = context().pool(2);
    EXPECT_EQ(pool.map(twice, std::vector{1, 2, 3}), (std::vector{2, 4, 6}));
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

// Private_Clean and Private_Dirty of smaps_rollup.
long private_kib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  long total = 0;
  for (std::string word; in >> word;) {
    long kib = 0;
    if ((word == "Private_Clean:" || word == "Private_Dirty:") && in >> kib) total += kib;
  }
  return total;
}

TEST_P(PoolUnder, AnIdleWorkerHasAMebibyteOfItsOwnAtMost) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a sanitizer has memory of its own";
  Pool pool = context().pool(4);
  pool.map(twice, std::vector<int>(1000, 1), {.chunksize = 1});
  for (const auto& worker : pool.stats().workers) {
    const long kib = private_kib(worker.pid);
    EXPECT_GT(kib, 0);
    EXPECT_LE(kib, 1024);
  }
}

INSTANTIATE_TEST_SUITE_P(StartMethod, PoolUnder, ::testing::ValuesIn(get_all_start_methods()),
                         [](const ::testing::TestParamInfo<StartMethod>& method) { return name_of(method.param); });

}  // namespace
}  // namespace multiprocessing
