// Where a task crashed and where an exception was thrown, as the program is told.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <barrier>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

// --- tasks that crash; each names itself, and its line -----------------------------------------------------------------

[[gnu::noinline]] int read_through(const volatile int* pointer) { return *pointer; }
constexpr int read_through_line = __LINE__ - 1;

int segfault(int offset) { return read_through(reinterpret_cast<const volatile int*>(offset)) + 1; }
constexpr int segfault_line = __LINE__ - 1;

[[gnu::noinline]] int divide(int number, int by) { return number / by; }
constexpr int divide_line = __LINE__ - 1;
int divide_by(int by) { return divide(7, by) + 1; }

[[gnu::noinline]] int overflow(int n) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(n);
  const int below = n < 0 ? 0 : overflow(n + 1);
  return below + frame[0];  // read after the call: no loop can be made of it
}

[[gnu::noinline]] void free_twice(void* given) {
  void* volatile block = given;
  std::free(block);
  std::free(block);
}
int corrupt_heap(int size) {
  free_twice(std::malloc(static_cast<std::size_t>(size)));
  return size;
}

int jump_nowhere(int value) {
  int (*volatile nowhere)(int) = nullptr;
  return nowhere(value) + 1;
}

int crash_in_thread(int value) {
  std::thread thread([value] { static_cast<void>(segfault(value)); });
  thread.join();
  return 0;
}

// Overwrites where it would return to, and what of the stack is its callers'.
[[gnu::noinline]] void smash_stack(int signo) {
  volatile long* const frame = static_cast<long*>(__builtin_frame_address(0));
  for (int i = 0; i < 20; ++i) frame[i] = 0x4141414141414141;
  ::raise(signo);
}
constexpr int smash_line = __LINE__ - 2;

WorkerDied death_in(Pool& pool, int (*task)(int), int argument) {
  try {
    pool.apply(task, argument);
  } catch (const WorkerDied& death) {
    return death;
  }
  ADD_FAILURE() << "the task came back";
  return {0, 0, ""};
}

std::string here(int line) { return std::string("crash_test.cpp:") + std::to_string(line); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
#define EXPECT_HAS(text, part) EXPECT_TRUE(contains(text, part)) << (text) << "\n  has no " << (part)

class PoolCrash : public ::testing::Test {
 protected:
  Watchdog dog{120s};
  Pool pool{1};

  ~PoolCrash() override {
    EXPECT_EQ(pool.apply([] { return 1; }), 1) << "the pool does not go on";
  }
  void SetUp() override {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }
};

TEST_F(PoolCrash, Faults03_ASegmentationFaultIsToldWithFunctionFileAndLine) {
  const WorkerDied death = death_in(pool, segfault, 16);
  std::puts(death.what());
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGSEGV);
  EXPECT_HAS(death.stack(), "signal 11 (Segmentation fault) at address 0x10\n#0 ");
  EXPECT_HAS(death.stack(), "read_through(int const volatile*) at ");
  EXPECT_HAS(death.stack(), here(read_through_line));
  EXPECT_HAS(death.stack(), "segfault(int) at ");
  EXPECT_HAS(death.stack(), here(segfault_line));
  EXPECT_HAS(death.what(), "read_through(int const volatile*)");
  EXPECT_HAS(death.what(), here(read_through_line));
}

TEST_F(PoolCrash, Faults03_ADivisionByZeroIsToldWithItsLine) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan reports it itself";
  const WorkerDied death = death_in(pool, divide_by, 0);
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGFPE);
  EXPECT_HAS(death.stack(), here(divide_line));
}

TEST_F(PoolCrash, Faults03_AStackOverflowIsToldByTheFunctionThatRecurs) {
  const WorkerDied death = death_in(pool, overflow, 0);
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGSEGV);
  EXPECT_HAS(death.stack(), "overflow(int) at ");
  EXPECT_HAS(death.stack(), " more)");
}

TEST_F(PoolCrash, Faults03_ACorruptedHeapIsToldByWhoFoundIt) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "the sanitizer's heap tells it itself";
  const WorkerDied death = death_in(pool, corrupt_heap, 100);
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGABRT);
  EXPECT_HAS(death.stack(), "free_twice(void*) at ");
  EXPECT_HAS(death.stack(), "corrupt_heap(int) at ");
  EXPECT_HAS(death.what(), "free_twice");
}

