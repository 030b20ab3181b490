#include <atomic>
#include <chrono>
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

class EventTest : public ::testing::Test {
  Watchdog dog_{120s};
};

TEST_F(EventTest, IsSetUntilItIsCleared) {
  const Event event;
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait(0s));
  event.set();
  event.set();
  EXPECT_TRUE(event.is_set());
  EXPECT_TRUE(event.wait());
  EXPECT_TRUE(event.wait(0s));
  event.clear();
  event.clear();
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait(10ms));
}

TEST_F(EventTest, WakesAllWhoWait) {
  const Event event;
  std::vector<Child> children;
  for (int i = 0; i < 5; ++i) children.emplace_back(Child::member, [&] { MP_REQUIRE(event.wait()); });
  event.set();
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
}

TEST_F(EventTest, OneThatIsClearedAtOnceStillWakesWhoWaited) {
  const Event event;
  Shared<std::atomic<int>> asleep;
  Child child{Child::member, [&] {
                *asleep = 1;
                MP_REQUIRE(event.wait());
              }};
  spin_until([&] { return *asleep == 1; });
  while (!os::wait_ended(child.pidfd(), os::Deadline::passed())) {  // it may not have come to its wait yet
    event.set();
    event.clear();
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(EventTest, PassesATurnToAndFro) {
  const Event ping;
  const Event pong;
  constexpr int rounds = 5'000;
  Child child{Child::member, [&] {
                for (int i = 0; i < rounds; ++i) {
                  ping.wait();
                  ping.clear();
                  pong.set();
                }
              }};
  for (int i = 0; i < rounds; ++i) {
    ping.set();
    pong.wait();
    pong.clear();
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(EventTest, Faults16_AKilledWaiterHarmsNobody) {
  const Event event;
  Shared<std::atomic<int>> asleep;
  std::vector<Child> children;
  for (int i = 0; i < 6; ++i) {
    children.emplace_back(Child::member, [&] {
      ++*asleep;
      event.wait();
    });
  }
  spin_until([&] { return *asleep == 6; });
  for (std::size_t i = 0; i < 6; i += 2) children[i].signal(SIGKILL);
  event.set();
  for (std::size_t i = 1; i < 6; i += 2) EXPECT_EQ(children[i].wait(), 0);
  EXPECT_TRUE(event.is_set());
}

TEST_F(EventTest, TravelsInMessages) {
  const Event event;
  codec::Encoder out;
  codec::encode(out, event);
  codec::Decoder in(out.bytes());
  codec::decode<Event>(in).set();
  EXPECT_TRUE(event.is_set());
}

}  // namespace
}  // namespace multiprocessing
