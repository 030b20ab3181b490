// The echo servers, as a user runs them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "multiprocessing/listener.hpp"
#include "multiprocessing/process.hpp"
#include "support/watchdog.hpp"

namespace {

namespace mp = multiprocessing;
using mp::testing::Watchdog;
using namespace std::chrono_literals;

// An example that runs, with what it prints.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    arguments[0] = std::string(MP_EXAMPLES) + "/" + arguments[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      std::vector<char*> words;
      for (std::string& one : arguments) words.push_back(one.data());
      words.push_back(nullptr);
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) static_cast<void>(end(SIGKILL));
    ::close(out_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string line() const {
    std::string text;
    for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) text.push_back(c);
    return text;
  }
  void signal(int number) const { ::kill(pid_, number); }
  int end(int number = 0) {
    if (number != 0) signal(number);
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
};

class EchoExample : public ::testing::Test {
 protected:
  EchoExample() {
    std::string name = (std::filesystem::temp_directory_path() / "mp-echo-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::ofstream(key_file_ = folder_ / "key") << key_ << '\n';
  }
  ~EchoExample() override { std::filesystem::remove_all(folder_); }

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
  std::filesystem::path folder_;
  std::filesystem::path key_file_;
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
  Program server({"echo_process_per_client", "unix://" + (folder_ / "socket").string(), key_file_});
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
