// A manager that is reached by a socket: from its own program, which is as far as a test goes.
#include <gtest/gtest.h>

#include <string>

#include "multiprocessing/manager.hpp"

namespace mp = multiprocessing;
namespace {

const std::string key = "a key of sixteen bytes or more";

TEST(RemoteManagerTest, FindsAnObjectByItsName) {
  const mp::Manager manager({.address = "tcp://127.0.0.1:0", .authkey = key});
  const auto here = manager.dict<std::string, int>("counts");
  here.set("a", 1);
  const auto remote = mp::connect_manager(manager.address(), key);
  EXPECT_EQ((remote.dict<std::string, int>("counts").at("a")), 1);
}

}  // namespace
