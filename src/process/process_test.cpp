// Process from the user's side: what it runs, how it ends, what it says about itself, and what it refuses.
#include "multiprocessing/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::Shared;
using testing::Signal;
using testing::sleep_for_ever;
using testing::Watchdog;

int exit_code_of(Process& process) {
  process.start();
  process.join();
  return process.exitcode().value_or(1000);
}

template <class... Args>
int exit_code_of_call(Args&&... args) {
  Process process(std::forward<Args>(args)...);
  return exit_code_of(process);
}

void exit_with_sum(int a, int b) { ::_exit(a + b); }
void exit_with_size(std::string text) { ::_exit(static_cast<int>(text.size())); }

// --- what runs -----------------------------------------------------------------------------------------------------

TEST(ProcessTarget, IsCalledInTheChildWithItsArguments) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call(exit_with_sum, 3, 4), 7);
}

TEST(ProcessTarget, GetsAStringLiteralAsString) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call(exit_with_size, "child 1"), 7);
  EXPECT_EQ(exit_code_of_call([](auto text) { ::_exit(std::is_same_v<decltype(text), std::string> ? 9 : 1); }, "x"), 9);
  EXPECT_EQ(exit_code_of_call([](std::string_view text) { ::_exit(text == "view" ? 9 : 1); }, "view"), 9);
}

TEST(ProcessTarget, KeepsACopyOfACharacterBuffer) {
  Watchdog dog{60s};
  char buffer[8] = "before";
  Process process([](const std::string& text) { ::_exit(text == "before" ? 9 : 1); }, buffer);
  std::strcpy(buffer, "after");
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ProcessTarget, TakesArgumentsThatCanOnlyBeMoved) {
  Watchdog dog{60s};
  auto take = [](std::unique_ptr<int> value) { ::_exit(*value); };
  EXPECT_EQ(exit_code_of_call(take, std::make_unique<int>(5)), 5);
}

TEST(ProcessTarget, MayBeAMemberFunction) {
  Watchdog dog{60s};
  struct Counter {
    int base;
    void leave(int more) const { ::_exit(base + more); }
  };
  EXPECT_EQ(exit_code_of_call(&Counter::leave, Counter{40}, 2), 42);
}

TEST(ProcessTarget, MayBeAStdFunctionOrReturnAValue) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call(std::function<int()>([] { return 5; })), 0);
}

TEST(ProcessTarget, ChangesOnlyItsOwnCopyOfMemory) {
  Watchdog dog{60s};
  int n = 100;
  EXPECT_EQ(exit_code_of_call([&] {
              n = 0;
              ::_exit(n);
            }),
            0);
  EXPECT_EQ(n, 100);
}

TEST(ProcessTarget, IsDroppedInTheParentByStart) {
  Watchdog dog{60s};
  auto argument = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = argument;
  Process process([](const std::shared_ptr<int>&) { sleep_for_ever(); }, std::move(argument));
  EXPECT_FALSE(watched.expired());
  process.start();
  EXPECT_TRUE(watched.expired());
  process.kill();
  process.join();
}

class Greeter : public Process {
 public:
  explicit Greeter(std::string who) : who_(std::move(who)) {}
  void run() override { ::_exit(static_cast<int>(who_.size())); }

 private:
  std::string who_;
};

TEST(ProcessSubclass, RunsItsOwnRunInTheChild) {
  Watchdog dog{60s};
  Greeter greeter("Ada");
  EXPECT_EQ(exit_code_of(greeter), 3);
}

TEST(ProcessSubclass, CanBeMovedBeforeTheStart) {
  Watchdog dog{60s};
  Greeter greeter("Ada");
  Greeter moved(std::move(greeter));
  EXPECT_EQ(exit_code_of(moved), 3);
}

class Wrapped : public Process {
 public:
  using Process::Process;
  void run() override {
    Process::run();
    ::_exit(8);
  }
};

TEST(ProcessSubclass, CanCallTheTargetThroughTheBase) {
  Watchdog dog{60s};
  Shared<int> called;
  Wrapped wrapped([&] { called.set(1); });
  EXPECT_EQ(exit_code_of(wrapped), 8);
  EXPECT_EQ(called.get(), 1);
}

