// Views and streams as the input of parallel calls.
//
// clang 14 cannot compile the views of this standard library.
#if !defined(__clang__) || __clang_major__ >= 16
#include <gtest/gtest.h>

#include <functional>
#include <ranges>
#include <sstream>
#include <string>
#include <vector>

#include "multiprocessing/parallel.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using testing::Watchdog;

TEST(ParallelViews, AViewIsReadInTheChildren) {
  const Watchdog dog{std::chrono::seconds(60)};
  EXPECT_EQ(parallel_map([](int n) { return 2 * n; }, std::views::iota(0, 3)), (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(parallel_reduce(std::views::iota(0, 1'000), 0, std::plus<>()), 499'500);
}

TEST(ParallelViews, AStreamIsCollectedFirst) {
  const Watchdog dog{std::chrono::seconds(60)};
  std::istringstream words("one two three");
  const auto lengths = parallel_map([](const std::string& word) { return word.size(); },
                                    std::ranges::istream_view<std::string>(words), {.processes = 2});
  EXPECT_EQ(lengths, (std::vector<std::size_t>{3, 3, 5}));
  auto even = std::views::iota(0, 10) | std::views::filter([](int n) { return n % 2 == 0; });
  EXPECT_EQ(parallel_map([](int n) { return n + 1; }, even), (std::vector<int>{1, 3, 5, 7, 9}));
}

}  // namespace
}  // namespace multiprocessing
#endif
