// wait() and queues as descriptors when processes die in the middle, and when the kernel refuses.
#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "multiprocessing/wait.hpp"
#include "os/faults.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using os::Call;
using testing::Child;
using testing::spin_until;
using testing::Watchdog;
using Positions = std::vector<std::size_t>;

bool readable(int fd) {
  pollfd look{fd, POLLIN, 0};
  return ::poll(&look, 1, 0) == 1;
}

int died_at(const std::string& step, const Queue<int>& queue, bool put) {
  Child child{Child::member, [&] {
                os::steps::kill_at(step);
                if (put) {
                  queue.put(1);
                } else {
                  static_cast<void>(queue.get());
                }
              }};
  return child.wait();
}

TEST(WaitCrashTest, AnItemWhoseProducerDiedBeforeWakingAnybodyIsSeen) {
  Watchdog dog{60s};
  for (const char* step : {"queue.put.committed", "queue.put.mirrored"}) {
    const Queue<int> queue;
    const Queue<int> other;
    const int fd = queue.fileno();
    std::optional<Positions> found;
    std::thread waiting([&] { found = wait({other, queue}); });
    static_cast<void>(wait({queue}, 5ms));
    EXPECT_EQ(died_at(step, queue, true), -SIGKILL);
    waiting.join();
    EXPECT_EQ(found, Positions{1}) << step;
    spin_until([&] { return readable(fd); });
    EXPECT_EQ(queue.get_nowait(), 1);
  }
}

TEST(WaitCrashTest, AnItemWhoseConsumerDiedAfterTakingItIsNotSeenAnyMore) {
  Watchdog dog{60s};
  for (const char* step : {"queue.get.committed", "queue.get.mirrored"}) {
    const Queue<int> queue;
    const int fd = queue.fileno();
    queue.put(1);
    spin_until([&] { return readable(fd); });
    EXPECT_EQ(died_at(step, queue, false), -SIGKILL);
    EXPECT_EQ(wait({queue}, 0s), Positions{}) << step;
    spin_until([&] { return !readable(fd); });
  }
}

TEST(WaitCrashTest, AnItemWhoseProducerOrConsumerDiedBeforeItsCommitChangesNothing) {
  Watchdog dog{60s};
  const Queue<int> queue;
  EXPECT_EQ(died_at("queue.put.copied", queue, true), -SIGKILL);
  EXPECT_EQ(wait({queue}, 0s), Positions{});
  queue.put(1);
  EXPECT_EQ(died_at("queue.get.copied", queue, false), -SIGKILL);
  EXPECT_EQ(wait({queue}, 0s), Positions{0});
}

class WaitFaultTest : public ::testing::Test {
 protected:
  ~WaitFaultTest() override { os::faults::clear(); }
};

TEST_F(WaitFaultTest, WhereTheKernelCannotWaitForSeveralWeLookAgain) {
  Watchdog dog{60s};
  os::faults::fail(Call::futex_wait_any, ENOSYS, 0, 1 << 30);
  const Queue<int> queue;
  const Queue<int> other;
  const int fd = queue.fileno();
  for (int i = 0; i < 3; ++i) {
    std::optional<Positions> found;
    std::thread waiting([&] { found = wait({other, queue}); });
    static_cast<void>(wait({queue}, 5ms));
    queue.put(i);
    waiting.join();
    EXPECT_EQ(found, Positions{1});
    spin_until([&] { return readable(fd); });
    EXPECT_EQ(queue.get(), i);
    spin_until([&] { return !readable(fd); });
  }
}

TEST_F(WaitFaultTest, Faults26_WithoutADescriptorThereIsAClearErrorAndTheNextTryWorks) {
  const Queue<int> queue;
  os::faults::fail(Call::eventfd, EMFILE);
  EXPECT_THROW(static_cast<void>(queue.fileno()), OsError);
  EXPECT_FALSE(readable(queue.fileno()));
}

TEST_F(WaitFaultTest, InterruptedPollsAreMadeAgainAndOthersAreReported) {
  Watchdog dog{60s};
  auto [left, right] = Pipe();
  const Queue<int> queue;
  right.send(1);
  os::faults::fail(Call::poll, EINTR, 0, 3);
  EXPECT_EQ(wait({left}), Positions{0});
  os::faults::fail(Call::poll, EINTR, 0, 1);
  EXPECT_EQ(wait({queue, left}, 1h), Positions{1});
  os::faults::fail(Call::poll, ENOMEM);
  EXPECT_THROW(static_cast<void>(wait({left})), OsError);
}

}  // namespace
}  // namespace multiprocessing
