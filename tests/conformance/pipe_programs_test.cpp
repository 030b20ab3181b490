// Pipe, Connection and wait as the contract shows them: programs as users write them, through the umbrella header.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <multiprocessing/multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/watchdog.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::Watchdog;

TEST(PipeProgram, TheExampleOfTheContract) {
  Watchdog dog{60s};
  mp::Process p([] {});
  auto [left, right] = mp::Pipe();
  left.send(std::vector<int>{1, 2, 3});
  EXPECT_THROW(right.recv<std::string>(), mp::TypeMismatch);
  auto v = right.recv<std::vector<int>>();
  EXPECT_EQ(v, (std::vector<int>{1, 2, 3}));
  EXPECT_FALSE(right.poll(1ms));
  p.start();
  auto ready = mp::wait({left, p.sentinel()}, 50s);
  EXPECT_EQ(ready, std::vector<std::size_t>{1});
  right.send("now");
  p.join();
  ready = mp::wait({left, p.sentinel()}, 5s);
  EXPECT_EQ(ready, (std::vector<std::size_t>{0, 1}));
}

// From Python's documentation of multiprocessing.Pipe.
struct Row {
  int number = 0;
  std::string text;
};
void f(mp::Connection conn) {
  conn.send(Row{42, "hello"});
  conn.close();
}

TEST(PipeProgram, AProcessSendsToItsParent) {
  Watchdog dog{60s};
  auto [parent_conn, child_conn] = mp::Pipe();
  mp::Process p(f, child_conn);
  p.start();
  child_conn.close();
  const Row row = parent_conn.recv<Row>();
  EXPECT_EQ(row.number, 42);
  EXPECT_EQ(row.text, "hello");
  EXPECT_THROW(parent_conn.recv<Row>(), mp::EndOfFile);
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
}

TEST(PipeProgram, AReaderEndsWithItsWriter) {
  Watchdog dog{60s};
  auto [in, out] = mp::Pipe({.duplex = false});
  mp::Queue<int> sum;
  mp::Process reader(
      [](mp::Connection from, mp::Connection other_end, mp::Queue<int> result) {
        other_end.close();  // inherited: while it is open here, there is no end of file
        int total = 0;
        try {
          for (;;) total += from.recv<int>();
        } catch (const mp::EndOfFile&) {
          result.put(total);
        }
      },
      in, out, sum);
  reader.start();
  for (int i = 1; i <= 100; ++i) out.send(i);
  EXPECT_THROW(out.recv<int>(), mp::OsError);
  EXPECT_THROW(in.send(1), mp::OsError);
  out.close();
  EXPECT_EQ(sum.get(), 5050);
  reader.join();
}

TEST(PipeProgram, BytesPollCloseAndDescriptor) {
  Watchdog dog{60s};
  auto [left, right] = mp::Pipe();
  const std::vector<std::byte> bytes{std::byte{1}, std::byte{2}};
  left.send_bytes(bytes);
  left.send_bytes(std::string_view("abc"));
  EXPECT_TRUE(right.poll());
  pollfd look{right.fileno(), POLLIN, 0};
  EXPECT_EQ(::poll(&look, 1, 0), 1);
  EXPECT_EQ(right.recv_bytes(), bytes);
  EXPECT_EQ(right.recv_bytes().size(), 3U);
  EXPECT_FALSE(right.poll());
  const auto copy = left;
  copy.close();
  EXPECT_TRUE(left.closed());
  EXPECT_THROW(left.send(1), mp::Error);
  EXPECT_THROW(right.recv<int>(), mp::EndOfFile);
  EXPECT_THROW(right.send(1), mp::OsError);  // a broken pipe, without a signal
}

TEST(PipeProgram, HandlesConnectionsAndFilesAreMessages) {
  Watchdog dog{60s};
  auto [left, right] = mp::Pipe();
  mp::Process p(
      [](mp::Connection parent) {
        auto jobs = parent.recv<mp::Queue<std::string>>();
        auto answer = parent.recv<mp::Connection>();
        auto file = parent.recv<mp::Descriptor>();
        const std::string job = jobs.get();
        if (::write(file.fileno(), job.data(), job.size()) < 0) ::_exit(1);
        answer.send(job + " done");
      },
      right);
  p.start();
  {
    mp::Queue<std::string> jobs;
    jobs.put("job");
    left.send(jobs);
  }
  auto [mine, theirs] = mp::Pipe();
  left.send(theirs);
  theirs.close();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  left.send(mp::Descriptor(ends[1]));
  EXPECT_EQ(mine.recv<std::string>(), "job done");
  char text[8] = {};
  EXPECT_EQ(::read(ends[0], text, sizeof text), 3);
  EXPECT_STREQ(text, "job");
  p.join();
  EXPECT_EQ(p.exitcode(), 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

void use(mp::Connection) {}

TEST(PipeProgram, WhatCannotGoThroughAQueueOrAPoolIsToldSo) {
  Watchdog dog{60s};
  auto [left, right] = mp::Pipe();
  mp::Queue<mp::Connection> queue;
  try {
    queue.put(left);
    FAIL();
  } catch (const mp::NotSendable& error) {
    EXPECT_NE(std::string(error.what()).find("descriptors travel through connections only"), std::string::npos);
  }
  mp::Pool pool(1);
  EXPECT_THROW(pool.apply(use, left), mp::NotSendable);
}

TEST(WaitProgram, ConnectionsSentinelsAndQueuesInOneWait) {
  Watchdog dog{60s};
  auto [left, right] = mp::Pipe();
  mp::Queue<int> queue;
  mp::Process p([](mp::Queue<int> q) { q.put(7); }, queue);
  p.start();
  p.join();
  const std::vector<mp::Waitable> sources{left, queue, p.sentinel()};
  EXPECT_EQ(mp::wait(sources, 1s), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(mp::wait({left, queue, p.sentinel()}), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(queue.get(), 7);
  EXPECT_EQ(mp::wait({left, queue}, 1ms), std::vector<std::size_t>{});
  queue.close();
  right.close();
  EXPECT_EQ(mp::wait({left, queue}), (std::vector<std::size_t>{0, 1}));
}

TEST(WaitProgram, AQueueInTheProgramsOwnPollLoop) {
  Watchdog dog{60s};
  mp::Queue<std::string> queue;
  mp::Process p(
      [](mp::Queue<std::string> q) {
        for (const char* word : {"a", "b", "c"}) q.put(word);
        q.close();
      },
      queue);
  p.start();
  std::string all;
  while (!(queue.closed() && queue.empty())) {
    pollfd look{queue.fileno(), POLLIN, 0};
    ::poll(&look, 1, -1);
    while (auto word = queue.try_get()) all += *word;
  }
  EXPECT_EQ(all, "abc");
  p.join();
}

}  // namespace
