// Listener and Client: what a program sees of them.  Hostile peers: listener_faults_test.cpp; what the connections do:
// wire_link_test.cpp.
#include "multiprocessing/listener.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "channel/listener_test_support.hpp"
#include "multiprocessing/wait.hpp"
#include "support/crash.hpp"
#include "support/temporary_folder.hpp"
#include "wire/wire.hpp"

namespace multiprocessing {
namespace {

using testing::Child;
using testing::Echo;
using testing::expect_served;
using testing::SocketEnds;
using testing::Stranger;
using testing::TemporaryFolder;
using testing::Watchdog;
using namespace std::chrono_literals;

const std::string key = testing::listener_key;

int error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const OsError& error) {
    return error.code().value();
  }
  return 0;
}

class ListenerAt : public ::testing::TestWithParam<std::string> {
 protected:
  Watchdog dog_{120s};
  Listener listener_{{.address = GetParam(), .authkey = key}};
};

TEST_P(ListenerAt, GivesAConnectionToWhoHasTheKey) {
  const SocketEnds ends(listener_, key);
  ends.client.send(std::vector<int>{1, 2, 3});
  EXPECT_EQ(ends.server.recv<std::vector<int>>(), (std::vector<int>{1, 2, 3}));
  ends.server.send("text");
  EXPECT_EQ(ends.client.recv<std::string>(), "text");
}

TEST_P(ListenerAt, SendsAwayWhoHasAnotherKey) {
  const Echo echo(listener_);
  EXPECT_THROW(static_cast<void>(Client(listener_.address(), "another key of 16 and more")), AuthenticationError);
  EXPECT_THROW(static_cast<void>(Client(listener_.address(), "")), std::exception);
  expect_served(listener_, key);
}

TEST_P(ListenerAt, AcceptGivesNobodyWhenNobodyComes) {
  EXPECT_FALSE(listener_.accept(1ms));
  EXPECT_FALSE(listener_.accept(0ms));
}

TEST_P(ListenerAt, FilenoPollsReadableWhenSomebodyComes) {
  EXPECT_TRUE(wait({listener_.fileno()}, 0s).empty());
  const Stranger stranger(listener_);
  EXPECT_EQ(wait({listener_.fileno()}).size(), 1U);
}

TEST_P(ListenerAt, CloseEndsAnAcceptInAnotherThread) {
  std::thread closing([this] { listener_.close(); });
  EXPECT_EQ(error_of([this] { static_cast<void>(listener_.accept()); }), EBADF);
  closing.join();
  EXPECT_EQ(error_of([this] { static_cast<void>(Client(listener_.address(), key)); }) == 0, false);
  listener_.close();
}

TEST_P(ListenerAt, ConnectionsStayWhenTheListenerGoes) {
  const SocketEnds ends(listener_, key);
  listener_.close();
  ends.client.send(1);
  EXPECT_EQ(ends.server.recv<int>(), 1);
}

TEST_P(ListenerAt, ThreadsAcceptOneConnectionEach) {
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const Connection one = listener_.accept();
      one.send(one.recv<int>() + 1);
      ++served;
    });
  }
  for (int i = 0; i < 3; ++i) {
    const Connection client = Client(listener_.address(), key);
    client.send(i);
    EXPECT_EQ(client.recv<int>(), i + 1);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 3);
}

TEST_P(ListenerAt, ProcessesAcceptFromOneListener) {
  std::vector<Child> workers;
  for (int i = 0; i < 2; ++i) {
    workers.emplace_back(Child::member, [this] {
      for (int calls = 0; calls < 5; ++calls) {
        const Connection one = listener_.accept();
        one.send(one.recv<int>() * 2);
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    const Connection client = Client(listener_.address(), key);
    client.send(i);
    EXPECT_EQ(client.recv<int>(), 2 * i);
  }
  for (Child& worker : workers) EXPECT_EQ(worker.wait(), 0);
}

TEST_P(ListenerAt, AProcessServesTheClientThatItIsGiven) {
  std::thread client([this] {
    const Connection connection = Client(listener_.address(), key);
    connection.send("upper");
    EXPECT_EQ(connection.recv<std::string>(), "UPPER");
    EXPECT_THROW(connection.recv<std::string>(), EndOfFile);  // nobody else holds it
  });
  Connection one = listener_.accept();
  Child worker{Child::member, [one] {
                 std::string text = one.recv<std::string>();
                 for (char& c : text) c = static_cast<char>(::toupper(c));
                 one.send(text);
               }};
  one.close();
  EXPECT_EQ(worker.wait(), 0);
  client.join();
}

TEST_P(ListenerAt, WhoIsBeingAskedIsSentAwayByCloseAlsoWhenAForkedProcessLivesOn) {
  const Stranger stranger(listener_);
  EXPECT_FALSE(listener_.accept(30ms));
  Child other{Child::member, [] { ::pause(); }};
  listener_.close();
  stranger.wait_for_end();
  other.signal(SIGKILL);
}

TEST_P(ListenerAt, NoMoreConnectionsThanAllowedAreOpenAndTheNextOneWaits) {
  const Listener small({.address = GetParam(), .authkey = key, .max_connections = 1});
  std::optional<Connection> open(SocketEnds(small, key).server);
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] { EXPECT_EQ(Client(small.address(), key, {.timeout = 1h}).recv<int>(), 1); });
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(small.accept(30ms));
    open->close();
    open = small.accept();
    open->send(1);
  }
  for (std::thread& other : others) other.join();
}