TEST_F(PoolCrash, Faults03_ACallThroughANullPointerIsToldByItsCaller) {
  const WorkerDied death = death_in(pool, jump_nowhere, 1);
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGSEGV);
  EXPECT_HAS(death.stack(), "jump_nowhere(int) at ");
}

TEST_F(PoolCrash, Faults03_ACrashInAThreadOfTheTaskIsItsDeath) {
  const WorkerDied death = death_in(pool, crash_in_thread, 16);
  std::puts(death.stack().c_str());
  EXPECT_EQ(death.signal(), SIGSEGV);
  EXPECT_HAS(death.stack(), "segfault(int) at ");
}

TEST_F(PoolCrash, Faults03_AStackOverflowInAThreadOfTheTaskIsItsDeath) {
  const WorkerDied death = death_in(
      pool,
      +[](int n) {
        std::thread([n] { static_cast<void>(overflow(n)); }).join();
        return 0;
      },
      0);
  EXPECT_EQ(death.signal(), SIGSEGV);
}

TEST_F(PoolCrash, Faults03_ThreadsThatCrashTogetherAreOneDeath) {
  const auto crash_together = [](int n) {
    std::barrier start(8);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([n, i, &start] {
        start.arrive_and_wait();
        if (i % 2 == 0) std::abort();
        static_cast<void>(segfault(n));
      });
    }
    for (std::thread& thread : threads) thread.join();
    return 0;
  };
  for (int round = 0; round < 20; ++round) {
    const WorkerDied death = death_in(pool, +crash_together, 16);
    EXPECT_TRUE(death.signal() == SIGSEGV || death.signal() == SIGABRT) << death.what();
    EXPECT_HAS(death.stack(), "crash_test.cpp:");
  }
}

TEST_F(PoolCrash, Faults03_ASmashedStackIsStillADeathOfTheFirstSignal) {
  for (const int signo : {SIGABRT, SIGFPE, SIGSEGV}) {
    const WorkerDied death = death_in(
        pool,
        +[](int n) {
          smash_stack(n);
          return 0;
        },
        signo);
    EXPECT_EQ(death.signal(), signo);
    EXPECT_HAS(death.stack(), here(smash_line));
  }
}

TEST_F(PoolCrash, Faults03_EverySignalOfACrashKeepsItsStatusAndHasAStack) {
  for (const int signo : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP}) {
    const WorkerDied death = death_in(
        pool,
        +[](int n) {
          ::raise(n);
          return 0;
        },
        signo);
    EXPECT_EQ(death.signal(), signo);
    EXPECT_HAS(death.stack(), "crash_test.cpp:");
  }
}

TEST_F(PoolCrash, AWorkerThatIsKilledHasNoStack) {
  const WorkerDied death = death_in(
      pool,
      +[](int n) {
        ::raise(n);
        return 0;
      },
      SIGKILL);
  EXPECT_EQ(death.signal(), SIGKILL);
  EXPECT_EQ(death.stack(), "");
}

TEST_F(PoolCrash, AChildOfATaskThatCrashesReportsNothingForIt) {
  const WorkerDied death = death_in(
      pool,
      +[](int n) {
        const pid_t child = ::fork();
        if (child == 0) static_cast<void>(segfault(n));
        int status = 0;
        ::waitpid(child, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) ::_exit(9);
        ::signal(SIGSEGV, SIG_DFL);  // of the same death, but without a report of its own
        ::raise(SIGSEGV);
        return 0;
      },
      16);
  EXPECT_EQ(death.signal(), SIGSEGV);
  EXPECT_EQ(death.stack(), "");
}

TEST_F(PoolCrash, AHandlerOfTheTasksOwnIsCalledInstead) {
  const WorkerDied death = death_in(
      pool,
      +[](int n) {
        ::signal(SIGSEGV, [](int) { ::_exit(17); });
        return segfault(n);
      },
      16);
  EXPECT_EQ(death.exit_code(), 17);
}

// --- what the task was -------------------------------------------------------------------------------------------------

enum class Colour { red = 3 };
struct Anything {
  int number = 0;
};
int many(int, double, bool, std::string, Colour, std::vector<int>, Anything) { ::_exit(1); }
[[noreturn]] int exit_two(int code, std::string) { ::_exit(code); }

template <class Call>
std::string task_of(Call call) {
  try {
    call();
  } catch (const WorkerDied& death) {
    return death.task();
  }
  return "no death";
}

