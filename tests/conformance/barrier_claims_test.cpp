// Barrier: what Python's documentation says of it, sentence by sentence.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using mp::testing::until;

bool is_broken_for_us(const mp::Barrier& barrier) {
  try {
    barrier.wait();
    return false;
  } catch (const mp::BrokenBarrier&) {
    return true;
  }
}

class BarrierClaims : public mp::testing::EveryStartMethod {
 protected:
  // Processes that wait for the others and are to be sent away.  When this returns they wait.
  void start_some_to_be_sent_away(const mp::Barrier& barrier, int count) {
    for (int i = 0; i < count; ++i) {
      start([](mp::Barrier b) { require(is_broken_for_us(b)); }, barrier);
    }
    until([&] { return barrier.n_waiting() == count; });
  }
};
FOR_EVERY_START_METHOD(BarrierClaims);

// "Each of the threads tries to pass the barrier by calling the wait() method and will block until all of the threads have
// made their wait() calls.  At this point, the threads are released simultaneously."
TEST_P(BarrierClaims, WaitBlocksUntilAllPartiesWait) {
  mp::Barrier barrier(3);
  Steps parties[2];
  for (const Steps& steps : parties) {
    start([](mp::Barrier b, Steps s) { s.around([&] { b.wait(); }); }, barrier, steps);
    EXPECT_TRUE(steps.blocks());
  }
  EXPECT_FALSE(parties[0].done.is_set());
  barrier.wait();
  for (const Steps& steps : parties) steps.done.wait();
}

// "The barrier can be reused any number of times for the same number of threads."  "The return value is an integer in the
// range 0 to parties – 1, different for each thread."
TEST_P(BarrierClaims, ItIsReusedAndGivesEachPartyANumberEachTime) {
  constexpr int rounds = 50;
  mp::Barrier barrier(3);
  mp::Array<int> given(3);
  for (int party = 0; party < 3; ++party) {
    start(
        [](mp::Barrier b, mp::Array<int> times) {
          for (int i = 0; i < rounds; ++i) {
            const int number = b.wait();
            require(number >= 0 && number < 3);
            const std::scoped_lock hold(times.lock());
            ++times[static_cast<std::size_t>(number)];
          }
        },
        barrier, given);
  }
  join_all();
  for (const int times : given) EXPECT_EQ(times, rounds);
}