class Introspective : public Process {
 public:
  Introspective() : Process(ProcessOptions{.name = "inner"}) {}
  void run() override {
    const bool right = name() == "inner" && pid() == ::getpid() && is_alive() && !exitcode().has_value();
    ::_exit(right ? 9 : 1);
  }
};

TEST(ProcessSubclass, KnowsItselfInRun) {
  Watchdog dog{60s};
  Introspective process;
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ProcessSubclass, WithoutRunOrTargetDoesNothing) {
  Watchdog dog{60s};
  Process process;
  EXPECT_EQ(exit_code_of(process), 0);
}

// --- how it ends ---------------------------------------------------------------------------------------------------

TEST(ProcessExitcode, IsEmptyBeforeTheStartAndWhileItRuns) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  EXPECT_EQ(process.exitcode(), std::nullopt);
  process.start();
  EXPECT_EQ(process.exitcode(), std::nullopt);
  process.kill();
  process.join();
  EXPECT_EQ(process.exitcode(), -SIGKILL);
}

TEST(ProcessExitcode, IsZeroWhenTheTargetReturns) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call([] {}), 0);
}

TEST(ProcessExitcode, IsWhatTheTargetGaveToExit) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call([] { std::exit(3); }), 3);
  EXPECT_EQ(exit_code_of_call([] { ::_exit(4); }), 4);
  EXPECT_EQ(exit_code_of_call([] { std::thread([] { std::exit(5); }).join(); }), 5);
}

TEST(ProcessExitcode, IsMinusTheSignalThatKilledIt) {
  Watchdog dog{60s};
  for (const int signo : {SIGTERM, SIGKILL, SIGUSR1}) {
    EXPECT_EQ(exit_code_of_call([signo] { ::raise(signo); }), -signo);
  }
}

TEST(ProcessExitcode, IsZeroAfterPthreadExitInTheTarget) {
  Watchdog dog{60s};
  EXPECT_EQ(exit_code_of_call([] { ::pthread_exit(nullptr); }), 0);
}

TEST(ProcessExitcode, IsOneWhenAnExceptionLeavesTheTarget) {
  Watchdog dog{60s};
  Captured errors(STDERR_FILENO);
  EXPECT_EQ(exit_code_of_call([] { throw std::runtime_error("text"); }), 1);
  EXPECT_EQ(exit_code_of_call([] { throw 42; }), 1);
}

TEST(ProcessException, IsPrintedWithNameTypeTextAndStack) {
  Watchdog dog{60s};
  Captured errors(STDERR_FILENO);
  Process process({.name = "Unlucky"}, [] { throw std::runtime_error("out of luck"); });
  const std::string line = "process_test.cpp:" + std::to_string(__LINE__ - 1) + "\n";
  exit_code_of(process);
  const std::string said = errors.text();
  const std::string first = "Process Unlucky (" + std::to_string(*process.pid()) +
                            "): uncaught exception std::runtime_error: out of luck\n#0 ";
  EXPECT_EQ(said.substr(0, first.size()), first);
  EXPECT_NE(said.find("TestBody()::"), std::string::npos) << said;  // what follows is how the compiler names a lambda
  EXPECT_NE(said.find("::operator()() const at "), std::string::npos) << said;
  EXPECT_NE(said.find(line), std::string::npos) << said;
}

TEST(ProcessSignals, TerminateInterruptAndKillEndTheChild) {
  Watchdog dog{60s};
  const std::vector<std::pair<void (Process::*)() const, int>> verbs{
      {&Process::terminate, SIGTERM}, {&Process::interrupt, SIGINT}, {&Process::kill, SIGKILL}};
  for (const auto& [verb, signo] : verbs) {
    Process process(sleep_for_ever);
    process.start();
    (process.*verb)();
    process.join();
    EXPECT_EQ(process.exitcode(), -signo);
  }
}

TEST(ProcessSignals, ReachAChildWhoseStarterHadBlockedThem) {
  Watchdog dog{60s};
  std::thread([] {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    Process process(sleep_for_ever);
    process.start();
    process.terminate();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGTERM);
  }).join();
}