TEST_F(PoolCrash, TheTaskIsNamedWithItsArgumentsWhereTheyArePrintable) {
  const std::string own = "multiprocessing::(anonymous namespace)::";
  EXPECT_EQ(task_of([this] {
              pool.apply(many, -1, 0.5, true, "say \"hello\"\n", Colour::red, std::vector<int>{1}, Anything{});
            }),
            "apply of " + own + R"(many(-1, 0.5, true, "say \"hello\"\n", )" + own +
                "Colour(3), std::vector<int, std::allocator<int> >, " + own + "Anything)");
  const std::string longer = task_of([this] { pool.apply(exit_two, 1, std::string(1000, 'x')); });
  EXPECT_HAS(longer, "xxx…\")");
  EXPECT_LT(longer.size(), 200U);
  EXPECT_HAS(task_of([this] { pool.apply([](int n) { ::_exit(n); }, 1); }), "{lambda(int)#1}(1)");
}

TEST_F(PoolCrash, TheTaskOfAMapIsNamedWithTheItemOrTheItemsOfItsChunk) {
  const std::string own = "multiprocessing::(anonymous namespace)::";
  const std::vector<std::tuple<int, std::string>> items{{7, "a"}, {8, "b"}};
  EXPECT_EQ(task_of([&] { pool.starmap(exit_two, items, {.chunksize = 1}); }),
            "map of " + own + "exit_two(7, \"a\"), item 0");
  EXPECT_EQ(task_of([&] { pool.starmap(exit_two, items, {.chunksize = 2}); }),
            "map of " + own + "exit_two, items 0 to 1");
  EXPECT_EQ(task_of([&] {
              for (const int n : pool.imap(jump_nowhere, std::vector<int>{5}, {.chunksize = 1})) static_cast<void>(n);
            }),
            "imap of " + own + "jump_nowhere(5), chunk 0");
}

// --- exceptions --------------------------------------------------------------------------------------------------------

[[gnu::noinline]] void throw_it(int value) {
  if (value >= 0) throw std::out_of_range("value " + std::to_string(value));
}
constexpr int throw_line = __LINE__ - 2;
int throws(int value) {
  std::string object(100, 'x');  // has a destructor: the unwinder stops here on its way
  throw_it(value);
  return static_cast<int>(object.size());
}
constexpr int throws_line = __LINE__ - 3;

template <class F>
std::string traceback_of(F call) {
  try {
    call();
  } catch (const RemoteError& error) {
    return error.traceback();
  } catch (const std::exception& error) {
    try {
      std::rethrow_if_nested(error);
    } catch (const RemoteError& remote) {
      return remote.traceback();
    }
  }
  return "nothing was thrown";
}

class PoolTraceback : public ::testing::Test {
 protected:
  Watchdog dog{120s};
  Pool pool{1};
};

TEST_F(PoolTraceback, Faults05_IsTheStackAtTheThrow) {
  const std::string text = traceback_of([this] { pool.apply(throws, 3); });
  std::puts(text.c_str());
  EXPECT_HAS(text, "#0 ");
  EXPECT_HAS(text, "throw_it(int) at ");
  EXPECT_HAS(text, here(throw_line));
  EXPECT_HAS(text, "throws(int) at ");
  EXPECT_HAS(text, here(throws_line));
  EXPECT_FALSE(contains(text, "__cxa_throw")) << text;
}

TEST_F(PoolTraceback, Faults05_IsThereForWhatIsNoStdException) {
  const std::string text = traceback_of([this] {
    pool.apply(
        +[](int n) { throw n; }, 1);
  });
  EXPECT_HAS(text, "crash_test.cpp:");
}

TEST_F(PoolTraceback, IsThatOfEachItemOfAChunk) {
  auto results = pool.imap(throws, std::vector<int>{-1, 1, 2}, {.chunksize = 3});
  auto it = results.begin();
  int good = 0;
  for (int i = 0; i < 3; ++i) {
    const std::string text = traceback_of([&] {
      if (i != 0) ++it;
      good += *it == 100;
    });
    EXPECT_EQ(contains(text, here(throw_line)), i != 0) << text;
  }
  EXPECT_EQ(good, 1);
}

TEST_F(PoolTraceback, NamesWhatIsCalledByTheStandardLibrary) {
  const std::string text = traceback_of([this] {
    pool.apply(
        +[](int n) { return std::vector<int>(3).at(static_cast<std::size_t>(n)); }, 5);
  });
  std::puts(text.c_str());
  EXPECT_HAS(text, "::at(unsigned long) ");
}

}  // namespace
}  // namespace multiprocessing
