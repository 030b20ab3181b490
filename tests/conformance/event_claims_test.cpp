// Event: what Python's documentation says of it, sentence by sentence.
#include <gtest/gtest.h>

#include <chrono>
#include <multiprocessing/multiprocessing.hpp>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using Clock = std::chrono::steady_clock;

class EventClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(EventClaims);

// "The flag is initially false."
TEST_P(EventClaims, ItIsNotSetAtFirst) {
  mp::Event event;
  EXPECT_FALSE(event.is_set());
  start([](mp::Event e) { require(!e.is_set()); }, event);
}

// "is_set(): Return True if and only if the internal flag is true."
TEST_P(EventClaims, IsSetFollowsSetAndClearOfEveryProcess) {
  mp::Event event;
  start([](mp::Event e) { e.set(); }, event);
  join_all();
  EXPECT_TRUE(event.is_set());
  start([](mp::Event e) { e.clear(); }, event);
  join_all();
  EXPECT_FALSE(event.is_set());
}

// "set(): Set the internal flag to true.  All threads waiting for it to become true are awakened."
TEST_P(EventClaims, SetWakesAllWhoWait) {
  mp::Event event;
  Steps waiting[3];
  for (const Steps& steps : waiting) {
    start([](mp::Event e, Steps s) { s.around([&] { require(e.wait()); }); }, event, steps);
    EXPECT_TRUE(steps.blocks());
  }
  event.set();
}

// "Threads that call wait() once the flag is true will not block at all."
TEST_P(EventClaims, WaitDoesNotBlockOnceItIsSet) {
  mp::Event event;
  event.set();
  event.set();  // is as once
  start([](mp::Event e) { require(e.wait() && e.wait(0s) && e.wait(-1h) && e.wait(1h)); }, event);
}

// "clear(): Reset the internal flag to false.  Subsequently, threads calling wait() will block until set() is called to
// set the internal flag to true again."
TEST_P(EventClaims, AfterClearWaitBlocksUntilSet) {
  mp::Event event;
  event.set();
  event.clear();
  Steps steps;
  start([](mp::Event e, Steps s) { s.around([&] { require(e.wait()); }); }, event, steps);
  EXPECT_TRUE(steps.blocks());
  event.set();
}

// "wait(timeout): Block as long as the internal flag is false and the timeout, if given, has not expired."  "… or False if
// a timeout is given and the internal flag did not become true within the given wait time."
TEST_P(EventClaims, WaitWithATimeoutIsFalseAfterThatTime) {
  mp::Event event;
  start(
      [](mp::Event e) {
        const auto begin = Clock::now();
        require(!e.wait(a_moment));
        require(Clock::now() - begin >= a_moment);
        require(!e.wait(0s) && !e.wait(-1h));
      },
      event);
}

// "True if returning because the internal flag is set to true."
TEST_P(EventClaims, WaitWithATimeoutIsTrueWhenItIsSetInTime) {
  mp::Event event;
  Steps steps;
  start([](mp::Event e, Steps s) { s.around([&] { require(e.wait(60s)); }); }, event, steps);
  EXPECT_TRUE(steps.blocks());
  event.set();
}

}  // namespace