TEST(ProcessSignals, AreNotSentToAChildThatHasEnded) {
  Watchdog dog{60s};
  Process process([] {});
  exit_code_of(process);
  process.terminate();
  process.interrupt();
  process.kill();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST(ProcessJoin, WithPatienceSaysWhetherTheChildHasEnded) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  process.start();
  EXPECT_FALSE(process.join(10ms));
  EXPECT_FALSE(process.join(0s));
  EXPECT_FALSE(process.join(-1s));
  EXPECT_FALSE(process.join(0.01s));
  process.kill();
  EXPECT_TRUE(process.join(std::chrono::hours::max()));
  EXPECT_TRUE(process.join(0s));
}

TEST(ProcessJoin, MayBeCalledByManyThreadsAtOnce) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  process.start();
  std::vector<std::thread> joiners;
  for (int i = 0; i < 8; ++i) {
    joiners.emplace_back([&process] {
      process.join();
      EXPECT_FALSE(process.is_alive());
      EXPECT_EQ(process.exitcode(), -SIGKILL);
    });
  }
  process.kill();
  for (auto& joiner : joiners) joiner.join();
}

TEST(ProcessSentinel, PollsReadableOnceTheChildHasEnded) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  process.start();
  const int sentinel = process.sentinel();
  EXPECT_FALSE(testing::polls_readable(sentinel));
  process.kill();
  EXPECT_TRUE(os::wait_ended(sentinel, os::Deadline::never()));
  process.join();
  EXPECT_EQ(process.sentinel(), sentinel);
  EXPECT_TRUE(testing::polls_readable(sentinel));
}

// --- what it says about itself -------------------------------------------------------------------------------------

TEST(ProcessName, CountsPerParentAndNests) {
  Watchdog dog{60s};
  Process first([] {
    const Process inner([] {});
    ::_exit(inner.name() == current_process().name() + ":1" ? 9 : 1);
  });
  const Process second([] {});
  ASSERT_EQ(first.name().rfind("Process-", 0), 0U);
  EXPECT_EQ(std::stoi(first.name().substr(8)) + 1, std::stoi(second.name().substr(8)));
  EXPECT_EQ(exit_code_of(first), 9);
}

TEST(ProcessName, OfTheMainProcessIsMainProcess) { EXPECT_EQ(current_process().name(), "MainProcess"); }

TEST(ProcessName, CanBeGivenAndChanged) {
  Watchdog dog{60s};
  Process process({.name = "TEST"}, [] { ::_exit(current_process().name() == "changed" ? 9 : 1); });
  EXPECT_EQ(process.name(), "TEST");
  process.set_name("changed");
  EXPECT_EQ(process.name(), "changed");
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ProcessPid, IsEmptyBeforeTheStartAndStaysAfterTheEnd) {
  Watchdog dog{60s};
  Shared<pid_t> seen;
  Process process([&] { seen.set(current_process().pid()); });
  EXPECT_EQ(process.pid(), std::nullopt);
  exit_code_of(process);
  EXPECT_EQ(process.pid(), seen.get());
}

TEST(ProcessAlive, IsTrueFromStartToEnd) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  EXPECT_FALSE(process.is_alive());
  process.start();
  EXPECT_TRUE(process.is_alive());
  process.kill();
  process.join();
  EXPECT_FALSE(process.is_alive());
}

TEST(CurrentProcess, IsItselfAndAlive) {
  const auto me = current_process();
  EXPECT_EQ(me.pid(), ::getpid());
  EXPECT_TRUE(me.is_alive());
  EXPECT_FALSE(me.daemon());
  EXPECT_FALSE(testing::polls_readable(me.sentinel()));
  EXPECT_THROW(me.join(), std::logic_error);
}

TEST(ParentProcess, IsEmptyInTheMainProcess) { EXPECT_EQ(parent_process(), std::nullopt); }

TEST(ParentProcess, IsTheOneThatStartedTheChild) {
  Watchdog dog{60s};
  Process process([me = ::getpid()] {
    const auto parent = parent_process();
    ::_exit(parent && parent->pid() == me && parent->name() == "MainProcess" && parent->is_alive() ? 9 : 1);
  });
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ParentProcess, CanBeJoinedByItsChild) {
  Watchdog dog{60s};
  Signal child_waits;
  Signal parent_was_joined;
  Process parent([&] {
    Process child([&] {
      child_waits.set();
      parent_process()->join();
      if (!parent_process()->is_alive() && parent_process()->join(0s)) parent_was_joined.set();
    });
    child.start();
    sleep_for_ever();
  });
  parent.start();
  child_waits.wait();
  ::kill(*parent.pid(), SIGKILL);  // not kill(), which would take the child along
  parent_was_joined.wait();
}

