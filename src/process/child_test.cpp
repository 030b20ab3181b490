// FAULTS 27: what a host program can do to the descriptors and children that this layer believes to be its own.
// Each test runs in a host of its own, which is free to spoil itself.
#include "process/child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/process.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Host;
using testing::polls_readable;
using testing::Signal;
using testing::sleep_for_ever;
using testing::Watchdog;

// In a host: names what was not so in its exit code (the line), as nothing else may be left to say it with.
#define HOST_REQUIRE(condition) \
  if (!(condition)) ::_exit(__LINE__ % 200 + 1)

void close_all_descriptors() {
  for (int fd = 0; fd < 256; ++fd) ::close(fd);
}

TEST(HostWithoutStandardDescriptors, StartsAndJoins) {
  Watchdog dog{60s};
  Host host([] {
    for (int fd = 0; fd <= 2; ++fd) ::close(fd);
    for (int i = 0; i < 3; ++i) {
      Process process([] { throw std::runtime_error("nobody reads this"); });
      process.start();
      process.join();
      HOST_REQUIRE(process.exitcode() == 1);
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatClosesAllDescriptors, StartsAndJoinsAfterwards) {
  Watchdog dog{60s};
  Host host([] {
    close_all_descriptors();
    for (int i = 0; i < 3; ++i) {
      Process process([i] { ::_exit(i); });
      process.start();
      process.join();
      HOST_REQUIRE(process.exitcode() == i);
    }
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatClosesAllDescriptors, StillJoinsSignalsAndReapsEarlierChildren) {
  Watchdog dog{60s};
  Host host([] {
    Process killed(sleep_for_ever);
    Process terminated(sleep_for_ever);
    killed.start();
    terminated.start();
    close_all_descriptors();
    HOST_REQUIRE(killed.is_alive());
    HOST_REQUIRE(!polls_readable(killed.sentinel()));
    killed.kill();
    terminated.terminate();
    killed.join();
    terminated.join();
    HOST_REQUIRE(killed.exitcode() == -SIGKILL);
    HOST_REQUIRE(terminated.exitcode() == -SIGTERM);
    HOST_REQUIRE(polls_readable(killed.sentinel()));
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatClosesAllDescriptors, DoesNotConfuseAnEarlierChildWithALaterOneOfTheSameNumber) {
  Watchdog dog{60s};
  Host host([] {
    Process earlier(sleep_for_ever);
    earlier.start();
    const int number = earlier.sentinel();
    close_all_descriptors();
    std::vector<Process> later;
    while (later.empty() || later.back().sentinel() < number) {
      later.emplace_back([] { ::_exit(3); });
      later.back().start();
    }
    for (const auto& process : later) {
      process.join();
      HOST_REQUIRE(process.exitcode() == 3);
    }
    HOST_REQUIRE(earlier.is_alive());
    earlier.kill();
    earlier.join();
    HOST_REQUIRE(earlier.exitcode() == -SIGKILL);
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatClosesAllDescriptors, KeepsItsOwnFileThatGotTheNumberOfASentinel) {
  Watchdog dog{60s};
  Host host([] {
    int number = -1;
    {
      Process process([] {});
      process.start();
      number = process.sentinel();
      close_all_descriptors();
      while (::open("/dev/null", O_RDONLY) < number) {
      }
      process.join();
      HOST_REQUIRE(process.exitcode() == 0);
    }
    HOST_REQUIRE(::fcntl(number, F_GETFD) >= 0);
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatIgnoresSigchld, JoinsWithoutAnExitCode) {
  Watchdog dog{60s};
  Host host([] {
    std::signal(SIGCHLD, SIG_IGN);
    Process process(sleep_for_ever);
    process.start();
    HOST_REQUIRE(process.is_alive());
    HOST_REQUIRE(!process.join(1ms));
    process.kill();
    process.join();
    HOST_REQUIRE(!process.is_alive());
    HOST_REQUIRE(!process.exitcode().has_value());
    HOST_REQUIRE(active_children().empty());
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatReapsEverything, StartsAndJoinsManyChildren) {
  Watchdog dog{120s};
  Host host([] {
    std::atomic<bool> done{false};
    std::thread thief([&done] {
      while (!done) ::waitpid(-1, nullptr, WNOHANG);
    });
    for (int i = 0; i < 300; ++i) {
      Process process([] { ::_exit(3); });
      process.start();
      process.join();
      HOST_REQUIRE(!process.is_alive());
      HOST_REQUIRE(process.exitcode().value_or(3) == 3);
    }
    done = true;
    thief.join();
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(HostThatReapsEverything, LearnsOfADeathAfterTheTheftWithoutItsPidfd) {
  Watchdog dog{60s};
  Host host([] {
    Process process([] {});
    process.start();
    HOST_REQUIRE(::waitpid(*process.pid(), nullptr, 0) == *process.pid());
    close_all_descriptors();
    process.kill();  // must not hit whoever has the pid now
    process.join();
    HOST_REQUIRE(!process.exitcode().has_value());
    HOST_REQUIRE(polls_readable(process.sentinel()));
    return 0;
  });
  EXPECT_EQ(host.status(), 0);
}

TEST(Children, LeaveNoDescriptorAndNoZombieBehind) {
  Watchdog dog{60s};
  const auto lowest_free = [] {
    const int fd = ::dup(STDERR_FILENO);
    ::close(fd);
    return fd;
  };
  Process([] {}).start();  // whatever is opened once is open now
  for (const auto& child : active_children()) child.join();
  const int before = lowest_free();
  for (int i = 0; i < 20; ++i) Process([] {}).start();
  for (const auto& child : active_children()) child.join();
  EXPECT_TRUE(active_children().empty());
  EXPECT_EQ(lowest_free(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "an unreaped child";
}

}  // namespace
}  // namespace multiprocessing
