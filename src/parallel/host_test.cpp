// Rows of the fault matrix in which the program itself ends during a parallel call: nothing may be left of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/parallel.hpp"
#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"
#include "support/terminal.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Heir;
using testing::numbers;
using testing::Program;
using testing::Shared;
using testing::Terminal;
using testing::Watchdog;

class ParallelHost : public ::testing::Test {
 protected:
  Watchdog dog{240s};
  Heir heir;
};

// Says that all its children are at work, then never ends.
void work_for_ever(Shared<int>& working) {
  parallel_for_each(
      [&](int) {
        working.add(1);
        for (;;) ::pause();
      },
      numbers(3), {.processes = 3});
}

TEST_F(ParallelHost, Faults13_WhenTheCallerIsKilledItsChildrenEnd) {
  Shared<int> working(0);
  Program host([&] {
    work_for_ever(working);
    return 0;
  });
  testing::eventually([&] { return working.get() == 3; });
  host.kill(SIGKILL);
  Heir::wait_for_all();
}

TEST_F(ParallelHost, Faults13_AlsoWhenAThreadOfItHasCalled) {
  Shared<int> working(0);
  Program host([&] {
    std::thread caller([&] { work_for_ever(working); });
    caller.join();
    return 0;
  });
  testing::eventually([&] { return working.get() == 3; });
  host.kill(SIGKILL);
  Heir::wait_for_all();
}

TEST_F(ParallelHost, Faults13_AlsoWhatIsNestedEnds) {
  Shared<int> working(0);
  Program host([&] {
    parallel_for_each(
        [&](int n) {
          if (n == 0) work_for_ever(working);
          Pool pool(2);
          pool.apply([] {});
          working.add(1);
          pool.map(testing::sleep_in_task, numbers(2));
        },
        numbers(2), {.processes = 2});
    return 0;
  });
  testing::eventually([&] { return working.get() == 4; });
  host.kill(SIGKILL);
  Heir::wait_for_all();
}

// 200 programs, each killed at a random time.
TEST_F(ParallelHost, Faults13_KilledAtAnyTimeItLeavesNothing) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    {
      Program host([] {
        for (int i = 0;; ++i) {
          try {
            parallel_map(
                [i](int n) {
                  if (i % 3 == 0 && n == 7) throw std::runtime_error("seven");
                  if (i % 5 == 0 && n == 9) ::_exit(1);
                  return std::to_string(n);
                },
                numbers(20), {.processes = 3});
          } catch (const Error&) {
          } catch (const std::runtime_error&) {
          }
        }
        return 0;
      });
      ::usleep(std::uniform_int_distribution<unsigned>(0, round % 2 == 0 ? 5'000 : 30'000)(random));
    }
    Heir::wait_for_all();
  }
}

TEST_F(ParallelHost, AnExitByAnotherThreadLeavesNothing) {
  Shared<int> working(0);
  Program host([&] {
    std::thread caller([&] { work_for_ever(working); });
    testing::eventually([&] { return working.get() == 3; });
    ::_exit(9);
    caller.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 9);
  Heir::wait_for_all();
}

int call_for_ever() {
  parallel_for_each(
      [](int n) {
        if (n == 0) static_cast<void>(::write(1, "ready\n", 6));
        for (;;) ::pause();
      },
      numbers(3), {.processes = 3});
  return 0;
}

TEST_F(ParallelHost, Faults23_CtrlCEndsTheProgramAtOnceAndSilently) {
  const Terminal terminal(call_for_ever);
  terminal.read("ready\r\n");
  terminal.type('\3');
  EXPECT_EQ(terminal.status(), 130);
  EXPECT_EQ(terminal.read(), "^C");
  Heir::wait_for_all();
}

TEST_F(ParallelHost, Faults24_SigtermEndsTheProgramAtOnceAndSilently) {
  const Terminal terminal(call_for_ever);
  terminal.read("ready\r\n");
  ::kill(terminal.pid, SIGTERM);
  EXPECT_EQ(terminal.status(), 143);
  EXPECT_EQ(terminal.read(), "");
  Heir::wait_for_all();
}

}  // namespace
}  // namespace multiprocessing
