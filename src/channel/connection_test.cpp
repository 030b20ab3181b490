#include "multiprocessing/connection.hpp"

#include <gtest/gtest.h>
namespace multiprocessing {
namespace {
TEST(ConnectionTest, Smoke) {
  auto [left, right] = Pipe();
  left.send(std::vector<int>{1, 2, 3});
  EXPECT_EQ(right.recv<std::vector<int>>(), (std::vector<int>{1, 2, 3}));
  right.send("x");
  EXPECT_THROW(left.recv<int>(), TypeMismatch);
  EXPECT_EQ(left.recv<std::string>(), "x");
  left.send(right);
  Connection again = right.recv<Connection>();
  left.send(5);
  EXPECT_EQ(again.recv<int>(), 5);
}
}  // namespace
}  // namespace multiprocessing
