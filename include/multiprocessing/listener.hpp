// Listener and Client: connections between unrelated programs, on one machine or over a network, as Python's
// multiprocessing.connection.
//
//   mp::Listener listener({.address = "tcp://127.0.0.1:0", .authkey = key});       // or unix:///path
//   std::cout << listener.address() << '\n';                                       // with the port that it has got
//   for (;;) {
//     mp::Connection c = listener.accept();
//     mp::Process([](mp::Connection client) { serve(client); }, c).start();
//     c.close();                                                                   // the child has its own
//   }
//
//   mp::Connection c = mp::Client("tcp://127.0.0.1:5000", key);                    // in the other program
//   c.send(std::string("hello"));
//   auto answer = c.recv<std::string>();
//
// Addresses: unix:///path, only this user of this machine (unless .any_user); without address, a new path in a folder of
// its own.  tcp://host:port, with TLS 1.3 unless it is the loopback interface; tls://host:port, always with TLS.
// Abstract sockets are not used: any user could be behind one.
//
// Keys.  Both sides show each other, by HMAC-SHA256 over fresh random numbers, that they know the authkey; it is never
// sent.  16 bytes at the least, 32 random ones are good; read it from a file that only you can read: arguments and
// environment of a process can be seen.  Without a key only a Unix socket of this user's processes will do.  Certificates
// (.tls) come on top of it.  SECURITY.md says what is trusted.
//
// accept() is not held up by who says nothing, or rubbish: 64 strangers are asked at a time, for 5 s each; who does not pass
// is logged (log.hpp, once) and sent away, and accept() goes on.
//
// The connections are those of a Pipe with differences: they carry values and bytes, not handles or descriptors
// (NotSendable); a message has 64 MiB at the most (.max_message: what this side takes; the other side's send() of a
// longer one throws NotSendable before anything is sent); one process at a time uses an end, any number of its threads;
// recv() of one that was cut in the middle throws EndOfFile.  fileno() polls readable while a message is there or on its
// way, poll() and wait() are true when all of it is; with TLS trust only those two.  They can be given to other processes
// through a Process or a Pipe, not with TLS.  Values are in the byte order and layout of the machine: both sides are of
// one architecture, and built with the same types.
//
// Silence.  A network that is cut is an OsError within about a minute; .idle_timeout makes it one that a living peer
// says nothing for so long.
//
// Threads: all operations from any thread.  Fork: a listener may be used by any number of forked processes at once, each
// connection goes to one of them; the path of a Unix socket goes with close() in the process that made it, or its end in
// order.  One that is left by a death is replaced by the next Listener there; where one lives it is OsError EADDRINUSE.
// Handles: copies share one listener; it is closed with the last copy.
// Errors: std::invalid_argument for an address, key or option that cannot be; AuthenticationError; OsError.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/tls_options.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace channel {
class ListenerCore;
}  // namespace channel

struct ListenerOptions {
  std::string address{};  // empty: a Unix socket at a new path
  std::string authkey{};
  int backlog = 128;                                  // connections that wait to be let in, for the kernel
  std::chrono::milliseconds handshake_timeout{5000};  // what a client has to show the key
  std::chrono::milliseconds idle_timeout{0};          // 0: none
  std::uint64_t max_message = std::uint64_t{64} << 20;
  int max_connections = 1000;  // open in this process; further ones wait
  bool any_user = false;       // of this machine, on a Unix socket, which they must be able to reach
  TlsOptions tls{};
};

class Listener {
 public:
  explicit Listener(ListenerOptions options = {});

  // Blocks until somebody has come and passed.  Throws OsError with EBADF when the listener is closed, meanwhile too.
  [[nodiscard]] Connection accept() const { return *accept_until(detail::Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] std::optional<Connection> accept(std::chrono::duration<Rep, Period> patience) const {
    return accept_until(detail::Deadline::after(patience));
  }

  // For the end of one of several processes that accept from one listener: nobody else is let in by this one, and who is
  // being asked by now still gets his answer.  One connection at a call, empty when there are no more; that takes
  // .handshake_timeout at the most, while there is a place.
  //
  //   while (auto client = listener.drain()) serve(*client);
  [[nodiscard]] std::optional<Connection> drain() const;

  [[nodiscard]] const std::string& address() const noexcept;  // for Client
  // Polls readable when somebody new has come; accept(0s) then asks him, and may give nobody yet.  While somebody is being
  // asked, call it again within .handshake_timeout.
  [[nodiscard]] int fileno() const;
  void close() const noexcept;  // idempotent; connections stay

 private:
  [[nodiscard]] std::optional<Connection> accept_until(detail::Deadline deadline) const;
  std::shared_ptr<channel::ListenerCore> core_;
};

struct ClientOptions {
  std::chrono::milliseconds timeout{10'000};  // to connect and to be let in
  std::chrono::milliseconds idle_timeout{0};
  std::uint64_t max_message = std::uint64_t{64} << 20;
  bool any_user = false;  // behind a Unix socket
  TlsOptions tls{};
};

// Throws AuthenticationError when the other side has no key, or another; OsError: ECONNREFUSED, ETIMEDOUT …; EndOfFile
// when it hangs up.
[[nodiscard]] Connection Client(std::string_view address, std::string authkey = {}, ClientOptions options = {});

}  // namespace multiprocessing

#pragma GCC visibility pop
