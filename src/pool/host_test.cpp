// Rows of the fault matrix in which the program itself ends: nothing may be left of its pools.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "pool/pool_test_support.hpp"
#include "support/terminal.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Heir;
using testing::numbers;
using testing::Program;
using testing::Shared;
using testing::Signal;
using testing::Terminal;
using testing::Watchdog;

int twice(int n) { return 2 * n; }

TEST(PoolHost, Faults13_WhenTheProgramIsKilledBusyAndIdleWorkersEnd) {
  Watchdog dog{60s};
  const Heir heir;
  const auto shm = testing::names_in("/dev/shm");
  for (const bool busy : {false, true}) {
    Signal ready;
    Program host([&] {
      Pool pool(4);
      auto later = pool.map_async(busy ? testing::sleep_in_task : twice, numbers(8));
      if (!busy) later.wait();
      ready.set();
      for (;;) ::pause();
      return 0;
    });
    ready.wait();
    host.kill(SIGKILL);
    Heir::wait_for_all();
  }
  EXPECT_EQ(testing::names_in("/dev/shm"), shm);
}

TEST(PoolHost, Faults13_AlsoWhatTheWorkersHaveStarted) {
  Watchdog dog{60s};
  const Heir heir;
  Signal ready;
  Program host([&] {
    Pool pool(2);
    pool.apply([] {
      if (::fork() == 0) {
        ::setsid();
        for (;;) ::pause();
      }
    });
    pool.apply_async([] {
      Pool inner(2);
      inner.map(testing::sleep_in_task, numbers(2));
    });
    pool.apply([] {
      Process child([] {
        for (;;) ::pause();
      });
      child.start();
    });
    ready.set();
    for (;;) ::pause();
    return 0;
  });
  ready.wait();
  host.kill(SIGKILL);
  Heir::wait_for_all();
}

// 200 programs, each killed at a random time between its first line and long after its end, in what it does then.
TEST(PoolHost, Faults13_KilledAtAnyTimeItLeavesNothing) {
  Watchdog dog{240s};
  const Heir heir;
  const auto shm = testing::names_in("/dev/shm");
  std::mt19937 random(7);
  std::chrono::milliseconds longest{0};
  for (int round = 0; round < 200; ++round) {
    {
      Program host([&] {
        for (int i = 0;; ++i) {
          Pool pool(3);
          pool.map(twice, numbers(50), {.chunksize = 1});
          if (i % 3 == 0) pool.terminate();
        }
        return 0;
      });
      ::usleep(std::uniform_int_distribution<unsigned>(0, round % 2 == 0 ? 5'000 : 60'000)(random));
    }
    longest = std::max(longest, Heir::wait_for_all());
  }
  EXPECT_EQ(testing::names_in("/dev/shm"), shm);
  RecordProperty("longest_ms", static_cast<int>(longest.count()));
  std::printf("longest until nothing was left: %lld ms\n", static_cast<long long>(longest.count()));
}

int map_for_ever() {
  Pool pool(4);
  pool.apply(twice, 1);
  static_cast<void>(::write(1, "ready\n", 6));
  pool.map([](int) { ::usleep(1000); }, numbers(1'000'000));
  return 0;
}

TEST(PoolHost, Faults23_CtrlCDuringMapEndsTheProgramAtOnceAndSilently) {
  Watchdog dog{60s};
  const Heir heir;
  const Terminal terminal(map_for_ever);
  terminal.read("ready\r\n");
  terminal.type('\3');
  EXPECT_EQ(terminal.status(), 130);
  const std::string rest = terminal.read();  // to the end: when nobody has the terminal open any more
  EXPECT_EQ(rest, "^C");
  Heir::wait_for_all();
}

TEST(PoolHost, Faults24_SigtermEndsTheProgramAtOnceAndSilently) {
  Watchdog dog{60s};
  const Heir heir;
  const Terminal terminal(map_for_ever);
  terminal.read("ready\r\n");
  ::kill(terminal.pid, SIGTERM);
  EXPECT_EQ(terminal.status(), 143);
  EXPECT_EQ(terminal.read(), "");
  Heir::wait_for_all();
}

TEST(PoolHost, AProgramThatHandlesCtrlCKeepsItsPool) {
  Watchdog dog{60s};
  const Heir heir;
  const Terminal terminal([] {
    ::signal(SIGINT, [](int) { static_cast<void>(::write(1, "caught\n", 7)); });
    Pool pool(3);
    pool.apply(twice, 1);
    static_cast<void>(::write(1, "ready\n", 6));
    int right = 0;
    for (const int r : pool.map(
             [](int n) {
               ::usleep(1000);
               return n;
             },
             numbers(300), {.chunksize = 1})) {
      right += r >= 0;
    }
    return right == 300 ? 5 : 1;
  });
  terminal.read("ready\r\n");
  terminal.type('\3');
  const std::string rest = terminal.read();
  EXPECT_EQ(rest, "^Ccaught\r\n");  // once: by the program, and by no worker
  EXPECT_EQ(terminal.status(), 5);
}

TEST(PoolHost, AnExitWithTasksUnderWayLeavesNothing) {
  Watchdog dog{60s};
  const Heir heir;
  Program host([] {
    Pool pool(2);
    auto later = pool.map_async(testing::sleep_in_task, numbers(4));
    std::exit(9);
    return 0;
  });
  EXPECT_EQ(host.status(), 9);
  Heir::wait_for_all();
}

}  // namespace
}  // namespace multiprocessing
