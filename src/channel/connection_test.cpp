// Connections in one process: every line of their interface.
#include "multiprocessing/connection.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "channel/connection_test_support.hpp"
#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/serialize.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Ends;
using testing::error_of;
using testing::NothingLeft;
using testing::patterned;
using testing::spin_until;
using testing::Watchdog;
using Bytes = std::vector<std::byte>;
using Strings = std::vector<std::string>;

template <class Action>
std::string text_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Point {
  int x = 0;
  double y = 0;
  std::string name;
  friend bool operator==(const Point&, const Point&) = default;
};

template <class T>
void expect_round_trip(const T& value) {
  const Ends pipe;
  pipe.left.send(value);
  EXPECT_TRUE(pipe.right.recv<T>() == value);
  pipe.right.send(value);
  EXPECT_TRUE(pipe.left.recv<T>() == value);
}

TEST(ConnectionTest, ValuesGoBothWays) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  expect_round_trip(42);
  expect_round_trip(true);
  expect_round_trip(std::string("hello"));
  expect_round_trip(std::string());
  expect_round_trip(std::vector<int>{1, 2, 3});
  expect_round_trip(std::vector<int>{});
  expect_round_trip(std::vector<bool>{true, false});
  expect_round_trip(Point{1, 2.5, "p"});
  expect_round_trip(std::map<std::string, std::vector<Point>>{{"a", {{1, 2, "b"}}}, {"c", {}}});
  expect_round_trip(std::optional<std::string>("x"));
}

TEST(ConnectionTest, TextTravelsAsAString) {
  const Ends pipe;
  pipe.left.send("literal");
  pipe.left.send(std::string_view("view"));
  const char* pointer = "pointer";
  pipe.left.send(pointer);
  EXPECT_EQ(pipe.right.recv<std::string>(), "literal");
  EXPECT_EQ(pipe.right.recv<std::string>(), "view");
  EXPECT_EQ(pipe.right.recv<std::string>(), "pointer");
}

TEST(ConnectionTest, PipeGivesTwoEndsAsPythonDoes) {
  auto [left, right] = Pipe();
  left.send(1);
  EXPECT_EQ(right.recv<int>(), 1);
}

