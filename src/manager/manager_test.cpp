#include "multiprocessing/manager.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "multiprocessing/process.hpp"
#include "support/watchdog.hpp"

namespace mp = multiprocessing;
namespace {

TEST(ManagerTest, DictKeepsWhatIsSet) {
  const mp::Manager manager;
  const auto dict = manager.dict<std::string, int>();
  dict.set("a", 1);
  EXPECT_EQ(dict.at("a"), 1);
  dict.update("a", [](int& n) { ++n; });
  EXPECT_EQ(dict.at("a"), 2);
}

}  // namespace
