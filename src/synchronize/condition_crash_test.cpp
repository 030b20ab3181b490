// FAULTS 16: a waiter of a condition dies, or who notifies it.
#include <atomic>
#include <chrono>
#include <vector>

#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class ConditionCrash : public ::testing::Test {
 protected:
  Child waiter() {
    const int before = *waiting;
    Child child{Child::member, [this] {
                  const std::scoped_lock hold(condition);
                  ++*waiting;
                  MP_REQUIRE(condition.wait());
                  ++*went_on;
                }};
    spin_until([&] { return *waiting > before; });
    const std::scoped_lock hold(condition);
    return child;
  }
  void notify(int n = 1) {
    const std::scoped_lock hold(condition);
    condition.notify(n);
  }
  static void kill(Child& child) {
    child.signal(SIGKILL);
    EXPECT_EQ(child.wait(), -SIGKILL);
  }

  Condition condition;
  Shared<std::atomic<int>> waiting;
  Shared<std::atomic<int>> went_on;

 private:
  Watchdog dog_{120s};
};

TEST_F(ConditionCrash, Faults16_ANotificationGoesPastTheDeadToTheLiving) {
  Child first = waiter();
  Child second = waiter();
  Child third = waiter();
  kill(first);
  kill(second);
  notify();
  EXPECT_EQ(third.wait(), 0);
}

TEST_F(ConditionCrash, Faults16_NotifyAllWakesTheOthers) {
  std::vector<Child> children;
  for (int i = 0; i < 6; ++i) children.push_back(waiter());
  for (std::size_t i = 0; i < 6; i += 2) kill(children[i]);
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
  }
  for (std::size_t i = 1; i < 6; i += 2) EXPECT_EQ(children[i].wait(), 0);
  EXPECT_EQ(*went_on, 3);
}

TEST_F(ConditionCrash, OneThatDiesWithItsNotificationHandsItOnWithTheNext) {
  Child doomed{Child::member, [&] {
                 const std::scoped_lock hold(condition);
                 ++*waiting;
                 os::steps::kill_at("condition.awake");
                 condition.wait();
               }};
  spin_until([&] { return *waiting == 1; });
  { const std::scoped_lock hold(condition); }
  Child second = waiter();
  Child third = waiter();
  notify();
  EXPECT_EQ(doomed.wait(), -SIGKILL);
  EXPECT_EQ(*went_on, 0);
  notify();  // one for the dead, one for this call
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(third.wait(), 0);
}

TEST_F(ConditionCrash, AWaiterKilledAtAnyStepHarmsNobody) {
  for (const char* step : {"condition.place_taken", "condition.waiting", "lock.before_release", "event.announced"}) {
    EXPECT_TRUE(dies_at(step, 1, [&] {
      condition.acquire();
      return [&] { condition.wait(); };
    })) << step;
    Child living = waiter();
    notify();
    EXPECT_EQ(living.wait(), 0) << step;
  }
}

TEST_F(ConditionCrash, ANotifierKilledAtAnyStepLeavesTheRestToTheNext) {
  for (const char* step : {"condition.notified", "event.changed", "lock.before_release"}) {
    Child first = waiter();
    Child second = waiter();
    EXPECT_TRUE(dies_at(step, 1, [&] {
      condition.acquire();
      return [&] {
        condition.notify(2);
        condition.release();
      };
    })) << step;
    {
      const std::scoped_lock hold(condition);
      condition.notify_all();
    }
    EXPECT_EQ(first.wait(), 0) << step;
    EXPECT_EQ(second.wait(), 0) << step;
  }
}

TEST_F(ConditionCrash, PlacesOfTheDeadAreUsedAgain) {
  for (int i = 0; i < 200; ++i) {  // a table has 63
    Child child = waiter();
    kill(child);
    if (i % 10 == 0) notify();
  }
  Child living = waiter();
  notify();
  EXPECT_EQ(living.wait(), 0);
}

}  // namespace
}  // namespace multiprocessing