TEST(ConnectionTest, MessagesArriveInTheirOrder) {
  Watchdog dog{60s};
  const Ends pipe;
  std::thread sender([&] {
    for (int i = 0; i < 20'000; ++i) pipe.left.send(i);
  });
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(pipe.right.recv<int>(), i);
  sender.join();
}

TEST(ConnectionTest, MessagesOfEverySizeAreWhole) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  for (const std::size_t limit : {0, 256, 4096, 48 << 10, 64 << 10, 212'992, 1 << 20}) {
    for (std::size_t bytes = limit < 2 ? 0 : limit - 2; bytes <= limit + 2; ++bytes) {
      pipe.left.send(patterned(bytes, bytes));
      ASSERT_TRUE(pipe.right.recv<std::string>() == patterned(bytes, bytes)) << bytes;
    }
  }
}

TEST(ConnectionTest, ANonDuplexPipeGoesFromRightToLeftOnly) {
  const Ends pipe(PipeOptions{.duplex = false});
  pipe.right.send(7);
  EXPECT_TRUE(pipe.left.poll());
  EXPECT_EQ(pipe.left.recv<int>(), 7);
  EXPECT_EQ(error_of([&] { pipe.left.send(1); }), EBADF);
  EXPECT_EQ(error_of([&] { pipe.left.send_bytes("x"); }), EBADF);
  EXPECT_EQ(error_of([&] { pipe.right.recv<int>(); }), EBADF);
  EXPECT_EQ(error_of([&] { pipe.right.recv_bytes(); }), EBADF);
  EXPECT_EQ(error_of([&] { static_cast<void>(pipe.right.poll()); }), EBADF);
  EXPECT_TRUE(contains(text_of([&] { pipe.left.send(1); }), "this connection is read-only"));
  EXPECT_TRUE(contains(text_of([&] { pipe.right.recv<int>(); }), "this connection is write-only"));
}

TEST(ConnectionTest, AnotherTypeIsAMismatchAndTheMessageStays) {
  const NothingLeft nothing_left;
  const Ends pipe;
  const std::vector<int> numbers{1, 2};
  pipe.left.send(numbers);
  EXPECT_THROW(pipe.right.recv<std::vector<unsigned>>(), TypeMismatch);
  EXPECT_THROW(pipe.right.recv<std::string>(), TypeMismatch);
  EXPECT_THROW(pipe.right.recv_bytes(), TypeMismatch);
  EXPECT_TRUE(contains(text_of([&] { pipe.right.recv<int>(); }), "recv<int>"));
  EXPECT_TRUE(pipe.right.poll());
  EXPECT_EQ(pipe.right.recv<std::vector<int>>(), numbers);
  EXPECT_FALSE(pipe.right.poll());

  pipe.left.send_bytes("raw");
  EXPECT_TRUE(contains(text_of([&] { pipe.right.recv<std::string>(); }), "sent by send_bytes"));
  EXPECT_EQ(pipe.right.recv_bytes().size(), 3U);

  pipe.left.send(patterned(1, 1'000'000));
  EXPECT_THROW(pipe.right.recv<int>(), TypeMismatch);
  EXPECT_TRUE(pipe.right.recv<std::string>() == patterned(1, 1'000'000));

  pipe.left.send(Descriptor(0));
  EXPECT_THROW(pipe.right.recv<int>(), TypeMismatch);
  EXPECT_GE(pipe.right.recv<Descriptor>().fileno(), 0);
}

TEST(ConnectionTest, BytesArriveAsTheyAre) {
  const Ends pipe;
  const Bytes bytes{std::byte{0}, std::byte{255}, std::byte{0}};
  pipe.left.send_bytes(bytes);
  pipe.left.send_bytes("text");
  pipe.left.send_bytes("");
  pipe.left.send_bytes(Bytes(300'000, std::byte{9}));
  EXPECT_EQ(pipe.right.recv_bytes(), bytes);
  EXPECT_EQ(pipe.right.recv_bytes(), (Bytes{std::byte{'t'}, std::byte{'e'}, std::byte{'x'}, std::byte{'t'}}));
  EXPECT_TRUE(pipe.right.recv_bytes().empty());
  EXPECT_TRUE(pipe.right.recv_bytes() == Bytes(300'000, std::byte{9}));
}

TEST(ConnectionTest, PollTellsOfMessagesAndOfTheEndAndTakesNothing) {
  Watchdog dog{60s};
  const Ends pipe;
  EXPECT_FALSE(pipe.right.poll());
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(pipe.right.poll(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
  pipe.left.send(1);
  EXPECT_TRUE(pipe.right.poll());
  EXPECT_TRUE(pipe.right.poll(1h));
  EXPECT_EQ(pipe.right.recv<int>(), 1);
  EXPECT_FALSE(pipe.right.poll());
  std::thread later([&] { pipe.left.send(2); });
  EXPECT_TRUE(pipe.right.poll(std::chrono::hours::max()));
  later.join();
  EXPECT_EQ(pipe.right.recv<int>(), 2);
  pipe.left.close();
  EXPECT_TRUE(pipe.right.poll());
}

TEST(ConnectionTest, TheDescriptorIsForTheProgramsOwnPoll) {
  const Ends pipe;
  pollfd look{pipe.right.fileno(), POLLIN, 0};
  EXPECT_EQ(::poll(&look, 1, 0), 0);
  pipe.left.send(1);
  EXPECT_EQ(::poll(&look, 1, 0), 1);
  pipe.right.recv<int>();
  EXPECT_EQ(::poll(&look, 1, 0), 0);
}

TEST(ConnectionTest, WhatWasSentBeforeTheEndIsReceivedBeforeIt) {
  const Ends pipe;
  pipe.left.send(1);
  pipe.right.send("never read by left");  // then the kernel reports a reset once
  pipe.left.send(2);
  pipe.left.close();
  EXPECT_EQ(pipe.right.recv<int>(), 1);
  EXPECT_EQ(pipe.right.recv<int>(), 2);
  for (int i = 0; i < 2; ++i) EXPECT_THROW(pipe.right.recv<int>(), EndOfFile);
  EXPECT_THROW(pipe.right.recv_bytes(), EndOfFile);
}

TEST(ConnectionTest, SendingToNobodyIsABrokenPipeWithoutASignal) {
  const Ends pipe;
  pipe.right.close();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(error_of([&] { pipe.left.send(1); }), EPIPE);
  EXPECT_EQ(error_of([&] { pipe.left.send(patterned(1, 1'000'000)); }), EPIPE);
  EXPECT_EQ(error_of([&] { pipe.left.send(Queue<int>()); }), EPIPE);
}

TEST(ConnectionTest, CloseIsForAllCopiesAndAnyUseAfterItThrows) {
  const NothingLeft nothing_left;
  const Ends pipe;
  const Connection copy = pipe.left;
  EXPECT_EQ(copy.fileno(), pipe.left.fileno());
  EXPECT_FALSE(copy.closed());
  pipe.left.close();
  pipe.left.close();
  EXPECT_TRUE(copy.closed());
  EXPECT_EQ(error_of([&] { copy.send(1); }), EBADF);
  EXPECT_EQ(error_of([&] { copy.recv<int>(); }), EBADF);
  EXPECT_EQ(error_of([&] { copy.send_bytes("x"); }), EBADF);
  EXPECT_EQ(error_of([&] { copy.recv_bytes(); }), EBADF);
  EXPECT_EQ(error_of([&] { static_cast<void>(copy.poll()); }), EBADF);
  EXPECT_EQ(error_of([&] { static_cast<void>(copy.fileno()); }), EBADF);
  EXPECT_EQ(error_of([&] { pipe.right.send(copy); }), EBADF);
  EXPECT_TRUE(contains(text_of([&] { copy.send(1); }), "send on a closed connection"));
  EXPECT_THROW(pipe.right.recv<int>(), EndOfFile);
}

TEST(ConnectionTest, AnEndWhoseLastCopyGoesIsClosed) {
  std::optional<Ends> pipe(std::in_place);
  const Connection right = pipe->right;
  pipe.reset();
  EXPECT_THROW(right.recv<int>(), EndOfFile);
}

TEST(ConnectionTest, ClosingEndsTheWaitsOfOtherThreads) {
  Watchdog dog{60s};
  const Ends pipe;
  std::atomic<int> inside{0};
  int received = 0;
  int polled = 0;
  std::thread receiver([&] {
    ++inside;
    received = error_of([&] { pipe.left.recv<int>(); });
  });
  std::thread poller([&] {
    ++inside;
    polled = error_of([&] { static_cast<void>(pipe.left.poll(1h)); });
  });
  spin_until([&] { return inside == 2; });
  pipe.left.close();
  receiver.join();
  poller.join();
  EXPECT_EQ(received, EBADF);
  EXPECT_EQ(polled, EBADF);
  EXPECT_THROW(pipe.right.recv<int>(), EndOfFile);
}

TEST(ConnectionTest, ClosingEndsTheWaitOfAThreadThatFindsNoRoom) {
  Watchdog dog{60s};
  const Ends pipe;
  std::atomic<int> sent{0};
  int error = 0;
  std::thread sender([&] {
    error = error_of([&] {
      for (;; ++sent) pipe.left.send(patterned(1, 40'000));
    });
  });
  spin_until([&] { return sent > 2; });
  pipe.left.close();
  sender.join();
  EXPECT_EQ(error, EBADF);
  for (int i = 0; i < sent; ++i) EXPECT_EQ(pipe.right.recv<std::string>().size(), 40'000U);
  EXPECT_THROW(pipe.right.recv<std::string>(), EndOfFile);
}

TEST(ConnectionTest, AReaderThatGoesEndsTheWaitOfASenderThatFindsNoRoom) {
  Watchdog dog{60s};
  const Ends pipe;
  std::atomic<int> sent{0};
  int error = 0;
  std::thread sender([&] {
    error = error_of([&] {
      for (;; ++sent) pipe.left.send(1);
    });
  });
  spin_until([&] { return sent > 10; });
  pipe.right.close();
  sender.join();
  EXPECT_EQ(error, EPIPE);
}

TEST(ConnectionTest, OnlyAFewLargeMessagesAreOnTheirWay) {
  Watchdog dog{60s};
  const Ends pipe;
  std::atomic<int> sent{0};
  std::thread sender([&] {
    for (int i = 0; i < 100; ++i) {
      pipe.left.send(patterned(2, 1'000'000));
      ++sent;
    }
  });
  spin_until([&] {
    pollfd look{pipe.left.fileno(), POLLOUT, 0};
    return sent > 12 || ::poll(&look, 1, 0) == 0;
  });
  for (int received = 0; received < 100; ++received) {
    EXPECT_LE(sent - received, 12);
    pipe.right.recv<std::string>();
  }
  sender.join();
}

TEST(ConnectionTest, EachMessageGoesToOneOfSeveralThreads) {
  Watchdog dog{60s};
  const Ends pipe;
  constexpr int senders = 3;
  constexpr int receivers = 3;
  constexpr int messages = 3'000;
  std::atomic<long> sum{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int s = 0; s < senders; ++s) {
    threads.emplace_back([&, s] {
      for (int i = 0; i < messages; ++i) pipe.left.send(s * messages + i);
    });
  }
  for (int r = 0; r < receivers; ++r) {
    threads.emplace_back([&] {
      for (;;) {
        const int number = pipe.right.recv<int>();
        if (number < 0) return;
        sum += number;
        ++taken;
      }
    });
  }
  for (int s = 0; s < senders; ++s) threads[static_cast<std::size_t>(s)].join();
  for (int r = 0; r < receivers; ++r) pipe.left.send(-1);
  for (std::size_t r = senders; r < threads.size(); ++r) threads[r].join();
  constexpr long all = senders * messages;
  EXPECT_EQ(taken, all);
  EXPECT_EQ(sum, all * (all - 1) / 2);
}

struct Thrower {
  bool on_save = false;
  bool on_load = false;
  template <class Archive>
  void save(Archive& archive) const {
    archive(std::string("half"), on_load);
    if (on_save) throw std::runtime_error("save");
  }
  template <class Archive>
  void load(Archive& archive) {
    std::string half;
    archive(half, on_load);
    if (on_load) throw std::runtime_error("load");
  }
};

TEST(ConnectionTest, Faults20_ASerializerThatThrowsSendsNothing) {
  const Ends pipe;
  EXPECT_THROW(pipe.left.send(Thrower{true, false}), std::runtime_error);
  EXPECT_FALSE(pipe.right.poll());
  pipe.left.send(1);
  EXPECT_EQ(pipe.right.recv<int>(), 1);
}

TEST(ConnectionTest, AMessageWhoseDeserializerThrowsIsGone) {
  const Ends pipe;
  pipe.left.send(Thrower{false, true});
  pipe.left.send(1);
  EXPECT_THROW(pipe.right.recv<Thrower>(), std::runtime_error);
  EXPECT_EQ(pipe.right.recv<int>(), 1);
}

struct Nested {
  Connection through{codec::Undecoded{}};
  template <class Archive>
  void save(Archive& archive) const {
    through.send("from within");
    archive(1);
  }
  template <class Archive>
  void load(Archive& archive) {
    int one = 0;
    archive(one);
  }
};

TEST(ConnectionTest, ASerializerMaySendByItself) {
  const Ends pipe;
  pipe.left.send(Nested{pipe.left});
  EXPECT_EQ(pipe.right.recv<std::string>(), "from within");
  pipe.right.recv<Nested>();
}

// --- descriptors ----------------------------------------------------------------------------------------------------

struct OsPipe {
  int ends[2] = {-1, -1};
  OsPipe() { EXPECT_EQ(::pipe(ends), 0); }
  ~OsPipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
};

void expect_connected(int write_end, int read_end) {
  char byte = 0;
  EXPECT_EQ(::write(write_end, "!", 1), 1);
  EXPECT_EQ(::read(read_end, &byte, 1), 1);
}

struct Parcel {
  std::string label;
  std::vector<Descriptor> descriptors;
};

TEST(ConnectionTest, DescriptorsTravelInsideMessages) {
  const NothingLeft nothing_left;
  const OsPipe file;
  const Ends pipe;
  {
    const Descriptor write_end(file.ends[1]);
    EXPECT_NE(write_end.fileno(), file.ends[1]);
    EXPECT_NE(::fcntl(write_end.fileno(), F_GETFD) & FD_CLOEXEC, 0);
    pipe.left.send(Parcel{"two", {write_end, Descriptor(file.ends[0])}});
    pipe.left.send(write_end);
  }
  const Parcel parcel = pipe.right.recv<Parcel>();
  ASSERT_EQ(parcel.descriptors.size(), 2U);
  expect_connected(parcel.descriptors[0].fileno(), file.ends[0]);
  expect_connected(file.ends[1], parcel.descriptors[1].fileno());
  expect_connected(pipe.right.recv<Descriptor>().fileno(), file.ends[0]);
  EXPECT_NE(::fcntl(parcel.descriptors[0].fileno(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ConnectionTest, DescriptorsTravelWithLargeMessages) {
  const NothingLeft nothing_left;
  const OsPipe file;
  const Ends pipe;
  pipe.left.send(Parcel{patterned(3, 500'000), {Descriptor(file.ends[1])}});
  const Parcel parcel = pipe.right.recv<Parcel>();
  EXPECT_TRUE(parcel.label == patterned(3, 500'000));
  expect_connected(parcel.descriptors.at(0).fileno(), file.ends[0]);
}

TEST(ConnectionTest, ADescriptorThatIsNotOpenCannotBeMade) {
  EXPECT_EQ(error_of([] { Descriptor(-1); }), EBADF);
}

TEST(ConnectionTest, AMessageCarries252DescriptorsAndNotOneMore) {
  const NothingLeft nothing_left;
  const Ends pipe;
  std::vector<Descriptor> many(252, Descriptor(0));
  pipe.left.send(many);
  EXPECT_EQ(pipe.right.recv<std::vector<Descriptor>>().size(), 252U);
  pipe.left.send(Parcel{patterned(1, 100'000), many});
  EXPECT_EQ(pipe.right.recv<Parcel>().descriptors.size(), 252U);
  many.push_back(many.front());
  EXPECT_THROW(pipe.left.send(many), NotSendable);
  EXPECT_FALSE(pipe.right.poll());
}

TEST(ConnectionTest, DescriptorsAndConnectionsDoNotTravelThroughQueues) {
  const Ends pipe;
  const Queue<Connection> connections;
  const Queue<Parcel> parcels;
  EXPECT_THROW(connections.put(pipe.left), NotSendable);
  EXPECT_TRUE(contains(text_of([&] {
                         parcels.put(Parcel{"x", {Descriptor(0)}});
                       }),
                       "descriptors travel through connections only"));
  EXPECT_TRUE(connections.empty());
  parcels.put(Parcel{"none", {}});
  EXPECT_EQ(parcels.get().label, "none");
  // … also in a thread that has sent some through a connection before.
  pipe.left.send(Descriptor(0));
  EXPECT_THROW(connections.put(pipe.left), NotSendable);
}

TEST(ConnectionTest, AMessageThatIsNotReceivedHoldsItsDescriptorsUntilThePipeGoes) {
  const NothingLeft nothing_left;
  OsPipe file;
  {
    const Ends pipe;
    pipe.left.send(Descriptor(file.ends[1]));
    ::close(std::exchange(file.ends[1], -1));
    pollfd look{file.ends[0], 0, 0};
    EXPECT_EQ(::poll(&look, 1, 0), 0);
  }
  pollfd look{file.ends[0], 0, 0};
  EXPECT_EQ(::poll(&look, 1, 0), 1);
  EXPECT_NE(look.revents & POLLHUP, 0);
}

// --- connections and handles in messages ----------------------------------------------------------------------------

TEST(ConnectionTest, AConnectionTravelsThroughAConnection) {
  const NothingLeft nothing_left;
  const Ends road;
  const Ends cargo;
  road.left.send(std::vector<Connection>{cargo.left, cargo.right});
  cargo.left.close();
  cargo.right.close();
  const auto arrived = road.right.recv<std::vector<Connection>>();
  arrived.at(0).send("through");
  EXPECT_EQ(arrived.at(1).recv<std::string>(), "through");
  arrived.at(1).send(5);
  EXPECT_EQ(arrived.at(0).recv<int>(), 5);
}

TEST(ConnectionTest, AConnectionTravelsThroughItself) {
  const NothingLeft nothing_left;
  const Ends pipe;
  pipe.left.send(pipe.right);
  const Connection right = pipe.right.recv<Connection>();
  EXPECT_NE(right.fileno(), pipe.right.fileno());
  pipe.left.send(3);
  EXPECT_EQ(right.recv<int>(), 3);
}

TEST(ConnectionTest, TheWaysOfAConnectionTravelWithIt) {
  const Ends road;
  const Ends one_way(PipeOptions{.duplex = false});
  road.left.send(one_way.left);
  road.left.send(one_way.right);
  const Connection in = road.right.recv<Connection>();
  const Connection out = road.right.recv<Connection>();
  EXPECT_EQ(error_of([&] { in.send(1); }), EBADF);
  EXPECT_EQ(error_of([&] { out.recv<int>(); }), EBADF);
  out.send(1);
  EXPECT_EQ(in.recv<int>(), 1);
}

TEST(ConnectionTest, AQueueWhoseSenderDropsItAtOnceArrives) {
  const NothingLeft nothing_left;
  const Ends pipe;
  {
    const Queue<std::string> queue;
    queue.put("kept");
    pipe.left.send(queue);
  }
  EXPECT_EQ(pipe.right.recv<Queue<std::string>>().get(), "kept");
}

TEST(ConnectionTest, WhatWaitsInAPipeGoesWithIt) {
  const NothingLeft nothing_left;
  const Ends pipe;
  for (int i = 0; i < 5; ++i) pipe.left.send(Queue<int>());
}

TEST(ConnectionTest, WhatWasReceivedAndDroppedIsGone) {
  const Ends pipe;
  const memory::Stats before = memory::stats();
  for (int i = 0; i < 5; ++i) pipe.left.send(Queue<int>());
  pipe.left.send(1);
  EXPECT_EQ(memory::stats().objects, before.objects + 5);
  for (std::size_t left = 5; left > 0; --left) {
    EXPECT_EQ(memory::stats().objects, before.objects + left);
    pipe.right.recv<Queue<int>>();
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
}

TEST(ConnectionTest, HandlesTravelWithLargeMessages) {
  const NothingLeft nothing_left;
  const Ends pipe;
  pipe.left.send(std::pair(Queue<int>(3), patterned(4, 300'000)));
  const auto [queue, text] = pipe.right.recv<std::pair<Queue<int>, std::string>>();
  EXPECT_EQ(queue.maxsize(), 3U);
  EXPECT_TRUE(text == patterned(4, 300'000));
}

TEST(ConnectionTest, SeveralThreadsSendHandlesAndSeveralReceiveThem) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Ends pipe;
  constexpr int each = 300;
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        const Queue<int> queue;
        queue.put(t * each + i);
        pipe.left.send(queue);
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < each; ++i) good += pipe.right.recv<Queue<int>>().try_get().has_value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 2 * each);
}

static_assert(!std::is_default_constructible_v<Connection> && !std::is_default_constructible_v<Descriptor>);
static_assert(sendable<Connection> && sendable<Descriptor> && sendable<std::vector<Connection>>);

}  // namespace
}  // namespace multiprocessing
