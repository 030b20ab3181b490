// FAULTS 29: what comes to a port from somebody who does not belong there.  Each time: that one is sent away, the log
// says so once, others are served, and memory does not grow.
#include <gtest/gtest.h>
#include <malloc.h>

#include <random>

#include "channel/listener_test_support.hpp"
#include "wire/bytes.hpp"
#include "wire/wire.hpp"

namespace multiprocessing {
namespace {

using testing::Echo;
using testing::expect_served;
using testing::Logged;
using testing::Stranger;
using testing::times;
using testing::Watchdog;
using namespace std::chrono_literals;

const std::string key = testing::listener_key;

class ListenerFaults : public ::testing::TestWithParam<std::string> {
 protected:
  static ListenerOptions options() {
    return {.address = GetParam(), .authkey = key, .handshake_timeout = 1500ms, .max_message = 1000};
  }
  // One refusal is in the log, and it says this.
  void expect_refused_once(Logged& log, const std::string& reason) {
    expect_served(listener_, key);
    const std::string text = log.text();
    EXPECT_EQ(times(text, "has refused"), 1U) << text;
    EXPECT_EQ(times(text, reason), 1U) << text;
  }
  Watchdog dog_{120s};
  Listener listener_{options()};
};

std::vector<std::byte> hello_of(const std::string& with_key) {
  const wire::Wire client(wire::Role::client, {.key = with_key});
  return {client.outgoing().begin(), client.outgoing().end()};
}

TEST_P(ListenerFaults, Faults29_GarbageIsRefused) {
  const Echo echo(listener_);
  Logged log;
  const Stranger stranger(listener_);
  stranger.say("GET / HTTP/1.1\r\n\r\n");
  stranger.wait_for_end();
  expect_refused_once(log, "not the protocol");
}

TEST_P(ListenerFaults, Faults29_RandomBytesAreRefused) {
  const Echo echo(listener_);
  std::mt19937 random(29);
  Logged log;
  for (int round = 0; round < 50; ++round) {
    const Stranger stranger(listener_);
    std::vector<std::byte> bytes(100 + random() % 1000);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    stranger.say(bytes);
    stranger.wait_for_end();
  }
  expect_served(listener_, key);
  EXPECT_EQ(times(log.text(), "has refused"), 50U);
}

TEST_P(ListenerFaults, Faults29_AWrongKeyIsRefusedAndTheClientToldSo) {
  const Echo echo(listener_);
  Logged log;
  try {
    static_cast<void>(Client(listener_.address(), "another key of 16 and more"));
    FAIL();
  } catch (const AuthenticationError& error) {
    EXPECT_NE(std::string(error.what()).find("another authkey"), std::string::npos) << error.what();
  }
  expect_refused_once(log, "another authkey");
}

TEST_P(ListenerFaults, Faults29_NoKeyIsRefused) {
  const Echo echo(listener_);
  Logged log;
  const Stranger stranger(listener_);
  stranger.say(hello_of(""));
  stranger.wait_for_end();
  expect_refused_once(log, "has no authkey");
}

TEST_P(ListenerFaults, Faults29_AnOldVersionIsRefusedByNumber) {
  const Echo echo(listener_);
  Logged log;
  const Stranger stranger(listener_);
  std::vector<std::byte> hello = hello_of(key);
  wire::put_u16(&hello[8], 0);
  stranger.say(hello);
  EXPECT_EQ(stranger.hear(wire::hello_bytes).size(), wire::hello_bytes) << "the listener's own version is in its hello";
  stranger.wait_for_end();
  expect_refused_once(log, "speaks version 0 of the protocol, this listener version 1");
}

TEST_P(ListenerFaults, Faults29_HalfAHandshakeIsRefusedWhenItEnds) {
  const Echo echo(listener_);
  Logged log;
  Stranger stranger(listener_);
  stranger.say(std::span<const std::byte>(hello_of(key)).first(20));
  stranger.hang_up();
  log.wait_for("has gone during the handshake");
  expect_refused_once(log, "has gone during the handshake");
}

TEST_P(ListenerFaults, Faults29_WhoSaysNothingIsRefusedInTimeAndHoldsNobodyUp) {
  const Echo echo(listener_);
  Logged log;
  const Stranger stranger(listener_);
  expect_served(listener_, key);
  stranger.wait_for_end();
  expect_refused_once(log, "in time");
}

TEST_P(ListenerFaults, Faults29_AByteNowAndThenBuysNoTime) {
  const Echo echo(listener_);
  Logged log;
  const Stranger stranger(listener_);
  const std::vector<std::byte> hello = hello_of(key);
  for (std::size_t at = 0; at + 1 < hello.size(); ++at) {
    pollfd look{stranger.fd(), POLLIN, 0};
    if (os::poll({&look, 1}, detail::Deadline::after(20ms)) > 0) break;  // it was sent away
    stranger.say(std::span(hello).subspan(at, 1));
  }
  stranger.wait_for_end();
  expect_refused_once(log, "in time");
}

TEST_P(ListenerFaults, Faults29_MoreStrangersThanThereArePlacesHoldNobodyUpForLong) {
  const Echo echo(listener_);
  std::vector<Stranger> crowd;
  for (int i = 0; i < 100; ++i) crowd.emplace_back(listener_);
  expect_served(listener_, key);
  for (const Stranger& one : crowd) one.wait_for_end();
}

TEST_P(ListenerFaults, Faults29_AHugeAnnouncedMessageEndsItsConnectionAndTakesNoMemory) {
  const Echo echo(listener_);
  {
    const Connection client = Client(listener_.address(), key);
    EXPECT_THROW(client.send(std::string(1001, 'x')), NotSendable) << "it is told before it sends";
    client.send(std::string(990, 'x'));
    EXPECT_EQ(client.recv<std::string>().size(), 990U);
  }
  const Stranger stranger(listener_);
  wire::Wire client(wire::Role::client, {.key = key});
  while (!client.established()) {
    stranger.say(client.take_outgoing());
    client.received(stranger.hear(client.lacking()));
  }
  std::vector<std::byte> frame(wire::frame_header_bytes);
  wire::put_u64(frame.data(), std::uint64_t{1} << 60);
  stranger.say(frame);
  stranger.wait_for_end();
  expect_served(listener_, key);
}

TEST_P(ListenerFaults, Faults29_MemoryStaysWhatItWas) {
  const Echo echo(listener_);
  const auto visit = [&] {
    const Stranger stranger(listener_);
    stranger.say(std::vector<std::byte>(100'000, std::byte{'m'}));
    stranger.wait_for_end();
  };
  for (int i = 0; i < 20; ++i) visit();
  const std::size_t before = ::mallinfo2().uordblks;
  for (int i = 0; i < 200; ++i) visit();
  expect_served(listener_, key);
  EXPECT_LT(::mallinfo2().uordblks, before + 200 * 1000);
}

INSTANTIATE_TEST_SUITE_P(EveryKind, ListenerFaults, ::testing::Values("", "tcp://127.0.0.1:0"),
                         [](const auto& kind) { return std::string(kind.param.empty() ? "Unix" : "Tcp"); });

TEST(ListenerFaultsTls, Faults29_PlainWordsAreRefusedWhereTlsIsAskedFor) {
  const Watchdog dog(120s);
  const Listener listener({.address = "tls://127.0.0.1:0", .authkey = key});
  const Echo echo(listener);
  Logged log;
  const Stranger stranger(listener);
  stranger.say(hello_of(key));
  stranger.wait_for_end();
  expect_served(listener, key);
  EXPECT_EQ(times(log.text(), "does not speak TLS"), 1U);
}

}  // namespace
}  // namespace multiprocessing
