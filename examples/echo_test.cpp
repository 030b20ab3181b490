// The echo servers, as a user runs them.
#include <gtest/gtest.h>
#include <signal.h>

#include "examples/program.hpp"
#include "multiprocessing/listener.hpp"
#include "multiprocessing/process.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace {

namespace mp = multiprocessing;
using mp::examples::Program;
using mp::testing::Watchdog;
using namespace std::chrono_literals;

class EchoExample : public ::testing::Test {
 protected:
  static std::string address_of(const Program& server) {
    const std::string line = server.line();
    return line.substr(line.rfind(' ') + 1);
  }
  void expect_served(const std::string& address) const {
    const mp::Connection client = mp::Client(address, key_);
    client.send("hello");
    EXPECT_EQ(client.recv<std::string>(), "HELLO");
  }
  void crash_one(const std::string& address) const {
    const mp::Connection client = mp::Client(address, key_);
    client.send("crash");
    EXPECT_THROW(client.recv<std::string>(), mp::EndOfFile);
  }

  Watchdog dog_{120s};
  const std::string key_ = "0123456789abcdef0123456789abcdef";
  const mp::testing::TemporaryFolder folder_;
  const std::string key_file_ = folder_.write("key", key_ + "\n");
};

TEST_F(EchoExample, AProcessPerClientGivesTextsBackInCapitals) {
  Program server({"echo_process_per_client", "tcp://127.0.0.1:0", key_file_});
  const std::string address = address_of(server);
  Program client({"echo_process_per_client", address, key_file_, "one", "Two"});
  EXPECT_EQ(client.line(), "ONE");
  EXPECT_EQ(client.line(), "TWO");
  EXPECT_EQ(client.end(), 0);
  EXPECT_EQ(server.end(SIGTERM), 0);
}

TEST_F(EchoExample, AProcessPerClientThatCrashesHarmsNoOtherClient) {
  Program server({"echo_process_per_client", "unix://" + (folder_ / "socket"), key_file_});
  const std::string address = address_of(server);
  const mp::Connection other = mp::Client(address, key_);
  crash_one(address);
  other.send("still here");
  EXPECT_EQ(other.recv<std::string>(), "STILL HERE");
  expect_served(address);
}

TEST_F(EchoExample, APoolServesWhenOneOfItsProcessesHasCrashed) {
  Program server({"echo_pool", "tcp://127.0.0.1:0", key_file_, "2"});
  const std::string address = address_of(server);
  for (int i = 0; i < 3; ++i) {
    crash_one(address);
    expect_served(address);
  }
  EXPECT_EQ(server.end(SIGTERM), 0);
}

TEST_F(EchoExample, APoolIsRenewedWithoutLosingAClient) {
  Program server({"echo_pool", "tcp://127.0.0.1:0", key_file_, "2"});
  const std::string address = address_of(server);
  const mp::Connection client = mp::Client(address, key_);
  client.send("before");
  EXPECT_EQ(client.recv<std::string>(), "BEFORE");
  server.signal(SIGHUP);
  EXPECT_EQ(server.line(), "renewing");
  client.send("after");
  EXPECT_EQ(client.recv<std::string>(), "AFTER");
  client.close();
  for (int i = 0; i < 5; ++i) expect_served(address);
  EXPECT_EQ(server.end(SIGTERM), 0);
}

}  // namespace
