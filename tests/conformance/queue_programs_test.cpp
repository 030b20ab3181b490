// Queue together with Process: the programs of the interface's description, with what they must do.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "multiprocessing/process.hpp"
#include "multiprocessing/queue.hpp"
#include "support/watchdog.hpp"

namespace mp = multiprocessing;

namespace {

using namespace std::chrono_literals;
using mp::testing::Watchdog;

void producer(mp::Queue<std::string> q) {
  for (int i = 1; i < 30; ++i) q.put("bun " + std::to_string(i));
}

void consumer(mp::Queue<std::string> q, mp::Queue<int> eaten) {
  int count = 0;
  for (const std::string& bun : q) {
    ++count;
    if (bun != "bun " + std::to_string(count)) return;
  }
  eaten.put(count);
}

TEST(QueueProgramTest, AProducerAndAConsumerAreGivenTheQueueAsAnArgument) {
  Watchdog dog{60s};
  mp::Queue<std::string> q;
  mp::Queue<int> eaten;
  mp::Process c(consumer, q, eaten);
  mp::Process p(producer, q);
  p.start();
  c.start();
  p.join();
  q.close();
  EXPECT_EQ(eaten.get(10s), 29);
  c.join();
  EXPECT_EQ(c.exitcode(), 0);
}

TEST(QueueProgramTest, AClosureUsesTheQueueItCapturedByReferenceOrCopy) {
  Watchdog dog{60s};
  const mp::Queue<int> q(5);
  mp::Process by_copy([q] { q.put(1); });
  mp::Process by_reference([&] { q.put(2); });
  by_copy.start();
  by_copy.join();
  by_reference.start();
  by_reference.join();
  EXPECT_EQ(q.get(), 1);
  EXPECT_EQ(q.get(), 2);
}

TEST(QueueProgramTest, AProducerThatExitsAtOnceLosesNothing) {
  Watchdog dog{60s};
  const mp::Queue<std::vector<int>> q;
  mp::Process p([q] {
    q.put(std::vector<int>(250'000, 7));
    _exit(3);
  });
  p.start();
  p.join();
  EXPECT_EQ(p.exitcode(), 3);
  EXPECT_EQ(q.get(), std::vector<int>(250'000, 7));
}

TEST(QueueProgramTest, AConsumerThatIsKilledWhileItWaitsHarmsNobody) {
  Watchdog dog{60s};
  const mp::Queue<int> started;
  const mp::Queue<int> q;
  mp::Process c([=] {
    started.put(1);
    q.put(q.get() + 1);
  });
  c.start();
  EXPECT_EQ(started.get(), 1);
  c.kill();
  c.join();
  q.put(10);
  EXPECT_EQ(q.get(), 10);
  EXPECT_THROW((void)q.get(10ms), mp::Empty);
}

}  // namespace
