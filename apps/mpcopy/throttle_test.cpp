#include "throttle.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "support/watchdog.hpp"

namespace mpcopy {
namespace {

using namespace std::chrono_literals;
using multiprocessing::testing::Watchdog;

TEST(Throttle, LimitsAllProcessesTogether) {
  Watchdog dog{60s};
  Throttle throttle(1'000'000);
  const auto begin = std::chrono::steady_clock::now();
  pid_t children[2];
  for (pid_t& child : children) {
    child = ::fork();
    if (child != 0) continue;
    for (int i = 0; i < 10; ++i) Throttle::inherited()->pay(25'000);
    ::_exit(0);
  }
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 400ms);  // 500 kB, but for what may be saved
}

TEST(Throttle, IsNotThereWithoutALimit) { EXPECT_EQ(Throttle::inherited(), nullptr); }

}  // namespace
}  // namespace mpcopy
