// What a program is told that has asked for it.
#include "multiprocessing/log.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/context.hpp"
#include "multiprocessing/process.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Program;
using testing::Watchdog;

// What a program writes to stderr that ends with 0.
template <class F>
std::string said_by(F main) {
  testing::Captured err(2);
  Program host(main);
  const int status = host.status();
  const std::string text = err.text();
  EXPECT_EQ(status, 0) << text;
  return text;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

// The number of the first line that matches, or how many there are.
std::size_t line_with(const std::string& text, const std::string& pattern) {
  const std::vector<std::string> all = lines(text);
  std::size_t at = 0;
  while (at < all.size() && !std::regex_match(all[at], std::regex(pattern))) ++at;
  return at;
}

int work_of_everyone() {
  Process p([] {});
  p.start();
  p.join();
  Pool pool(2);
  try {
    pool.apply([] { ::raise(SIGKILL); });
    return 1;
  } catch (const WorkerDied&) {
  }
  for (int i = 0; i < 20; ++i) pool.apply([] {});
  return 0;
}

TEST(PoolLog, NothingIsSaidWithoutBeingAsked) {
  Watchdog dog{60s};
  EXPECT_EQ(said_by([] { return work_of_everyone(); }), "");
}

TEST(PoolLog, EveryLineIsWholeAndHasPythonsForm) {
  Watchdog dog{60s};
  const std::string text = said_by([] {
    log_to_stderr(LogLevel::debug);
    return work_of_everyone();
  });
  EXPECT_EQ(text.back(), '\n');
  for (const std::string& line : lines(text)) {
    EXPECT_TRUE(std::regex_match(line, std::regex(R"(\[(DEBUG|INFO|WARNING|ERROR)/[A-Za-z0-9:-]+\] [^\[]+)"))) << line;
  }
}

TEST(PoolLog, AChildSaysThatItBeginsAndHowItEnds) {
  Watchdog dog{60s};
  const std::string text = said_by([] {
    log_to_stderr(LogLevel::info);
    Process p({.name = "reader"}, [] { std::exit(3); });
    p.start();
    p.join();
    return 0;
  });
  const std::size_t begins = line_with(text, R"(\[INFO/reader\] child process calling self\.run\(\))");
  const std::size_t ends = line_with(text, R"(\[INFO/reader\] process exiting with exitcode 3)");
  const std::size_t is_reaped =
      line_with(text, R"(\[INFO/MainProcess\] process reader \(\d+\) has ended: exit code 3)");
  EXPECT_LT(begins, ends) << text;
  EXPECT_LT(ends, is_reaped) << text;
  EXPECT_LT(is_reaped, lines(text).size()) << text;
}

class PoolLogUnder : public ::testing::TestWithParam<StartMethod> {};

TEST_P(PoolLogUnder, TheLevelReachesProcessesWorkersAndWhatTheyStart) {
  Watchdog dog{60s};
  const std::string text = said_by([method = GetParam()] {
    log_to_stderr(LogLevel::info);
    Process p = get_context(method).process([] {
      Process grandchild({.name = "grandchild"}, [] {});
      grandchild.start();
      grandchild.join();
    });
    p.set_name("child");
    p.start();
    p.join();
    Pool pool = get_context(method).pool(1);
    pool.apply([] {});
    return 0;
  });
  for (const std::string who : {"child", "grandchild", "[A-Za-z]+PoolWorker-1"}) {
    EXPECT_LT(line_with(text, R"(\[INFO/)" + who + R"(\] child process calling self\.run\(\))"), lines(text).size())
        << text;
    EXPECT_LT(line_with(text, R"(\[INFO/)" + who + R"(\] process exiting with exitcode 0)"), lines(text).size())
        << text;
  }
  EXPECT_EQ(line_with(text, R"(\[INFO/MainProcess\] child process.*)"), lines(text).size()) << text;
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, PoolLogUnder, ::testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST(PoolLog, ADeathIsSaidAndThenTheReplacement) {
  Watchdog dog{60s};
  const std::string text = said_by([] {
    log_to_stderr(LogLevel::info);
    Pool pool(1);
    try {
      pool.apply([] { ::raise(SIGKILL); });
    } catch (const WorkerDied&) {
    }
    pool.apply([] {});
    return 0;
  });
  const std::size_t dies =
      line_with(text, R"(\[WARNING/MainProcess\] worker \d+ died of signal 9 \(Killed\) while it ran apply of .*)");
  const std::size_t is_replaced =
      line_with(text, R"(\[INFO/MainProcess\] worker \d+ takes the place of one that has ended)");
  EXPECT_LT(dies, is_replaced) << text;
  EXPECT_LT(is_replaced, lines(text).size()) << text;
}

TEST(PoolLog, ABrokenPoolIsAnError) {
  Watchdog dog{60s};
  const std::string text = said_by([] {
    log_to_stderr(LogLevel::error);
    Pool pool(1);
    ::kill(testing::supervisor(pool), SIGKILL);
    try {
      pool.apply(testing::sleep_in_task, 1);
      return 1;
    } catch (const PoolBroken&) {
      return 0;
    }
  });
  ASSERT_EQ(lines(text).size(), 1U) << text;
  EXPECT_EQ(text.find("[ERROR/MainProcess] the supervisor of the pool was killed"), 0U) << text;
}

TEST(PoolLog, ForksOfAProgramWithThreadsAreSaidOnce) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "the sanitizer has threads of its own";
  Watchdog dog{60s};
  const std::string text = said_by([] {
    log_to_stderr();
    std::atomic<bool> over{false};
    std::thread other([&] { over.wait(false); });
    for (int i = 0; i < 3; ++i) {
      Process p([] {});
      p.start();
      p.join();
    }
    over = true;
    over.notify_one();
    other.join();
    return 0;
  });
  ASSERT_EQ(lines(text).size(), 1U) << text;
  EXPECT_EQ(text.find("[WARNING/MainProcess] this program has 1 other thread while it forks"), 0U) << text;
  EXPECT_NE(text.find("forkserver"), std::string::npos);
}

TEST(PoolLog, ThreadsOfTheLibraryAreNotThoseOfTheProgram) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "the sanitizer has threads of its own";
  Watchdog dog{60s};
  EXPECT_EQ(said_by([] {
              log_to_stderr();
              Pool first(1);
              first.apply([] {});
              Pool second(1);
              Process p([] {});
              p.start();
              p.join();
              return 0;
            }),
            "");
}

}  // namespace
}  // namespace multiprocessing
