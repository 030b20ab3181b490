// Connections between processes: the end of file, what travels, forks of every kind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channel/connection_test_support.hpp"
#include "channel/queue_test_support.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/queue.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Ends;
using testing::NothingLeft;
using testing::patterned;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

// Runs `body` in a child that keeps only its own end, the right one, as a program does that means to see the end.
template <class Body>
Child child_with_right(const Ends& pipe, Body body) {
  Child child{Child::member, [&] {
                pipe.left.close();
                body(pipe.right);
              }};
  pipe.right.close();
  return child;
}

TEST(ConnectionProcessTest, AChildAnswers) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  Child child = child_with_right(pipe, [](const Connection& parent) {
    for (;;) {
      const int number = parent.recv<int>();
      if (number < 0) return;
      parent.send(std::to_string(number));
    }
  });
  for (int i = 0; i < 100; ++i) {
    pipe.left.send(i);
    EXPECT_EQ(pipe.left.recv<std::string>(), std::to_string(i));
  }
  pipe.left.send(-1);
  EXPECT_EQ(child.wait(), 0);
}

TEST(ConnectionProcessTest, WhatAChildSentIsThereAfterItsEndAndThenTheEndOfFile) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  Child child = child_with_right(pipe, [](const Connection& parent) {
    parent.send("small");
    parent.send(patterned(1, 1'000'000));
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(pipe.left.recv<std::string>(), "small");
  EXPECT_TRUE(pipe.left.recv<std::string>() == patterned(1, 1'000'000));
  EXPECT_THROW(pipe.left.recv<std::string>(), EndOfFile);
}

TEST(ConnectionProcessTest, AChildSeesTheEndWhenItsParentCloses) {
  Watchdog dog{60s};
  const Ends pipe;
  Child child = child_with_right(pipe, [](const Connection& parent) {
    MP_REQUIRE(parent.recv<int>() == 1);
    try {
      parent.recv<int>();
    } catch (const EndOfFile&) {
      ::_exit(5);
    }
  });
  pipe.left.send(1);
  pipe.left.close();
  EXPECT_EQ(child.wait(), 5);
}

TEST(ConnectionProcessTest, TheEndIsSeenByOneWhoWaitsForAPeerThatIsKilled) {
  Watchdog dog{60s};
  const Ends pipe;
  Child child = child_with_right(pipe, [](const Connection& parent) { parent.recv<int>(); });
  std::thread killer([&] { child.signal(SIGKILL); });
  EXPECT_THROW(pipe.left.recv<int>(), EndOfFile);
  killer.join();
  EXPECT_EQ(child.wait(), -SIGKILL);
}

TEST(ConnectionProcessTest, TheOtherEndIsThereAsLongAsAnyProcessHoldsIt) {
  Watchdog dog{60s};
  const Ends pipe;
  const Ends gate;
  Child heir{Child::member, [&] { gate.right.recv<int>(); }};  // inherits everything and closes nothing
  Child child = child_with_right(pipe, [](const Connection&) {});
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(pipe.left.poll());
  gate.left.send(1);
  EXPECT_EQ(heir.wait(), 0);
  EXPECT_THROW(pipe.left.recv<int>(), EndOfFile);
}

TEST(ConnectionProcessTest, TwoSidesSendEachOther200MegabytesAtOnce) {
  Watchdog dog{120s};
  const NothingLeft nothing_left;
  const Ends pipe;
  const std::string large(std::size_t{200} << 20, 'L');
  Child child = child_with_right(pipe, [&](const Connection& parent) {
    parent.send(large);
    MP_REQUIRE(parent.recv<std::string>() == large);
  });
  pipe.left.send(large);
  EXPECT_TRUE(pipe.left.recv<std::string>() == large);
  EXPECT_EQ(child.wait(), 0);
}

TEST(ConnectionProcessTest, EachMessageGoesToOneOfSeveralProcesses) {
  Watchdog dog{60s};
  const Ends pipe;
  struct Board {
    std::atomic<long> sum{0};
    std::atomic<int> count{0};
  };
  const Shared<Board> board;
  constexpr int messages = 2'000;
  std::vector<Child> receivers;
  for (int r = 0; r < 3; ++r) {
    receivers.emplace_back(Child::member, [&] {
      pipe.left.close();
      try {
        for (;;) {
          board->sum += pipe.right.recv<std::vector<int>>().at(0);
          ++board->count;
        }
      } catch (const EndOfFile&) {
      }
    });
  }
  std::vector<Child> senders;
  for (int s = 0; s < 2; ++s) {
    senders.emplace_back(Child::member, [&, s] {
      for (int i = 0; i < messages; ++i) pipe.left.send(std::vector<int>{s * messages + i});
    });
  }
  pipe.left.close();
  for (Child& sender : senders) EXPECT_EQ(sender.wait(), 0);
  for (Child& receiver : receivers) EXPECT_EQ(receiver.wait(), 0);
  constexpr long all = 2L * messages;
  EXPECT_EQ(board->count, all);
  EXPECT_EQ(board->sum, all * (all - 1) / 2);
}

TEST(ConnectionProcessTest, AConnectionArrivesWhoseSenderDiesAfterSendingIt) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends road;
  Child child = child_with_right(road, [](const Connection& parent) {
    const Ends made_here;
    made_here.left.send("from the dead");
    parent.send(std::pair(std::string("take it"), made_here.right));
    ::raise(SIGKILL);
  });
  EXPECT_EQ(child.wait(), -SIGKILL);
  const auto [text, connection] = road.left.recv<std::pair<std::string, Connection>>();
  EXPECT_EQ(text, "take it");
  EXPECT_EQ(connection.recv<std::string>(), "from the dead");
  EXPECT_THROW(connection.recv<std::string>(), EndOfFile);
}

