// Where the results of a map are while they arrive.  Memory of a type that asks for more alignment than others comes from
// an operator new of its own, which is counted here.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <numeric>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "pool/pool_test_support.hpp"
#include "support/sanitizers.hpp"

namespace {
constinit std::atomic<int> aligned_allocations{0};
}

// ThreadSanitizer brings its own, and there is no place for two.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MP_OPERATOR_NEW_IS_TAKEN
#endif
#endif
#if !defined(MP_OPERATOR_NEW_IS_TAKEN)
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++aligned_allocations;
  void* const memory = std::aligned_alloc(static_cast<std::size_t>(alignment), bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Watchdog;

struct alignas(256) Plain {
  int number = 0;
};

class PoolInPlace : public ::testing::Test {
 protected:
  PoolInPlace() { std::iota(numbers.begin(), numbers.end(), 0); }
  Watchdog dog{60s};
  Pool pool{2};
  std::vector<int> numbers = std::vector<int>(1000);
};

TEST_F(PoolInPlace, PlainResultsOfAMapAreWrittenWhereTheCallerGetsThem) {
  const int before = aligned_allocations;
  const std::vector<Plain> results = pool.map([](int n) { return Plain{n + 100}; }, numbers);
  EXPECT_EQ(aligned_allocations - before, testing::under_tsan ? 0 : 1);
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(results[i].number, numbers[i] + 100);
}

TEST_F(PoolInPlace, BooleansComeBackFromAMap) {
  const std::vector<bool> results = pool.map([](int n) { return n % 3 == 0; }, numbers);
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(results[i], numbers[i] % 3 == 0);
}

}  // namespace
}  // namespace multiprocessing
