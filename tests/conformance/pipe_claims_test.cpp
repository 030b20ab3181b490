// Pipe and Connection: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <multiprocessing/multiprocessing.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::a_moment;
using mp::testing::require;
using mp::testing::Steps;
using Clock = std::chrono::steady_clock;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class PipeClaims : public mp::testing::EveryStartMethod {};
FOR_EVERY_START_METHOD(PipeClaims);

// --- the pair -------------------------------------------------------------------------------------------------------

// "Returns a pair (conn1, conn2) of Connection objects representing the ends of a pipe.  If duplex is True (the default)
// then the pipe is bidirectional."
TEST_P(PipeClaims, APipeIsBidirectional) {
  auto [mine, theirs] = mp::Pipe();
  start([](mp::Connection c) { c.send(c.recv<int>() + 1); }, theirs);
  mine.send(41);
  EXPECT_EQ(mine.recv<int>(), 42);
}

// "If duplex is False then the pipe is unidirectional: conn1 can only be used for receiving messages and conn2 can only be
// used for sending messages."
TEST_P(PipeClaims, APipeThatIsNotDuplexGoesFromTheSecondToTheFirst) {
  auto [in, out] = mp::Pipe({.duplex = false});
  start(
      [](mp::Connection c) {
        c.send(1);
        try {
          (void)c.recv<int>();
          require(false);
        } catch (const mp::OsError&) {
        }
      },
      out);
  EXPECT_EQ(in.recv<int>(), 1);
  EXPECT_THROW(in.send(1), mp::OsError);
}

// The example of Connection: `b.send([1, 'hello', None])`, `b.send_bytes(b'thank you')`.
TEST_P(PipeClaims, TheExampleOfTheDocumentation) {
  using Item = std::tuple<int, std::string, std::optional<int>>;
  auto [a, b] = mp::Pipe();
  a.send(Item(1, "hello", std::nullopt));
  EXPECT_EQ(b.recv<Item>(), Item(1, "hello", std::nullopt));
  b.send_bytes("thank you");
  EXPECT_EQ(text_of(a.recv_bytes()), "thank you");
}

