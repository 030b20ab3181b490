// Connections with deaths and errors at named places (the testing build of the library).
//
// For each step of a send or a receive: a child dies there, and the table at the top of link.cpp says what the others
// see.  Afterwards everything it held is given back, once it is reaped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "channel/connection_test_support.hpp"
#include "channel/queue_test_support.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/queue.hpp"
#include "os/faults.hpp"
#include "support/crash.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using os::Call;
using testing::arena_damage;
using testing::Child;
using testing::Ends;
using testing::error_of;
using testing::NothingLeft;
using testing::patterned;
using testing::Watchdog;

const std::vector<std::string> send_steps{"conn.send.half_filled", "conn.send.filled",    "conn.send.numbered",
                                          "conn.send.loaded",      "conn.send.sent",      "arena.logged",
                                          "arena.changed",         "arena.before_commit", "arena.committed"};
const std::vector<std::string> receive_steps{"conn.recv.peeked",    "conn.recv.held", "conn.recv.taken",
                                             "conn.recv.dropped",   "arena.logged",   "arena.changed",
                                             "arena.before_commit", "arena.committed"};

// A child with the right end dies at each step of `operation` in turn, once reaped before the rest looks and once
// after; `survivors` is what this process does then with the left end.
template <class Make, class Operation, class Survivors>
void sweep(const std::vector<std::string>& steps, Make make, Operation operation, Survivors survivors) {
  {
    const Ends warm_up;  // slab pages, once made, stay
    make(warm_up);
    operation(warm_up.right);
  }
  int kills = 0;
  for (const std::string& step : steps) {
    for (const bool reap_first : {false, true}) {
      for (int nth = 1;; ++nth) {
        SCOPED_TRACE(step + " number " + std::to_string(nth) + (reap_first ? ", reaped" : ", not reaped"));
        const NothingLeft nothing_left;
        bool died = false;
        {
          const Ends pipe;
          make(pipe);
          Child child{Child::member, [&] {
                        pipe.left.close();
                        os::steps::kill_at(step, nth);
                        operation(pipe.right);
                        os::steps::clear();
                        ::_exit(0);
                      }};
          const int status = child.wait_unreaped();
          died = status == -SIGKILL;
          if (!died) {
            ASSERT_EQ(status, 0);
          }
          if (reap_first) child.reap_as_member();
          survivors(pipe, died ? step : "");
          if (!reap_first) child.reap_as_member();
        }
        EXPECT_EQ(arena_damage(), "");
        if (::testing::Test::HasFailure()) return;
        if (!died) break;
        ++kills;
      }
    }
  }
  EXPECT_GT(kills, 0);
  std::printf("             %d kills\n", kills);
}

// The message, or nullopt for the end of file.
template <class T>
std::optional<T> received(const Connection& from) {
  try {
    return from.recv<T>();
  } catch (const EndOfFile&) {
    return std::nullopt;
  }
}

TEST(ConnectionCrashTest, Faults18_ALargeMessageWhoseSenderDiedIsThereWholeOrNotAtAll) {
  Watchdog dog{120s};
  sweep(
      {"conn.send.half_filled", "conn.send.filled"}, [](const Ends&) {},
      [](const Connection& to) { to.send(patterned(1, 1'000'000)); },
      [](const Ends& pipe, const std::string& step) {
        pipe.right.close();
        const auto message = received<std::string>(pipe.left);
        EXPECT_EQ(message.has_value(), step.empty());
        if (message) {
          EXPECT_TRUE(*message == patterned(1, 1'000'000));
        }
        EXPECT_FALSE(received<std::string>(pipe.left));
      });
}

using QueueParcel = std::pair<Queue<std::string>, std::string>;

void send_parcel(const Connection& to, std::size_t bytes) {
  const QueueParcel parcel{Queue<std::string>(), patterned(2, bytes)};
  parcel.first.put("inside");
  to.send(parcel);
}

void expect_parcel_or_end(const Ends& pipe, const std::string& step) {
  pipe.right.close();
  const auto parcel = received<QueueParcel>(pipe.left);
  if (step.empty() || step == "conn.send.sent") {
    EXPECT_TRUE(parcel.has_value());
  }
  if (step == "conn.send.numbered" || step == "conn.send.loaded" || step == "conn.send.filled") {
    EXPECT_FALSE(parcel.has_value());
  }
  if (parcel) {
    EXPECT_EQ(parcel->first.try_get(), "inside");
  }
  EXPECT_FALSE(received<int>(pipe.left));
}

TEST(ConnectionCrashTest, AMessageWithAHandleIsThereAndHoldsItOrTheEndIsSeen) {
  Watchdog dog{240s};
  sweep(
      send_steps, [](const Ends&) {}, [](const Connection& to) { send_parcel(to, 10); }, expect_parcel_or_end);
}

