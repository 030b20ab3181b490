// Inputs that are views: lazy, endless, to be read once.
#include <gtest/gtest.h>

// clang 14 cannot compile the views of this standard library.
#if !defined(__clang__) || __clang_major__ >= 16

#include <numeric>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

int test(int x) { return x + 100; }

class PoolViews : public ::testing::Test {
 protected:
  Watchdog dog{60s};
  Pool pool{3};
};

TEST_F(PoolViews, MapTakesThem) {
  EXPECT_EQ(pool.map(test, std::views::iota(0, 5)), (std::vector{100, 101, 102, 103, 104}));
  EXPECT_EQ(pool.map(test, std::views::iota(0, 10) | std::views::filter([](int n) { return n % 2 == 0; })),
            (std::vector{100, 102, 104, 106, 108}));
}

TEST_F(PoolViews, MapTakesASinglePassRange) {
  std::istringstream text("4 5 6");
  EXPECT_EQ(pool.map(test, std::views::istream<int>(text)), (std::vector{104, 105, 106}));
}

TEST_F(PoolViews, ImapLeftHalfwayDoesNotKeepThePoolFromEnding) {
  for (int r : pool.imap(test, std::views::iota(0))) {
    if (r == 120) break;
  }
  pool.close();
  pool.join();
}

TEST_F(PoolViews, ImapAfterTheEndOfThePoolThrowsEachTimeInsteadOfHanging) {
  auto results = pool.imap(test, std::views::iota(0));
  auto it = results.begin();
  pool.terminate();
  int thrown = 0;
  for (int i = 0; i < 200 && thrown < 100; ++i) {
    try {
      ++it;
    } catch (const std::invalid_argument&) {
      ++thrown;
    } catch (const Cancelled&) {
      ++thrown;
    }
  }
  EXPECT_EQ(thrown, 100);
}

TEST_F(PoolViews, Faults22_ImapReadsAnEndlessInputOnlyABoundedWayAhead) {
  int read = 0;
  auto endless = std::views::iota(0) | std::views::transform([&read](int n) {
                   ++read;
                   return n;
                 });
  auto results = pool.imap(test, endless);
  EXPECT_EQ(read, 0);
  auto it = results.begin();
  EXPECT_EQ(*it, 100);
  EXPECT_LE(read, 64);
  for (int i = 0; i < 500; ++i) ++it;
  EXPECT_EQ(*it, 600);
  EXPECT_LE(read, 500 + 64);
}

}  // namespace
}  // namespace multiprocessing

#endif
