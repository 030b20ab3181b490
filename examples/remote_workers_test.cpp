// Work for other machines, as a user runs it.
#include <gtest/gtest.h>
#include <signal.h>

#include "examples/program.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace {

using multiprocessing::examples::Program;
using namespace std::chrono_literals;

class RemoteWorkersExample : public ::testing::Test {
 protected:
  const multiprocessing::testing::Watchdog dog_{120s};
  const multiprocessing::testing::TemporaryFolder folder_;
  const std::string key_file_ = folder_.write("key", "0123456789abcdef0123456789abcdef\n");
};

TEST_F(RemoteWorkersExample, DoTheWorkThoughSomeOfThemAreKilled) {
  Program work({"remote_workers", "work-for", "tcp://127.0.0.1:0", key_file_, "300"});
  const std::string line = work.line();
  const std::string address = line.substr(line.rfind(' ') + 1);
  Program killed({"remote_workers", "work-with", address, key_file_, "2"});
  EXPECT_EQ(killed.line(), "working");
  EXPECT_EQ(killed.end(SIGKILL), -SIGKILL);
  Program worker({"remote_workers", "work-with", address, key_file_, "2"});
  EXPECT_EQ(work.line(), "25997 primes below 300000");
  EXPECT_EQ(work.end(), 0);
  EXPECT_EQ(worker.end(), 0);
}

}  // namespace
