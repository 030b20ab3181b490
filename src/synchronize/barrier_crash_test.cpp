// FAULTS 16: a party of a barrier dies.
#include <atomic>
#include <chrono>
#include <string_view>
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

class BarrierCrash : public ::testing::Test {
 protected:
  static Child broken_party(const Barrier& barrier) {
    return Child{Child::member, [&] {
                   try {
                     barrier.wait();
                     ::_exit(1);
                   } catch (const BrokenBarrier&) {
                   }
                 }};
  }
  static void expect_as_new(const Barrier& barrier) {
    barrier.reset();
    std::vector<Child> parties;
    for (int i = 1; i < barrier.parties(); ++i) parties.emplace_back(Child::member, [&] { barrier.wait(); });
    EXPECT_NO_THROW(barrier.wait());
    for (Child& party : parties) EXPECT_EQ(party.wait(), 0);
  }

 private:
  Watchdog dog_{120s};
};

TEST_F(BarrierCrash, Faults16_AKilledWaiterBreaksItForTheOthers) {
  const Barrier barrier(4);
  Child first = broken_party(barrier);
  Child second = broken_party(barrier);
  Child doomed{Child::member, [&] { barrier.wait(); }};
  spin_until([&] { return barrier.n_waiting() == 3; });
  doomed.signal(SIGKILL);
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(doomed.wait(), -SIGKILL);
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  expect_as_new(barrier);
}

TEST_F(BarrierCrash, OneThatComesAfterTheDeathIsToldToo) {
  const Barrier barrier(2);
  Child doomed{Child::member, [&] { barrier.wait(); }};
  spin_until([&] { return barrier.n_waiting() == 1; });
  doomed.signal(SIGKILL);
  EXPECT_EQ(doomed.wait(), -SIGKILL);
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  expect_as_new(barrier);
}

TEST_F(BarrierCrash, KilledInTheActionItBreaks) {
  const Barrier barrier(2, [] { ::kill(::getpid(), SIGKILL); });
  Child other = broken_party(barrier);
  spin_until([&] { return barrier.n_waiting() == 1; });
  Child doomed{Child::member, [&] { barrier.wait(); }};
  EXPECT_EQ(doomed.wait(), -SIGKILL);
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(BarrierCrash, KilledAtAnyStepTheOthersGoOnOrAreTold) {
  for (const char* step : {"barrier.arrived", "barrier.round_ended", "lock.before_release", "event.changed"}) {
    for (int nth = 1; nth <= 2; ++nth) {
      const Barrier barrier(2);
      Shared<std::atomic<int>> outcome;
      Child other{Child::member, [&] {
                    try {
                      barrier.wait();
                      *outcome = 1;
                    } catch (const BrokenBarrier&) {
                      *outcome = 2;
                    }
                  }};
      spin_until([&] { return barrier.n_waiting() == 1; });
      const bool died = dies_at(step, nth, [&] { return [&] { barrier.wait(); }; });
      EXPECT_EQ(other.wait(), 0) << step;
      EXPECT_NE(*outcome, 0) << step;
      if (died && step == std::string_view("barrier.arrived")) {
        EXPECT_EQ(*outcome, 2);
      }
      if (died && step == std::string_view("barrier.round_ended")) {
        EXPECT_EQ(*outcome, 1);
      }
      expect_as_new(barrier);
    }
  }
}

}  // namespace
}  // namespace multiprocessing
