// Semaphore and BoundedSemaphore: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <stdexcept>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using mp::testing::until;
using Clock = std::chrono::steady_clock;

class SemaphoreClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(SemaphoreClaims);

// "A semaphore manages an atomic counter representing the number of release() calls minus the number of acquire() calls,
// plus an initial value."
TEST_P(SemaphoreClaims, ItCountsReleasesMinusAcquiresPlusItsInitialValue) {
  mp::Semaphore semaphore(5);
  start(
      [](mp::Semaphore s) {
        for (int i = 0; i < 3; ++i) s.acquire();
        s.release();
      },
      semaphore);
  join_all();
  semaphore.acquire();
  EXPECT_EQ(semaphore.get_value(), 5 - 4 + 1);
}

// "If not given, value defaults to 1."
TEST_P(SemaphoreClaims, ItsValueIsOneUnlessGiven) { EXPECT_EQ(mp::Semaphore().get_value(), 1); }

// "If the value given is less than 0, ValueError is raised."
TEST_P(SemaphoreClaims, AValueBelowZeroIsAnInvalidArgument) {
  EXPECT_THROW(mp::Semaphore(-1), std::invalid_argument);
  EXPECT_EQ(mp::Semaphore(0).get_value(), 0);
}

// "If the internal counter is larger than zero on entry, decrement it by one and return True immediately."
TEST_P(SemaphoreClaims, AcquireOfWhatIsThereTakesOne) {
  mp::Semaphore semaphore(2);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_EQ(semaphore.get_value(), 1);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_EQ(semaphore.get_value(), 0);
}

// "If the internal counter is zero on entry, block until awoken by a call to release().  Once awoken (and the counter is
// greater than 0), decrement the counter by 1 and return True."
TEST_P(SemaphoreClaims, AcquireOfNothingBlocksUntilARelease) {
  mp::Semaphore semaphore(0);
  Steps steps;
  start([](mp::Semaphore s, Steps at) { at.around([&] { require(s.acquire()); }); }, semaphore, steps);
  EXPECT_TRUE(steps.blocks());
  semaphore.release();
  join_all();
  EXPECT_EQ(semaphore.get_value(), 0);
}

// "Exactly one thread will be awoken by each call to release()."
TEST_P(SemaphoreClaims, EachReleaseLetsExactlyOneProceed) {
  mp::Semaphore semaphore(0);
  mp::Value<int> through(0);
  for (int i = 0; i < 3; ++i) {
    Steps steps;
    start(
        [](mp::Semaphore s, mp::Value<int> past, Steps at) {
          at.around([&] { s.acquire(); });
          past.update([](int& n) { ++n; });
        },
        semaphore, through, steps);
    EXPECT_TRUE(steps.blocks());
  }
  for (int released = 1; released <= 3; ++released) {
    semaphore.release();
    until([&] { return through.get() >= released; });
    EXPECT_FALSE(semaphore.acquire(a_moment));
    EXPECT_EQ(through.get(), released);
  }
}

// "When invoked with blocking set to False, do not block.  If a call without an argument would block, return False
// immediately; otherwise, do the same thing as when called without arguments, and return True."
TEST_P(SemaphoreClaims, TryAcquireDoesNotBlock) {
  mp::Semaphore semaphore(1);
  start([](mp::Semaphore s) { require(s.try_acquire() && !s.try_acquire()); }, semaphore);
  join_all();
  EXPECT_EQ(semaphore.get_value(), 0);
}

// "When invoked with a timeout other than None, it will block for at most timeout seconds.  If acquire does not complete
// successfully in that interval, return False.  Return True otherwise."
TEST_P(SemaphoreClaims, AcquireWithATimeoutBlocksForThatTimeAtMost) {
  mp::Semaphore semaphore(0);
  start(
      [](mp::Semaphore s) {
        const auto begin = Clock::now();
        require(!s.acquire(a_moment));
        require(Clock::now() - begin >= a_moment);
        require(!s.acquire(0s) && !s.acquire(-1h));
      },
      semaphore);
  join_all();
  Steps steps;
  start([](mp::Semaphore s, Steps at) { at.around([&] { require(s.acquire(60s)); }); }, semaphore, steps);
  EXPECT_TRUE(steps.blocks());
  semaphore.release();
  join_all();
  EXPECT_EQ(semaphore.get_value(), 0);  // a wait that was in vain has taken nothing
}

// "release(): Release a semaphore, incrementing the internal counter": by whoever, and beyond the initial value.
TEST_P(SemaphoreClaims, AnyProcessReleasesItAlsoBeyondItsInitialValue) {
  mp::Semaphore semaphore(1);
  start(
      [](mp::Semaphore s) {
        s.release();
        s.release();
      },
      semaphore);
  join_all();
  EXPECT_EQ(semaphore.get_value(), 3);
}

// The example: `with pool_sema: conn = connectdb()`, of which there are never more than maxconnections.
TEST_P(SemaphoreClaims, NeverMoreThanItsValueAreInsideGuards) {
  mp::BoundedSemaphore semaphore(2);
  mp::Value<int> inside(0);
  for (int process = 0; process < 4; ++process) {
    start(
        [](mp::BoundedSemaphore s, mp::Value<int> in) {
          for (int i = 0; i < 100; ++i) {
            const std::scoped_lock hold(s);
            require(in.update([](int& n) { return ++n; }) <= 2);
            in.update([](int& n) { --n; });
          }
        },
        semaphore, inside);
  }
  join_all();
  EXPECT_EQ(semaphore.get_value(), 2);
}

// --- BoundedSemaphore -----------------------------------------------------------------------------------------------

class BoundedSemaphoreClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(BoundedSemaphoreClaims);

// "A bounded semaphore checks to make sure its current value doesn't exceed its initial value.  If it does, ValueError is
// raised."
TEST_P(BoundedSemaphoreClaims, OneReleaseTooManyIsAnInvalidArgument) {
  mp::BoundedSemaphore semaphore(2);
  EXPECT_THROW(semaphore.release(), std::invalid_argument);
  semaphore.acquire();
  start(
      [](mp::BoundedSemaphore s) {
        s.release();
        try {
          s.release();
          require(false);
        } catch (const std::invalid_argument&) {
        }
      },
      semaphore);
  join_all();
  EXPECT_EQ(semaphore.get_value(), 2);
}

TEST_P(BoundedSemaphoreClaims, ItsValueIsOneUnlessGivenAndNeverBelowZero) {
  EXPECT_EQ(mp::BoundedSemaphore().get_value(), 1);
  EXPECT_THROW(mp::BoundedSemaphore(-1), std::invalid_argument);
}

// In everything else it is a semaphore.
TEST_P(BoundedSemaphoreClaims, AcquireOfNothingBlocksUntilARelease) {
  mp::BoundedSemaphore semaphore;
  semaphore.acquire();
  Steps steps;
  start([](mp::BoundedSemaphore s, Steps at) { at.around([&] { require(s.acquire()); }); }, semaphore, steps);
  EXPECT_TRUE(steps.blocks());
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.acquire(a_moment));
  semaphore.release();
}

}  // namespace
