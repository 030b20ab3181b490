// Lock and RLock, and what is true of all handles.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::Watchdog;

template <class T>
class LockTest : public ::testing::Test {
  Watchdog dog_{120s};
};
using Locks = ::testing::Types<Lock, RLock>;
TYPED_TEST_SUITE(LockTest, Locks);

TYPED_TEST(LockTest, LetsOneProcessInAtATime) {
  const TypeParam lock;
  Shared<long> sum;  // plain: only the lock keeps increments from getting lost
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back(Child::member, [&] {
      for (int k = 0; k < 10'000; ++k) {
        const std::scoped_lock hold(lock);
        ++*sum;
      }
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(*sum, 40'000);
}

TYPED_TEST(LockTest, IsReleasedByItsHolderOnly) {
  const TypeParam lock;
  EXPECT_THROW(lock.release(), std::logic_error);
  EXPECT_TRUE(lock.acquire());
  std::thread([&] { EXPECT_THROW(lock.release(), std::logic_error); }).join();
  Child child{Child::member, [&] {
                try {
                  lock.release();
                  ::_exit(1);
                } catch (const std::logic_error&) {
                }
              }};
  EXPECT_EQ(child.wait(), 0);
  lock.release();
  EXPECT_THROW(lock.release(), std::logic_error);
}

TYPED_TEST(LockTest, IsWaitedForAsLongAsAsked) {
  const TypeParam lock;
  lock.acquire();
  std::thread([&] {
    EXPECT_FALSE(lock.try_acquire());
    EXPECT_FALSE(lock.acquire(0s));
    EXPECT_FALSE(lock.acquire(-1s));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(lock.acquire(30ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  }).join();
  lock.release();
  EXPECT_TRUE(lock.acquire(1h));
  lock.release();
}

TYPED_TEST(LockTest, WorksWithTheGuardsOfTheStandard) {
  const TypeParam first;
  TypeParam second;
  {
    const std::scoped_lock both(first, second);
    std::thread([&] {
      EXPECT_FALSE(first.try_lock());
      EXPECT_FALSE(second.try_lock_for(1ms));
      EXPECT_FALSE(second.try_lock_until(std::chrono::system_clock::now() + 1ms));
    }).join();
  }
  std::unique_lock guard(second, std::defer_lock);
  EXPECT_TRUE(guard.try_lock_for(1s));
  guard.unlock();
  const std::lock_guard hold(first);
}

TYPED_TEST(LockTest, CopiesAreHandlesOfOneLock) {
  const TypeParam lock;
  const TypeParam copy = lock;
  lock.acquire();
  std::thread([&] { EXPECT_FALSE(copy.try_acquire()); }).join();
  copy.release();
}

TYPED_TEST(LockTest, TravelsInMessages) {
  const TypeParam lock;
  codec::Encoder out;
  codec::encode(out, lock);
  codec::Decoder in(out.bytes());
  const auto arrived = codec::decode<TypeParam>(in);
  arrived.acquire();
  EXPECT_NO_THROW(lock.release());
}

TYPED_TEST(LockTest, AForkedChildDoesNotOwnIt) {
  const TypeParam lock;
  lock.acquire();
  Child child{Child::member, [&] { MP_REQUIRE(!lock.acquire(10ms)); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(lock.owner_died());
  lock.release();
}

// Its memory is a link of the thread's list of robust locks: given to somebody else it would break that list.
TYPED_TEST(LockTest, AHandleThatGoesWhileItIsHeldReleasesIt) {
  const std::size_t objects = memory::stats().objects;
  for (int i = 0; i < 100; ++i) {
    const TypeParam other;
    {
      const TypeParam lock;
      lock.acquire();
      other.acquire();
    }
    const Value<std::array<std::uint64_t, 6>> in_its_place({~0U, ~0U, ~0U, ~0U, ~0U, ~0U});
    other.release();
    EXPECT_EQ(in_its_place.get()[5], ~0U);
  }
  EXPECT_EQ(memory::stats().objects, objects);
}

TYPED_TEST(LockTest, OneThatAnotherThreadHoldsOutlivesItsHandles) {
  auto lock = std::make_unique<TypeParam>();
  const std::size_t objects = memory::stats().objects;
  std::atomic<int> state{0};
  std::thread holder([&] {
    lock->acquire();
    state = 1;
    while (state != 2) std::this_thread::yield();
  });
  while (state != 1) std::this_thread::yield();
  lock.reset();
  EXPECT_EQ(memory::stats().objects, objects);
  state = 2;
  holder.join();
}

TYPED_TEST(LockTest, TenThousandCostAFewWordsEach) {
  if (testing::under_tsan) GTEST_SKIP() << "the sanitizer compares each lock with all others";
  const memory::Stats before = memory::stats();
  {
    const std::vector<TypeParam> locks = [] {
      std::vector<TypeParam> made;
      for (int i = 0; i < 10'000; ++i) made.emplace_back();
      return made;
    }();
    for (const TypeParam& lock : locks) lock.acquire();
    for (const TypeParam& lock : locks) lock.release();
    EXPECT_LE(memory::stats().heap_bytes - before.heap_bytes, 10'000 * 128U);
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
}

TEST(LockMeaning, ASecondAcquireByTheHolderWaits) {
  Watchdog dog{60s};
  const Lock lock;
  lock.acquire();
  EXPECT_FALSE(lock.acquire(10ms));
  EXPECT_FALSE(lock.try_acquire());
  lock.release();
}

TEST(RLockMeaning, ItsHolderAcquiresItAgainAndReleasesItAsOften) {
  Watchdog dog{60s};
  const RLock lock;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.try_acquire());
  for (int i = 0; i < 3; ++i) lock.release();
  std::thread([&] { EXPECT_FALSE(lock.try_acquire()); }).join();
  lock.release();
  std::thread([&] {
    EXPECT_TRUE(lock.try_acquire());
    lock.release();
  }).join();
  EXPECT_THROW(lock.release(), std::logic_error);
}

}  // namespace
}  // namespace multiprocessing