// "An action, when provided, is a callable to be called by one of the threads when they are released": "one of the threads
// will have called it prior to being released".
TEST_P(BarrierClaims, TheActionIsCalledOnceBeforeAnybodyIsReleased) {
  std::atomic<int> calls{0};
  std::atomic<int> wrong{0};
  const mp::Barrier barrier(3, [&] { ++calls; });
  std::vector<std::thread> threads;
  for (int party = 0; party < 3; ++party) {
    threads.emplace_back([&] {
      for (int round = 1; round <= 20; ++round) {
        barrier.wait();
        if (calls != 2 * round - 1) ++wrong;
        barrier.wait();  // nobody begins the next round while another still looks at `calls`
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(calls, 40);
}

// "Should this call raise an error, the barrier is put into the broken state."
TEST_P(BarrierClaims, AnActionThatThrowsBreaksIt) {
  const mp::Barrier barrier(2, [] { throw std::domain_error("action"); });
  std::atomic<int> broken{0};
  std::atomic<int> thrown{0};
  const auto party = [&] {
    try {
      barrier.wait();
    } catch (const mp::BrokenBarrier&) {
      ++broken;
    } catch (const std::domain_error&) {
      ++thrown;
    }
  };
  std::thread other(party);
  party();
  other.join();
  EXPECT_EQ(thrown, 1);
  EXPECT_EQ(broken, 1);
  EXPECT_TRUE(barrier.broken());
}

// "If the call times out, the barrier is put into the broken state."
TEST_P(BarrierClaims, AWaitThatTimesOutBreaksItForAll) {
  mp::Barrier barrier(3);
  start_some_to_be_sent_away(barrier, 1);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(barrier.wait(a_moment), mp::BrokenBarrier);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, a_moment);
  join_all();
  EXPECT_TRUE(barrier.broken());
}

// "timeout is the default timeout value if none is specified for the wait() method."
TEST_P(BarrierClaims, ItsOwnTimeoutIsTheDefault) {
  mp::Barrier barrier(2, {}, a_moment);
  start([](mp::Barrier b) { require(is_broken_for_us(b)); }, barrier);
  join_all();
  EXPECT_TRUE(barrier.broken());
}

// The same where the barrier was not inherited, but received.
TEST_P(BarrierClaims, ItsOwnTimeoutTravelsWithIt) {
  mp::Queue<mp::Barrier> barriers;
  barriers.put(mp::Barrier(2, {}, a_moment));
  start([](mp::Queue<mp::Barrier> in) { require(is_broken_for_us(in.get())); }, barriers);
}

// "If a timeout is provided, it is used in preference to any that was supplied to the class constructor."
TEST_P(BarrierClaims, ATimeoutOfWaitIsPreferred) {
  mp::Barrier patient(2, {}, 1h);
  EXPECT_THROW(patient.wait(a_moment), mp::BrokenBarrier);
  mp::Barrier hasty(2, {}, 1ms);
  start([](mp::Barrier b) { b.wait(60s); }, hasty);
  until([&] { return hasty.n_waiting() == 1; });
  EXPECT_FALSE(mp::Event().wait(a_moment));
  hasty.wait(60s);
}

// "reset(): Return the barrier to the default, empty state.  Any threads waiting on it will receive the
// BrokenBarrierError exception."
TEST_P(BarrierClaims, ResetSendsAwayWhoWaitsAndTheBarrierIsAsNew) {
  mp::Barrier barrier(3);
  start_some_to_be_sent_away(barrier, 2);
  barrier.reset();
  join_all();
  EXPECT_FALSE(barrier.broken());
  EXPECT_EQ(barrier.n_waiting(), 0);
  for (int party = 0; party < 2; ++party) start([](mp::Barrier b) { b.wait(); }, barrier);
  barrier.wait();
}

// "abort(): Put the barrier into a broken state.  This causes any active or future calls to wait() to fail with the
// BrokenBarrierError."
TEST_P(BarrierClaims, AbortFailsActiveAndFutureWaits) {
  mp::Barrier barrier(3);
  start_some_to_be_sent_away(barrier, 2);
  start([](mp::Barrier b) { b.abort(); }, barrier);
  join_all();
  EXPECT_TRUE(barrier.broken());
  EXPECT_TRUE(is_broken_for_us(barrier));
  start([](mp::Barrier b) { require(is_broken_for_us(b)); }, barrier);
  join_all();
  barrier.reset();  // "to the default, empty state"
  EXPECT_FALSE(barrier.broken());
}

// "parties: The number of threads required to pass the barrier."
TEST_P(BarrierClaims, PartiesIsTheNumberRequired) {
  mp::Barrier barrier(7);
  EXPECT_EQ(barrier.parties(), 7);
  start([](mp::Barrier b) { require(b.parties() == 7); }, barrier);
}

// "n_waiting: The number of threads currently waiting in the barrier."
TEST_P(BarrierClaims, NWaitingIsTheNumberThatWaits) {
  mp::Barrier barrier(3);
  EXPECT_EQ(barrier.n_waiting(), 0);
  start([](mp::Barrier b) { b.wait(); }, barrier);
  until([&] { return barrier.n_waiting() == 1; });
  start([](mp::Barrier b) { b.wait(); }, barrier);
  until([&] { return barrier.n_waiting() == 2; });
  barrier.wait();
  join_all();
  EXPECT_EQ(barrier.n_waiting(), 0);
}

// "broken: A boolean that is True if the barrier is in the broken state."
TEST_P(BarrierClaims, BrokenIsTrueWhileItIsBroken) {
  mp::Barrier barrier(2);
  EXPECT_FALSE(barrier.broken());
  barrier.abort();
  start([](mp::Barrier b) { require(b.broken()); }, barrier);
  join_all();
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
}

}  // namespace