TEST(ConnectionCrashTest, ALargeMessageWithAHandleToo) {
  Watchdog dog{240s};
  sweep(
      {"conn.send.half_filled", "conn.send.filled", "conn.send.numbered", "conn.send.loaded", "conn.send.sent"},
      [](const Ends&) {}, [](const Connection& to) { send_parcel(to, 100'000); }, expect_parcel_or_end);
}

// A number that a dead sender had taken must not be given again: the cargo of another message would be dropped.
TEST(ConnectionCrashTest, WhatIsSentAfterADeathIsHeldUntilItIsReceived) {
  Watchdog dog{240s};
  sweep(
      {"conn.send.numbered", "conn.send.loaded", "conn.send.sent"}, [](const Ends&) {},
      [](const Connection& to) { send_parcel(to, 10); },
      [](const Ends& pipe, const std::string& step) {
        send_parcel(pipe.right, 20);
        send_parcel(pipe.right, 30);
        if (step.empty() || step == "conn.send.sent") {
          EXPECT_EQ(pipe.left.recv<QueueParcel>().second.size(), 10U);
        }
        for (const std::size_t bytes : {20U, 30U}) {
          const auto [queue, text] = pipe.left.recv<QueueParcel>();
          EXPECT_EQ(text.size(), bytes);
          EXPECT_EQ(queue.try_get(), "inside");
        }
      });
}

TEST(ConnectionCrashTest, WhatASenderThatDiedHadLoadedIsLetGoWithTheNextMessages) {
  Watchdog dog{60s};
  const Ends pipe;
  const memory::Stats before = memory::stats();
  Child child{Child::member, [&] {
                os::steps::kill_at("conn.send.loaded");
                send_parcel(pipe.right, 10);
              }};
  EXPECT_EQ(child.wait(), -SIGKILL);
  EXPECT_EQ(memory::stats().objects, before.objects + 1);  // pinned by what never came
  pipe.right.send(Queue<int>());
  pipe.left.recv<Queue<int>>();
  EXPECT_EQ(memory::stats().objects, before.objects);
}

void expect_sent_before(const Ends& pipe, const std::string& step) {
  const bool is_taken = step.empty() || step == "conn.recv.taken" || step == "conn.recv.dropped";
  const bool stays = step == "conn.recv.peeked" || step == "conn.recv.held";
  pipe.left.send("last");
  std::optional<QueueParcel> parcel;
  try {
    parcel = pipe.right.recv<QueueParcel>();
  } catch (const TypeMismatch&) {
  }
  if (is_taken) {
    EXPECT_FALSE(parcel.has_value());
  }
  if (stays) {
    EXPECT_TRUE(parcel.has_value());
  }
  if (parcel) {
    EXPECT_EQ(parcel->first.try_get(), "inside");
  }
  EXPECT_EQ(pipe.right.recv<std::string>(), "last");
  EXPECT_FALSE(pipe.right.poll());
}

TEST(ConnectionCrashTest, Faults17_AMessageWhoseReceiverDiedBeforeTakingItGoesToTheNext) {
  Watchdog dog{240s};
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{100'000}}) {
    sweep(
        receive_steps, [&](const Ends& pipe) { send_parcel(pipe.left, bytes); },
        [](const Connection& from) { from.recv<QueueParcel>(); }, expect_sent_before);
  }
}

TEST(ConnectionCrashTest, WhatAReceiverThatDiedHadTakenIsLetGoWithTheNextMessage) {
  Watchdog dog{60s};
  const Ends pipe;
  const memory::Stats before = memory::stats();
  send_parcel(pipe.left, 10);
  Child child{Child::member, [&] {
                os::steps::kill_at("conn.recv.taken");
                pipe.right.recv<QueueParcel>();
              }};
  EXPECT_EQ(child.wait(), -SIGKILL);
  EXPECT_EQ(memory::stats().objects, before.objects + 1);
  pipe.left.send("without handles");
  EXPECT_EQ(pipe.right.recv<std::string>(), "without handles");
  EXPECT_EQ(memory::stats().objects, before.objects);
}

// A message without handles, sent in the middle of the sending of one with, must not let go of what that one names.
TEST(ConnectionCrashTest, AMessageWithoutHandlesThatOvertakesLetsNothingGo) {
  Watchdog dog{60s};
  const Ends pipe;
  Child child{Child::member, [&] {
                os::steps::stop_at("conn.send.loaded");
                send_parcel(pipe.right, 10);
                ::_exit(0);
              }};
  testing::wait_stopped(child);
  pipe.right.send(1);
  EXPECT_EQ(pipe.left.recv<int>(), 1);
  child.signal(SIGCONT);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(pipe.left.recv<QueueParcel>().first.try_get(), "inside");
}

TEST(ConnectionCrashTest, TheEndIsSeenWhereverAPeerDies) {
  Watchdog dog{120s};
  for (const std::string& step : receive_steps) {
    const Ends pipe;
    Child child{Child::member, [&] {
                  pipe.left.close();
                  os::steps::kill_at(step);
                  pipe.right.recv<QueueParcel>();
                  ::raise(SIGKILL);
                }};
    pipe.right.close();
    send_parcel(pipe.left, 10);
    EXPECT_THROW(pipe.left.recv<int>(), EndOfFile);
    EXPECT_EQ(child.wait(), -SIGKILL);
  }
}

// --- errors of the kernel -------------------------------------------------------------------------------------------

class ConnectionFaultTest : public ::testing::Test {
 protected:
  ~ConnectionFaultTest() override { os::faults::clear(); }
};

TEST_F(ConnectionFaultTest, InterruptedCallsAreMadeAgain) {
  Watchdog dog{60s};
  const Ends pipe;
  for (const Call call : {Call::send, Call::receive, Call::poll}) {
    for (const int error : {EINTR, call == Call::send ? EAGAIN : EINTR}) {
      for (int pass = 0; pass < 3; ++pass) {
        os::faults::fail(call, error, pass, 2);
        pipe.left.send(std::pair(Queue<int>(3), std::string("x")));
        const auto [queue, text] = pipe.right.recv<std::pair<Queue<int>, std::string>>();
        EXPECT_EQ(queue.maxsize(), 3U);
        EXPECT_EQ(text, "x");
        os::faults::clear();
        EXPECT_FALSE(pipe.right.poll());
      }
    }
  }
}

TEST_F(ConnectionFaultTest, Faults26_NothingIsHalfMadeWhenAPipeCannotBeMade) {
  const NothingLeft nothing_left;
  os::faults::fail(Call::socketpair, EMFILE);
  try {
    static_cast<void>(Pipe());
    ADD_FAILURE();
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), EMFILE);
    EXPECT_NE(std::string_view(error.what()).find("ulimit -n"), std::string_view::npos) << error.what();
  }
  os::faults::fail(Call::duplicate, EMFILE);
  EXPECT_EQ(error_of([] { Descriptor(0); }), EMFILE);
}

TEST_F(ConnectionFaultTest, Faults25_AMessageForWhichThereIsNoMemoryIsNotSentAndLeavesNothing) {
  const NothingLeft nothing_left;
  const Ends pipe;
  const std::string large = patterned(1, 1'000'000);
  const std::pair<Call, int> faults[] = {
      {Call::memfd_create, ENOMEM}, {Call::memfd_create, EMFILE}, {Call::ftruncate, EFBIG},  {Call::write, ENOSPC},
      {Call::write, ENOMEM},        {Call::send, ENOBUFS},        {Call::send, ETOOMANYREFS}};
  for (const auto& [call, error] : faults) {
    os::faults::fail(call, error);
    EXPECT_EQ(error_of([&] { pipe.left.send(large); }), error);
    EXPECT_FALSE(pipe.right.poll());
  }
  os::faults::fail(Call::write, ENOSPC, 1);
  EXPECT_EQ(error_of([&] { pipe.left.send(large); }), ENOSPC);
  pipe.left.send(large);
  EXPECT_TRUE(pipe.right.recv<std::string>() == large);
}

TEST_F(ConnectionFaultTest, AMessageThatCannotBeMappedOrTakenStays) {
  const NothingLeft nothing_left;
  const Ends pipe;
  pipe.left.send(std::pair(Queue<int>(3), patterned(1, 1'000'000)));
  using Message = std::pair<Queue<int>, std::string>;
  os::faults::fail(Call::mmap, ENOMEM);
  EXPECT_EQ(error_of([&] { pipe.right.recv<Message>(); }), ENOMEM);
  os::faults::fail(Call::receive, ENOMEM);
  EXPECT_EQ(error_of([&] { pipe.right.recv<Message>(); }), ENOMEM);
  os::faults::fail(Call::receive, ENOMEM, 1);
  EXPECT_EQ(error_of([&] { pipe.right.recv<Message>(); }), ENOMEM);
  const Message message = pipe.right.recv<Message>();
  EXPECT_EQ(message.first.maxsize(), 3U);
  EXPECT_TRUE(message.second == patterned(1, 1'000'000));
}

TEST_F(ConnectionFaultTest, AFailedSendOfAHandleLeavesThePipeInOrder) {
  const NothingLeft nothing_left;
  const Ends pipe;
  os::faults::fail(Call::send, ENOBUFS);
  EXPECT_EQ(error_of([&] { pipe.left.send(Queue<int>(1)); }), ENOBUFS);
  pipe.left.send(Queue<int>(2));
  EXPECT_EQ(pipe.right.recv<Queue<int>>().maxsize(), 2U);
}

}  // namespace
}  // namespace multiprocessing
