#include "multiprocessing/wait.hpp"

#include <gtest/gtest.h>
namespace multiprocessing {
namespace {
using namespace std::chrono_literals;
TEST(WaitTest, Smoke) {
  auto [left, right] = Pipe();
  Queue<int> queue;
  EXPECT_TRUE(wait({left, queue}, 10ms).empty());
  EXPECT_TRUE(wait({queue}, 10ms).empty());
  EXPECT_TRUE(wait({left}, 10ms).empty());
  queue.put(1);
  EXPECT_EQ(wait({left, queue}), std::vector<std::size_t>{1});
}
}  // namespace
}  // namespace multiprocessing
