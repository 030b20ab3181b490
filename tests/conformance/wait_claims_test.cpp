// wait: what Python's documentation says of multiprocessing.connection.wait, sentence by sentence.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::Steps;
using Clock = std::chrono::steady_clock;
using Ready = std::vector<std::size_t>;

class WaitClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(WaitClaims);

// "Wait till an object in object_list is ready.  Returns the list of those objects in object_list which are ready."  Here:
// of their positions.
TEST_P(WaitClaims, ThePositionsOfAllThatIsReadyAreReturned) {
  auto [a, other_a] = mp::Pipe();
  auto [b, other_b] = mp::Pipe();
  auto [c, other_c] = mp::Pipe();
  start(
      [](mp::Connection first, mp::Connection third) {
        first.send(1);
        third.send(3);
      },
      other_a, other_c);
  join_all();
  EXPECT_EQ(mp::wait({a, b, c}), (Ready{0, 2}));
  EXPECT_EQ(mp::wait({a, b, c}), (Ready{0, 2}));  // nothing was taken
  EXPECT_EQ(a.recv<int>(), 1);
  EXPECT_EQ(mp::wait({a, b, c}), Ready{2});
}

// "If timeout is a float then the call blocks for at most that many seconds."
TEST_P(WaitClaims, WithATimeoutItBlocksForThatTimeAtMostAndReturnsNothing) {
  auto [mine, theirs] = mp::Pipe();
  const auto begin = Clock::now();
  EXPECT_EQ(mp::wait({mine}, a_moment), Ready{});
  EXPECT_GE(Clock::now() - begin, a_moment);
}

// "A negative timeout is equivalent to a zero timeout."
TEST_P(WaitClaims, ATimeoutOfZeroOrLessDoesNotBlock) {
  auto [mine, theirs] = mp::Pipe();
  EXPECT_EQ(mp::wait({mine}, 0s), Ready{});
  EXPECT_EQ(mp::wait({mine}, -1h), Ready{});
  theirs.send(1);
  EXPECT_EQ(mp::wait({mine}, 0s), Ready{0});
  EXPECT_EQ(mp::wait({mine}, -1h), Ready{0});
}

// "If timeout is None then it will block for an unlimited period."
TEST_P(WaitClaims, WithoutATimeoutItBlocksUntilSomethingIsReady) {
  auto [mine, theirs] = mp::Pipe();
  Steps steps;
  start([](mp::Connection c, Steps s) { s.around([&] { mp::testing::require(mp::wait({c}) == Ready{0}); }); }, theirs,
        steps);
  EXPECT_TRUE(steps.blocks());
  mine.send(1);
}

// "A connection or socket object is ready when there is data available to be read from it, or the other end has been
// closed."
TEST_P(WaitClaims, AConnectionIsReadyWhenItsOtherEndHasBeenClosed) {
  auto [mine, theirs] = mp::Pipe();
  start([](mp::Connection c) { c.close(); }, theirs);
  join_all();
  EXPECT_EQ(mp::wait({mine}, a_moment), Ready{});  // this process still has it
  theirs.close();
  EXPECT_EQ(mp::wait({mine}), Ready{0});
}

TEST_P(WaitClaims, ASocketIsReadyWhenItHasDataOrItsOtherEndHasBeenClosed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(mp::wait({ends[0]}, a_moment), Ready{});
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_EQ(mp::wait({ends[0]}), Ready{0});
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(mp::wait({ends[0]}, 0s), Ready{});
  ::close(ends[1]);
  EXPECT_EQ(mp::wait({ends[0]}), Ready{0});
  ::close(ends[0]);
}

// "the sentinel attribute of a Process object": "A numeric handle of a system object which will become 'ready' when the
// process ends."
TEST_P(WaitClaims, ASentinelIsReadyWhenItsProcessHasEnded) {
  mp::Event may_end;
  mp::Process& lives = start([](mp::Event e) { e.wait(); }, may_end);
  mp::Process& ends = start([] {});
  EXPECT_EQ(mp::wait({lives.sentinel(), ends.sentinel()}), Ready{1});
  may_end.set();
  EXPECT_EQ(mp::wait({lives.sentinel()}), Ready{0});
}

// "if select.select() is interrupted by a signal, it can raise OSError with an error number of EINTR, whereas
// multiprocessing.connection.wait() will not."
TEST_P(WaitClaims, ASignalDoesNotEndIt) {
  static std::atomic<int> signals{0};
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals; };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);  // without SA_RESTART
  auto [mine, theirs] = mp::Pipe();
  auto [progress, mark] = mp::Pipe();
  start(
      [](mp::Connection c) {
        for (int i = 0; i < 20; ++i) {
          ::kill(::getppid(), SIGUSR1);
          (void)c.poll(1ms);  // some of them find the parent asleep
        }
        c.send(1);
      },
      theirs);
  EXPECT_EQ(mp::wait({progress, mine}), Ready{1});
  EXPECT_GT(signals, 0);
  ::signal(SIGUSR1, SIG_DFL);
}

// The example: several processes write, and the parent reads from whichever is ready until all of them are at their ends.
TEST_P(WaitClaims, TheExampleOfTheDocumentation) {
  std::vector<mp::Connection> readers;
  for (int writer = 0; writer < 4; ++writer) {
    auto [in, out] = mp::Pipe({.duplex = false});
    readers.push_back(in);
    start(
        [](mp::Connection c, int who) {
          for (int i = 0; i < 10; ++i) c.send(std::pair(i, who));
          c.close();
        },
        out, writer);
  }
  int messages = 0;
  while (!readers.empty()) {
    const Ready ready = mp::wait(std::vector<mp::Waitable>(readers.begin(), readers.end()));
    for (auto position = ready.rbegin(); position != ready.rend(); ++position) {
      const auto reader = readers.begin() + static_cast<std::ptrdiff_t>(*position);
      try {
        (void)reader->recv<std::pair<int, int>>();
        ++messages;
      } catch (const mp::EndOfFile&) {
        readers.erase(reader);
      }
    }
  }
  EXPECT_EQ(messages, 40);
}

}  // namespace
