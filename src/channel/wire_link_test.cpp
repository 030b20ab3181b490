// What connections between programs do, and how they differ from those of a Pipe.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "channel/listener_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/wait.hpp"
#include "wire/bytes.hpp"
#include "wire/wire.hpp"

namespace multiprocessing {
namespace {

using testing::listener_key;
using testing::SocketEnds;
using testing::Stranger;
using testing::Watchdog;
using namespace std::chrono_literals;

class SocketConnection : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] bool has_tls() const { return GetParam().substr(0, 3) == "tls"; }
  Watchdog dog_{120s};
  Listener listener_{{.address = GetParam(), .authkey = listener_key}};
  SocketEnds ends_{listener_, listener_key};
  const Connection& server_ = ends_.server;
  const Connection& client_ = ends_.client;
};

TEST_P(SocketConnection, CarriesValuesAndBytesInOrder) {
  client_.send(42);
  client_.send_bytes("bytes");
  client_.send(std::vector<std::string>{"a", "b"});
  client_.send_bytes("");
  EXPECT_EQ(server_.recv<int>(), 42);
  EXPECT_EQ(server_.recv_bytes().size(), 5U);
  EXPECT_EQ(server_.recv<std::vector<std::string>>().size(), 2U);
  EXPECT_TRUE(server_.recv_bytes().empty());
}

TEST_P(SocketConnection, AMessageOfAnotherTypeStays) {
  client_.send(42);
  EXPECT_THROW(server_.recv<std::string>(), TypeMismatch);
  EXPECT_THROW(server_.recv_bytes(), TypeMismatch);
  EXPECT_TRUE(server_.poll());
  EXPECT_EQ(wait({server_}).size(), 1U);
  EXPECT_EQ(server_.recv<int>(), 42);
}

// What a handle is in a message, written by somebody who has none.
struct Forged {
  std::uint64_t id = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(id);
  }
  template <class Archive>
  void load(Archive& archive) {
    id = archive.adopt().id();
  }
};

TEST_P(SocketConnection, AHandleInAMessageIsNone) {
  const memory::Ref object = memory::Ref::create(memory::Kind::block, 64);
  const auto [left, right] = Pipe();
  left.send(Forged{object.id()});
  EXPECT_EQ(right.recv<Forged>().id, object.id());
  client_.send(Forged{object.id()});
  EXPECT_THROW(server_.recv<Forged>(), Error);
}

TEST_P(SocketConnection, PollIsTrueWhenAMessageIsThereAndAtTheEnd) {
  EXPECT_FALSE(server_.poll());
  EXPECT_FALSE(server_.poll(1ms));
  client_.send(1);
  EXPECT_TRUE(server_.poll(10s));
  EXPECT_EQ(server_.recv<int>(), 1);
  EXPECT_FALSE(server_.poll());
  client_.close();
  EXPECT_TRUE(server_.poll(10s));
  EXPECT_THROW(server_.recv<int>(), EndOfFile);
  EXPECT_THROW(server_.recv<int>(), EndOfFile);
}

TEST_P(SocketConnection, WaitKnowsOfMessagesThatAreInMemoryAlready) {
  client_.send(1);
  client_.send(2);
  EXPECT_EQ(server_.recv<int>(), 1);
  EXPECT_EQ(wait({server_, client_}), (std::vector<std::size_t>{0}));
  EXPECT_EQ(server_.recv<int>(), 2);
  EXPECT_TRUE(wait({server_, client_}, 1ms).empty());
}

TEST_P(SocketConnection, TheDescriptorTellsTheTruthWithoutTls) {
  if (has_tls()) GTEST_SKIP() << "with TLS it cannot: docs/formats/wire.md";
  const int fd = server_.fileno();
  for (int i = 0; i < 3; ++i) client_.send(i);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(wait({fd}).size(), 1U);
    EXPECT_THROW(server_.recv<std::string>(), TypeMismatch);
    EXPECT_EQ(wait({fd}, 0s).size(), 1U) << "the message stays";
    EXPECT_TRUE(server_.poll());
    EXPECT_EQ(wait({fd}, 0s).size(), 1U) << "poll() takes nothing away";
    EXPECT_EQ(server_.recv<int>(), i);
  }
  EXPECT_TRUE(wait({fd}, 0s).empty());
}

TEST_P(SocketConnection, TwoSidesThatSendEachOtherLongMessagesAtOnceBothGoOn) {
  const std::string large(30'000'000, 'x');
  std::thread other([&] {
    client_.send(large);
    EXPECT_EQ(client_.recv<std::string>().size(), large.size());
  });
  server_.send(large);
  EXPECT_EQ(server_.recv<std::string>().size(), large.size());
  other.join();
}

