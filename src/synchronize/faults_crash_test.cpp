// FAULTS 25, 26 and 28 of what synchronises and of shared values: no memory, no descriptor, forks among threads.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <list>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "memory/arena.hpp"
#include "memory/family.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"
#include "os/faults.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using os::Call;
using testing::arena_damage;
using testing::Child;
using testing::Watchdog;

template <class Action>
bool is_refused(int code, std::string_view part, Action action) {
  try {
    action();
  } catch (const OsError& error) {
    return error.code().value() == code && std::string_view(error.what()).find(part) != std::string_view::npos;
  }
  return false;
}

// In a family of its own, whose memory is as small as it gets: 32 MiB.
void make_the_smallest_arena() {
  for (int refusals = 1;; ++refusals) {
    os::faults::fail(Call::mmap, ENOMEM, 0, refusals);
    Child trial{Child::plain, [] { MP_REQUIRE(memory::Arena::get().header().bytes != 0); }};
    if (trial.wait() == 0) continue;
    os::faults::fail(Call::mmap, ENOMEM, 0, refusals - 1);
    break;
  }
  MP_REQUIRE(memory::Arena::get().header().bytes < std::size_t{128} << 20);
}

TEST(SynchronizeFaults, Faults25_WhereAllMemoryIsUsedUpEachOfThemIsAClearErrorAndThoseThereGoOn) {
  Watchdog dog{120s};
  ASSERT_EQ(memory::Arena::if_made(), nullptr) << "run the tests of this program one by one";
  Child program{Child::plain, [] {
                  make_the_smallest_arena();
                  const Lock lock;
                  const Condition condition;
                  const Barrier barrier(2);
                  const Semaphore semaphore(1);
                  const Event event;
                  const Value<int> value(1);
                  const Array<int> array(1000);
                  // What a semaphore and a condition note about processes is made with their first use.
                  const auto use = [](const Semaphore& units, const Condition& changed) {
                    MP_REQUIRE(units.try_acquire());
                    units.release();
                    const std::scoped_lock held(changed);
                    MP_REQUIRE(!changed.wait(1ms));
                  };
                  use(semaphore, condition);
                  const Semaphore unused_semaphore(1);
                  const Condition unused_condition;
                  std::list<Array<char>> filling;
                  for (std::size_t bytes : {std::size_t{1} << 20, std::size_t{4096}, std::size_t{1}}) {
                    MP_REQUIRE(is_refused(ENOMEM, "allocate", [&] {
                      for (;;) filling.emplace_back(bytes);
                    }));
                  }
                  for (int i = 0; i < 2; ++i) {
                    MP_REQUIRE(is_refused(ENOMEM, "allocate", [] { Array<int>(1'000'000); }));
                    MP_REQUIRE(is_refused(ENOMEM, "allocate", [] { Value<std::array<char, 100'000>>(); }));
                  }
                  // Small objects lie in slabs, where some room may be left: until that is full too.
                  std::list<Lock> locks;
                  MP_REQUIRE(is_refused(ENOMEM, "allocate", [&] {
                    for (;;) locks.emplace_back();
                  }));
                  const std::scoped_lock hold(lock);
                  value.set(2);
                  array[999] = 3;
                  use(semaphore, condition);
                  event.set();
                  MP_REQUIRE(event.wait(60s) && value.get() == 2 && array[999] == 3);
                  MP_REQUIRE(is_refused(ENOMEM, "allocate", [&] { use(unused_semaphore, unused_condition); }));
                  MP_REQUIRE(is_refused(ENOMEM, "allocate", [&] {
                    const std::scoped_lock held(unused_condition);
                    unused_condition.wait(1ms);
                  }));
                  filling.clear();
                  locks.clear();
                  use(unused_semaphore, unused_condition);
                  MP_REQUIRE(unused_semaphore.get_value() == 1);
                  MP_REQUIRE(Array<int>(1'000'000).size() == 1'000'000);
                  MP_REQUIRE(arena_damage().empty());
                }};
  EXPECT_EQ(program.wait(), 0);
}

TEST(SynchronizeFaults, Faults25_AnArrayThatCannotBeLeavesNothing) {
  Watchdog dog{60s};
  const Array<int> one(1);
  const memory::Stats before = memory::stats();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_refused(ENOMEM, "allocate", [] { Array<int>(std::size_t{1} << 50); }));
    EXPECT_TRUE(is_refused(ENOMEM, "allocate", [] { Array<int>(~std::size_t{0} / 4); }));
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
  EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
  EXPECT_EQ(arena_damage(), "");
}

TEST(SynchronizeFaults, Faults26_TheFirstOfThemWithoutADescriptorIsAnErrorThatNamesTheLimit) {
  Watchdog dog{60s};
  ASSERT_EQ(memory::Arena::if_made(), nullptr) << "run the tests of this program one by one";
  Child program{Child::plain, [] {
                  os::faults::fail(Call::memfd_create, EMFILE, 0, 4);
                  MP_REQUIRE(is_refused(EMFILE, "ulimit -n", [] { Lock(); }));
                  MP_REQUIRE(is_refused(EMFILE, "ulimit -n", [] { Semaphore(); }));
                  MP_REQUIRE(is_refused(EMFILE, "ulimit -n", [] { Condition(); }));
                  MP_REQUIRE(is_refused(EMFILE, "ulimit -n", [] { Array<int>(1); }));
                  const Lock lock;
                  const std::scoped_lock hold(lock);
                }};
  EXPECT_EQ(program.wait(), 0);
}

TEST(SynchronizeFaults, Faults28_ForksWhileThreadsHoldThemHangNoChild) {
  if (testing::under_tsan) GTEST_SKIP() << "no threads in a child that was forked by a threaded program";
  Watchdog dog{120s};
  const Lock lock;
  const Semaphore semaphore(2);
  const Condition condition;
  const Event event;
  const Value<int> sum(0);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto keep_doing = [&](auto action) {
    threads.emplace_back([&stop, action] {
      while (!stop) action();
    });
  };
  const auto use = [&] {
    { const std::scoped_lock hold(lock); }
    const std::scoped_lock enter(semaphore);
    const std::scoped_lock hold(condition);
    static_cast<void>(condition.wait(1ms));
    condition.notify_all();
    event.set();
    event.clear();
    sum.update([](int& n) { ++n; });
    const Lock made;  // allocates and frees
    const std::scoped_lock held(made);
  };
  keep_doing(use);
  keep_doing(use);
  for (int i = 0; i < 30; ++i) {
    Child child{Child::member, [&] {
                  for (int n = 0; n < 3; ++n) use();
                }};
    EXPECT_EQ(child.wait(), 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(sum.get(), 90);
  EXPECT_EQ(semaphore.get_value(), 2);
  EXPECT_EQ(arena_damage(), "");
}

}  // namespace
}  // namespace multiprocessing