TEST(ConnectionProcessTest, AQueueArrivesWhoseSenderDropsItAndDies) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  Child child = child_with_right(pipe, [](const Connection& parent) {
    {
      const Queue<std::string> queue;
      queue.put("kept");
      parent.send(queue);
    }
    ::raise(SIGKILL);
  });
  EXPECT_EQ(child.wait(), -SIGKILL);
  EXPECT_EQ(pipe.left.recv<Queue<std::string>>().get(), "kept");
}

TEST(ConnectionProcessTest, ACloseInTheChildLeavesTheParentsEndOpen) {
  Watchdog dog{60s};
  const Ends pipe;
  Child child{Child::member, [&] {
                pipe.left.close();
                pipe.right.close();
              }};
  EXPECT_EQ(child.wait(), 0);
  pipe.left.send(1);
  EXPECT_EQ(pipe.right.recv<int>(), 1);
}

// The calls in progress in other threads of the parent are none in the child: its close() must close.
TEST(ConnectionProcessTest, Faults28_AChildForkedWhileOtherThreadsWaitInAConnectionCanUseAndCloseIt) {
  Watchdog dog{60s};
  for (const Child::Making making : {Child::member, Child::plain}) {
    const Ends pipe;
    const Ends report;
    std::atomic<bool> inside{false};
    std::thread waiting([&] {
      inside = true;
      EXPECT_EQ(pipe.right.recv<std::string>(), "for the thread");
    });
    spin_until([&] { return inside.load(); });
    static_cast<void>(pipe.left.poll(20ms));  // it may have got as far as its wait
    Child child{making, [&] {
                  char name[64];
                  std::snprintf(name, sizeof name, "/proc/self/fd/%d", pipe.right.fileno());
                  pipe.right.send("from the child");
                  pipe.right.close();
                  MP_REQUIRE(::access(name, F_OK) != 0);
                  pipe.left.close();
                  report.right.send(1);
                }};
    EXPECT_EQ(report.left.recv<int>(), 1);
    EXPECT_EQ(pipe.left.recv<std::string>(), "from the child");
    EXPECT_EQ(child.wait(), 0);
    pipe.left.send("for the thread");
    waiting.join();
  }
  memory::collect_orphans();
}

TEST(ConnectionProcessTest, Faults28_ForksInTheMiddleOfTrafficHarmNobody) {
  Watchdog dog{120s};
  const Ends pipe;
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    while (!stop) {
      const Queue<int> queue;
      pipe.left.send(queue);
      pipe.left.send(1);
    }
    pipe.left.send(2);
  });
  std::thread receiver([&] {
    for (int number = 1; number != 2;) {
      try {
        number = pipe.right.recv<int>();
      } catch (const TypeMismatch&) {
        pipe.right.recv<Queue<int>>();
      }
    }
  });
  for (int i = 0; i < 30; ++i) {
    Child child{Child::member, [&] {
                  const Ends own;
                  own.left.send(Queue<int>());
                  static_cast<void>(own.right.recv<Queue<int>>());
                  pipe.left.close();
                  pipe.right.close();
                }};
    EXPECT_EQ(child.wait(), 0);
  }
  stop = true;
  sender.join();
  receiver.join();
}

TEST(ConnectionProcessTest, AProcessMadeByABareForkUsesTheConnectionsItInherited) {
  Watchdog dog{60s};
  const Ends pipe;
  pipe.left.send("to the guest");
  pipe.left.send(Queue<int>(7));
  Child guest{Child::plain, [&] {
                MP_REQUIRE(pipe.right.recv<std::string>() == "to the guest");
                const auto queue = pipe.right.recv<Queue<int>>();
                MP_REQUIRE(queue.maxsize() == 7);
                queue.put(8);
                pipe.right.send(queue);
              }};
  EXPECT_EQ(guest.wait(), 0);
  EXPECT_EQ(pipe.left.recv<Queue<int>>().get(), 8);
  memory::collect_orphans();
  EXPECT_EQ(testing::arena_damage(), "");
}

TEST(ConnectionProcessTest, Faults26_WithoutADescriptorLeftTheMessageStays) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  pipe.left.send(std::vector<Descriptor>(3, Descriptor(0)));
  pipe.left.send(patterned(5, 1'000'000));
  for (std::size_t free = 0; free < 3; ++free) {
    const testing::DescriptorLimit limit(free);
    EXPECT_THROW(pipe.right.recv<std::vector<Descriptor>>(), OsError);
  }
  EXPECT_EQ(pipe.right.recv<std::vector<Descriptor>>().size(), 3U);
  {
    const testing::DescriptorLimit none(0);
    EXPECT_THROW(pipe.right.recv<std::string>(), OsError);
    EXPECT_THROW(pipe.left.send(patterned(6, 1'000'000)), OsError);
    EXPECT_THROW(static_cast<void>(Pipe()), OsError);
    pipe.left.send("small ones need none");
  }
  EXPECT_TRUE(pipe.right.recv<std::string>() == patterned(5, 1'000'000));
  EXPECT_EQ(pipe.right.recv<std::string>(), "small ones need none");
}

}  // namespace
}  // namespace multiprocessing