// "They can be thought of as message oriented connected sockets": each message is whole and by itself.
TEST_P(PipeClaims, MessagesComeOneByOneInTheirOrder) {
  auto [mine, theirs] = mp::Pipe();
  start(
      [](mp::Connection c) {
        c.send("a");
        c.send("");
        c.send(std::string(100'000, 'b'));
        c.send_bytes("c");
      },
      theirs);
  EXPECT_EQ(mine.recv<std::string>(), "a");
  EXPECT_EQ(mine.recv<std::string>(), "");
  EXPECT_EQ(mine.recv<std::string>(), std::string(100'000, 'b'));
  EXPECT_EQ(text_of(mine.recv_bytes()), "c");
}

// --- send and recv --------------------------------------------------------------------------------------------------

// "Very large pickles (approximately 32 MiB+, though it depends on the OS) may raise a ValueError exception", and so of
// "very large buffers" for send_bytes().  Here they are sent.
TEST_P(PipeClaims, MessagesOfMoreThan32MebibytesAreSent) {
  const std::size_t size = std::size_t{33} << 20;
  auto [mine, theirs] = mp::Pipe();
  start(
      [](mp::Connection c) {
        const std::string large(std::size_t{33} << 20, 'x');
        c.send(large);
        c.send_bytes(large);
      },
      theirs);
  const auto first = mine.recv<std::string>();
  EXPECT_EQ(first.size(), size);
  EXPECT_EQ(std::ranges::count(first, 'x'), static_cast<std::ptrdiff_t>(size));
  EXPECT_EQ(mine.recv_bytes().size(), size);
}

// "recv(): Return an object sent from the other end of the connection using send().  Blocks until there is something to
// receive."
TEST_P(PipeClaims, RecvBlocksUntilThereIsAMessage) {
  auto [mine, theirs] = mp::Pipe();
  Steps steps;
  start([](mp::Connection c, Steps s) { s.around([&] { require(c.recv<int>() == 5); }); }, theirs, steps);
  EXPECT_TRUE(steps.blocks());
  mine.send(5);
}

// "Raises EOFError if there is nothing left to receive and the other end was closed": what was sent before comes first.
TEST_P(PipeClaims, RecvThrowsEndOfFileWhenNothingIsLeftAndTheOtherEndIsClosed) {
  auto [mine, theirs] = mp::Pipe();
  start(
      [](mp::Connection c) {
        c.send(1);
        c.send_bytes("2");
        c.close();
      },
      theirs);
  theirs.close();
  join_all();
  EXPECT_EQ(mine.recv<int>(), 1);
  EXPECT_EQ(text_of(mine.recv_bytes()), "2");
  EXPECT_THROW(mine.recv<int>(), mp::EndOfFile);
  EXPECT_THROW(mine.recv_bytes(), mp::EndOfFile);
  EXPECT_THROW(mine.recv<int>(), mp::EndOfFile);  // and again
}

// A recv() that blocks already ends too.
TEST_P(PipeClaims, RecvThatBlocksThrowsEndOfFileWhenTheOtherEndCloses) {
  auto [mine, theirs] = mp::Pipe();
  Steps steps;
  start(
      [](mp::Connection c, mp::Connection other_end, Steps s) {
        other_end.close();
        s.around([&] {
          try {
            (void)c.recv<int>();
            require(false);
          } catch (const mp::EndOfFile&) {
          }
        });
      },
      theirs, mine, steps);
  theirs.close();
  EXPECT_TRUE(steps.blocks());
  mine.close();
}

// "close(): … This is called automatically when the connection is garbage collected."
TEST_P(PipeClaims, AnEndWhoseLastHandleGoesIsClosed) {
  std::optional<mp::Connection> mine;
  {
    auto [left, right] = mp::Pipe();
    mine = left;
    right.send(1);
  }
  EXPECT_EQ(mine->recv<int>(), 1);
  EXPECT_THROW(mine->recv<int>(), mp::EndOfFile);
}

// --- poll -----------------------------------------------------------------------------------------------------------

// "poll(): Return whether there is any data available to be read.  If timeout is not specified then it will return
// immediately."
TEST_P(PipeClaims, PollSaysWhetherThereIsAMessageAndLeavesItThere) {
  auto [mine, theirs] = mp::Pipe();
  EXPECT_FALSE(mine.poll());
  start([](mp::Connection c) { c.send(1); }, theirs);
  join_all();
  EXPECT_TRUE(mine.poll());
  EXPECT_TRUE(mine.poll());
  EXPECT_EQ(mine.recv<int>(), 1);
  EXPECT_FALSE(mine.poll());
}

// "If timeout is a number then this specifies the maximum time in seconds to block."
TEST_P(PipeClaims, PollWithATimeoutBlocksForThatTimeAtMost) {
  auto [mine, theirs] = mp::Pipe();
  const auto begin = Clock::now();
  EXPECT_FALSE(mine.poll(a_moment));
  EXPECT_GE(Clock::now() - begin, a_moment);
  EXPECT_FALSE(mine.poll(-1h));
  Steps steps;
  start([](mp::Connection c, Steps s) { s.around([&] { require(c.poll(60s)); }); }, theirs, steps);
  EXPECT_TRUE(steps.blocks());
  mine.send(1);
}

// "If timeout is None then an infinite timeout is used."  Here that is mp::wait() of one.
TEST_P(PipeClaims, AnInfinitePollIsAWait) {
  auto [mine, theirs] = mp::Pipe();
  Steps steps;
  start([](mp::Connection c, Steps s) { s.around([&] { require(mp::wait({c}).size() == 1); }); }, theirs, steps);
  EXPECT_TRUE(steps.blocks());
  mine.send(1);
}

// Python's poll() is true at the end of the file as well, for recv() would not block.
TEST_P(PipeClaims, PollIsTrueAtTheEndOfFile) {
  auto [mine, theirs] = mp::Pipe();
  theirs.close();
  EXPECT_TRUE(mine.poll());
  EXPECT_TRUE(mine.poll(60s));
}

// --- bytes ----------------------------------------------------------------------------------------------------------

// "send_bytes(): Send byte data from a bytes-like object as a complete message."  "recv_bytes(): Return a complete message
// of byte data sent from the other end of the connection as a string."
TEST_P(PipeClaims, BytesAreCompleteMessages) {
  auto [mine, theirs] = mp::Pipe();
  start(
      [](mp::Connection c) {
        for (std::size_t size : {0, 1, 1000, 70'000, 300'000}) c.send_bytes(std::string(size, 'b'));
      },
      theirs);
  for (std::size_t size : {0, 1, 1000, 70'000, 300'000}) EXPECT_EQ(text_of(mine.recv_bytes()), std::string(size, 'b'));
}

// "If offset is given then data is read from that position in buffer.  If size is given then that many bytes will be read
// from buffer."  Here that is a part of the span or of the view.
TEST_P(PipeClaims, APartOfABufferIsAView) {
  auto [mine, theirs] = mp::Pipe();
  const std::string_view buffer = "0123456789";
  theirs.send_bytes(buffer.substr(3, 4));
  theirs.send_bytes(std::as_bytes(std::span(buffer)).subspan(8));
  EXPECT_EQ(text_of(mine.recv_bytes()), "3456");
  EXPECT_EQ(text_of(mine.recv_bytes()), "89");
}

// "Blocks until there is something to receive."
TEST_P(PipeClaims, RecvBytesBlocksUntilThereIsAMessage) {
  auto [mine, theirs] = mp::Pipe();
  Steps steps;
  start([](mp::Connection c, Steps s) { s.around([&] { require(c.recv_bytes().size() == 3); }); }, theirs, steps);
  EXPECT_TRUE(steps.blocks());
  mine.send_bytes("abc");
}

// --- the notes and warnings -----------------------------------------------------------------------------------------

// "data in a pipe may become corrupted if two processes (or threads) try to read from or write to the same end of the pipe
// at the same time."  Here it does not.
TEST_P(PipeClaims, SeveralProcessesWriteToOneEndAndSeveralReadFromOne) {
  auto [in, out] = mp::Pipe({.duplex = false});
  mp::Queue<int> taken;
  for (int reader = 0; reader < 2; ++reader) {
    start(
        [](mp::Connection c, mp::Queue<int> sizes) {
          for (;;) {
            const auto message = c.recv<std::string>();
            if (message == "end") break;
            require(std::ranges::count(message, message.front()) == static_cast<std::ptrdiff_t>(message.size()));
            sizes.put(static_cast<int>(message.size()));
          }
        },
        in, taken);
  }
  std::vector<int> wanted;
  for (int writer = 0; writer < 2; ++writer) {
    start(
        [](mp::Connection c, int who) {
          for (int i = 1; i <= 60; ++i) {
            c.send(std::string(static_cast<std::size_t>(i * 1000 + who), static_cast<char>('a' + i % 26)));
          }
        },
        out, writer);
    for (int i = 1; i <= 60; ++i) wanted.push_back(i * 1000 + writer);
  }
  std::vector<int> got;
  while (got.size() < wanted.size()) got.push_back(taken.get());
  for (int reader = 0; reader < 2; ++reader) out.send("end");
  std::ranges::sort(got);
  std::ranges::sort(wanted);
  EXPECT_EQ(got, wanted);
}

// "If a process is killed while it is trying to read or write to a pipe then the data in the pipe is likely to become
// corrupted, because it may become impossible to be sure where the message boundaries lie."  Here they stay where they are.
TEST_P(PipeClaims, AProcessThatIsKilledWhileItWritesCorruptsNothing) {
  auto [in, out] = mp::Pipe({.duplex = false});
  for (int round = 0; round < 10; ++round) {
    mp::Process& writer = start(
        [](mp::Connection c) {
          for (;;) c.send(std::string(100'000, 'x'));
        },
        out);
    for (int i = 0; i < 3 + round; ++i) EXPECT_EQ(in.recv<std::string>(), std::string(100'000, 'x'));
    kill(writer);
    while (in.poll()) EXPECT_EQ(in.recv<std::string>(), std::string(100'000, 'x'));
    out.send("next");
    EXPECT_EQ(in.recv<std::string>(), "next");
  }
}

}  // namespace
