// A worker, or the supervisor, is killed at every named step of the pool's protocols; the verdicts are those of the
// table in mailbox.hpp.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/pool.hpp"
#include "os/faults.hpp"
#include "pool/pool_test_support.hpp"
#include "support/arena_check.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Death;
using testing::Heir;
using testing::Program;
using testing::Watchdog;

// How often each task has run.  In memory of its own, inherited by the workers.
constexpr int tasks = 40;
struct Board {
  std::atomic<int> runs[tasks];
  std::atomic<int> armed;
};
Board* board = nullptr;

class PoolSteps : public ::testing::Test {
 protected:
  PoolSteps() {
    void* area = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    board = new (area) Board;
    static_cast<void>(memory::self());  // programs that are forked from here are guests in this arena
  }
  ~PoolSteps() override {
    os::steps::clear();
    os::faults::clear();
    ::munmap(board, sizeof(Board));
    memory::collect_orphans();
    EXPECT_EQ(testing::arena_damage(), "");
    EXPECT_EQ(memory::stats().members, 1U);
  }
  Watchdog dog{120s};
};

int count_run(int n) {
  ++board->runs[n];
  return 3 * n;
}

// The first worker alone: its replacements live.
std::function<void()> arm_the_first(const char* step, int nth) {
  return [step, nth] {
    if (board->armed.fetch_add(1) == 0) os::steps::kill_at(step, nth);
  };
}

struct Verdicts {
  int results = 0;
  int deaths = 0;
  int unrun_deaths = 0;  // WorkerDied for a task that no worker ran
};

Verdicts run_all(Pool& pool) {
  std::vector<AsyncResult<int>> calls;
  for (int n = 0; n < tasks; ++n) calls.push_back(pool.apply_async(count_run, n));
  Verdicts verdicts;
  for (int n = 0; n < tasks; ++n) {
    try {
      EXPECT_EQ(calls[static_cast<std::size_t>(n)].get(), 3 * n);
      EXPECT_EQ(board->runs[n], 1) << "task " << n;
      ++verdicts.results;
    } catch (const WorkerDied& e) {
      EXPECT_EQ(e.signal(), SIGKILL);
      EXPECT_LE(board->runs[n], 1) << "task " << n;
      ++verdicts.deaths;
      verdicts.unrun_deaths += board->runs[n] == 0;
    }
  }
  EXPECT_EQ(pool.apply(count_run, 0), 0) << "the pool does not go on";
  return verdicts;
}

// One worker, killed at the nth time it passes the step.
Verdicts killed_at(const char* step, int nth) {
  Pool pool({.processes = 1, .initializer = arm_the_first(step, nth)});
  const Verdicts verdicts = run_all(pool);
  EXPECT_EQ(board->armed, 2) << "nobody died at " << step;
  for (std::atomic<int>& runs : board->runs) runs = 0;
  board->armed = 0;
  return verdicts;
}

TEST_F(PoolSteps, KilledWithTheTaskBegunThatTaskGetsWorkerDied) {
  for (const int nth : {1, 2, 5, tasks}) {
    const Verdicts verdicts = killed_at("pool.worker.begun", nth);
    EXPECT_EQ(verdicts.deaths, 1);
    EXPECT_EQ(verdicts.unrun_deaths, 1);
    EXPECT_EQ(verdicts.results, tasks - 1);
  }
}

TEST_F(PoolSteps, KilledAfterTheTaskRanItGetsWorkerDied) {
  for (const int nth : {1, 2, 5, tasks}) {
    const Verdicts verdicts = killed_at("pool.worker.ran", nth);
    EXPECT_EQ(verdicts.deaths, 1);
    EXPECT_EQ(verdicts.unrun_deaths, 0);
  }
}

TEST_F(PoolSteps, KilledWithTheResultWrittenAndNotPublishedItGetsWorkerDied) {
  for (const int nth : {1, 2, 5, tasks}) {
    const Verdicts verdicts = killed_at("pool.worker.written", nth);
    EXPECT_EQ(verdicts.deaths, 1);
    EXPECT_EQ(verdicts.unrun_deaths, 0);
  }
}

TEST_F(PoolSteps, KilledWithTheResultPublishedTheTaskIsDone) {
  for (const int nth : {1, 2, 5, tasks}) {
    const Verdicts verdicts = killed_at("pool.worker.sent", nth);
    EXPECT_EQ(verdicts.deaths, 0);
    EXPECT_EQ(verdicts.results, tasks);
  }
}