INSTANTIATE_TEST_SUITE_P(EveryKind, ListenerAt, ::testing::Values("", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"),
                         [](const auto& kind) {
                           return kind.param.empty() ? std::string("Unix") : kind.param.substr(0, 3);
                         });

TEST(ListenerAddress, OfANetworkHasThePortThatItHasGot) {
  const Listener listener({.address = "tcp://127.0.0.1:0", .authkey = key});
  EXPECT_EQ(listener.address().find("tcp://127.0.0.1:"), 0U);
  EXPECT_NE(listener.address(), "tcp://127.0.0.1:0");
}

TEST(ListenerAddress, ThatIsNoneIsInvalidAndTheTextShowsOne) {
  for (const char* const bad : {"localhost:5000", "tcp://localhost", "tcp://:5000", "tcp://host:port", "tcp://h:65536",
                                "unix://relative", "tcp://::1:5000", "http://a:1"}) {
    try {
      const Listener listener({.address = bad, .authkey = key});
      FAIL() << bad;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("tcp://host:port"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(Listener({.address = std::string("unix:///a\0b", 11)}), std::invalid_argument);
  EXPECT_THROW(Listener({.address = "unix:///tmp/" + std::string(200, 'x')}), std::invalid_argument);
}

TEST(ListenerKey, IsNeededByANetworkAndAtLeast16BytesLong) {
  EXPECT_THROW(Listener({.address = "tcp://127.0.0.1:0"}), std::invalid_argument);
  EXPECT_THROW(Listener({.address = "tcp://127.0.0.1:0", .authkey = "short"}), std::invalid_argument);
  EXPECT_THROW(Listener({.authkey = "short"}), std::invalid_argument);
  EXPECT_THROW(Listener({.any_user = true}), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(Client("tcp://127.0.0.1:1", "")), std::invalid_argument);
}

TEST(ListenerKey, IsNotNeededByAUnixSocketOfThisUser) {
  const Watchdog dog(120s);
  const Listener listener;
  const SocketEnds ends(listener, "");
  ends.client.send(5);
  EXPECT_EQ(ends.server.recv<int>(), 5);
}

TEST(ListenerKey, OfOneSideOnlyIsRefusedByTheOther) {
  const Watchdog dog(120s);
  const Listener listener;
  const Echo echo(listener);
  EXPECT_THROW(static_cast<void>(Client(listener.address(), key)), AuthenticationError);
  expect_served(listener, "");
}

TEST(ListenerPath, IsOnlyThisUsersAndGoesWithTheListener) {
  const TemporaryFolder folder;
  const std::string path = folder / "new/socket";
  {
    const Listener listener({.address = "unix://" + path});
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat((folder / "new").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenerPath, OfItsOwnGoesWithItsFolder) {
  std::string path;
  {
    const Listener listener;
    path = listener.address().substr(7);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

TEST(ListenerPath, OfALivingListenerIsInUse) {
  const TemporaryFolder folder;
  const std::string address = "unix://" + folder / "socket";
  const Listener first({.address = address});
  EXPECT_EQ(error_of([&] { const Listener second({.address = address}); }), EADDRINUSE);
  EXPECT_TRUE(std::filesystem::exists(folder / "socket"));
}

// What a process of another user gets when it connects: the errno, or -1 when it was let in.
int as_another_user(const Listener& listener, bool any_user) {
  constexpr uid_t nobody = 65534;
  Child child{Child::plain, [&] {
                if (::setuid(nobody) != 0) ::_exit(testing::failed);
                try {
                  static_cast<void>(Client(listener.address(), key, {.any_user = any_user}));
                  ::_exit(1);
                } catch (const AuthenticationError&) {
                  ::_exit(2);
                } catch (const EndOfFile&) {
                  ::_exit(3);
                } catch (const OsError&) {
                  ::_exit(4);
                }
              }};
  while (os::poll({}, detail::Deadline::passed()) == 0 &&
         !os::wait_ended(child.pidfd(), detail::Deadline::after(1ms))) {
    static_cast<void>(listener.accept(1ms));
  }
  return child.wait();
}

TEST(ListenerUsers, OthersAreSentAwayAlsoWithTheKeyUnlessTheyAreAllowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  const Watchdog dog(120s);
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const std::string address = "unix://" + folder / "socket";
  {
    const Listener own({.address = address, .authkey = key});
    EXPECT_EQ(as_another_user(own, true), 4) << "the socket's mode";
    ASSERT_EQ(::chmod((folder / "socket").c_str(), 0666), 0);
    EXPECT_EQ(as_another_user(own, true), 3) << "the listener";
    EXPECT_EQ(as_another_user(own, false), 2) << "the client";
  }
  const Listener open({.address = address, .authkey = key, .any_user = true});
  EXPECT_EQ(as_another_user(open, true), 1);
}

TEST(ListenerPath, OfAKilledListenerIsReplaced) {
  const Watchdog dog(120s);
  const TemporaryFolder folder;
  const std::string address = "unix://" + folder / "socket";
  const pid_t child = ::fork();
  if (child == 0) {
    const Listener listener({.address = address});
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(std::filesystem::exists(folder / "socket"));
  EXPECT_EQ(error_of([&] { static_cast<void>(Client(address)); }), ECONNREFUSED);
  const Listener listener({.address = address});
  const SocketEnds ends(listener, "");
}

TEST(ListenerPath, OfSomethingElseIsNotTouched) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "precious";
  EXPECT_EQ(error_of([&] { const Listener listener({.address = "unix://" + folder / "file"}); }), EADDRINUSE);
  EXPECT_EQ(std::filesystem::file_size(folder / "file"), 8U);
}

TEST(ListenerPath, StaysWhenAForkedProcessLetsGoOfTheListener) {
  const TemporaryFolder folder;
  const Listener listener({.address = "unix://" + folder / "socket"});
  Child child{Child::member, [listener] { listener.close(); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "socket"));
}

TEST(ClientTo, NobodyIsRefusedByTheKernel) {
  const Listener gone({.address = "tcp://127.0.0.1:0", .authkey = key});
  gone.close();
  EXPECT_EQ(error_of([&] { static_cast<void>(Client(gone.address(), key)); }), ECONNREFUSED);
  EXPECT_EQ(error_of([&] { static_cast<void>(Client("unix:///nonexistent/socket")); }), ENOENT);
}

TEST(ClientTo, AListenerThatSaysNothingEndsWithItsTimeout) {
  const Watchdog dog(120s);
  const Listener silent({.address = "tcp://127.0.0.1:0", .authkey = key});  // nobody accepts
  EXPECT_EQ(error_of([&] { static_cast<void>(Client(silent.address(), key, {.timeout = 50ms})); }), ETIMEDOUT);
}

TEST(ClientTo, SomethingElseIsAnError) {
  const Watchdog dog(120s);
  const wire::Door door(wire::Address::parse("tcp://127.0.0.1:0"), 5);
  std::thread other([&] {
    pollfd look{door.fd(), POLLIN, 0};
    os::poll({&look, 1}, detail::Deadline::never());
    os::SocketAddress peer;
    const base::Fd socket(os::accept_socket(door.fd(), peer));
    static_cast<void>(os::write_some(socket.get(), std::as_bytes(std::span("HTTP/1.1 400 Bad Request\r\n"))));
  });
  EXPECT_THROW(static_cast<void>(Client(door.address(), key)), Error);
  other.join();
}

class ListenerThatEnds : public ::testing::TestWithParam<std::string> {
 protected:
  ListenerThatEnds() : listener_({.address = GetParam(), .authkey = key, .handshake_timeout = 200ms}) {}
  bool somebody_is_at_the_door() const { return !wait({listener_.fileno()}, 0s).empty(); }
  void let_in_to_be_asked() const {
    while (!somebody_is_at_the_door()) continue;
    EXPECT_FALSE(listener_.accept(0ms));
    EXPECT_FALSE(somebody_is_at_the_door());
  }
  const Watchdog dog_{120s};
  const Listener listener_;
};

TEST_P(ListenerThatEnds, GivesWhoIsBeingAskedAndLetsNobodyElseIn) {
  const Stranger first(listener_);
  let_in_to_be_asked();
  const Stranger second(listener_);
  std::thread answers([&] {
    wire::Wire client(wire::Role::client, {.key = key});
    while (!client.established()) {
      first.say(client.take_outgoing());
      client.received(first.hear(client.lacking()));
    }
  });
  EXPECT_TRUE(listener_.drain());
  EXPECT_FALSE(listener_.drain());
  answers.join();
  while (!somebody_is_at_the_door()) continue;  // for another process
}

TEST_P(ListenerThatEnds, DoesNotWaitForWhoSaysNothing) {
  const Stranger silent(listener_);
  let_in_to_be_asked();
  EXPECT_FALSE(listener_.drain());
  silent.wait_for_end();
}

TEST_P(ListenerThatEnds, HasNobodyWhenNobodyCame) {
  EXPECT_FALSE(listener_.drain());
  listener_.close();
  EXPECT_FALSE(listener_.drain());
}

INSTANTIATE_TEST_SUITE_P(EveryKind, ListenerThatEnds, ::testing::Values("", "tcp://127.0.0.1:0"),
                         [](const auto& kind) { return std::string(kind.param.empty() ? "Unix" : "Tcp"); });

}  // namespace
}  // namespace multiprocessing
