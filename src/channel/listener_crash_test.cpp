// What the kernel refuses to a listener and its connections, by the fault twin of os/.
#include <gtest/gtest.h>

#include "channel/listener_test_support.hpp"
#include "os/faults.hpp"

namespace multiprocessing {
namespace {

using os::Call;
using testing::Logged;
using testing::SocketEnds;
using testing::times;
using testing::Watchdog;
using namespace std::chrono_literals;

class ListenerRefused : public ::testing::Test {
 protected:
  void TearDown() override { os::faults::clear(); }
  Watchdog dog_{120s};
};

TEST_F(ListenerRefused, ADescriptorForAConnectionGoesOnWhenThereIsOneAgain) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    const Listener listener;
    Logged log;
    os::faults::fail(Call::accept, error, 0, 2);
    const SocketEnds ends(listener, "");
    EXPECT_EQ(times(log.text(), "cannot accept"), 2U) << error;
  }
}

TEST_F(ListenerRefused, AConnectionThatWasGivenUpMeanwhileIsNotMissed) {
  const Listener listener;
  os::faults::fail(Call::accept, ECONNABORTED, 0, 3);
  const SocketEnds ends(listener, "");
}

TEST_F(ListenerRefused, AReadThatWasInterruptedIsRepeated) {
  const Listener listener;
  os::faults::fail(Call::receive, EINTR, 0, 5);
  const SocketEnds ends(listener, "");
  os::faults::fail(Call::receive, EINTR, 0, 3);
  os::faults::fail(Call::send, EINTR, 0, 3);
  ends.client.send(1);
  EXPECT_EQ(ends.server.recv<int>(), 1);
}

TEST_F(ListenerRefused, ASocketIsAnErrorWithItsName) {
  os::faults::fail(Call::socket, EMFILE);
  EXPECT_THROW(Listener({.address = "tcp://127.0.0.1:0", .authkey = testing::listener_key}), OsError);
  const Listener listener;
  os::faults::fail(Call::socket, EMFILE);
  EXPECT_THROW(static_cast<void>(Client(listener.address())), OsError);
}

TEST_F(ListenerRefused, ABrokenLineIsTheEndForReceiversAndEpipeForSenders) {
  const Listener listener;
  {
    const SocketEnds ends(listener, "");
    os::faults::fail(Call::receive, ECONNRESET);
    EXPECT_THROW(ends.server.recv<int>(), EndOfFile);
  }
  const SocketEnds ends(listener, "");
  os::faults::fail(Call::send, ECONNRESET);
  EXPECT_THROW(ends.server.send(1), OsError);
  os::faults::fail(Call::receive, ETIMEDOUT);
  EXPECT_THROW(ends.server.recv<int>(), OsError);
}

}  // namespace
}  // namespace multiprocessing
