#include "multiprocessing/sharedctypes.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "support/crash.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Watchdog;

class SharedctypesTest : public ::testing::Test {
  Watchdog dog_{120s};
};

struct Point {
  double x, y, z;
  bool operator==(const Point&) const = default;
};

TEST_F(SharedctypesTest, AValueIsOneForAllProcesses) {
  const Value<Point> point({1, 2, 3});
  Child child{Child::member, [&] {
                MP_REQUIRE(point.get() == (Point{1, 2, 3}));
                point.set({4, 5, 6});
              }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(point.get(), (Point{4, 5, 6}));
}

TEST_F(SharedctypesTest, UpdateLosesNoIncrement) {
  const Value<long> counter(0);
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back(Child::member, [&] {
      for (int k = 0; k < 5'000; ++k) counter.update([](long& n) { n += 1; });
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(counter.get(), 20'000);
}

TEST_F(SharedctypesTest, UpdateReturnsWhatTheFunctionReturns) {
  const Value<int> value(5);
  EXPECT_EQ(value.update([](int& n) { return n++; }), 5);
  EXPECT_EQ(value.update([](int& n) -> int& { return ++n; }), 7);
  EXPECT_EQ(value.update([](int& n) { return std::to_string(n); }), "7");
}

TEST_F(SharedctypesTest, AnUpdateThatThrowsChangesNothing) {
  const Value<int> value(5);
  EXPECT_THROW(value.update([](int& n) {
    n = 6;
    throw std::domain_error("no");
  }),
               std::domain_error);
  EXPECT_EQ(value.get(), 5);
  std::thread([&] { value.set(7); }).join();  // and the lock is free
}

TEST_F(SharedctypesTest, ItsLockMayBeHeldOverSeveralCalls) {
  const Value<int> value;
  EXPECT_EQ(value.get(), 0);
  const RLock lock = value.lock();
  const std::scoped_lock hold(lock);
  value.set(value.get() + 1);
  EXPECT_EQ(value.update([](int& n) { return n; }), 1);
  std::thread([&] { EXPECT_FALSE(value.lock().acquire(5ms)); }).join();
}

TEST_F(SharedctypesTest, AnArrayIsZerosAndOneForAllProcesses) {
  const Array<double> grid(1'000'000);
  EXPECT_EQ(grid.size(), 1'000'000U);
  EXPECT_EQ(std::accumulate(grid.begin(), grid.end(), 0.0), 0.0);
  Child child{Child::member, [&] {
                grid[999'999] = 2.5;
                grid.span()[0] = 1.5;
              }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(grid[0], 1.5);
  EXPECT_EQ(grid[999'999], 2.5);
}

TEST_F(SharedctypesTest, CopiesAreHandlesOfOneObject) {
  Array<int> array(3);
  Array<int> copy = array;  // of what is not const, too
  copy[1] = 5;
  EXPECT_EQ(array[1], 5);
  Value<int> value(1);
  Value<int> also = value;
  also.set(2);
  EXPECT_EQ(value.get(), 2);
}

TEST_F(SharedctypesTest, AnArrayIsMadeOfARange) {
  const Array<int> numbers(std::vector{3, 1, 2});
  EXPECT_TRUE(std::ranges::equal(numbers.span(), std::array{3, 1, 2}));
  const Array<char> text(std::string("abc"));
  EXPECT_EQ(text[2], 'c');
  const Array<int> none(0);
  EXPECT_EQ(none.size(), 0U);
  EXPECT_TRUE(none.span().empty());
}

TEST_F(SharedctypesTest, AnArraysSizeIsNotNegativeNorBeyondMemory) {
  EXPECT_THROW(Array<int>(-1), std::invalid_argument);
  EXPECT_THROW(Array<int>(std::size_t{1} << 62), OsError);
  EXPECT_THROW(Array<int>(std::size_t{1} << 55), OsError);
}

TEST_F(SharedctypesTest, AHugeArrayCostsWhatIsTouched) {
  const auto resident = [] {
    long pages = 0;
    long skipped = 0;
    FILE* statm = std::fopen("/proc/self/statm", "r");
    const int read = std::fscanf(statm, "%ld %ld", &skipped, &pages);
    std::fclose(statm);
    EXPECT_EQ(read, 2);
    return pages * 4096L;
  };
  const long before = resident();
  const Array<std::uint64_t> huge(std::size_t{1} << 30);  // 8 GiB
  huge[0] = 1;
  huge[huge.size() - 1] = 2;
  EXPECT_EQ(huge[huge.size() / 2], 0U);
  EXPECT_LT(resident() - before, 64 << 20);
}

TEST_F(SharedctypesTest, TheMemoryOfAnArrayIsGivenBack) {
  { const Array<char> warm_up(1); }  // the page of small blocks stays
  const memory::Stats before = memory::stats();
  {
    const Array<char> array(100 << 20);
    std::ranges::fill(array, 'x');
    EXPECT_GE(memory::stats().heap_bytes - before.heap_bytes, 100U << 20);
  }
  EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
  const Array<char> next(100 << 20);
  EXPECT_EQ(next[50 << 20], 0);  // zeros again
}

TEST_F(SharedctypesTest, BothTravelInMessages) {
  const Value<int> value(1);
  const Array<int> array(10);
  codec::Encoder out;
  codec::encode(out, value);
  codec::encode(out, array);
  codec::Decoder in(out.bytes());
  codec::decode<Value<int>>(in).set(2);
  codec::decode<Array<int>>(in)[9] = 3;
  EXPECT_EQ(value.get(), 2);
  EXPECT_EQ(array[9], 3);
}

TEST_F(SharedctypesTest, AnArrayReadAsAnotherTypeIsRefused) {
  const Array<int> array(10);
  codec::Encoder out;
  codec::encode(out, array);
  codec::Decoder in(out.bytes());
  EXPECT_THROW(codec::decode<Array<double>>(in), TypeMismatch);
}

}  // namespace
}  // namespace multiprocessing