TEST(ActiveChildren, AreThoseThatRun) {
  Watchdog dog{60s};
  Process running({.name = "running", .daemon = true}, sleep_for_ever);
  Process ended([] {});
  running.start();
  exit_code_of(ended);
  const auto children = active_children();
  ASSERT_EQ(children.size(), 1U);
  EXPECT_EQ(children[0].name(), "running");
  EXPECT_EQ(children[0].pid(), running.pid());
  EXPECT_TRUE(children[0].daemon());
  EXPECT_TRUE(children[0].is_alive());
  children[0].terminate();
  children[0].join();
  EXPECT_EQ(running.exitcode(), -SIGTERM);
  EXPECT_TRUE(active_children().empty());
}

TEST(ActiveChildren, IncludeThoseWhoseObjectWasThrownAway) {
  Watchdog dog{60s};
  Process(sleep_for_ever).start();
  const auto children = active_children();
  ASSERT_EQ(children.size(), 1U);
  children[0].kill();
  children[0].join();
  EXPECT_TRUE(active_children().empty());
}

TEST(ActiveChildren, AreNotInheritedByAChild) {
  Watchdog dog{60s};
  Process sibling(sleep_for_ever);
  sibling.start();
  EXPECT_EQ(exit_code_of_call([] { ::_exit(static_cast<int>(active_children().size())); }), 0);
  sibling.kill();
  sibling.join();
}

TEST(CpuCount, IsAtLeastOneAndFollowsTheAffinity) {
  Watchdog dog{60s};
  EXPECT_GE(cpu_count(), 1);
  EXPECT_EQ(exit_code_of_call([] {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
              ::sched_setaffinity(0, sizeof one, &one);
              ::_exit(cpu_count());
            }),
            1);
}

// --- daemons -------------------------------------------------------------------------------------------------------

TEST(ProcessDaemon, MustNotStartProcesses) {
  Watchdog dog{60s};
  Process process({.daemon = true}, [] {
    Process inner([] {});
    try {
      inner.start();
    } catch (const DaemonicChildError&) {
      ::_exit(inner.daemon() ? 9 : 2);
    }
  });
  EXPECT_TRUE(process.daemon());
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ProcessDaemon, FlagIsSetUntilTheStart) {
  Watchdog dog{60s};
  Process process([] { ::_exit(current_process().daemon() ? 9 : 1); });
  EXPECT_FALSE(process.daemon());
  process.set_daemon(true);
  EXPECT_EQ(exit_code_of(process), 9);
  EXPECT_THROW(process.set_daemon(false), std::logic_error);
}

// --- what it refuses -----------------------------------------------------------------------------------------------

TEST(ProcessMisuse, StartingTwiceThrows) {
  Watchdog dog{60s};
  Process process([] {});
  exit_code_of(process);
  EXPECT_THROW(process.start(), std::logic_error);
}

TEST(ProcessMisuse, WaitingOrSignallingBeforeTheStartThrows) {
  const Process process([] {});
  EXPECT_THROW(process.join(), std::logic_error);
  EXPECT_THROW(process.join(1s), std::logic_error);
  EXPECT_THROW(process.terminate(), std::logic_error);
  EXPECT_THROW(process.kill(), std::logic_error);
  EXPECT_THROW(process.sentinel(), std::invalid_argument);
}

TEST(ProcessMisuse, ClosingARunningProcessThrowsAndLeavesItRunning) {
  Watchdog dog{60s};
  Process process(sleep_for_ever);
  process.start();
  EXPECT_THROW(process.close(), std::invalid_argument);
  EXPECT_TRUE(process.is_alive());
  process.kill();
  process.join();
  process.close();
}

TEST(ProcessMisuse, AnyUseAfterCloseThrows) {
  Watchdog dog{60s};
  Process process([] {});
  exit_code_of(process);
  process.close();
  process.close();
  EXPECT_THROW(process.is_alive(), std::invalid_argument);
  EXPECT_THROW(process.exitcode(), std::invalid_argument);
  EXPECT_THROW(process.pid(), std::invalid_argument);
  EXPECT_THROW(process.name(), std::invalid_argument);
  EXPECT_THROW(process.join(), std::invalid_argument);
  EXPECT_THROW(process.start(), std::invalid_argument);
  EXPECT_THROW(process.sentinel(), std::invalid_argument);
}

