// Listener and Client: what Python's documentation says of them, sentence by sentence.
#include <gtest/gtest.h>

#include <cstddef>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <variant>
#include <vector>

#include "conformance/start_methods.hpp"

namespace {

namespace mp = multiprocessing;
using namespace std::chrono_literals;
using mp::testing::require;

const std::string key = "secret password of 16 and more";

class ListenerClaims : public mp::testing::EveryStartMethod {
 protected:
  mp::Listener listener_{{.address = "tcp://127.0.0.1:0", .authkey = key}};
};
FOR_EVERY_START_METHOD(ListenerClaims);

// "Attempt to set up a connection to the listener which is using address address, returning a Connection."
TEST_P(ListenerClaims, AClientHasAConnectionToTheListenerAtTheAddress) {
  start(
      [](std::string address, std::string authkey) {
        const mp::Connection c = mp::Client(address, authkey);
        c.send(c.recv<int>() + 1);
      },
      listener_.address(), key);
  const mp::Connection c = listener_.accept();
  c.send(41);
  EXPECT_EQ(c.recv<int>(), 42);
}

// "The following server code creates a listener which uses 'secret password' as an authentication key.  It then waits for
// a connection and sends some data to the client."
TEST_P(ListenerClaims, TheExampleOfTheDocumentationWorks) {
  using Item = std::variant<double, std::monostate, std::string>;
  start(
      [](std::string address, std::string authkey) {
        const mp::Connection c = mp::Client(address, authkey);
        require(c.recv<std::vector<Item>>() == std::vector<Item>{2.25, std::monostate(), "junk"});
        require(c.recv_bytes().size() == 5);
        require(c.recv<std::vector<int>>() == std::vector<int>{42, 1729});
      },
      listener_.address(), key);
  const mp::Connection c = listener_.accept();
  c.send(std::vector<Item>{2.25, std::monostate(), "junk"});
  c.send_bytes("hello");
  c.send(std::vector<int>{42, 1729});
}

// "If authentication is attempted and fails, then AuthenticationError is raised."  In the client; a listener goes on
// (mended: a stranger must not end a server's loop).
TEST_P(ListenerClaims, AClientWithAnotherKeyHasAnAuthenticationErrorAndTheListenerTheNextClient) {
  start(
      [](std::string address, std::string authkey) {
        try {
          static_cast<void>(mp::Client(address, "some other key of 16 and more"));
          require(false);
        } catch (const mp::AuthenticationError&) {
        }
        mp::Client(address, authkey).send(1);
      },
      listener_.address(), key);
  EXPECT_EQ(listener_.accept().recv<int>(), 1);
}

// "Close the bound socket or named pipe of the listener object.  This is called automatically when the listener is garbage
// collected.  However it is advisable to call it explicitly."
TEST_P(ListenerClaims, AClosedListenerIsNotThereAnyMore) {
  listener_.close();
  start(
      [](std::string address, std::string authkey) {
        try {
          static_cast<void>(mp::Client(address, authkey));
          require(false);
        } catch (const mp::OsError& error) {
          require(error.code().value() == ECONNREFUSED);
        }
      },
      listener_.address(), key);
}

// "address: The address which is being used by the Listener object."  "If family is 'AF_UNIX' [and] address is None …
// Listener chooses … a private temporary directory."
TEST_P(ListenerClaims, AListenerWithoutAddressHasAPathOfItsOwn) {
  const mp::Listener listener;
  EXPECT_EQ(listener.address().find("unix:///"), 0U);
  start([](std::string address) { mp::Client(address).send(7); }, listener.address());
  EXPECT_EQ(listener.accept().recv<int>(), 7);
}

// A connection is an argument like any other, also under the start methods that copy nothing.
TEST_P(ListenerClaims, AConnectionIsGivenToTheProcessThatServesIt) {
  const mp::Listener listener;
  start([](std::string address) { require(mp::Client(address).recv<int>() == 5); }, listener.address());
  mp::Connection c = listener.accept();
  start([](mp::Connection served) { served.send(5); }, c);
  c.close();
}

// "wait … for messages from multiple processes at once"
TEST_P(ListenerClaims, WaitTellsWhichOfTheClientsHasSaidSomething) {
  const auto client = [](std::string address, std::string authkey) { mp::Client(address, authkey).send(1); };
  start(client, listener_.address(), key);
  start(client, listener_.address(), key);
  std::vector<mp::Connection> open{listener_.accept(), listener_.accept()};
  int messages = 0;
  while (!open.empty()) {
    const auto ready = mp::wait(std::vector<mp::Waitable>(open.begin(), open.end()));
    for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
      try {
        messages += open[*i].recv<int>();
      } catch (const mp::EndOfFile&) {
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(*i));
      }
    }
  }
  EXPECT_EQ(messages, 2);
}

}  // namespace