TEST_P(SocketConnection, FramesOfTwoThreadsStayWhole) {
  constexpr int each = 300;
  std::vector<std::thread> threads;
  for (char c : {'a', 'b', 'c'}) {
    threads.emplace_back([&, c] {
      for (int i = 0; i < each; ++i) client_.send(std::string(static_cast<std::size_t>(1 + i * 97 % 20'000), c));
    });
  }
  std::atomic<int> good{0};
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      for (int i = 0; i < each * 3 / 2; ++i) {
        const std::string text = server_.recv<std::string>();
        good += text == std::string(text.size(), text[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, each * 3);
}

TEST_P(SocketConnection, HandlesAndDescriptorsAreNotSent) {
  const Queue<int> queue;
  EXPECT_THROW(client_.send(queue), NotSendable);
  EXPECT_THROW(client_.send(Descriptor(0)), NotSendable);
  EXPECT_THROW(client_.send(server_), NotSendable);
  client_.send(1);
  EXPECT_EQ(server_.recv<int>(), 1);
}

TEST_P(SocketConnection, ATooLongMessageIsRefusedBeforeItIsSent) {
  EXPECT_THROW(client_.send(std::string((std::size_t{64} << 20) + 1, 'x')), NotSendable);
  client_.send(1);
  EXPECT_EQ(server_.recv<int>(), 1);
}

TEST_P(SocketConnection, SendToNobodyIsAnErrorAndNoSignal) {
  server_.close();
  try {
    for (;;) client_.send(1);
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), EPIPE);
  }
}

TEST_P(SocketConnection, CloseWakesAThreadThatReceives) {
  std::thread closing([&] { server_.close(); });
  EXPECT_THROW(server_.recv<int>(), OsError);
  closing.join();
  EXPECT_THROW(server_.send(1), OsError);
  EXPECT_TRUE(server_.closed());
}

TEST_P(SocketConnection, TravelsThroughAPipeWithWhatItHasReadAlready) {
  auto [left, right] = Pipe();
  if (has_tls()) {
    EXPECT_THROW(left.send(server_), NotSendable);
    return;
  }
  client_.send(std::string("first"));
  client_.send(std::string("second"));
  EXPECT_THROW(server_.recv<int>(), TypeMismatch);  // its header has been read
  left.send(server_);
  server_.close();
  const auto moved = right.recv<Connection>();
  EXPECT_EQ(moved.recv<std::string>(), "first");
  EXPECT_EQ(moved.recv<std::string>(), "second");
  moved.send(3);
  EXPECT_EQ(client_.recv<int>(), 3);
}

TEST_P(SocketConnection, OfAKilledPeerEndsAndGivesNoPartOfAMessage) {
  const pid_t child = ::fork();
  if (child == 0) {
    ends_.server.close();
    ends_.client.send(1);
    std::thread sender([this] { ends_.client.send(std::string(60'000'000, 'x')); });
    os::poll({}, detail::Deadline::never());
  }
  ends_.client.close();
  EXPECT_EQ(server_.recv<int>(), 1);
  while (wait({server_.fileno()}, 0s).empty()) {  // it is in the middle
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THROW(server_.recv<std::string>(), EndOfFile);
}

TEST_P(SocketConnection, UsedByAThreadAtAForkIsAnErrorInTheChild) {
  std::atomic<bool> inside{false};
  std::thread sender([&] {
    inside = true;
    try {
      for (;;) client_.send(std::string(10'000'000, 'x'));
    } catch (const Error&) {
    }
  });
  while (!inside || wait({server_.fileno()}, 0s).empty()) {
  }
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      client_.send(1);
    } catch (const Error&) {
      ::_exit(0);
    }
    ::_exit(1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  server_.close();
  sender.join();
}

INSTANTIATE_TEST_SUITE_P(EveryKind, SocketConnection, ::testing::Values("", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"),
                         [](const auto& kind) {
                           return kind.param.empty() ? std::string("Unix") : kind.param.substr(0, 3);
                         });

TEST(SocketMessage, Of200MegabytesArrivesWhereItIsAllowed) {
  const Watchdog dog(240s);
  const std::uint64_t limit = std::uint64_t{256} << 20;
  const Listener listener({.max_message = limit});
  const SocketEnds ends(listener, "", {.max_message = limit});
  std::vector<std::uint32_t> large(50'000'000);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::uint32_t>(i);
  std::thread echo([&] { ends.server.send(ends.server.recv<std::vector<std::uint32_t>>()); });
  ends.client.send(large);
  EXPECT_EQ(ends.client.recv<std::vector<std::uint32_t>>(), large);
  echo.join();
}

// A client of the frames' format: what it says after the handshake is up to the test.
class Talker {
 public:
  explicit Talker(const Listener& listener) : stranger_(listener) {
    wire::Wire wire(wire::Role::client, {});
    stranger_.say(wire.take_outgoing());
  }
  void finish() const { static_cast<void>(stranger_.hear(wire::hello_bytes)); }
  const Stranger& operator*() const { return stranger_; }

 private:
  Stranger stranger_;
};

struct Talk {
  Listener listener;
  Talker talker{listener};
  Connection server = listener.accept();
};

TEST(SocketMessage, ThatIsOnlyPartlyThereIsNotReadyAndCostsNoTime) {
  const Watchdog dog(120s);
  const Talk talk;
  (*talk.talker).say("half a hea");
  EXPECT_FALSE(talk.server.poll(20ms));
  EXPECT_TRUE(wait({talk.server}, 20ms).empty());
  rusage before{};
  ::getrusage(RUSAGE_THREAD, &before);
  EXPECT_TRUE(wait({talk.server}, 300ms).empty());
  rusage after{};
  ::getrusage(RUSAGE_THREAD, &after);
  EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 50) << "it sleeps";
}

TEST(SocketMessage, Faults29_ThatIsNoneEndsTheConnectionWithAnError) {
  const Watchdog dog(120s);
  const Talk talk;
  (*talk.talker).say(std::string(wire::frame_header_bytes, '\xff'));
  EXPECT_THROW(talk.server.recv<int>(), Error);
  EXPECT_THROW(talk.server.recv<int>(), Error);
  EXPECT_THROW(talk.server.send(1), OsError);
  (*talk.talker).wait_for_end();
}

TEST(SocketMessage, OfAnotherProtocolEndsTheConnection) {
  const Watchdog dog(120s);
  const Talk talk;
  std::vector<std::byte> frame;
  wire::append_frame(frame, 7, 0, {});
  (*talk.talker).say(frame);
  EXPECT_THROW(talk.server.recv_bytes(), Error);
}

TEST(SocketMessage, WithAValueThatIsNoneIsAnErrorAndTheNextOneComes) {
  const Watchdog dog(120s);
  const Talk talk;
  std::vector<std::byte> frames;
  const std::uint64_t type = channel::fingerprint(typeid(std::vector<std::string>).name());
  const std::byte wrong[8] = {std::byte{255}, std::byte{255}, std::byte{255}, std::byte{255}};
  wire::append_frame(frames, 0, type, wrong);
  wire::append_frame(frames, 0, 0, {});
  (*talk.talker).say(frames);
  EXPECT_THROW(talk.server.recv<std::vector<std::string>>(), Error);
  EXPECT_TRUE(talk.server.recv_bytes().empty());
}

TEST(SocketMessage, Faults29_CutAtAnyByteIsTheEndOfTheFile) {
  const Watchdog dog(120s);
  std::vector<std::byte> frame;
  wire::append_frame(frame, 0, 0, std::as_bytes(std::span("text")));
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    Talk talk;
    (*talk.talker).say(std::span<const std::byte>(frame).first(cut));
    const_cast<Stranger&>(*talk.talker).hang_up();
    EXPECT_THROW(talk.server.recv_bytes(), EndOfFile) << cut;
  }
}

TEST(SocketMessage, ComesWithAnyTimeout) {
  const Watchdog dog(120s);
  const Listener listener(
      {.handshake_timeout = std::chrono::milliseconds::max(), .idle_timeout = std::chrono::milliseconds::max()});
  const SocketEnds ends(listener, "", {.timeout = std::chrono::milliseconds::max()});
  std::thread sender([&] { ends.client.send(1); });
  EXPECT_EQ(ends.server.recv<int>(), 1);
  sender.join();
}

TEST(SocketMessage, DoesNotComeWithinTheIdleTimeout) {
  const Watchdog dog(120s);
  const Listener listener({.idle_timeout = 30ms});
  const SocketEnds ends(listener, "");
  ends.client.send(1);
  EXPECT_EQ(ends.server.recv<int>(), 1);
  try {
    ends.server.recv<int>();
    FAIL();
  } catch (const OsError& error) {
    EXPECT_EQ(error.code().value(), ETIMEDOUT);
  }
}

}  // namespace
}  // namespace multiprocessing
