// Value and Array: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <numeric>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;

class ValueClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(ValueClaims);
class ArrayClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(ArrayClaims);

struct Point {  // of the example
  double x;
  double y;
};

// The example of "Sharing state between processes": a child sets num and negates arr, and the parent prints them.
TEST_P(ValueClaims, TheExampleOfTheDocumentation) {
  mp::Value<double> num(0.0);
  mp::Array<int> arr(std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  start(
      [](mp::Value<double> n, mp::Array<int> a) {
        n.set(3.1415927);
        for (int& element : a) element = -element;
      },
      num, arr);
  join_all();
  EXPECT_EQ(num.get(), 3.1415927);
  EXPECT_EQ(std::vector(arr.begin(), arr.end()), (std::vector{0, -1, -2, -3, -4, -5, -6, -7, -8, -9}));
}

// "Return a ctypes object allocated from shared memory."
TEST_P(ValueClaims, WhatOneProcessSetsAllOthersGet) {
  mp::Value<int> value(1);
  start([](mp::Value<int> v) { require(v.get() == 1), v.set(2); }, value);
  join_all();
  start([](mp::Value<int> v) { require(v.get() == 2), v.set(3); }, value);
  join_all();
  EXPECT_EQ(value.get(), 3);
}

// "*args is passed on to the constructor for the type": without any it is zero.
TEST_P(ValueClaims, ItBeginsAsGivenOrZero) {
  EXPECT_EQ(mp::Value<int>(7).get(), 7);
  EXPECT_EQ(mp::Value<int>().get(), 0);
  EXPECT_EQ(mp::Value<double>().get(), 0.0);
}

// "typecode_or_type determines the type of the returned object": also a structure, as in the example.
TEST_P(ValueClaims, AStructureIsOneValue) {
  mp::Value<Point> point(Point{1.875, -6.25});
  start(
      [](mp::Value<Point> p) {
        p.update([](Point& at) {
          at.x *= at.x;
          at.y *= at.y;
        });
      },
      point);
  join_all();
  EXPECT_EQ(point.get().x, 3.515625);
  EXPECT_EQ(point.get().y, 39.0625);
}

// "although it is possible to store a pointer in shared memory remember that this will refer to a location in the address
// space of a specific process."  Here it does not compile.
static_assert(!mp::synchronize::plain_data<int*> && mp::synchronize::plain_data<Point>);

// "If lock is True (the default) then a new recursive lock object is created to synchronize access to the value."  Here
// each has its own, always.
TEST_P(ValueClaims, ItHasARecursiveLockOfItsOwn) {
  mp::Value<int> value(0);
  mp::Value<int> another(0);
  const std::scoped_lock hold(value.lock());
  EXPECT_TRUE(value.lock().try_acquire());
  value.lock().release();
  value.set(1);  // takes it again
  start([](mp::Value<int> v) { require(!v.lock().try_acquire()); }, value);
  start([](mp::Value<int> v) { v.set(1); }, another);
  join_all();
}

// "a synchronized wrapper for the object": an access waits while another process has the lock.
TEST_P(ValueClaims, AnAccessWaitsForItsLock) {
  mp::Value<int> value(0);
  Steps reads;
  Steps writes;
  {
    const std::scoped_lock hold(value.lock());
    start([](mp::Value<int> v, Steps s) { s.around([&] { require(v.get() >= 1); }); }, value, reads);
    start([](mp::Value<int> v, Steps s) { s.around([&] { v.update([](int& n) { n += 10; }); }); }, value, writes);
    EXPECT_TRUE(reads.blocks());
    EXPECT_TRUE(writes.blocks());
    value.set(1);
  }
  join_all();
  EXPECT_EQ(value.get(), 11);
}

// "Operations like += which involve a read and write are not atomic.  So if, for instance, you want to atomically
// increment a shared value …  with counter.get_lock(): counter.value += 1", or here with update().
TEST_P(ValueClaims, IncrementsUnderItsLockAndByUpdateAreAtomic) {
  mp::Value<int> counter(0);
  for (int process = 0; process < 4; ++process) {
    start(
        [](mp::Value<int> n) {
          for (int i = 0; i < 250; ++i) {
            {
              const std::scoped_lock hold(n.lock());
              n.set(n.get() + 1);
            }
            n.update([](int& value) { ++value; });
          }
        },
        counter);
  }
  join_all();
  EXPECT_EQ(counter.get(), 2'000);
}

// --- Array ----------------------------------------------------------------------------------------------------------

// "If size_or_initializer is an integer, then it determines the length of the array, and the array will be initially
// zeroed."
TEST_P(ArrayClaims, ANumberIsItsLengthAndItIsZeroed) {
  {
    mp::Array<int> dirty(100'000);  // so that there is memory to be used again
    for (int& element : dirty) element = -1;
  }
  mp::Array<int> array(100'000);
  EXPECT_EQ(array.size(), 100'000U);
  start([](mp::Array<int> a) { require(a.size() == 100'000 && std::accumulate(a.begin(), a.end(), 0) == 0); }, array);
  EXPECT_EQ(mp::Array<int>(0).size(), 0U);
}

// Python's Array of a negative length is a ValueError.
TEST_P(ArrayClaims, ANegativeLengthIsAnInvalidArgument) { EXPECT_THROW(mp::Array<int>(-1), std::invalid_argument); }

// "Otherwise, size_or_initializer is a sequence which is used to initialize the array and whose length determines the
// length of the array."
TEST_P(ArrayClaims, ASequenceIsItsContentAndLength) {
  mp::Array<double> array(std::array{1.0, 2.0, 2.5});
  start([](mp::Array<double> a) { require(a.size() == 3 && a[0] == 1.0 && a[1] == 2.0 && a[2] == 2.5); }, array);
}

// "Return a ctypes array allocated from shared memory": elements, slices and iteration are of the same memory everywhere.
TEST_P(ArrayClaims, WhatOneProcessWritesAllOthersRead) {
  mp::Array<int> array(10);
  start(
      [](mp::Array<int> a) {
        a[0] = 1;
        for (int& element : a.span().subspan(5, 2)) element = 7;
      },
      array);
  join_all();
  EXPECT_EQ(std::vector(array.begin(), array.end()), (std::vector{1, 0, 0, 0, 0, 7, 7, 0, 0, 0}));
}

// The example: `Array(Point, [(1.875, -6.25), (-5.75, 2.0), (2.375, 9.5)])`, squared by the child.
TEST_P(ArrayClaims, AnArrayOfStructures) {
  mp::Array<Point> points(std::vector<Point>{{1.875, -6.25}, {-5.75, 2.0}, {2.375, 9.5}});
  start(
      [](mp::Array<Point> all) {
        for (Point& p : all) p = {p.x * p.x, p.y * p.y};
      },
      points);
  join_all();
  EXPECT_EQ(points[0].x, 3.515625);
  EXPECT_EQ(points[1].y, 4.0);
  EXPECT_EQ(points[2].x, 5.640625);
}

// "If lock is True (the default) then a new lock object is created to synchronize access to the value."  Here elements are
// plain memory, and whoever wants them together holds it.
TEST_P(ArrayClaims, ItHasARecursiveLockOfItsOwn) {
  mp::Array<int> array(2);
  for (int process = 0; process < 4; ++process) {
    start(
        [](mp::Array<int> a) {
          for (int i = 0; i < 250; ++i) {
            const std::scoped_lock hold(a.lock());
            const std::scoped_lock again(a.lock());
            require(a[0] == -a[1]);
            ++a[0];
            --a[1];
          }
        },
        array);
  }
  join_all();
  EXPECT_EQ(array[0], 1'000);
  EXPECT_EQ(array[1], -1'000);
}

TEST_P(ArrayClaims, ItsLockKeepsOthersOut) {
  mp::Array<int> array(1);
  const std::scoped_lock hold(array.lock());
  start([](mp::Array<int> a) { require(!a.lock().try_acquire() && !a.lock().acquire(a_moment)); }, array);
  join_all();
}

}  // namespace