TEST(ProcessMisuse, UsingAMovedFromObjectThrows) {
  Process process([] {});
  const Process moved(std::move(process));
  EXPECT_THROW(process.start(), std::logic_error);  // NOLINT(bugprone-use-after-move): the claim
  EXPECT_THROW(process.name(), std::logic_error);
}

TEST(ProcessMisuse, JoiningOneselfThrows) {
  Watchdog dog{60s};
  class Selfish : public Process {
    void run() override {
      try {
        join();
      } catch (const std::logic_error&) {
        ::_exit(9);
      }
    }
  };
  Selfish process;
  EXPECT_EQ(exit_code_of(process), 9);
}

TEST(ProcessMisuse, OnlyTheStarterMayWaitForAChild) {
  Watchdog dog{60s};
  Process sibling(sleep_for_ever);
  sibling.start();
  Process process([&] {
    int refusals = 0;
    const auto count = [&refusals](auto f) {
      try {
        f();
      } catch (const std::logic_error&) {
        ++refusals;
      }
    };
    count([&] { sibling.join(); });
    count([&] { sibling.is_alive(); });
    count([&] { sibling.kill(); });
    count([&] { sibling.exitcode(); });
    ::_exit(sibling.pid().has_value() && !sibling.name().empty() ? refusals : 99);
  });
  EXPECT_EQ(exit_code_of(process), 4);
  EXPECT_TRUE(sibling.is_alive());
  sibling.kill();
  sibling.join();
}

TEST(ProcessMisuse, OnlyTheMakerMayStartAProcess) {
  Watchdog dog{60s};
  Process never([] {});
  EXPECT_EQ(exit_code_of_call([&] {
              try {
                never.start();
              } catch (const std::logic_error&) {
                ::_exit(9);
              }
            }),
            9);
}

// No descriptor can be opened while this lives.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = ::fcntl(STDERR_FILENO, F_DUPFD, 0);
    ::close(lowest_free);
    const rlimit none_left{static_cast<rlim_t>(lowest_free), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none_left);
  }
  ~NoDescriptorLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;
  NoDescriptorLeft& operator=(const NoDescriptorLeft&) = delete;

 private:
  rlimit before_{};
};

TEST(ProcessStart, Faults26_WithoutDescriptorsNamesTheLimitAndCanBeRepeated) {
  Watchdog dog{60s};
  Process process([] { ::_exit(9); });
  exit_code_of_call([] {});  // whatever is opened once is open now
  try {
    const NoDescriptorLeft limit;
    process.start();
    ADD_FAILURE() << "started without a descriptor";
  } catch (const OsError& error) {
    EXPECT_EQ(error.code(), std::errc::too_many_files_open);
    EXPECT_NE(std::string_view(error.what()).find("ulimit -n"), std::string_view::npos) << error.what();
  }
  EXPECT_FALSE(process.is_alive());
  EXPECT_TRUE(active_children().empty());
  EXPECT_EQ(exit_code_of(process), 9);
}

// --- options and types ---------------------------------------------------------------------------------------------

static_assert(std::is_move_constructible_v<Process> && !std::is_copy_constructible_v<Process>);
static_assert(std::is_nothrow_move_constructible_v<Process>, "a vector of processes moves them");
static_assert(std::is_copy_constructible_v<ProcessInfo>);
static_assert(std::is_same_v<decltype(std::declval<Process>().pid()), std::optional<pid_t>>);
static_assert(std::is_same_v<decltype(std::declval<Process>().exitcode()), std::optional<int>>);
static_assert(std::is_same_v<decltype(current_process().pid()), pid_t>);

TEST(Process, CanLiveInAVector) {
  Watchdog dog{60s};
  std::vector<Process> processes;
  for (int i = 0; i < 5; ++i) processes.emplace_back(exit_with_sum, i, 0);
  for (auto& process : processes) process.start();
  for (int i = 0; i < 5; ++i) {
    processes[static_cast<std::size_t>(i)].join();
    EXPECT_EQ(processes[static_cast<std::size_t>(i)].exitcode(), i);
  }
}

}  // namespace
}  // namespace multiprocessing
