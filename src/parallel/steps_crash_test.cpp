// A child, or the caller, is killed at every named step of a parallel call; the outcome is that of the table in
// board.hpp.  System calls that fail on the way are errors, and nothing is left.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/parallel.hpp"
#include "multiprocessing/queue.hpp"
#include "os/faults.hpp"
#include "pool/pool_test_support.hpp"
#include "support/arena_check.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::children_of;
using testing::Heir;
using testing::numbers;
using testing::Program;
using testing::Watchdog;

class ParallelSteps : public ::testing::Test {
 protected:
  ParallelSteps() { static_cast<void>(memory::self()); }  // programs that are forked from here are guests in this arena
  ~ParallelSteps() override {
    os::steps::clear();
    os::faults::clear();
    EXPECT_TRUE(children_of(::getpid()).empty());
    memory::collect_orphans();
    EXPECT_EQ(testing::arena_damage(), "");
    EXPECT_EQ(memory::stats().members, 1U);
    EXPECT_EQ(memory::stats().objects, objects_before);
  }
  std::size_t objects_before = memory::stats().objects;
  Watchdog dog{240s};
};

// Results that hold what only their children have made.
std::vector<Queue<int>> call(int items) {
  return parallel_map(
      [](int n) {
        Queue<int> queue;
        queue.put(n);
        return queue;
      },
      numbers(items), {.processes = 2});
}

TEST_F(ParallelSteps, AChildKilledBeforeItIsDoneFailsTheCall) {
  for (const char* step : {"parallel.child.forked", "parallel.child.entered", "parallel.child.taken",
                           "parallel.child.ran", "parallel.child.written"}) {
    SCOPED_TRACE(step);
    os::steps::kill_at(step);
    try {
      call(10);
      ADD_FAILURE() << "the call came back";
    } catch (const WorkerDied& death) {
      EXPECT_EQ(death.signal(), SIGKILL);
      const bool had_an_item = std::strstr(step, "taken") != nullptr || std::strstr(step, "ran") != nullptr;
      EXPECT_TRUE(!had_an_item || death.task().find(", item ") != std::string::npos) << death.task();
    }
    os::steps::clear();
    EXPECT_TRUE(children_of(::getpid()).empty());
  }
}

TEST_F(ParallelSteps, AChildKilledAfterItIsDoneHasGivenItsResults) {
  for (const char* step : {"parallel.child.done", "process.child.finished", "process.child.flushed"}) {
    SCOPED_TRACE(step);
    os::steps::kill_at(step);
    const auto queues = call(10);
    for (int n = 0; n < 10; ++n) EXPECT_EQ(queues[static_cast<std::size_t>(n)].get(2s), n);
    os::steps::clear();
  }
}

TEST_F(ParallelSteps, Faults13_ACallerKilledAtAnyStepLeavesNothing) {
  const Heir heir;
  for (const char* step : {"member.slot_taken", "member.forked", "member.before_gate", "parallel.forked",
                           "parallel.all_forked", "process.reaped", "parallel.all_done", "parallel.collected"}) {
    SCOPED_TRACE(step);
    Program program([step] {
      // In the caller only: the children look for the step by themselves, and do not pass it.
      os::steps::kill_at(step);
      return call(10).size() == 10 ? 0 : 1;
    });
    EXPECT_EQ(program.status(), -SIGKILL);
    Heir::wait_for_all();
    memory::collect_orphans();
    EXPECT_EQ(memory::stats().members, 1U);
  }
}

TEST_F(ParallelSteps, Faults26_WhatFailsAtTheStartIsAnErrorAndNothingIsLeft) {
  using os::Call;
  for (const auto& [what, pass] : {std::pair{Call::mmap, 0}, std::pair{Call::memfd_create, 0}, std::pair{Call::fork, 0},
                                   std::pair{Call::fork, 1}, std::pair{Call::pidfd_open, 1}}) {
    os::faults::fail(what, ENOMEM, pass);
    try {
      call(10);
      ADD_FAILURE() << "the call came back: " << static_cast<int>(what) << " after " << pass;
    } catch (const OsError& error) {
      EXPECT_EQ(error.code().value(), ENOMEM);
    }
    os::faults::clear();
    EXPECT_TRUE(children_of(::getpid()).empty());
    EXPECT_EQ(call(4).size(), 4U);
  }
}

TEST_F(ParallelSteps, Faults25_NoMemoryForTheResultsIsAnError) {
  os::faults::fail(os::Call::write, ENOSPC);  // of each child, the first write
  try {
    call(10);
    ADD_FAILURE() << "the call came back";
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), ENOSPC);
  }
}

}  // namespace
}  // namespace multiprocessing
