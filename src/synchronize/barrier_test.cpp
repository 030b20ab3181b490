#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/synchronize.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class BarrierTest : public ::testing::Test {
 protected:
  // A thread whose wait() ends in BrokenBarrier.
  static std::thread broken_party(const Barrier& barrier) {
    return std::thread([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  }
  static void wait_for(const Barrier& barrier, int waiting) {
    spin_until([&] { return barrier.n_waiting() == waiting; });
  }

 private:
  Watchdog dog_{120s};
};

TEST_F(BarrierTest, NobodyGoesOnBeforeAllAreThereRoundAfterRound) {
  constexpr int parties = 3;
  constexpr int rounds = 1'000;
  const Barrier barrier(parties);
  Shared<std::array<std::atomic<int>, parties>> at;
  std::vector<Child> children;
  for (std::size_t who = 0; who < parties; ++who) {
    children.emplace_back(Child::member, [&, who] {
      for (int round = 1; round <= rounds; ++round) {
        (*at)[who] = round;
        barrier.wait();
        for (const auto& other : *at) MP_REQUIRE(other >= round && other <= round + 1);
      }
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(barrier.n_waiting(), 0);
  EXPECT_FALSE(barrier.broken());
}

TEST_F(BarrierTest, EachPartyGetsANumberOfItsOwn) {
  constexpr int parties = 4;
  const Barrier barrier(parties);
  for (int round = 0; round < 50; ++round) {
    std::mutex mutex;
    std::multiset<int> numbers;
    std::vector<std::thread> threads;
    for (int i = 0; i < parties; ++i) {
      threads.emplace_back([&] {
        const int number = barrier.wait();
        const std::scoped_lock lock(mutex);
        numbers.insert(number);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(numbers, (std::multiset<int>{0, 1, 2, 3}));
  }
}

TEST_F(BarrierTest, OfOnePartyNeverWaits) {
  const Barrier barrier(1);
  EXPECT_EQ(barrier.wait(), 0);
  EXPECT_EQ(barrier.wait(0s), 0);
  EXPECT_EQ(barrier.parties(), 1);
}

TEST_F(BarrierTest, NeedsAParty) {
  EXPECT_THROW(Barrier(0), std::invalid_argument);
  EXPECT_THROW(Barrier(-1), std::invalid_argument);
}

TEST_F(BarrierTest, TheActionRunsOnceBeforeTheOthersGoOn) {
  Shared<std::atomic<int>> actions;
  const Barrier barrier(3, [&] { ++*actions; });
  constexpr int rounds = 200;
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back(Child::member, [&] {
      for (int round = 1; round <= rounds; ++round) {
        barrier.wait();
        MP_REQUIRE(*actions >= round && *actions <= round + 1);
      }
    });
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(*actions, rounds);
}

TEST_F(BarrierTest, AnExceptionInTheActionBreaksIt) {
  const Barrier barrier(2, [] { throw std::domain_error("no"); });
  std::thread other = broken_party(barrier);
  wait_for(barrier, 1);
  EXPECT_THROW(barrier.wait(), std::domain_error);
  other.join();
  EXPECT_TRUE(barrier.broken());
}

TEST_F(BarrierTest, OnePartyThatGivesUpBreaksItForAll) {
  const Barrier barrier(3);
  std::thread other = broken_party(barrier);
  wait_for(barrier, 1);
  EXPECT_THROW(barrier.wait(10ms), BrokenBarrier);
  other.join();
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);  // also those who come later
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
}

TEST_F(BarrierTest, HasAPatienceOfItsOwn) {
  const Barrier barrier(2, {}, 10ms);
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
}

TEST_F(BarrierTest, ResetSendsThoseWhoWaitAwayAndIsAsNew) {
  const Barrier barrier(2);
  std::thread early = broken_party(barrier);
  wait_for(barrier, 1);
  barrier.reset();
  early.join();
  EXPECT_FALSE(barrier.broken());
  std::thread other([&] { EXPECT_NO_THROW(barrier.wait()); });
  EXPECT_NO_THROW(barrier.wait());
  other.join();
}

TEST_F(BarrierTest, AbortBreaksItUntilReset) {
  const Barrier barrier(2);
  std::thread early = broken_party(barrier);
  wait_for(barrier, 1);
  barrier.abort();
  early.join();
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  barrier.reset();
  std::thread other([&] { EXPECT_NO_THROW(barrier.wait()); });
  EXPECT_NO_THROW(barrier.wait());
  other.join();
}

TEST_F(BarrierTest, MoreThanItsPartiesMeetInRounds) {
  const Barrier barrier(2);
  std::atomic<int> met{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      barrier.wait();
      ++met;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(met, 8);
}

TEST_F(BarrierTest, TravelsInMessagesUnlessItHasAnAction) {
  const Barrier barrier(1);
  codec::Encoder out;
  codec::encode(out, barrier);
  codec::Decoder in(out.bytes());
  EXPECT_EQ(codec::decode<Barrier>(in).wait(), 0);
  codec::Encoder refused;
  EXPECT_THROW(codec::encode(refused, Barrier(1, [] {})), NotSendable);
}

}  // namespace
}  // namespace multiprocessing
