// What parallel_map, parallel_for_each and parallel_reduce promise, as seen by the program that calls them.
#include "multiprocessing/parallel.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <forward_list>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Captured;
using testing::children_of;
using testing::numbers;
using testing::Program;
using testing::Shared;
using testing::Watchdog;

class Parallel : public ::testing::Test {
 protected:
  ~Parallel() override {
    EXPECT_TRUE(children_of(::getpid()).empty()) << "a call has left a child";
    memory::collect_orphans();  // programs that a test has forked
    EXPECT_EQ(memory::stats().members, 1U);
  }
  Watchdog dog{120s};
};

// --- what comes back -----------------------------------------------------------------------------------------------

TEST_F(Parallel, ResultsComeInTheOrderOfTheRange) {
  const auto squares = parallel_map([](int n) { return n * n; }, numbers(10'000), {.processes = 3});
  ASSERT_EQ(squares.size(), 10'000U);
  for (int n = 0; n < 10'000; ++n) EXPECT_EQ(squares[static_cast<std::size_t>(n)], n * n);
}

TEST_F(Parallel, AFunctionMayCaptureAnythingByReference) {
  const std::unique_ptr<std::string> text = std::make_unique<std::string>("of the caller ");
  std::mutex never_sendable;
  const auto texts = parallel_map(
      [&](int n) {
        const std::lock_guard lock(never_sendable);
        return *text + std::to_string(n);
      },
      numbers(1'000), {.processes = 2});
  ASSERT_EQ(texts.size(), 1'000U);
  for (int n = 0; n < 1'000; ++n) EXPECT_EQ(texts[static_cast<std::size_t>(n)], "of the caller " + std::to_string(n));
}

TEST_F(Parallel, WhatAFunctionWritesStaysInItsChild) {
  int mine = 1;
  parallel_for_each([&](int n) { mine = n; }, numbers(100), {.processes = 2});
  EXPECT_EQ(mine, 1);
}

TEST_F(Parallel, ItemsRunInAsManyProcessesAsAskedForAndNotHere) {
  const Shared<int> arrived(0);
  const auto pids = parallel_map(
      [&](int) {
        const_cast<Shared<int>&>(arrived).add(1);
        while (arrived.get() < 4) ::usleep(100);  // none of them gets a second item before the last has its first
        return static_cast<int>(::getpid());
      },
      numbers(4), {.processes = 4});
  EXPECT_EQ(std::set<int>(pids.begin(), pids.end()).size(), 4U);
  EXPECT_FALSE(std::set<int>(pids.begin(), pids.end()).contains(::getpid()));
}

TEST_F(Parallel, AVoidFunctionGivesNothing) {
  Shared<int> sum(0);
  static_assert(std::is_void_v<decltype(parallel_map([&](int n) { sum.add(n); }, numbers(5)))>);
  parallel_map([&](int n) { sum.add(n); }, numbers(100));
  EXPECT_EQ(sum.get(), 4950);
}

TEST_F(Parallel, ForEachThrowsResultsAway) {
  Shared<int> sum(0);
  struct Unsendable {
    int* pointer;
  };
  parallel_for_each(
      [&](int n) {
        sum.add(n);
        return Unsendable{nullptr};
      },
      numbers(100), {.processes = 3});
  EXPECT_EQ(sum.get(), 4950);
}

TEST_F(Parallel, AnEmptyRangeStartsNothing) {
  EXPECT_TRUE(parallel_map([](int n) { return n; }, std::vector<int>()).empty());
  EXPECT_TRUE(parallel_map([](int n) { return std::to_string(n); }, std::vector<int>()).empty());
  parallel_for_each([](int) { ::abort(); }, std::vector<int>());
  EXPECT_EQ(parallel_reduce(std::vector<int>(), 7, std::plus<>()), 7);
}

TEST_F(Parallel, ASingleItemRunsInAChildToo) {
  EXPECT_NE(parallel_map([](int) { return static_cast<int>(::getpid()); }, numbers(1)).front(), ::getpid());
  EXPECT_EQ(parallel_map([](int n) { return std::to_string(n); }, numbers(1)).front(), "0");
  EXPECT_EQ(parallel_reduce(numbers(1), 7, std::plus<>()), 7);
}

TEST_F(Parallel, AnyInputRangeWillDo) {
  const std::forward_list<int> list{1, 2, 3};
  EXPECT_EQ(parallel_map([](int n) { return 2 * n; }, list), (std::vector<int>{2, 4, 6}));
  const std::vector<bool> bits{true, false};
  EXPECT_EQ(parallel_map([](bool bit) { return !bit; }, bits), (std::vector<bool>{false, true}));
  EXPECT_EQ(parallel_map([](char c) { return c; }, "abc"), (std::vector<char>{'a', 'b', 'c'}));
  std::vector<std::unique_ptr<int>> owned;
  owned.push_back(std::make_unique<int>(5));
  EXPECT_EQ(parallel_map([](const std::unique_ptr<int>& n) { return *n; }, owned).front(), 5);
}

TEST_F(Parallel, ResultsMayBeAnythingThatCanBeSent) {
  struct Plain {
    int a;
    double b;
    char c[5];
  };
  const auto plain = parallel_map([](int n) { return Plain{n, n / 2.0, "abc"}; }, numbers(100), {.processes = 2});
  EXPECT_EQ(plain[99].a, 99);
  EXPECT_EQ(plain[99].b, 49.5);
  const auto text = parallel_map([](int) { return "text"; }, numbers(2));  // travels as std::string, as everywhere
  EXPECT_EQ(text, (std::vector<std::string>{"text", "text"}));
  const auto owned = parallel_map([](int n) { return std::make_unique<int>(n); }, numbers(3));  // moves only
  EXPECT_EQ(*owned[2], 2);
  const auto large = parallel_map([](int n) { return std::vector<int>(300'000, n); }, numbers(8), {.processes = 3});
  for (int n = 0; n < 8; ++n) EXPECT_EQ(large[static_cast<std::size_t>(n)], std::vector<int>(300'000, n));
}

struct alignas(256) Wide {
  std::uint64_t value;
};

TEST_F(Parallel, ResultsInPlaceHaveTheAlignmentOfTheirType) {
  const auto wide = parallel_map([](int n) { return Wide{static_cast<std::uint64_t>(n)}; }, numbers(50));
  EXPECT_EQ(wide[49].value, 49U);
}

TEST_F(Parallel, AHandleMadeInAChildComesBackAlive) {
  const auto queues = parallel_map(
      [](int n) {
        Queue<int> queue;
        queue.put(n);
        return queue;
      },
      numbers(20), {.processes = 3});
  for (int n = 0; n < 20; ++n) EXPECT_EQ(queues[static_cast<std::size_t>(n)].get(2s), n);
}

TEST_F(Parallel, SharedThingsCanBeWritten) {
  const Array<int> grid(1'000);
  parallel_for_each([&](int n) { grid.span()[static_cast<std::size_t>(n)] = n + 1; }, numbers(1'000), {.processes = 3});
  for (std::size_t n = 0; n < 1'000; ++n) EXPECT_EQ(grid.span()[n], static_cast<int>(n) + 1);
}

// --- reduce --------------------------------------------------------------------------------------------------------

TEST_F(Parallel, ReduceKeepsTheOrderOfTheRange) {
  std::vector<std::string> letters;
  std::string expected = ">";
  for (int n = 0; n < 5'000; ++n) {
    letters.emplace_back(1, static_cast<char>('a' + n % 26));
    expected += letters.back();
  }
  Shared<int> arrived(0);
  bool is_new = true;
  const auto together = [&](const std::string& letter) {  // no child does it all before the others have begun
    if (is_new) arrived.add(1);
    is_new = false;
    while (arrived.get() < 3) ::usleep(100);
    return letter;
  };
  EXPECT_EQ(parallel_reduce(letters, std::string(">"), std::plus<>(), together, {.processes = 3}), expected);
}

TEST_F(Parallel, ReduceTransformsFirst) {
  const auto lengths = parallel_reduce(numbers(1'000), std::size_t{0}, std::plus<>(),
                                       [](int n) { return std::to_string(n).size(); }, {.processes = 2});
  EXPECT_EQ(lengths, 10U + 90 * 2 + 900 * 3);
  EXPECT_EQ(parallel_reduce(numbers(1'000), 0L, std::plus<>(), [](int n) { return n; }), 499'500);
}

// --- exceptions ----------------------------------------------------------------------------------------------------

TEST_F(Parallel, AStandardExceptionArrivesAsItsOwnType) {
  try {
    parallel_map(
        [](int n) {
          if (n == 70) throw std::out_of_range("seventy");
          return n;
        },
        numbers(100), {.processes = 2});
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "seventy");
    try {
      std::rethrow_if_nested(e);
      FAIL();
    } catch (const RemoteError& remote) {
      EXPECT_EQ(remote.type_name(), "std::out_of_range");
      EXPECT_NE(remote.pid(), ::getpid());
    }
  }
}

TEST_F(Parallel, Faults05_WhatIsNoStandardExceptionArrivesAsRemoteError) {
  EXPECT_THROW(parallel_for_each([](int) { throw 5; }, numbers(10)), RemoteError);
}

TEST_F(Parallel, TheFirstFailedItemOfTheRangeSaysWhatIsThrown) {
  for (int round = 0; round < 20; ++round) {
    try {
      parallel_map(
          [](int n) {
            if (n == 30) ::usleep(3'000);  // later in time than the others
            if (n >= 30) throw std::runtime_error(std::to_string(n));
            return std::to_string(n);
          },
          numbers(1'000), {.processes = 4});
      FAIL();
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "30");
    }
  }
}

TEST_F(Parallel, AfterAFailureTheRestIsNotRun) {
  Shared<int> runs(0);
  EXPECT_THROW(parallel_for_each(
                   [&](int n) {
                     runs.add(1);
                     if (n == 0) throw std::runtime_error("first");
                     ::usleep(1'000);
                   },
                   numbers(100'000), {.processes = 2}),
               std::runtime_error);
  EXPECT_LT(runs.get(), 50'000);
}

TEST_F(Parallel, Faults20_AResultWhoseSerializerThrowsIsThatItemsFailure) {
  EXPECT_THROW(parallel_map(
                   [](int) {
                     auto [left, right] = Pipe();  // a connection travels through a connection only
                     return left;
                   },
                   numbers(3)),
               NotSendable);
}

TEST_F(Parallel, AReductionFailsWithTheExceptionOfItsFirstFailedChunk) {
  EXPECT_THROW(parallel_reduce(numbers(100), 0, std::plus<>(),
                               [](int n) {
                                 if (n > 10) throw std::domain_error("more than ten");
                                 return n;
                               },
                               {.processes = 2}),
               std::domain_error);
}

// --- deaths --------------------------------------------------------------------------------------------------------

// Perhaps not yet reaped by whoever has inherited it.
bool has_ended(pid_t pid) {
  char state = 0;
  return os::start_ticks(pid, &state) == 0 || state == 'Z' || state == 'X';
}

template <class F>
WorkerDied death_of(F item) {
  try {
    parallel_for_each(item, numbers(12), {.processes = 3});
  } catch (const WorkerDied& e) {
    return e;
  }
  ADD_FAILURE() << "the call came back";
  return {0, 0, ""};
}

TEST_F(Parallel, Faults01_AKilledChildFailsTheCallAndNamesItsItem) {
  const WorkerDied death = death_of([](int n) {
    if (n == 5) ::kill(::getpid(), SIGKILL);
  });
  EXPECT_EQ(death.signal(), SIGKILL);
  EXPECT_NE(death.pid(), ::getpid());
  EXPECT_NE(death.task().find("parallel_for_each of "), std::string::npos) << death.task();
  EXPECT_TRUE(death.task().ends_with(", item 5")) << death.task();
}

TEST_F(Parallel, Faults03_ACrashFailsTheCall) {
  if (testing::under_asan || testing::under_tsan)
    GTEST_SKIP() << "the sanitizer reports the crash, and ends the child itself";
  EXPECT_EQ(death_of([](int n) {
              if (n == 3) *reinterpret_cast<volatile int*>(16) = 1;
            }).signal(),
            SIGSEGV);
  EXPECT_EQ(death_of([](int n) {
              if (n == 11) std::abort();
            }).signal(),
            SIGABRT);
}

TEST_F(Parallel, Faults04_AnExitFailsTheCallWithItsCode) {
  EXPECT_EQ(death_of([](int n) {
              if (n == 7) std::exit(3);
            }).exit_code(),
            3);
  EXPECT_EQ(death_of([](int n) {
              if (n == 7) ::_exit(0);
            }).exit_code(),
            0);
  if (testing::under_ubsan()) return;  // it does not know the exception that is none
  EXPECT_EQ(death_of([](int n) {
              if (n == 7) ::pthread_exit(nullptr);
            }).exit_code(),
            0);
}

TEST_F(Parallel, ADeathInAReductionNamesItsChunk) {
  try {
    parallel_reduce(numbers(100), 0, std::plus<>(),
                    [](int n) {
                      if (n == 50) ::kill(::getpid(), SIGKILL);
                      return n;
                    },
                    {.processes = 2});
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_NE(death.task().find("parallel_reduce of std::plus<void>, item "), std::string::npos) << death.task();
  }
}

TEST_F(Parallel, ADeathEndsTheOtherChildrenAndWhatTheyHaveStarted) {
  Shared<pid_t> sleeper(0);
  Shared<pid_t> grandchild(0);
  const WorkerDied death = death_of([&](int n) {
    if (n == 0) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::setsid();
        ::signal(SIGTERM, SIG_IGN);
        for (;;) ::pause();
      }
      grandchild.set(pid);
      sleeper.set(::getpid());
      for (;;) ::pause();
    }
    while (sleeper.get() == 0) ::usleep(100);
    if (n == 1) ::kill(::getpid(), SIGKILL);
  });
  EXPECT_EQ(death.signal(), SIGKILL);
  EXPECT_EQ(::kill(sleeper.get(), 0), -1);
  testing::eventually([&] { return has_ended(grandchild.get()); });
}

TEST_F(Parallel, Faults10_WhatADeadChildHasStartedIsGoneToo) {
  Shared<pid_t> grandchild(0);
  const WorkerDied death = death_of([&](int n) {
    if (n != 0) return;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::signal(SIGTERM, SIG_IGN);
      for (;;) ::pause();
    }
    grandchild.set(pid);
    ::kill(::getpid(), SIGKILL);
  });
  EXPECT_EQ(death.signal(), SIGKILL);
  testing::eventually([&] { return has_ended(grandchild.get()); });
}

TEST_F(Parallel, TheNextCallAfterADeathIsAsGoodAsAny) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_THROW(parallel_for_each([](int n) { ::kill(::getpid(), n == 3 ? SIGKILL : 0); }, numbers(8)), WorkerDied);
    EXPECT_EQ(parallel_map([](int n) { return n; }, numbers(8)), numbers(8));
  }
}

// --- where it is called --------------------------------------------------------------------------------------------

TEST_F(Parallel, ACallInsideACallWorks) {
  const auto sums = parallel_map(
      [](int n) {
        const auto inner = parallel_map([n](int m) { return n * m; }, numbers(10), {.processes = 2});
        return std::accumulate(inner.begin(), inner.end(), 0);
      },
      numbers(6), {.processes = 3});
  EXPECT_EQ(sums, (std::vector<int>{0, 45, 90, 135, 180, 225}));
}

TEST_F(Parallel, ACallInsideAPoolTaskWorks) {
  Pool pool(2);
  const auto sums =
      pool.map([](int n) { return parallel_reduce(numbers(100), n, std::plus<>(), {.processes = 2}); }, numbers(4));
  EXPECT_EQ(sums, (std::vector<int>{4950, 4951, 4952, 4953}));
  pool.close();
  pool.join();
}

TEST_F(Parallel, APoolAndAProcessInsideAnItemWork) {
  const auto sums = parallel_map(
      [](int n) {
        Process child([] {});
        child.start();
        child.join();
        Pool pool(2);
        const auto all = pool.map([](int m) { return m + 1; }, numbers(n));
        return std::accumulate(all.begin(), all.end(), *child.exitcode());
      },
      numbers(4), {.processes = 2});
  EXPECT_EQ(sums, (std::vector<int>{0, 1, 3, 6}));
}

TEST_F(Parallel, ADeathInsideANestedCallIsTheExceptionOfItsItem) {
  try {
    parallel_map([](int n) { return parallel_map([](int) -> int { ::_exit(4); }, numbers(2)).size() + n; }, numbers(3));
    FAIL();
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.exit_code(), 4);
  }
}

TEST_F(Parallel, CallsFromSeveralThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&right, t] {
      for (int round = 0; round < 5; ++round) {
        const auto all = parallel_map([t](int n) { return std::to_string(n + t); }, numbers(100), {.processes = 2});
        right += all[99] == std::to_string(99 + t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 20);
}

TEST_F(Parallel, Faults28_WhileOtherThreadsAllocateAndPrintChildrenDoNotHang) {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) std::fprintf(stderr, "%s", std::string(1'000, '\0').substr(1'000).c_str());
  });
  for (int round = 0; round < 30; ++round) {
    EXPECT_EQ(parallel_map([](int n) { return std::to_string(n); }, numbers(50), {.processes = 2})[49], "49");
  }
  stop = true;
  busy.join();
}

TEST_F(Parallel, TheNumberOfProcessesIsChecked) {
  EXPECT_THROW(parallel_for_each([](int) {}, numbers(1), {.processes = -1}), std::invalid_argument);
  EXPECT_THROW(parallel_for_each([](int) {}, numbers(1), {.processes = 1025}), std::invalid_argument);
}

// --- the end of a child --------------------------------------------------------------------------------------------

struct Loud {
  ~Loud() { std::fputs("destroyed\n", stdout); }
};

TEST_F(Parallel, StandardStreamsAreWrittenOnceAndNoStaticDestructorRuns) {
  Captured out(1);
  Program program([] {
    static Loud loud;
    std::setvbuf(stdout, nullptr, _IOFBF, 4'096);
    std::printf("before\n");
    parallel_for_each([](int) { std::printf("item\n"); }, numbers(3), {.processes = 3});
    std::printf("after\n");
    return 0;
  });
  EXPECT_EQ(program.status(), 0);
  EXPECT_EQ(out.text(), "before\nitem\nitem\nitem\nafter\ndestroyed\n");
}

TEST_F(Parallel, AProcessThatAnItemHasStartedIsWaitedFor) {
  Shared<int> done(0);
  parallel_for_each(
      [&](int) {
        Process child([&] {
          ::usleep(20'000);
          done.add(1);
        });
        child.start();
      },
      numbers(2), {.processes = 2});
  EXPECT_EQ(done.get(), 2);
}

// --- what programs do ----------------------------------------------------------------------------------------------

TEST_F(Parallel, Faults27_AProgramThatIgnoresSigchldOrReapsEverythingGetsItsResults) {
  const auto old = ::signal(SIGCHLD, SIG_IGN);
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(parallel_map([](int n) { return n; }, numbers(20), {.processes = 2}), numbers(20));
  }
  EXPECT_THROW(parallel_for_each([](int) { ::_exit(3); }, numbers(3)), WorkerDied);
  ::signal(SIGCHLD, old);
  std::atomic<bool> stop{false};
  std::thread thief([&] {
    while (!stop) {
      ::waitpid(-1, nullptr, 0);
      ::sched_yield();
    }
  });
  for (int round = 0; round < 30; ++round) {
    EXPECT_EQ(parallel_map([](int n) { return std::to_string(n); }, numbers(20), {.processes = 2})[19], "19");
  }
  EXPECT_THROW(parallel_for_each([](int) { ::_exit(3); }, numbers(3)), WorkerDied);
  stop = true;
  thief.join();
}

TEST_F(Parallel, Faults27_AnItemThatClosesAllDescriptorsLosesPlainResultsNeverAndOthersWithAnError) {
  const auto close_all = [](int n) {
    for (int fd = 3; fd < 100; ++fd) ::close(fd);
    return n;
  };
  EXPECT_EQ(parallel_map(close_all, numbers(3), {.processes = 1}), numbers(3));
  EXPECT_THROW(parallel_map([&](int n) { return std::to_string(close_all(n)); }, numbers(3)), OsError);
}

TEST_F(Parallel, Faults27_AProgramThatClosesAllDescriptorsMeanwhileGetsPlainResults) {
  if (testing::under_tsan) GTEST_SKIP() << "a race for descriptors is what this is about";
  Program program([] {
    Shared<int> closed(0);
    std::thread closer;
    const auto started = std::make_shared<Shared<int>>(0);
    closer = std::thread([&] {
      while (started->get() < 2) ::usleep(100);
      for (int fd = 3; fd < 100; ++fd) ::close(fd);
      closed.set(1);
    });
    const auto all = parallel_map(
        [&](int n) {
          started->add(1);
          while (closed.get() == 0) ::usleep(100);
          return n;
        },
        numbers(4), {.processes = 2});
    closer.join();
    return all == numbers(4) ? 0 : 1;
  });
  EXPECT_EQ(program.status(), 0);
}

TEST_F(Parallel, Faults26_OutOfDescriptorsOrProcessesIsAnErrorAndNothingIsLeft) {
  Program program([] {
    parallel_for_each([](int) {}, numbers(2));
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 8;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    int errors = 0;
    try {
      parallel_for_each([](int) {}, numbers(100), {.processes = 100});
    } catch (const OsError& e) {
      errors += e.code() == std::errc::too_many_files_open;
    }
    return errors == 1 && children_of(::getpid()).empty() ? 0 : 1;
  });
  EXPECT_EQ(program.status(), 0);
}

}  // namespace
}  // namespace multiprocessing