TEST_F(PoolSteps, AResultPublishedWithoutAWakeUpIsFoundWhileTheWorkerLives) {
  Pool pool({.processes = 1, .initializer = [] {
               if (board->armed.fetch_add(1) == 0) os::steps::stop_at("pool.worker.sent", 1);
             }});
  EXPECT_EQ(pool.apply(count_run, 7), 21);  // the worker stands before its notify()
  pool.terminate();
}

TEST_F(PoolSteps, AStoppedWorkersTasksGoToTheOthers) {
  Pool pool({.processes = 2, .initializer = [] {
               if (board->armed.fetch_add(1) == 0) os::steps::stop_at("pool.worker.begun", 1);
             }});
  std::vector<AsyncResult<int>> calls;
  for (int n = 0; n < tasks; ++n) calls.push_back(pool.apply_async(count_run, n));
  const auto done = [&] { return std::ranges::count_if(calls, [](const auto& call) { return call.ready(); }); };
  EXPECT_TRUE(testing::eventually([&] { return done() == tasks - 1; }));
  pool.terminate();
  int cancelled = 0;
  for (auto& call : calls) cancelled += !call.successful();
  EXPECT_EQ(cancelled, 1);
}

TEST_F(PoolSteps, LargeResultsObeyTheSameTable) {
  for (const char* step : {"pool.worker.begun", "pool.worker.ran", "pool.worker.written", "pool.worker.sent"}) {
    board->armed = 0;
    {
      Pool pool({.processes = 1, .initializer = arm_the_first(step, 3)});
      std::vector<AsyncResult<std::string>> calls;
      for (int n = 0; n < 10; ++n) {
        calls.push_back(
            pool.apply_async([](int size) { return std::string(static_cast<std::size_t>(size), 'x'); }, 100'000 + n));
      }
      int deaths = 0;
      for (int n = 0; n < 10; ++n) {
        try {
          EXPECT_EQ(calls[static_cast<std::size_t>(n)].get().size(), 100'000U + static_cast<unsigned>(n));
        } catch (const WorkerDied&) {
          ++deaths;
        }
      }
      EXPECT_EQ(deaths, std::string(step) == "pool.worker.sent" ? 0 : 1) << step;
    }
    EXPECT_EQ(memory::stats().objects, 0U) << step;
  }
}

// Steps that a worker passes below the pool: in the event counts and the arena.
TEST_F(PoolSteps, KilledAtAStepOfTheLayersBelowEachTaskStillHasOneVerdict) {
  for (const char* step : {"event.announced", "event.changed", "arena.changed", "arena.logged"}) {
    for (int nth = 1; nth <= 6; ++nth) {
      for (std::atomic<int>& runs : board->runs) runs = 0;
      board->armed = 0;
      Pool pool({.processes = 2, .initializer = arm_the_first(step, nth)});
      const Verdicts verdicts = run_all(pool);
      EXPECT_EQ(verdicts.results + verdicts.deaths, tasks);
      EXPECT_LE(verdicts.deaths, 1);
    }
  }
}

// --- the supervisor ------------------------------------------------------------------------------------------------

TEST_F(PoolSteps, ASupervisorKilledWhileItForksLeavesNoPoolAndNoProcess) {
  const Heir heir;
  for (int nth = 1; nth <= 3; ++nth) {
    Program host([nth] {
      os::steps::kill_at("pool.supervisor.forked",
                         nth);  // inherited by the supervisor, which is alone in passing it
      try {
        Pool pool(3);
        return 1;
      } catch (const PoolBroken&) {
      }
      os::steps::clear();
      return Pool(2).apply([](int n) { return n; }, 5);
    });
    EXPECT_EQ(host.status(), 5);
    Heir::wait_for_all();
  }
}

TEST_F(PoolSteps, ASupervisorKilledWithAWorkerReapedBreaksThePool) {
  const Heir heir;
  Program host([] {
    os::steps::kill_at("pool.supervisor.reaped");
    Pool pool(2);
    os::steps::clear();
    try {
      pool.apply([] { ::_exit(1); });
      return 1;
    } catch (const PoolBroken&) {
    }
    return Pool(2).apply([](int n) { return n; }, 5);
  });
  EXPECT_EQ(host.status(), 5);
  Heir::wait_for_all();
}

TEST_F(PoolSteps, ASupervisorKilledAtAStepOfForkingLeavesNothing) {
  const Heir heir;
  for (const char* step : {"member.slot_taken", "member.forked", "member.before_gate", "arena.changed"}) {
    for (int nth = 2; nth <= 4; ++nth) {  // 1 is the fork of the supervisor itself, by the host
      Program host([step, nth] {
        os::steps::kill_at(step, nth);
        try {
          Pool pool(3);
          os::steps::clear();
          return pool.apply([](int n) { return n; }, 5);
        } catch (const PoolBroken&) {
        } catch (const WorkerDied&) {
        }
        return 5;
      });
      const int status = host.status();
      EXPECT_TRUE(status == 5 || status == -SIGKILL) << status;  // killed: it was the host that passed the step
      Heir::wait_for_all();
    }
  }
}

// In a program of its own, before it has a pool.
std::size_t own_members() {
  static_cast<void>(memory::self());
  memory::collect_orphans();
  return memory::stats().members;
}

// --- what the kernel refuses ---------------------------------------------------------------------------------------

TEST_F(PoolSteps, Faults26_OutOfProcessesIsAClearErrorAndNothingHalfMade) {
  const Heir heir;
  for (int pass = 0; pass <= 3; ++pass) {
    Program host([pass] {
      const std::size_t members = own_members();
      os::faults::fail(os::Call::fork, EAGAIN, pass, 100);
      try {
        Pool pool(3);
        return 1;
      } catch (const OsError& e) {
        if (std::string(e.what()).find("ulimit -u") == std::string::npos) return 2;
      }
      os::faults::clear();
      if (!testing::children_of(::getpid()).empty()) return 3;
      if (memory::stats().members != members) return 4;
      return Pool(2).apply([](int n) { return n; }, 5);
    });
    EXPECT_EQ(host.status(), 5) << "after " << pass << " forks";
    Heir::wait_for_all();
  }
}

TEST_F(PoolSteps, AnyCallOfTheSystemThatFailsAtTheStartIsAnErrorAndLeavesNothing) {
  const Heir heir;
  using os::Call;
  for (const Call call : {Call::mmap, Call::socketpair, Call::pidfd_open, Call::fork}) {
    for (int pass = 0; pass < 6; ++pass) {
      Program host([call, pass] {
        const std::size_t members = own_members();
        const std::size_t fds = testing::names_in("/proc/self/fd").size();
        os::faults::fail(call, ENOMEM, pass, 1);
        try {
          Pool pool(3);
          os::faults::clear();
          if (pool.apply([](int n) { return n; }, 5) != 5) return 1;
        } catch (const OsError&) {
        }
        os::faults::clear();
        if (testing::names_in("/proc/self/fd").size() != fds) return 2;
        if (!testing::children_of(::getpid()).empty()) return 3;
        if (memory::stats().members != members) return 4;
        return 5;
      });
      EXPECT_EQ(host.status(), 5) << static_cast<int>(call) << " after " << pass;
      Heir::wait_for_all();
    }
  }
}

// `pass` counts the forks of this program and of the supervisor, which goes on with the count it inherited.
TEST_F(PoolSteps, AReplacementThatCannotBeForkedIsTriedAgainWhileOthersWork) {
  os::faults::fail(os::Call::fork, EAGAIN, 1 + 2, 12);
  Pool pool(2);
  os::faults::clear();
  EXPECT_THROW(pool.apply([] { ::_exit(1); }), WorkerDied);
  const pid_t parent = testing::supervisor(pool);
  EXPECT_TRUE(testing::eventually([&] { return testing::children_of(parent).size() == 2; }));
}

TEST_F(PoolSteps, WithNoWorkerLeftAndNoneToBeHadThePoolIsBrokenAndSaysWhy) {
  os::faults::fail(os::Call::fork, EAGAIN, 1 + 1, 1000);
  Pool pool(1);
  os::faults::clear();
  EXPECT_THROW(pool.apply([] { ::_exit(1); }), WorkerDied);
  try {
    pool.apply(count_run, 1);
    ADD_FAILURE();
  } catch (const PoolBroken& e) {
    EXPECT_NE(std::string(e.what()).find("ulimit -u"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace multiprocessing
